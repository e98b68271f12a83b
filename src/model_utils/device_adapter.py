# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Which device a program runs on, and its place among the processes that train together.

MindSpore is imported inside the functions: `disarm_onednn_trap` has to come first, and `--help`
needs no MindSpore.
"""

import logging
import os
from dataclasses import dataclass

from src.model_utils import local_adapter, moxing_adapter
from src.model_utils.errors import UserError
from src.model_utils.parameters import Config


@dataclass(frozen=True)
class Device:
    """A process's device: `target` Ascend, GPU or CPU; `rank` of `rank_size` processes."""

    target: str
    rank: int
    rank_size: int


def ascend_chip() -> str:
    """MindSpore's name of the Ascend that this process computes on; empty on other devices.

    ascend910 (910A), ascend910b (910B), ascend910_93 (910C), ascend310p.
    """
    import mindspore as ms
    from mindspore._c_expression import MSContext  # what MindSpore's own amp asks

    if ms.get_context("device_target") != "Ascend":
        return ""
    return MSContext.get_instance().get_ascend_soc_version()


def disarm_onednn_trap() -> None:
    """Keeps oneDNN off its reference convolution, 170 times slower (MindSpore 2.9+, AVX-512 CPUs).

    Has to run before MindSpore's first operator. A value that the user has set stays.
    """
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")


def set_up_device(config: Config, may_distribute: bool = False) -> Device:
    """Chooses the device, switches MindSpore to graph mode on it and joins the other processes.

    Args:
        config: `device_target`, `device_id`, `distribute`, `device_num` are read.
        may_distribute: whether the program (train.py) runs on several devices together.

    Raises:
        UserError: the device is not there, or a launcher is missing for several devices.
    """
    disarm_onednn_trap()
    import mindspore as ms

    target = config.device_target
    if target == "auto":
        logging.disable(logging.WARNING)  # MindSpore would explain at length why there is none
        target = "Ascend" if ms.hal.is_available("Ascend") else "CPU"
        logging.disable(logging.NOTSET)
        print(f"device: {target} (found by MindSpore; --device_target chooses another)", flush=True)
    elif not ms.hal.is_available(target):
        raise UserError(
            f"device_target {target}: MindSpore finds no such device here; use --device_target CPU "
            "or install the MindSpore package and driver for it."
        )
    ms.set_context(mode=ms.GRAPH_MODE)
    launched, clustered = 1, False
    if may_distribute and config.distribute:
        launched = local_adapter.process_count()
        if config.device_num not in (1, launched):
            raise UserError(
                f"device_num is {config.device_num} but {launched} process(es) were started; start "
                "as many with scripts/run_distributed_train_ascend.sh."
            )
        # MindSpore's scheduler, a process of its own, has to join even where one other trains.
        clustered = launched > 1 or local_adapter.has_scheduler()
    device_id = config.device_id
    if clustered:  # the launcher knows
        environment = moxing_adapter if config.enable_modelarts else local_adapter
        device_id = environment.device_id(device_id)
    if target == "CPU":
        ms.set_device(target)
    else:
        ms.set_device(target, device_id)
    return _join_processes(target) if clustered else Device(target, 0, 1)


def _join_processes(target: str) -> Device:
    import mindspore as ms
    from mindspore import communication

    communication.init()
    rank, rank_size = communication.get_rank(), communication.get_group_size()
    ms.set_auto_parallel_context(
        parallel_mode=ms.ParallelMode.DATA_PARALLEL, gradients_mean=True, device_num=rank_size
    )
    return Device(target, rank, rank_size)
