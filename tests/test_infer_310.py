# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The Ascend 310 path on a CPU: every way gives eval.py's accuracy; the script and its summary."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from src.evaluation.coco_results import score
from src.tasks.boxes import TASK
from src.weights import checkpoints
from tests.conftest import PROJECT, QUICKSTART, Program, assert_refused
from tests.helpers import benchmark
from tests.test_bin_files import copied
from tests.test_end_to_end import write_seeded_checkpoint

CPU = ("--config_path", QUICKSTART, "--device_target", "CPU")
NAMES = ["circle", "square", "triangle", "star", "ring"]
ON_CPU = {"CONFIG_PATH": str(QUICKSTART), "DEVICE_TARGET": "CPU"}


@dataclass(frozen=True)
class Exported:
    """A MINDIR of a network, options of it, a data set and COCO's numbers of eval.py on it."""

    mindir: Path
    options: tuple
    data: Path
    numbers: dict[str, float]


@pytest.fixture(
    scope="module",
    params=[("none", "float32", 1), ("gather", "uint8", 4)],
    ids=["plain, float32, batch 1", "deformable, uint8, batch 4"],
)
def exported(
    request: pytest.FixtureRequest,
    shapes: Path,
    program: Program,
    tmp_path_factory: pytest.TempPathFactory,
) -> Exported:
    """A network whose AP is neither 0 nor 1, as the ground truth is made from its own boxes."""
    deformable, dtype, batch_size = request.param
    folder = tmp_path_factory.mktemp("exported")
    options = (*CPU, "--net_config.deformable", deformable, "--export_config.input_dtype", dtype)
    checkpoint, data = folder / "seeded.ckpt", copied(shapes, folder / "data")
    write_seeded_checkpoint(checkpoint, options)
    network = checkpoints.read(checkpoint)
    (bias,) = (name for name in network if name.endswith("wh.2.bias"))
    network[bias].set_data(network[bias] + 6.0)  # boxes of 24 pixels, not of less than one
    checkpoints.save(network.items(), checkpoint)
    results = evaluated(program, checkpoint, options, data, folder)
    annotations = data / "annotations" / "instances_val2017.json"
    content = json.loads(annotations.read_text())
    content["annotations"] = moved_boxes(results)
    annotations.write_text(json.dumps(content))
    ids = [image["id"] for image in content["images"]]
    numbers = score(annotations, results, ids, NAMES).numbers
    assert 0.05 < numbers["AP"] < 0.95
    mindir = export(program, checkpoint, (*options, "--export_config.batch_size", batch_size))
    return Exported(mindir, options, data, numbers)


def evaluated(
    program: Program, checkpoint: Path, options: Sequence, data: Path, folder: Path
) -> list[dict]:
    """Entries of eval.py's result file, at fixed resolution."""
    done = program(
        "eval.py",
        *(*options, "--load_checkpoint_path", checkpoint, "--data_dir", data),
        *("--eval_config.keep_res", "false"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "results_val.json").read_text())


def moved_boxes(results: Sequence[dict]) -> list[dict]:
    """Some of the best boxes as annotations, moved by parts of their sizes: some IoUs are low."""
    annotations = []
    for number, entry in enumerate(results):
        x, y, width, height = entry["bbox"]
        box = [x + number % 4 / 10 * width, y, width, height]
        # 100 boxes an image, the best first; the smallest image has 96 pixels.
        if number % 100 < 50 and min(box) > 0 and max(box[:2]) < 90:
            same = {name: entry[name] for name in ("image_id", "category_id")}
            annotation = {"id": number + 1, "bbox": box, "iscrowd": 0, "area": width * height}
            annotations.append(annotation | same)
    return annotations


def export(program: Program, checkpoint: Path, options: Sequence) -> Path:
    done = program(
        "export.py",
        *(*options, "--export_load_ckpt", checkpoint, "--mindir_version", 1),
        cwd=checkpoint.parent,
    )
    assert done.returncode == 0, done.stderr
    return checkpoint.parent / "centernet.mindir"


def numbers_of_every_way(
    program: Program, app: Path, formats: Sequence[str], model: Exported, folder: Path
) -> dict[tuple[str, str], dict[str, float]]:
    """COCO's numbers by format of inputs (bin, image) and of results (bin, json)."""
    numbers = {}
    of_data = ("--val_data_dir", model.data)
    for inputs, path in (("bin", "data"), ("image", "data/images.txt")):
        if inputs not in formats:
            continue
        to = folder / inputs
        done = program(
            "preprocess.py",
            *("--load_mindir_path", model.mindir, *of_data),
            *("--predict_dir", to, "--input_format", inputs),
            cwd=folder,
        )
        assert done.returncode == 0, done.stderr
        command = [
            *(app, "--mindir_path", model.mindir, "--device_target", "CPU"),
            *("--input_path", to / path, "--input_format", inputs),
            *("--meta_path", to / "meta" / "meta.txt", "--time_path", to / "times"),
            *("--result_path", to / "results", "--result_json", to / "results.json"),
        ]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        for results, option in (
            ("bin", ("--result_path", to / "results")),
            ("json", ("--result_json", to / "results.json")),
        ):
            scored = ("--meta_path", to / "meta", "--save_path", to / results)
            done = program("postprocess.py", *of_data, *scored, *option, cwd=folder)
            assert done.returncode == 0, done.stderr
            found = json.loads((to / results / "eval_310.json").read_text())
            numbers[inputs, results] = found["numbers"]
            assert found["failed"] == 0
    return numbers


def test_every_way_scores_as_eval_py(
    exported: Exported,
    infer_app: Path,
    input_formats: list[str],
    program: Program,
    tmp_path: Path,
):
    found = numbers_of_every_way(program, infer_app, input_formats, exported, tmp_path)
    assert len(found) == 2 * len(input_formats)
    for numbers in found.values():
        assert numbers == pytest.approx(exported.numbers, abs=1e-4)


@pytest.fixture(scope="module")
def mindir(checkpoint: Path, program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("mindir") / "some.ckpt"
    copy.write_bytes(checkpoint.read_bytes())
    return export(program, copy, CPU)


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def test_the_script_repeats_only_what_has_changed_and_sums_up(
    mindir: Path, shapes: Path, infer_app: Path, program: Program, tmp_path: Path
):
    data = copied(shapes, tmp_path / "data set")
    others = [tmp_path / name / "notes.txt" for name in ("acc", "time_Result", "result_Files")]
    for note in others:
        note.parent.mkdir()
        note.write_text("of somebody else")

    def run(*options: str) -> dict:
        done = program(
            "scripts/run_infer_310.sh", mindir, data, "y", *options, cwd=tmp_path, **ON_CPU
        )
        assert done.returncode == 0, done.stderr
        assert "8 images, 310 infer result" in done.stdout
        assert done.stdout.count("up to date") == len(summary(tmp_path)["skipped"])
        return summary(tmp_path)

    first = run()
    scores = json.loads((tmp_path / "acc" / "eval_310.json").read_text())
    assert (first["images"], first["failed"], first["device"]) == (8, 0, "CPU")
    assert first["numbers"] == scores["numbers"]
    assert list(first["numbers"]) == list(TASK.numbers)
    assert first["images_per_second"] > 0
    assert first["mindir_sha256"] == hashlib.sha256(mindir.read_bytes()).hexdigest()
    names = ["preprocess.py", "build.sh", "ascend310_infer", "postprocess.py"]
    assert [step["name"] for step in first["steps"]] == names
    assert all(0 < step["seconds"] < 100 and step["command"] for step in first["steps"])
    assert first["skipped"] == []

    again = run()
    assert again["skipped"] == ["preprocess.py", "ascend310_infer"]
    assert [step["seconds"] is None for step in again["steps"]] == [True, False, True, False]
    assert again["numbers"] == first["numbers"]

    (tmp_path / "result_Files" / "eval2017_image_1000003_0.bin").unlink()
    assert run()["skipped"] == ["preprocess.py"]
    image = sorted((data / "val2017").iterdir())[0]
    image.write_bytes(image.read_bytes() + b"\0")
    assert run()["skipped"] == []
    (tmp_path / "acc" / "later.txt").write_text("of somebody else")
    assert run("--fresh")["skipped"] == []
    assert all(note.read_text() == "of somebody else" for note in others)
    assert (tmp_path / "acc" / "later.txt").exists()


@pytest.mark.parametrize(
    "name", ["summary.json", "infer.log", "result_Files/a_0.bin", "acc/eval_310.json"]
)
def test_the_script_replaces_no_file_that_it_has_not_written(
    name: str, program: Program, tmp_path: Path
):
    (tmp_path / "a.mindir").touch()
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("of somebody else")
    arguments = ("scripts/run_infer_310.sh", "a.mindir", "data", "n")
    for _ in range(2):
        done = program(*arguments, cwd=tmp_path, **ON_CPU)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {name}: no earlier run of this script wrote it;")
    assert (tmp_path / name).read_text() == "of somebody else"


def test_files_of_a_script_that_was_killed_are_its_own_but_not_those_from_before(
    program: Program, tmp_path: Path
):
    (tmp_path / "a.mindir").touch()
    for name in ("acc/notes.txt", "acc/eval_310.json", "acc.log", ".infer_310/steps"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".infer_310" / "others").write_bytes(b"acc/notes.txt\0")
    done = program("scripts/run_infer_310.sh", "a.mindir", "data", "n", cwd=tmp_path, **ON_CPU)
    assert "preprocess/meta/meta.txt: not found" in done.stderr  # where it gets to
    assert not (tmp_path / "acc.log").exists()
    assert (tmp_path / ".infer_310" / "written").read_bytes() == b"acc/eval_310.json\0"


@pytest.mark.parametrize(
    "sent", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM]
)
def test_a_stopped_script_ends_its_step_and_goes_on_there_the_next_time(
    sent: signal.Signals, mindir: Path, shapes: Path, infer_app: Path, tmp_path: Path
):
    command = ["bash", PROJECT / "scripts" / "run_infer_310.sh", mindir, shapes, "y"]
    environment = {**os.environ, **ON_CPU, "PYTHON": sys.executable}
    script = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
    while not (tmp_path / "build.log").exists():  # cmake takes a while to find nothing to do
        assert script.poll() is None
        time.sleep(0.005)
    script.send_signal(sent)
    _, errors = script.communicate(timeout=60)
    assert script.returncode == 128 + sent
    assert f"build.sh failed with exit code {128 + sent}".encode() in errors
    assert not (tmp_path / "infer.log").exists()
    assert not (tmp_path / "summary.json").exists()
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0
    assert summary(tmp_path)["skipped"] == ["preprocess.py"]


@pytest.mark.parametrize("result", ["bin", "json"])
def test_inputs_that_fail_are_left_out_and_counted(
    result: str, mindir: Path, shapes: Path, reads_images: None, program: Program, tmp_path: Path
):
    data = copied(shapes, tmp_path / "data")

    def run(preprocess: str):
        return program(
            *("scripts/run_infer_310.sh", mindir, data, preprocess),
            cwd=tmp_path,
            **ON_CPU,
            INPUT_FORMAT="image",
            RESULT=result,
        )

    assert run("y").returncode == 0
    assert [path.name for path in (tmp_path / "preprocess" / "data").iterdir()] == ["images.txt"]
    broken = sorted((data / "val2017").iterdir())[2]
    broken.write_bytes(broken.read_bytes()[:-500])
    done = run("n")
    assert done.returncode == 1
    assert "1 image(s) failed and are left out" in done.stderr
    assert f"failed: {broken}" in (tmp_path / "infer.log").read_text()
    assert "images left out, as they have no result: 1" in (tmp_path / "acc.log").read_text()
    assert "7 of 8 images, 310 infer result" in (tmp_path / "acc.log").read_text()
    found = summary(tmp_path)
    assert (found["images"], found["failed"]) == (7, 1)
    assert (tmp_path / "result_310.json").exists() == (result == "json")
    assert (tmp_path / "result_Files").exists() == (result == "bin")
    if result == "json":  # what has failed is tried again
        broken.write_bytes((shapes / "val2017" / broken.name).read_bytes())
        assert run("n").returncode == 0
        assert summary(tmp_path)["images"] == 8


def test_the_script_refuses_what_it_cannot_do(mindir: Path, program: Program, tmp_path: Path):
    for environment, words in (
        ({"INPUT_FORMAT": "jpg"}, "INPUT_FORMAT is 'jpg'"),
        ({"RESULT": "xml"}, "RESULT is 'xml'"),
        ({}, "preprocess/meta/meta.txt: not found; give y"),
    ):
        done = program(
            "scripts/run_infer_310.sh", mindir, "data", "n", cwd=tmp_path, **ON_CPU, **environment
        )
        assert done.returncode == 2
        assert words in done.stderr


def test_postprocess_takes_everything_from_the_meta_file(
    shapes: Path, program: Program, tmp_path: Path
):
    """No configuration names the classes of these images, nor their ids."""
    truth = shapes / "annotations" / "instances_val2017.json"
    content = json.loads(truth.read_text())
    same = ("image_id", "category_id", "bbox")
    perfect = [{n: a[n] for n in same} | {"score": 0.9} for a in content["annotations"]]
    (tmp_path / "r.json").write_text(json.dumps(perfect))
    data = ("--val_data_dir", shapes)
    quick = ("--config_path", QUICKSTART, *data, "--predict_dir", "p", "--input_format", "image")
    done = program("preprocess.py", *quick, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    options = ("--result_json", "r.json", "--meta_path", "p/meta", "--save_path", "acc")
    done = program("postprocess.py", *data, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    numbers = json.loads((tmp_path / "acc" / "eval_310.json").read_text())["numbers"]
    assert numbers["AP"] == pytest.approx(1)
    content["categories"][0]["id"] = 77
    (tmp_path / "other.json").write_text(json.dumps(content))
    done = program("postprocess.py", "--label_path", "other.json", *options, cwd=tmp_path)
    assert_refused(done, "other.json: has no category 1 with a name", "preprocess.py had")


@pytest.mark.slow
@pytest.mark.parametrize("input_format", ["bin", "image"])
def test_the_benchmark_measures_the_application_and_its_peers(
    input_format: str, infer_app: Path, tmp_path: Path
):
    file = tmp_path / "numbers.json"
    done = benchmark(
        *("app", "--config_path", QUICKSTART, "--input", 96, "--count", 7, "--batch_size", 2),
        *("--rounds", 2, "--threads", 1, "--memory", 50, "--json", file),
        *("--input_format", input_format),
    )
    assert done.returncode == 0, done.stderr
    numbers = json.loads(file.read_text(encoding="utf-8"))
    speeds = {name: numbers[f"{name}_images_per_second"] for name in ("app", "predict_only")}
    speeds["serial"] = numbers["serial_images_per_second"]
    for name, speed in speeds.items():
        rounds = numbers["images_per_second_of_each_round"][name]
        assert len(rounds) == 2 and speed == max(rounds) > 0
    assert numbers["app_over_predict_only"] == speeds["app"] / speeds["predict_only"]
    assert numbers["app_over_serial"] == speeds["app"] / speeds["serial"]
    assert set(numbers["peak_memory_mb"]) == {"1", "50"}
    assert 0.9 < numbers["memory_growth"] < 1.5
    assert f"7 inputs ({input_format}) of 96x96, batch 2, 1 thread(s)" in done.stdout


def test_the_benchmark_ends_in_one_sentence(tmp_path: Path):
    done = benchmark("app", "--image_dir", tmp_path, "--json", tmp_path / "numbers.json")
    assert done.returncode == 2
    assert "has no .jpg" in done.stderr
    assert not (tmp_path / "numbers.json").exists()
