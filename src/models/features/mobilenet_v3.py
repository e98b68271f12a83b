# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""MobileNetV3 (Howard et al., 2019) without its last stage, with DLA's neck, PaddleDetection's.

The sigmoid of squeeze-and-excite is Paddle's: its slope is 0.2, not 1/6. Numbers are multiplied by
`ops.Mul`, as `*` makes an operator of them that exported models cannot have on Ascends.
"""

from mindspore import Tensor, nn, ops

from src.model_utils.networks import MobileNetV3Config
from src.models.features.dla import AggregatedFeatures
from src.models.features.mobilenet_v2 import PYTORCH, width
from src.models.layers import Tapped, conv

# The bottlenecks of tables 1 and 2: kernel, expanded channels, channels, whether they have
# squeeze-and-excite, whether they have hard-swish instead of ReLU, and stride.
_TABLES = {
    "large": (
        (3, 16, 16, False, False, 1),
        (3, 64, 24, False, False, 2),
        (3, 72, 24, False, False, 1),
        (5, 72, 40, True, False, 2),
        (5, 120, 40, True, False, 1),
        (5, 120, 40, True, False, 1),
        (3, 240, 80, False, True, 2),
        (3, 200, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 480, 112, True, True, 1),
        (3, 672, 112, True, True, 1),
        (5, 672, 160, True, True, 2),
        (5, 960, 160, True, True, 1),
        (5, 960, 160, True, True, 1),
    ),
    "small": (
        (3, 16, 16, True, False, 2),
        (3, 72, 24, False, False, 2),
        (3, 88, 24, False, False, 1),
        (5, 96, 40, True, True, 2),
        (5, 240, 40, True, True, 1),
        (5, 240, 40, True, True, 1),
        (5, 120, 48, True, True, 1),
        (5, 144, 48, True, True, 1),
        (5, 288, 96, True, True, 2),
        (5, 576, 96, True, True, 1),
        (5, 576, 96, True, True, 1),
    ),
}
# The last of stride 4 (large alone), 8, 16 and 32; the first convolution is 0.
_TAPS = {"large": (3, 6, 12, 15), "small": (3, 8, 11)}
_REDUCTION = 4  # of the channels in squeeze-and-excite


class HardSwish(nn.Cell):
    """x · min(max(x + 3, 0), 6) / 6, of operators that Ascends are known to have."""

    def __init__(self) -> None:
        super().__init__()
        self.relu6, self.mul = nn.ReLU6(), ops.Mul()

    def construct(self, x: Tensor) -> Tensor:
        return self.mul(x * self.relu6(x + 3.0), 1 / 6)


class SqueezeExcite(nn.Cell):
    """Weighs channels by what their means say: (B,C,h,w) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = channels // _REDUCTION
        init = PYTORCH.weight_init
        self.conv1 = conv(channels, reduced, 1, has_bias=True, weight_init=init())
        self.conv2 = conv(reduced, channels, 1, has_bias=True, weight_init=init())
        self.mean, self.relu, self.relu6 = ops.ReduceMean(keep_dims=True), nn.ReLU(), nn.ReLU6()
        self.mul = ops.Mul()

    def construct(self, x: Tensor) -> Tensor:
        weights = self.conv2(self.relu(self.conv1(self.mean(x, (2, 3)))))
        share = self.mul(self.relu6(self.mul(weights, 1.2) + 3.0), 1 / 6)  # 0.2 · weights + 0.5
        return x * share


class Bottleneck(nn.Cell):
    """1×1 expansion, depthwise convolution, squeeze-and-excite and 1×1 projection.

    The input is added where it has the shape of the output.

    Args:
        in_channels: of the input.
        kernel, hidden, channels, excites, swishes, stride: a row of `_TABLES`.
    """

    def __init__(
        self,
        in_channels: int,
        kernel: int,
        hidden: int,
        channels: int,
        excites: bool,
        swishes: bool,
        stride: int,
    ) -> None:
        super().__init__()
        conv_norm, activation = PYTORCH.conv_norm, HardSwish if swishes else nn.ReLU
        self.adds = stride == 1 and in_channels == channels
        self.expand = nn.SequentialCell(*conv_norm(in_channels, hidden, 1), activation())
        self.depthwise = nn.SequentialCell(
            *conv_norm(hidden, hidden, kernel, stride, group=hidden), activation()
        )
        self.excite = SqueezeExcite(hidden) if excites else nn.Identity()
        self.project = nn.SequentialCell(*conv_norm(hidden, channels, 1))

    def construct(self, x: Tensor) -> Tensor:
        out = self.project(self.excite(self.depthwise(self.expand(x))))
        return out + x if self.adds else out


class MobileNetV3(Tapped):
    """Images float32 (B,3,H,W) to maps (B,·,H/s,W/s), s = 4 (large alone), 8, 16 and 32.

    Args:
        net: says which table, and the multiplier of its channels, which are rounded to multiples
            of 8.

    `channels` are those of the maps.
    """

    def __init__(self, net: MobileNetV3Config) -> None:
        channels = [width(16 * net.width_multiplier)]
        cells = [nn.SequentialCell(*PYTORCH.conv_norm(3, channels[0], 3, 2), HardSwish())]
        for kernel, hidden, out, *rest in _TABLES[net.variant]:
            hidden, out = width(hidden * net.width_multiplier), width(out * net.width_multiplier)
            cells.append(Bottleneck(channels[-1], kernel, hidden, out, *rest))
            channels.append(out)
        taps = _TAPS[net.variant]
        super().__init__(cells, taps)
        self.channels = [channels[tap] for tap in taps]


class MobileNetV3Features(AggregatedFeatures):
    """MobileNetV3 with DLA's neck: float32 (B,3,H,W) to one map (B,`channels`,h,w)."""

    def __init__(self, net: MobileNetV3Config) -> None:
        super().__init__(MobileNetV3(net), enlarges=net.variant == "small")
