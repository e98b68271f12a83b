# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Writing and reading checkpoints.

Parameters go by their place in the network (backbone.conv1.weight), whatever cells stand around it.
"""

from collections.abc import Iterable
from pathlib import Path

import mindspore as ms
from mindspore import nn

from src.model_utils.errors import UserError
from src.model_utils.files import whole_file

_SHOWN_MISMATCHES = 3


def save(parameters: Iterable[tuple[str, ms.Parameter]], path: Path) -> None:
    """Writes parameters by their names to `path` (.ckpt), whole or not at all."""
    entries = [{"name": name, "data": data} for name, data in parameters]
    with whole_file(path) as partial:
        ms.save_checkpoint(entries, str(partial))


def load(network: nn.Cell, path: Path) -> None:
    """Reads every parameter of `network` from a checkpoint; others in it (moments) are ignored.

    Raises:
        UserError: the file is missing, is no checkpoint, or is another model's.
    """
    if not path.is_file():
        raise UserError(f"{path}: checkpoint not found; check the path.")
    try:
        stored = ms.load_checkpoint(str(path))
    except (ValueError, TypeError, RuntimeError):
        raise UserError(
            f"{path}: is not a MindSpore checkpoint, or a damaged one; give a .ckpt file that "
            "train.py wrote."
        ) from None
    problems = []
    for name, parameter in network.parameters_and_names():
        found = stored.get(name)
        if found is None:
            problems.append(f"{name} is missing")
        elif found.shape != parameter.shape:
            problems.append(f"{name} is {tuple(found.shape)} instead of {tuple(parameter.shape)}")
    if problems:
        shown = "; ".join(problems[:_SHOWN_MISMATCHES])
        raise UserError(
            f"{path}: is a checkpoint of another model, {len(problems)} parameters do not fit "
            f"({shown}); pick the config that it was trained with."
        )
    for name, parameter in network.parameters_and_names():
        parameter.set_data(stored[name])
