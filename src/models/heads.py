# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Prediction heads: for each, a 3×3 convolution, ReLU and a 1×1 convolution."""

from dataclasses import dataclass

from mindspore import Tensor, nn
from mindspore.common.initializer import HeUniform, Normal

from src.models.layers import SeparableConv, conv

# The heat map starts at sigmoid(-2.19) = 0.1, so that the many negatives do not swamp the first
# steps (focal loss, section 3.3).
_HEAT_MAP_BIAS = -2.19


@dataclass(frozen=True)
class Head:
    """A head's name, its channels, and whether they are heat maps."""

    name: str
    channels: int
    is_heat: bool = False


class Heads(nn.Cell):
    """A head a row of `heads`: features (B,C,h,w) to maps (B,·,h,w) in the same order.

    Args:
        in_channels: C.
        head_conv: channels of the 3×3 convolutions.
        heads: the maps.
        separable: whether those convolutions are a depthwise and a 1×1 one.
    """

    def __init__(
        self, in_channels: int, head_conv: int, heads: list[Head], separable: bool = False
    ) -> None:
        super().__init__()
        for head in heads:
            init = HeUniform(5**0.5) if head.is_heat else Normal(0.001)
            bias = _HEAT_MAP_BIAS if head.is_heat else 0.0
            if separable:
                first = SeparableConv(in_channels, head_conv, HeUniform(5**0.5))
            else:
                first = conv(in_channels, head_conv, 3, has_bias=True, weight_init=init)
            layers = nn.SequentialCell(
                first,
                nn.ReLU(),
                conv(head_conv, head.channels, 1, has_bias=True, weight_init=init, bias_init=bias),
            )
            self.insert_child_to_cell(head.name, layers)
        self.heads = [getattr(self, head.name) for head in heads]

    def construct(self, features: Tensor) -> tuple[Tensor, ...]:
        maps = ()
        for head in self.heads:
            maps += (head(features),)
        return maps
