# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Training the network in float16 (Ascend, GPU)."""

import mindspore as ms
from mindspore import nn

from src.model_utils.errors import UserError
from src.models.deformable import DeformableConv
from src.models.layers import Twice

# Cells that stay in float32 at each level. float16 places a deformable convolution's samples to
# 1/32 of a cell on a map of 64 (an input of 512), so only O3 takes them along. The gradient of
# Twice has no float16 kernel on any Ascend.
_FULL_PRECISION = {"O2": (nn.BatchNorm2d, DeformableConv, Twice), "O3": (nn.BatchNorm2d, Twice)}


def set_precision(network: nn.Cell, level: str, device_target: str) -> None:
    """Makes the cells of `network` compute in float16, its parameters stay float32.

    Targets and losses stand outside the network: `WithLoss` takes its maps back to float32.
    `mindspore.amp.auto_mixed_precision` would wrap each BatchNorm in a cell and so rename its
    parameters, and checkpoints go by these names.

    Args:
        network: from images to heads.
        level: amp_level of train_config: O0 changes nothing.
        device_target: of `Device`.

    Raises:
        UserError: a CPU is to compute in float16, or an Ascend the operator of the deformable
            convolution, whose gradient has no float16 kernel.
    """
    if level == "O0":
        return
    if device_target == "CPU":
        raise UserError(
            f"train_config.amp_level {level}: a CPU has no float16 training; use O0 there."
        )
    has_operator = any(
        isinstance(cell, DeformableConv) and cell.form == "operator"
        for _, cell in network.cells_and_names()
    )
    if level == "O3" and device_target == "Ascend" and has_operator:
        raise UserError(
            "train_config.amp_level O3: an Ascend has no float16 gradient of net_config.deformable "
            "operator; use another form, or O2."
        )
    cast_to_float16(network, _FULL_PRECISION[level])


def cast_to_float16(network: nn.Cell, full_precision: tuple[type[nn.Cell], ...]) -> None:
    """Makes all cells of `network` but those of the given types compute in float16."""
    network.to_float(ms.float16)
    for _, cell in network.cells_and_names():
        if isinstance(cell, full_precision):
            cell.to_float(ms.float32)
