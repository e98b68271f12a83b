# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The README's walk through a small set of one's own, as it is written there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2

from src.model_utils.config import load_config
from src.training.schedule_check import schedule_problems
from tests.conftest import PROJECT
from tests.test_readme import README

CONFIG = PROJECT / "configs" / "own_small_set.yaml"


def test_the_walk_works_as_written(tmp_path: Path):
    section = README.split("## A small set of one's own")[1]
    walk = re.search(r"```shell\n(.*?)```", section, re.DOTALL)[1]
    for entry in PROJECT.iterdir():
        if not entry.name.startswith("."):
            (tmp_path / entry.name).symlink_to(entry)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    done = subprocess.run(
        ["bash", "-ec", f"PATH={tmp_path}/bin:$PATH\n{walk}"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "own_run"
    assert (
        "16 train images" in done.stdout and "schedule: epoch_size 1 makes 2 update" in done.stdout
    )
    assert len(list((run / "first_batch").glob("*.jpg"))) == 8
    assert {"best.ckpt", "training.png"} < {path.name for path in (run / "ckpt_0").iterdir()}
    assert (run / "eval" / "report.html").stat().st_size > 10_000
    assert json.loads((run / "eval" / "eval.json").read_text())["images"] == 4
    pictures = sorted((run / "predicted").rglob("*.jpg"))
    assert len(pictures) == 4 and all(cv2.imread(str(path)) is not None for path in pictures)


def test_nothing_is_odd_about_its_schedule_on_some_hundred_images():
    settings = load_config("test", ["--config_path", str(CONFIG)])
    recipe = settings.train_config
    for images in (100, 300, 900):
        epoch = images // recipe.batch_size
        assert schedule_problems(recipe, epoch * settings.epoch_size, epoch, 1, True) == []
