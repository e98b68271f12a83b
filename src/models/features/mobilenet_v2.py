# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""MobileNetV2 (Sandler et al., 2018) without its classifier, and with up-sampling as features.

Padding is PyTorch's, one pixel on each side of 3×3 convolutions, as in torchvision's weights.
"""

from mindspore import Tensor, nn
from mindspore.common.initializer import HeNormal

from src.model_utils.networks import MobileNetV2Config
from src.models.features.up_sampling import UpSampling

# The bottlenecks of table 2: expansion factor, channels, number of blocks, stride of the first one.
_TABLE = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _conv_norm(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, group: int = 1
) -> list[nn.Cell]:
    """A convolution and its BatchNorm."""
    convolution = nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        pad_mode="pad",
        padding=kernel_size // 2,
        group=group,
        weight_init=HeNormal(mode="fan_out", nonlinearity="relu"),
    )
    return [convolution, nn.BatchNorm2d(out_channels)]


def _width(channels: float) -> int:
    """The multiple of 8 nearest to a number of channels, not below 90 % of it."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


class InvertedResidual(nn.Cell):
    """1×1 expansion, 3×3 depthwise convolution and 1×1 projection, which has no activation.

    The input is added where it has the shape of the output (section 3.3).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.adds = stride == 1 and in_channels == out_channels
        self.expand = nn.Identity()
        if expansion > 1:
            self.expand = nn.SequentialCell(*_conv_norm(in_channels, hidden, 1), nn.ReLU6())
        self.depthwise = nn.SequentialCell(
            *_conv_norm(hidden, hidden, 3, stride, group=hidden), nn.ReLU6()
        )
        self.project = nn.SequentialCell(*_conv_norm(hidden, out_channels, 1))

    def construct(self, x: Tensor) -> Tensor:
        out = self.project(self.depthwise(self.expand(x)))
        return out + x if self.adds else out


class MobileNetV2(nn.Cell):
    """Images float32 (B,3,H,W) to the maps after each row of table 2, tuple of (B,·,H/s,W/s).

    Eight, the last one behind the 1×1 convolution: s is 2, 4, 8, 16, 16, 32, 32 and 32.

    Args:
        width_multiplier: of the channels, which are rounded to multiples of 8.

    `channels` are those of the maps.
    """

    def __init__(self, width_multiplier: float) -> None:
        super().__init__()
        channels = _width(32 * width_multiplier)
        cells = [nn.SequentialCell(*_conv_norm(3, channels, 3, 2), nn.ReLU6())]
        self.ends, self.channels = [], []
        for expansion, plain_channels, blocks, first_stride in _TABLE:
            for stride in (first_stride, *[1] * (blocks - 1)):
                in_channels, channels = channels, _width(plain_channels * width_multiplier)
                cells.append(InvertedResidual(in_channels, channels, stride, expansion))
            self.ends.append(len(cells) - 1)
            self.channels.append(channels)
        last = _width(1280 * max(1.0, width_multiplier))
        cells.append(nn.SequentialCell(*_conv_norm(channels, last, 1), nn.ReLU6()))
        self.ends.append(len(cells) - 1)
        self.channels.append(last)
        self.layers = nn.CellList(cells)

    def construct(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = ()
        for place, layer in enumerate(self.layers):
            x = layer(x)
            if place in self.ends:
                maps += (x,)
        return maps


class MobileNetV2Features(nn.Cell):
    """MobileNetV2 with up-sampling: float32 (B,3,H,W) to one map (B,`channels`,h,w)."""

    stacks = 1

    def __init__(self, net: MobileNetV2Config) -> None:
        super().__init__()
        self.backbone = MobileNetV2(net.width_multiplier)
        self.neck = UpSampling(self.backbone.channels[-1], net.up_channels, net.deformable)
        self.channels = self.neck.channels

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.neck(self.backbone(image)[-1]),)
