# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""From heads to boxes (Objects as Points, section 4, "From points to bounding boxes")."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from src.models.layers import RowsAt

# A 310's TopK has no AI Core kernel for a smaller K on rows of more than 32,768 values.
_SMALLEST_K = 8


class Largest3x3(nn.Cell):
    """The largest value of each cell's 3×3 neighbourhood: (B,C,h,w) to (B,C,h,w), of one type.

    By `ops.Maximum`, rows first: MaxPool of Ascend 910A, 310 and 310P computes in float16 alone,
    and no float32 value would equal its own maximum there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maximum = ops.Maximum()
        self.concat_rows, self.concat_columns = ops.Concat(2), ops.Concat(3)

    def construct(self, x: Tensor) -> Tensor:
        if x.shape[2] > 1:
            below = self.concat_rows((x[:, :, 1:], x[:, :, -1:]))
            above = self.concat_rows((x[:, :, :1], x[:, :, :-1]))
            x = self.maximum(self.maximum(above, below), x)
        if x.shape[3] > 1:
            right = self.concat_columns((x[:, :, :, 1:], x[:, :, :, -1:]))
            left = self.concat_columns((x[:, :, :, :1], x[:, :, :, :-1]))
            x = self.maximum(self.maximum(left, right), x)
        return x


class MaxPool3x3(nn.Cell):
    """`Largest3x3` by one operator, where that is float32."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = ops.MaxPool(3, 1, "same")

    def construct(self, x: Tensor) -> Tensor:
        return self.pool(x)


class TopPeaks(nn.Cell):
    """The K largest values of maps (B,C,h,w): score float32, class and cell int32, each (B,K).

    The largest of each class, then the largest of these: on a 310, TopK takes no row as long as
    C·h·w. Best first; a cell is y·w + x.

    Args:
        k: K, at most C·h·w.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k
        self.topk = ops.TopK(sorted=True)
        self.gather, self.reshape = ops.Gather(), ops.Reshape()

    def construct(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, classes, height, width = maps.shape
        kept = min(max(self.k, _SMALLEST_K), height * width)
        best, cells = self.topk(self.reshape(maps, (batch, classes, height * width)), kept)
        score, place = self.topk(self.reshape(best, (batch, classes * kept)), self.k)
        row = place
        if batch > 1:
            first = np.arange(batch).reshape(batch, 1) * classes * kept
            row = place + Tensor(first.astype(np.int32))
        cell = self.gather(self.reshape(cells, (-1,)), self.reshape(row, (-1,)), 0)
        return score, place // Tensor(kept, ms.int32), self.reshape(cell, (batch, self.k))


class Decode(nn.Cell):
    """Keeps the heat map's peaks, the K best of them, and reads their boxes.

    hm (B,C,h,w), wh (B,2,h,w) and reg (B,2,h,w) or nothing, of any float type, to detections,
    float32 (B,K,6): x1 y1 x2 y2 score class, in output-grid pixels, best first. A peak is a cell
    that is the largest of its 3×3 neighbourhood. Without reg, centres are taken at the middle of
    their cell. All scores of an image are NaN if a number in its heads is not finite: a sigmoid
    makes a usual score of infinity, and TopK passes over NaN.

    Args:
        num_classes: C.
        k: K, at most the number of values C·h·w.
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
        self.largest, self.top_peaks = Largest3x3(), TopPeaks(k)
        self.sigmoid, self.minimum, self.maximum = ops.Sigmoid(), ops.Minimum(), ops.Maximum()
        self.cast, self.reshape, self.equal = ops.Cast(), ops.Reshape(), ops.Equal()
        self.concat = ops.Concat(2)
        self.wh_at, self.reg_at = RowsAt(num_classes if cat_spec_wh else 1), RowsAt()
        self.sum = ops.ReduceSum()
        self.zero, self.half = Tensor(0.0, ms.float32), Tensor(0.5, ms.float32)
        self.one = Tensor(1.0, ms.float32)

    def construct(self, hm: Tensor, wh: Tensor, reg: Tensor | None = None) -> Tensor:
        hm, wh = self.cast(hm, ms.float32), self.cast(wh, ms.float32)
        reg = None if reg is None else self.cast(reg, ms.float32)
        odd = self._zero_if_finite(hm) + self._zero_if_finite(wh)
        odd = odd if reg is None else odd + self._zero_if_finite(reg)
        if self.hm_is_logit:
            hm = self.sigmoid(hm)
        else:
            hm = self.minimum(self.maximum(hm, self.zero), self.one)
        if self.flip_test:
            hm, wh = self._mean_of_both(hm), self._mean_of_both(wh)
            reg = None if reg is None else self.split(reg)[0]
            plain, mirrored = self.split(odd)
            odd = plain + mirrored
        peaks = hm * self.cast(self.equal(self.largest(hm), hm), ms.float32)
        score, class_index, cell = self.top_peaks(peaks)
        score = score + odd
        row_length = Tensor(hm.shape[3], ms.int32)
        y = cell // row_length
        x = cell - y * row_length

        centre = self.concat((self._column(x), self._column(y)))
        centre = centre + (self.half if reg is None else self.reg_at(reg, cell))
        half_size = self.wh_at(wh, cell, class_index) * self.half
        return self.concat(
            (centre - half_size, centre + half_size, self._column(score), self._column(class_index))
        )

    def _zero_if_finite(self, head: Tensor) -> Tensor:
        """Zero for each image, (B,1), or NaN if a number is not finite; it cannot overflow."""
        return self.reshape(self.sum(head - head, (1, 2, 3)), (head.shape[0], 1))

    def _mean_of_both(self, values: Tensor) -> Tensor:
        plain, mirrored = self.split(values)
        return (plain + self.mirror(mirrored)) * self.half

    def _column(self, values: Tensor) -> Tensor:
        return self.reshape(self.cast(values, ms.float32), (values.shape[0], self.k, 1))
