# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""MobileNetV1 (Howard et al., 2017) without its classifier, with DLA's neck, PaddleDetection's."""

from mindspore import nn

from src.model_utils.networks import MobileNetV1Config
from src.models.features.dla import AggregatedFeatures
from src.models.features.mobilenet_v2 import PYTORCH, width
from src.models.layers import Tapped

# Channels and stride of the separable convolutions (table 1).
_TABLE = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *[(512, 1)] * 5,
    *((1024, 2), (1024, 1)),
)
_TAPS = (3, 5, 11, 13)  # the last of stride 4, 8, 16 and 32


class MobileNetV1(Tapped):
    """Images float32 (B,3,H,W) to maps (B,·,H/s,W/s) with s = 4, 8, 16 and 32.

    Args:
        width_multiplier: of the channels, which are rounded to multiples of 8.

    `channels` are those of the maps.
    """

    def __init__(self, width_multiplier: float) -> None:
        conv_norm = PYTORCH.conv_norm
        channels = [width(32 * width_multiplier)]
        cells = [nn.SequentialCell(*conv_norm(3, channels[0], 3, 2), nn.ReLU())]
        for plain_channels, stride in _TABLE:
            before, after = channels[-1], width(plain_channels * width_multiplier)
            depthwise = (*conv_norm(before, before, 3, stride, group=before), nn.ReLU())
            cells.append(nn.SequentialCell(*depthwise, *conv_norm(before, after, 1), nn.ReLU()))
            channels.append(after)
        super().__init__(cells, _TAPS)
        self.channels = [channels[tap] for tap in _TAPS]


class MobileNetV1Features(AggregatedFeatures):
    """MobileNetV1 with DLA's neck: float32 (B,3,H,W) to one map (B,`channels`,h,w)."""

    def __init__(self, net: MobileNetV1Config) -> None:
        super().__init__(MobileNetV1(net.width_multiplier))
