# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Whole training samples: encoded image and boxes to warped image and object table."""

from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import cv2
import numpy as np
import pytest

from src.data.images import decoder
from src.data.loader import SOURCE_COLUMNS, SampleMaker
from src.model_utils.parameters import DatasetConfig
from src.tasks.boxes import TASK
from tests.helpers import random_affine

STILL = DatasetConfig(rand_crop=False, shift=0.0, scale=0.0, aug_rot=0.0, rotate=0.0, flip_prop=0.0)
FLIP = DatasetConfig(rand_crop=False, shift=0.0, scale=0.0, aug_rot=0.0, rotate=0.0, flip_prop=1.0)
CROP = DatasetConfig(rand_crop=True, shift=0.1, scale=0.4, aug_rot=0.0, rotate=0.0, flip_prop=0.5)


def sample(
    random: np.random.Generator,
    encoded: bytes,
    boxes: list[list[float]],
    side: int,
    augmentation: DatasetConfig,
) -> tuple[np.ndarray, np.ndarray]:
    """Image (side,side,3) and object table (8,8) of classes 0, 1, ... on a grid of side / 4."""
    sizes = {"input_res_train": [side, side], "output_res": [side // 4, side // 4]}
    maker = SampleMaker(
        augmentation.model_copy(update={**sizes, "color_aug": False, "max_objs": 8}),
        TASK, decoder("cv2"), 4, "set", seed=0, rank=0, first_epoch=0, first_batch=0,
        pool=ThreadPoolExecutor(2),
    )  # fmt: skip
    size = np.array(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR).shape[:2])
    columns = (
        np.int64(1),
        size,
        np.bytes_(encoded),
        np.array(boxes, np.float32),
        np.arange(len(boxes)),
    )
    columns = dict(zip(SOURCE_COLUMNS, ([column] for column in columns), strict=True))
    images, _, tables = maker.samples(random, columns)
    return images[0], tables[0]


def png(height: int, width: int) -> tuple[np.ndarray, bytes]:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return image, cv2.imencode(".png", image)[1].tobytes()


def test_a_flip_by_hand():
    # 64 by 32 in the middle of 64 by 64. Column x is 63 - x after the flip; the middle 32 is then
    # 31, which goes to 32: x goes to 64 - x, and y to y + 16.
    image, encoded = png(32, 64)
    warped, table = sample(
        np.random.default_rng(0), encoded, [[8, 0, 24, 32], [0, 4, 4, 8]], 64, FLIP
    )
    expected = np.zeros((64, 64, 3), np.uint8)
    expected[16:48, 1:] = image[:, :0:-1]
    np.testing.assert_array_equal(warped, expected)
    # 8..24, 0..32 goes to 40..56, 16..48, on the output grid 10..14, 4..12: centre (12, 8), 4 by 8,
    # radius int((-16.8 + sqrt(16.8² + 4*2.8*0.3*32)) / 2) = int(1.47).
    # 0..4, 4..8 goes to 60..64, 20..24, on the output grid 15..16, 5..6, clipped to 15..15: gone.
    np.testing.assert_array_equal(table[0], [12, 8, 0, 0, 4, 8, 1, 0])
    assert (table[1:, 7] == -1).all()


# On a 320 by 256 image; the crop is 192 by 192 around (128, 64), not scaled.
BOXES = [
    [40, 8, 72, 40],  # inside
    [0, 0, 52, 20],  # cut at one side
    [0, 30, 30, 60],  # beside the crop
    [100, 200, 150, 250],  # below the crop
    [200, 140, 320, 256],  # cut at a corner
]


@pytest.mark.parametrize("flipped", [False, True])
def test_a_crop_over_the_border_by_hand(flipped):
    image, encoded = png(256, 320)
    random = mock.create_autospec(np.random.Generator, instance=True)
    random.choice.return_value = np.array([0.6])  # of the longer side: 192
    random.uniform.return_value = np.array([[128.3, 64.9]])  # the crop's centre, to be floored
    random.normal.return_value = np.array([30.0])  # degrees, but it is not rotated: 0.4 against 0
    random.random.return_value = np.array([0.4 if flipped else 0.6])  # against 0.5
    warped, table = sample(random, encoded, BOXES, 192, CROP)
    expected = np.zeros((192, 192, 3), np.uint8)
    if flipped:
        # Column x is 319 - x, the centre 191: x goes to 319 - x - 191 + 96 = 224 - x.
        expected[32:] = image[:160, 224:32:-1]
        rows = [
            # 152..184, 40..72; on the output grid 38..46, 10..18. Radius of 8 by 8:
            # int((-22.4 + sqrt(22.4² + 4*2.8*0.3*64)) / 2) = int(2.19).
            [42, 14, 0, 0, 8, 8, 2, 0],
            # 172..224, 32..52: 43..56, 8..13, clipped to 43..47. Radius int(1.22).
            [45, 10, 0, 0.5, 4, 5, 1, 1],
            # 194..224 is 48.5..56, clipped to 47..47: no width. The next as below: no height.
            # -96..24, 172..288: -24..6, 43..72, clipped to 0..6, 43..47. Radius int(1.32).
            [3, 45, 0, 0, 6, 4, 1, 4],
        ]
    else:
        # x goes to x - 128 + 96, y to y - 64 + 96.
        expected[32:] = image[:160, 32:224]
        rows = [
            # 8..40, 40..72: 2..10, 10..18.
            [6, 14, 0, 0, 8, 8, 2, 0],
            # -32..20, 32..52: -8..5, 8..13, clipped to 0..5. Radius of 5 by 5:
            # int((-14 + sqrt(14² + 4*2.8*0.3*25)) / 2) = int(1.46).
            [2, 10, 0.5, 0.5, 5, 5, 1, 1],
            # -32..-2 is -8..-0.5, clipped to 0..0: no width.
            # 68..118, 232..282: 17..29.5, 58..70.5, clipped to 47..47: no height.
            # 168..288, 172..288: 42..72, 43..72, clipped to 42..47, 43..47. Radius int(1.22).
            [44, 45, 0.5, 0, 5, 4, 1, 4],
        ]
    np.testing.assert_array_equal(warped, expected)
    np.testing.assert_array_equal(table, rows + [[0, 0, 0, 0, 0, 0, 0, -1]] * 5)


@pytest.mark.parametrize("size", [(120, 160), (333, 250)])
def test_the_image_is_decoded_then_warped_and_boxes_move_with_it(size):
    picture = cv2.resize(png(12, 16)[0], size[::-1])
    encoded = cv2.imencode(".jpg", picture)[1].tobytes()
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    boxes = np.array([[20.0, 30, 90, 70], [60, 80, 110, 119], [5, 5, 40, 110]])
    mirrored = 0
    for seed in range(20):
        affine = random_affine(np.random.default_rng(seed), size, (128, 128), CROP)
        mirrored += affine[0, 0] < 0
        image, table = sample(np.random.default_rng(seed), encoded, boxes.tolist(), 128, CROP)
        expected = cv2.warpAffine(decoded, affine, (128, 128), flags=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(image, expected)
        # Each corner moved by the affine to the output grid, clipped there; classes by position.
        found = {int(row[7]): row for row in table if row[7] >= 0}
        for label, (x1, y1, x2, y2) in enumerate(boxes):
            across = sorted(affine[0, 0] * x / 4 + affine[0, 2] / 4 for x in (x1, x2))
            down = sorted(affine[1, 1] * y / 4 + affine[1, 2] / 4 for y in (y1, y2))
            (left, right), (top, bottom) = np.clip(across, 0, 31), np.clip(down, 0, 31)
            if right <= left or bottom <= top:
                assert label not in found
                continue
            row = found[label]
            np.testing.assert_allclose(row[4:6], [right - left, bottom - top], atol=1e-4)
            centre = [(left + right) / 2, (top + bottom) / 2]
            np.testing.assert_allclose(row[:2] + row[2:4], centre, atol=1e-4)
    assert 3 <= mirrored <= 17
