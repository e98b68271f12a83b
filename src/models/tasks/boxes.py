# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Boxes: heads, loss and decode of CenterNet (Objects as Points, sections 3 and 4)."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from src.model_utils.networks import NetConfig
from src.models.gaussians import Gaussians, HeatMap
from src.models.heads import Head
from src.models.layers import RowsAt
from src.models.losses import FocalLoss, RegressionLoss
from src.models.peaks import Largest3x3, MaxPool3x3, TopPeaks, ZeroIfFinite
from src.tasks.columns import CENTRE_X, CENTRE_Y, CLASS, HEIGHT, OFFSET_X, OFFSET_Y, WIDTH


def heads(net: NetConfig, num_classes: int) -> list[Head]:
    """hm (C channels), wh (2, or 2·C by category) and, if offsets are regressed, reg (2)."""
    wh = Head("wh", 2 * num_classes if net.cat_spec_wh else 2)
    return [Head("hm", num_classes, is_heat=True), wh, *[Head("reg", 2)] * net.reg_offset]


class Loss(nn.Cell):
    """What the maps lack (equations 1 to 4).

    Maps hm (B,C,h,w) as logits, wh (B,2,h,w) and, if offsets are regressed, reg (B,2,h,w), all
    float32, and objects (B,N,8) to float32 (3,): the losses of `src.tasks.boxes`, unweighted.

    Args:
        net: weights and variants of the losses.
        num_classes: C.
        grid_size: (h, w).
    """

    def __init__(self, net: NetConfig, num_classes: int, grid_size: tuple[int, int]) -> None:
        super().__init__()
        self.weights = (net.hm_weight, net.wh_weight, net.off_weight)
        self.dense_wh = net.dense_wh
        self.targets = Targets(net, num_classes, grid_size)
        self.hm_loss = nn.MSELoss() if net.mse_loss else FocalLoss()
        self.regression_loss = RegressionLoss(net.reg_loss, net.reg_norm)
        self.rows_at, self.stack = RowsAt(), ops.Stack(0)
        self.zero, self.one = Tensor(0.0, ms.float32), Tensor(1.0, ms.float32)
        self.divides_by_objects = net.divide_by == "objects"

    def construct(
        self, maps: tuple[Tensor, ...], objects: Tensor, regressed: Tensor | None = None
    ) -> Tensor:
        """`regressed`, float32 (B,N,1), is 0 for objects without losses of wh and reg, else 1."""
        hm, cell, mask, reg, wh, wh_weight = self.targets(objects)
        count = None
        if self.divides_by_objects:
            count = ops.maximum(mask.sum(), self.one)
            hm_loss = self.hm_loss(maps[0], hm, count)
        else:
            hm_loss = self.hm_loss(maps[0], hm)
        if regressed is not None:
            mask, wh_weight = mask * regressed, wh_weight * regressed
        predicted = maps[1] if self.dense_wh else self.rows_at(maps[1], cell)
        wh_loss = self.regression_loss(predicted, wh, wh_weight, count)
        off_loss = self.zero
        if len(maps) == 3:
            off_loss = self.regression_loss(self.rows_at(maps[2], cell), reg, mask, count)
        return self.stack((hm_loss, wh_loss, off_loss))


class Targets(nn.Cell):
    """What the objects of a batch ask of the heads: objects (B,N,8+3J) to a tuple of six.

    - hm, float32 (B,C,h,w): see `Gaussians` and `HeatMap`.
    - cell, int32 (B,N): the centre's place y·w + x in a map; 0 for padding rows.
    - mask, float32 (B,N,1): 1 for objects, 0 for padding rows.
    - reg, float32 (B,N,2): sub-pixel offset x, y of the centre.
    - wh, float32, and the weight of each of its values. Plain: width and height (B,N,2), weight
      `mask`. `dense_wh`: maps (B,2,h,w), weight (B,1,h,w); see `DenseSizes`. `cat_spec_wh`:
      (B,N,2·C), width and height at 2c and 2c+1 of an object of class c and zeros elsewhere, weight
      (B,N,2·C), 1 at those two.

    Args:
        net: says the variants of hm and wh.
        num_classes: C.
        grid_size: (h, w).
    """

    def __init__(self, net: NetConfig, num_classes: int, grid_size: tuple[int, int]) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.dense_wh, self.cat_spec_wh = net.dense_wh, net.cat_spec_wh
        self.gaussians = Gaussians(grid_size, net.mse_loss, net.cut_gaussians)
        self.heat_map = HeatMap(num_classes)
        self.dense_sizes = DenseSizes()
        self.width = Tensor(grid_size[1], ms.int32)
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


class Decode(nn.Cell):
    """Keeps the heat map's peaks, the K best of them, and reads their boxes.

    The maps hm (B,C,h,w), wh (B,2,h,w) and reg (B,2,h,w) or nothing, of any float type, to
    detections, float32 (B,K,6): x1 y1 x2 y2 score class, in cells of the grid, best first. A peak
    is a cell that is the largest of its 3×3 neighbourhood. Without reg, centres are taken at the
    middle of their cell. All scores of an image are NaN if a number in its maps is not finite: a
    sigmoid makes a usual score of infinity, and TopK passes over NaN.

    Args:
        net: says whether hm needs a sigmoid (focal loss) or is clipped to 0..1 (`mse_loss`),
            whether wh has 2·C channels (`cat_spec_wh`), and `clip_boxes`.
        num_classes: C.
        k: K, at most the number of values C·h·w.
        flip_test: the second half of the batch is of the first half's mirrored images: heat and
            size are the means of both, offsets those of the first (B/2 detections; section 5).
        pools: find peaks by one MaxPool, where that computes in float32, as on a CPU: operator by
            operator slices copy there, and this takes a sixth of the time.
    """

    def __init__(
        self,
        net: NetConfig,
        num_classes: int,
        k: int,
        flip_test: bool = False,
        pools: bool = False,
    ) -> None:
        super().__init__()
        self.hm_is_logit, self.flip_test = not net.mse_loss, flip_test
        self.split, self.mirror = ops.Split(0, 2), ops.ReverseV2([3])
        self.largest = MaxPool3x3() if pools else Largest3x3()
        self.top_peaks = TopPeaks(k)
        self.sigmoid, self.minimum, self.maximum = ops.Sigmoid(), ops.Minimum(), ops.Maximum()
        self.cast, self.reshape, self.equal = ops.Cast(), ops.Reshape(), ops.Equal()
        self.concat = ops.Concat(2)
        self.wh_at, self.reg_at = RowsAt(num_classes if net.cat_spec_wh else 1), RowsAt()
        self.zero_if_finite = ZeroIfFinite()
        self.clip_boxes = net.clip_boxes
        self.zero, self.half = Tensor(0.0, ms.float32), Tensor(0.5, ms.float32)
        self.one = Tensor(1.0, ms.float32)

    def construct(self, *maps: Tensor) -> Tensor:
        low, high, score, class_index, _ = self.best(maps)
        return self.concat((low, high, score, self.column(class_index)))

    def best(self, maps: tuple[Tensor, ...], others: tuple[Tensor, ...] = ()) -> tuple[Tensor, ...]:
        """The best objects: corners (B,K,2) twice, score (B,K,1), class and cell, int32 (B,K).

        Args:
            maps: hm, wh and reg or nothing.
            others: more maps whose numbers have to be finite.
        """
        hm, wh = self.cast(maps[0], ms.float32), self.cast(maps[1], ms.float32)
        reg = self.cast(maps[2], ms.float32) if len(maps) == 3 else None
        odd = self.zero_if_finite(hm) + self.zero_if_finite(wh)
        odd = odd if reg is None else odd + self.zero_if_finite(reg)
        for other in others:
            odd = odd + self.zero_if_finite(self.cast(other, ms.float32))
        hm = self.heat(hm)
        if self.flip_test:
            hm, wh = self.mean_of_both(hm), self.mean_of_both(wh)
            reg = None if reg is None else self.split(reg)[0]
            plain, mirrored = self.split(odd)
            odd = plain + mirrored
        score, class_index, cell = self.top_peaks(self.peaks(hm))
        score = score + odd
        centre = self.corner(cell, hm.shape[3])
        centre = centre + (self.half if reg is None else self.reg_at(reg, cell))
        half_size = self.wh_at(wh, cell, class_index) * self.half
        if self.clip_boxes:
            half_size = self.maximum(half_size, self.zero)
        low, high = centre - half_size, centre + half_size
        if self.clip_boxes:
            border = Tensor(np.array([hm.shape[3], hm.shape[2]], np.float32))
            low = self.minimum(self.maximum(low, self.zero), border)
            high = self.minimum(self.maximum(high, self.zero), border)
        return low, high, self.column(score), class_index, cell

    def heat(self, hm: Tensor) -> Tensor:
        """A heat map of what its head gives, both float32."""
        if self.hm_is_logit:
            return self.sigmoid(hm)
        return self.minimum(self.maximum(hm, self.zero), self.one)

    def peaks(self, hm: Tensor) -> Tensor:
        """A heat map with zeros wherever there is no peak."""
        return hm * self.cast(self.equal(self.largest(hm), hm), ms.float32)

    def corner(self, cell: Tensor, width: int) -> Tensor:
        """x and y, float32 (B,·,2), of cells (B,·) of a map so wide."""
        row_length = Tensor(width, ms.int32)
        y = cell // row_length
        x = cell - y * row_length
        return self.concat((self.column(x), self.column(y)))

    def mean_of_both(self, values: Tensor) -> Tensor:
        """Of a batch and its mirrored images, as `flip_test` has it."""
        plain, mirrored = self.split(values)
        return (plain + self.mirror(mirrored)) * self.half

    def column(self, values: Tensor) -> Tensor:
        """Any numbers (B,·) as float32 (B,·,1)."""
        return self.reshape(self.cast(values, ms.float32), (*values.shape, 1))
