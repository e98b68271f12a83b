# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Training batches: exact, repeatable, divided over ranks, the same after a restart."""

import json
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pytest

from src import dataset as converter
from src.data import augment, loader
from src.data.images import decode_with_cv2
from src.model_utils.errors import UserError
from src.model_utils.parameters import Config
from src.tasks.boxes import TASK
from src.tasks.corners import TASK as CORNERS
from src.tasks.task import Task
from tests import helpers, reference
from tests.conftest import QUICKSTART, Program

IMAGES = 13
SIDE = 64
SMALL = (
    *("--dataset_config.num_classes", "1", "--dataset_config.coco_classes", "[thing]"),
    *("--dataset_config.input_res_train", f"[{SIDE}, {SIDE}]"),
    *("--dataset_config.output_res", f"[{SIDE // 4}, {SIDE // 4}]"),
    *("--dataset_config.max_objs", "4", "--eval_config.K", "10"),
)
STILL = (
    *("--dataset_config.rand_crop", "false", "--dataset_config.shift", "0"),
    *("--dataset_config.scale", "0", "--dataset_config.flip_prop", "0"),
    *("--dataset_config.color_aug", "false"),
)
Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


def picture(index: int) -> np.ndarray:
    """Image `index` of the set: 50 by 40 to 62 by 40 pixels, with its number in blue."""
    image = np.random.default_rng(index).integers(0, 256, (50 + index, 40, 3)).astype(np.uint8)
    image[:, :, 0] = index
    return image


def box(index: int) -> tuple[float, float, float, float]:
    """x, y, w, h of the only object of image `index`."""
    return (3.0, 5.0 + index, 20.0, 24.5)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set whose images can be told apart; PNG, so that pixels are exact."""
    root = tmp_path_factory.mktemp("numbered")
    (root / "annotations").mkdir()
    (root / "train2017").mkdir()
    content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "thing"}]}
    for index in range(IMAGES):
        height, width = picture(index).shape[:2]
        name = f"{index}.png"
        cv2.imwrite(str(root / "train2017" / name), picture(index))
        content["images"].append(
            {"id": index + 100, "file_name": name, "width": width, "height": height}
        )
        content["annotations"].append(
            {"id": index, "image_id": index + 100, "category_id": 1, "bbox": box(index)}
        )
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    folders = ("--coco_data_dir", str(root), "--mindrecord_dir", str(root / "mindrecord"))
    converter.convert(helpers.config(*SMALL, "--dataset_config.num_shards", "3", *folders))
    return root / "mindrecord"


def settings(*options: str) -> Config:
    return helpers.config(*SMALL, *options)


def create(folder: Path, batch_size: int = 2, *options: str, **arguments: object):
    config = settings(*options)
    arguments = {"shuffle": True, "seed": 5, **arguments}
    return loader.create_train_dataset(
        config.dataset_config,
        TASK,
        folder,
        config.mindrecord_prefix,
        down_ratio=config.net_config.down_ratio,
        batch_size=batch_size,
        **arguments,
    )


def epochs(dataset, count: int) -> list[list[Batch]]:
    iterator = dataset.create_tuple_iterator(num_epochs=count, output_numpy=True)
    return [[tuple(map(np.copy, batch)) for batch in iterator] for _ in range(count)]


def numbers(batches: Iterable[Batch]) -> list[int]:
    """The images in batches that were not augmented in colour: the largest blue of each."""
    return [int(image[:, :, 0].max()) for batch in batches for image in batch[0]]


def assert_same(found: list[Batch], expected: list[Batch]) -> None:
    assert len(found) == len(expected)
    for batch, other in zip(found, expected, strict=True):
        for column, other_column in zip(batch, other, strict=True):
            np.testing.assert_array_equal(column, other_column)


def assert_warped(found: np.ndarray, image: np.ndarray, affine: np.ndarray) -> None:
    """By true bilinear interpolation, or by OpenCV's own kernel, where there is no Intel one."""
    exact = reference.warp_bilinear(image, affine, (SIDE, SIDE))
    opencv = cv2.warpAffine(image, affine, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    assert np.abs(found - exact).max() < 0.502 or np.array_equal(found, opencv)


# --- exact -----------------------------------------------------------------------------------


def test_an_image_that_is_not_augmented_is_decoded_and_warped_and_its_box_with_it(numbered: Path):
    ((images, colours, objects),) = epochs(create(numbered, IMAGES, *STILL, shuffle=False), 1)[0]
    assert images.dtype == np.uint8 and colours.dtype == objects.dtype == np.float32
    seen = [int(image[:, :, 0].max()) for image in images]
    assert sorted(seen) == list(range(IMAGES))
    for index, image, colour, table in zip(seen, images, colours, objects, strict=True):
        height, width = picture(index).shape[:2]
        affine = reference.affine((width / 2, height / 2), max(height, width), 0, (SIDE, SIDE))
        assert_warped(image, picture(index), affine)
        np.testing.assert_array_equal(colour, augment.normalisation(helpers.statistics()))
        x, y, w, h = box(index)
        (x1, y1), (x2, y2) = (affine @ (x, y, 1) / 4, affine @ (x + w, y + h, 1) / 4)
        centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
        np.testing.assert_allclose(table[0, :2] + table[0, 2:4], centre, atol=1e-5)
        np.testing.assert_allclose(table[0, 4:6], [x2 - x1, y2 - y1], atol=1e-5)
        np.testing.assert_array_equal(table[:, 7], [0, -1, -1, -1])


def test_a_certain_flip_mirrors_image_and_box(numbered: Path):
    options = (*STILL, "--dataset_config.flip_prop", "1")
    ((images, _, objects),) = epochs(create(numbered, IMAGES, *options, shuffle=False), 1)[0]
    index = next(i for i, image in enumerate(images) if image[:, :, 0].max() == 10)
    # Image 10 is 60 high and 40 wide, enlarged 64/60. A flip takes pixel x to 39 - x and the crop's
    # centre 20 to 19, so x goes to (39 - x - 19) * 64/60 + 32; y to (y - 30) * 64/60 + 32.
    scale = SIDE / 60
    affine = np.array([[-scale, 0, 20 * scale + 32], [0, scale, 32 - 30 * scale]])
    assert_warped(images[index], picture(10), affine)
    # Box 3..23 by 15..39.5: 23 becomes left, (-3 * 64/60 + 32) / 4 = 7.2; 3 right, 12.5333;
    # above (-15 * 64/60 + 32) / 4 = 4; below (9.5 * 64/60 + 32) / 4 = 10.5333.
    row = objects[index, 0]
    np.testing.assert_allclose(row[:2] + row[2:4], [9.86667, 7.26667], atol=1e-5)
    np.testing.assert_allclose(row[4:6], [5.33333, 6.53333], atol=1e-5)


@pytest.mark.parametrize("task", [TASK, CORNERS])
def test_a_grid_is_of_whole_pixels_or_stretched_over_the_input(task: Task):
    """Of an input of 64 by 63 pixels with a grid of 16 by 16 cells, these are 4 or 3.9375 high."""
    config = settings().dataset_config.model_copy(update={"input_res_train": [63, 64]})
    maker = replace(sample_maker(), task=task, config=config)
    names = loader.source_columns(task)
    samples = [
        maker.samples(np.random.default_rng(0), dict(zip(names, columns([3]), strict=True)))
        for maker in (maker, replace(maker, task=replace(task, stretched=False)))
    ]
    (found, plain) = (objects[0, 0] for _, _, objects in samples)
    ratio = 63 / 64 if task.stretched else 1
    places = [rows[:2] + rows[2:4] for rows in (found, plain)]
    np.testing.assert_allclose(places[0] * [1, ratio], places[1], rtol=1e-6)
    np.testing.assert_allclose(found[4:6] * [1, ratio], plain[4:6], rtol=1e-6)


@pytest.mark.parametrize("shape", [(33, 47), (512, 64), (257, 3), (258, 3), (0, 9)])
def test_channel_sums_do_not_overflow(shape: tuple[int, int]):
    image = np.full((*shape, 3), 255, np.uint8)
    image[:, :, 1] //= 2
    np.testing.assert_array_equal(augment.channel_sums(image), image.sum(axis=(0, 1), dtype=int))


def test_contrast_takes_the_mean_of_the_whole_warped_image_black_border_included(numbered: Path):
    with mock.patch.object(augment, "random_colours", wraps=augment.random_colours) as drawn:
        image, _, _ = sample_maker().batch(*columns([3, 4, 5, 6]), Info(0, 0))
    _, means, _ = drawn.call_args.args
    assert any((one[0] == 0).all() or (one[-1] == 0).all() for one in image)
    np.testing.assert_allclose(means, image.mean(axis=(1, 2)), rtol=1e-12)


# --- repeatable ------------------------------------------------------------------------------


def test_batches_are_the_same_with_any_number_of_workers(numbered: Path):
    first, second = epochs(create(numbered, 2, "--dataset_config.num_workers", "1"), 2)
    for workers in ("2", "4"):
        again = epochs(create(numbered, 2, "--dataset_config.num_workers", workers), 2)
        assert_same(again[0], first)
        assert_same(again[1], second)
    assert not all(
        np.array_equal(a[0], b[0]) for a, b in zip(first, second, strict=True)
    )  # a new epoch is shuffled and augmented anew


class Info:
    """As MindSpore's BatchInfo."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.get_epoch_num, self.get_batch_num = (lambda: epoch), (lambda: batch)


def sample_maker(seed: int = 1, rank: int = 0) -> loader.SampleMaker:
    crop = {"rand_crop": True, "scale": 0.4, "aug_rot": 0.2, "rotate": 10.0, "max_objs": 4}
    return loader.SampleMaker(
        settings().dataset_config.model_copy(update=crop), TASK, decode_with_cv2, 4, "set",
        seed=seed, rank=rank, first_epoch=0, first_batch=0, pool=ThreadPoolExecutor(3),
    )  # fmt: skip


def columns(indices: Iterable[int]) -> tuple[list, ...]:
    """What the MindRecord set holds of images, as `per_batch_map` gets it."""
    rows = []
    for index in indices:
        image, (x, y, w, h) = picture(index), box(index)
        encoded = np.bytes_(cv2.imencode(".png", image)[1].tobytes())
        boxes = np.array([[x, y, x + w, y + h]], np.float32)
        size = np.array(image.shape[:2], np.int32)
        rows.append((np.int64(index), size, encoded, boxes, np.zeros(1, np.int32)))
    return tuple(map(list, zip(*rows, strict=True)))


def test_batches_do_not_depend_on_the_threads_that_make_them_or_their_order():
    maker = sample_maker()
    jobs = [(epoch, batch) for epoch in range(2) for batch in range(12)]
    inputs = {batch: columns([batch, (batch + 5) % IMAGES]) for batch in range(12)}

    def make(job: tuple[int, int]) -> Batch:
        return maker.batch(*inputs[job[1]], Info(*job))

    one_by_one = [make(job) for job in jobs]
    for threads in (2, 4):
        with ThreadPoolExecutor(threads) as pool:
            backwards = list(pool.map(make, reversed(jobs)))
        assert_same(backwards[::-1], one_by_one)


def test_a_sample_depends_on_seed_rank_epoch_batch_and_position_and_not_on_its_neighbours():
    image, colour, objects = sample_maker().batch(*columns([3, 4, 5]), Info(2, 7))
    other = sample_maker().batch(*columns([3, 11, 5]), Info(2, 7))
    for position in (0, 2):
        for column, other_column in zip((image, colour, objects), other, strict=True):
            np.testing.assert_array_equal(column[position], other_column[position])
    assert not np.array_equal(image[1], other[0][1])
    same_image = sample_maker().batch(*columns([3, 3, 3]), Info(2, 7))
    assert not np.array_equal(same_image[0][0], same_image[0][1])  # another position
    for maker, info in (
        (sample_maker(seed=2), Info(2, 7)),
        (sample_maker(rank=1), Info(2, 7)),
        (sample_maker(), Info(3, 7)),
        (sample_maker(), Info(2, 8)),
    ):
        assert not np.array_equal(maker.batch(*columns([3, 4, 5]), info)[1], colour)


@pytest.mark.parametrize("first_step", [1, 5, 6, 7, 12, 17])
def test_a_restart_in_the_middle_goes_on_with_the_same_batches(numbered: Path, first_step: int):
    uninterrupted = list(chain(*epochs(create(numbered), 3)))  # 6 batches an epoch
    dataset = create(numbered, first_step=first_step)
    # MindSpore counts the epochs from the first one.
    iterator = dataset.create_tuple_iterator(num_epochs=3, output_numpy=True)
    rest = [tuple(map(np.copy, batch)) for _ in range(3 - first_step // 6) for batch in iterator]
    assert_same(rest, uninterrupted[first_step:])


# --- divided ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("rank_size", "shuffle"), [(1, True), (13, True), (2, True), (4, False)])
def test_ranks_see_disjoint_parts_that_together_are_the_set(
    numbered: Path, rank_size: int, shuffle: bool
):
    parts = [
        epochs(create(numbered, 1, *STILL, shuffle=shuffle, rank=rank, rank_size=rank_size), 2)
        for rank in range(rank_size)
    ]
    for epoch in range(2):
        seen = [numbers(part[epoch]) for part in parts]
        assert len({len(part) for part in seen}) == 1
        assert set(chain(*seen)) == set(range(IMAGES))
        # 13 images on 2 or 4 ranks: 1 or 3 are seen by two, so that all have equally many.
        assert sum(map(len, seen)) - IMAGES == -IMAGES % rank_size
        assert all(len(set(part)) == len(part) for part in seen)
    if shuffle and rank_size < IMAGES:
        assert numbers(parts[0][0]) != numbers(parts[0][1])
    if not shuffle:
        assert numbers(parts[0][0]) == numbers(parts[0][1])


@pytest.mark.parametrize(("batch_size", "rank_size"), [(1, 1), (5, 1), (13, 1), (3, 2), (2, 4)])
def test_an_epoch_has_as_many_steps_as_full_batches(
    numbered: Path, batch_size: int, rank_size: int
):
    dataset = create(numbered, batch_size, rank_size=rank_size)
    steps = loader.steps_per_epoch(IMAGES, batch_size, rank_size)
    assert steps == -(-IMAGES // rank_size) // batch_size
    assert dataset.get_dataset_size() == len(epochs(dataset, 1)[0]) == steps


def test_coco_on_eight_devices_has_458_steps_of_32():
    assert loader.steps_per_epoch(117_266, 32, 8) == 458
    assert loader.steps_per_epoch(117_266, 32, 1) == 3664


def test_fewer_images_than_a_batch_are_refused(numbered: Path):
    for batch_size, rank_size in ((14, 1), (5, 4)):
        with pytest.raises(UserError, match=r"lower train_config\.batch_size"):
            create(numbered, batch_size, rank_size=rank_size)


# --- damaged ---------------------------------------------------------------------------------


@pytest.fixture
def damaged(mindrecord: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(mindrecord, tmp_path / "damaged"))


def test_training_names_the_record_that_no_longer_decodes(damaged: Path, program: Program):
    for path in damaged.glob("*.mind?"):
        content = path.read_bytes()
        path.write_bytes(content.replace(b"\xff\xd8\xff", b"\0\0\0"))  # where a JPEG starts
    helpers.write_sums_again(damaged)  # as if it had been so when it was converted
    done = program(
        "train.py",
        *("--config_path", QUICKSTART, "--device_target", "CPU", "--mindrecord_dir", damaged),
        cwd=damaged,
    )
    assert done.returncode == 2
    assert "does not decode; the files are damaged" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["coco_det.train.mind0", "coco_det.train.mind0.db"])
def test_a_damaged_head_of_a_file_is_one_sentence(damaged: Path, name: str):
    content = bytearray((damaged / name).read_bytes())
    content[0:64] = bytes(byte ^ 0x55 for byte in content[0:64])
    (damaged / name).write_bytes(content)
    helpers.write_sums_again(damaged)
    config = helpers.config("--config_path", str(QUICKSTART))
    with pytest.raises(UserError, match="the files are damaged"):
        loader.create_train_dataset(
            config.dataset_config,
            TASK,
            damaged,
            config.mindrecord_prefix,
            down_ratio=config.net_config.down_ratio,
            batch_size=4,
            shuffle=True,
            seed=1,
        )
