# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The converter on good, odd and broken data; sets that are whole, damaged or half-written."""

import copy
import gzip
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
from src.data.coco import BadRecords
from src.data.loader import create_train_dataset
from src.evaluation.coco_results import score
from src.evaluation.evaluation_set import read_evaluation_set
from src.model_utils.config import load_config
from src.model_utils.errors import UserError
from src.model_utils.locks import held
from src.model_utils.parameters import DatasetConfig
from src.tasks.boxes import TASK
from tests.conftest import PROJECT, QUICKSTART, Program, assert_refused
from tests.helpers import turned_by_exif

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
    batches = create_train_dataset(
        config, TASK, target, PREFIX, down_ratio=4, batch_size=1, shuffle=False, seed=0
    )
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


NOT_DECODED = "image that does not decode"
NOT_FOUR = "box that is not four numbers"
BROKEN_IMAGES = {
    "missing": (lose_an_image, "image that cannot be read", "2 cannot be read (No such file"),
    "folder": (put_a_folder_in_its_place, "image that cannot be read", "(Is a directory)"),
    "truncated jpeg": (truncate_a_jpeg, NOT_DECODED, "2.jpg: image 2 does not decode"),
    "truncated png": (truncate_a_png, NOT_DECODED, "2.jpg: image 2 does not decode"),
    "zero bytes": (empty_a_file, NOT_DECODED, "2.jpg: image 2 does not decode"),
    "text": (write_text, NOT_DECODED, "2.jpg: image 2 does not decode"),
    "too many pixels": (state_too_many_pixels, "image too large to warp", "a side of 60000 pix"),
    "a gif": (
        lambda data: data.file(2).write_bytes(b"GIF89a" + bytes(20)),
        "image of a format that is not read",
        "2.jpg: image 2 is a GIF, which is not read (JPEG, PNG, BMP",
    ),
    "floats": (
        lambda data: Image.fromarray(np.zeros((30, 40), np.float32)).save(data.file(2), "TIFF"),
        "image of a format that is not read",
        "2.jpg: image 2 is a TIFF of floating-point numbers",
    ),
    "a pointer": (
        lambda data: data.file(2).write_text("version https://git-lfs.github.com/spec/v1\n"),
        "image of a format that is not read",
        "2.jpg: image 2 is a pointer of Git LFS (git lfs pull fetches the file)",
    ),
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
        "image 2 is 40x30 pixels but its annotation says 30x40, as its EXIF orientation 6 turns it",
    ),
    "text as size": (change_image(height="x"), "image without a size", "and height but 40 and 'x'"),
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
    "url": (
        change_image(file_name="https://labels.example.org/2.jpg"),
        "file name that is a URL",
        "image 2 has file_name 'https://labels.example.org/2.jpg', a URL; download it",
    ),
    "a drive": (
        change_image(file_name="C:\\data\\2.jpg"),
        "file name outside the folder",
        "image 2 has file_name 'C:\\\\data\\\\2.jpg', which leaves",
    ),
    "up by back slashes": (
        change_image(file_name="..\\train2017\\2.jpg"),
        "file name outside the folder",
        "image 2 has file_name '../train2017/2.jpg', which leaves",
    ),
    "no id": (
        change_image_id(None),
        "image without a 64-bit integer id",
        "image number 1 has no id that is an integer",
    ),
    "text as id": (
        change_image_id("two"),
        "image without a 64-bit integer id",
        "image 'two' has no id that is an integer",
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
    "a mask": (
        change_annotation(bbox=[], segmentation={"counts": [600, 600], "size": [30, 40]}),
        NOT_FOUR,
        "annotation 2 has bbox [], not four numbers, and a mask (RLE)",
    ),
    "image as text": (
        change_annotation(image_id="two"),
        "annotation of an image that is not listed",
        "annotation 2 is of image 'two', not listed",
    ),
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
        f"{data}/train2017/{number:012d}.jpg: image {number} does not decode (it is empty)"
        for number in (5, 6)
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
        (
            lambda path, _: path.write_bytes(b"\x1f\x8b\x08broken"),
            "is packed with gzip and damaged",
        ),
        (
            lambda path, _: path.write_bytes(b'{"images": "\xe4"}'),
            "it is not UTF-8 (byte 12); write",
        ),
        (text("version https://git-lfs.github.com/spec/v1\n"), "it is a pointer of Git LFS"),
        (text('{"images": {}}'), "it has no list 'images'"),
        (text('{"images": []}'), "it has no list 'categories'"),
        (text('{"images": [5], "categories": []}'), "images[0] is no mapping"),
        (changed(lambda c: c.update(annotations={})), "its annotations are no list"),
        (changed(lambda c: c["categories"][2].update(name="hexagon")), "'hexagon' (id 4) is not"),
        (changed(lambda c: c["categories"][0].update(id=2)), "category id 2 stands there twice"),
        (
            changed(
                lambda c: (
                    c["categories"].append({**c["categories"][2], "id": 99}),
                    c["annotations"][0].update(category_id=99),
                )
            ),
            "'triangle' stands there twice",
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


def test_images_with_a_short_side_are_left_out_if_that_is_asked_for(
    coco_set: CocoSet, target: Path
):
    coco_set.add(
        "4.jpg", cv2.imencode(".jpg", np.zeros((29, 90, 3), np.uint8))[1].tobytes(), (29, 90)
    )
    manifest = convert(coco_set, target, "--dataset_config.min_side", 30)
    assert (manifest["images"], manifest["left_out_unusable"]) == (3, 0)
    (note,) = manifest["notes"]
    assert note.startswith("1 image(s) have a side below dataset_config.min_side 30 (")
    assert convert(coco_set, target)["images"] == 4


# What means the same ------------------------------------------------------------------------------


def in_every_form(data: CocoSet) -> None:
    """Whole numbers as text and float, ids of annotations that are absent or there twice."""
    data.images[0].update(id="1", width=40.0, height="30")
    data.images[1].update(id=2.0)
    data.annotations[0].update(image_id=1.0, category_id="4", id=7, iscrowd=0.0, segmentation=None)
    data.annotations[1].update(image_id="2.0", category_id=4.0, id=7)
    del data.annotations[2]["id"]
    data.categories[2].update(id=" 4", supercategory=None)


def without_sizes(data: CocoSet) -> None:
    data.images[0].update(width=None, height=None)
    del data.images[2]["width"]


def in_other_folders(data: CocoSet) -> None:
    for number, form in ((1, "below\\{}.jpg"), (2, f"{data.image_dir}/below/{{}}.jpg")):
        (data.image_dir / "below").mkdir(exist_ok=True)
        data.file(number).rename(data.image_dir / "below" / f"{number}.jpg")
        data.images[number - 1]["file_name"] = form.format(number)
    data.file(3).rename(data.image_dir / "e\N{COMBINING ACUTE ACCENT}.jpg")
    data.images[2]["file_name"] = "\N{LATIN SMALL LETTER E WITH ACUTE}.jpg"


def with_escaped_names(data: CocoSet) -> None:
    data.file(1).rename(data.image_dir / "a b.jpg")
    data.images[0]["file_name"] = "a%20b.jpg"
    data.file(2).rename(data.image_dir / "100%25.jpg")
    data.images[1]["file_name"] = "100%25.jpg"


def as_polygons(data: CocoSet) -> None:
    del data.annotations[0]["bbox"]
    data.annotations[0]["segmentation"] = [[5, 5, 9, 5, 9, 9], [25, 15, 20, 12, 6, 8]]
    data.annotations[1].update(bbox=[], segmentation=[[5, 5], [25, 5], [25, 15]])


def with_a_root_category(data: CocoSet) -> None:
    data.categories.insert(0, {"id": 0, "name": "shapes-x1"})
    data.categories.insert(1, {"id": 99, "name": "triangle"})  # and one of a class's name


def with_a_film_behind(data: CocoSet) -> None:
    with data.file(2).open("ab") as file:
        file.write(bytes(range(200)) * 30)


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (in_every_form, "note: 1 annotation id(s) stand there more than once (id 7 of image 2)"),
        (
            without_sizes,
            "note: 2 image(s) have no width and height in the annotation file (image 1",
        ),
        (in_other_folders, ""),
        (with_escaped_names, ""),
        (as_polygons, "note: 2 box(es) are computed from polygons, as there is no bbox (annotat"),
        (with_a_root_category, "note: 2 category(ies) that no annotation uses are left out ('shap"),
        (with_a_film_behind, ""),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_means_the_same_is_taken(
    change: Callable, note: str, coco_set: CocoSet, target: Path, capsys: pytest.CaptureFixture
):
    change(coco_set)
    assert convert(coco_set, target)["left_out_unusable"] == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert len(notes) == bool(note)
    assert all(line.startswith(note) for line in notes)
    for number, row in enumerate(records(target), 1):
        assert row["image_id"] == number
        assert row["size"].tolist() == [HEIGHT, WIDTH]
        assert row["boxes"].tolist() == [[5, 5, 25, 15]]
        assert row["classes"].tolist() == [2]


@pytest.mark.parametrize("pack", [gzip.compress, lambda encoded: b"\xef\xbb\xbf" + encoded])
def test_a_packed_json_and_one_with_a_mark_are_read(
    pack: Callable, coco_set: CocoSet, target: Path
):
    coco_set.write()
    coco_set.annotation_path.write_bytes(pack(coco_set.annotation_path.read_bytes()))
    dataset.main(arguments(coco_set.root, target))
    assert len(records(target)) == 3


def test_a_category_with_a_number_for_a_name(coco_set: CocoSet, target: Path):
    coco_set.categories[2]["name"] = 0
    names = '[circle, square, "0", star, ring]'
    assert convert(coco_set, target, "--dataset_config.coco_classes", names)["boxes"] == 3


# What is odd is said ------------------------------------------------------------------------------


def notes_of(capsys: pytest.CaptureFixture) -> list[str]:
    lines = capsys.readouterr().out.splitlines()
    return [line.removeprefix("note: ") for line in lines if line.startswith("note: ")]


def add_boxes(data: CocoSet, *boxes: list, **changes: object) -> None:
    data.annotations += [{"image_id": 1, "category_id": 4, "bbox": box, **changes} for box in boxes]


@pytest.mark.parametrize(
    ("boxes", "sentences"),
    [
        ([], []),  # nothing is odd
        ([[30, 5, 10.9, 9]], []),  # rounding
        (
            [[30, 5, 60, 9], [39, 5, 9, 9], [-8, 0, 9, 10], [0, 0, 40, 30]],
            ["3 of 7 boxes reach over the edge of their image and are cut there, 3 by more than "
             "half (annotation of image 1 has bbox [39, 5, 9, 9] in 40x30 pixels)"],
        ),
        (
            [[20, 9, 39, 29], [30, 20, 40, 30]],
            ["2 of 5 boxes reach over the edge of their image and are cut there, 2 by more than "
             "half (annotation of image 1 has bbox [30, 20, 40, 30] in 40x30 pixels); are they x1 "
             "y1 x2 y2? COCO's are x y width height"],
        ),
        (
            [[3, 4, 0.5, 9]],
            ["1 of 4 boxes have a side of less than a pixel (annotation of image 1 has bbox [3, 4, "
             "0.5, 9] in 40x30 pixels)"],
        ),
        (
            [[0.1, 0.2, 0.3, 0.4]] * 4,
            ["4 of 7 boxes have a side of less than a pixel (annotation of image 1 has bbox [0.1, "
             "0.2, 0.3, 0.4] in 40x30 pixels); are they parts of the image, 0 to 1? COCO's are "
             "pixels"],
        ),
    ],
)  # fmt: skip
def test_odd_boxes_are_counted_with_an_example(
    boxes: list, sentences: list, coco_set: CocoSet, target: Path, capsys: pytest.CaptureFixture
):
    for annotation in coco_set.annotations:  # as corners and as sizes inside the image
        annotation["bbox"] = [5, 5, 20, 10]
    add_boxes(coco_set, *boxes)
    manifest = convert(coco_set, target)
    assert notes_of(capsys) == manifest["notes"] == sentences
    convert(coco_set, target)  # up to date
    assert notes_of(capsys) == sentences


def test_more_objects_than_training_takes_are_said_before_and_at_its_start(
    coco_set: CocoSet, target: Path, capsys: pytest.CaptureFixture
):
    add_boxes(coco_set, *[[i, 0, 3, 3] for i in range(11)])
    options = ("--dataset_config.max_objs", 8)
    assert convert(coco_set, target, *options)["most_boxes"] == 12
    expected = (
        "1 image(s) hold more than dataset_config.max_objs 8 objects (image 1: 12); training takes "
        "8 of each and the rest as background: set --dataset_config.max_objs 12"
    )
    assert notes_of(capsys) == [expected]
    convert(coco_set, target, "--dataset_config.max_objs", 12)  # up to date, and enough
    assert notes_of(capsys) == []
    training_batches(target, "--dataset_config.max_objs", "8")
    assert notes_of(capsys) == [
        "the set has images with up to 12 objects, of which training takes 8 and the rest as "
        "background: set --dataset_config.max_objs 12"
    ]
    batches = training_batches(target, "--dataset_config.max_objs", "12")
    assert (batches[0]["objects"][0, :, 7] >= 0).sum() == 12
    assert notes_of(capsys) == []


def test_images_much_larger_than_the_network_was_trained_at_are_said(
    coco_set: CocoSet, target: Path, capsys: pytest.CaptureFixture
):
    coco_set.add("large.png", cv2.imencode(".png", noise(200, 300, 3))[1].tobytes(), (200, 300))
    convert(coco_set, target, "--eval_config.keep_res", "true")
    (sentence,) = notes_of(capsys)
    assert sentence.startswith("1 of 4 images are more than 2 times as large as dataset_config.")
    assert "(image 4: 300x200)" in sentence and "--eval_config.keep_res false" in sentence
    convert(coco_set, target, "--eval_config.keep_res", "false")
    assert notes_of(capsys) == []


def test_dark_16_bit_images_are_said(
    coco_set: CocoSet, target: Path, capsys: pytest.CaptureFixture
):
    twelve_bits = noise(HEIGHT, WIDTH).astype(np.uint16) * 16
    coco_set.add("dark.png", cv2.imencode(".png", twelve_bits)[1].tobytes())
    coco_set.add("bright.png", cv2.imencode(".png", twelve_bits * 16)[1].tobytes())
    convert(coco_set, target)
    (sentence,) = notes_of(capsys)
    assert sentence.startswith("1 16-bit image(s) use less than a sixteenth of their levels")
    assert "dark.png" in sentence


def test_ignored_boxes_are_left_out_of_training(
    coco_set: CocoSet, target: Path, capsys: pytest.CaptureFixture
):
    add_boxes(coco_set, [0, 0, 9, 9], [1, 1, 9, 9], ignore=1)
    add_boxes(coco_set, [2, 2, 9, 9], ignore=0)
    assert convert(coco_set, target)["boxes"] == 4
    (sentence,) = notes_of(capsys)
    assert sentence.startswith("2 box(es) are marked ignore: left out of training")


def test_an_image_whose_every_box_is_refused_is_no_background(
    coco_set: CocoSet, target: Path, capsys: pytest.CaptureFixture
):
    coco_set.annotations[1]["bbox"] = [900, 5, 9, 9]
    del coco_set.annotations[2]  # image 3 has none: it is background
    options = ("--on_bad_record", "skip", "--dataset_config.keep_empty_images")
    assert convert(coco_set, target, *options)["empty_images"] == 1
    assert [int(row["image_id"]) for row in records(target)] == [1, 3]
    assert notes_of(capsys) == [
        "1 image(s) are left out, as every box of theirs is unusable (image 2, 2.jpg)"
    ]


def test_training_on_some_of_the_categories(
    coco_set: CocoSet, target: Path, capsys: pytest.CaptureFixture
):
    coco_set.annotations[0]["category_id"] = 9
    some = ("--dataset_config.num_classes", 1, "--dataset_config.coco_classes", "[ring]")
    with pytest.raises(UserError, match=r"'triangle' .*--dataset_config\.other_classes leave_out"):
        convert(coco_set, target, *some)
    manifest = convert(coco_set, target, *some, "--dataset_config.other_classes", "leave_out")
    assert (manifest["images"], manifest["left_out_empty"], manifest["boxes"]) == (1, 2, 1)
    assert records(target)[0]["classes"].tolist() == [0]
    assert "2 box(es) of categories that dataset_config.coco_classes lacks" in manifest["notes"][-1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_by_exif_where_it_is_asked_for(
    orientation: int, coco_set: CocoSet, target: Path, capsys: pytest.CaptureFixture
):
    upright = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    upright[5:15, 5:25] = 220  # the object, as a labelling tool shows it
    half = upright[::-1, ::-1]
    stored = {  # what a camera that is held so writes
        1: upright,
        2: upright[:, ::-1],
        3: half,
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: half.transpose(1, 0, 2),
        8: np.rot90(half),
    }[orientation]
    jpeg = cv2.imencode(".jpg", np.ascontiguousarray(stored), [cv2.IMWRITE_JPEG_QUALITY, 100])[
        1
    ].tobytes()
    coco_set.add("turned.jpg", turned_by_exif(jpeg, orientation))
    if orientation < 5:
        convert(coco_set, target)
        ignored = [line for line in notes_of(capsys) if "which is ignored" in line]
        assert len(ignored) == (orientation != 1)
        assert all(f"turned.jpg: orientation {orientation}" in line for line in ignored)
    else:
        with pytest.raises(UserError, match=rf"EXIF orientation {orientation} turns it; dataset_"):
            convert(coco_set, target)
    convert(coco_set, target, "--dataset_config.turn_by_exif")
    assert read_manifest(target).turn_by_exif
    plain = (
        "--dataset_config.shift",
        "0",
        "--dataset_config.scale",
        "0",
        "--dataset_config.flip_prop",
        "0",
    )
    image = training_batches(target, *plain)[3]["image"][0]  # 128x128, the image 128x96 in it
    found = np.argwhere(image[:, :, 0] > 130)
    top, left = found.min(axis=0)
    bottom, right = found.max(axis=0) + 1
    np.testing.assert_allclose([left, top, right, bottom], [16, 32, 80, 64], atol=1)


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
        ("--dataset_config.min_side", 3),
        ("--on_bad_record", "skip"),
        ("--dataset_config.num_shards", 2),
        ("--dataset_config.other_classes", "leave_out"),
        ("--dataset_config.turn_by_exif",),
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
    # The manifest and two files go, two files and the manifest come; the lock goes.
    assert seen == [3, 0, 0, 0, 0, 0, 4]
    assert read_manifest(target).images == 4


def test_a_second_conversion_to_the_same_place_is_refused(coco_set: CocoSet, target: Path):
    with (
        held(target / PREFIX, "conversion", "wait"),
        pytest.raises(
            UserError, match=f"another conversion writes here .process {os.getpid()} on "
        ),
    ):
        convert(coco_set, target)
    convert(coco_set, target)
    assert sorted(state(target)) == [f"{PREFIX}.json", f"{PREFIX}0", f"{PREFIX}0.db"]


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


def evaluation_config(coco_set: CocoSet, *options: str) -> DatasetConfig:
    """Writes the set; the configuration that takes it for the validation set."""
    coco_set.write()
    names = ("val_annotation", "annotations/instances_train2017.json"), ("val_images", "train2017")
    given = [part for name, value in names for part in (f"--dataset_config.{name}", value)]
    return load_config("test", ["--config_path", str(QUICKSTART), *given, *options]).dataset_config


def test_evaluation_checks_the_image_files_before_it_begins(
    coco_set: CocoSet, capsys: pytest.CaptureFixture
):
    turn_by_exif_and_state_the_turned_size(coco_set)
    coco_set.file(1).write_bytes(b"GIF89a" + bytes(20))
    config = evaluation_config(coco_set)
    bad = BadRecords("fail")
    found = read_evaluation_set(config, coco_set.root, "val", -1, bad)
    assert [record.image_id for record in found.records] == [3]
    assert (found.listed, found.left_out) == (3, 2)
    with pytest.raises(UserError, match=r"1 is a GIF, which is not read .*1 more unusable"):
        bad.report()
    assert "2 is 40x30 pixels but its annotation says 30x40, as its EXIF" in capsys.readouterr().err
    config = evaluation_config(coco_set, "--dataset_config.turn_by_exif", "true")
    found = read_evaluation_set(config, coco_set.root, "val", 2, BadRecords("skip"))
    assert [record.image_id for record in found.records] == [2]
    assert found.left_out == 1


def test_evaluation_says_what_is_odd(coco_set: CocoSet, capsys: pytest.CaptureFixture):
    add_boxes(coco_set, *[[i, 0, 3, 3] for i in range(11)])
    coco_set.file(2).write_bytes(turned_by_exif(coco_set.file(2).read_bytes(), 3))
    twelve_bits = noise(200, 300).astype(np.uint16) * 16
    coco_set.add("dark.png", cv2.imencode(".png", twelve_bits)[1].tobytes(), (200, 300))
    bad = BadRecords("fail")
    config = evaluation_config(coco_set)
    read_evaluation_set(config, coco_set.root, "val", -1, bad, boxes=10, keep_res=True)
    lines = notes_of(capsys)
    assert [line.split(" (")[0] for line in lines] == [
        "1 image(s) carry an EXIF rotation, which is ignored",
        "1 16-bit image(s) use less than a sixteenth of their levels and are nearly black as 8 "
        "bits",
        "1 image(s) hold more objects than eval_config.K 10",
        "1 of 4 images are more than 2 times as large as dataset_config.input_res_train [128, 128]",
    ]
    assert lines[2].endswith("(image 1: 12); no more than 10 can be found in one: set "
                             "--eval_config.K 12")  # fmt: skip
    assert bad.count == 0


def test_evaluation_refuses_bad_records_or_leaves_them_out(
    coco_set: CocoSet, capsys: pytest.CaptureFixture
):
    coco_set.annotations[0]["bbox"] = None
    coco_set.images[2]["id"] = True
    config = evaluation_config(coco_set)
    bad = BadRecords("fail")
    read_evaluation_set(config, coco_set.root, "val", -1, bad)
    with pytest.raises(UserError, match=r"image True has no id .*and 2 more"):
        bad.report()
    bad = BadRecords("skip")
    evaluation_set = read_evaluation_set(config, coco_set.root, "val", -1, bad)
    bad.report()
    assert "unusable records: 3" in capsys.readouterr().err
    # Image 1 has lost its only box: it is no background.
    assert [record.image_id for record in evaluation_set.records] == [2]
    result = {"image_id": 2, "category_id": 4, "bbox": [5, 5, 20, 10], "score": 0.5}
    scores = score(coco_set.annotation_path, [result], [2], config.coco_classes)
    assert scores.numbers["AP"] == pytest.approx(1)
