# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""From detections to an image's boxes."""

from dataclasses import replace

import numpy as np
import pytest

from src.data import geometry
from src.evaluation.postprocess import PostProcessing, soft_nms, to_image
from src.models.network import WithDecode
from src.models.tasks.corners import Decode
from src.tasks.columns import NO_OBJECT
from tests import reference
from tests.helpers import run
from tests.test_corners import Given, planted, published, stored


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


# --- pairs of corners ---------------------------------------------------------------------------


def mmcv(detections: np.ndarray) -> np.ndarray:
    """mmcv's batched_nms by soft_nms, Gaussian, in float32: classes are moved apart."""
    offset = np.float32(detections[:, :4].max() + 1)
    pool = [
        (row[:4] + row[5] * offset, np.float32(row[4]), place)
        for place, row in enumerate(detections.astype(np.float32))
    ]
    taken = []
    while pool:
        top, score, place = pool.pop(max(range(len(pool)), key=lambda index: pool[index][1]))
        taken.append([*detections[place, :4], score, detections[place, 5]])
        left = []
        for box, other, index in pool:
            width = max(np.float32(0), min(top[2], box[2]) - max(top[0], box[0]))
            height = max(np.float32(0), min(top[3], box[3]) - max(top[1], box[1]))
            areas = (top[2] - top[0]) * (top[3] - top[1]) + (box[2] - box[0]) * (box[3] - box[1])
            iou = width * height / (areas - width * height)
            other = np.float32(other * np.exp(-(iou**2) / np.float32(0.5)))
            if other >= 0.001:
                left.append((box, other, index))
        pool = left
    return np.array(taken)


def test_soft_nms_of_random_boxes_is_mmcvs():
    random = np.random.default_rng(0)
    for count in (1, 2, 30, 60):
        low = random.uniform(0, 60, (count, 2))
        boxes = np.concatenate([low, low + random.uniform(1, 50, (count, 2))], axis=1)
        scores = random.permutation(np.linspace(0.0004, 0.95, count))
        rows = np.column_stack([boxes, scores, random.integers(0, 3, count)]).astype(np.float32)
        found = soft_nms(rows, form="mmcv")
        np.testing.assert_allclose(found, mmcv(rows), rtol=1e-5, atol=1e-5)
        assert count < 30 or len(found) < count
        few = soft_nms(rows, form="mmcv", kept=5)
        np.testing.assert_array_equal(few, found[:5])


def in_any_order(rows: np.ndarray) -> np.ndarray:
    return rows[np.lexsort(rows[:, [3, 2, 1, 0, 5]].round(2).T)]


PAIRS = PostProcessing(soft_nms=True, kept=100, down_ratio=1, form="mmcv", pairs=True)


@pytest.mark.parametrize("as_mmcv", [True, False])
def test_pairs_of_both_views_are_merged_as_mmdetection_does(as_mmcv):
    """Scores differ by 1e-5, or 2e-5 where classes are not moved apart in float32 as there."""
    values = stored("decode_mmdet_cornernet")
    plain, mirrored = values["plain_pairs"], values["mirrored_pairs"].copy()
    mirrored[:, [0, 2]] = 243 - mirrored[:, [2, 0]]  # the image's width
    if as_mmcv:
        views = [mmcv(view)[:100] for view in (plain, mirrored)]
        (of_one, merged), atol = (views[0], mmcv(np.concatenate(views))[:100]), 1e-5
    else:
        none = np.full((1000, 6), NO_OBJECT, np.float32)
        rows = [np.concatenate([view, none])[:1000] for view in (plain, mirrored)]
        of_one = PAIRS(rows[:1], [np.eye(2, 3)], (250, 243))
        merged = replace(PAIRS, views=2)([np.concatenate(rows)], [np.eye(2, 3)], (250, 243))
        atol = 2e-5
    for found, name in ((of_one, "plain_dets_image"), (merged, "dets_tta")):
        found, expected = in_any_order(found), in_any_order(values[name])
        np.testing.assert_array_equal(found[:, 5], expected[:, 5])
        np.testing.assert_allclose(found[:, :4], expected[:, :4], atol=1e-3)
        np.testing.assert_allclose(found[:, 4], expected[:, 4], rtol=0, atol=atol)


def test_boxes_of_maps_are_those_that_mmdetection_finds_by_its_flip_test():
    values = stored("decode_mmdet_cornernet")
    maps = zip(planted(values, "plain"), planted(values, "mirrored"), strict=True)
    decode = Decode(published().net_config, 80, 1000, flip_test=True)
    network = WithDecode(Given(list(map(np.concatenate, maps))), decode, None, stretched_from=4)
    (found,) = run(network, np.zeros((1, 3, 255, 255), np.float32))
    affine = np.array([[1.0, 0, 6], [0, 1.0, 2]])  # as test_geometry has it
    post_process = replace(PAIRS, down_ratio=4, views=2)
    merged = in_any_order(post_process(found, [affine], (250, 243)))
    expected = in_any_order(values["dets_tta"])
    np.testing.assert_allclose(merged[:, [0, 1, 2, 3, 5]], expected[:, [0, 1, 2, 3, 5]], atol=1e-3)
    np.testing.assert_allclose(merged[:, 4], expected[:, 4], rtol=0, atol=2e-5)


def test_views_have_a_soft_nms_of_their_own_and_scales_are_views():
    # The first view holds a box twice, the second once: 0.9 · exp(-2) of its own view, then both
    # lose to the other view's.
    rows = np.array([[8, 8, 16, 16, 0.9, 0], [8, 8, 16, 16, 0.8, 0], [8, 8, 16, 16, 0.7, 0]])
    rows = np.concatenate([rows, [[0, 0, 0, 0, NO_OBJECT, 0]]]).astype(np.float32)
    scores = [0.9, 0.7 * np.exp(-2), 0.8 * np.exp(-4 - 2)]
    for one_by_one in (
        replace(PAIRS, views=2)([rows], [np.eye(2, 3)], (50, 50)),
        PAIRS(
            [rows[:2], rows[2:] / [2, 2, 2, 2, 1, 1]], [np.eye(2, 3), np.eye(2, 3) / 2], (50, 50)
        ),
    ):
        np.testing.assert_allclose(one_by_one[:, 4], scores, rtol=1e-5)
        np.testing.assert_allclose(one_by_one[:, :4], [[8, 8, 16, 16]] * 3)
    together = PAIRS([rows], [np.eye(2, 3)], (50, 50))
    np.testing.assert_allclose(together[:, 4], [0.9, 0.8 * np.exp(-2), 0.7 * np.exp(-4)], rtol=1e-5)


def test_pairs_end_at_the_top_and_left_and_none_is_without_sides():
    rows = [[-3, -4, 5, 60, 0.5, 1], [-9, 0, -1, 5, 0.9, 1], [0, 0, 5, 5, NO_OBJECT, 0]]
    found = PAIRS([np.array(rows, np.float32)], [np.eye(2, 3)], (50, 50))
    np.testing.assert_array_equal(found, [[0, 0, 5, 60, 0.5, 1]])
    # Of the mirrored image, mirrored back: they end at the right.
    views = np.array([rows[2], rows[2], [-3, -4, 55, 60, 0.5, 1], [51, 0, 59, 5, 0.9, 1]])
    found = replace(PAIRS, views=2)([views.astype(np.float32)], [np.eye(2, 3)], (99, 50))
    np.testing.assert_array_equal(found, [[-3, 0, 50, 60, 0.5, 1]])
    assert PAIRS([np.array(rows[1:], np.float32)], [np.eye(2, 3)], (50, 50)).shape == (0, 6)
