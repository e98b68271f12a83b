# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""ResNet (He et al., 2015) without its classifier, and as features with what enlarges its maps.

Padding and strides are those of the projects whose published weights mean the same here, see
`Style`. Names of cells are torchvision's.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import HeNormal, Initializer, XavierUniform

from src.model_utils.networks import ResNetConfig, ResNetV1FPNConfig
from src.models.features.fpn import FeaturePyramid
from src.models.features.up_sampling import UpSampling
from src.models.layers import StemPool, conv


@dataclass(frozen=True)
class Style:
    """What the ResNets of PyTorch and of Keras differ in."""

    weight_init: Callable[[], Initializer]
    has_bias: bool = False
    stride_on_3x3: bool = True
    epsilon: float = 1e-5
    momentum: float = 0.9

    def conv(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1
    ) -> nn.Conv2d:
        return conv(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            has_bias=self.has_bias,
            weight_init=self.weight_init(),
        )

    def norm(self, channels: int) -> nn.BatchNorm2d:
        return nn.BatchNorm2d(channels, eps=self.epsilon, momentum=self.momentum)

    def shortcut(self, in_channels: int, out_channels: int, stride: int) -> nn.Cell:
        if stride == 1 and in_channels == out_channels:
            return nn.Identity()
        return nn.SequentialCell(
            self.conv(in_channels, out_channels, 1, stride), self.norm(out_channels)
        )


PYTORCH = Style(partial(HeNormal, mode="fan_out", nonlinearity="relu"))
KERAS = Style(XavierUniform, has_bias=True, stride_on_3x3=False, epsilon=1.001e-5)


class BasicBlock(nn.Cell):
    """Two 3×3 convolutions around a shortcut; puts out `channels`."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int, style: Style) -> None:
        super().__init__()
        self.conv1, self.bn1 = style.conv(in_channels, channels, 3, stride), style.norm(channels)
        self.conv2, self.bn2 = style.conv(channels, channels, 3), style.norm(channels)
        self.downsample = style.shortcut(in_channels, channels, stride)
        self.relu = nn.ReLU()

    def construct(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + self.downsample(x))


class Bottleneck(nn.Cell):
    """1×1, 3×3 and 1×1 convolutions around a shortcut; puts out 4 · `channels`."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int, style: Style) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        on_1x1, on_3x3 = (1, stride) if style.stride_on_3x3 else (stride, 1)
        self.conv1, self.bn1 = style.conv(in_channels, channels, 1, on_1x1), style.norm(channels)
        self.conv2, self.bn2 = style.conv(channels, channels, 3, on_3x3), style.norm(channels)
        self.conv3, self.bn3 = style.conv(channels, out_channels, 1), style.norm(out_channels)
        self.downsample = style.shortcut(in_channels, out_channels, stride)
        self.relu = nn.ReLU()

    def construct(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + self.downsample(x))


class ResNet(nn.Cell):
    """Stem and stages: float32 (B,3,H,W) to a map a stage, (B,·,H/s,W/s) with s = 4, 8, 16, ...

    Args:
        net: says block, number and width of the stages and padding of the stem's pooling.
        style: where its weights are from.

    `channels` are those of the maps.
    """

    def __init__(self, net: ResNetConfig | ResNetV1FPNConfig, style: Style) -> None:
        super().__init__()
        block_type = {"basic": BasicBlock, "bottleneck": Bottleneck}[net.block]
        channels = net.stage_channels[0]
        self.conv1, self.bn1 = style.conv(3, channels, 7, 2), style.norm(channels)
        self.relu = nn.ReLU()
        self.maxpool = StemPool() if net.stem_pool == "symmetric" else ops.MaxPool(3, 2, "same")
        self.stages, self.channels = len(net.block_class), []
        for stage, (blocks, width) in enumerate(
            zip(net.block_class, net.stage_channels, strict=True)
        ):
            cells = []
            for position in range(blocks):
                stride = 2 if stage > 0 and position == 0 else 1
                cells.append(block_type(channels, width, stride, style))
                channels = width * block_type.expansion
            self.channels.append(channels)
            self.insert_child_to_cell(f"layer{stage + 1}", nn.SequentialCell(cells))
        self.layers = [getattr(self, f"layer{stage + 1}") for stage in range(self.stages)]

    def construct(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = ()
        for layer in self.layers:
            x = layer(x)
            maps += (x,)
        return maps


class ResNetFeatures(nn.Cell):
    """ResNet with up-sampling: float32 (B,3,H,W) to one map (B,`channels`,h,w)."""

    stacks = 1

    def __init__(self, net: ResNetConfig) -> None:
        super().__init__()
        self.backbone = ResNet(net, PYTORCH)
        self.neck = UpSampling(self.backbone.channels[-1], net.up_channels, net.deformable)
        self.channels = self.neck.channels

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.neck(self.backbone(image)[-1]),)


class ResNetV1FPNFeatures(nn.Cell):
    """Keras's ResNet with a feature pyramid: float32 (B,3,H,W) to one map (B,`channels`,h,w)."""

    stacks = 1

    def __init__(self, net: ResNetV1FPNConfig) -> None:
        super().__init__()
        momentum = net.norm_momentum
        self.backbone = ResNet(net, replace(KERAS, momentum=momentum))
        self.first = len(net.block_class) - 1 - len(net.up_channels)
        self.neck = FeaturePyramid(self.backbone.channels[self.first :], net.up_channels, momentum)
        self.channels = self.neck.channels

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.neck(self.backbone(image)[self.first :]),)
