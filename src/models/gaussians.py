# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Gaussians of objects, drawn on the device."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from src.models.layers import Outer
from src.tasks.columns import CENTRE_X, CENTRE_Y, CLASS, RADIUS


class Gaussians(nn.Cell):
    """A Gaussian for each row of the table: objects (B,N,8) to (B,N,h,w), 1 at the centre.

    exp(-(dx² + dy²) / 2σ²), cut to a square around the centre, or not (`cut`). For objects of
    radius r:

    - CenterNet's own (Objects as Points, section 3; the cut is the original code's): σ = (2r+1)/6,
      the square reaches r cells to each side.
    - `msra`, of Simple Baselines, which the original code draws for `mse_loss`: σ = r, the square
      reaches 3σ. With radius 0 it divides by zero there; here that is a single 1 at the centre.

    Padding rows give zeros.
    """

    def __init__(self, grid_size: tuple[int, int], msra: bool, cut: bool = True) -> None:
        super().__init__()
        self.msra, self.cut = msra, cut
        height, width = grid_size
        self.grid_y = Tensor(np.arange(height, dtype=np.float32).reshape(1, 1, height))
        self.grid_x = Tensor(np.arange(width, dtype=np.float32).reshape(1, 1, width))
        self.exp, self.abs, self.cast = ops.Exp(), ops.Abs(), ops.Cast()
        self.maximum, self.outer = ops.Maximum(), Outer()
        # Of radius 0, whose square shows the centre alone; below the σ of radius 1.
        self.smallest_sigma = Tensor(1 / 6, ms.float32)

    def construct(self, objects: Tensor) -> Tensor:
        column, row = self.profiles(
            objects[:, :, CENTRE_X : CENTRE_X + 1],
            objects[:, :, CENTRE_Y : CENTRE_Y + 1],
            objects[:, :, RADIUS : RADIUS + 1],
            self.cast(objects[:, :, CLASS : CLASS + 1] >= 0.0, ms.float32),
        )
        return self.outer(column, row)

    def profiles(
        self, x: Tensor, y: Tensor, radius: Tensor, valid: Tensor, scale: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The factors of Gaussians around any cells: their columns (B,M,h) and rows (B,M,w).

        Args:
            x, y, radius: float32 (B,M,1), x and y whole numbers.
            valid: float32 (B,M,1), 0 for a Gaussian of zeros, else 1.
            scale: factor on σ, which broadcasts to these.
        """
        if self.msra:
            sigma, reach = self.maximum(radius, self.smallest_sigma), radius * 3.0
        else:
            sigma, reach = (radius * 2.0 + 1.0) / 6.0, radius
        if scale is not None:
            sigma = sigma * scale
        column = self._profile(self.grid_y, y, sigma, reach)
        # Spread out first: on a CPU, arithmetic on two shapes keeps 16 bytes a value.
        column = column * ops.broadcast_to(valid, column.shape)
        return column, self._profile(self.grid_x, x, sigma, reach)

    def _profile(self, grid: Tensor, centre: Tensor, sigma: Tensor, reach: Tensor) -> Tensor:
        shape = (*centre.shape[:2], grid.shape[2])
        distance = ops.broadcast_to(grid, shape) - ops.broadcast_to(centre, shape)
        # Exactly 1 at the centre, whatever a device's exp(0) is: the focal loss counts these.
        away = self.exp(-distance * distance / ops.broadcast_to(2.0 * sigma * sigma, shape))
        if self.cut:
            away = away * self.cast(self.abs(distance) <= reach, ms.float32)
        return ops.select(distance == 0.0, ops.ones_like(away), away)


class HeatMap(nn.Cell):
    """Draws hm: Gaussians (B,N,h,w) and objects (B,N,8) to (B,C,h,w).

    Where Gaussians of a class overlap, the larger value stays (Objects as Points, section 3).
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.segment_max, self.maximum, self.relu = (
            ops.UnsortedSegmentMax(), ops.Maximum(), ops.ReLU(),
        )  # fmt: skip
        self.reshape, self.cast = ops.Reshape(), ops.Cast()
        self.zero = Tensor(0.0, ms.float32)

    def construct(self, gaussians: Tensor, objects: Tensor) -> Tensor:
        batch, count, height, width = gaussians.shape
        # Segment b·C+c. Padding rows are zeros and change nothing in class 0.
        segment = self.cast(self.maximum(objects[:, :, CLASS], self.zero), ms.int32)
        if batch > 1:
            first = np.arange(batch).reshape(batch, 1) * self.num_classes
            segment = segment + Tensor(first.astype(np.int32))
        flat = self.reshape(gaussians, (batch * count, height * width))
        segments = batch * self.num_classes
        drawn = self.segment_max(flat, self.reshape(segment, (-1,)), segments)
        drawn = self.reshape(drawn, (batch, self.num_classes, height, width))
        return self.relu(drawn)  # classes without objects hold the lowest number
