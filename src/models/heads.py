# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Prediction heads: for each, a 3×3 convolution, ReLU and a 1×1 convolution."""

from dataclasses import dataclass

from mindspore import Tensor, nn
from mindspore.common.initializer import HeUniform, Initializer

from src.models.layers import SeparableConv, conv

# The heat map starts at sigmoid(-2.19) = 0.1, so that the many negatives do not swamp the first
# steps (focal loss, section 3.3).
_HEAT_MAP_BIAS = -2.19
PYTORCH = HeUniform(5**0.5)  # the first weights of its convolutions, uniform in ±1/√fan_in


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
        heat_init, other_init: first weights of heat maps and of the other heads.
    """

    def __init__(
        self,
        in_channels: int,
        head_conv: int,
        heads: list[Head],
        separable: bool = False,
        heat_init: Initializer = PYTORCH,
        other_init: Initializer = PYTORCH,
    ) -> None:
        super().__init__()
        for head in heads:
            init = heat_init if head.is_heat else other_init
            bias = _HEAT_MAP_BIAS if head.is_heat else 0.0
            if separable:
                first = SeparableConv(in_channels, head_conv, heat_init)
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
