# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""CornerNet's training input, against a plain restatement of MMDetection's transforms."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from src.data import augment, geometry
from src.data.augment import Photometric
from src.data.images import decode_with_cv2
from src.data.loader import SOURCE_COLUMNS, SampleMaker
from src.data.mindrecord import KEYPOINTS
from src.data.objects import object_tables, table_boxes
from src.evaluation.detector import detector_of
from src.model_utils.errors import UserError
from src.model_utils.facts import facts_of
from src.model_utils.parameters import DatasetConfig
from src.tasks.columns import NO_OBJECT
from src.tasks.corners import TASK
from src.tasks.pose import task_with
from src.tasks.task import Task
from tests.conftest import PROJECT
from tests.helpers import config
from tests.test_samples import png

INPUT = 511
SIZES = np.array([[480, 640], [375, 500], [200, 90], [1200, 900]])
CORNERNET = str(PROJECT / "configs" / "cornernet" / "hourglass104_8x6.yaml")
# BGR, of ImageNet's mean in RGB.
BORDER = (104, 116, 124)
STATISTICS = augment.colour_statistics(config("--config_path", CORNERNET).dataset_config)


def some_boxes(random: np.random.Generator, size: np.ndarray, count: int) -> np.ndarray:
    """Float64 (count,4) xyxy in an image of (height, width)."""
    corners = np.sort(random.uniform(0, size[::-1], (count, 2, 2)), axis=1)
    return corners.reshape(count, 4)


def crop_of(affine: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Sides and middle of the crop, in pixels of the image, and whether it is mirrored."""
    sides = INPUT / np.abs(affine[[0, 1], [0, 1]])
    assert affine[0, 1] == affine[1, 0] == 0
    corners = geometry.transform_boxes(np.array([[0, 0, INPUT, INPUT]]), geometry.inverted(affine))
    middle = corners[0, :2] + np.round(sides) // 2
    return np.round(sides, 6), np.round(middle, 6), affine[0, 0] < 0


def is_middle_inside(boxes: np.ndarray, sides: np.ndarray, middle: np.ndarray, size: np.ndarray):
    """RandomCenterCropPad's _filter_boxes with the patch of _crop_image_and_paste."""
    x0, y0 = np.maximum(middle - sides // 2, 0)
    x1, y1 = np.minimum(middle + sides // 2, size[::-1])
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    return (x > x0) & (x < x1) & (y > y0) & (y < y1)


def test_crops_hold_the_middle_of_an_object_and_keep_those_whose_middle_is_inside():
    random, drawn = np.random.default_rng(0), DatasetConfig()
    sides_seen, flips, left_out, places = [], [], 0, []
    for _ in range(150):
        boxes = [some_boxes(random, size, 1 + i) for i, size in enumerate(SIZES)]
        affines, kept = augment.random_object_crops(random, SIZES, (INPUT, INPUT), boxes, drawn)
        for affine, of_image, rows, size in zip(affines, boxes, kept, SIZES, strict=True):
            sides, middle, is_mirrored = crop_of(affine)
            np.testing.assert_array_equal(rows, is_middle_inside(of_image, sides, middle, size))
            assert rows.any()
            border = [{480: 128, 640: 128, 375: 128, 500: 128, 200: 64, 90: 32}.get(s, 128)
                      for s in size[::-1].tolist()]  # fmt: skip
            np.testing.assert_array_equal(middle, np.round(middle))
            assert (middle >= border).all() and (middle < size[::-1] - border).all()
            sides_seen += sides.tolist()
            flips.append(is_mirrored)
            left_out += (~rows).sum()
            places.append((middle - border) / (size[::-1] - 2 * np.array(border)))
    assert set(sides_seen) == {int(INPUT * (ratio / 10)) for ratio in range(6, 14)}
    assert np.mean(flips) == pytest.approx(0.5, abs=0.08)
    assert left_out > 100
    # Whole numbers between the borders, each as likely but for the objects that have to be inside.
    np.testing.assert_allclose(np.mean(places, axis=0), 0.5, atol=0.06)


def test_where_no_object_can_be_inside_the_crop_goes_without():
    boxes = [np.array([[0.0, 0, 4, 4]]), np.zeros((0, 4))]
    sizes = np.array([[1000, 1000], [1000, 1000]])
    draw = np.random.default_rng(0), sizes, (64, 64), boxes, DatasetConfig()
    affines, kept = augment.random_object_crops(*draw)
    assert not kept[0].any() and kept[1].shape == (0,)
    assert np.isfinite(affines).all()


def photo(size: np.ndarray) -> np.ndarray:
    """Uint8 (height, width, 3), noise that changes over some ten pixels."""
    random = np.random.default_rng(int(size[0]))
    small = random.integers(0, 256, (size[0] // 10 + 2, size[1] // 10 + 2, 3), np.uint8)
    return cv2.resize(small, size[::-1].tolist(), interpolation=cv2.INTER_CUBIC)


def pasted(
    image: np.ndarray, boxes: np.ndarray, sides: np.ndarray, middle: np.ndarray, is_mirrored: bool
) -> tuple[np.ndarray, np.ndarray]:
    """MMDetection's crop, resize and flip of an image and of the boxes that it keeps."""
    (width, height), (x, y) = sides.astype(int), middle.astype(int)
    canvas = np.tile(np.uint8(BORDER), (height, width, 1))
    x0, x1 = max(0, x - width // 2), min(x + width // 2, image.shape[1])
    y0, y1 = max(0, y - height // 2), min(y + height // 2, image.shape[0])
    left, top = width // 2 - x, height // 2 - y
    canvas[y0 + top : y1 + top, x0 + left : x1 + left] = image[y0:y1, x0:x1]
    boxes = np.clip(boxes + np.array([left, top, left, top]), 0, [width, height] * 2)
    boxes = boxes * (INPUT / np.array([width, height] * 2))
    resized = cv2.resize(canvas, (INPUT, INPUT), interpolation=cv2.INTER_LINEAR)
    if is_mirrored:
        resized = resized[:, ::-1]
        boxes = np.stack([INPUT - boxes[:, 2], boxes[:, 1], INPUT - boxes[:, 0], boxes[:, 3]], 1)
    return resized, boxes


def test_a_crop_is_what_mmdetection_pastes_resizes_and_mirrors():
    random, mirrored = np.random.default_rng(3), 0
    for _ in range(6):
        boxes = [some_boxes(random, size, 5) for size in SIZES]
        affines, kept = augment.random_object_crops(
            random, SIZES, (INPUT, INPUT), boxes, DatasetConfig()
        )
        for affine, of_image, rows, size in zip(affines, boxes, kept, SIZES, strict=True):
            sides, middle, is_mirrored = crop_of(affine)
            expected, expected_boxes = pasted(
                photo(size), of_image[rows], sides, middle, is_mirrored
            )
            place = geometry.of_pixel_centres(affine)
            found = geometry.warp(photo(size), place, (INPUT, INPUT), border=BORDER)
            # cv2.warpAffine takes weights in steps of 1/32. The outermost pixels, of which
            # MMDetection leaves a last one out where sides are odd, may be another.
            apart = np.abs(found.astype(int) - expected)[4:-4, 4:-4]
            assert apart.max() <= 12 and apart.mean() < 0.7
            on_grid = geometry.transform_boxes(of_image[rows], affine * 128 / INPUT)
            labels = np.arange(len(on_grid))
            (table,) = object_tables(
                *(on_grid, labels, np.zeros(len(labels), int)),
                **{"images": 1, "grid_size": (128, 128), "max_objs": 9, "task": TASK},
            )
            np.testing.assert_allclose(
                table_boxes(table)[:, :4], expected_boxes * 128 / INPUT, atol=2e-5
            )
            mirrored += is_mirrored
    assert 4 < mirrored < 20


# --- colours -----------------------------------------------------------------------------------


def distorted(image: np.ndarray, drawn: Photometric, contrast_first: bool) -> np.ndarray:
    """PhotoMetricDistortion of a float32 image of 0..255."""
    image = image.astype(np.float32) + np.float32(drawn.brightness)
    if contrast_first:
        image *= np.float32(drawn.contrast)
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    hsv[..., 1] *= np.float32(drawn.saturation)
    if drawn.saturation > 1:
        hsv[..., 1] = hsv[..., 1].clip(0, 1)
    hsv[..., 0] += np.float32(drawn.hue)
    hsv[..., 0][hsv[..., 0] > 360] -= 360
    hsv[..., 0][hsv[..., 0] < 0] += 360
    image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if not contrast_first:
        image *= np.float32(drawn.contrast)
    return image[..., drawn.order]


def recoloured(image: np.ndarray, drawn: Photometric) -> np.ndarray:
    """By the affine of the house, without its normalisation: float (height, width, 3), 0..255."""
    colour = augment.photometric_colour(drawn, image, STATISTICS)
    assert colour.dtype == np.float32
    as_rgb = augment.normalise(image.transpose(2, 0, 1), colour).transpose(1, 2, 0)
    std, mean = STATISTICS.std[::-1], STATISTICS.mean[::-1]
    return ((as_rgb * std + mean) * 255)[..., ::-1]


@pytest.mark.parametrize("contrast_first", [True, False])
def test_brightness_contrast_and_channel_order_are_exactly_mmdetections(contrast_first):
    image = np.random.default_rng(0).integers(40, 200, (20, 30, 3), np.uint8)
    for drawn in augment.random_photometric(np.random.default_rng(1), 40):
        drawn = Photometric(drawn.brightness, drawn.contrast, 1, 0, drawn.order)
        expected = distorted(image, drawn, contrast_first)
        np.testing.assert_allclose(recoloured(image, drawn), expected, atol=2e-3)


def test_saturation_that_is_affine_in_an_image_is_exact():
    """Where red is the largest everywhere, V is red and the change an affine of the colours."""
    random = np.random.default_rng(0)
    image = random.integers(20, 120, (64, 64, 3)).astype(np.uint8)
    image[..., 2] = random.integers(120, 220, (64, 64))
    for saturation in (0.5, 0.8, 1.15):
        drawn = Photometric(10.0, 1.1, saturation, 0, np.array([2, 0, 1]))
        expected = distorted(image, drawn, True)
        np.testing.assert_allclose(recoloured(image, drawn), expected, atol=0.15)


def test_saturation_and_hue_are_followed_as_far_as_an_affine_can():
    image = photo(np.array([300, 400]))
    for saturation, hue in ((0.5, 0), (1.5, 0), (1, 18), (1, -18), (0.6, 12), (1.4, -9)):
        drawn = Photometric(0.0, 1.0, saturation, hue, np.arange(3))
        expected = distorted(image, drawn, True)
        change = np.abs(expected - image).mean()
        apart = np.abs(recoloured(image, drawn) - expected).mean()
        # The nearest affine of all pixels.
        given = np.column_stack([image.reshape(-1, 3), np.ones(image[..., 0].size)])
        solution = np.linalg.lstsq(given, expected.reshape(-1, 3), rcond=None)[0]
        least = np.abs(given @ solution - expected.reshape(-1, 3)).mean()
        assert apart < 1.05 * least + 0.1 and apart < 0.9 * change


def test_a_grey_image_keeps_its_colours_and_its_border():
    image = np.repeat(np.random.default_rng(0).integers(0, 256, (40, 50, 1), np.uint8), 3, axis=2)
    drawn = Photometric(0.0, 1.0, 1.5, 18.0, np.arange(3))
    np.testing.assert_allclose(recoloured(image, drawn), image, atol=0.01)
    colour = augment.photometric_colour(drawn, image, STATISTICS)
    assert augment.border_colour(colour, "mean") == BORDER


def test_each_change_is_made_in_every_second_image_over_its_whole_range():
    drawn = augment.random_photometric(np.random.default_rng(0), 4000)
    none = {"brightness": 0, "contrast": 1, "saturation": 1, "hue": 0}
    ranges = {"brightness": (-32, 32), "contrast": (0.5, 1.5), "saturation": (0.5, 1.5)}
    made = []
    for name, (low, high) in (ranges | {"hue": (-18, 18)}).items():
        values = np.array([getattr(of_image, name) for of_image in drawn])
        made.append(values != none[name])
        values, width = values[made[-1]], high - low
        assert low <= values.min() < low + 0.01 * width
        assert high >= values.max() > high - 0.01 * width
        assert np.mean(values) == pytest.approx((low + high) / 2, abs=0.03 * width)
    # Independent of each other.
    np.testing.assert_allclose(np.cov(made), np.eye(4) / 4, atol=0.02)
    orders, counts = np.unique([of_image.order for of_image in drawn], axis=0, return_counts=True)
    assert len(orders) == 6
    np.testing.assert_allclose(counts / 4000, [1 / 2 + 1 / 12] + [1 / 12] * 5, atol=0.03)


def test_the_border_becomes_zero_with_the_colours_of_its_image():
    assert augment.border_colour(augment.normalisation(STATISTICS), "mean") == BORDER
    assert augment.border_colour(augment.normalisation(STATISTICS), "black") == (0, 0, 0)
    image = photo(np.array([100, 120]))
    for drawn in augment.random_photometric(np.random.default_rng(5), 100):
        colour = augment.photometric_colour(drawn, image, STATISTICS)
        border = augment.border_colour(colour, "mean")
        becomes = np.abs(colour[:, :3] @ border + colour[:, 3])
        # Half a level, magnified by contrast and saturation, of a deviation of 57; where no colour
        # of 0..255 becomes the mean it is further.
        assert becomes.max() < 0.03 or 0 in border or 255 in border


# --- samples -----------------------------------------------------------------------------------


def samples(
    used: DatasetConfig,
    seed: int,
    boxes: list[np.ndarray],
    points: list[np.ndarray] | None = None,
    task: Task = TASK,
) -> tuple[np.ndarray, ...]:
    """Images, colours and objects of images of 90 by 120 pixels with these boxes and points."""
    maker = SampleMaker(
        used, task, decode_with_cv2, 4, "set", seed=0, rank=0, first_epoch=0, first_batch=0,
        pool=ThreadPoolExecutor(2),
    )  # fmt: skip
    _, encoded = png(90, 120)
    columns = [
        (
            np.int64(1),
            np.array([90, 120]),
            np.bytes_(encoded),
            rows.astype(np.float32),
            np.arange(n),
        )
        for rows, n in ((rows, len(rows)) for rows in boxes)
    ]
    of_images = dict(zip(SOURCE_COLUMNS, map(list, zip(*columns, strict=True)), strict=True))
    if points is not None:
        of_images[KEYPOINTS] = points
    return maker.samples(np.random.default_rng(seed), of_images)


def used(side: int) -> DatasetConfig:
    sizes = {"input_res_train": [side, side], "output_res": [(side + 1) // 4] * 2, "max_objs": 8}
    return config("--config_path", CORNERNET).dataset_config.model_copy(update=sizes)


def test_a_sample_is_the_crop_in_its_colours_with_the_objects_in_it():
    random = np.random.default_rng(0)
    boxes = [some_boxes(random, np.array([90, 120]), 4) for _ in range(5)]
    side, left_out = 63, 0
    images, colours, tables = samples(used(side), 7, boxes)
    again, sizes = np.random.default_rng(7), np.tile([90, 120], (5, 1))
    affines, kept = augment.random_object_crops(again, sizes, (side, side), boxes, used(side))
    changes = augment.random_photometric(again, 5)
    for i, (image, _) in enumerate([png(90, 120)] * 5):
        colour = augment.photometric_colour(changes[i], image, STATISTICS)
        np.testing.assert_array_equal(colours[i], colour)
        border = augment.border_colour(colour, "mean")
        place = geometry.of_pixel_centres(affines[i])
        warped = geometry.warp(image, place, (side, side), border=border)
        np.testing.assert_array_equal(images[i], warped)
        found = table_boxes(tables[i])
        np.testing.assert_array_equal(found[:, 4], np.flatnonzero(kept[i]))
        corners = geometry.transform_boxes(boxes[i][kept[i]], affines[i] * 16 / side)
        np.testing.assert_allclose(found[:, :4], np.clip(corners, 0, 16), atol=1e-4)
        left_out += (~kept[i]).sum()
    assert left_out > 0


def test_points_go_with_the_objects_that_a_crop_keeps():
    random, side = np.random.default_rng(3), 63
    task = task_with(["left", "right"], [], [0.1, 0.1])
    boxes = [some_boxes(random, np.array([90, 120]), 4) for _ in range(6)]
    points = [np.insert(found.reshape(4, 2, 2), 2, 2, axis=2).reshape(4, 6) for found in boxes]
    _, _, tables = samples(used(side), 11, boxes, [p.astype(np.float32) for p in points], task)
    affines, kept = augment.random_object_crops(
        np.random.default_rng(11), np.tile([90, 120], (6, 1)), (side, side), boxes, used(side)
    )
    assert {crop_of(affine)[2] for affine in affines} == {True, False}
    seen = 0
    for affine, chosen, ours, table in zip(affines, kept, boxes, tables, strict=True):
        corners = ours[chosen].reshape(-1, 2, 2) @ affine[:, :2].T + affine[:, 2]
        corners = (corners[:, ::-1] if affine[0, 0] < 0 else corners) / 4  # left becomes right
        inside = ((corners >= 0) & (corners < 16)).all(axis=2)
        found = table[np.isin(table[:, 7], np.flatnonzero(chosen)), 8:].reshape(-1, 2, 3)
        expected = np.where(inside[..., None], np.insert(corners, 2, 1, axis=2), 0)
        np.testing.assert_allclose(found, expected, atol=1e-4)
        seen += inside.sum()
    assert seen > 0


def test_a_sample_does_not_depend_on_how_often_its_neighbour_draws():
    inside, corner = np.array([[40.0, 30, 80, 60]]), np.array([[0.0, 0, 1, 1]])
    first, second = (samples(used(31), 3, [inside, *rest]) for rest in ([inside], [corner]))
    assert (second[2][1, :, 7] == -1).all()  # it is out of reach
    for column, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(column[0], other[0])


# --- evaluation --------------------------------------------------------------------------------


def test_the_detector_feeds_odd_sides_in_a_border_of_the_mean_and_keeps_the_best_pairs():
    fed = []

    def model(images: np.ndarray) -> np.ndarray:
        fed.append(images)
        rows = np.full((1, 1000, 6), NO_OBJECT, np.float32)
        rows[0, :40] = [30, 20, 40, 25, 0.5, 7]
        rows[0, :40, 5] = np.arange(40)
        return rows

    settings = config("--config_path", CORNERNET, "--eval_config.K", "7")
    image = photo(np.array([375, 500]))
    found = detector_of(settings, model, keep_res=True)(image)
    assert fed[0].shape == (1, 3, 383, 511)
    np.testing.assert_array_equal(fed[0][0, :, 4:379, 5:505], image.transpose(2, 0, 1))
    np.testing.assert_array_equal(fed[0][0, :, :4].min(axis=(1, 2)), BORDER)
    np.testing.assert_array_equal(fed[0][0, :, :4].max(axis=(1, 2)), BORDER)
    np.testing.assert_array_equal(found, [[115, 76, 155, 96, 0.5, label] for label in range(7)])


def test_a_flip_test_of_boxes_needs_sides_that_cells_end_at():
    odd = ("--eval_config.pad_to", "odd", "--eval_config.flip_test", "true")
    with pytest.raises(UserError, match="of odd sides do; set eval_config"):
        config(*odd)
    assert config("--config_path", CORNERNET, *odd).eval_config.flip_test


# --- what a model carries ----------------------------------------------------------------------


def test_models_carry_these_settings_where_they_are_not_the_usual_ones():
    changed = {"dataset_config.border": "mean", "eval_config.soft_nms_form": "mmcv"}
    changed["eval_config.pad_to"] = "odd"
    assert not changed.keys() & facts_of(config()).keys()
    assert changed.items() <= facts_of(config("--config_path", CORNERNET)).items()
