# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""ShuffleNetV2 (Ma et al., 2018) without its last convolution, with DLA's neck, PaddleDetection's.

Its activation is PaddleDetection's, ReLU with a slope of 0.01 below zero.
"""

import numpy as np
from mindspore import Tensor, nn, ops

from src.model_utils.networks import ShuffleNetV2Config
from src.models.features.dla import AggregatedFeatures
from src.models.features.mobilenet_v2 import PYTORCH
from src.models.layers import StemPool, Tapped

_STEM_CHANNELS = 24


def _pointwise(in_channels: int, channels: int) -> list[nn.Cell]:
    return [*PYTORCH.conv_norm(in_channels, channels, 1), nn.LeakyReLU(0.01)]


def _depthwise(channels: int, stride: int) -> list[nn.Cell]:
    return PYTORCH.conv_norm(channels, channels, 3, stride, group=channels)


class Unit(nn.Cell):
    """Two branches whose channels are put out in turn (section 4, figure 3 c and d).

    Each branch takes half of the channels, and the first passes them on; with a stride of 2 each
    takes all of them.

    Args:
        in_channels, channels: of input and output, the same with a stride of 1.
        stride: 1 or 2.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.half, self.splits = channels // 2, stride == 1
        taken = self.half if self.splits else in_channels
        self.branch1 = nn.Identity()
        if not self.splits:
            self.branch1 = nn.SequentialCell(
                *_depthwise(taken, stride), *_pointwise(taken, self.half)
            )
        self.branch2 = nn.SequentialCell(
            *_pointwise(taken, self.half),
            *_depthwise(self.half, stride),
            *_pointwise(self.half, self.half),
        )
        self.stack, self.reshape = ops.Stack(2), ops.Reshape()

    def construct(self, x: Tensor) -> Tensor:
        first, second = (x[:, : self.half], x[:, self.half :]) if self.splits else (x, x)
        first, second = self.branch1(first), self.branch2(second)
        batch, half, height, width = second.shape
        return self.reshape(self.stack((first, second)), (batch, 2 * half, height, width))


class ShuffleNetV2(Tapped):
    """Images float32 (B,3,H,W) to a map a stage, (B,·,H/s,W/s) with s = 8, 16, ...

    Args:
        net: says number of units and channels of the stages.

    `channels` are those of the maps.
    """

    def __init__(self, net: ShuffleNetV2Config) -> None:
        previous = _STEM_CHANNELS
        lowest = float(np.finfo(np.float16).min)
        cells = [
            nn.SequentialCell(
                *PYTORCH.conv_norm(3, previous, 3, 2), nn.LeakyReLU(0.01), StemPool(lowest)
            )
        ]
        for units, channels in zip(net.stage_units, net.stage_channels, strict=True):
            rest = [Unit(channels, channels, 1) for _ in range(units - 1)]
            cells.append(nn.SequentialCell(Unit(previous, channels, 2), *rest))
            previous = channels
        super().__init__(cells, range(1, len(cells)))
        self.channels = net.stage_channels


class ShuffleNetV2Features(AggregatedFeatures):
    """ShuffleNetV2 with DLA's neck: float32 (B,3,H,W) to one map (B,`channels`,h,w)."""

    def __init__(self, net: ShuffleNetV2Config) -> None:
        super().__init__(ShuffleNetV2(net), enlarges=True)
