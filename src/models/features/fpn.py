# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The feature pyramid of TensorFlow's CenterNets: an output at the finest stride alone."""

from collections.abc import Sequence

from mindspore import Tensor, nn
from mindspore.common.initializer import XavierUniform

from src.models.layers import SeparableConv, Twice, conv


class FeaturePyramid(nn.Cell):
    """A backbone's maps, each half as large as the one before, to one (B,`channels`,h,w).

    From the last map on: enlarged twice, added to the one before, each through a 1×1 convolution;
    then a 3×3 convolution, BatchNorm and ReLU.

    Args:
        in_channels: channels of the maps, one more than there are stages.
        up_channels: channels of each stage, where two maps are added.
        momentum: of the BatchNorms.
        separable: whether 3×3 convolutions are a depthwise and a 1×1 one.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        up_channels: Sequence[int],
        momentum: float,
        separable: bool = False,
    ) -> None:
        super().__init__()
        self.stages = len(up_channels)
        out_channels = [*up_channels[1:], up_channels[-1]]
        self.top = _biased(in_channels[-1], up_channels[0], 1)
        self.laterals = nn.CellList(
            [
                _biased(source, width, 1)
                for source, width in zip(in_channels[-2::-1], up_channels, strict=True)
            ]
        )
        self.convs = nn.CellList(
            [
                nn.SequentialCell(
                    SeparableConv(width, out, XavierUniform())
                    if separable
                    else _biased(width, out, 3),
                    nn.BatchNorm2d(out, eps=1e-3, momentum=momentum),
                    nn.ReLU(),
                )
                for width, out in zip(up_channels, out_channels, strict=True)
            ]
        )
        self.twice = Twice()
        self.channels = out_channels[-1]

    def construct(self, maps: tuple[Tensor, ...]) -> Tensor:
        x = self.top(maps[self.stages])
        for stage in range(self.stages):
            lateral = self.laterals[stage](maps[self.stages - 1 - stage])
            x = self.convs[stage](self.twice(x) + lateral)
        return x


def _biased(in_channels: int, out_channels: int, kernel_size: int) -> nn.Conv2d:
    return conv(in_channels, out_channels, kernel_size, has_bias=True, weight_init=XavierUniform())
