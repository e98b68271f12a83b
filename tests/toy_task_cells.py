# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Cells of the task of `tests.toy_task`: heads, Loss and Decode."""

import mindspore as ms
from mindspore import Tensor, nn, ops

from src.model_utils.networks import NetConfig
from src.models.heads import Head
from src.models.layers import RowsAt
from src.models.losses import RegressionLoss
from src.models.peaks import Largest3x3, MaxPool3x3, TopPeaks
from src.models.tasks import boxes
from src.tasks.columns import CENTRE_X, CENTRE_Y, CLASS, POINTS_OF_OBJECT


def heads(net: NetConfig, num_classes: int) -> list[Head]:
    """Those of boxes, and ends (4): x, y of both points from the cell of the centre."""
    return [*boxes.heads(net, num_classes), Head("ends", 4)]


class Loss(nn.Cell):
    """Maps hm, wh, reg, ends, float32, and objects (B,N,14) to float32 (4,)."""

    def __init__(self, net: NetConfig, num_classes: int, grid_size: tuple[int, int]) -> None:
        super().__init__()
        self.boxes = boxes.Loss(net, num_classes, grid_size)
        self.weights = (*self.boxes.weights, 1.0)
        self.regression_loss, self.rows_at = RegressionLoss("l1", "object"), RowsAt()
        self.width, self.cast = Tensor(grid_size[1], ms.int32), ops.Cast()
        self.reshape, self.concat, self.concat_points = ops.Reshape(), ops.Concat(0), ops.Concat(2)

    def construct(self, maps: tuple[Tensor, ...], objects: Tensor) -> Tensor:
        centre = objects[:, :, CENTRE_X : CENTRE_Y + 1]
        first, second = POINTS_OF_OBJECT, POINTS_OF_OBJECT + 3
        ends = self.concat_points(
            (objects[:, :, first : first + 2] - centre, objects[:, :, second : second + 2] - centre)
        )
        cell = self.cast(centre, ms.int32)
        cell = cell[:, :, 1] * self.width + cell[:, :, 0]
        weight = self.cast(objects[:, :, CLASS : CLASS + 1] >= 0.0, ms.float32)
        loss = self.regression_loss(self.rows_at(maps[3], cell), ends, weight)
        return self.concat((self.boxes(maps[:3], objects), self.reshape(loss, (1,))))


class Decode(nn.Cell):
    """Maps hm, wh, reg, ends to detections (B,K,12); a point's score is its object's."""

    def __init__(
        self, net: NetConfig, num_classes: int, k: int, flip_test: bool = False, pools: bool = False
    ) -> None:
        super().__init__()
        assert not flip_test
        self.k, self.flip_test = k, False
        self.largest = MaxPool3x3() if pools else Largest3x3()
        self.top_peaks, self.rows_at, self.sigmoid = TopPeaks(k), RowsAt(), ops.Sigmoid()
        self.cast, self.reshape, self.equal = ops.Cast(), ops.Reshape(), ops.Equal()
        self.concat, self.half = ops.Concat(2), Tensor(0.5, ms.float32)

    def construct(self, hm: Tensor, wh: Tensor, reg: Tensor, ends: Tensor) -> Tensor:
        hm = self.sigmoid(hm)
        peaks = hm * self.cast(self.equal(self.largest(hm), hm), ms.float32)
        score, class_index, cell = self.top_peaks(peaks)
        length = Tensor(hm.shape[3], ms.int32)
        y = cell // length
        corner = self.concat((self._column(cell - y * length), self._column(y)))
        centre = corner + self.rows_at(reg, cell)
        half_size = self.rows_at(wh, cell) * self.half
        ends = self.rows_at(ends, cell)
        score = self._column(score)
        return self.concat(
            (
                *(centre - half_size, centre + half_size, score, self._column(class_index)),
                *(corner + ends[:, :, :2], score, corner + ends[:, :, 2:], score),
            )
        )

    def _column(self, values: Tensor) -> Tensor:
        return self.reshape(self.cast(values, ms.float32), (values.shape[0], self.k, 1))
