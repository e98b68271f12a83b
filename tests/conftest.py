# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What the tests share: data sets, the programs, the built application."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from src.model_utils.device_adapter import disarm_onednn_trap

PROJECT = Path(__file__).resolve().parents[1]
QUICKSTART = PROJECT / "configs" / "quickstart.yaml"
COCO128 = Path(os.environ.get("COCO128_DIR", PROJECT.parent / "shared" / "data" / "coco128"))
BUILD_SCRIPT = PROJECT / "ascend310_infer" / "build.sh"

Program = Callable[..., "subprocess.CompletedProcess[str]"]


def assert_refused(done: "subprocess.CompletedProcess[str]", *parts: object) -> None:
    """The program ended in one sentence that holds `parts`, with exit code 2 and no traceback."""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2, done.stderr
    assert len(errors) == 1
    assert "Traceback" not in done.stderr
    for part in parts:
        assert str(part) in errors[0]


def pytest_configure() -> None:
    disarm_onednn_trap()  # before any test module imports MindSpore
    # In the background of a shell, or under nohup, these are ignored, also by all that is started.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def program() -> Program:
    """Runs a script of the project in a process of its own, in the folder `cwd`."""

    def run(script: str, *options: object, cwd: Path, **environment: str):
        # As a user has it: without the setting that this process made for itself.
        inherited = {k: v for k, v in os.environ.items() if k != "ONEDNN_MAX_CPU_ISA"}
        command = ["bash"] if script.endswith(".sh") else [sys.executable]
        return subprocess.run(
            [*command, str(PROJECT / script), *map(str, options)],
            cwd=cwd,
            env={**inherited, "PYTHON": sys.executable, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=1800,
        )

    return run


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic data set in COCO layout: 32 training and 8 validation images."""
    from src.data import synthetic

    folder = tmp_path_factory.mktemp("data") / "shapes"
    synthetic.generate(folder, train_images=32, val_images=8, seed=1)
    return folder


@pytest.fixture(scope="session")
def mindrecord(shapes: Path, program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training set of `shapes` as MindRecord files."""
    folder = tmp_path_factory.mktemp("mindrecord")
    done = program(
        "src/dataset.py",
        *("--config_path", QUICKSTART, "--coco_data_dir", shapes, "--mindrecord_dir", folder),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def checkpoint(
    mindrecord: Path, program: Program, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The quick start's network after four training steps."""
    folder = tmp_path_factory.mktemp("checkpoint")
    done = program(
        "train.py",
        *("--config_path", QUICKSTART, "--device_target", "CPU", "--mindrecord_dir", mindrecord),
        *("--train_steps", 4, "--save_checkpoint_path", folder),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "ckpt_0").glob("*.ckpt")
    return path


@pytest.fixture(scope="session")
def infer_app() -> Path:
    """The Ascend 310 application, built by its own script, or that of ASCEND310_APP."""
    if "ASCEND310_APP" in os.environ:
        return Path(os.environ["ASCEND310_APP"])
    built = subprocess.run(
        ["bash", str(BUILD_SCRIPT)],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return BUILD_SCRIPT.parent / "out" / "main"
