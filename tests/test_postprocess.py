# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""From detections to an image's boxes, COCO results and AP."""

import json

import numpy as np
import pytest

from src.data import geometry
from src.evaluation.coco_results import average_precision, category_ids, to_results
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
AFFINES = [np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.array([[0.5, 0, 8], [0, 0.5, 8]])]


def test_scales_are_merged_on_the_image_and_the_best_k_kept():
    # Both see the box 40 40 80 80; each sees one more.
    first = np.array([[0, 0, 5, 5, 0.3, 1], [10, 10, 20, 20, 0.9, 0]], np.float32)
    second = np.array([[7, 7, 12, 12, 0.8, 0], [27, 27, 32, 32, 0.5, 1]], np.float32)
    merged = PostProcessing(soft_nms=False, k=3, down_ratio=4)([first, second], AFFINES)
    # 4 * 27 is 108, minus 8, doubled: 200; 4 * 7 is 28: 40. The repeated box is rescored to 0.108.
    expected = [[40, 40, 80, 80, 0.9, 0], [200, 200, 240, 240, 0.5, 1], [0, 0, 20, 20, 0.3, 1]]
    np.testing.assert_allclose(merged, expected, rtol=1e-6)
    assert merged.dtype == np.float32
    four = PostProcessing(soft_nms=False, k=9, down_ratio=4)([first, second], AFFINES)
    np.testing.assert_allclose(four[3], [40, 40, 80, 80, 0.8 * np.exp(-2), 0], rtol=1e-5)


@pytest.mark.parametrize(("on", "second_score"), [(False, 0.8), (True, 0.8 * np.exp(-2))])
def test_soft_nms_of_a_single_scale_is_optional(on, second_score):
    detections = np.array([[0, 0, 5, 5, 0.8, 1], [0, 0, 5, 5, 0.9, 1]], np.float32)
    found = PostProcessing(soft_nms=on, k=5, down_ratio=4)([detections], AFFINES[:1])
    np.testing.assert_allclose(found[:, 4], [0.9, second_score], rtol=1e-6)
    np.testing.assert_allclose(found[:, :4], [[0, 0, 20, 20]] * 2)


def test_category_ids_are_the_inverse_of_the_classes():
    assert category_ids({90: 0, 1: 3, 7: 2}, 4) == [90, -1, 7, 1]


def test_results_are_xywh_with_category_ids_and_leave_out_classes_the_set_lacks():
    boxes = np.array([[10, 20, 15, 40, 0.25, 2], [0, 0, 1, 1, 0.9, 1]], np.float32)
    results = to_results(42, boxes, [90, -1, 7])
    assert results == [
        {"image_id": 42, "category_id": 7, "bbox": [10.0, 20.0, 5.0, 20.0], "score": 0.25}
    ]
    json.dumps(results)  # plain numbers only


BOXES = {1: [10.0, 10.0, 40.0, 50.0], 2: [5.0, 5.0, 100.0, 120.0]}  # image id: xywh


@pytest.fixture
def ground_truth(tmp_path):
    annotations = [
        {"id": i, "image_id": i, "category_id": 3, "bbox": box, "area": box[2] * box[3],
         "iscrowd": 0}
        for i, box in BOXES.items()
    ]  # fmt: skip
    content = {
        "images": [{"id": i, "width": 200, "height": 200, "file_name": f"{i}.jpg"} for i in BOXES],
        "annotations": annotations,
        "categories": [{"id": 3, "name": "cat"}],
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(content))
    return path


def results_of(*image_ids: int) -> list[dict]:
    rows = {i: (*BOXES[i][:2], *np.add(BOXES[i][:2], BOXES[i][2:])) for i in image_ids}
    return [r for i, row in rows.items() for r in to_results(i, np.array([[*row, 0.9, 0]]), [3])]


def test_perfect_results_have_ap_one(ground_truth, capsys):
    stats, table = average_precision(ground_truth, results_of(1, 2), [1, 2])
    assert len(stats) == 12
    assert stats[:3] == pytest.approx(1.0)
    assert len(table.splitlines()) == 12 and "Average Precision" in table
    assert capsys.readouterr().out == ""


def test_no_results_have_ap_zero(ground_truth):
    stats, table = average_precision(ground_truth, [], [1, 2])
    assert stats[:3] == pytest.approx(0.0) and stats[8] == 0
    assert len(table.splitlines()) == 12


def test_only_the_images_asked_for_count(ground_truth):
    # Image 2 has no result: half the recall, or none missing when only image 1 counts.
    assert average_precision(ground_truth, results_of(1), [1])[0][0] == pytest.approx(1.0)
    # Precision is 1 at the 51 of 101 recall levels up to one half.
    both = average_precision(ground_truth, results_of(1), [1, 2])[0][0]
    assert both == pytest.approx(51 / 101)
