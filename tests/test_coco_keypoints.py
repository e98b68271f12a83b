# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Four real images with persons, of COCO val2017, in KEYPOINTS4_DIR or beside the project."""

import json
from pathlib import Path

import pytest

from tests.conftest import KEYPOINTS4, PROJECT, Program
from tests.test_coco128 import BY_HEART, learn, sides

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not KEYPOINTS4.is_dir(),
        reason=f"no COCO images at {KEYPOINTS4}; KEYPOINTS4_DIR can name their folder",
    ),
]

CONFIG = PROJECT / "configs" / "quickstart_pose.yaml"
OPTIONS = (
    *("--config_path", CONFIG, *BY_HEART, *sides(256), "--dataset_config.max_objs", 32),
    *("--net_config.dense_hp", "false"),
)


def test_a_narrow_network_learns_the_points_of_four_images_and_so_says_the_application(
    infer_app: Path, program: Program, tmp_path: Path
):
    """Keypoint AP above 0.8 on the images it was trained on."""
    data = tmp_path / "data"
    (data / "annotations").mkdir(parents=True)
    annotations = KEYPOINTS4 / "annotations" / "person_keypoints_val2017.json"
    for split in ("train", "val"):
        (data / "annotations" / f"person_keypoints_{split}2017.json").symlink_to(annotations)
        (data / f"{split}2017").symlink_to(KEYPOINTS4 / "val2017")
    recipe = (
        *("--train_config.batch_size", 4, "--train_steps", 400),
        *("--train_config.PolyDecay.warmup_steps", 20),
    )
    learn(program, data, OPTIONS, tmp_path, *recipe)
    (checkpoint,) = (tmp_path / "ckpt_0").glob("*.ckpt")
    done = program(
        "eval.py",
        *(*OPTIONS, "--data_dir", data, "--load_checkpoint_path", checkpoint),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    numbers = json.loads((tmp_path / "eval.json").read_text(encoding="utf-8"))["numbers"]
    assert numbers["AP"] > 0.8
    done = program(
        "export.py",
        *(*OPTIONS, "--export_load_ckpt", checkpoint, "--mindir_version", 1),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    done = program(
        "scripts/run_infer_310.sh",
        *("centernet.mindir", data, "y", 0, *OPTIONS[2:]),
        cwd=tmp_path,
        DEVICE_TARGET="CPU",
        CONFIG_PATH=str(CONFIG),
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.rglob("eval_310.json")
    found = json.loads(path.read_text(encoding="utf-8"))["numbers"]
    for name in ("AP", "bbox_AP"):
        assert found[name] == pytest.approx(numbers[name], abs=0.002)
