# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The up-sampling network of CenterNet's ResNets (Objects as Points, section 5)."""

from collections.abc import Sequence

import numpy as np
from mindspore import Tensor, nn

from src.models.deformable import DeformableConv


def bilinear_kernel(in_channels: int, out_channels: int) -> np.ndarray:
    """Weights (in, out, 4, 4) of a stride-2 transposed convolution that interpolates bilinearly.

    Input channels are dealt out to the output channels in turn, and averaged where several meet;
    with fewer inputs than outputs they are dealt out again. So the output starts as the input,
    enlarged.
    """
    ramp = np.array([0.25, 0.75, 0.75, 0.25])
    share = np.zeros((in_channels, out_channels), np.float32)
    turns = np.arange(max(in_channels, out_channels))
    share[turns % in_channels, turns % out_channels] = 1
    share /= share.sum(axis=0)
    return share[:, :, None, None] * np.outer(ramp, ramp).astype(np.float32)


class UpSampling(nn.Cell):
    """Stages that each double the size: float32 (B,C,h,w) to (B,`channels`,h·2^n,w·2^n).

    A stage is a 3×3 deformable convolution, BatchNorm and ReLU (unless `deformable` is "none"),
    then a 4×4 transposed convolution with stride 2, BatchNorm and ReLU.

    Args:
        in_channels: channels of the backbone's output.
        up_channels: channels of each stage.
        deformable: form of the deformable convolutions, one of `deformable.FORMS`, or "none".
    """

    def __init__(self, in_channels: int, up_channels: Sequence[int], deformable: str) -> None:
        super().__init__()
        cells: list[nn.Cell] = []
        channels = in_channels
        for width in up_channels:
            if deformable != "none":
                cells += [
                    DeformableConv(channels, width, deformable),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
                channels = width
            enlarge = nn.Conv2dTranspose(
                channels,
                width,
                4,
                2,
                pad_mode="pad",
                padding=1,
                weight_init=Tensor(bilinear_kernel(channels, width)),
            )
            cells += [enlarge, nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.deconv_layers = nn.SequentialCell(cells)
        self.channels = channels

    def construct(self, x: Tensor) -> Tensor:
        return self.deconv_layers(x)
