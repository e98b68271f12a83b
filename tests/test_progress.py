# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What takes long says what it does, and how far it is."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from src.model_utils import progress
from src.model_utils.progress import telling
from src.models.on_arrays import OnArrays
from src.training.counting import Plan
from src.training.log import StepTeller
from src.weights import checkpoint_file, checkpoints
from tests.conftest import PROJECT, QUICKSTART, Program


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth of the patience."""
    monkeypatch.setattr(progress, "_FIRST", 0.1)
    monkeypatch.setattr(progress, "_LARGEST", 0.25)


def soon_told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is told, as `told`, when something is: threads may have to wait for a processor."""
    for _ in range(100):
        time.sleep(0.15)
        if lines := told(capsys):
            return lines
    return []


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.rpartition(", ")[0] for line in capsys.readouterr().out.splitlines()]


def test_work_is_told_after_a_silence_and_then_less_often(
    impatient: None, capsys: pytest.CaptureFixture[str]
):
    with telling("short work"):
        pass
    assert told(capsys) == []
    with telling("first") as teller:
        time.sleep(0.95)  # told at 0.1, 0.3, 0.55, 0.8
        lines = capsys.readouterr().out.splitlines()
        assert 1 <= len(lines) <= 4
        assert all(re.fullmatch(r"first, \d s so far", line) for line in lines)
        teller.now("second")
        assert set(soon_told(capsys)) == {"second"}
        teller.now("")
        time.sleep(0.2)
    assert told(capsys) == []


def test_inner_work_is_told_instead_of_the_outer(
    impatient: None, capsys: pytest.CaptureFixture[str]
):
    with telling("outer"):
        with telling("inner"):
            assert set(soon_told(capsys)) == {"inner"}
        assert set(soon_told(capsys)) == {"outer"}
    time.sleep(0.15)
    assert told(capsys) == []


def context(step: int) -> SimpleNamespace:
    params = SimpleNamespace(cur_step_num=step)
    return SimpleNamespace(original_args=lambda: params)


@pytest.mark.parametrize(
    ("returns", "done", "said"),
    [
        ([9, 10, 11], "the first step", "after step 3 of 4 of epoch 3, 11 of 40 in all"),
        (
            [12, 16],
            "the first 4 steps",
            "4 steps at once, after step 4 of 4 of epoch 4, 16 of 40 in all",
        ),
    ],
)
def test_a_training_tells_that_it_compiles_and_how_far_it_is(
    returns: list[int], done: str, said: str, impatient: None, capsys
):
    with telling("") as teller:
        steps = StepTeller(teller, Plan(4, 40, 4, 1))
        steps.on_train_begin(context(8))
        assert set(soon_told(capsys)) == {"reading the first batch"}
        steps.on_train_step_begin(context(8))
        assert capsys.readouterr().out.startswith("compiling the training step: once")
        assert set(soon_told(capsys)) == {"compiling the training step"}
        for step in returns:
            steps.on_train_step_end(context(step))
            steps.on_train_step_begin(context(step))
        out = capsys.readouterr().out
        assert re.fullmatch(rf"compiled; {done} done after \d+\.\d s\n", out)
        assert set(soon_told(capsys)) == {said}


def test_compiling_a_network_is_told_for_each_size(impatient: None, capsys):
    class Slow(nn.Cell):
        def construct(self, images: Tensor) -> Tensor:
            time.sleep(0.15)
            return images

    run = OnArrays(Slow())
    for width, is_new in ((64, True), (64, False), (96, True)):
        run(np.zeros((1, 3, 64, width), np.uint8))
        expected = {f"compiling the network for images of {width}x64"} if is_new else set()
        assert set(told(capsys)) == expected


def test_writing_and_reading_a_checkpoint_is_told(impatient: None, capsys, monkeypatch, tmp_path):
    def slow(*_: object, **__: object) -> dict:
        time.sleep(0.15)
        return {}

    monkeypatch.setattr(ms, "save_checkpoint", slow)
    monkeypatch.setattr(checkpoint_file, "parse", slow)
    with pytest.raises(FileNotFoundError):
        checkpoints.save([], tmp_path / "a.ckpt")
    (tmp_path / "a.ckpt").touch()
    checkpoints.read(tmp_path / "a.ckpt")
    assert told(capsys) == [f"writing {tmp_path / 'a.ckpt'}", f"reading {tmp_path / 'a.ckpt'}"]


def bash(text: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-ec", text], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_installing_says_what_pip_does(tmp_path: Path):
    shutil.copytree(PROJECT / "scripts", tmp_path / "scripts")
    (tmp_path / "requirements").mkdir()
    for name in ("requirements.txt", "requirements/test.txt"):
        (tmp_path / name).write_text("mindspore\n")
    pip = tmp_path / ".venv" / "bin" / "pip"
    pip.parent.mkdir(parents=True)
    pip.write_text('#!/bin/sh\ncase "$*" in *quiet*) ;; *) echo Downloading mindspore ;; esac\n')
    pip.chmod(0o755)
    install = f"PYTHON={sys.executable}; . scripts/environment.sh; install_requirements "
    done = bash(f"{install} requirements.txt", tmp_path)
    assert done.stdout.splitlines() == [
        "installing requirements.txt into .venv, which takes minutes; pip says what it fetches",
        "Downloading mindspore",
        "requirements.txt installed in .venv",
    ]


def test_a_step_of_the_310_path_says_how_far_it_is(tmp_path: Path):
    script = (PROJECT / "scripts" / "run_infer_310.sh").read_text(encoding="utf-8")
    follow = re.search(r"^follow\(\) \{.*?^\}$", script, re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "infer.log").write_text("loading\n3 of 9 images\r4 of 9 images\r\n")
    (tmp_path / "empty.log").touch()
    for log, said in (("infer.log", ": 4 of 9 images"), ("empty.log", "")):
        quick = "SECONDS=0; sleep() { command sleep 0.2; SECONDS=$((SECONDS + 10)); }"
        done = bash(f"{quick}; {follow}; follow app {log} & command sleep 0.5; kill $!", tmp_path)
        first = done.stdout.splitlines()[0]
        assert re.fullmatch(rf"app: 1\d s so far{said}", first), done.stderr


def test_warnings_that_nobody_can_act_on_are_left_out(
    mindrecord: Path, program: Program, tmp_path: Path
):
    done = program(
        "train.py",
        *("--config_path", QUICKSTART, "--device_target", "CPU", "--mindrecord_dir", mindrecord),
        *("--train_steps", 1, "--enable_save_ckpt", "false"),
        *("--compile_cache_dir", tmp_path / "cache"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    told = r"compiling the training step: once, before the first one\n(.* so far\n)*compiled; the"
    assert re.search(told, done.stdout)
