# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Prediction heads: for each, a 3×3 convolution, ReLU and a 1×1 convolution."""

from mindspore import Tensor, nn
from mindspore.common.initializer import HeUniform, Normal

from src.models.layers import conv

# The heat map starts at sigmoid(-2.19) = 0.1, so that the many negatives do not swamp the first
# steps (focal loss, section 3.3).
_HEAT_MAP_BIAS = -2.19


def _head(in_channels: int, head_conv: int, channels: int, is_heat_map: bool) -> nn.SequentialCell:
    init = HeUniform(5**0.5) if is_heat_map else Normal(0.001)
    bias = _HEAT_MAP_BIAS if is_heat_map else 0.0
    return nn.SequentialCell(
        conv(in_channels, head_conv, 3, has_bias=True, weight_init=init),
        nn.ReLU(),
        conv(head_conv, channels, 1, has_bias=True, weight_init=init, bias_init=bias),
    )


class Heads(nn.Cell):
    """The heads hm (C channels, logits), wh (2, or 2·C by category) and, if wanted, reg (2)."""

    def __init__(
        self,
        in_channels: int,
        head_conv: int,
        num_classes: int,
        cat_spec_wh: bool,
        reg_offset: bool,
    ) -> None:
        super().__init__()
        wh_channels = 2 * num_classes if cat_spec_wh else 2
        self.hm = _head(in_channels, head_conv, num_classes, is_heat_map=True)
        self.wh = _head(in_channels, head_conv, wh_channels, is_heat_map=False)
        self.reg_offset = reg_offset
        if reg_offset:
            self.reg = _head(in_channels, head_conv, 2, is_heat_map=False)

    def construct(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.reg_offset:
            return self.hm(x), self.wh(x), self.reg(x)
        return self.hm(x), self.wh(x)
