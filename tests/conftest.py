# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What the tests share: data sets, the programs, the built application.

scripts/run_tests.sh runs several files side by side, each in a worker process of pytest-xdist. What
a session makes once is made by the worker that asks first; the others wait for it.
"""

import fcntl
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
KEYPOINTS4 = Path(
    os.environ.get("KEYPOINTS4_DIR", PROJECT.parent / "shared" / "data" / "coco_keypoints4")
)
FAMILY = Path(os.environ.get("FAMILY_DIR", PROJECT.parent / "shared" / "family" / "oracles"))
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
    if "PYTEST_XDIST_WORKER" in os.environ:
        # The workers share the cores: with a thread for each core in all of them, and in what they
        # start, threads wait for each other more than they compute.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
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
def make_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives a folder that all workers share, after one of them has filled it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # each worker has a folder of its own there

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        folder, made = root / name, root / f"{name}.made"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                folder.mkdir(exist_ok=True)
                fill(folder)
                made.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def shapes(make_once: Callable[..., Path]) -> Path:
    """A small synthetic data set in COCO layout: 32 training and 8 validation images."""
    from src.data import synthetic

    def fill(folder: Path) -> None:
        synthetic.generate(folder / "shapes", train_images=32, val_images=8, seed=1)

    return make_once("data", fill) / "shapes"


@pytest.fixture(scope="session")
def mindrecord(shapes: Path, program: Program, make_once: Callable[..., Path]) -> Path:
    """The training set of `shapes` as MindRecord files."""

    def fill(folder: Path) -> None:
        done = program(
            "src/dataset.py",
            *("--config_path", QUICKSTART, "--coco_data_dir", shapes, "--mindrecord_dir", folder),
            cwd=folder,
        )
        assert done.returncode == 0, done.stderr

    return make_once("mindrecord", fill)


@pytest.fixture(scope="session")
def checkpoint(mindrecord: Path, program: Program, make_once: Callable[..., Path]) -> Path:
    """The quick start's network after four training steps."""

    def fill(folder: Path) -> None:
        done = program(
            "train.py",
            *("--config_path", QUICKSTART, "--device_target", "CPU", "--train_steps", 4),
            *("--mindrecord_dir", mindrecord, "--save_checkpoint_path", folder),
            *("--data_sink_steps", 1),
            cwd=folder,
        )
        assert done.returncode == 0, done.stderr

    (path,) = (make_once("checkpoint", fill) / "ckpt_0").glob("*.ckpt")
    return path


@pytest.fixture(scope="session")
def infer_app(make_once: Callable[..., Path]) -> Path:
    """The Ascend 310 application, built by its own script, or that of ASCEND310_APP."""
    if "ASCEND310_APP" in os.environ:
        return Path(os.environ["ASCEND310_APP"])

    def build(_: Path) -> None:
        built = subprocess.run(
            ["bash", str(BUILD_SCRIPT)],
            env={**os.environ, "PYTHON": sys.executable},
            capture_output=True,
            text=True,
            check=False,
        )
        assert built.returncode == 0, built.stderr

    make_once("infer_app", build)
    return BUILD_SCRIPT.parent / "out" / "main"


@pytest.fixture(scope="session")
def input_formats(infer_app: Path) -> list[str]:
    """The values of --input_format that the application takes."""
    cache = (BUILD_SCRIPT.parent / "build" / "CMakeCache.txt").read_text()
    has_opencv = "WITH_OPENCV:BOOL=ON" in cache or "WITH_OPENCV:BOOL=1" in cache
    return ["bin", "image"] if has_opencv else ["bin"]


@pytest.fixture
def reads_images(input_formats: list[str]) -> None:
    if "image" not in input_formats:
        pytest.skip("the application has no OpenCV; install libopencv-dev and libjpeg-dev")
