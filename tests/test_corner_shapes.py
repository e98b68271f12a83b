# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""A narrow CornerNet on the shapes of the quick start, by the recipe of its configuration."""

import json
from pathlib import Path

import pytest

from src.data import synthetic
from tests.conftest import PROJECT, Program

CONFIG = (
    *("--config_path", PROJECT / "configs" / "cornernet" / "hourglass104_8x6.yaml"),
    *("--device_target", "CPU", "--dataset_config.max_objs", 8),
    *("--dataset_config.coco_classes", f"[{', '.join(synthetic.CATEGORIES.values())}]"),
    *("--dataset_config.input_res_train", "[127, 127]"),
    *("--dataset_config.input_res_test", "[159, 159]"),
    *("--net_config.num_stacks", 1, "--net_config.stem_channels", 16),
    *("--net_config.dims", "[32, 48, 64]", "--net_config.blocks", "[1, 1, 1]"),
    *("--net_config.head_conv", 32, "--net_config.corners.pool_channels", 16),
    *("--eval_config.keep_res", "false"),
)
RECIPE = (
    *("--train_config.batch_size", 16, "--train_config.lr_schedule", "PolyDecay"),
    *("--train_config.PolyDecay.learning_rate", "2e-3", "--train_config.PolyDecay.power", 1),
    *("--train_config.PolyDecay.warmup_steps", 100, "--epoch_size", 80),
    *("--save_checkpoint_steps", 10000),
)


@pytest.mark.slow
def test_a_narrow_cornernet_finds_the_shapes_of_the_quick_start(program: Program, tmp_path: Path):
    """AP of at least 0.4 on images that it has not seen."""
    data, mindrecord = tmp_path / "data", tmp_path / "mindrecord"
    synthetic.generate(data)
    for name, *arguments in (
        ("src/dataset.py", "--coco_data_dir", data, "--mindrecord_dir", mindrecord),
        ("train.py", "--mindrecord_dir", mindrecord, *RECIPE),
    ):
        done = program(name, *CONFIG, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    (checkpoint,) = (tmp_path / "ckpt_0").glob("*.ckpt")
    options = ("--load_checkpoint_path", checkpoint, "--data_dir", data)
    done = program("eval.py", *CONFIG, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "eval.json").read_text())["numbers"]["AP"] >= 0.4
