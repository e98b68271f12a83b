# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Training targets, drawn on the device from the object table."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from src.model_utils.object_columns import (
    CENTRE_X,
    CENTRE_Y,
    CLASS,
    HEIGHT,
    OFFSET_X,
    OFFSET_Y,
    RADIUS,
    WIDTH,
)


class Targets(nn.Cell):
    """What the objects of a batch ask of the heads: objects (B,N,8) to a tuple of six.

    - hm, float32 (B,C,h,w): see `Gaussians` and `HeatMap`.
    - cell, int32 (B,N): the centre's place y·w + x in a map; 0 for padding rows.
    - mask, float32 (B,N,1): 1 for objects, 0 for padding rows.
    - reg, float32 (B,N,2): sub-pixel offset x, y of the centre.
    - wh, float32, and the weight of each of its values. Plain: width and height (B,N,2), weight
      `mask`. `dense_wh`: maps (B,2,h,w), weight (B,1,h,w); see `DenseSizes`. `cat_spec_wh`:
      (B,N,2·C), width and height at 2c and 2c+1 of an object of class c and zeros elsewhere, weight
      (B,N,2·C), 1 at those two.

    Args:
        num_classes: C.
        output_size: (h, w).
        msra: draw the Gaussians of `mse_loss`; see `Gaussians`.
        dense_wh, cat_spec_wh: variant of wh, at most one.
    """

    def __init__(
        self,
        num_classes: int,
        output_size: tuple[int, int],
        msra: bool = False,
        dense_wh: bool = False,
        cat_spec_wh: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes, self.dense_wh, self.cat_spec_wh = num_classes, dense_wh, cat_spec_wh
        self.gaussians, self.heat_map = Gaussians(output_size, msra), HeatMap(num_classes)
        self.dense_sizes = DenseSizes()
        self.width = Tensor(output_size[1], ms.int32)
        # The class that each value of cat_spec_wh belongs to: 0, 0, 1, 1, ...
        self.class_of = Tensor(np.repeat(np.arange(num_classes, dtype=np.float32), 2))
        self.reverse, self.cast, self.tile = ops.ReverseV2([1]), ops.Cast(), ops.Tile()

    def construct(self, objects: Tensor) -> tuple[Tensor, ...]:
        # Of equal Gaussians the first takes a cell of dense_wh; the original's last one does.
        drawn = self.reverse(objects) if self.dense_wh else objects
        gaussians = self.gaussians(drawn)
        hm = self.heat_map(gaussians, drawn)

        centre = self.cast(objects[:, :, CENTRE_X : CENTRE_Y + 1], ms.int32)
        cell = centre[:, :, 1] * self.width + centre[:, :, 0]
        classes = objects[:, :, CLASS : CLASS + 1]
        mask = self.cast(classes >= 0.0, ms.float32)
        reg = objects[:, :, OFFSET_X : OFFSET_Y + 1]
        wh, wh_weight = objects[:, :, WIDTH : HEIGHT + 1], mask
        if self.dense_wh:
            wh, wh_weight = self.dense_sizes(gaussians, drawn)
        elif self.cat_spec_wh:
            wh_weight = self.cast(classes == self.class_of, ms.float32)
            wh = self.tile(wh, (1, 1, self.num_classes)) * wh_weight
        return hm, cell, mask, reg, wh, wh_weight


class Gaussians(nn.Cell):
    """A Gaussian for each row of the table: objects (B,N,8) to (B,N,h,w), 1 at the centre.

    exp(-(dx² + dy²) / 2σ²), cut to a square around the centre. For objects of radius r:

    - CenterNet's own (Objects as Points, section 3; the cut is the original code's): σ = (2r+1)/6,
      the square reaches r cells to each side.
    - `msra`, of Simple Baselines, which the original code draws for `mse_loss`: σ = r, the square
      reaches 3σ. With radius 0 it divides by zero there; here that is a single 1 at the centre.

    Padding rows give zeros.
    """

    def __init__(self, output_size: tuple[int, int], msra: bool) -> None:
        super().__init__()
        self.msra = msra
        height, width = output_size
        self.grid_y = Tensor(np.arange(height, dtype=np.float32).reshape(1, 1, height))
        self.grid_x = Tensor(np.arange(width, dtype=np.float32).reshape(1, 1, width))
        self.exp, self.abs, self.cast = ops.Exp(), ops.Abs(), ops.Cast()
        self.maximum, self.expand = ops.Maximum(), ops.ExpandDims()
        # Of radius 0, whose square shows the centre alone; below the σ of radius 1.
        self.smallest_sigma = Tensor(1 / 6, ms.float32)

    def construct(self, objects: Tensor) -> Tensor:
        radius = objects[:, :, RADIUS : RADIUS + 1]
        if self.msra:
            sigma, reach = self.maximum(radius, self.smallest_sigma), radius * 3.0
        else:
            sigma, reach = (radius * 2.0 + 1.0) / 6.0, radius
        valid = self.cast(objects[:, :, CLASS : CLASS + 1] >= 0.0, ms.float32)
        column = (
            self._profile(self.grid_y - objects[:, :, CENTRE_Y : CENTRE_Y + 1], sigma, reach)
            * valid
        )
        row = self._profile(self.grid_x - objects[:, :, CENTRE_X : CENTRE_X + 1], sigma, reach)
        return self.expand(column, 3) * self.expand(row, 2)

    def _profile(self, distance: Tensor, sigma: Tensor, reach: Tensor) -> Tensor:
        inside = self.cast(self.abs(distance) <= reach, ms.float32)
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


class DenseSizes(nn.Cell):
    """Draws `dense_wh`: at each cell the width and height of the object whose Gaussian is largest.

    Gaussians (B,N,h,w) and objects (B,N,8) to sizes (B,2,h,w) and their weights (B,1,h,w), the
    largest Gaussian of any class. Both are 0 where no Gaussian reaches; of equal Gaussians the
    first row's object is taken.
    """

    def __init__(self) -> None:
        super().__init__()
        self.argmax = ops.ArgMaxWithValue(axis=1, keep_dims=True)
        self.gather, self.cast = ops.GatherD(), ops.Cast()

    def construct(self, gaussians: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
        batch, _, height, width = gaussians.shape
        winner, weight = self.argmax(gaussians)
        winner = winner.reshape((batch, 1, height * width))
        sizes = objects[:, :, WIDTH : HEIGHT + 1].transpose((0, 2, 1))  # (B,2,N)
        sizes = self.gather(sizes, 2, ops.tile(winner, (1, 2, 1)))
        sizes = sizes.reshape((batch, 2, height, width)) * self.cast(weight > 0.0, ms.float32)
        return sizes, weight
