# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Poses: heads, loss and decode of boxes with J points (Objects as Points, section 4.2).

Points are regressed from their object's centre (hps), and found as peaks of heat maps of their own
(hm_hp, hp_offset); decoding moves each regressed point to the nearest such peak.
"""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from src.model_utils.networks import NetConfig
from src.models.gaussians import Gaussians
from src.models.heads import Head
from src.models.layers import Outer, RowsAt
from src.models.losses import RegressionLoss
from src.models.peaks import SMALLEST_K
from src.models.tasks import boxes
from src.tasks.columns import (
    CENTRE_X,
    CENTRE_Y,
    CLASS,
    HEIGHT,
    OFFSET_X,
    OFFSET_Y,
    POINTS_OF_OBJECT,
    RADIUS,
    WIDTH,
)


def heads(net: NetConfig, num_classes: int) -> list[Head]:
    """Those of boxes, then hps (2·J), hm_hp (J) and hp_offset (2, or 2·J if one a point)."""
    count = net.pose.task.points
    return [
        *boxes.heads(net, num_classes),
        Head("hps", 2 * count),
        Head("hm_hp", count, is_heat=True),
        Head("hp_offset", 2 * count if net.pose.offset_per_point else 2),
    ]


class Loss(nn.Cell):
    """What the maps lack, of boxes and of points.

    The maps of `heads`, hm and hm_hp as logits, all float32, and objects (B,N,8+3J) to float32
    (6,): the losses of `src.tasks.pose`, unweighted. With `divide_by` objects hm_hp is divided by
    the number of points that are seen, hps and hp_offset by the number of their (point, cell).

    Args:
        net: weights and variants of the losses.
        num_classes: C.
        grid_size: (h, w).
    """

    def __init__(self, net: NetConfig, num_classes: int, grid_size: tuple[int, int]) -> None:
        super().__init__()
        pose = net.pose
        self.boxes = boxes.Loss(net, num_classes, grid_size)
        self.weights = (
            *self.boxes.weights,
            *(pose.hp_weight, pose.hm_hp_weight, pose.hp_offset_weight),
        )
        self.points, self.point_maps = Points(net, grid_size), PointMaps(net, grid_size)
        self.dense_hps = DensePoints(net, grid_size) if net.dense_hp else None
        self.boxes_without_points = pose.boxes_without_points
        self.hps_loss = RegressionLoss("l1", net.reg_norm)
        self.offset_loss = RegressionLoss(net.reg_loss, net.reg_norm)
        self.rows_at = RowsAt()
        self.offsets_at = RowsAt(pose.task.points if pose.offset_per_point else 1)
        self.concat, self.stack, self.reshape = ops.Concat(0), ops.Stack(0), ops.Reshape()
        self.transpose, self.cast = ops.Transpose(), ops.Cast()
        self.one = Tensor(1.0, ms.float32)
        self.divides_by_objects = net.divide_by == "objects"

    def construct(self, maps: tuple[Tensor, ...], objects: Tensor) -> Tensor:
        hps, hm_hp, hp_offset = maps[-3:]
        regressed = None
        if not self.boxes_without_points:
            regressed = self.points.labelled(objects)
        of_boxes = self.boxes(maps[:-3], objects, regressed)

        points, seen = self.points(objects)
        if self.dense_hps is not None:
            target, weight = self.dense_hps(objects, points, seen)
            predicted = self.reshape(self.transpose(hps, (0, 2, 3, 1)), target.shape)
        else:
            cell, target, weight = self.points.around_centres(objects, points, seen)
            predicted = self.rows_at(hps, cell)
        # Of its two coordinates each point has the weight.
        count = self._count(weight, 0.5)
        hps_loss = self.hps_loss(predicted, target, weight, count)

        target, weight = self.point_maps(objects, points, seen)
        hm_hp_loss = self._heat_loss(hm_hp, target, weight, self._count(seen, 1.0))

        cell, kind, target, weight = self.points.around_points(points, seen)
        predicted = self.offsets_at(hp_offset, cell, kind)
        offset_loss = self.offset_loss(predicted, target, weight, self._count(weight, 1.0))
        return self.concat((of_boxes, self.stack((hps_loss, hm_hp_loss, offset_loss))))

    def _count(self, weight: Tensor, part: float) -> Tensor | None:
        if not self.divides_by_objects:
            return None
        return ops.maximum(weight.sum() * part, self.one)

    def _heat_loss(
        self, maps: Tensor, target: Tensor, weight: Tensor | None, count: Tensor | None
    ) -> Tensor:
        if weight is None and count is None:
            return self.boxes.hm_loss(maps, target)
        return self.boxes.hm_loss(maps, target, count, weight)


class Points(nn.Cell):
    """The points of objects, and where they and their offsets are regressed.

    Objects (B,N,8+3J) to points, float32 (B,N,J,2), x and y on the grid, and seen, float32
    (B,N,J), 1 for those that are labelled and lie on the grid, else 0.

    Args:
        net: `peak_radius` r; points are regressed at all S cells around a middle one whose distance
            from it is r at most, and which lie on the grid.
        grid_size: (h, w).
    """

    def __init__(self, net: NetConfig, grid_size: tuple[int, int]) -> None:
        super().__init__()
        self.count = net.pose.task.points
        height, width = grid_size
        radius = net.pose.peak_radius
        near = np.arange(-radius, radius + 1)
        y, x = (values.ravel() for values in np.meshgrid(near, near, indexing="ij"))
        around = np.stack([x, y], -1)[x * x + y * y <= radius * radius].astype(np.float32)
        self.near = len(around)
        self.around = Tensor(around.reshape(1, 1, -1, 2))
        kinds = np.arange(self.count, dtype=np.int32).reshape(1, 1, -1, 1)
        self.kinds = Tensor(np.tile(kinds, (1, 1, 1, self.near)))
        self.size = Tensor(np.array([width, height], np.float32))
        self.width, self.zero = Tensor(width, ms.int32), Tensor(0.0, ms.float32)
        self.reshape, self.cast, self.floor, self.tile = (
            ops.Reshape(), ops.Cast(), ops.Floor(), ops.Tile(),
        )  # fmt: skip

    def construct(self, objects: Tensor) -> tuple[Tensor, Tensor]:
        points = self._columns(objects)
        seen = self.cast(points[:, :, :, 2:3] > 0.0, ms.float32)
        points = points[:, :, :, :2]
        seen = seen * self._on_grid(points)
        seen = seen * self.cast(objects[:, :, CLASS : CLASS + 1] >= 0.0, ms.float32).expand_dims(2)
        return points, seen.squeeze(3)

    def labelled(self, objects: Tensor) -> Tensor:
        """Whether objects have a labelled point, also beyond the grid: float32 (B,N,1), 0 or 1."""
        labels = self.cast(self._columns(objects)[:, :, :, 2] > 0.0, ms.float32)
        return self.cast(labels.sum(axis=2, keepdims=True) > 0.0, ms.float32)

    def around_centres(
        self, objects: Tensor, points: Tensor, seen: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the cells near the objects' centres ask of hps.

        Returns:
            Their places y·w + x, int32 (B,N·S); the points from there, and the weight of each
            coordinate, both float32 (B,N·S,2·J).
        """
        batch, rows, count = seen.shape
        centre = objects[:, :, CENTRE_X : CENTRE_Y + 1].reshape((batch, rows, 1, 2))
        at = self._cells_around(centre)  # (B,N,S,2)
        spread = (batch, rows, self.near, 2 * count)
        points = ops.broadcast_to(self.reshape(points, (batch, rows, 1, 2 * count)), spread)
        target = points - self.tile(at, (1, 1, 1, count))
        weight = self.tile(self.reshape(seen, (batch, rows, count, 1)), (1, 1, 1, 2))
        weight = ops.broadcast_to(self.reshape(weight, (batch, rows, 1, 2 * count)), spread)
        weight = weight * ops.broadcast_to(self._on_grid(at), spread)
        shape = (batch, rows * self.near, 2 * count)
        cell = self.reshape(self._place(at), (batch, rows * self.near))
        return cell, self.reshape(target, shape), self.reshape(weight, shape)

    def around_points(self, points: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the cells near the points ask of hp_offset.

        Returns:
            Their places y·w + x, and which of the J points it is, both int32 (B,N·J·S); the point
            from there, float32 (B,N·J·S,2), and its weight, float32 (B,N·J·S,1).
        """
        batch, rows, count = seen.shape
        points = self.reshape(points, (batch, rows * count, 1, 2))
        at = self._cells_around(self.floor(points))
        weight = self._on_grid(at)
        seen = self.reshape(seen, (batch, rows * count, 1, 1))
        weight = weight * ops.broadcast_to(seen, weight.shape)
        target = ops.broadcast_to(points, at.shape) - at
        flat = (batch, rows * count * self.near)
        kind = self.reshape(self.tile(self.kinds, (batch, rows, 1, 1)), flat)
        cell = self.reshape(self._place(at), flat)
        return cell, kind, self.reshape(target, (*flat, 2)), self.reshape(weight, (*flat, 1))

    def _columns(self, objects: Tensor) -> Tensor:
        batch, rows = objects.shape[:2]
        return self.reshape(objects[:, :, POINTS_OF_OBJECT:], (batch, rows, self.count, 3))

    def _cells_around(self, middle: Tensor) -> Tensor:
        """The S cells (·,·,S,2) around middle ones (·,·,1,2)."""
        # Spread out first: on a CPU, arithmetic on two shapes keeps 16 bytes a value.
        shape = (*middle.shape[:2], self.near, 2)
        return ops.broadcast_to(middle, shape) + ops.broadcast_to(self.around, shape)

    def _on_grid(self, at: Tensor) -> Tensor:
        """1 or 0, float32 (·,·,·,1), for x and y (·,·,·,2)."""
        inside = self.cast(at >= self.zero, ms.float32) * self.cast(at < self.size, ms.float32)
        return inside[:, :, :, 0:1] * inside[:, :, :, 1:2]

    def _place(self, at: Tensor) -> Tensor:
        """y·w + x, int32 (·,·,·), of x and y (·,·,·,2) of cells; 0 beyond the grid."""
        cells = self.cast(at, ms.int32)
        cells = cells[:, :, :, 1] * self.width + cells[:, :, :, 0]
        return cells * self.cast(self._on_grid(at)[:, :, :, 0], ms.int32)


class PointMaps(nn.Cell):
    """Draws hm_hp: objects, points and seen of `Points` to the map, and the weight of its cells.

    The map, float32 (B,J,h,w), has a Gaussian around each point that is seen, as wide as that of
    its object times the point's `gaussian_scales`; the larger value stays. The weight, of the same
    shape or None, is 0 inside of the boxes of objects of which that point is not seen.

    Kinds of points are drawn one after the other: (B,N,h,w) is what all of it takes then, and not
    J times as much.
    """

    _NEAR = 1e-4  # of a cell: boxes come as centre and size, and their borders are rounded

    def __init__(self, net: NetConfig, grid_size: tuple[int, int]) -> None:
        super().__init__()
        self.gaussians = Gaussians(grid_size, net.mse_loss, net.cut_gaussians)
        scales = net.pose.gaussian_scales
        self.scales = Tensor(np.array(scales, np.float32).reshape(1, -1, 1, 1)) if scales else None
        self.mask_unlabelled = net.pose.mask_unlabelled
        self.floor, self.cast, self.reshape, self.tile, self.transpose, self.depend = (
            ops.Floor(), ops.Cast(), ops.Reshape(), ops.Tile(), ops.Transpose(), ops.Depend(),
        )  # fmt: skip
        self.outer, self.largest, self.stack = Outer(), ops.ArgMaxWithValue(axis=1), ops.Stack(1)
        self.matmul = ops.BatchMatMul()

    def construct(
        self, objects: Tensor, points: Tensor, seen: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        batch, rows, count = seen.shape
        all_points = (batch, count * rows, 1)
        cells = self.transpose(self.floor(points), (0, 2, 1, 3))  # (B,J,N,2)
        seen = self.transpose(seen, (0, 2, 1))
        scale = None
        if self.scales is not None:
            scale = self.reshape(self.tile(self.scales, (1, 1, rows, 1)), (1, count * rows, 1))
        column, row = self.gaussians.profiles(
            self.reshape(cells[:, :, :, 0], all_points),
            self.reshape(cells[:, :, :, 1], all_points),
            self.tile(objects[:, :, RADIUS : RADIUS + 1], (1, count, 1)),
            self.reshape(seen, all_points),
            scale,
        )
        column = self.reshape(column, (batch, count, rows, -1))
        row = self.reshape(row, (batch, count, rows, -1))
        maps = ()
        for kind in range(count):
            drawn = self.largest(self.outer(column[:, kind], row[:, kind]))[1]
            maps += (drawn,)
            column = self.depend(column, drawn)  # the next one waits
        weight = self._weight(objects, seen) if self.mask_unlabelled else None
        return self.stack(maps), weight

    def _weight(self, objects: Tensor, seen: Tensor) -> Tensor:
        """The weight for seen (B,J,N), by counting the boxes over each cell in a matrix product."""
        batch, count, rows = seen.shape
        centre = objects[:, :, CENTRE_X : CENTRE_Y + 1] + objects[:, :, OFFSET_X : OFFSET_Y + 1]
        half = objects[:, :, WIDTH : HEIGHT + 1] / 2.0
        low, high = centre - half - self._NEAR, centre + half - self._NEAR
        valid = self.cast(objects[:, :, CLASS : CLASS + 1] >= 0.0, ms.float32)
        across = self._between(self.gaussians.grid_x, low[:, :, 0:1], high[:, :, 0:1]) * valid
        down = self._between(self.gaussians.grid_y, low[:, :, 1:2], high[:, :, 1:2])
        height, width = down.shape[2], across.shape[2]
        down = self.reshape(self.transpose(down, (0, 2, 1)), (batch, 1, height, rows))
        shape = (batch, count, height, rows)
        unseen = self.reshape(1.0 - seen, (batch, count, 1, rows))
        down = ops.broadcast_to(down, shape) * ops.broadcast_to(unseen, shape)
        boxes_over = self.matmul(self.reshape(down, (batch, count * height, rows)), across)
        boxes_over = self.reshape(boxes_over, (batch, count, height, width))
        return self.cast(boxes_over < 0.5, ms.float32)

    def _between(self, grid: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return self.cast(grid >= low, ms.float32) * self.cast(grid < high, ms.float32)


class DensePoints(nn.Cell):
    """`dense_hp`: at each cell the points of the object whose Gaussian is largest.

    Objects, points and seen of `Points` to the points from each cell, and the weights of their
    coordinates, that Gaussian or 0, both float32 (B,h·w,2·J). Of equal Gaussians the last row's
    object is taken, as in the original.
    """

    def __init__(self, net: NetConfig, grid_size: tuple[int, int]) -> None:
        super().__init__()
        self.gaussians = Gaussians(grid_size, net.mse_loss, net.cut_gaussians)
        height, width = grid_size
        y, x = np.divmod(np.arange(height * width, dtype=np.float32), width)
        self.grid = Tensor(np.stack([x, y], -1).reshape(1, height * width, 2))
        self.argmax, self.gather = ops.ArgMaxWithValue(axis=1), ops.Gather()
        self.reverse, self.concat = ops.ReverseV2([1]), ops.Concat(2)
        self.reshape, self.tile, self.cast = ops.Reshape(), ops.Tile(), ops.Cast()

    def construct(self, objects: Tensor, points: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        batch, rows, count = seen.shape
        area = self.grid.shape[1]
        winner, weight = self.argmax(self.gaussians(self.reverse(objects)))
        winner = self.cast(self.reshape(winner, (batch, area)), ms.int32)
        if batch > 1:
            first = np.arange(batch).reshape(batch, 1) * rows
            winner = winner + Tensor(first.astype(np.int32))
        table = self.concat((self.reshape(points, (batch, rows, 2 * count)), seen))
        table = self.reshape(self.reverse(table), (batch * rows, 3 * count))
        table = self.gather(table, self.reshape(winner, (-1,)), 0)
        table = self.reshape(table, (batch, area, 3 * count))
        grid = ops.broadcast_to(self.tile(self.grid, (1, 1, count)), (batch, area, 2 * count))
        target = table[:, :, : 2 * count] - grid
        seen = self.reshape(table[:, :, 2 * count :], (batch, area * count, 1))
        seen = self.reshape(self.tile(seen, (1, 1, 2)), (batch, area, 2 * count))
        weight = self.reshape(weight, (batch, area, 1))
        return target, seen * ops.broadcast_to(weight, seen.shape)


class Decode(nn.Cell):
    """Boxes as `boxes.Decode` has them, and their points.

    The maps of `heads`, of any float type, to detections, float32 (B,K,6+3J). A regressed point
    moves to the nearest peak of its heat map, and takes its score, unless that lies outside of the
    box, grown by `box_scale`, or further away than `search_range` of that box's longer side; then
    it stays, with a score of `candidate_threshold`, below which there are no peaks. Points of
    `pose.classes` alone: those of others are zeros. As of boxes, all scores of objects of an image
    are NaN if a number in its maps is not finite.

    Args:
        net: variants, see `src.model_utils.pose_parameters`.
        num_classes: C.
        k: K, at most the number of values C·h·w.
        flip_test: as of `boxes.Decode`; points and their heat are the means of both too, mirrored
            and with left and right exchanged, offsets those of the first.
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
        pose = net.pose
        self.boxes = boxes.Decode(net, num_classes, k, flip_test, pools)
        self.k, self.flip_test, self.candidates = k, flip_test, pose.candidates
        mirrored = pose.task.mirrored
        count = len(mirrored)
        of_pairs = np.array([[2 * point, 2 * point + 1] for point in mirrored], np.int32).ravel()
        self.mirrored, self.mirrored_pairs = Tensor(np.array(mirrored, np.int32)), Tensor(of_pairs)
        turned = np.tile(np.array([-1, 1], np.float32), count).reshape(1, -1, 1, 1)
        self.turned = Tensor(turned)
        self.has_kinds = pose.offset_per_point
        self.rows_at, self.offsets_at = RowsAt(), RowsAt(count if self.has_kinds else 1)
        with_points = np.zeros((num_classes, 1), np.float32)
        with_points[list(pose.class_indices) or slice(None)] = 1
        self.with_points = None if with_points.all() else Tensor(with_points)
        self.threshold = Tensor(np.full((1, 1, 1, 1), pose.candidate_threshold, np.float32))
        # Half of what a side grows by.
        self.growth = Tensor((pose.box_scale - 1) / 2, ms.float32)
        self.search_range = Tensor(pose.search_range, ms.float32)
        self.far = Tensor(np.full((1, 1, 1, 1), -1e4, np.float32))
        self.topk, self.argmax = ops.TopK(sorted=True), ops.ArgMaxWithValue(axis=3)
        self.gather, self.select, self.tile = ops.Gather(), ops.Select(), ops.Tile()
        self.less, self.either, self.negative = ops.Less(), ops.LogicalOr(), ops.Neg()
        self.maximum, self.cast = ops.Maximum(), ops.Cast()
        self.reshape, self.transpose = ops.Reshape(), ops.Transpose()
        self.concat_rows, self.concat = ops.Concat(2), ops.Concat(3)

    def construct(self, *maps: Tensor) -> Tensor:
        low, high, score, class_index, cell = self.boxes.best(maps[:-3], maps[-3:])
        hps, hm_hp = self.cast(maps[-3], ms.float32), self.cast(maps[-2], ms.float32)
        hp_offset = self.cast(maps[-1], ms.float32)
        heat = self.boxes.heat(hm_hp)
        if self.flip_test:
            hps = self._mean_of_both(hps, self.mirrored_pairs, self.turned)
            heat = self._mean_of_both(heat, self.mirrored, None)
            hp_offset = self.boxes.split(hp_offset)[0]
        batch, count, _, width = heat.shape
        corner = self.boxes.corner(cell, width)
        points = self.rows_at(hps, cell) + self.tile(corner, (1, 1, count))
        points = self.reshape(points, (batch, self.k, count, 2))
        points = self.transpose(points, (0, 2, 1, 3))  # (B,J,K,2)
        points = self._moved(points, self._candidates(heat, hp_offset), low, high)
        points = self.reshape(self.transpose(points, (0, 2, 1, 3)), (batch, self.k, 3 * count))
        if self.with_points is not None:
            known = self.gather(self.with_points, self.reshape(class_index, (-1,)), 0)
            points = points * self.reshape(known, (batch, self.k, 1))
        return self.concat_rows((low, high, score, self.boxes.column(class_index), points))

    def _candidates(self, heat: Tensor, hp_offset: Tensor) -> Tensor:
        """Peaks (B,J,M,3): x and y, far away where they are below the threshold, and score."""
        batch, count, height, width = heat.shape
        kept = min(self.candidates, height * width)
        looked_at = min(max(kept, SMALLEST_K), height * width)
        peaks = self.reshape(self.boxes.peaks(heat), (batch, count, height * width))
        score, cell = self.topk(peaks, looked_at)
        score = self.reshape(score[:, :, :kept], (batch, count, kept, 1))
        cell = self.reshape(cell[:, :, :kept], (batch, count * kept))
        kind = None
        if self.has_kinds:
            kind = Tensor(np.repeat(np.arange(count, dtype=np.int32), kept).reshape(1, -1))
        at = self.boxes.corner(cell, width) + self.offsets_at(hp_offset, cell, kind)
        at = self.reshape(at, (batch, count, kept, 2))
        weak = self.tile(self.less(score, self.threshold), (1, 1, 1, 2))
        at = self.select(weak, self.tile(self.far, at.shape), at)
        return self.concat((at, score))

    def _moved(self, points: Tensor, candidates: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Points (B,J,K,2) of boxes, corners (B,K,2), where they end, with score: (B,J,K,3)."""
        batch, count, kept = candidates.shape[:3]
        # Of squares: in float16, as on a 310, those of distances up to 255 cells can be told apart.
        among = self.transpose(candidates, (0, 1, 3, 2))
        away = self._squares(points, among[:, :, 0:1], among[:, :, 1:2])
        best = self.cast(self.argmax(self.negative(away))[0], ms.int32)  # (B,J,K)
        if batch * count > 1:
            first = np.arange(batch * count).reshape(batch, count, 1) * kept
            best = best + Tensor(first.astype(np.int32))
        rows = self.reshape(candidates, (batch * count * kept, 3))
        found = self.gather(rows, self.reshape(best, (-1,)), 0)
        found = self.reshape(found, (batch, count, self.k, 3))

        growth = (high - low) * self.growth
        low, high = low - growth, high + growth
        sides = high - low
        reach = self.maximum(sides[:, :, 0:1], sides[:, :, 1:2]) * self.search_range
        low, high, reach = self._a_point(low), self._a_point(high), self._a_point(reach)
        x, y, score = found[:, :, :, 0:1], found[:, :, :, 1:2], found[:, :, :, 2:3]
        stays = self.either(self.less(x, low[:, :, :, 0:1]), self.less(high[:, :, :, 0:1], x))
        stays = self.either(stays, self.less(y, low[:, :, :, 1:2]))
        stays = self.either(stays, self.less(high[:, :, :, 1:2], y))
        stays = self.either(stays, self.less(score, self.threshold))
        stays = self.either(stays, self.less(reach * reach, self._squares(points, x, y)))
        stays = self.tile(stays, (1, 1, 1, 3))
        staying = self.concat((points, self.tile(self.threshold, score.shape)))
        return self.select(stays, staying, found)

    def _squares(self, points: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Squared distances of points (B,J,K,2) to x and y."""
        across, down = points[:, :, :, 0:1] - x, points[:, :, :, 1:2] - y
        return across * across + down * down

    def _a_point(self, values: Tensor) -> Tensor:
        """(B,K,·) of each object as (B,1,K,·)."""
        batch, rows, length = values.shape
        return self.reshape(values, (batch, 1, rows, length))

    def _mean_of_both(self, maps: Tensor, channels: Tensor, factors: Tensor | None) -> Tensor:
        """Of a batch and its mirrored images, these with other channels and factors on them."""
        plain, mirrored = self.boxes.split(maps)
        mirrored = self.gather(self.boxes.mirror(mirrored), channels, 1)
        mirrored = mirrored if factors is None else mirrored * factors
        return (plain + mirrored) * self.boxes.half
