# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The converter on good, odd and broken data; sets that are whole, damaged or half-written."""

import copy
import fcntl
import io
import itertools
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from src import dataset
from src.data import mindrecord
from src.data.loader import create_train_dataset
from src.model_utils.config import load_config
from src.model_utils.errors import UserError
from tests.conftest import PROJECT, QUICKSTART, Program, assert_refused

WIDTH, HEIGHT = 40, 30
PREFIX = "coco_det.train.mind"
CLASSES = ["circle", "square", "triangle", "star", "ring"]
CATEGORY_IDS = [1, 2, 4, 7, 9]


class CocoSet:
    """Three images of 40x30 pixels, each with one box, for a test to break or to change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.annotation_path = root / "annotations" / "instances_train2017.json"
        self.image_dir = root / "train2017"
        self.annotation_path.parent.mkdir(parents=True)
        self.image_dir.mkdir()
        self.categories = [
            {"id": category_id, "name": name}
            for category_id, name in zip(CATEGORY_IDS, CLASSES, strict=True)
        ]
        self.images: list[Any] = []
        self.annotations: list[Any] = []
        for number in (1, 2, 3):
            picture = np.full((HEIGHT, WIDTH, 3), 60 * number, np.uint8)
            self.add(f"{number}.jpg", cv2.imencode(".jpg", picture)[1].tobytes())

    def add(self, name: str, encoded: bytes, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
        number = len(self.images) + 1
        (self.image_dir / name).write_bytes(encoded)
        self.images.append({"id": number, "file_name": name, "height": size[0], "width": size[1]})
        self.annotations.append(
            {"id": number, "image_id": number, "category_id": 4, "bbox": [5, 5, 20, 10]}
        )

    def file(self, number: int) -> Path:
        return self.image_dir / f"{number}.jpg"

    def write(self) -> None:
        content = {
            "images": self.images,
            "annotations": self.annotations,
            "categories": self.categories,
        }
        self.annotation_path.write_text(json.dumps(content))


@pytest.fixture
def coco_set(tmp_path: Path) -> CocoSet:
    return CocoSet(tmp_path / "coco")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "mindrecord"


def arguments(root: Path, target: Path, *options: object) -> list[str]:
    given = ("--config_path", QUICKSTART, "--coco_data_dir", root, "--mindrecord_dir", target)
    return [str(value) for value in (*given, "--dataset_config.num_shards", 1, *options)]


def convert(coco_set: CocoSet, target: Path, *options: object) -> dict[str, Any]:
    """Converts in this process; returns the manifest."""
    coco_set.write()
    dataset.main(arguments(coco_set.root, target, *options))
    return json.loads((target / f"{PREFIX}.json").read_text())


def verify(target: Path) -> None:
    dataset.main(["--verify", "--mindrecord_dir", str(target)])


def training_batches(target: Path, *options: str) -> list[dict[str, np.ndarray]]:
    """What training gets from the set, one image a batch, in the set's order."""
    config = load_config("test", ["--config_path", str(QUICKSTART), *options]).dataset_config
    batches = create_train_dataset(config, target, PREFIX, 1, shuffle=False, seed=0)
    return list(batches.create_dict_iterator(num_epochs=1, output_numpy=True))


def records(target: Path) -> list[dict[str, np.ndarray]]:
    import mindspore.dataset as ds

    rows = ds.MindDataset([str(target / f"{PREFIX}0")], shuffle=False)
    return list(rows.create_dict_iterator(num_epochs=1, output_numpy=True))


def case_name(case: tuple) -> str:
    """The name of a case, for pytest."""
    return case[0]


# Broken records -----------------------------------------------------------------------------------


def png(width: int, height: int) -> bytes:
    """A PNG that states a size and has no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


def lose_an_image(data: CocoSet) -> None:
    data.file(2).unlink()


def put_a_folder_in_its_place(data: CocoSet) -> None:
    data.file(2).unlink()
    data.file(2).mkdir()


def truncate_a_jpeg(data: CocoSet) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    encoded = cv2.imencode(".jpg", noise)[1].tobytes()
    data.file(2).write_bytes(encoded[: len(encoded) // 2])  # OpenCV decodes it, with a grey rest


def truncate_a_png(data: CocoSet) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    encoded = cv2.imencode(".png", noise)[1].tobytes()
    data.file(2).write_bytes(encoded[: len(encoded) // 2])


def empty_a_file(data: CocoSet) -> None:
    data.file(2).write_bytes(b"")


def write_text(data: CocoSet) -> None:
    data.file(2).write_text("404 not found")


def state_too_many_pixels(data: CocoSet) -> None:
    data.file(2).write_bytes(png(60_000, 60_000))


def grow_a_file_beyond_a_page(data: CocoSet) -> None:
    encoded = cv2.imencode(".png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))[1].tobytes()
    data.file(2).write_bytes(encoded)
    os.truncate(data.file(2), 40_000_000)


def be_wider_than_opencv_warps(data: CocoSet) -> None:
    data.file(2).write_bytes(cv2.imencode(".png", np.zeros((1, 32_767, 3), np.uint8))[1].tobytes())
    data.images[1].update(width=32_767, height=1)


def turn_by_exif_and_state_the_turned_size(data: CocoSet) -> None:
    data.file(2).write_bytes(turned_by_exif(data.file(2).read_bytes()))
    data.images[1].update(width=HEIGHT, height=WIDTH)


def change_image(**changes: object) -> Callable[[CocoSet], None]:
    return lambda data: data.images[1].update(changes)


def change_annotation(**changes: object) -> Callable[[CocoSet], None]:
    return lambda data: data.annotations[1].update(changes)


def change_image_id(image_id: object) -> Callable[[CocoSet], None]:
    def change(data: CocoSet) -> None:
        data.images[1]["id"] = image_id
        del data.annotations[1]

    return change


def turned_by_exif(jpeg: bytes) -> bytes:
    """The JPEG with an orientation of 6, a quarter turn, in an EXIF segment."""
    entry = b"\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00" + entry + b"\x00\x00\x00\x00"
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


NOT_DECODED = "image that does not decode"
NOT_FOUR = "box that is not four numbers"
BROKEN_IMAGES = {
    "missing": (lose_an_image, "image that cannot be read", "2 cannot be read (No such file"),
    "folder": (put_a_folder_in_its_place, "image that cannot be read", "(Is a directory)"),
    "truncated jpeg": (truncate_a_jpeg, NOT_DECODED, "2.jpg: image 2 does not decode"),
    "truncated png": (truncate_a_png, NOT_DECODED, "2.jpg: image 2 does not decode"),
    "zero bytes": (empty_a_file, NOT_DECODED, "2.jpg: image 2 does not decode"),
    "text": (write_text, NOT_DECODED, "2.jpg: image 2 does not decode"),
    "too many pixels": (state_too_many_pixels, NOT_DECODED, "2.jpg: image 2 does not decode"),
    "too many bytes": (
        grow_a_file_beyond_a_page,
        "image file too large for MindRecord",
        "has 40000000 bytes",
    ),
    "too wide": (be_wider_than_opencv_warps, "image too large to warp", "32767x1 pixels, more"),
    "another size": (
        change_image(width=41),
        "image of another size",
        "image 2 is 40x30 pixels but its annotation says 41x30",
    ),
    "exif": (
        turn_by_exif_and_state_the_turned_size,
        "image of another size",
        "image 2 is 40x30 pixels but its annotation says 30x40",
    ),
    "no size": (change_image(height=None), "image without a size", "image 2 has no positive"),
    "true as size": (change_image(width=True), "image without a size", "image 2 has no positive"),
    "negative size": (change_image(width=-40), "image without a size", "image 2 has no positive"),
    "no name": (change_image(file_name=""), "image without a file name", "image 2 has no file_"),
    "nul in name": (change_image(file_name="a\0"), "image that cannot be read", "null byte"),
    "up": (
        change_image(file_name="../train2017/2.jpg"),
        "file name outside the folder",
        "image 2 has file_name '../train2017/2.jpg', which leaves",
    ),
    "absolute": (
        change_image(file_name="/etc/hostname"),
        "file name outside the folder",
        "image 2 has file_name '/etc/hostname', which leaves",
    ),
    "no id": (
        change_image_id(None),
        "image without a 64-bit integer id",
        "image None has no id that is an integer",
    ),
    "true as id": (
        change_image_id(True),
        "image without a 64-bit integer id",
        "image True has no id",
    ),
    "id of 65 bits": (
        change_image_id(2**63),
        "image without a 64-bit integer id",
        "image 9223372036854775808 has no id",
    ),
}
BROKEN_ANNOTATIONS = {
    "nan": (change_annotation(bbox=[float("nan"), 5, 9, 9]), "box that is not finite", "[nan, 5"),
    "infinite": (
        change_annotation(bbox=[5, 5, float("inf"), 9]),
        "box that is not finite",
        "annotation 2 has bbox [5, 5, inf, 9], which is not finite (image 2, 40x30 pixels)",
    ),
    "no area": (change_annotation(bbox=[5, 5, 0, 9]), "box without area", "annotation 2 has bbox"),
    "negative": (change_annotation(bbox=[9, 9, -5, 4]), "box without area", "[9, 9, -5, 4], with"),
    "outside": (
        change_annotation(bbox=[900, 5, 9, 9]),
        "box outside its image",
        "bbox [900, 5, 9, 9], without area inside its image (image 2, 40x30 pixels)",
    ),
    "tiny in float32": (
        change_annotation(bbox=[30, 5, 1e-9, 9]),
        "box outside its image",
        "annotation 2 has bbox",
    ),
    "three numbers": (change_annotation(bbox=[1, 2, 3]), NOT_FOUR, "annotation 2 has bbox [1, 2"),
    "text": (change_annotation(bbox=["1", 2, 3, 4]), NOT_FOUR, "annotation 2 has bbox ['1', 2"),
    "truth": (change_annotation(bbox=[True, 2, 3, 4]), NOT_FOUR, "annotation 2 has bbox [True"),
    "huge": (change_annotation(bbox=[10**400, 2, 3, 4]), NOT_FOUR, "annotation 2 has bbox [1000"),
    "none": (change_annotation(bbox=None), NOT_FOUR, "annotation 2 has bbox None"),
    "image": (
        change_annotation(image_id=77),
        "annotation of an image that is not listed",
        "annotation 2 is of image 77, not listed",
    ),
    "category": (
        change_annotation(category_id=3),
        "annotation of a category that is not listed",
        "annotation 2 has category_id 3, which",
    ),
    "unhashable": (
        change_annotation(category_id=[4]),
        "annotation of a category that is not listed",
        "annotation 2 has category_id [4], which",
    ),
    "id twice": (
        change_annotation(id=1),
        "annotation id that is not unique",
        "annotation 1 shares its id with an earlier annotation",
    ),
    "no id": (
        change_annotation(id=None),
        "annotation without a 64-bit integer id",
        "annotation number 1 has no id",
    ),
    "id of 65 bits": (
        change_annotation(id=-(2**63) - 1),
        "annotation without a 64-bit integer id",
        "annotation -9223372036854775809 has no id",
    ),
    "no mapping": (
        lambda data: data.annotations.__setitem__(1, 5),
        "annotation that is no mapping",
        "annotation number 1 is no mapping",
    ),
}


@pytest.mark.parametrize(
    "broken", [*BROKEN_IMAGES.items(), *BROKEN_ANNOTATIONS.items()], ids=case_name
)
def test_a_broken_record_is_refused_or_left_out(
    broken: tuple, coco_set: CocoSet, target: Path, capsys: pytest.CaptureFixture
):
    _, (breakage, kind, sentence) = broken
    breakage(coco_set)
    with pytest.raises(UserError) as error:
        convert(coco_set, target)
    assert sentence in str(error.value)
    assert str(error.value).startswith(str(coco_set.root))
    assert str(error.value).endswith("pass --on_bad_record skip.")
    assert "\n" not in str(error.value)
    listed = capsys.readouterr().err
    assert "unusable records: 1\n" in listed
    assert f"  {kind}: 1\n    {coco_set.root}" in listed
    assert not list(target.iterdir())

    manifest = convert(coco_set, target, "--on_bad_record", "skip")
    assert sentence in capsys.readouterr().err
    assert manifest["left_out_unusable"] == 1
    assert [int(row["image_id"]) for row in records(target)] == [1, 3]
    assert manifest["boxes"] == 2


def test_images_that_share_an_id_are_all_left_out(coco_set: CocoSet, target: Path):
    coco_set.images[1]["id"] = 1
    with pytest.raises(UserError, match=r"image 1 \('1.jpg'\) shares its id .*and 2 more"):
        convert(coco_set, target)  # 2 images, and the annotation of image 2
    manifest = convert(coco_set, target, "--on_bad_record", "skip")
    assert [int(row["image_id"]) for row in records(target)] == [3]
    assert (manifest["images"], manifest["boxes"]) == (1, 1)


def test_everything_wrong_is_listed_at_once_by_kind(shapes: Path, program: Program, tmp_path: Path):
    data = Path(shutil.copytree(shapes, tmp_path / "data"))
    path = data / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    for entry in content["annotations"][:7]:
        entry["bbox"] = [900, 5, 9, 9]
    content["annotations"][7]["bbox"][0] = float("nan")
    path.write_text(json.dumps(content))
    for number in (5, 6):
        (data / "train2017" / f"{number:012d}.jpg").write_bytes(b"")
    done = program("src/dataset.py", *arguments(data, tmp_path / "out"), cwd=tmp_path)
    assert_refused(done, path, "annotation 1 ", "(and 9 more unusable records, listed above)")
    lines = done.stderr.splitlines()
    assert "unusable records: 10" in lines
    start = lines.index("  box outside its image: 7")
    assert [line.split(": annotation ")[1][:2] for line in lines[start + 1 : start + 6]] == [
        f"{number} " for number in range(1, 6)
    ]
    assert lines[start + 6] == "    and 2 more"
    start = lines.index("  image that does not decode: 2")
    assert [line.strip() for line in lines[start + 1 : start + 3]] == [
        f"{data}/train2017/{number:012d}.jpg: image {number} does not decode" for number in (5, 6)
    ]
    assert not list((tmp_path / "out").iterdir())


# Faults of the whole file -------------------------------------------------------------------------


def without_file(path: Path, content: dict) -> None:
    path.unlink()


def text(encoded: str) -> Callable[[Path, dict], None]:
    return lambda path, content: path.write_text(encoded)


def changed(change: Callable[[dict], object]) -> Callable[[Path, dict], None]:
    def write(path: Path, content: dict) -> None:
        change(content)
        path.write_text(json.dumps(content))

    return write


@pytest.mark.parametrize(
    "fault, sentence",
    [
        (without_file, "annotation file not found"),
        (text("{"), "is not json"),
        (text("[" * 100_000), "is not json"),
        (text('{"images": {}}'), "it has no list 'images'"),
        (text('{"images": []}'), "it has no list 'categories'"),
        (text('{"images": [5], "categories": []}'), "images[0] is no mapping"),
        (changed(lambda c: c.update(annotations={})), "its annotations are no list"),
        (changed(lambda c: c["categories"][0].update(name="hexagon")), "'hexagon' (id 1) is not"),
        (changed(lambda c: c["categories"][0].update(id=2)), "category id 2 stands there twice"),
        (
            changed(lambda c: c["categories"].append({**c["categories"][0], "id": 99})),
            "'circle' stands there twice",
        ),
        (changed(lambda c: c["categories"][0].update(id=True)), "categories[0] has no integer id"),
        (changed(lambda c: c["categories"][0].update(id=2**63)), "[0] has no integer id"),
    ],
)
def test_a_fault_of_the_whole_file_is_one_sentence(
    fault: Callable, sentence: str, coco_set: CocoSet, target: Path
):
    coco_set.write()
    fault(coco_set.annotation_path, json.loads(coco_set.annotation_path.read_text()))
    with pytest.raises(UserError) as error:
        dataset.main(arguments(coco_set.root, target, "--on_bad_record", "skip"))
    assert str(error.value).startswith(str(coco_set.annotation_path))
    assert sentence in str(error.value)
    assert not target.exists()


@pytest.mark.parametrize("list_name", ["images", "annotations"])
def test_an_empty_set_is_refused(list_name: str, coco_set: CocoSet, target: Path):
    coco_set.annotations.clear()
    getattr(coco_set, list_name).clear()
    with pytest.raises(UserError, match="no usable image with a box"):
        convert(coco_set, target)
    assert not list(target.iterdir())


def test_the_converter_needs_its_folders(program: Program, tmp_path: Path):
    assert_refused(program("src/dataset.py", cwd=tmp_path), "--coco_data_dir and --mindrecord_dir")
    assert_refused(program("src/dataset.py", "--verify", cwd=tmp_path), "--mindrecord_dir")


# Odd but right ------------------------------------------------------------------------------------


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)


def cmyk_jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(HEIGHT, WIDTH, 3)).convert("CMYK").save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize(
    "encoded, size",
    [
        (cv2.imencode(".png", noise(HEIGHT, WIDTH, 3))[1].tobytes(), (HEIGHT, WIDTH)),
        (cv2.imencode(".jpg", noise(HEIGHT, WIDTH))[1].tobytes(), (HEIGHT, WIDTH)),
        (cmyk_jpeg(), (HEIGHT, WIDTH)),
        (
            cv2.imencode(".png", noise(HEIGHT, WIDTH, 3).astype(np.uint16) * 257)[1].tobytes(),
            (HEIGHT, WIDTH),
        ),
        (
            turned_by_exif(cv2.imencode(".jpg", noise(HEIGHT, WIDTH, 3))[1].tobytes()),
            (HEIGHT, WIDTH),
        ),
        (cv2.imencode(".jpg", np.full((600, 20_000), 200))[1].tobytes(), (600, 20_000)),
        (cv2.imencode(".jpg", np.full((1000, 32_766), 200))[1].tobytes(), (1000, 32_766)),
    ],
    ids=["png named jpg", "grey jpeg", "cmyk jpeg", "16-bit png", "exif", "20,000 wide", "widest"],
)
def test_an_odd_image_converts_and_trains(
    encoded: bytes, size: tuple[int, int], coco_set: CocoSet, target: Path
):
    coco_set.add("odd.jpg", encoded, size)
    assert convert(coco_set, target)["images"] == 4
    batches = training_batches(target)
    assert batches[3]["image"].shape == (1, 128, 128, 3)
    assert batches[3]["image"].std() > 1
    if size == (HEIGHT, WIDTH):
        assert batches[3]["objects"][0, 0, 7] == 2


@pytest.mark.parametrize("image_id", [0, -1, 2**31, 2**63 - 1])
def test_ids_of_64_bits_are_kept(image_id: int, coco_set: CocoSet, target: Path):
    coco_set.images[0]["id"] = image_id
    coco_set.annotations[0].update(image_id=image_id, id=image_id)
    convert(coco_set, target)
    assert [int(row["image_id"]) for row in records(target)] == [image_id, 2, 3]


def test_boxes_are_clipped_and_belong_to_their_images(coco_set: CocoSet, target: Path):
    coco_set.annotations[0]["bbox"] = [-3.5, 20, 10.25, 1e300]
    # Not in the images' order: those of an image stay in the file's.
    coco_set.annotations.insert(
        0, {"id": 9, "image_id": 3, "category_id": 9, "bbox": [0, 0, 1, 2], "iscrowd": 1}
    )
    manifest = convert(coco_set, target)
    first, second, third = records(target)
    assert first["boxes"].tolist() == [[0, 20, 6.75, 30]]
    assert second["boxes"].tolist() == [[5, 5, 25, 15]]
    assert third["boxes"].tolist() == [[0, 0, 1, 2], [5, 5, 25, 15]]
    assert third["classes"].tolist() == [4, 2]
    assert (manifest["images"], manifest["boxes"]) == (3, 4)
    assert manifest["columns"] == {
        "image": {"type": "bytes"},
        "image_id": {"type": "int64"},
        "size": {"type": "int32", "shape": [2]},
        "boxes": {"type": "float32", "shape": [-1, 4]},
        "classes": {"type": "int32", "shape": [-1]},
    }


@pytest.mark.parametrize("skip_crowd", ["true", "false"])
@pytest.mark.parametrize("keep_empty", ["true", "false"])
def test_images_without_boxes_and_crowds_follow_the_options(
    keep_empty: str, skip_crowd: str, coco_set: CocoSet, target: Path
):
    del coco_set.annotations[1]  # image 2 has no box
    coco_set.annotations[1]["iscrowd"] = 1  # image 3 has a crowd only
    options = ("--dataset_config.keep_empty_images", keep_empty)
    manifest = convert(coco_set, target, *options, "--dataset_config.skip_crowd", skip_crowd)
    objects = [1, 0, int(skip_crowd == "false")]
    empty = objects.count(0)
    kept = [count for count in objects if count or keep_empty == "true"]
    assert manifest["images"] == len(kept)
    assert manifest["boxes"] == sum(kept)
    assert manifest["empty_images"] == kept.count(0)
    assert manifest["left_out_empty"] == (empty if keep_empty == "false" else 0)
    batches = training_batches(target)
    assert [int((batch["objects"][0, :, 7] >= 0).sum()) for batch in batches] == kept
    for batch, count in zip(batches, kept, strict=True):
        assert (batch["objects"][0, count:, 7] == -1).all()
    verify(target)


# Up to date ---------------------------------------------------------------------------------------


def state(target: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in target.iterdir()}


def test_the_same_source_is_not_converted_again(
    coco_set: CocoSet, target: Path, capsys: pytest.CaptureFixture
):
    convert(coco_set, target)
    written = state(target)
    capsys.readouterr()
    convert(coco_set, target, "--dataset_config.num_workers", 1)
    assert state(target) == written
    assert capsys.readouterr().out == (
        f"{target / PREFIX}*: up to date, 3 images with 3 boxes of 3 images; "
        "left out as unusable: 0; nothing to do.\n"
    )


def change_a_box(data: CocoSet, target: Path) -> None:
    data.annotations[0]["bbox"] = [1, 1, 9, 9]


def touch_an_image(data: CocoSet, target: Path) -> None:
    os.utime(data.file(1), ns=(0, 0))


def lose_a_shard(data: CocoSet, target: Path) -> None:
    (target / f"{PREFIX}0").unlink()


def shorten_a_shard(data: CocoSet, target: Path) -> None:
    os.truncate(target / f"{PREFIX}0", 1000)


def lose_the_manifest(data: CocoSet, target: Path) -> None:
    (target / f"{PREFIX}.json").unlink()


@pytest.mark.parametrize(
    "change",
    [change_a_box, touch_an_image, lose_a_shard, shorten_a_shard, lose_the_manifest],
    ids=lambda change: change.__name__,
)
def test_a_change_of_source_or_set_is_converted(change: Callable, coco_set: CocoSet, target: Path):
    convert(coco_set, target)
    written = state(target)
    change(coco_set, target)
    convert(coco_set, target)
    assert state(target).keys() == written.keys()
    assert all(time > written[name] for name, time in state(target).items())
    verify(target)


@pytest.mark.parametrize(
    "option",
    [
        ("--dataset_config.keep_empty_images",),
        ("--dataset_config.skip_crowd",),
        ("--on_bad_record", "skip"),
        ("--dataset_config.num_shards", 2),
    ],
)
def test_an_option_that_changes_the_result_converts_again(
    option: tuple, coco_set: CocoSet, target: Path
):
    before = convert(coco_set, target)
    assert convert(coco_set, target, *option)["source"] != before["source"]


# Whole or not at all ------------------------------------------------------------------------------


def read_manifest(target: Path) -> mindrecord.Manifest:
    return mindrecord.read_manifest(target, PREFIX, CLASSES)


@pytest.fixture
def long_set(tmp_path: Path) -> CocoSet:
    """A set that takes long enough to be killed: one file under very many ids."""
    long = CocoSet(tmp_path / "long")
    entry, box = long.images[0], long.annotations[0]
    long.images = [{**entry, "id": number} for number in range(60_000)]
    long.annotations = [{**box, "id": number, "image_id": number} for number in range(60_000)]
    long.write()
    return long


def kill_while_writing(root: Path, target: Path) -> None:
    """Starts a conversion and kills it when its files have begun to grow."""
    command = [sys.executable, str(PROJECT / "src" / "dataset.py"), *arguments(root, target)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    partial = target / f".{PREFIX}.partial"
    deadline = time.monotonic() + 120
    try:
        while not any(path.stat().st_size for path in partial.glob("*")):
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        running.kill()
        running.communicate()
    assert running.returncode == -signal.SIGKILL
    assert partial.is_dir()


def test_a_killed_conversion_leaves_nothing_that_training_takes(
    coco_set: CocoSet, long_set: CocoSet, target: Path
):
    kill_while_writing(long_set.root, target)
    with pytest.raises(UserError, match="no finished MindRecord set is here"):
        read_manifest(target)
    convert(coco_set, target)
    assert sorted(state(target)) == [f"{PREFIX}.json", f"{PREFIX}0", f"{PREFIX}0.db"]
    verify(target)


def test_a_killed_conversion_leaves_the_earlier_set(
    coco_set: CocoSet, long_set: CocoSet, target: Path
):
    convert(coco_set, target)
    kill_while_writing(long_set.root, target)
    assert read_manifest(target).images == 3
    verify(target)
    coco_set.annotations[0]["bbox"] = [1, 1, 9, 9]
    convert(coco_set, target)
    assert sorted(state(target)) == [f"{PREFIX}.json", f"{PREFIX}0", f"{PREFIX}0.db"]


def test_a_stop_at_any_step_of_the_replacement_leaves_one_whole_set_or_none(
    coco_set: CocoSet, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Stop(BaseException):
        pass

    steps_left = 0

    def counted(step: Callable) -> Callable:
        def run(*args: Any, **options: Any) -> Any:
            nonlocal steps_left
            if steps_left == 0:
                raise Stop
            steps_left -= 1
            return step(*args, **options)

        return run

    convert(coco_set, target)
    old = tmp_path / "old"
    shutil.copytree(target, old)
    coco_set.add("4.jpg", coco_set.file(1).read_bytes())
    seen = []
    for steps in itertools.count():
        shutil.rmtree(target)
        shutil.copytree(old, target)
        with monkeypatch.context() as patched:
            steps_left = steps
            patched.setattr(Path, "replace", counted(Path.replace))
            patched.setattr(Path, "unlink", counted(Path.unlink))
            try:
                convert(coco_set, target)
                break
            except Stop:
                pass
        try:
            seen.append(read_manifest(target).images)
            verify(target)
        except UserError as error:
            assert "no finished MindRecord set is here" in str(error)
            seen.append(0)
    # The manifest and two files go, two files and the manifest come.
    assert seen == [3, 0, 0, 0, 0, 0]
    assert read_manifest(target).images == 4


def test_a_second_conversion_to_the_same_place_is_refused(coco_set: CocoSet, target: Path):
    partial = target / f".{PREFIX}.partial"
    partial.mkdir(parents=True)
    lock = os.open(partial, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(UserError, match="another conversion writes here"):
        convert(coco_set, target)
    os.close(lock)
    convert(coco_set, target)
    assert not partial.exists()


@pytest.mark.parametrize("place", ["below a file", "/proc/mindrecord"])
def test_a_place_that_cannot_be_written_is_named(
    place: str, coco_set: CocoSet, program: Program, tmp_path: Path
):
    coco_set.write()
    (tmp_path / "file").write_text("in the way")
    target = Path(place) if place.startswith("/") else tmp_path / "file" / "mindrecord"
    done = program("src/dataset.py", *arguments(coco_set.root, target), cwd=tmp_path)
    assert_refused(done, target, "check the path, its permissions and the free space")


def test_a_full_disk_ends_in_one_sentence_and_leaves_nothing(coco_set: CocoSet, target: Path):
    coco_set.write()
    limit = 4_000_000  # bytes of one file: less than the smallest MindRecord file
    done = subprocess.run(
        [sys.executable, str(PROJECT / "src" / "dataset.py"), *arguments(coco_set.root, target)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert_refused(done, target, "MindRecord files cannot be written", "check the free space")
    assert not list(target.iterdir())


# Damaged sets -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    convert(CocoSet(folder / "coco"), folder / "mindrecord")
    return folder / "mindrecord"


def flip_a_byte(name: str) -> Callable[[Path], None]:
    def flip(target: Path) -> None:
        with (target / name).open("r+b") as file:
            file.seek(9000)
            byte = file.read(1)
            file.seek(9000)
            file.write(bytes([byte[0] ^ 0xFF]))

    return flip


def write_manifest(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def write(target: Path) -> None:
        path = target / f"{PREFIX}.json"
        content = copy.deepcopy(json.loads(path.read_text()))
        change(content)
        path.write_text(json.dumps(content))

    return write


MANIFEST = f"{PREFIX}.json"
SHARD = f"{PREFIX}0"
DAMAGES = {
    "no manifest": (
        lambda target: (target / MANIFEST).unlink(),
        MANIFEST,
        "no finished MindRecord set is here",
    ),
    "manifest no json": (
        lambda target: (target / MANIFEST).write_text("{"),
        MANIFEST,
        "is not a manifest",
    ),
    "manifest a list": (
        lambda target: (target / MANIFEST).write_text("[]"),
        MANIFEST,
        "is not a manifest",
    ),
    "manifest without version": (
        write_manifest(lambda content: content.pop("schema_version")),
        MANIFEST,
        "is not a manifest",
    ),
    "manifest without counts": (
        write_manifest(lambda content: content.pop("boxes")),
        MANIFEST,
        "is not a manifest",
    ),
    "older version": (
        write_manifest(lambda content: content.update(schema_version=1)),
        MANIFEST,
        "schema version 1 is not 2",
    ),
    "newer version": (
        write_manifest(lambda content: content.update(schema_version=3, masks=5)),
        MANIFEST,
        "schema version 3 is not 2",
    ),
    "missing shard": (
        lambda target: (target / SHARD).unlink(),
        SHARD,
        "is missing or not the",
    ),
    "missing index": (
        lambda target: (target / f"{SHARD}.db").unlink(),
        f"{SHARD}.db",
        "is missing or not the",
    ),
    "short shard": (
        lambda target: os.truncate(target / SHARD, 5000),
        SHARD,
        "is missing or not the",
    ),
}
HIDDEN_DAMAGES = {
    "byte of shard": (flip_a_byte(SHARD), SHARD, "its content is not what was written"),
    "byte of index": (flip_a_byte(f"{SHARD}.db"), f"{SHARD}.db", "its content is not what was"),
    "count": (
        write_manifest(lambda content: content.update(boxes=4)),
        MANIFEST,
        "states 3 images, 0 of them without boxes, and 4 boxes, but the files hold 3, 0 and 3",
    ),
}


@pytest.mark.parametrize("damage", [*DAMAGES.items(), *HIDDEN_DAMAGES.items()], ids=case_name)
def test_a_damaged_set_is_refused(damage: tuple, whole_set: Path, tmp_path: Path):
    name, (break_it, file, sentence) = damage
    target = Path(shutil.copytree(whole_set, tmp_path / "copy"))
    verify(target)
    break_it(target)
    with pytest.raises(UserError) as error:
        verify(target)
    assert str(error.value).startswith(f"{target / file}: ")
    assert sentence in str(error.value)
    assert "convert_dataset_to_mindrecord.sh" in str(error.value)
    if name in HIDDEN_DAMAGES:  # not seen by the cheap check before training
        read_manifest(target)
        return
    with pytest.raises(UserError) as error:
        training_batches(target)
    assert str(error.value).startswith(f"{target / file}: ")
    assert sentence in str(error.value)


def test_records_that_cannot_be_read_are_refused(whole_set: Path, tmp_path: Path):
    target = Path(shutil.copytree(whole_set, tmp_path / "copy"))
    (target / SHARD).write_bytes(bytes(100_000))

    def sign_it(content: dict) -> None:
        content["files"][SHARD] = {"size": 100_000, "sha256": mindrecord.sha256(target / SHARD)}

    write_manifest(sign_it)(target)
    with pytest.raises(UserError, match="record 0 cannot be read"):
        verify(target)


@pytest.mark.parametrize("flag", [["--verify"], ["--verify", "true"], ["--verify=True"]])
def test_verify_needs_no_configuration_of_the_set(
    flag: list[str], whole_set: Path, capsys: pytest.CaptureFixture
):
    dataset.main([*flag, "--mindrecord_dir", str(whole_set)])
    assert capsys.readouterr().out == (
        f"{whole_set / PREFIX}*: verified, 3 images with 3 boxes in 2 files.\n"
    )


def test_verify_and_training_end_with_exit_code_2(
    whole_set: Path, program: Program, tmp_path: Path
):
    target = Path(shutil.copytree(whole_set, tmp_path / "copy"))
    flip_a_byte(SHARD)(target)
    done = program("src/dataset.py", "--verify", "--mindrecord_dir", target, cwd=tmp_path)
    assert_refused(done, target / SHARD, "its content is not what was written (SHA-256)")
    write_manifest(lambda content: content.update(schema_version=1))(target)
    cpu = ("--config_path", QUICKSTART, "--device_target", "CPU")
    done = program("train.py", *cpu, "--mindrecord_dir", target, cwd=tmp_path)
    assert_refused(done, target / MANIFEST, "schema version 1 is not 2")


# Evaluation reads the same way --------------------------------------------------------------------


def test_evaluation_refuses_bad_records_or_leaves_them_out(
    coco_set: CocoSet, capsys: pytest.CaptureFixture
):
    from src.evaluation.coco_results import score
    from src.evaluation.evaluation_set import read_evaluation_set

    coco_set.annotations[0]["bbox"] = None
    coco_set.images[2]["id"] = True
    coco_set.write()
    names = ("val_annotation", "annotations/instances_train2017.json"), ("val_images", "train2017")
    options = [part for name, value in names for part in (f"--dataset_config.{name}", value)]
    config = load_config("test", ["--config_path", str(QUICKSTART), *options]).dataset_config
    with pytest.raises(UserError, match=r"image True has no id .*and 2 more"):
        read_evaluation_set(config, coco_set.root, "val", -1, "fail")
    evaluation_set = read_evaluation_set(config, coco_set.root, "val", -1, "skip")
    assert "unusable records: 3" in capsys.readouterr().err
    assert [record.image_id for record in evaluation_set.records] == [1, 2]
    result = {"image_id": 2, "category_id": 4, "bbox": [5, 5, 20, 10], "score": 0.5}
    scores = score(coco_set.annotation_path, [result], [1, 2], config.coco_classes)
    assert scores.numbers["AP"] == pytest.approx(1)
