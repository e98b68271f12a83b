# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Prediction heads: for each, a 3×3 convolution, ReLU and a 1×1 convolution."""

from collections.abc import Callable
from dataclasses import dataclass

from mindspore import Tensor, nn
from mindspore.common.initializer import HeUniform, Initializer

from src.models.layers import SeparableConv, conv

# A heat map starts at sigmoid(-2.19) = 0.1, so that the many negatives do not swamp the first
# steps (focal loss, section 3.3).
_HEAT_MAP_BIAS = -2.19
PYTORCH = HeUniform(5**0.5)  # the first weights of its convolutions, uniform in ±1/√fan_in


@dataclass(frozen=True)
class Branch:
    """What stands between the features and some of the heads.

    name: of its cell beside those of the heads.
    cell: makes it of the features' channels, which it keeps: (B,C,h,w) to (B,C,h,w).
    """

    name: str
    cell: Callable[[int], nn.Cell]


@dataclass(frozen=True)
class Head:
    """A head's name, its channels, and whether they are heat maps.

    branch: what it stands behind, once for all heads of the same name of a branch; None if it
        takes the features.
    first_init: first weights of its 3×3 convolution, where they are not those of the network's.
    first_bias: of its last convolution, where it is not that of all heat maps, or 0.
    """

    name: str
    channels: int
    is_heat: bool = False
    branch: Branch | None = None
    first_init: Initializer | None = None
    first_bias: float | None = None


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
        branches = {head.branch.name: head.branch for head in heads if head.branch}
        for branch in branches.values():
            self.insert_child_to_cell(branch.name, branch.cell(in_channels))
        for head in heads:
            init = heat_init if head.is_heat else other_init
            bias = head.first_bias
            if bias is None:
                bias = _HEAT_MAP_BIAS if head.is_heat else 0.0
            first_init = head.first_init or init
            if separable:
                first = SeparableConv(in_channels, head_conv, head.first_init or heat_init)
            else:
                first = conv(in_channels, head_conv, 3, has_bias=True, weight_init=first_init)
            layers = nn.SequentialCell(
                first,
                nn.ReLU(),
                conv(head_conv, head.channels, 1, has_bias=True, weight_init=init, bias_init=bias),
            )
            self.insert_child_to_cell(head.name, layers)
        self.heads = [getattr(self, head.name) for head in heads]
        self.branches = [getattr(self, name) for name in branches]
        # Of each head the place of what it takes: the features, then those behind each branch.
        places = {name: place for place, name in enumerate(branches, 1)}
        self.takes = [places[head.branch.name] if head.branch else 0 for head in heads]

    def construct(self, features: Tensor) -> tuple[Tensor, ...]:
        given = (features,)
        for branch in self.branches:
            given += (branch(features),)
        maps = ()
        for i, head in enumerate(self.heads):
            maps += (head(given[self.takes[i]]),)
        return maps
