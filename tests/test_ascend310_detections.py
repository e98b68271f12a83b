# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The Ascend 310 application's warp and post-processing give what the Python side gives."""

import json
import os
import re
import shlex
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from src.data.augment import colour_statistics, normalisation, normalise
from src.data.coco import BadRecords
from src.data.geometry import InputGeometry, fixed_resolution
from src.deploy.bin_files import read_meta
from src.deploy.mindir_v1 import write_version_1
from src.evaluation import app_results
from src.evaluation.coco_results import to_results
from src.evaluation.postprocess import PostProcessing
from src.tasks.columns import NO_OBJECT
from tests.helpers import config

K = 100
CATEGORY_IDS = [1, -2, None, 44, 90]
HAS_POINTS = [True, True, True, True, False]
SIZE = (60, 100)  # of the network's input

Run = Callable[..., subprocess.CompletedProcess]


class Rows(nn.Cell):
    """The values of an image as the rows of detections of J points."""

    def __init__(self, points: int = 0):
        super().__init__()
        self.columns = 6 + 3 * points

    def construct(self, x):
        return ops.Reshape()(x, (x.shape[0], K, self.columns))


class Pixels(nn.Cell):
    """Twice the values of an image, as float32 rows of six."""

    def construct(self, x):
        if x.dtype == ms.uint8:
            x = ops.Cast()(x, ms.float32)
        return ops.Reshape()(x * Tensor(2.0, ms.float32), (x.shape[0], -1, 6))


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def run(cell: nn.Cell, shape: tuple[int, ...], dtype: str) -> Path:
        folder = tmp_path_factory.mktemp("model")
        ms.set_context(mode=ms.GRAPH_MODE)
        blank = Tensor(np.zeros(shape, dtype))
        ms.export(cell, blank, file_name=str(folder / "v3"), file_format="MINDIR")
        write_version_1(folder / "v3.mindir", folder / "v1.mindir")
        return folder / "v1.mindir"

    return run


@pytest.fixture
def run(infer_app: Path, tmp_path: Path) -> Run:
    def run(**flags: object) -> subprocess.CompletedProcess:
        given = {"time_path": tmp_path / "time", "device_target": "CPU", **flags}
        options = [part for name, value in given.items() for part in (f"--{name}", str(value))]
        return subprocess.run(
            [infer_app, *options], capture_output=True, text=True, check=False, timeout=60
        )

    return run


def meta_text(
    images: list[str],
    soft_nms: bool = True,
    colour: np.ndarray | None = None,
    take_damaged: bool = False,
    rows: int = K,
    points: int = 0,
    placement: str = "centred",
    clip_boxes: bool = False,
    pairs: bool = False,
    kept: int | None = None,
    border: tuple[int, int, int] = (0, 0, 0),
) -> str:
    colour = np.eye(3, 4) if colour is None else colour
    numbers = " ".join(repr(float(number)) for number in colour.ravel())
    settings = [
        "centernet-meta 5",
        "down_ratio 4",
        f"soft_nms {int(soft_nms)}",
        f"soft_nms_form {'mmcv' if pairs else 'original'}",
        f"clip_boxes {int(clip_boxes)}",
        f"pairs {int(pairs)}",
        f"rows {rows}",
        f"kept {kept or rows}",
        f"points {points}",
        f"category_ids {' '.join('-' if i is None else str(i) for i in CATEGORY_IDS)}",
        f"colour {numbers}",
        "border {} {} {}".format(*border),
        f"placement {placement}",
        f"take_damaged_jpegs {int(take_damaged)}",
        "task boxes",
        "point_classes 0 1 2 3" if points else "point_classes",
        "sigmas",
    ]
    return "".join(f"{line}\n" for line in [*settings, *images])


def image_line(
    image_id: int, affine: np.ndarray, name: str, size: tuple[int, int] = (48, 64)
) -> str:
    numbers = " ".join(repr(float(n)) for n in affine.ravel())
    return f"image {image_id} {numbers} {size[1]} {size[0]} {name}"


def random_detections(random: np.random.Generator, points: int = 0) -> np.ndarray:
    """Float32 (K,6+3J) with boxes that overlap, boxes of negative sides and equal scores."""
    centres = random.uniform(0, 25, (K, 2))
    halves = random.uniform(-0.5, 8, (K, 2))
    scores = np.sort(random.uniform(0.001, 1, K))[::-1].round(2)
    classes = random.integers(0, len(CATEGORY_IDS), K)
    boxes = [centres - halves, centres + halves, scores, classes]
    places = random.uniform(-3, 25, (K, 3 * points))
    return np.column_stack([*boxes, places]).astype(np.float32)


@pytest.mark.parametrize(
    ("soft_nms", "batch", "points", "kept"),
    [(True, 1, 0, K), (False, 3, 0, K), (True, 3, 17, K), (False, 1, 2, K), (True, 1, 0, 40)],
)
def test_results_are_those_of_the_python_side(export, run, tmp_path, soft_nms, batch, points, kept):
    random = np.random.default_rng(0)
    clip_boxes, pairs = points == 2, kept < K
    form = "mmcv" if pairs else "original"
    post_process = PostProcessing(soft_nms, kept, 4, clip_boxes, form, pairs)
    inputs, expected, lines = tmp_path / "in", [], []
    inputs.mkdir()
    for number in (3, 1, 2, 7, 5):
        detections = random_detections(random, points)
        detections[80:, 4] = NO_OBJECT if pairs else detections[80:, 4]
        detections.tofile(inputs / f"{number}.bin")
        size = tuple(random.integers(40, 900, 2))
        affine = fixed_resolution(size, SIZE)
        expected.append((number, post_process([detections], [affine], size)))
        lines.append(image_line(number + 2**40, affine, str(number), size))
    text = meta_text(lines, soft_nms, None, False, K, points, "centred", clip_boxes, pairs, kept)
    (tmp_path / "meta.txt").write_text(text)
    mindir = export(Rows(points), (batch, 3, 10, 20 + 10 * points), "float32")
    flags = {"mindir_path": mindir, "input_path": inputs, "meta_path": tmp_path / "meta.txt"}
    done = run(**flags, result_json=tmp_path / "boxes.json", result_path=tmp_path / "out")
    assert done.returncode == 0, done.stderr
    wanted = [
        entry
        for number, boxes in sorted(expected, key=lambda pair: pair[0])
        for entry in to_results(number + 2**40, boxes, CATEGORY_IDS, HAS_POINTS if points else ())
    ]
    found = json.loads((tmp_path / "boxes.json").read_text())
    assert len(found) == len(wanted) > 5 * (30 if soft_nms else 70) * kept / K
    assert not pairs or min(min(entry["bbox"]) for entry in found) == 0
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours["image_id"], ours["category_id"]) == (
            theirs["image_id"],
            theirs["category_id"],
        )
        np.testing.assert_allclose(ours["bbox"], theirs["bbox"], rtol=1e-6, atol=1e-4)
        assert ours["score"] == pytest.approx(theirs["score"], rel=1e-6)
        assert list(ours) == list(theirs)
        assert ("keypoints" in ours) == (points > 0 and ours["category_id"] != 90)
        if "keypoints" in ours:
            assert ours["keypoints"][2::3] == [1] * points
            np.testing.assert_allclose(ours["keypoints"], theirs["keypoints"], rtol=1e-6, atol=1e-4)
    for path in inputs.iterdir():
        assert (tmp_path / "out" / f"{path.stem}_0.bin").read_bytes() == path.read_bytes()
    # postprocess.py makes the same of the .bin files, and takes both as what they are.
    meta, bad_records = read_meta(tmp_path / "meta.txt"), BadRecords("fail")
    of_files, ids = app_results.of_bin_files(tmp_path / "out", meta, bad_records, 1)
    assert sorted(of_files, key=lambda entry: entry["image_id"]) == wanted
    assert app_results.of_result_file(tmp_path / "boxes.json", meta, bad_records) == (found, ids)


def test_an_image_without_sound_boxes_or_meta_fails_alone(export, run, tmp_path):
    inputs = tmp_path / "in"
    inputs.mkdir()
    random = np.random.default_rng(0)
    faults = {"nan": (4, np.nan), "inf": (0, np.inf), "class": (5, 5), "below": (5, -1)}
    faults["long"] = ([0, 2], [-8e37, 8e37])  # found by the fuzzer: each finite, their distance not
    names = ["a", *faults, "unnamed"]
    for name in names:
        detections = random_detections(random)
        column, value = faults.get(name, (4, 0.5))
        detections[7, column] = value
        detections.tofile(inputs / f"{name}.bin")
    lines = [image_line(i, np.eye(2, 3), name) for i, name in enumerate(names[:-1])]
    (tmp_path / "meta.txt").write_text(meta_text(lines))
    done = run(
        mindir_path=export(Rows(), (4, 3, 10, 20), "float32"),
        input_path=inputs,
        meta_path=tmp_path / "meta.txt",
        result_json=tmp_path / "boxes.json",
    )
    assert done.returncode == 1
    failed = re.findall(r"^failed: .*/in/(\w+).bin: (.*);", done.stderr, re.MULTILINE)
    cause = "the model found a box that is not finite or of no known class"
    assert dict(failed) == {
        **dict.fromkeys(faults, cause),
        "unnamed": "--meta_path does not name unnamed",
    }
    assert {e["image_id"] for e in json.loads((tmp_path / "boxes.json").read_text())} == {0}


GOOD = meta_text([image_line(1, np.eye(2, 3), "a")])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("meta 5", "meta 4", "line 1 is not one of a meta file; write it again with preprocess.py"),
        ("rows 100", "rows 50", "is of float32 (1, 50, 6); run preprocess.py again"),
        ("points 0", "points 2", "is of float32 (1, 100, 12); run preprocess.py again"),
    ],
)
@pytest.mark.parametrize("result", ["result_json", "result_path"])
def test_a_meta_file_of_another_model_is_refused(
    export_once, run, tmp_path, old, new, words, result
):
    np.zeros((K, 6), np.float32).tofile(tmp_path / "a.bin")
    (tmp_path / "meta.txt").write_text(GOOD.replace(old, new))
    flags = {"meta_path": tmp_path / "meta.txt", result: tmp_path / "results"}
    done = run(mindir_path=export_once, input_path=tmp_path, **flags)
    assert done.returncode == 2
    assert re.fullmatch(rf"error: .*meta.txt.*{re.escape(words)}.*\n", done.stderr), done.stderr
    assert not (tmp_path / "results").exists()


def test_a_limit_of_the_size_of_files_is_an_error_as_any_other(export_once, infer_app, tmp_path):
    (tmp_path / "in").mkdir()
    np.zeros((K, 6), np.float32).tofile(tmp_path / "in" / "a.bin")
    (tmp_path / "meta.txt").write_text(GOOD.replace("soft_nms 1", "soft_nms 0"))
    for flags in (
        ["--result_path", tmp_path / "out"],
        ["--meta_path", tmp_path / "meta.txt", "--result_json", tmp_path / "boxes.json"],
    ):
        command = [
            *(infer_app, "--device_target", "CPU", "--mindir_path", export_once),
            *("--input_path", tmp_path / "in", "--time_path", tmp_path / "time", *flags),
        ]
        limited = f"ulimit -f 1; exec {shlex.join(map(str, command))}"
        done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert re.search(r"error: .*: cannot be written \(File too large\); free", done.stderr)
    assert not list(tmp_path.rglob(".partial-*")) and not (tmp_path / "boxes.json").exists()


def test_numbers_that_are_not_finite_are_no_detections(export, run, tmp_path):
    (tmp_path / "in").mkdir()
    for name, value in (("good", 1.0), ("nan", np.nan), ("inf", -np.inf)):
        detections = np.zeros((K, 6), np.float32)
        detections[50, 2] = value
        detections.tofile(tmp_path / "in" / f"{name}.bin")
    done = run(
        mindir_path=export(Rows(), (2, 3, 10, 20), "float32"),
        input_path=tmp_path / "in",
        result_path=tmp_path / "out",
    )
    assert done.returncode == 1
    failed = re.findall(r"^failed: .*/in/(\w+).bin: the model gives numbers", done.stderr, re.M)
    assert sorted(failed) == ["inf", "nan"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good_0.bin"]


@pytest.mark.usefixtures("reads_images")
def test_the_application_believes_no_header_that_lies(export, infer_app, tmp_path):
    (tmp_path / "in").mkdir()
    pixels = np.zeros((40, 60, 3), np.uint8)
    for ending in ("jpg", "png", "bmp"):
        encoded = cv2.imencode(f".{ending}", pixels)[1].tobytes()
        (tmp_path / "in" / f"{ending}-good.{ending}").write_bytes(encoded)
        for height, width in ((65500, 65500), (20000, 20000)):
            lying = bytearray(encoded)
            if ending == "jpg":
                place = lying.index(b"\xff\xc0") + 5
                lying[place : place + 4] = struct.pack(">HH", height, width)
            elif ending == "png":
                lying[16:24] = struct.pack(">II", width, height)
                lying[29:33] = struct.pack(">I", zlib.crc32(lying[12:29]))
            else:
                lying[18:26] = struct.pack("<ii", width, -height)
            (tmp_path / "in" / f"{ending}-{height}.{ending}").write_bytes(lying)
    os.mkfifo(tmp_path / "in" / "pipe.jpg")
    command = [
        *(infer_app, "--device_target", "CPU", "--input_format", "image"),
        *("--mindir_path", export(Pixels(), (1, 3, 10, 20), "uint8")),
        *("--input_path", tmp_path / "in", "--time_path", tmp_path / "time"),
        *("--result_path", tmp_path / "out"),
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("has a side of more than 32766 pixels") == 3
    assert len(re.findall(r"states 20000x20000 pixels, which its \d+ bytes", done.stderr)) == 3
    assert "pipe.jpg: is a folder, a pipe, a socket or a device instead of a file" in done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.fixture(scope="module")
def export_once(export) -> Path:
    return export(Rows(), (1, 3, 10, 20), "float32")


# --- images -------------------------------------------------------------------------------------


def photo(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Uint8, smooth as a photograph: noise of few pixels, enlarged."""
    random = np.random.default_rng(height)
    small = random.integers(0, 256, (height // 8 + 2, width // 8 + 2, channels), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "wide.jpg"), photo(50, 333))
    cv2.imwrite(str(folder / "high.JPEG"), photo(401, 97))
    cv2.imwrite(str(folder / "grey.jpg"), photo(120, 160)[:, :, 0])
    cv2.imwrite(str(folder / "noise.png"), np.random.default_rng(0).integers(0, 256, (64, 80, 3)))
    cv2.imwrite(str(folder / "alpha.png"), photo(90, 70, 4))
    cv2.imwrite(str(folder / "one.png"), photo(1, 1))
    for number, ending in enumerate((".bmp", ".webp", ".tif", ".jp2", ".ppm")):
        cv2.imwrite(str(folder / f"other{number}{ending}"), photo(60, 90))
    deep = photo(70, 50).astype(np.uint16) * 257
    cv2.imwrite(str(folder / "deep.tiff"), deep)
    film = (folder / "wide.jpg").read_bytes() + bytes(range(200)) * 30
    (folder / "film.jpg").write_bytes(film)
    return folder


def python_input(
    path: Path, placement: str = "centred", border: tuple[int, int, int] = (0, 0, 0)
) -> np.ndarray:
    from src.data.images import decode_with_cv2

    warp = InputGeometry(False, 0, SIZE, placement, border=border)
    return warp(decode_with_cv2(path.read_bytes()))[0]


@pytest.mark.usefixtures("reads_images")
@pytest.mark.parametrize("placement", ["centred", "corner", "corner_half_pixel"])
@pytest.mark.parametrize("border", [(0, 0, 0), (104, 116, 124)])
def test_images_are_decoded_and_warped_to_the_pixels_of_the_python_side(
    export, run, tmp_path, image_folder, placement, border
):
    (image_folder / "notes.txt").write_text("not an image")
    mindir = export(Pixels(), (4, 3, *SIZE), "uint8")
    flags = {"mindir_path": mindir, "input_path": image_folder, "input_format": "image"}
    if placement != "centred" or any(border):  # as without a meta file
        flags["meta_path"] = tmp_path / "meta.txt"
        line = image_line(1, np.eye(2, 3), "a")
        rows = SIZE[0] * SIZE[1] // 2
        text = meta_text([line], placement=placement, rows=rows, border=border)
        flags["meta_path"].write_text(text)
    done = run(**flags, result_path=tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    paths = [path for path in image_folder.iterdir() if path.suffix != ".txt"]
    assert len(paths) == len(list((tmp_path / "out").iterdir())) == 13
    for path in paths:
        found = np.fromfile(tmp_path / "out" / f"{path.stem}_0.bin", np.float32)
        np.testing.assert_array_equal(
            found.reshape(3, *SIZE) / 2, python_input(path, placement, border), path.name
        )


@pytest.mark.usefixtures("reads_images")
def test_float32_models_get_normalised_images(export, run, tmp_path, image_folder):
    colour = normalisation(colour_statistics(config().dataset_config))
    (tmp_path / "meta.txt").write_text(
        meta_text([image_line(1, np.eye(2, 3), "a")], colour=colour, rows=SIZE[0] * SIZE[1] // 2)
    )
    mindir = export(Pixels(), (1, 3, *SIZE), "float32")
    flags = {"mindir_path": mindir, "input_path": image_folder, "input_format": "image"}
    done = run(**flags, result_path=tmp_path / "out", meta_path=tmp_path / "meta.txt")
    assert done.returncode == 0, done.stderr
    for path in image_folder.iterdir():
        found = np.fromfile(tmp_path / "out" / f"{path.stem}_0.bin", np.float32)
        wanted = normalise(python_input(path), colour)
        np.testing.assert_allclose(found.reshape(3, *SIZE) / 2, wanted, rtol=0, atol=1e-6)
    refused = run(**flags, result_path=tmp_path / "none")
    assert refused.returncode == 2 and "error: --meta_path: missing; " in refused.stderr


@pytest.mark.usefixtures("reads_images")
def test_images_that_cannot_be_read_fail_alone(export, run, tmp_path, image_folder):
    whole = (image_folder / "wide.jpg").read_bytes()
    (image_folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (image_folder / "empty.jpg").write_bytes(b"")
    (image_folder / "text.png").write_text("no image")
    (image_folder / "folder.jpg").mkdir()
    cv2.imwrite(str(image_folder / "long.png"), np.zeros((1, 32767, 3), np.uint8))
    mindir = export(Pixels(), (4, 3, *SIZE), "uint8")
    flags = {"mindir_path": mindir, "input_path": image_folder, "input_format": "image"}
    done = run(**flags, result_path=tmp_path / "out")
    assert done.returncode == 1
    failed = re.findall(r"^failed: .*/images/(\S+): (.*);", done.stderr, re.MULTILINE)
    assert dict(failed) == {
        "cut.jpg": "is damaged (Premature end of JPEG file; preprocess.py's "
        "dataset_config.take_damaged_jpegs takes it as it decodes)",
        "empty.jpg": "is no JPEG, PNG, BMP, WebP, TIFF, JPEG 2000 or PNM",
        "text.png": "is no JPEG, PNG, BMP, WebP, TIFF, JPEG 2000 or PNM",
        "folder.jpg": "is a folder, a pipe, a socket or a device instead of a file",
        "long.png": "has a side of more than 32766 pixels",
    }
    assert len(list((tmp_path / "out").iterdir())) == 13
