# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Keeping the compiled graph of a training for its next start."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import mindspore as ms
import numpy as np

from src.model_utils.device_adapter import Device, ascend_chip
from src.model_utils.files import give_usual_modes
from src.model_utils.messages import say
from src.model_utils.parameters import Config
from src.training.asides import told_if_it_fails

_SOURCES = Path(__file__).resolve().parents[1]
_SECTIONS = {"dataset_config", "net_config", "train_config"}
_VALUES = {"enable_lossscale", "enable_data_sink", "data_sink_steps"}


@contextlib.contextmanager
def graph_cache(config: Config, device: Device, rates: np.ndarray) -> Iterator[None]:
    """Lets MindSpore take the first graph from `compile_cache_dir`, if given, and leave it there.

    MindSpore itself would take a graph whatever has changed since: measured with 2.10, another
    weight of a loss, another network and another option of the step all got the old graph, losses
    of NaN among them. So each combination of what a graph is made from has a folder of its own.
    A file that was not written to its end MindSpore refuses, and compiles.

    Args:
        config: of the training.
        device: this process.
        rates: learning rate of every update; the graph holds its length.
    """
    if not config.compile_cache_dir:
        yield
        return
    folder = Path(config.compile_cache_dir).absolute() / _digest(config, device, rates)
    folder.mkdir(parents=True, exist_ok=True)  # MindSpore's are for their owner alone
    os.environ |= {"MS_COMPILER_CACHE_ENABLE": "1", "MS_COMPILER_CACHE_PATH": str(folder)}
    say(f"graph cache: {folder}")
    try:
        yield
    finally:
        with told_if_it_fails("file modes", "the training is not touched"):
            give_usual_modes(folder)


def _digest(config: Config, device: Device, rates: np.ndarray) -> str:
    """Hexadecimal digits that differ where a graph may differ."""
    digest = hashlib.sha256()
    settings = config.model_dump_json(include=_SECTIONS | _VALUES)
    for part in (
        ms.__version__,
        device.target,
        ascend_chip(),
        device.rank_size,
        settings,
        rates.shape,
    ):
        digest.update(f"{part}\n".encode())
    for path in sorted(_SOURCES.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
