# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The files between preprocess.py, the application and postprocess.py."""

import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.data.augment import colour_statistics, normalisation, normalise
from src.data.coco import BadRecords, ImageRecord
from src.data.geometry import InputGeometry
from src.data.images import decode_with_cv2
from src.deploy import bin_files
from src.deploy.bin_files import ImageMeta, Meta
from src.evaluation import app_results
from src.model_utils.errors import UserError
from tests.conftest import QUICKSTART, Program, assert_refused
from tests.helpers import config, turned_by_exif

QUICK = ("--config_path", QUICKSTART)
AWKWARD_NAMES = [
    "a b",
    " blank first",
    "100%",
    "%0A",
    "new\nline",
    "\rreturn",
    "Größe 图",
    "x\udcffy",
]


def some_meta(names: list[str]) -> Meta:
    random = np.random.default_rng(0)
    affines = random.normal(size=(len(names), 2, 3))
    affines[0] = [[0.1, 0, 1e-7], [0, 1 / 3, 1e22]]
    images = [ImageMeta(name, 7 * i, affines[i], 640, 480 + i) for i, name in enumerate(names)]
    colour = random.normal(size=(3, 4)).astype(np.float32)
    return Meta(
        **{"down_ratio": 4, "soft_nms": True, "soft_nms_form": "mmcv", "clip_boxes": True},
        **{"pairs": False, "rows": 100, "kept": 70, "points": 2, "border": (104, 0, 255)},
        **{"category_ids": [1, None, -90], "placement": "corner", "take_damaged_jpegs": True},
        colour=colour,
        **{"task": "boxes", "point_classes": [0, 2], "sigmas": [0.25, 1e-07]},
        images=images,
    )


def test_the_meta_file_reads_back_as_the_same_bits(tmp_path: Path):
    written = replace(some_meta(AWKWARD_NAMES), pairs=True)
    bin_files.write_meta(tmp_path, written)
    for path in (tmp_path / "meta", tmp_path / "meta" / "meta.txt"):
        read = bin_files.read_meta(path)
        for name in (
            *("down_ratio", "soft_nms", "soft_nms_form", "clip_boxes", "pairs", "rows", "kept"),
            *("points", "border", "placement", "take_damaged_jpegs"),
            *("task", "point_classes", "sigmas"),
        ):
            assert getattr(read, name) == getattr(written, name)
        assert read.category_ids == [1, None, -90]
        assert (read.colour.dtype, read.colour.tobytes()) == (np.float32, written.colour.tobytes())
        assert [image.name for image in read.images] == AWKWARD_NAMES
        assert [image.image_id for image in read.images] == [7 * i for i in range(8)]
        for image, other in zip(read.images, written.images, strict=True):
            assert image.affine.tobytes() == other.affine.tobytes()
            assert (image.width, image.height) == (other.width, other.height)


def test_only_inputs_of_earlier_runs_are_removed(tmp_path: Path):
    blank, data = np.zeros((3, 1, 1), np.uint8), tmp_path / "data"
    (tmp_path / "data").mkdir()
    (data / "notes.txt").touch()

    def run(*numbers: int) -> None:
        names = [f"eval2017_image_{number}" for number in numbers]
        bin_files.start(tmp_path, names)
        assert sorted(path.name for path in data.iterdir()) == ["notes.txt"]
        for name in names:
            bin_files.write_input(tmp_path, name, blank)

    run(1, 2)  # and is stopped before its meta file
    run(4)
    (data / "mine.bin").touch()
    for names, name in ((["eval2017_image_5"], "data/mine.bin"), ([], "data/images.txt")):
        (tmp_path / name).touch()
        with pytest.raises(UserError, match=f"{name}: no earlier run of preprocess.py wrote it"):
            bin_files.start(tmp_path, names)
    left = {"notes.txt", "mine.bin", "images.txt", "eval2017_image_4.bin"}
    assert {path.name for path in data.iterdir()} == left


def test_the_meta_file_is_lines_of_words(tmp_path: Path):
    colour = np.arange(12, dtype=np.float32).reshape(3, 4) / 8
    image = ImageMeta("50% of\nit", 139, np.array([[0.5, 0, -1e-9], [0, 0.5, 12.25]]), 64, 48)
    bin_files.write_meta(
        tmp_path,
        Meta(
            **{"down_ratio": 4, "soft_nms": False, "soft_nms_form": "original"},
            **{"clip_boxes": True, "pairs": False, "rows": 9, "kept": 9, "points": 3},
            border=(0, 0, 0),
            **{"category_ids": [3], "placement": "centred", "take_damaged_jpegs": False},
            colour=colour,
            **{"task": "pose", "point_classes": [0], "sigmas": [0.5, 1e-05, 2.0]},
            images=[image],
        ),
    )
    assert (tmp_path / "meta" / "meta.txt").read_bytes() == (
        b"centernet-meta 5\n"
        b"down_ratio 4\n"
        b"soft_nms 0\n"
        b"soft_nms_form original\n"
        b"clip_boxes 1\n"
        b"pairs 0\n"
        b"rows 9\n"
        b"kept 9\n"
        b"points 3\n"
        b"category_ids 3\n"
        b"colour 0.0 0.125 0.25 0.375 0.5 0.625 0.75 0.875 1.0 1.125 1.25 1.375\n"
        b"border 0 0 0\n"
        b"placement centred\n"
        b"take_damaged_jpegs 0\n"
        b"task pose\n"
        b"point_classes 0\n"
        b"sigmas 0.5 1e-05 2.0\n"
        b"image 139 0.5 0.0 -1e-09 0.0 0.5 12.25 64 48 50%25 of%0Ait\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (b"meta 5\n", b"meta 4\n", 1),
        (b"down_ratio 4", b"down_ratio 0", 2),
        (b"soft_nms 1", b"soft_nms true", 3),
        (b"form mmcv", b"form mmdet", 4),
        (b"clip_boxes 1", b"clip_boxes", 5),
        (b"pairs 0", b"pairs 2", 6),
        (b"rows 100\n", b"", 7),
        (b"kept 70", b"kept 0", 8),
        (b"points 2", b"points 02", 9),
        (b"ids 1 -", b"ids 1  -", 10),
        (b"colour ", b"colour 0.5 ", 11),
        (b"colour ", b"color ", 11),
        (b"border 104", b"border 256", 12),
        (b"placement corner", b"placement left", 13),
        (b"jpegs 1", b"jpegs 2", 14),
        (b"task boxes", b"task none", 15),
        (b"point_classes 0 2", b"point_classes 0 3", 16),
        (b"sigmas 0.25", b"sigmas 0", 17),
        (b"image 0 0.1", b"image 0 nan", 18),
        (b"image 0 0.1", b"image 0 0.0", 18),
        (b"image 7 ", b"image x ", 19),
        (b"image 7 ", b"image 0 ", 19),
        (b" two\n", b" one\n", 19),
        (b" two\n", b" tw%6F\n", 19),
        (b" two\n", b" two\r\n", 19),
        (b" two\n", b" two", 19),
        (b" two\n", b" two\n\n", 20),
    ],
)
def test_another_meta_file_is_refused_by_its_line(
    old: bytes, new: bytes, line: int, tmp_path: Path
):
    bin_files.write_meta(tmp_path, some_meta(["one", "two"]))
    path = tmp_path / "meta" / "meta.txt"
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    with pytest.raises(UserError, match=rf"meta\.txt: line {line} .*; run preprocess\.py again\."):
        bin_files.read_meta(path)


def test_a_meta_file_without_images_is_refused(tmp_path: Path):
    bin_files.write_meta(tmp_path, some_meta(["one"]))
    path = tmp_path / "meta" / "meta.txt"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match="line 18 "):
        bin_files.read_meta(path)


def test_image_lists_hold_absolute_paths_a_line_each_or_ended_by_nul(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    file, folder = tmp_path / "data" / "images.txt", os.fsencode(tmp_path)
    bin_files.write_image_list(tmp_path, [Path("a b.jpg"), Path("x\udcff.jpg")])
    assert file.read_bytes() == folder + b"/a b.jpg\n" + folder + b"/x\xff.jpg\n"
    bin_files.write_image_list(tmp_path, [Path("a\nb.jpg")])
    assert file.read_bytes() == folder + b"/a\nb.jpg\0"


def copied(shapes: Path, folder: Path) -> Path:
    """The validation set of `shapes` again, with files of its own."""
    (folder / "annotations").mkdir(parents=True)
    (folder / "val2017").mkdir()
    for name in (
        "annotations/instances_val2017.json",
        *(f"val2017/{p.name}" for p in (shapes / "val2017").iterdir()),
    ):
        (folder / name).write_bytes((shapes / name).read_bytes())
    return folder


def test_inputs_do_not_depend_on_the_number_of_workers(
    shapes: Path, program: Program, tmp_path: Path
):
    """And are what OpenCV's own warp gives, in the order of the annotation file."""
    contents = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        done = program(
            "preprocess.py",
            *(*QUICK, "--val_data_dir", shapes, "--predict_dir", folder),
            *("--dataset_config.num_workers", workers, "--export_config.input_dtype", "uint8"),
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        assert "8 images written" in done.stdout
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        contents.append({path.relative_to(folder): path.read_bytes() for path in files})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 10  # with meta.txt and written.txt
    listed = json.loads((shapes / "annotations" / "instances_val2017.json").read_text())["images"]
    meta = bin_files.read_meta(tmp_path / "1" / "meta")
    assert [image.image_id for image in meta.images] == [entry["id"] for entry in listed]
    assert (meta.category_ids, meta.rows, meta.down_ratio) == ([1, 2, 4, 7, 9], 100, 4)
    for image, entry in zip(meta.images, listed, strict=True):
        pixels = cv2.imread(str(shapes / "val2017" / entry["file_name"]))
        expected = cv2.warpAffine(pixels, image.affine, (160, 160)).transpose(2, 0, 1)
        assert image.name == f"eval2017_image_{entry['id']}"
        assert contents[0][Path("data") / f"{image.name}.bin"] == expected.tobytes()


def test_with_images_the_list_and_the_same_affines_are_written(
    shapes: Path, program: Program, tmp_path: Path
):
    for input_format in ("bin", "image"):
        options = ("--val_data_dir", shapes, "--predict_dir", "p", "--input_format", input_format)
        done = program("preprocess.py", *QUICK, *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        metas = bin_files.read_meta(tmp_path / "p" / "meta")
        if input_format == "bin":
            expected = metas
    assert [path.name for path in (tmp_path / "p" / "data").iterdir()] == ["images.txt"]
    paths = (tmp_path / "p" / "data" / "images.txt").read_text().splitlines()
    listed = json.loads((shapes / "annotations" / "instances_val2017.json").read_text())["images"]
    assert paths == [str(shapes / "val2017" / entry["file_name"]) for entry in listed]
    assert [image.name for image in metas.images] == [Path(path).stem for path in paths]
    for image, other in zip(metas.images, expected.images, strict=True):
        assert image.image_id == other.image_id
        np.testing.assert_array_equal(image.affine, other.affine)


@pytest.mark.parametrize("input_format", ["bin", "image"])
def test_unreadable_images_are_all_named_or_left_out(
    input_format: str, shapes: Path, program: Program, tmp_path: Path
):
    data = copied(shapes, tmp_path / "data set")
    files = sorted((data / "val2017").iterdir())
    files[1].write_bytes(files[1].read_bytes()[:-300])
    files[4].unlink()
    options = (*QUICK, "--val_data_dir", data, "--predict_dir", "p", "--input_format", input_format)
    done = program("preprocess.py", *options, cwd=tmp_path)
    assert_refused(done, files[4].name, "1 more unusable record", "--on_bad_record skip")
    assert f"{files[1]}: image 1000002 does not decode" in done.stderr
    assert f"{files[4]}: image 1000005 cannot be read" in done.stderr
    assert not (tmp_path / "p" / "meta" / "meta.txt").exists()
    done = program("preprocess.py", *options, "--on_bad_record", "skip", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "6 images written" in done.stdout and "left out as unreadable: 2" in done.stdout
    ids = [image.image_id for image in bin_files.read_meta(tmp_path / "p" / "meta").images]
    assert ids == [1000001, 1000003, 1000004, 1000006, 1000007, 1000008]


def test_two_images_of_one_stem_are_refused_where_the_stem_is_their_name():
    boxes, classes = np.zeros((0, 4), np.float32), np.zeros(0, np.int32)
    records = [
        ImageRecord(i, Path(name), 8, 8, boxes, classes)
        for i, name in enumerate(("one/a.jpg", "b.jpg", "two/a.png"))
    ]
    names = ["eval2017_image_0", "eval2017_image_1", "eval2017_image_2"]
    assert bin_files.input_names(records, "bin") == names
    assert bin_files.input_names(records[:2], "image") == ["a", "b"]
    odd = [replace(records[0], path=Path(name)) for name in ("x/a.b.jpg", ".jpg", "none", "end.")]
    assert bin_files.input_names(odd, "image") == ["a.b", ".jpg", "none", "end"]
    with pytest.raises(UserError, match=r"two/a\.png: image 2 and one/a\.jpg would both give a_0"):
        bin_files.input_names(records, "image")


def test_images_that_the_application_would_have_to_turn_are_refused(
    shapes: Path, program: Program, tmp_path: Path
):
    data = copied(shapes, tmp_path / "data set")
    file = min((data / "val2017").iterdir())
    file.write_bytes(turned_by_exif(file.read_bytes(), 3))
    options = (*QUICK, "--val_data_dir", data, "--predict_dir", "p")
    done = program("preprocess.py", *options, "--input_format", "image", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"note: 1 image(s) carry an EXIF rotation, which is ignored ({file}" in done.stdout
    options += ("--dataset_config.turn_by_exif", "true")
    done = program("preprocess.py", *options, "--input_format", "image", cwd=tmp_path)
    assert_refused(done, file, "is turned by its EXIF orientation 3", "--input_format bin")
    done = program("preprocess.py", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    warped = np.fromfile(tmp_path / "p" / "data" / "eval2017_image_1000001.bin", np.float32)
    side = int((warped.size / 3) ** 0.5)
    plain = decode_with_cv2((shapes / "val2017" / file.name).read_bytes())
    dataset = config("--config_path", str(QUICKSTART)).dataset_config
    turned, _ = InputGeometry(False, 0, (side, side))(np.ascontiguousarray(plain[::-1, ::-1]))
    expected = normalise(turned, normalisation(colour_statistics(dataset)))
    np.testing.assert_allclose(warped, expected.ravel(), atol=1e-6)


def write_detections(folder: Path, meta: Meta) -> None:
    """Result files of overlapping boxes of two classes, and two points of each."""
    random = np.random.default_rng(1)
    for image in meta.images:
        corners = random.uniform(0, 20, (meta.rows, 2))
        scores = np.sort(random.random((meta.rows, 1)), axis=0)[::-1]
        classes = random.choice([0, 2], (meta.rows, 1))
        points = random.uniform(0, 20, (meta.rows, 3 * meta.points))
        boxes = np.hstack([corners, corners + 9, scores, classes, points])
        boxes.astype(np.float32).tofile(folder / f"{image.name}_0.bin")


def test_results_do_not_depend_on_the_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(app_results, "_WORTH_A_PROCESS", 1)
    meta = some_meta(["one", "two", "three"])
    write_detections(tmp_path, meta)
    bad_records = BadRecords("fail")
    found = [app_results.of_bin_files(tmp_path, meta, bad_records, workers) for workers in (1, 2)]
    assert found[0] == found[1]
    assert found[0][1] == [0, 7, 14]
    assert {entry["category_id"] for entry in found[0][0]} == {1, -90}
    assert bad_records.count == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (None, "two_0.bin: cannot be read"),
        (b"\0" * 2400, "has 2400 bytes, but 100 rows of 12 numbers take 4800"),
        (np.full(1200, np.nan, np.float32).tobytes(), "not finite"),
        (np.full(1200, 3, np.float32).tobytes(), "other than 3 classes"),
        (np.full(1200, 0.5, np.float32).tobytes(), "other than 3 classes"),
    ],
)
def test_results_that_are_missing_or_wrong_are_named_or_left_out(
    change: bytes | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture
):
    meta = some_meta(["one", "two", "three"])
    write_detections(tmp_path, meta)
    (tmp_path / "two_0.bin").unlink()
    if change is not None:
        (tmp_path / "two_0.bin").write_bytes(change)
    for action in ("skip", "fail"):
        bad_records = BadRecords(action)
        found, image_ids = app_results.of_bin_files(tmp_path, meta, bad_records, 1)
        assert image_ids == [0, 14]
        assert {entry["image_id"] for entry in found} == {0, 14}
        assert bad_records.count == 1
    with pytest.raises(UserError, match="--on_bad_record skip"):
        bad_records.report()
    assert words in capsys.readouterr().err


def entry(image_id: int, **changes: object) -> dict:
    return {
        "image_id": image_id,
        "category_id": 1,
        "bbox": [0, 1.5, 2, 3],
        "score": 0.5,
        "keypoints": [1.5, 2, 1] * 2,
        **changes,
    }


def test_images_without_a_result_in_the_file_are_those_that_failed(tmp_path: Path):
    meta, file = some_meta(["one", "two", "three"]), tmp_path / "result.json"
    content = [entry(0), entry(14, category_id=-90)]
    file.write_text(json.dumps(content))
    bad_records = BadRecords("skip")
    # Class 1 is not in the data set: image 7 may have had boxes of that class alone.
    assert app_results.of_result_file(file, meta, bad_records) == (content, [0, 7, 14])
    assert bad_records.count == 0
    meta.category_ids[1] = 2
    assert app_results.of_result_file(file, meta, bad_records) == (content, [0, 14])
    assert bad_records.count == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[", "is not json"),
        ("{}", "is no list"),
        ([entry(0), entry(3)], "entry 1 is of image 3"),
        ([entry(0, category_id=2)], "entry 0 is no COCO result"),
        ([entry(0, score=None)], "entry 0 is no COCO result"),
        ([entry(0, bbox=[0, 0, 1])], "entry 0 is no COCO result"),
        ([entry(0, keypoints=[0, 0, 1])], "entry 0 has as keypoints 3 numbers where .* for 6, all"),
        (
            [entry(0, keypoints=[0, 0, float("inf")] * 2)],
            "entry 0 has as keypoints 6 .* all finite",
        ),
        ([entry(0, keypoints=None)], "entry 0 has as keypoints none where .* asks for 6"),
        ([entry(0, bbox=[0, 0, 1, float("nan")])], "entry 0 is no COCO result"),
    ],
)
def test_a_file_that_is_no_result_of_these_images_is_refused(
    content: object, words: str, tmp_path: Path
):
    file = tmp_path / "result.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=words):
        app_results.of_result_file(file, some_meta(["one"]), BadRecords("skip"))
