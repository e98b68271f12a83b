# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Which device a program runs on, and its place among the processes that work together.

MindSpore is imported inside the functions: `disarm_onednn_trap` has to come first, and `--help`
needs no MindSpore.
"""

import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

from src.model_utils import local_adapter, moxing_adapter
from src.model_utils.errors import UserError
from src.model_utils.files import read_text
from src.model_utils.messages import say
from src.model_utils.parameters import Config
from src.model_utils.progress import telling

# A process that sees fewer CPUs gets one thread for its runtime from MindSpore 2.10 on an Ascend
# 910B, which then refuses each graph with an `if` on a tensor, as the training step has.
_CPUS_FOR_BRANCHES, _DISPATCH_THREADS = 12, 8

_INTERNAL = re.compile(
    "is deprecated from version|type dynamic learning rate, please make sure|"
    "Profiler won't be using warmup|Incorrect schedule: Stop profiler|"
    r"export\(file_format='ONNX'\) will be deleted"  # its successor came after MindSpore 2.7
)


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


def saturates_on_overflow() -> bool:
    """Whether what overflows becomes the largest number here, and not an infinity."""
    chip = ascend_chip()
    mode = os.environ.get("MS_ASCEND_CHECK_OVERFLOW_MODE")
    return chip == "ascend910" or (chip == "ascend910b" and mode == "SATURATION_MODE")


def disarm_onednn_trap() -> None:
    """Keeps oneDNN off its reference convolution, 170 times slower (MindSpore 2.9+, AVX-512 CPUs).

    Has to run before MindSpore's first operator. A value that the user has set stays.
    """
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")


def set_up_device(config: Config, may_distribute: bool = False) -> Device:
    """Chooses the device, switches MindSpore to graph mode on it and joins the other processes.

    Args:
        config: `device_target`, `device_id`, `distribute`, `device_num` are read.
        may_distribute: whether the program (train.py, eval.py) runs on several devices together.

    Raises:
        UserError: the device is not there, or a launcher is missing for several devices.
    """
    disarm_onednn_trap()
    _keep_internals_quiet(config)
    with telling("loading MindSpore"):
        import mindspore as ms

    target = config.device_target
    if target == "auto":
        logging.disable(logging.WARNING)  # MindSpore would explain at length why there is none
        target = "Ascend" if ms.hal.is_available("Ascend") else "CPU"
        logging.disable(logging.NOTSET)
        say(f"device: {target} (found by MindSpore; --device_target chooses another)")
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
                "as many with scripts/run_distributed_train_ascend.sh, or ..._eval_ascend.sh."
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
    if target == "Ascend" and len(os.sched_getaffinity(0)) < _CPUS_FOR_BRANCHES:
        ms.runtime.dispatch_threads_num(_DISPATCH_THREADS)
    return _join_processes(target) if clustered else Device(target, 0, 1)


def check_super_pod_table(path: Path) -> None:
    """Raises UserError unless a 910C's rank table says where each device sits in its SuperPoD."""
    try:
        version = json.loads(read_text(path))["version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: is not a usable rank table ({error}).") from None
    if version == "1.0":
        raise UserError(
            f"{path}: is a rank table of version 1.0, but an Ascend 910C (A3) needs 1.2; start by "
            "scripts/run_distributed_train_msrun.sh, which needs none."
        )


def _keep_internals_quiet(config: Config) -> None:
    """Leaves out what MindSpore warns of and nobody who trains can act on.

    Has to run before MindSpore is imported. With a GLOG_v of the user's own all comes.
    """
    if "GLOG_v" in os.environ:
        return
    submodules = {
        "PIPELINE": config.compile_cache_dir,  # that an empty one holds no graph yet
        "ANALYZER": config.export_format == "ONNX",  # that what has no use is left out
    }
    errors_only = ",".join(f"{name}:3" for name, chosen in submodules.items() if chosen)
    if errors_only:
        os.environ.setdefault("MS_SUBMODULE_LOG_v", f"{{{errors_only}}}")
    logger = logging.getLogger(f"ME.mindspore.log.{os.getpid()}")  # MindSpore's, by its name
    logger.addFilter(lambda record: not _INTERNAL.search(record.getMessage()))


def _join_processes(target: str) -> Device:
    import mindspore as ms
    from mindspore import communication

    if ascend_chip() == "ascend910_93" and "RANK_TABLE_FILE" in os.environ:
        check_super_pod_table(Path(os.environ["RANK_TABLE_FILE"]))
    with telling("waiting for the other processes"):
        communication.init()
    rank, rank_size = communication.get_rank(), communication.get_group_size()
    ms.set_auto_parallel_context(
        parallel_mode=ms.ParallelMode.DATA_PARALLEL, gradients_mean=True, device_num=rank_size
    )
    return Device(target, rank, rank_size)
