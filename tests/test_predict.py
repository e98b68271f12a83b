# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""predict.py on images, folders and videos."""

import json
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.data.images import decoder
from src.evaluation import predict
from src.evaluation.predict import Predictor, find_sources, predict_all
from src.model_utils.errors import UserError
from tests.conftest import QUICKSTART, Program, assert_refused
from tests.helpers import turned_by_exif

CPU = ("--config_path", QUICKSTART, "--device_target", "CPU")
NAMES = ["circle", "square", "triangle", "star", "ring"]


def write_image(path: Path, width: int, height: int) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((height, width, 3), 90, np.uint8)
    centre, radius = (width // 3, height // 2), max(1, min(width, height) // 4)
    cv2.circle(image, centre, radius, (40, 200, 250), -1)
    assert cv2.imwrite(str(path), image)
    return image


def write_video(path: Path, code: str, frames: int, width: int, height: int) -> None:
    size = (width, height)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 12.0, size)
    assert writer.isOpened()
    for number in range(frames):
        frame = np.full((height, width, 3), 90, np.uint8)
        cv2.circle(frame, (10 + 4 * number, height // 2), 9, (40, 200, 250), -1)
        writer.write(frame)
    writer.release()


def read_video(path: Path) -> tuple[list[np.ndarray], float]:
    video, frames = cv2.VideoCapture(str(path)), []
    while (found := video.read())[0]:
        frames.append(found[1])
    return frames, video.get(cv2.CAP_PROP_FPS)


def entries(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["boxes"]


def rows(path: Path) -> np.ndarray:
    return np.array([[*box["box"], box["score"], box["class_index"]] for box in entries(path)])


def test_a_folder_is_predicted_whole_and_what_is_no_image_is_named(
    checkpoint: Path, program: Program, tmp_path: Path
):
    folder = tmp_path / "in put"
    sizes = {
        "a.jpg": (130, 90),
        "a.png": (60, 200),
        "below/a.jpg": (90, 90),
        "Größe 图.jpg": (100, 70),
        "one.png": (1, 1),
        "wide.jpg": (12000, 40),
    }
    for name, (width, height) in sizes.items():
        write_image(folder / name, width, height)
    (folder / "notes.txt").write_text("no image")
    (folder / "cut.jpg").write_bytes((folder / "a.jpg").read_bytes()[:-200])
    (folder / "dead link.jpg").symlink_to("nothing.jpg")
    (folder / ".hidden.jpg").write_bytes(b"not read")
    before = {name: (folder / name).read_bytes() for name in sizes}
    output = folder / "out"
    options = ("--input", folder, "--output", output, "--score_thresh", 0.02)
    for _ in range(2):  # the second time, the results of the first are below the input
        done = program(
            "predict.py", *CPU, *options, "--load_checkpoint_path", checkpoint, cwd=tmp_path
        )
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        faults = [line for line in done.stderr.splitlines() if "not done: " in line]
        assert len(faults) == 3
        assert any("notes.txt: does not decode" in line for line in faults)
        assert any("cut.jpg: does not decode" in line for line in faults)
        assert any("dead link.jpg: cannot be read (No such file" in line for line in faults)
        assert f"9 file(s) to {output}, 3 of them" in done.stdout
    written = {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}
    assert written == {*sizes, *(f"{name}.json" for name in sizes)}
    assert {name: (folder / name).read_bytes() for name in sizes} == before
    for name, (width, height) in sizes.items():
        content = json.loads((output / f"{name}.json").read_text(encoding="utf-8"))
        assert content["file"] == str(folder / name)
        assert (content["width"], content["height"]) == (width, height)
        for box in content["boxes"]:
            assert box["class"] == NAMES[box["class_index"]]
            assert 0.02 <= box["score"] <= 1
        picture = cv2.imread(str(output / name))
        scale = picture.shape[1] / width
        assert abs(picture.shape[0] - scale * height) <= 1
        assert scale >= 1 or name == "wide.jpg"
    assert entries(output / "a.jpg.json")


def test_boxes_are_those_of_the_evaluation(
    checkpoint: Path, shapes: Path, program: Program, tmp_path: Path
):
    model = ("--load_checkpoint_path", checkpoint)
    done = program("eval.py", *CPU, *model, "--data_dir", shapes, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    options = ("--input", shapes / "val2017" / "*.jpg", "--output", "out", "--score_thresh", 0.01)
    done = program("predict.py", *CPU, *model, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results_val.json").read_text())
    listed = json.loads((shapes / "annotations" / "instances_val2017.json").read_text())
    names = {category["id"]: category["name"] for category in listed["categories"]}
    assert len(listed["images"]) == 8
    compared = 0
    for image in listed["images"]:
        expected = [
            entry
            for entry in results
            if entry["image_id"] == image["id"] and entry["score"] >= 0.01
        ]
        found = entries(tmp_path / "out" / f"{image['file_name']}.json")
        assert [box["class"] for box in found] == [names[e["category_id"]] for e in expected]
        for box, entry in zip(found, expected, strict=True):
            x, y, width, height = entry["bbox"]
            np.testing.assert_allclose(box["box"], [x, y, x + width, y + height], atol=1e-3)
            assert box["score"] == pytest.approx(entry["score"], abs=1e-6)
        compared += len(found)
    assert compared > 50


def test_a_video_becomes_a_video_of_the_same_rate_and_size(
    checkpoint: Path, program: Program, tmp_path: Path
):
    clips = tmp_path / "clips"
    clips.mkdir()
    write_video(clips / "whole.mp4", "mp4v", 9, 96, 64)
    write_video(clips / "ends early.avi", "MJPG", 30, 160, 120)
    content = (clips / "ends early.avi").read_bytes()
    (clips / "ends early.avi").write_bytes(content[: len(content) // 2])
    (clips / "broken.mp4").write_bytes((clips / "whole.mp4").read_bytes()[:300])
    output = tmp_path / "out"
    options = ("--input", clips, "--output", output, "--score_thresh", 0.02)
    done = program("predict.py", *CPU, *options, "--load_checkpoint_path", checkpoint, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "broken.mp4: is not a video" in done.stderr
    assert "ends early.avi: ends after" in done.stderr
    assert {path.name for path in output.iterdir()} == {
        "whole.mp4", "whole.mp4.jsonl", "ends early.avi.mp4", "ends early.avi.jsonl",
    }  # fmt: skip
    frames, rate = read_video(output / "whole.mp4")
    assert (len(frames), rate, frames[0].shape) == (9, 12.0, (64, 96, 3))
    lines = [json.loads(line) for line in (output / "whole.mp4.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(9))
    assert all((line["width"], line["height"]) == (96, 64) for line in lines)
    assert any(line["boxes"] for line in lines)
    frames, _ = read_video(output / "ends early.avi.mp4")
    lines = (output / "ends early.avi.jsonl").read_text().splitlines()
    assert 0 < len(frames) == len(lines) < 30


@pytest.mark.parametrize(("dtype", "version", "batch"), [("uint8", 0, 4), ("float32", 1, 1)])
def test_a_mindir_gives_the_boxes_of_its_checkpoint(
    dtype: str, version: int, batch: int, checkpoint: Path, program: Program, tmp_path: Path
):
    for number in range(3):  # the last batch is not full
        write_image(tmp_path / "in" / f"{number}.jpg", 150 + 20 * number, 100)
    done = program(
        "export.py",
        *(*CPU, "--export_load_ckpt", checkpoint, "--export_name", "model"),
        *("--export_config.input_dtype", dtype, "--mindir_version", version),
        *("--export_config.batch_size", batch),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert f"({batch},3,160,160) to detections ({batch},100,6)" in done.stdout
    options = (*CPU, "--input", "in", "--score_thresh", 0.01)
    mindir = ("--load_mindir_path", "model.mindir")
    plain = ("--load_checkpoint_path", checkpoint, "--eval_config.keep_res", "false")
    for output, model in (("mindir", mindir), ("checkpoint", plain)):
        done = program("predict.py", *options, *model, "--output", output, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    for number in range(3):
        found, expected = (
            rows(tmp_path / name / f"{number}.jpg.json") for name in ("mindir", "checkpoint")
        )
        assert len(found) > 5
        np.testing.assert_allclose(found, expected, atol=1e-3)

    other_size = ("--dataset_config.input_res_test", "[192, 160]")
    done = program("predict.py", *options, *mindir, *other_size, "--output", "o", cwd=tmp_path)
    sentence = "input_res_test [160, 160], but command line says [192, 160]; leave it out there"
    assert_refused(done, "model.json", sentence)
    (tmp_path / "model.json").unlink()  # as of an earlier version
    done = program("predict.py", *options, *mindir, *other_size, "--output", "o", cwd=tmp_path)
    assert_refused(done, "model.mindir", f"({batch}, 3, 160, 160)", f"({batch}, 3, 192, 160)")


def test_what_cannot_be_predicted_with_is_refused(program: Program, tmp_path: Path):
    write_image(tmp_path / "image.jpg", 50, 50)
    (tmp_path / "text.mindir").write_text("no model")
    options = (*CPU, "--input", "image.jpg", "--output", "out")
    done = program("predict.py", *options, cwd=tmp_path)
    assert_refused(done, "--load_checkpoint_path", "--load_mindir_path")
    done = program("predict.py", *options, "--load_mindir_path", "text.mindir", cwd=tmp_path)
    assert_refused(done, "text.mindir", "is not a MINDIR")
    two = ("--eval_config.multi_scales", "[0.5, 1.0]", "--load_mindir_path", "text.mindir")
    done = program("predict.py", *options, *two, cwd=tmp_path)
    assert_refused(done, "text.mindir", "one size")
    assert not list((tmp_path / "out").iterdir())


def test_results_never_replace_inputs_or_one_another(tmp_path: Path):
    write_image(tmp_path / "in" / "a.jpg", 8, 8)
    for given in (tmp_path / "in" / "a.jpg", tmp_path / "in", tmp_path / "in" / "*.jpg"):
        with pytest.raises(UserError, match=r"a\.jpg.*would replace"):
            find_sources(str(given), tmp_path / "in")
    (tmp_path / "in" / "b").write_bytes(b"")
    write_image(tmp_path / "in" / "b.jpg", 8, 8)
    with pytest.raises(UserError, match=r"would replace .*in/b or its result"):
        find_sources(str(tmp_path / "in"), tmp_path / "out")


def test_what_is_given_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("in/b.jpg", "in/a.jpg", "in/below/c [1].jpg", "in/below/d.png"):
        write_image(tmp_path / name, 8, 8)
    monkeypatch.chdir(tmp_path)

    def found(given: str) -> list[str]:
        return [str(source.picture) for source in find_sources(given, Path("out"))]

    assert found("in") == ["out/a.jpg", "out/b.jpg", "out/below/c [1].jpg", "out/below/d.png"]
    assert found("in/below/c [1].jpg") == ["out/c [1].jpg"]
    assert found("in/**/*.jpg") == ["out/a.jpg", "out/b.jpg", "out/below/c [1].jpg"]
    assert found(str(tmp_path / "in" / "*.jpg")) == ["out/a.jpg", "out/b.jpg"]
    # Results above the inputs, or below them and so not read.
    assert str(find_sources("in/below", Path())[0].picture) == "c [1].jpg"
    assert len(find_sources("in", Path("in/below"))) == 2
    for missing in ("nothing.jpg", "in/*.gif"):
        with pytest.raises(UserError, match="no file is found there"):
            find_sources(missing, Path("out"))


def test_large_images_are_seen_smaller_and_their_boxes_are_of_the_image():
    seen = []

    def detect(images):
        for read in images:
            image = read()
            seen.append(image.shape)
            height, width = image.shape[:2]
            yield np.array([[0, 0, width / 2, height, 0.9, 1], [0, 0, 9, 9, 0.1, 0]], np.float32)

    predictor = Predictor(detect, ["a", "b"], 0.3, largest=5000)
    (done,) = predictor([lambda: np.zeros((100, 200, 3), np.uint8)])
    assert seen == [(50, 100, 3)]
    (box,) = done[1]["boxes"]
    assert box["box"] == [0, 0, 100, 100]
    assert (box["class"], box["score"]) == ("b", pytest.approx(0.9))


def find_nothing(images):
    for read in images:
        try:
            read()
        except UserError as error:
            yield error
        else:
            yield np.empty((0, 6), np.float32)


def test_what_is_odd_about_images_is_said(tmp_path: Path, capsys: pytest.CaptureFixture):
    folder = tmp_path / "in"
    write_image(folder / "a.jpg", 60, 40)
    (folder / "b.jpg").write_bytes(turned_by_exif((folder / "a.jpg").read_bytes()))
    cv2.imwrite(str(folder / "c.png"), np.full((40, 300), 4000, np.uint16))
    (folder / "d.jpg").write_bytes(b"GIF89a" + bytes(20))
    sources, predictor = find_sources(str(folder), tmp_path / "out"), Predictor(find_nothing, [], 0)
    assert predict_all(sources, predictor, decoder("cv2"), input_size=(128, 128)) == 1
    captured = capsys.readouterr()
    assert f"not done: {folder}/d.jpg: is a GIF, which is not read" in captured.err
    lines = [line for line in captured.out.splitlines() if line]
    assert [line.split(" (")[0] for line in lines] == [
        "note: 1 image(s) carry an EXIF rotation, which is ignored",
        "note: 1 16-bit image(s) use less than a sixteenth of their levels and are nearly black as "
        "8 bits",
        "note: 1 of 3 images are more than 2 times as large as dataset_config.input_res_train "
        "[128, 128]",
    ]
    assert f"({folder}/b.jpg: orientation 6)" in lines[0]
    sizes = [json.loads((tmp_path / "out" / f"{n}.json").read_text()) for n in ("a.jpg", "b.jpg")]
    assert [(size["width"], size["height"]) for size in sizes] == [(60, 40), (60, 40)]
    assert predict_all(sources[1:2], predictor, decoder("cv2", True), True) == 0
    assert "note: 1 image(s) are turned by their EXIF orientation" in capsys.readouterr().out
    turned = json.loads((tmp_path / "out" / "b.jpg.json").read_text())
    assert (turned["width"], turned["height"]) == (40, 60)


def test_results_of_the_longest_names_are_written(tmp_path: Path):
    for number in range(2):
        write_image(tmp_path / "in" / f"{'x' * 250}{number}.jpg", 8, 8)
    sources = find_sources(str(tmp_path / "in"), tmp_path / "out")
    assert predict_all(sources, Predictor(find_nothing, [], 0), decoder("cv2")) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert len(names) == 4 and max(map(len, names)) == 255
    assert {f"{'x' * 250}{number}.jpg" for number in range(2)} < names


@pytest.mark.parametrize("rate", [0.2, 23.976, 25.0, 90.0, 123.457, 2000.0])
@pytest.mark.parametrize("codecs", [None, ("mp4v",)])
def test_videos_are_of_a_kind_that_browsers_play_at_any_rate(
    rate: float, codecs: tuple | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
):  # fmt: skip
    predict._say_mpeg_4.cache_clear()
    if codecs:  # as in a build that encodes neither H.264 nor VP9
        monkeypatch.setattr(predict, "_CODECS", codecs)
    path = tmp_path / "a.mp4"
    with closing(predict._VideoFile(path, rate, (96, 64))) as video:
        for number in range(20):
            video.write(np.full((64, 96, 3), 12 * number, np.uint8))
    frames, found = read_video(path)
    assert len(frames) == 20
    means = [frame.mean() for frame in frames]
    np.testing.assert_allclose(means, np.arange(0, 240, 12), atol=6)
    said = "note: this build of OpenCV encodes neither H.264 nor VP9" in capsys.readouterr().out
    if codecs:
        assert said
        assert found == pytest.approx(rate, rel=0.004)  # MPEG-4 lacks some
    else:
        assert found == pytest.approx(rate, rel=1e-3)
        reader = cv2.VideoCapture(str(path))
        code = int(reader.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode().lower()
        assert said or code in ("avc1", "h264", "vp09", "vp90")


def test_a_class_without_a_name_ends_the_program():
    def detect(images):
        for read in images:
            read()
            yield np.array([[0, 0, 5, 5, 0.9, 7]], np.float32)

    predictor = Predictor(detect, ["a", "b"], 0.3)
    with pytest.raises(UserError, match="coco_classes"):
        list(predictor([lambda: np.zeros((10, 10, 3), np.uint8)]))
