# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Columns of the tables that rooms agree on.

A row of the object table, float32 (8+3J), is an object on the output grid: integer centre x and y,
sub-pixel offset x and y, width, height, radius of its Gaussian, class, then x, y and visible of
each of J points. A padding row has class -1. A row of detections, float32 (6+3J), has x1 y1 x2 y2
score class, then x, y and score of each point; of fewer objects than rows, the last have a score
below 0, `NO_OBJECT`.
"""

import numpy as np

CENTRE_X, CENTRE_Y, OFFSET_X, OFFSET_Y, WIDTH, HEIGHT, RADIUS, CLASS = range(8)
POINTS_OF_OBJECT = 8  # where they begin
POINTS_OF_DETECTION = 6
NO_OBJECT = -1.0


def points_of(rows: np.ndarray, first: int = POINTS_OF_DETECTION) -> np.ndarray:
    """The points (n,J,3) of rows (n,first+3J), such as detections, a view of them."""
    points = rows[:, first:]
    return points.reshape(len(points), points.shape[1] // 3, 3)
