# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""ResNet of variant d (He et al., 2018, Bag of Tricks) with DLA's neck, PaddleDetection's.

The stem has three 3×3 convolutions, and shortcuts are halved by average pooling. Names of cells are
those of `resnet`.
"""

from mindspore import Tensor, nn, ops

from src.model_utils.networks import ResNetVDConfig
from src.models.deformable import DeformableConv
from src.models.features.dla import AggregatedFeatures
from src.models.features.resnet import PYTORCH, Bottleneck
from src.models.layers import StemPool


class AveragePool(nn.Cell):
    """Means of 2×2 cells: (B,C,h,w), h and w even, to (B,C,h/2,w/2)."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = ops.AvgPool(2, 2, "valid")

    def construct(self, x: Tensor) -> Tensor:
        return self.pool(x)


class BottleneckVD(Bottleneck):
    """A `Bottleneck` whose shortcut is halved by average pooling, or whose 3×3 is deformable.

    Args:
        in_channels, channels, stride: as of `Bottleneck`.
        form: of the deformable convolution, or "none".
    """

    def __init__(self, in_channels: int, channels: int, stride: int, form: str) -> None:
        super().__init__(in_channels, channels, stride, PYTORCH)
        if stride > 1:
            out_channels = channels * self.expansion
            self.downsample = nn.SequentialCell(
                AveragePool(),
                PYTORCH.conv(in_channels, out_channels, 1),
                PYTORCH.norm(out_channels),
            )
        if form != "none":
            self.conv2 = DeformableConv(channels, channels, form, stride, has_bias=False)


class ResNetVD(nn.Cell):
    """Stem and stages: float32 (B,3,H,W) to a map a stage, (B,·,H/s,W/s) with s = 4, 8, 16, ...

    Args:
        net: says number and width of the stages, and which are deformable.

    `channels` are those of the maps.
    """

    def __init__(self, net: ResNetVDConfig) -> None:
        super().__init__()
        channels = net.stage_channels[0]
        cells, previous = [], 3
        for width, stride in ((channels // 2, 2), (channels // 2, 1), (channels, 1)):
            cells += [PYTORCH.conv(previous, width, 3, stride), PYTORCH.norm(width), nn.ReLU()]
            previous = width
        self.stem = nn.SequentialCell(*cells, StemPool())
        self.channels, self.layers = [], []
        stages = len(net.block_class)
        for stage, (blocks, width) in enumerate(
            zip(net.block_class, net.stage_channels, strict=True)
        ):
            form = net.deformable if stage >= stages - net.deformable_stages else "none"
            cells = []
            for position in range(blocks):
                stride = 2 if stage > 0 and position == 0 else 1
                cells.append(BottleneckVD(channels, width, stride, form))
                channels = width * Bottleneck.expansion
            self.channels.append(channels)
            layer = nn.SequentialCell(cells)
            self.insert_child_to_cell(f"layer{stage + 1}", layer)
            self.layers.append(layer)

    def construct(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.stem(x)
        maps = ()
        for layer in self.layers:
            x = layer(x)
            maps += (x,)
        return maps


class ResNetVDFeatures(AggregatedFeatures):
    """ResNet-vd with DLA's neck: float32 (B,3,H,W) to one map (B,`channels`,h,w)."""

    def __init__(self, net: ResNetVDConfig) -> None:
        super().__init__(ResNetVD(net), net.first_level, net.last_level)
