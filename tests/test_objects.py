# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Object tables and the radius of their Gaussians."""

import numpy as np
import pytest

from src.data.objects import gaussian_radius, object_tables, table_boxes
from src.tasks import corners
from tests import reference
from tests.helpers import object_table


def test_radius_of_a_ten_by_ten_box():
    # The third case: (-28 + sqrt(784 + 4 * 2.8 * 30)) / 2.
    assert gaussian_radius(np.array([10.0]), np.array([10.0]))[0] == pytest.approx(2.7332, abs=1e-4)


def test_exact_sides_end_at_the_border_and_are_not_rounded_up():
    # 6 by 6 reaching out of a grid of 8: 5 by 5 in it, radius 1.37 (of 6 by 6 1.64).
    boxes, of_one = np.array([[3.0, 3, 9, 9], [7.9, 7.9, 8, 8]]), np.zeros(2, int)
    (table,) = object_tables(
        boxes, of_one, of_one, images=1, grid_size=(8, 8), max_objs=2, exact_sides=True
    )
    np.testing.assert_allclose(table[0], [5, 5, 0.5, 0.5, 5, 5, 1, 0])
    np.testing.assert_allclose(table[1], [7, 7, 0.95, 0.95, 0.1, 0.1, 0, 0], atol=1e-6)


@pytest.mark.parametrize("overlap", [0.3, 0.7, 0.9])
def test_radius_of_every_size_is_the_originals(overlap):
    heights, widths = np.meshgrid(np.arange(1.0, 130, 4), np.arange(1.0, 130, 3))
    expected = [
        reference.gaussian_radius(height, width, overlap)
        for height, width in zip(heights.flat, widths.flat, strict=True)
    ]
    np.testing.assert_allclose(
        gaussian_radius(heights, widths, overlap).ravel(), expected, rtol=1e-12
    )


@pytest.mark.parametrize("overlap", [0.3, 0.7, 0.9])
def test_an_exact_radius_is_the_largest_that_keeps_the_overlap(overlap):
    h, w = np.meshgrid(np.arange(1.0, 130, 4), np.arange(1.0, 130, 3))
    r = gaussian_radius(h, w, overlap, exact=True)
    inside = (h - 2 * r) * (w - 2 * r) / (h * w)  # both corners moved inwards
    outside = h * w / ((h + 2 * r) * (w + 2 * r))
    shared = (h - r) * (w - r)  # both moved the same way
    worst = np.minimum(np.minimum(inside, outside), shared / (2 * h * w - shared))
    np.testing.assert_allclose(worst, overlap, rtol=1e-12)


def test_boxes_of_a_stretched_grid_end_at_its_border():
    # 1.5..9 by 3.25..8.5 on a grid of 8: 6.5 by 4.75 in it, as 7 by 5 with an exact radius of 1.30.
    boxes, of_one = np.array([[1.5, 3.25, 9, 8.5]]), np.zeros(1, int)
    (table,) = object_tables(
        boxes, of_one, of_one, images=1, grid_size=(8, 8), max_objs=1, task=corners.TASK
    )
    np.testing.assert_array_equal(table[0], [4, 5, 0.75, 0.625, 6.5, 4.75, 1, 0])


def test_a_row_holds_cell_offset_size_radius_and_class():
    # 2.5..12.0 by 3.25..13.0: centre (7.25, 8.125), sides 9.5 and 9.75, as 10 by 10 radius 2.
    table = object_table(np.array([[2.5, 3.25, 12.0, 13.0]]), np.array([17]), (32, 40), 2)
    assert table.dtype == np.float32
    np.testing.assert_array_equal(table[0], [7, 8, 0.25, 0.125, 9.5, 9.75, 2, 17])


def test_padding_rows_have_class_minus_one_and_zeros():
    table = object_table(np.zeros((0, 4)), np.zeros(0, int), (32, 32), 3)
    np.testing.assert_array_equal(table, [[0, 0, 0, 0, 0, 0, 0, -1]] * 3)


def test_boxes_are_clipped_to_the_last_cell_before_their_centre_is_taken():
    # -4..6 by 30..50 on 32x40 (height x width): 0..6 by 30..31.
    table = object_table(np.array([[-4.0, 30, 6, 50]]), np.array([0]), (32, 40), 1)
    np.testing.assert_array_equal(table[0, :6], [3, 30, 0, 0.5, 6, 1])
    table = object_table(np.array([[30.0, -4, 50, 6]]), np.array([0]), (32, 40), 1)
    np.testing.assert_array_equal(table[0, :6], [34, 3, 0.5, 0, 9, 6])


@pytest.mark.parametrize(
    "box",
    [
        [-9, 2, -1, 8],  # left of the 40 wide, 32 high grid: 0..0
        [41, 2, 50, 8],  # right: 39..39
        [39, 2, 60, 8],  # only its edge on the last column
        [4, 3, 4, 9],  # never had any
    ],
)
def test_an_object_without_width_is_dropped_though_it_has_height(box):
    table = object_table(np.array([box], float), np.array([0]), (32, 40), 1)
    np.testing.assert_array_equal(table, [[0, 0, 0, 0, 0, 0, 0, -1]])


@pytest.mark.parametrize(
    "box",
    [
        [2, -9, 8, -1],  # above: 0..0
        [2, 33, 8, 50],  # below: 31..31
        [2, 31, 8, 60],  # only its edge on the last row
        [3, 4, 9, 4],  # never had any
    ],
)
def test_an_object_without_height_is_dropped_though_it_has_width(box):
    table = object_table(np.array([box], float), np.array([0]), (32, 40), 1)
    np.testing.assert_array_equal(table, [[0, 0, 0, 0, 0, 0, 0, -1]])


def test_objects_that_vanish_are_dropped_and_leave_no_gap():
    boxes = np.array(
        [
            [-9.0, 2, -1, 8],  # left of the grid
            [1, 1, 5, 5],
            [31, 3, 60, 9],  # only its edge on the last column
            [4, 4, 4, 9],  # no width
            [2, 3, 8, 7],
        ]
    )
    table = object_table(boxes, np.arange(5), (32, 32), 4)
    np.testing.assert_array_equal(table[:, 7], [1, 4, -1, -1])
    np.testing.assert_array_equal(table[1, :2], [5, 5])


def test_objects_beyond_max_objs_are_left_out_in_order():
    boxes = np.tile([[2.0, 2, 6, 6]], (5, 1)) + np.arange(5)[:, None]
    table = object_table(boxes, np.arange(5), (32, 32), 3)
    np.testing.assert_array_equal(table[:, 7], [0, 1, 2])


def test_a_dropped_object_does_not_use_up_a_row():
    boxes = np.array([[-5.0, 0, -1, 4], [1, 1, 3, 3], [2, 2, 4, 4]])
    np.testing.assert_array_equal(object_table(boxes, np.arange(3), (8, 8), 2)[:, 7], [1, 2])


def test_centres_a_rounding_below_an_integer_stay_inside_the_grid_and_the_offset_below_one():
    # (0 + 15.99999999) / 2 is 8 in float32 and 7 in float64.
    table = object_table(np.array([[0.0, 0, 15.99999999, 15.99999999]]), np.array([0]), (17, 17), 1)
    assert (table[0, 2:4] >= 0).all() and (table[0, 2:4] < 1).all()
    np.testing.assert_allclose(table[0, :2] + table[0, 2:4], 8, atol=1e-6)


def test_tables_of_random_boxes_are_those_of_a_plain_loop():
    random = np.random.default_rng(4)
    height, width = 40, 56
    for count in (0, 1, 7, 30):
        low = random.uniform(-20, 60, (count, 2))
        boxes = np.concatenate([low, low + random.uniform(-1, 40, (count, 2))], axis=1)
        classes = random.integers(0, 80, count)
        expected = []
        for (x1, y1, x2, y2), label in zip(boxes, classes, strict=True):
            x1, x2 = (min(max(x, 0), width - 1) for x in (x1, x2))
            y1, y2 = (min(max(y, 0), height - 1) for y in (y1, y2))
            if x2 <= x1 or y2 <= y1 or len(expected) == 12:
                continue
            radius = int(reference.gaussian_radius(np.ceil(y2 - y1), np.ceil(x2 - x1)))
            x, y = (x1 + x2) / 2, (y1 + y2) / 2
            expected.append((int(x), int(y), x % 1, y % 1, x2 - x1, y2 - y1, radius, label))
        expected += [(0, 0, 0, 0, 0, 0, 0, -1)] * (12 - len(expected))
        table = object_table(boxes, classes, (height, width), 12)
        np.testing.assert_allclose(table, expected, atol=1e-5)


def test_the_boxes_of_a_table_are_those_it_was_made_of():
    boxes = np.array([[2.0, 3.0, 9.5, 7.25], [0.0, 0.0, 20.0, 30.0]])
    table = object_table(boxes, np.array([4, 1]), (32, 32), 5)
    expected = np.column_stack([boxes, [4, 1]])
    np.testing.assert_allclose(table_boxes(table), expected, atol=1e-6)


def test_the_tables_of_a_batch_are_those_of_its_images():
    random = np.random.default_rng(11)
    counts = [3, 0, 12, 1, 0]  # images without boxes, and one with more than fit
    low = random.uniform(-10, 40, (sum(counts), 2))
    boxes = np.concatenate([low, low + random.uniform(-1, 30, (sum(counts), 2))], axis=1)
    classes, image = random.integers(0, 9, sum(counts)), np.repeat(np.arange(5), counts)
    tables = object_tables(boxes, classes, image, images=5, grid_size=(32, 40), max_objs=6)
    assert tables.shape == (5, 6, 8) and tables.dtype == np.float32
    for index in range(5):
        own = image == index
        np.testing.assert_array_equal(
            tables[index], object_table(boxes[own], classes[own], (32, 40), 6)
        )
