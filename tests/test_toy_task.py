# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""A new task is two files and two lines: one with two points goes all the way.

The files are toy_task.py and toy_task_cells.py, the lines are in `sticks`.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import ModuleType

import cv2
import mindspore as ms
import mindspore.dataset as ds
import numpy as np
import pytest

import eval as eval_program
import export
import postprocess
import predict
import preprocess
from benchmarks.train_step import create_step
from src.data.augment import colour_statistics, normalisation
from src.data.geometry import transform_boxes
from src.data.objects import object_tables
from src.evaluation.models import create_detector
from src.model_utils.device_adapter import Device
from src.model_utils.facts import facts_of
from src.model_utils.parameters import Config
from src.models.network import TASK_CELLS, Network
from src.tasks import TASKS
from src.training.counting import CountFrom, Plan
from src.training.log import TrainingLog
from src.training.metrics import MetricsFile, print_record, read_records
from src.visual import pictures
from src.weights import checkpoints
from tests import toy_task, toy_task_cells
from tests.helpers import config, graph_mode

SIZE, GRID, STEPS = 64, 16, 200
# Upper and lower end of each image's stick, in pixels.
STICKS = np.array([[[14, 10], [40, 34]], [[46, 20], [18, 52]], [[50, 12], [38, 50]]], np.float32)
NAMES = [f"{number}.png" for number in range(len(STICKS))]
OPTIONS = (
    *("--task", "sticks", "--dataset_config.coco_classes", "[stick]"),
    *("--dataset_config.input_res_train", f"[{SIZE}, {SIZE}]"),
    *("--dataset_config.input_res_test", f"[{SIZE}, {SIZE}]", "--dataset_config.max_objs", "2"),
    *("--net_config.block", "basic", "--net_config.block_class", "[1, 1]"),
    *("--net_config.stage_channels", "[16, 32]", "--net_config.up_channels", "[16]"),
    *("--net_config.head_conv", "16", "--net_config.deformable", "none"),
    *("--net_config.wh_weight", "1"),
    *("--train_config.batch_size", str(len(STICKS)), "--train_config.lr_schedule", "PolyDecay"),
    *("--train_config.PolyDecay.learning_rate", "0.01"),
    *("--train_config.PolyDecay.warmup_steps", "0", "--train_config.PolyDecay.power", "1"),
    *("--eval_config.keep_res", "false", "--eval_config.K", "5", "--device_target", "CPU"),
)
CPU = Device("CPU", 0, 1)


@pytest.fixture(scope="module", autouse=True)
def sticks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, graph_mode():
        patch.setitem(TASKS, "sticks", toy_task.TASK)
        patch.setitem(TASK_CELLS, "sticks", toy_task_cells)
        yield


def boxes_of(ends: np.ndarray) -> np.ndarray:
    """The boxes around sticks (n,2,2), xyxy, with 3 pixels of room."""
    return np.concatenate([ends.min(axis=1) - 3, ends.max(axis=1) + 3], axis=1)


@dataclass(frozen=True)
class Trained:
    """What a training was, and the folder of its data, records and checkpoint."""

    network: Network
    used: Config
    folder: Path

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder, used = tmp_path_factory.mktemp("sticks"), config(*OPTIONS)
    images = np.zeros((len(STICKS), SIZE, SIZE, 3), np.uint8)
    (folder / "data" / "val2017").mkdir(parents=True)
    (folder / "data" / "annotations").mkdir()
    for image, ends, name in zip(images, STICKS.astype(int).tolist(), NAMES, strict=True):
        cv2.line(image, *ends, (255, 255, 255), 3)
        cv2.imwrite(str(folder / "data" / "val2017" / name), image)
    entries = [
        {"id": n, "image_id": n, "category_id": 7, "iscrowd": 0, "area": 400.0,
         "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)]}
        for n, (x1, y1, x2, y2) in enumerate(boxes_of(STICKS), 1)
    ]  # fmt: skip
    annotations = {
        "images": [
            {"id": n, "file_name": name, "width": SIZE, "height": SIZE}
            for n, name in enumerate(NAMES, 1)
        ],
        "annotations": entries,
        "categories": [{"id": 7, "name": "stick"}],
    }
    (folder / "data" / "annotations" / "instances_val2017.json").write_text(json.dumps(annotations))

    on_grid = transform_boxes(boxes_of(STICKS), np.array([[0.25, 0, 0], [0, 0.25, 0]]))
    points = np.concatenate([STICKS / 4, np.ones((len(STICKS), 2, 1))], axis=2)
    objects = object_tables(
        on_grid, np.zeros(len(STICKS)), np.arange(len(STICKS)),
        images=len(STICKS), grid_size=(GRID, GRID), max_objs=2, points=points,
    )  # fmt: skip
    assert objects.shape == (len(STICKS), 2, 14)
    colour = np.tile(normalisation(colour_statistics(used.dataset_config)), (len(STICKS), 1, 1))
    step = create_step(used, CPU, STEPS)
    metrics = folder / "metrics.jsonl"
    log = TrainingLog(
        Plan(STEPS, STEPS, 1, len(STICKS)),
        np.zeros(STEPS),
        step.optimizer,
        TASKS[used.task].losses,
        [print_record, MetricsFile(metrics, 0)],
    )
    batches = ds.GeneratorDataset(
        [(images, colour, objects)] * STEPS, ["image", "colour", "objects"], shuffle=False
    )
    ms.Model(step).train(1, batches, [CountFrom(0), log], dataset_sink_mode=False)
    network = step.network.network
    checkpoints.save(
        network.parameters_and_names(),
        folder / "sticks.ckpt",
        {checkpoints.MODEL: json.dumps(facts_of(used))},
    )
    return Trained(network, used, folder)


def run_program(module: ModuleType, monkeypatch: pytest.MonkeyPatch, *options: object) -> None:
    """Runs a program here, where the task is registered and the device is set up."""
    monkeypatch.setattr(sys, "argv", ["program", *map(str, options)])
    monkeypatch.setattr(module, "set_up_device", lambda *_, **__: CPU, raising=False)
    module.main()


def test_its_losses_fall_and_stand_in_the_records_by_their_names(trained: Trained):
    records = read_records(trained.folder / "metrics.jsonl")
    first, last = records[0], records[-1]
    for name in ("loss", *toy_task.TASK.losses):
        assert 0 < last[name] < 0.5 * first[name], name


def assert_points(found: np.ndarray, ends: np.ndarray) -> None:
    """The first of the points (K,J,3), best first, are the ends (J,2) of a stick, in pixels."""
    np.testing.assert_allclose(found[0, :, :2], ends, atol=1)


def test_it_finds_the_points_in_pixels_of_the_image(trained: Trained):
    detector = create_detector(trained.used, trained.network.set_train(False))
    for ends, name in zip(STICKS, NAMES, strict=True):
        found = detector(trained.data_dir / "val2017" / name)
        assert found.shape == (5, 12)
        assert found[0, 4] > 2 * found[1, 4]
        np.testing.assert_allclose(found[:1, :4], boxes_of(ends[None]), atol=1)
        assert_points(found[:, 6:].reshape(-1, 2, 3), ends)


def test_it_is_evaluated(trained: Trained, monkeypatch: pytest.MonkeyPatch):
    folder = trained.folder / "eval"
    run_program(
        *(eval_program, monkeypatch, "--data_dir", trained.data_dir, "--device_target", "CPU"),
        *("--load_checkpoint_path", trained.folder / "sticks.ckpt", "--save_result_dir", folder),
    )
    assert json.loads((folder / "eval.json").read_text())["numbers"]["AP50"] == 1
    results = json.loads((folder / "results_val.json").read_text())
    assert_results(results)


def assert_results(results: list[dict]) -> None:
    for number, ends in enumerate(STICKS, 1):
        best = max((r for r in results if r["image_id"] == number), key=lambda r: r["score"])
        assert best["category_id"] == 7
        assert_points(np.reshape(best["keypoints"], (1, 2, 3)), ends)


@pytest.fixture(scope="module")
def mindir(trained: Trained) -> Path:
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as said:
        run_program(
            *(export, patch, "--export_load_ckpt", trained.folder / "sticks.ckpt"),
            *("--export_name", trained.folder / "sticks", "--mindir_version", 1),
            *("--device_target", "CPU"),
        )
    assert "images (1,3,64,64) to detections (1,100,12)" in said.getvalue()
    return trained.folder / "sticks.mindir"


def test_it_is_exported_with_its_facts(trained: Trained, mindir: Path, monkeypatch):
    facts = json.loads(mindir.with_suffix(".json").read_text())["settings"]
    assert facts["task"] == "sticks" and facts["dataset_config.coco_classes"] == ["stick"]
    run_program(
        *(predict, monkeypatch, "--load_mindir_path", mindir, "--device_target", "CPU"),
        *("--input", trained.data_dir / "val2017", "--output", trained.folder / "predicted"),
    )
    for ends, name in zip(STICKS, NAMES, strict=True):
        found = json.loads((trained.folder / "predicted" / f"{name}.json").read_text())
        assert_points(np.array([found["boxes"][0]["points"]]), ends)
        picture = cv2.imread(str(trained.folder / "predicted" / name))
        scale = picture.shape[0] // SIZE
        for x, y in np.round(np.array(found["boxes"][0]["points"])[:, :2] * scale).astype(int):
            assert (picture[y, x] == pictures.MIDDLE).all()  # points without a name have no side


@pytest.mark.parametrize("result", ["result_path", "result_json"])
def test_it_goes_through_the_application(
    result: str, trained: Trained, mindir: Path, infer_app: Path, monkeypatch, tmp_path: Path
):
    run_program(
        *(preprocess, monkeypatch, "--load_mindir_path", mindir, "--predict_dir", tmp_path / "in"),
        *("--val_data_dir", trained.data_dir),
    )
    given = {
        "mindir_path": mindir,
        "input_path": tmp_path / "in" / "data",
        "meta_path": tmp_path / "in" / "meta" / "meta.txt",
        "device_target": "CPU",
        "time_path": tmp_path / "times",
        result: tmp_path / "result",
    }
    options = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    subprocess.run([infer_app, *options], check=True, capture_output=True)
    run_program(
        *(postprocess, monkeypatch, f"--{result}", tmp_path / "result"),
        *("--val_data_dir", trained.data_dir, "--meta_path", tmp_path / "in" / "meta"),
        *("--save_path", tmp_path / "acc"),
    )
    assert json.loads((tmp_path / "acc" / "eval_310.json").read_text())["numbers"]["AP50"] == 1
    assert_results(json.loads((tmp_path / "acc" / "results_310.json").read_text()))
