# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""From heads to boxes (Objects as Points, section 4, "From points to bounding boxes")."""

import mindspore as ms
from mindspore import Tensor, nn, ops

from src.models.layers import RowsAt


class Decode(nn.Cell):
    """Keeps the heat map's peaks, the K best of them, and reads their boxes.

    hm (B,C,h,w), wh (B,2,h,w) and reg (B,2,h,w) or nothing to detections, float32 (B,K,6):
    x1 y1 x2 y2 score class, in output-grid pixels, best first. A peak is a cell that is the
    largest of its 3×3 neighbourhood. Without reg, centres are taken at the middle of their cell.

    Args:
        num_classes: C.
        k: K, at most the number of cells h·w.
        hm_is_logit: whether hm needs a sigmoid (focal loss) or is clipped to 0..1 (`mse_loss`).
        cat_spec_wh: whether wh has 2·C channels.
        flip_test: the second half of the batch is of the first half's mirrored images: heat and
            size are the means of both, offsets those of the first (B/2 detections; section 5).
    """

    def __init__(
        self,
        num_classes: int,
        k: int,
        hm_is_logit: bool,
        cat_spec_wh: bool,
        flip_test: bool = False,
    ) -> None:
        super().__init__()
        self.k, self.hm_is_logit, self.flip_test = k, hm_is_logit, flip_test
        self.split, self.mirror = ops.Split(0, 2), ops.ReverseV2([3])
        self.pool = ops.MaxPool(3, 1, "same")
        self.topk = ops.TopK(sorted=True)
        self.sigmoid, self.minimum, self.maximum = ops.Sigmoid(), ops.Minimum(), ops.Maximum()
        self.cast, self.reshape, self.equal = ops.Cast(), ops.Reshape(), ops.Equal()
        self.concat = ops.Concat(2)
        self.wh_at, self.reg_at = RowsAt(num_classes if cat_spec_wh else 1), RowsAt()
        self.zero, self.half = Tensor(0.0, ms.float32), Tensor(0.5, ms.float32)
        self.one = Tensor(1.0, ms.float32)

    def construct(self, hm: Tensor, wh: Tensor, reg: Tensor | None = None) -> Tensor:
        if self.hm_is_logit:
            hm = self.sigmoid(hm)
        else:
            hm = self.minimum(self.maximum(hm, self.zero), self.one)
        if self.flip_test:
            hm, wh = self._mean_of_both(hm), self._mean_of_both(wh)
            reg = None if reg is None else self.split(reg)[0]
        batch, classes, height, width = hm.shape
        peaks = hm * self.cast(self.equal(self.pool(hm), hm), ms.float32)
        score, index = self.topk(self.reshape(peaks, (batch, classes * height * width)), self.k)
        area, row_length = Tensor(height * width, ms.int32), Tensor(width, ms.int32)
        class_index = index // area
        cell = index - class_index * area
        y = cell // row_length
        x = cell - y * row_length

        centre = self.concat((self._column(x), self._column(y)))
        centre = centre + (self.half if reg is None else self.reg_at(reg, cell))
        half_size = self.wh_at(wh, cell, class_index) * self.half
        return self.concat(
            (centre - half_size, centre + half_size, self._column(score), self._column(class_index))
        )

    def _mean_of_both(self, values: Tensor) -> Tensor:
        plain, mirrored = self.split(values)
        return (plain + self.mirror(mirrored)) * self.half

    def _column(self, values: Tensor) -> Tensor:
        return self.reshape(self.cast(values, ms.float32), (values.shape[0], self.k, 1))
