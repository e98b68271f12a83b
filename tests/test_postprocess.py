# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""From detections to an image's boxes."""

import numpy as np
import pytest

from src.data import geometry
from src.evaluation.postprocess import PostProcessing, soft_nms, to_image
from tests import reference


def random_detections(random: np.random.Generator, count: int) -> np.ndarray:
    """Crowded boxes of two classes, some turned inside out; scores all different."""
    low = random.uniform(0, 60, (count, 2))
    boxes = np.concatenate([low, low + random.uniform(-3, 50, (count, 2))], axis=1)
    score = random.permutation(np.linspace(0.0005, 0.95, count))
    return np.column_stack([boxes, score, random.integers(0, 2, count)]).astype(np.float32)


def test_soft_nms_of_random_boxes_is_the_originals_class_by_class():
    random = np.random.default_rng(0)
    dropped = rescored = 0
    for _ in range(200):
        detections = random_detections(random, int(random.integers(1, 24)))
        before = detections.copy()
        found = soft_nms(detections)
        np.testing.assert_array_equal(detections, before)
        for label in (0, 1):
            own = detections[detections[:, 5] == label]
            expected = reference.soft_nms(own[:, :5])
            kept = found[found[:, 5] == label]
            assert len(kept) == len(expected)
            np.testing.assert_allclose(kept[:, :4], expected[:, :4], rtol=1e-6)
            np.testing.assert_allclose(kept[:, 4], expected[:, 4], rtol=1e-4, atol=1e-7)
            dropped += len(own) - len(kept)
            rescored += len(np.setdiff1d(kept[:, 4], own[:, 4]))
    assert dropped > 50 and rescored > 1000


def test_soft_nms_by_hand():
    # A box on itself has IoU 1: exp(-1 / 0.5) = 0.1353. The distant one and the other class stay.
    rows = [
        [0, 0, 9, 9, 0.8, 3],
        [0, 0, 9, 9, 0.9, 3],
        [50, 50, 60, 60, 0.0004, 3],
        [0, 0, 9, 9, 0.7, 4],
        [0, 0, 9, 9, 0.007, 3],
    ]
    found = soft_nms(np.array(rows))
    expected = [rows[1], rows[3], [0, 0, 9, 9, 0.8 * np.exp(-2), 3], rows[2]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_soft_nms_counts_both_border_pixels():
    # 0..9 is ten pixels wide; 9..18 shares one column of ten with it: IoU 10 / 190.
    found = soft_nms(np.array([[0, 0, 9, 9, 0.9, 0], [9.0, 0, 18, 9, 0.8, 0]]))
    assert found[1, 4] == pytest.approx(0.8 * np.exp(-((1 / 19) ** 2) / 0.5))


@pytest.mark.parametrize("does_soft_nms", [False, True])
def test_rows_without_an_object_are_left_out(does_soft_nms):
    rows = np.array([[0, 0, 1, 1, 0.5, 2], [3, 3, 1, 1, -1, 1], [0, 0, 1, 1, 0, 0]], np.float32)
    found = PostProcessing(does_soft_nms, 3, 1)([rows], [np.eye(2, 3)], (9, 9))
    np.testing.assert_array_equal(found, rows[[0, 2]])
    assert PostProcessing(does_soft_nms, 3, 1)([rows[1:2]], [np.eye(2, 3)], (9, 9)).shape == (0, 6)


def test_soft_nms_of_nothing_is_nothing():
    assert soft_nms(np.zeros((0, 6), np.float32)).shape == (0, 6)


@pytest.mark.parametrize("scale", [1.0, 0.75])
@pytest.mark.parametrize("keep_res", [True, False])
def test_boxes_come_back_to_the_image_that_was_warped(keep_res, scale):
    random = np.random.default_rng(1)
    image = np.zeros((333, 500, 3), np.uint8)
    _, affine = geometry.InputGeometry(keep_res, 127, (256, 256))(image, scale)
    low = random.uniform(0, 300, (20, 2))
    boxes = np.concatenate([low, low + random.uniform(1, 200, (20, 2))], axis=1)
    rest = np.column_stack([random.uniform(size=20), np.arange(20)])
    # Forward in plain terms: both corners through the affine, then to the output grid.
    low = boxes[:, :2] @ affine[:, :2].T + affine[:, 2]
    high = boxes[:, 2:] @ affine[:, :2].T + affine[:, 2]
    detections = np.column_stack([low / 4, high / 4, rest])
    before = detections.copy()
    np.testing.assert_allclose(
        to_image(detections, affine, 4), np.column_stack([boxes, rest]), atol=1e-6
    )
    np.testing.assert_array_equal(detections, before)


# Two scales of one image: input pixel = image pixel, and half of it plus 8.
SIZE = (230, 300)
AFFINES = [np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.array([[0.5, 0, 8], [0, 0.5, 8]])]


def test_scales_are_merged_on_the_image_and_the_best_k_kept():
    # Both see the box 40 40 80 80; each sees one more.
    first = np.array([[0, 0, 5, 5, 0.3, 1], [10, 10, 20, 20, 0.9, 0]], np.float32)
    second = np.array([[7, 7, 12, 12, 0.8, 0], [27, 27, 32, 32, 0.5, 1]], np.float32)
    merged = PostProcessing(soft_nms=False, kept=3, down_ratio=4)([first, second], AFFINES, SIZE)
    # 4 * 27 is 108, minus 8, doubled: 200; 4 * 7 is 28: 40. The repeated box is rescored to 0.108.
    expected = [[40, 40, 80, 80, 0.9, 0], [200, 200, 240, 240, 0.5, 1], [0, 0, 20, 20, 0.3, 1]]
    np.testing.assert_allclose(merged, expected, rtol=1e-6)
    assert merged.dtype == np.float32
    clips = PostProcessing(soft_nms=False, kept=3, down_ratio=4, clip_boxes=True)
    (clipped,) = clips([second], AFFINES[1:], SIZE)[1:]
    np.testing.assert_allclose(clipped, [200, 200, 240, 230, 0.5, 1], rtol=1e-6)
    four = PostProcessing(soft_nms=False, kept=9, down_ratio=4)([first, second], AFFINES, SIZE)
    np.testing.assert_allclose(four[3], [40, 40, 80, 80, 0.8 * np.exp(-2), 0], rtol=1e-5)


def test_points_go_with_their_boxes_through_scales_and_soft_nms():
    """As the original's soft_nms_39 has it: boxes are compared, points stay with theirs."""
    random, image = np.random.default_rng(3), []
    for _ in range(12):  # on the image: crowded boxes, their points, scores of points
        low = random.uniform(0, 60, 2)
        points = np.column_stack([random.uniform(-20, 150, (3, 2)), random.random(3)])
        image.append(
            [*low, *(low + random.uniform(20, 60, 2)), random.random(), 0, *points.ravel()]
        )
    image = np.array(image)
    detections = []
    for rows, affine in zip((image[:6], image[6:]), AFFINES, strict=True):
        on_grid = rows.copy()
        for x in (0, 2, 6, 9, 12):
            on_grid[:, x : x + 2] = (rows[:, x : x + 2] @ affine[:, :2].T + affine[:, 2]) / 4
        detections.append(on_grid.astype(np.float32))
    merged = PostProcessing(soft_nms=False, kept=10, down_ratio=4)(detections, AFFINES, SIZE)
    expected = reference.soft_nms(image[:, :5].astype(np.float32))
    assert merged.shape == (10, 15)
    for row in merged:
        own = np.abs(image[:, :4] - row[:4]).sum(axis=1).argmin()
        np.testing.assert_allclose(row[6:], image[own, 6:], rtol=1e-4, atol=1e-4)
        (rescored,) = expected[np.abs(expected[:, :4] - row[:4]).sum(axis=1) < 1e-3]
        assert row[4] == pytest.approx(rescored[4], rel=1e-4)
    assert (merged[:, 4] < np.sort(image[:, 4])[::-1][:10] - 1e-3).any()  # some were rescored


@pytest.mark.parametrize(("on", "second_score"), [(False, 0.8), (True, 0.8 * np.exp(-2))])
def test_soft_nms_of_a_single_scale_is_optional(on, second_score):
    detections = np.array([[0, 0, 5, 5, 0.8, 1], [0, 0, 5, 5, 0.9, 1]], np.float32)
    found = PostProcessing(soft_nms=on, kept=5, down_ratio=4)([detections], AFFINES[:1], SIZE)
    np.testing.assert_allclose(found[:, 4], [0.9, second_score], rtol=1e-6)
    np.testing.assert_allclose(found[:, :4], [[0, 0, 20, 20]] * 2)
