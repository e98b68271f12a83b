# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Stacked hourglasses (Newell et al., 2016) as CornerNet and CenterNet have them.

Hourglass-104 is that of the original CenterNet, of CornerNet and, with another momentum, of
TensorFlow. Names of cells are the original's (up1, low1, low2, low3) and MMDetection's.
"""

from collections.abc import Sequence

from mindspore import Tensor, nn

from src.model_utils.networks import HourglassConfig
from src.models.layers import ConvBlock, Twice, conv


class Residual(nn.Cell):
    """Two 3×3 convolutions around a skip, which has a 1×1 one where the shape changes."""

    def __init__(
        self, in_channels: int, out_channels: int, momentum: float, stride: int = 1
    ) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, out_channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(out_channels, momentum=momentum)
        self.conv2 = conv(out_channels, out_channels, 3)
        self.bn2 = nn.BatchNorm2d(out_channels, momentum=momentum)
        self.skip = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.skip = _projection(in_channels, out_channels, momentum, stride)
        self.relu = nn.ReLU()

    def construct(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(out + self.skip(x))


def _projection(
    in_channels: int, out_channels: int, momentum: float, stride: int = 1
) -> nn.SequentialCell:
    return nn.SequentialCell(
        conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels, momentum=momentum)
    )


def _residuals(blocks: int, channels: int, momentum: float) -> list[nn.Cell]:
    return [Residual(channels, channels, momentum) for _ in range(blocks)]


class Hourglass(nn.Cell):
    """Maps (B,dims[0],h,w) to maps of the same shape, by way of all smaller sizes.

    h and w are multiples of 2^(len(dims)-1).

    Args:
        dims: channels at each size, from the largest down.
        blocks: residual blocks at each size.
        momentum: of the BatchNorms.
    """

    def __init__(self, dims: Sequence[int], blocks: Sequence[int], momentum: float) -> None:
        super().__init__()
        outer, inner = dims[:2]
        self.up1 = nn.SequentialCell(_residuals(blocks[0], outer, momentum))
        self.low1 = nn.SequentialCell(
            [Residual(outer, inner, momentum, 2), *_residuals(blocks[0] - 1, inner, momentum)]
        )
        self.low2 = (
            Hourglass(dims[1:], blocks[1:], momentum)
            if len(dims) > 2
            else nn.SequentialCell(_residuals(blocks[1], inner, momentum))
        )
        self.low3 = nn.SequentialCell(
            [*_residuals(blocks[0] - 1, inner, momentum), Residual(inner, outer, momentum)]
        )
        self.twice = Twice()

    def construct(self, x: Tensor) -> Tensor:
        return self.up1(x) + self.twice(self.low3(self.low2(self.low1(x))))


class HourglassFeatures(nn.Cell):
    """Stem and hourglasses: float32 (B,3,H,W) to a map (B,`channels`,H/4,W/4) a stack.

    Each hourglass but the first gets what the one before got, and what that made of it.
    """

    def __init__(self, net: HourglassConfig) -> None:
        super().__init__()
        self.stacks, self.channels = net.num_stacks, net.dims[0]
        channels, momentum = self.channels, net.norm_momentum
        bridges = range(self.stacks - 1)
        self.stem = nn.SequentialCell(
            ConvBlock(3, net.stem_channels, 7, 2, momentum),
            Residual(net.stem_channels, channels, momentum, 2),
        )
        self.hourglasses = nn.CellList(
            [Hourglass(net.dims, net.blocks, momentum) for _ in range(self.stacks)]
        )
        self.out_convs = nn.CellList(
            [ConvBlock(channels, channels, 3, 1, momentum) for _ in range(self.stacks)]
        )
        self.conv1x1s, self.remap_convs = (
            nn.CellList([_projection(channels, channels, momentum) for _ in bridges])
            for _ in range(2)
        )
        self.inters = nn.CellList(_residuals(len(bridges), channels, momentum))
        self.relu = nn.ReLU()

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        x = self.stem(image)
        features = ()
        for stack in range(self.stacks):
            feature = self.out_convs[stack](self.hourglasses[stack](x))
            features += (feature,)
            if stack < self.stacks - 1:
                x = self.relu(self.conv1x1s[stack](x) + self.remap_convs[stack](feature))
                x = self.inters[stack](x)
        return features
