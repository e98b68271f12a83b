# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""ResNet, version 2 (He et al., 2016), as Keras has it, with 3×3 up-convolutions as features.

Names of cells are those of `resnet.py` and, in front of a block, Keras's.
"""

from collections.abc import Sequence
from dataclasses import replace

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import XavierUniform

from src.model_utils.networks import ResNetV2Config
from src.models.features.resnet import KERAS, Style
from src.models.layers import StemPool


class PreactBottleneck(nn.Cell):
    """BatchNorm and ReLU, then 1×1, 3×3 and 1×1 convolutions around a shortcut without either.

    The shortcut is a convolution in the first block of a stage; else, with a stride, every second
    value of the input. Its convolution and the last one have the style's bias, the others none.
    """

    def __init__(
        self, in_channels: int, channels: int, stride: int, is_first: bool, style: Style
    ) -> None:
        super().__init__()
        self.is_first, plain = is_first, replace(style, has_bias=False)
        self.preact_bn = style.norm(in_channels)
        self.conv1, self.bn1 = plain.conv(in_channels, channels, 1), style.norm(channels)
        self.conv2, self.bn2 = plain.conv(channels, channels, 3, stride), style.norm(channels)
        self.conv3 = style.conv(channels, 4 * channels, 1)
        if is_first:
            self.downsample = style.conv(in_channels, 4 * channels, 1, stride)
        else:
            self.downsample = ops.MaxPool(1, stride, "valid") if stride > 1 else nn.Identity()
        self.relu = nn.ReLU()

    def construct(self, x: Tensor) -> Tensor:
        out = self.relu(self.preact_bn(x))
        shortcut = self.downsample(out if self.is_first else x)
        out = self.relu(self.bn1(self.conv1(out)))
        out = self.relu(self.bn2(self.conv2(out)))
        return shortcut + self.conv3(out)


class ResNetV2(nn.Cell):
    """Stem and stages: float32 (B,3,H,W) to (B,`channels`,H/s,W/s) with s = 2^(stages+1).

    All stages but the last halve in their last block. The last BatchNorm and ReLU are left out.

    Args:
        net: says number and width of the stages.
        style: of its convolutions and BatchNorms.
    """

    def __init__(self, net: ResNetV2Config, style: Style) -> None:
        super().__init__()
        channels = net.stage_channels[0]
        self.conv1, self.maxpool = style.conv(3, channels, 7, 2), StemPool()
        stages = len(net.block_class)
        for stage, (blocks, width) in enumerate(
            zip(net.block_class, net.stage_channels, strict=True)
        ):
            cells = []
            for position in range(blocks):
                stride = 2 if stage < stages - 1 and position == blocks - 1 else 1
                cells.append(PreactBottleneck(channels, width, stride, position == 0, style))
                channels = 4 * width
            self.insert_child_to_cell(f"layer{stage + 1}", nn.SequentialCell(cells))
        self.layers = [getattr(self, f"layer{stage + 1}") for stage in range(stages)]
        self.channels = channels

    def construct(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.conv1(x))
        for layer in self.layers:
            x = layer(x)
        return x


class UpConvolutions(nn.Cell):
    """Stages that each double the size: float32 (B,C,h,w) to (B,`channels`,h·2^n,w·2^n).

    A stage is a 3×3 convolution, BatchNorm and ReLU, then a 3×3 transposed convolution with stride
    2, BatchNorm and ReLU. That reaches one value further at the end, which is cut off.

    Args:
        in_channels: C.
        up_channels: channels of each stage.
        style: of the backbone; its epsilon is another here.
    """

    def __init__(self, in_channels: int, up_channels: Sequence[int], style: Style) -> None:
        super().__init__()
        style = replace(style, epsilon=1e-3)
        cells: list[nn.Cell] = []
        channels = in_channels
        for width in up_channels:
            enlarge = nn.Conv2dTranspose(
                width,
                width,
                3,
                2,
                pad_mode="same",
                has_bias=True,
                weight_init=XavierUniform(),
                bias_init="zeros",
            )
            cells += [style.conv(channels, width, 3), style.norm(width), nn.ReLU()]
            cells += [enlarge, style.norm(width), nn.ReLU()]
            channels = width
        self.layers = nn.SequentialCell(cells)
        self.channels = channels

    def construct(self, x: Tensor) -> Tensor:
        return self.layers(x)


class ResNetV2Features(nn.Cell):
    """ResNet with up-convolutions: float32 (B,3,H,W) to one map (B,`channels`,h,w)."""

    stacks = 1

    def __init__(self, net: ResNetV2Config) -> None:
        super().__init__()
        style = replace(KERAS, momentum=net.norm_momentum)
        self.backbone = ResNetV2(net, style)
        self.neck = UpConvolutions(self.backbone.channels, net.up_channels, style)
        self.channels = self.neck.channels

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.neck(self.backbone(image)),)
