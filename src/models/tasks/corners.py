# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Corners: heads, loss and decode of CornerNet (Law and Deng, 2018), as MMDetection has them.

An object is a pair of corners, top left and bottom right. Each is a peak of a heat map of its
class, with an offset within its cell and an embedding, which is alike for corners of one object.
"""

import math
from functools import partial

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.common.initializer import HeNormal

from src.model_utils.networks import NetConfig
from src.models.corner_pooling import CornerBranch
from src.models.gaussians import Gaussians, HeatMap
from src.models.heads import Branch, Head
from src.models.layers import RowsAt
from src.models.losses import RegressionLoss
from src.models.peaks import Largest3x3, MaxPool3x3, TopPeaks, ZeroIfFinite
from src.tasks.columns import (
    CENTRE_X,
    CENTRE_Y,
    CLASS,
    HEIGHT,
    NO_OBJECT,
    OFFSET_X,
    OFFSET_Y,
    RADIUS,
    WIDTH,
)


def heads(net: NetConfig, num_classes: int) -> list[Head]:
    """Of the top left and the bottom right corner: heat (C channels), embedding (1), offset (2)."""
    branches = [
        Branch(name, partial(CornerBranch, pool_channels=net.corners.pool_channels, corners=sides))
        for name, sides in (("tl_pool", ("top", "left")), ("br_pool", ("bottom", "right")))
    ]
    init = HeNormal(mode="fan_out", nonlinearity="relu")  # MMDetection's
    biases = {"heat": math.log(0.1 / 0.9)}  # so too: the logit of 0.1
    return [
        Head(
            *(f"{corner}_{name}", channels, name == "heat", branch),
            first_init=init,
            first_bias=biases.get(name),
        )
        for name, channels in (("heat", num_classes), ("emb", 1), ("off", 2))
        for corner, branch in zip(("tl", "br"), branches, strict=True)
    ]


class Loss(nn.Cell):
    """What the maps lack (CornerNet, equations 1 to 5).

    The maps of `heads`, heat as logits, all float32, and objects (B,N,8) to float32 (4,): the
    losses of `src.tasks.corners`, unweighted. Heat and offset are the means of both corners;
    embeddings are summed over the images of the batch, as MMDetection does.

    Args:
        net: weights of the losses.
        num_classes: C.
        grid_size: (h, w).
    """

    def __init__(self, net: NetConfig, num_classes: int, grid_size: tuple[int, int]) -> None:
        super().__init__()
        self.weights = (
            *(net.hm_weight, net.corners.pull_weight, net.corners.push_weight, net.off_weight),
        )
        self.targets = Targets(num_classes, grid_size)
        self.heat_loss, self.offset_loss = UnclippedFocalLoss(), RegressionLoss("sl1", "object")
        self.embedding_losses, self.rows_at = EmbeddingLosses(), RowsAt()
        self.stack, self.cast = ops.Stack(0), ops.Cast()
        self.one, self.half = Tensor(1.0, ms.float32), Tensor(0.5, ms.float32)
        self.epsilon = Tensor(np.finfo(np.float32).eps, ms.float32)

    def construct(self, maps: tuple[Tensor, ...], objects: Tensor) -> Tensor:
        heat_loss, offset_loss, embeddings = 0.0, 0.0, ()
        for corner, (heat, cell, offset, weight) in enumerate(self.targets(objects)):
            heat_loss = heat_loss + self.heat_loss(maps[corner], heat)
            embeddings += (self.rows_at(maps[2 + corner], cell),)
            found = self.rows_at(maps[4 + corner], cell)
            count = ops.maximum(weight.sum(), self.one) + self.epsilon
            offset_loss = offset_loss + self.offset_loss(found, offset, weight, count)
        valid = self.cast(objects[:, :, CLASS : CLASS + 1] >= 0.0, ms.float32)
        pull, push = self.embedding_losses(embeddings[0], embeddings[1], valid)
        return self.stack((heat_loss * self.half, pull, push, offset_loss * self.half))


class Targets(nn.Cell):
    """What the objects of a batch ask of the heads: objects (B,N,8) to a tuple for each corner.

    - heat, float32 (B,C,h,w): Gaussians around the corners' cells.
    - cell, int32 (B,N): the place y·w + x of the corner's cell, which is on the grid wherever the
      corner is.
    - offset, float32 (B,N,2): x, y from there to the corner.
    - weight, float32 (B,N,1): 1 for offsets that count. Of corners of any class in one cell the
      last object's does, as later boxes overwrite earlier ones in MMDetection's maps.

    Args:
        num_classes: C.
        grid_size: (h, w).
    """

    def __init__(self, num_classes: int, grid_size: tuple[int, int]) -> None:
        super().__init__()
        height, width = grid_size
        self.gaussians = Gaussians(grid_size, msra=False)
        self.heat_map = HeatMap(num_classes)
        self.zero, self.half = Tensor(0.0, ms.float32), Tensor(0.5, ms.float32)
        self.last = Tensor(np.array([width - 1, height - 1], np.float32))
        self.width = Tensor(width, ms.int32)
        self.floor, self.minimum, self.maximum = ops.Floor(), ops.Minimum(), ops.Maximum()
        self.equal, self.cast, self.depend = ops.Equal(), ops.Cast(), ops.Depend()

    def construct(self, objects: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        centre = objects[:, :, CENTRE_X : CENTRE_Y + 1] + objects[:, :, OFFSET_X : OFFSET_Y + 1]
        half = objects[:, :, WIDTH : HEIGHT + 1] * self.half
        valid = self.cast(objects[:, :, CLASS : CLASS + 1] >= 0.0, ms.float32)
        found = ()
        for place in (centre - half, centre + half):
            place = self.maximum(place, self.zero)  # rounding may have brought it below
            cell = self.floor(self.minimum(place, self.last))
            x, y = cell[:, :, 0:1], cell[:, :, 1:2]
            column, row = self.gaussians.profiles(x, y, objects[:, :, RADIUS : RADIUS + 1], valid)
            if found:
                column = self.depend(column, found[0][0])  # one corner's are in memory at a time
            heat = self.heat_map(self.gaussians.outer(column, row), objects)
            cells = self.cast(y[:, :, 0], ms.int32) * self.width + self.cast(x[:, :, 0], ms.int32)
            found += ((heat, cells, place - cell, valid * self._is_last(cells, valid)),)
        return found

    def _is_last(self, cells: Tensor, valid: Tensor) -> Tensor:
        """Float32 (B,N,1), 1 where no later valid row has the same cell, else 0."""
        batch, count = cells.shape
        shared = self.equal(cells.reshape((batch, count, 1)), cells.reshape((batch, 1, count)))
        later = Tensor(np.triu(np.ones((1, count, count), np.float32), 1))
        others = self.cast(shared, ms.float32) * later * valid.reshape((batch, 1, count))
        return self.cast(others.sum(axis=2, keepdims=True) < 0.5, ms.float32)


class UnclippedFocalLoss(nn.Cell):
    """`FocalLoss` of probabilities as they are, with 1e-12 in the logarithms (MMDetection).

    Logits and target, both (B,C,h,w), to a scalar: the sum over cells divided by the number of
    those where the target is 1, or 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sigmoid, self.log, self.square, self.cast = (
            ops.Sigmoid(), ops.Log(), ops.Square(), ops.Cast(),
        )  # fmt: skip
        self.one, self.tiny = Tensor(1.0, ms.float32), Tensor(1e-12, ms.float32)
        self.epsilon = Tensor(np.finfo(np.float32).eps, ms.float32)

    def construct(self, logits: Tensor, target: Tensor) -> Tensor:
        p = self.sigmoid(logits)
        is_corner = self.cast(target >= 1.0, ms.float32)
        away = self.square(self.square(1.0 - target))
        at_corners = self.log(p + self.tiny) * self.square(1.0 - p) * is_corner
        elsewhere = self.log(1.0 - p + self.tiny) * self.square(p) * away
        count = ops.maximum(is_corner.sum(), self.one) + self.epsilon
        return -(at_corners + elsewhere).sum() / count


class EmbeddingLosses(nn.Cell):
    """Pull and push (CornerNet, equations 4 and 5) of embeddings of both corners, (B,N,1) each.

    valid, float32 (B,N,1), is 1 for objects and 0 for padding rows. Of each image the mean over its
    objects, or over their pairs, and the sum of these over the images: two scalars.
    """

    def __init__(self) -> None:
        super().__init__()
        self.square, self.abs, self.relu, self.maximum = (
            ops.Square(), ops.Abs(), ops.ReLU(), ops.Maximum(),
        )  # fmt: skip
        self.half, self.one = Tensor(0.5, ms.float32), Tensor(1.0, ms.float32)

    def construct(self, tl: Tensor, br: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        batch, rows, _ = valid.shape
        middle = (tl + br) * self.half
        count = valid.sum(axis=1)  # (B,1)
        apart = (self.square(tl - middle) + self.square(br - middle)) * valid
        pull = (apart.sum(axis=1) / self.maximum(count, self.one)).sum()
        others = Tensor(1 - np.eye(rows, dtype=np.float32).reshape(1, rows, rows))
        are_two = valid * valid.reshape((batch, 1, rows)) * others
        near = self.relu(1.0 - self.abs(middle - middle.reshape((batch, 1, rows)))) * are_two
        pairs = self.maximum(count * (count - 1.0), self.one)
        push = (near.sum(axis=2).sum(axis=1, keepdims=True) / pairs).sum()
        return pull, push


class Decode(nn.Cell):
    """Pairs the best corners of both kinds, all with all, and keeps the K best pairs.

    The maps of `heads`, of any float type, to detections, float32 (B,K,6): x1 y1 x2 y2 score class,
    in cells of the grid, best first. Corners are peaks as of `boxes.Decode`. A pair has the mean of
    its corners' scores; it is none if their classes differ, their embeddings are further apart than
    `max_distance`, or the second is not right of and below the first. Rows without a pair come
    last, with a score of `NO_OBJECT`. All scores of an image are NaN if a number in its maps is not
    finite.

    Pairs are made in the graph: that takes a fifth of the time that finding the corners takes
    (`benchmarks.corners`), and what comes out is as of boxes. Corners are compared on the grid;
    MMDetection does so in the image, with 0 for what lies left of it or above. That makes none of
    the pairs in the padding there, whatever the network, which does not know where that is.

    Args:
        net: see `src.model_utils.corner_parameters`.
        num_classes: C.
        k: K, at most the square of the number of candidates.
        flip_test: the second half of the batch is of the first half's mirrored images; their pairs,
            mirrored back, follow those of the first: (B/2,2K,6).
        pools: as of `boxes.Decode`.
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
        self.k, self.flip_test = k, flip_test
        self.largest = MaxPool3x3() if pools else Largest3x3()
        self.top_peaks, self.topk = TopPeaks(net.corners.candidates), ops.TopK(sorted=True)
        self.rows_at, self.zero_if_finite = RowsAt(), ZeroIfFinite()
        self.max_distance = Tensor(net.corners.max_distance, ms.float32)
        self.half, self.none = Tensor(0.5, ms.float32), Tensor(-NO_OBJECT, ms.float32)
        self.one = Tensor(1.0, ms.float32)
        self.sigmoid, self.abs, self.cast, self.equal = (
            ops.Sigmoid(), ops.Abs(), ops.Cast(), ops.Equal(),
        )  # fmt: skip
        self.less, self.not_more = ops.Less(), ops.LessEqual()
        self.gather, self.reshape, self.split = ops.Gather(), ops.Reshape(), ops.Split(0, 2)
        self.transpose, self.concat, self.concat_rows = (
            ops.Transpose(),
            ops.Concat(2),
            ops.Concat(1),
        )

    def construct(self, *maps: Tensor) -> Tensor:
        in_float32, odd = (), 0.0
        for found in maps:
            found = self.cast(found, ms.float32)
            in_float32 += (found,)
            odd = odd + self.zero_if_finite(found)  # (B,1)
        tl_heat, br_heat, tl_emb, br_emb, tl_off, br_off = in_float32
        first = self._corners(tl_heat, tl_emb, tl_off)
        second = self._corners(br_heat, br_emb, br_off)
        score, first, second = self._pairs(first, second)
        score = score + self.reshape(odd, (odd.shape[0], 1, 1))
        found = self.concat((first[:, :, :2], second[:, :, :2], score, first[:, :, 3:4]))
        if self.flip_test:
            plain, mirrored = self.split(found)
            width = Tensor(tl_heat.shape[3], ms.float32)
            x1, x2 = width - mirrored[:, :, 2:3], width - mirrored[:, :, 0:1]
            y1, rest = mirrored[:, :, 1:2], mirrored[:, :, 3:]
            found = self.concat_rows((plain, self.concat((x1, y1, x2, rest))))
        return found

    def _corners(self, heat: Tensor, embedding: Tensor, offset: Tensor) -> Tensor:
        """The best corners of a kind, float32 (B,M,5): x y score class embedding."""
        heat = self.sigmoid(heat)
        peaks = heat * self.cast(self.equal(self.largest(heat), heat), ms.float32)
        score, class_index, cell = self.top_peaks(peaks)
        length = Tensor(heat.shape[3], ms.int32)
        y = cell // length
        place = self.concat((self._column(cell - y * length), self._column(y)))
        place = place + self.rows_at(offset, cell)
        of_corner = (place, self._column(score), self._column(class_index))
        return self.concat((*of_corner, self.rows_at(embedding, cell)))

    def _pairs(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best pairs of corners: scores (B,K,1), and the corners of both kinds, (B,K,5)."""
        batch, count, _ = first.shape
        across = self.transpose(second, (0, 2, 1))  # (B,5,M); what follows is (B,M,M)
        is_pair = self.cast(self.equal(first[:, :, 3:4], across[:, 3:4]), ms.float32)
        apart = self.abs(first[:, :, 4:5] - across[:, 4:5])
        is_pair = is_pair * self.cast(self.not_more(apart, self.max_distance), ms.float32)
        for axis in (0, 1):
            is_before = self.less(first[:, :, axis : axis + 1], across[:, axis : axis + 1])
            is_pair = is_pair * self.cast(is_before, ms.float32)
        score = (first[:, :, 2:3] + across[:, 2:3]) * self.half
        score = score * is_pair + (is_pair - self.one) * self.none
        score, pair = self.topk(self.reshape(score, (batch, count * count)), self.k)
        row_length = Tensor(count, ms.int32)
        row = pair // row_length
        column = pair - row * row_length
        return self._column(score), self._rows(first, row), self._rows(second, column)

    def _rows(self, table: Tensor, row: Tensor) -> Tensor:
        """Rows (B,K) of tables (B,M,D): (B,K,D)."""
        batch, count, length = table.shape
        if batch > 1:
            first = np.arange(batch).reshape(batch, 1) * count
            row = row + Tensor(first.astype(np.int32))
        rows = self.gather(self.reshape(table, (-1, length)), self.reshape(row, (-1,)), 0)
        return self.reshape(rows, (batch, self.k, length))

    def _column(self, values: Tensor) -> Tensor:
        """Any numbers (B,·) as float32 (B,·,1)."""
        return self.reshape(self.cast(values, ms.float32), (*values.shape, 1))
