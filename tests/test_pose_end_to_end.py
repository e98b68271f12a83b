# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Poses from synthetic figures to the results of the C++ application."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.data.synthetic import generate
from src.tasks.pose import TASK
from src.training.metrics import read_records
from tests.conftest import PROJECT, Program

CONFIG = PROJECT / "configs" / "quickstart_pose.yaml"
OPTIONS = (
    *("--device_target", "CPU", "--dataset_config.input_res_test", "[96, 96]"),
    *("--dataset_config.input_res_train", "[96, 96]", "--train_config.batch_size", 4),
    *("--dataset_config.num_shards", 1, "--eval_config.K", 20),
    *("--train_config.PolyDecay.warmup_steps", 0),
)


def test_poses_go_the_whole_way(infer_app: Path, program: Program, tmp_path: Path):
    generate(tmp_path / "data", 12, 4, task="pose")

    def run(script: str, *options: object) -> str:
        done = program(script, "--config_path", CONFIG, *OPTIONS, *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("src/dataset.py", "--coco_data_dir", "data", "--mindrecord_dir", "mr")
    steps = ("--mindrecord_dir", "mr", "--save_checkpoint_steps", 100)
    run("train.py", *steps, "--train_steps", 12, "--eval_interval", 4, "--data_dir", "data")
    records = read_records(tmp_path / "ckpt_0" / "metrics.jsonl")
    losses = [record for record in records if "loss" in record]
    assert all(losses[-1][name] > 0 for name in TASK.losses)
    assert losses[-1]["loss"] < losses[0]["loss"]
    (evaluation,) = (record for record in records if "AP" in record)
    assert {*TASK.numbers, "bbox_AP", "bbox_AR100"} <= set(evaluation)
    assert (tmp_path / "ckpt_0" / "training.png").is_file()

    (checkpoint,) = (tmp_path / "ckpt_0").glob("centernet-*.ckpt")
    weights = ("--load_checkpoint_path", checkpoint)
    run("eval.py", *weights, "--data_dir", "data", "--visual_image", "true")
    numbers = json.loads((tmp_path / "eval.json").read_text(encoding="utf-8"))["numbers"]
    assert list(numbers)[:10] == list(TASK.numbers)
    assert len(list((tmp_path / "pictures").glob("*.jpg"))) == 4
    assert (tmp_path / "report.html").is_file()

    run("export.py", "--export_load_ckpt", checkpoint, "--mindir_version", 1)
    arguments = ("centernet.mindir", "data", "y", 0, *OPTIONS)
    environment = {"DEVICE_TARGET": "CPU", "CONFIG_PATH": str(CONFIG)}
    done = program("scripts/run_infer_310.sh", *arguments, cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    ours, theirs = (
        by_score(json.loads((tmp_path / path).read_text(encoding="utf-8")))
        for path in ("results_val.json", "acc/results_310.json")
    )
    assert len(ours) == len(theirs) > 8
    for one, other in zip(ours, theirs, strict=True):
        for name in ("score", "bbox", "keypoints"):
            assert other[name] == pytest.approx(one[name], abs=1e-3), name

    name = next((tmp_path / "data" / "val2017").glob("*.jpg"))
    run("predict.py", *weights, "--input", name, "--output", "predicted", "--score_thresh", 0.01)
    found = json.loads((tmp_path / "predicted" / f"{name.name}.json").read_text(encoding="utf-8"))
    assert np.shape(found["boxes"][0]["points"]) == (TASK.points, 3)
    image, drawn = cv2.imread(str(name)), cv2.imread(str(tmp_path / "predicted" / name.name))
    image = cv2.resize(image, drawn.shape[1::-1])  # small ones are enlarged
    assert (np.abs(drawn.astype(int) - image) > 100).mean() > 0.001


def by_score(results: list[dict]) -> list[dict]:
    """Results of a score, by image and score; scores of zero are of any cell."""
    found = [result for result in results if result["score"] > 1e-3]
    return sorted(found, key=lambda result: (result["image_id"], -result["score"]))
