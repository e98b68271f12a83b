# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""MindSpore's profile of a training."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import mindspore as ms
from mindspore.profiler import tensorboard_trace_handler

from src.model_utils.files import give_usual_modes
from src.model_utils.parameters import Config
from src.training.asides import told_if_it_fails


@contextlib.contextmanager
def profiled(config: Config) -> Iterator[None]:
    """Writes MindSpore's profile of what is done within, if one is wanted."""
    if not config.need_profiler:
        yield
        return
    folder = config.profiler_path or "./profiler"
    profile = ms.profiler.profile(on_trace_ready=tensorboard_trace_handler(folder))
    profile.start()
    try:
        yield
    finally:
        with told_if_it_fails("profile", "the training is not touched"):
            profile.stop()
        with told_if_it_fails("file modes", "the training is not touched"):
            # What MindSpore has made there, and nothing else.
            for written in Path(folder).glob(f"*_{os.getpid()}_*_ascend_ms"):
                give_usual_modes(written)
