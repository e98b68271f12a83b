# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Training targets, drawn on the device from the object table."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from src.model_utils.object_columns import CENTRE_X, CENTRE_Y, CLASS, HEIGHT, RADIUS, WIDTH


class Gaussians(nn.Cell):
    """A Gaussian for each row of the table: objects (B,N,8) to (B,N,h,w), 1 at the centre.

    exp(-(dx² + dy²) / 2σ²) with σ = (2r+1)/6, cut to the square of radius r around the centre
    (Objects as Points, section 3; the cut is the original code's). Padding rows give zeros.
    """

    def __init__(self, output_size: tuple[int, int]) -> None:
        super().__init__()
        height, width = output_size
        self.grid_y = Tensor(np.arange(height, dtype=np.float32).reshape(1, 1, height))
        self.grid_x = Tensor(np.arange(width, dtype=np.float32).reshape(1, 1, width))
        self.exp, self.abs, self.cast = ops.Exp(), ops.Abs(), ops.Cast()
        self.expand = ops.ExpandDims()

    def construct(self, objects: Tensor) -> Tensor:
        radius = objects[:, :, RADIUS : RADIUS + 1]
        sigma = (radius * 2.0 + 1.0) / 6.0
        valid = self.cast(objects[:, :, CLASS : CLASS + 1] >= 0.0, ms.float32)
        column = (
            self._profile(self.grid_y - objects[:, :, CENTRE_Y : CENTRE_Y + 1], radius, sigma)
            * valid
        )
        row = self._profile(self.grid_x - objects[:, :, CENTRE_X : CENTRE_X + 1], radius, sigma)
        return self.expand(column, 3) * self.expand(row, 2)

    def _profile(self, distance: Tensor, radius: Tensor, sigma: Tensor) -> Tensor:
        inside = self.cast(self.abs(distance) <= radius, ms.float32)
        # Exactly 1 at the centre, whatever a device's exp(0) is: the focal loss counts these.
        away = self.exp(-distance * distance / (2.0 * sigma * sigma)) * inside
        return ops.select(distance == 0.0, ops.ones_like(away), away)


class HeatMap(nn.Cell):
    """Draws hm: Gaussians (B,N,h,w) and objects (B,N,8) to (B,C,h,w).

    Where Gaussians of a class overlap, the larger value stays (Objects as Points, section 3).
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.segment_max, self.maximum = ops.UnsortedSegmentMax(), ops.Maximum()
        self.reshape, self.cast = ops.Reshape(), ops.Cast()
        self.zero = Tensor(0.0, ms.float32)

    def construct(self, gaussians: Tensor, objects: Tensor) -> Tensor:
        batch, count, height, width = gaussians.shape
        # Segment b·(C+1)+c, with one more class C for padding rows, thrown away below.
        planes = self.num_classes + 1
        classes = self.cast(objects[:, :, CLASS], ms.int32)
        classes = ops.select(classes >= 0, classes, self.num_classes)
        first = Tensor((np.arange(batch) * planes).reshape(batch, 1).astype(np.int32))
        flat = self.reshape(gaussians, (batch * count, height * width))
        drawn = self.segment_max(flat, self.reshape(classes + first, (-1,)), batch * planes)
        drawn = self.reshape(drawn, (batch, planes, height, width))[:, : self.num_classes]
        return self.maximum(drawn, self.zero)  # classes without objects


class DenseSizes(nn.Cell):
    """Draws `dense_wh`: at each cell the width and height of the object whose Gaussian is largest.

    Gaussians (B,N,h,w) and objects (B,N,8) to sizes (B,2,h,w) and their weights (B,1,h,w), the
    largest Gaussian of any class.
    """

    def __init__(self) -> None:
        super().__init__()
        self.argmax = ops.ArgMaxWithValue(axis=1, keep_dims=True)
        self.gather = ops.GatherD()

    def construct(self, gaussians: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
        batch, _, height, width = gaussians.shape
        winner, weight = self.argmax(gaussians)
        winner = winner.reshape((batch, 1, height * width))
        sizes = objects[:, :, WIDTH : HEIGHT + 1].transpose((0, 2, 1))  # (B,2,N)
        sizes = self.gather(sizes, 2, ops.tile(winner, (1, 2, 1)))
        return sizes.reshape((batch, 2, height, width)), weight
