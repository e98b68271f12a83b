# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""From heads to boxes."""

import numpy as np
import pytest

from src.evaluation.postprocess import PostProcessing
from src.model_utils.networks import ResNetConfig
from src.models.network import WithDecode
from src.models.peaks import Largest3x3, TopPeaks
from src.models.tasks.boxes import Decode
from tests import reference
from tests.helpers import GivenHeads, run, tensorflow_maps, tensorflow_stored

CLASSES, HEIGHT, WIDTH = 3, 9, 11
PLAIN = ResNetConfig()


def heads(batch: int, wh_channels: int = 2) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    shapes = [(CLASSES, -2, 2), (wh_channels, 4, 2), (2, 0.5, 0.3)]
    return [
        random.normal(mean, std, (batch, channels, HEIGHT, WIDTH)).astype(np.float32)
        for channels, mean, std in shapes
    ]


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def check(found: np.ndarray, expected: np.ndarray) -> None:
    """Rows of one image; those of score 0 hold no box, and their order is free."""
    assert found.shape == expected.shape
    count = int((expected[:, 4] > 0).sum())
    assert count > 10 and len(np.unique(expected[:count, 4])) == count
    np.testing.assert_allclose(found[:count], expected[:count], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found[count:, 4], 0)


def decode(net: ResNetConfig, k: int, *maps: np.ndarray) -> list[np.ndarray]:
    return run(Decode(net, CLASSES, k), *maps)


@pytest.mark.parametrize(("batch", "k"), [(1, 12), (2, 12), (2, 99)])
def test_boxes_are_the_best_peaks_of_each_image(batch, k):
    hm, wh, reg = heads(batch)
    (found,) = decode(PLAIN, k, hm, wh, reg)
    assert found.dtype == np.float32 and found.shape == (batch, k, 6)
    for b in range(batch):
        check(found[b], reference.decode(sigmoid(hm[b]), wh[b], reg[b], k))


@pytest.mark.parametrize("size", [(9, 11), (2, 2), (1, 5), (4, 1), (1, 1)])
def test_the_largest_of_each_neighbourhood_is_exact(size):
    maps = np.random.default_rng(0).normal(size=(2, 3, *size)).astype(np.float32)
    padded = np.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    (found,) = run(Largest3x3(), maps)
    np.testing.assert_array_equal(found, windows.max(axis=(4, 5)))


@pytest.mark.parametrize(
    ("shape", "k"), [((2, 3, 9, 11), 5), ((2, 3, 2, 2), 11), ((1, 1, 3, 3), 9)]
)
def test_top_peaks_are_the_largest_of_all_classes(shape, k):
    random = np.random.default_rng(1)
    maps = np.stack([random.permutation(np.prod(shape[1:])) for _ in range(shape[0])])
    order = np.argsort(-maps)[:, :k]
    area = shape[2] * shape[3]
    score, class_index, cell = run(TopPeaks(k), maps.reshape(shape).astype(np.float32))
    np.testing.assert_array_equal(score, np.take_along_axis(maps, order, 1))
    np.testing.assert_array_equal(class_index, order // area)
    np.testing.assert_array_equal(cell, order % area)


def test_heads_in_float16_are_decoded_in_float32():
    heads_16 = [head.astype(np.float16) for head in heads(1)]
    (found,) = decode(PLAIN, 12, *heads_16)
    hm, wh, reg = (head[0].astype(np.float64) for head in heads_16)
    check(found[0], reference.decode(sigmoid(hm), wh, reg, 12))


def test_without_offsets_a_box_sits_in_the_middle_of_its_cell():
    hm, wh, _ = heads(2)
    (found,) = decode(PLAIN, 15, hm, wh)
    middle = np.full((2, HEIGHT, WIDTH), 0.5)
    for b in range(2):
        check(found[b], reference.decode(sigmoid(hm[b]), wh[b], middle, 15))


def test_category_specific_sizes_are_read_from_the_channels_of_the_class():
    hm, wh, reg = heads(2, 2 * CLASSES)
    (found,) = decode(ResNetConfig(cat_spec_wh=True), 15, hm, wh, reg)
    for b in range(2):
        # Decoded once for the sizes of each class; rows of that class are then right.
        own = [
            reference.decode(sigmoid(hm[b]), wh[b, 2 * c : 2 * c + 2], reg[b], 15)
            for c in range(CLASSES)
        ]
        expected = np.array([own[int(row[5])][i] for i, row in enumerate(own[0])])
        assert len(np.unique(expected[:, 5])) == CLASSES
        check(found[b], expected)


def test_heat_maps_trained_by_mean_squares_are_clipped_instead_of_squashed():
    random = np.random.default_rng(8)
    hm = random.uniform(-0.5, 0.9, (1, CLASSES, HEIGHT, WIDTH)).astype(np.float32)
    hm[0, 1, 4, 4] = 1.7
    _, wh, reg = heads(1)
    (found,) = decode(ResNetConfig(mse_loss=True), 20, hm, wh, reg)
    assert found[0, 0, 4] == 1.0
    check(found[0], reference.decode(hm[0].clip(0, 1), wh[0], reg[0], 20))


@pytest.mark.parametrize("flip_test", [False, True])
def test_one_number_that_is_not_finite_in_any_head_leaves_its_image_no_score(flip_test: bool):
    """Not beside a peak: a sigmoid makes 1 of infinity, and TopK may pass over NaN."""
    decode = Decode(PLAIN, CLASSES, 12, flip_test)
    sound = heads(4)
    for head, place in enumerate(((1, 0, 0, 0), (3 if flip_test else 1, 1, 8, 10), (1, 0, 4, 4))):
        for value in (np.nan, np.inf, -np.inf):
            odd = [values.copy() for values in sound]
            odd[head][place] = value
            (found,) = run(decode, *odd)
            assert np.isnan(found[1, :, 4]).all()
            assert np.isfinite(np.delete(found, 1, axis=0)).all()


def test_one_box_by_hand():
    # Class 2 at row 3, column 5, offset (0.25, 0.5), 4 wide and 2 high; logit 0 is 0.5.
    hm = np.full((1, CLASSES, HEIGHT, WIDTH), -20, np.float32)
    hm[0, 2, 3, 5] = 0
    hm[0, 2, 3, 6] = hm[0, 2, 2, 4] = -1  # its neighbours are no peaks
    wh, reg = np.zeros((2, 1, 2, HEIGHT, WIDTH), np.float32)
    wh[0, :, 3, 5], reg[0, :, 3, 5] = (4, 2), (0.25, 0.5)
    (found,) = decode(PLAIN, 4, hm, wh, reg)
    np.testing.assert_allclose(found[0, 0], [3.25, 2.5, 7.25, 4.5, 0.5, 2], atol=1e-6)
    assert found[0, 1, 4] < 1e-6


def test_the_detector_decodes_what_its_network_puts_out_in_one_graph():
    hm, wh, reg = heads(1)
    detector = WithDecode(GivenHeads(hm, wh, reg), Decode(PLAIN, CLASSES, 12), None)
    (found,) = run(detector, np.zeros((1, 3, 36, 44), np.float32))
    check(found[0], reference.decode(sigmoid(hm[0]), wh[0], reg[0], 12))


@pytest.mark.parametrize("case", ["c90", "c1"])
def test_boxes_as_tensorflow_decodes_them(case):
    stored = tensorflow_stored("decode")
    classes, rows = (90, 100) if case == "c90" else (1, 20)
    maps = []
    for head, channels, mean, std in (
        ("object_center", classes, -5, 0.5), ("box/scale", 2, 4, 2), ("box/offset", 2, 0.5, 0.25),
    ):  # fmt: skip
        made = tensorflow_maps(f"decode/{case}/{head}", channels, mean, std)
        image, y, x, channel = stored[f"{case}/edit/{head}/index"].T
        made[image, channel, y, x] = stored[f"{case}/edit/{head}/value"]
        maps.append(made if head == "object_center" else made[:, ::-1].copy())
    for hm, (height, width, _) in zip(maps[0], stored["true_shapes"], strict=True):
        hm[:, height:], hm[:, :, width:] = (
            -100,
            -100,
        )  # TensorFlow's mask, by pixels instead of cells
    net = ResNetConfig(clip_boxes=True)
    (found,) = run(Decode(net, classes, rows), *maps)
    (plain,) = run(Decode(PLAIN, classes, rows), *maps)
    assert np.abs(plain - found).max() > 0.1
    for b in range(3):
        scores = stored[f"{case}/det/detection_scores"][b]
        np.testing.assert_allclose(found[b, :, 4], scores, rtol=0, atol=1e-6)
        height, width, _ = stored["true_shapes"][b]
        on_grid = stored[f"{case}/det/detection_boxes_strided"][b][:, [1, 0, 3, 2]]
        in_image = stored[f"{case}/det/detection_boxes"][b][:, [1, 0, 3, 2]]
        labels = stored[f"{case}/det/detection_classes"][b]
        # Of the image, as if it had been placed in the corner without a resize.
        post_process = PostProcessing(False, rows, 4, clip_boxes=True)
        pixels = post_process([found[b]], [np.eye(2, 3)], (height, width))
        # Of equal scores TensorFlow takes the first cell first, here it is the first class.
        for i, (score, label) in enumerate(zip(scores, labels, strict=True)):
            same = np.flatnonzero(
                (np.abs(found[b, :, 4] - score) < 1e-6) & (found[b, :, 5] == label)
            )
            far = np.abs(found[b, same, :4] - on_grid[i]).max(axis=1)
            assert far.min() * 4 < 1e-4
            far = np.abs(pixels[same, :4] - in_image[i] * np.array([width, height] * 2)).max(axis=1)
            assert far.min() < 1e-4
