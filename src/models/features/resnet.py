# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""ResNet (He et al., 2015) without its classifier, and with up-sampling as features.

Padding and strides are PyTorch's (stride on the 3×3 convolution), so that published weights mean
the same here. Names of cells are torchvision's.
"""

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import HeNormal

from src.model_utils.networks import ResNetConfig
from src.models.features.up_sampling import UpSampling
from src.models.layers import StemPool, conv


def _he(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    return conv(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        weight_init=HeNormal(mode="fan_out", nonlinearity="relu"),
    )


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Cell:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.SequentialCell(
        _he(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels)
    )


class BasicBlock(nn.Cell):
    """Two 3×3 convolutions around a shortcut; puts out `channels`."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _he(in_channels, channels, 3, stride), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = _he(channels, channels, 3), nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)
        self.relu = nn.ReLU()

    def construct(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + self.downsample(x))


class Bottleneck(nn.Cell):
    """1×1, 3×3 and 1×1 convolutions around a shortcut; puts out 4 · `channels`."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1, self.bn1 = _he(in_channels, channels, 1), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = _he(channels, channels, 3, stride), nn.BatchNorm2d(channels)
        self.conv3, self.bn3 = _he(channels, out_channels, 1), nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)
        self.relu = nn.ReLU()

    def construct(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + self.downsample(x))


class ResNet(nn.Cell):
    """Stem and stages: float32 (B,3,H,W) to (B,`channels`,H/s,W/s) with s = 2^(stages+1).

    Args:
        net: says block, number and width of the stages and padding of the stem's pooling.
    """

    def __init__(self, net: ResNetConfig) -> None:
        super().__init__()
        block_type = {"basic": BasicBlock, "bottleneck": Bottleneck}[net.block]
        channels = net.stage_channels[0]
        self.conv1, self.bn1 = _he(3, channels, 7, 2), nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.maxpool = StemPool() if net.stem_pool == "symmetric" else ops.MaxPool(3, 2, "same")
        self.stages = len(net.block_class)
        for stage, (blocks, width) in enumerate(
            zip(net.block_class, net.stage_channels, strict=True)
        ):
            cells = []
            for position in range(blocks):
                stride = 2 if stage > 0 and position == 0 else 1
                cells.append(block_type(channels, width, stride))
                channels = width * block_type.expansion
            self.insert_child_to_cell(f"layer{stage + 1}", nn.SequentialCell(cells))
        self.layers = [getattr(self, f"layer{stage + 1}") for stage in range(self.stages)]
        self.channels = channels

    def construct(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for layer in self.layers:
            x = layer(x)
        return x


class ResNetFeatures(nn.Cell):
    """ResNet with up-sampling: float32 (B,3,H,W) to one map (B,`channels`,h,w)."""

    stacks = 1

    def __init__(self, net: ResNetConfig) -> None:
        super().__init__()
        self.backbone = ResNet(net)
        self.neck = UpSampling(self.backbone.channels, net.up_channels, net.deformable)
        self.channels = self.neck.channels

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.neck(self.backbone(image)),)
