# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The peaks of heat maps (Objects as Points, section 4)."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

# A 310's TopK has no AI Core kernel for a smaller K on rows of more than 32,768 values.
SMALLEST_K = 8


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
        kept = min(max(self.k, SMALLEST_K), height * width)
        best, cells = self.topk(self.reshape(maps, (batch, classes, height * width)), kept)
        score, place = self.topk(self.reshape(best, (batch, classes * kept)), self.k)
        row = place
        if batch > 1:
            first = np.arange(batch).reshape(batch, 1) * classes * kept
            row = place + Tensor(first.astype(np.int32))
        cell = self.gather(self.reshape(cells, (-1,)), self.reshape(row, (-1,)), 0)
        return score, place // Tensor(kept, ms.int32), self.reshape(cell, (batch, self.k))


class ZeroIfFinite(nn.Cell):
    """Zero for each of a batch of maps (B,C,h,w), (B,1), or NaN if a number is not finite.

    It cannot overflow. Added to scores it makes NaN of them: a sigmoid makes a usual score of
    infinity, and TopK passes over NaN.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sum, self.reshape = ops.ReduceSum(), ops.Reshape()

    def construct(self, maps: Tensor) -> Tensor:
        return self.reshape(self.sum(maps - maps, (1, 2, 3)), (maps.shape[0], 1))
