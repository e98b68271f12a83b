# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Making the object table; its columns are in `src.tasks.columns`."""

from collections.abc import Sequence

import numpy as np

from src.data import geometry
from src.tasks.boxes import TASK as BOXES
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
from src.tasks.task import Task


def gaussian_radius(
    height: np.ndarray, width: np.ndarray, min_overlap: float = 0.7, exact: bool = False
) -> np.ndarray:
    """Largest shift of both corners that keeps IoU with the (height, width) box at `min_overlap`.

    CornerNet section 3.2, with the roots as CenterNet's code takes them: (b + √(b²-4ac)) / 2 for
    each of the three cases, without a division by a. Published models of CenterNet are trained with
    these; those of MMDetection with the ones that solve the equations (`exact`).
    """
    total, area = height + width, height * width
    a2, b2 = 4, 2 * total
    a3, b3 = 4 * min_overlap, -2 * min_overlap * total
    root1 = np.sqrt(total**2 - 4 * area * (1 - min_overlap) / (1 + min_overlap))
    root2 = np.sqrt(b2**2 - 4 * a2 * (1 - min_overlap) * area)
    root3 = np.sqrt(b3**2 - 4 * a3 * (min_overlap - 1) * area)
    if exact:
        inside, both, outside = (total - root1) / 2, (b2 - root2) / 2 / a2, (b3 + root3) / 2 / a3
    else:
        inside, both, outside = (total + root1) / 2, (b2 + root2) / 2, (b3 + root3) / 2
    return np.minimum(np.minimum(inside, both), outside)


def object_tables(
    boxes: np.ndarray,
    classes: np.ndarray,
    image: np.ndarray,
    *,
    images: int,
    grid_size: Sequence[int],
    max_objs: int,
    task: Task = BOXES,
    exact_sides: bool = False,
    points: np.ndarray | None = None,
) -> np.ndarray:
    """Builds the tables of a batch.

    Args:
        boxes: (n,4) xyxy on the output grid, also reaching outside it.
        classes: (n,) class indices.
        image: (n,) place in the batch of each box's image, ascending.
        images: B.
        grid_size: (h, w) of the output grid.
        max_objs: rows of a table; objects beyond are left out.
        task: says which radius and where boxes end.
        exact_sides: as TensorFlow makes targets: boxes are clipped at the grid's border instead of
            one cell before it, and radii are of sides as they are instead of rounded up.
        points: (n,J,3) x, y on the output grid and visible of the objects' points, if any.

    Returns:
        float32 (B, max_objs, 8+3J). An object is dropped when a side vanishes after clipping.
    """
    points = np.zeros((len(boxes), 0, 3)) if points is None else points
    points = points.reshape(len(boxes), 3 * points.shape[1])
    row_length = POINTS_OF_OBJECT + points.shape[1]
    tables = np.zeros((images, max_objs, row_length), np.float32)
    tables[:, :, CLASS] = -1
    height, width = grid_size
    last = 0 if exact_sides or task.stretched else 1
    clipped = np.clip(boxes, 0, [width - last, height - last] * 2)
    if exact_sides:
        clipped = clipped.astype(np.float32)  # of which TensorFlow makes the centres
    sides = clipped[:, 2:] - clipped[:, :2]
    kept = np.flatnonzero((sides > 0).all(axis=1))
    # The row of an object is its place among the kept ones of its image.
    row = np.arange(len(kept)) - np.searchsorted(image[kept], image[kept])
    kept, row = kept[row < max_objs], row[row < max_objs]
    sides = sides[kept]
    # In float32, as the table holds them: an integer centre must not round up to the next cell.
    low, high = clipped[kept, :2], clipped[kept, 2:]
    centres = low + sides / 2 if exact_sides else ((low + high) / 2).astype(np.float32)
    cells = np.minimum(np.floor(centres), [width - 1, height - 1])
    of_radius = sides if exact_sides else np.ceil(sides)
    radius = gaussian_radius(
        of_radius[:, 1], of_radius[:, 0], task.min_overlap, exact=task.exact_radius
    )
    rows = np.empty((len(kept), row_length), np.float32)
    rows[:, [CENTRE_X, CENTRE_Y]] = cells
    rows[:, [OFFSET_X, OFFSET_Y]] = centres - cells
    rows[:, [WIDTH, HEIGHT]] = sides
    rows[:, RADIUS] = np.floor(np.maximum(radius, 0))
    rows[:, CLASS] = classes[kept]
    rows[:, POINTS_OF_OBJECT:] = points[kept]
    tables[image[kept], row] = rows
    return tables


def points_on_grid(
    keypoints: np.ndarray, affines: np.ndarray, mirrored: Sequence[int], grid_size: Sequence[int]
) -> np.ndarray:
    """Moves the points of objects to the output grid.

    Args:
        keypoints: (n,3J) x y in pixels and visibility (0, 1, 2) of each object's points.
        affines: (n,2,3) from each object's image to the output grid.
        mirrored: for each of the J points the one that it becomes in a mirrored image.
        grid_size: (h, w).

    Returns:
        float32 (n,J,3): x, y and 1; zeros for points that are not labelled or outside the grid.
    """
    points = keypoints.reshape(len(keypoints), len(mirrored), 3).astype(np.float64)
    points[:, :, :2] = geometry.transform_points(points[:, :, :2], affines)
    came_from = np.argsort(mirrored)  # where there is what stands in a place after mirroring
    is_mirrored = geometry.is_mirrored(affines)[:, None, None]
    points = np.where(is_mirrored, points[:, came_from], points).astype(np.float32)
    places = points[:, :, :2]  # in float32, as the table holds them: none may round up to the edge
    is_inside = ((places >= 0) & (places < [grid_size[1], grid_size[0]])).all(axis=2)
    is_visible = (points[:, :, 2:] > 0) & is_inside[:, :, None]
    points[:, :, 2] = 1
    return np.where(is_visible, points, np.float32(0))


def table_boxes(table: np.ndarray) -> np.ndarray:
    """The objects of a table (max_objs, 8+3J) as (n,5): x1 y1 x2 y2 on the output grid, class."""
    rows = table[table[:, CLASS] >= 0]
    centres = rows[:, [CENTRE_X, CENTRE_Y]] + rows[:, [OFFSET_X, OFFSET_Y]]
    half = rows[:, [WIDTH, HEIGHT]] / 2
    return np.column_stack([centres - half, centres + half, rows[:, CLASS]])
