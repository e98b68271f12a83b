# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Corner pooling (CornerNet, section 3.3)."""

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import HeNormal

from src.models.layers import ConvBlock, conv

_MOMENTUM = 0.9  # of the BatchNorms


class CornerPool(nn.Cell):
    """The largest value from each cell to one border, itself included: (B,C,h,w) to (B,C,h,w).

    By maxima with the map moved by 1, 2, 4, ... cells: operators that the AI Core of every Ascend
    has in float32 and MINDIRs of both versions take. MindSpore's running maximum, cummax, has no
    gradient on a CPU, and takes three times as long there (`benchmarks.corners`).

    Args:
        corner: "top" looks from each cell down to the lower border, "left" to the right one,
            "bottom" up to the upper one, "right" to the left one.
    """

    def __init__(self, corner: str) -> None:
        super().__init__()
        self.is_vertical = corner in ("top", "bottom")
        self.looks_ahead = corner in ("top", "left")
        self.concat = ops.Concat(2 if self.is_vertical else 3)
        self.maximum = ops.Maximum()

    def construct(self, x: Tensor) -> Tensor:
        length = x.shape[2] if self.is_vertical else x.shape[3]
        step = 1
        while step < length:
            x = self.maximum(x, self._moved(x, step, length))
            step *= 2
        return x

    def _moved(self, x: Tensor, step: int, length: int) -> Tensor:
        """Of each cell the one `step` further on, or itself where that is beyond the border."""
        if self.looks_ahead:
            return self.concat((self._part(x, step, length), self._part(x, length - step, length)))
        return self.concat((self._part(x, 0, step), self._part(x, 0, length - step)))

    def _part(self, x: Tensor, first: int, end: int) -> Tensor:
        return x[:, :, first:end] if self.is_vertical else x[:, :, :, first:end]


class CornerBranch(nn.Cell):
    """What stands between features and heads of a corner: (B,C,h,w) to (B,C,h,w).

    The features are pooled towards both sides that meet in the corner, each behind a convolution of
    its own, added up, and added to the features by a 1×1 convolution.

    Args:
        channels: C.
        pool_channels: channels that are pooled.
        corners: the sides, as of `CornerPool`.
    """

    def __init__(self, channels: int, pool_channels: int, corners: tuple[str, str]) -> None:
        super().__init__()
        init = HeNormal(mode="fan_out", nonlinearity="relu")  # MMDetection's
        block = {"stride": 1, "momentum": _MOMENTUM, "weight_init": init}
        self.conv1 = ConvBlock(channels, pool_channels, 3, **block)
        self.conv2 = ConvBlock(channels, pool_channels, 3, **block)
        self.pool1, self.pool2 = CornerPool(corners[0]), CornerPool(corners[1])
        self.pooled = nn.SequentialCell(
            conv(pool_channels, channels, 3, weight_init=init),
            nn.BatchNorm2d(channels, momentum=_MOMENTUM),
        )
        self.skip = nn.SequentialCell(
            conv(channels, channels, 1, weight_init=init),
            nn.BatchNorm2d(channels, momentum=_MOMENTUM),
        )
        self.relu = nn.ReLU()
        self.out = ConvBlock(channels, channels, 3, **block)

    def construct(self, x: Tensor) -> Tensor:
        pooled = self.pool1(self.conv1(x)) + self.pool2(self.conv2(x))
        return self.out(self.relu(self.pooled(pooled) + self.skip(x)))
