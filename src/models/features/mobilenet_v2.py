# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""MobileNetV2 (Sandler et al., 2018) without its classifier, and as features.

Padding is that of the projects whose published weights mean the same here, see `Style`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from mindspore import Tensor, nn
from mindspore.common.initializer import HeNormal, Initializer, TruncatedNormal

from src.model_utils.networks import MobileNetV2Config, MobileNetV2FPNConfig
from src.models.features.fpn import FeaturePyramid
from src.models.features.up_sampling import UpSampling
from src.models.layers import Tapped

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


@dataclass(frozen=True)
class Style:
    """What the networks of PyTorch and of TensorFlow differ in.

    pad_mode: "pad" for one pixel on each side of 3×3 convolutions; "same" for the end alone where
        they halve an even side.
    """

    weight_init: Callable[[], Initializer]
    pad_mode: str = "pad"
    epsilon: float = 1e-5
    momentum: float = 0.9

    def conv_norm(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, group: int = 1
    ) -> list[nn.Cell]:
        """A convolution and its BatchNorm."""
        convolution = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            pad_mode=self.pad_mode,
            padding=kernel_size // 2 if self.pad_mode == "pad" else 0,
            group=group,
            weight_init=self.weight_init(),
        )
        norm = nn.BatchNorm2d(out_channels, eps=self.epsilon, momentum=self.momentum)
        return [convolution, norm]


PYTORCH = Style(partial(HeNormal, mode="fan_out", nonlinearity="relu"))
TENSORFLOW = Style(partial(TruncatedNormal, 0.09), "same", epsilon=1e-3)


def width(channels: float) -> int:
    """The multiple of 8 nearest to a number of channels, not below 90 % of it."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


class InvertedResidual(nn.Cell):
    """1×1 expansion, 3×3 depthwise convolution and 1×1 projection, which has no activation.

    The input is added where it has the shape of the output (section 3.3).
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, expansion: int, style: Style
    ) -> None:
        super().__init__()
        hidden, conv_norm = in_channels * expansion, style.conv_norm
        self.adds = stride == 1 and in_channels == out_channels
        self.expand = nn.Identity()
        if expansion > 1:
            self.expand = nn.SequentialCell(*conv_norm(in_channels, hidden, 1), nn.ReLU6())
        self.depthwise = nn.SequentialCell(
            *conv_norm(hidden, hidden, 3, stride, group=hidden), nn.ReLU6()
        )
        self.project = nn.SequentialCell(*conv_norm(hidden, out_channels, 1))

    def construct(self, x: Tensor) -> Tensor:
        out = self.project(self.depthwise(self.expand(x)))
        return out + x if self.adds else out


class MobileNetV2(Tapped):
    """Images float32 (B,3,H,W) to the maps after each row of table 2, tuple of (B,·,H/s,W/s).

    Eight, the last one behind the 1×1 convolution: s is 2, 4, 8, 16, 16, 32, 32 and 32.

    Args:
        width_multiplier: of the channels, which are rounded to multiples of 8.
        style: where its weights are from.

    `channels` are those of the maps.
    """

    def __init__(self, width_multiplier: float, style: Style) -> None:
        channels = width(32 * width_multiplier)
        cells = [nn.SequentialCell(*style.conv_norm(3, channels, 3, 2), nn.ReLU6())]
        ends, all_channels = [], []
        for expansion, plain_channels, blocks, first_stride in _TABLE:
            for stride in (first_stride, *[1] * (blocks - 1)):
                in_channels, channels = channels, width(plain_channels * width_multiplier)
                cells.append(InvertedResidual(in_channels, channels, stride, expansion, style))
            ends.append(len(cells) - 1)
            all_channels.append(channels)
        last = width(1280 * max(1.0, width_multiplier))
        cells.append(nn.SequentialCell(*style.conv_norm(channels, last, 1), nn.ReLU6()))
        super().__init__(cells, (*ends, len(cells) - 1))
        self.channels = [*all_channels, last]


class MobileNetV2Features(nn.Cell):
    """MobileNetV2 with up-sampling: float32 (B,3,H,W) to one map (B,`channels`,h,w)."""

    stacks = 1

    def __init__(self, net: MobileNetV2Config) -> None:
        super().__init__()
        self.backbone = MobileNetV2(net.width_multiplier, PYTORCH)
        self.neck = UpSampling(self.backbone.channels[-1], net.up_channels, net.deformable)
        self.channels = self.neck.channels

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.neck(self.backbone(image)[-1]),)


# The maps of stride 4, 8, 16 and 32 that TensorFlow's pyramid takes.
_TAPS = (1, 2, 3, 7)


class MobileNetV2FPNFeatures(nn.Cell):
    """TensorFlow's MobileNetV2 with a pyramid of separable convolutions: to one map, as above."""

    stacks = 1

    def __init__(self, net: MobileNetV2FPNConfig) -> None:
        super().__init__()
        self.backbone = MobileNetV2(
            net.width_multiplier, replace(TENSORFLOW, momentum=net.norm_momentum)
        )
        self.taps = _TAPS[-1 - len(net.up_channels) :]
        channels = [self.backbone.channels[tap] for tap in self.taps]
        momentum = min(0.99, net.norm_momentum)
        self.neck = FeaturePyramid(channels, net.up_channels, momentum, separable=True)
        self.channels = self.neck.channels

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        maps, taken = self.backbone(image), ()
        for tap in self.taps:
            taken += (maps[tap],)
        return (self.neck(taken),)
