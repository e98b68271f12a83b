# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Faults of one process among several: what each says, its exit code, and what is left.

Two CPU processes train together, started by the project's launchers.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.training import resume
from tests.conftest import PROJECT, QUICKSTART
from tests.test_launcher import free_port, rank_table
from tests.test_supervise import running, wait_until

# train.py, and before it what is wrong with one rank.
TRAIN = """\
import os, resource, runpy, signal, sys
sys.argv[0], sys.path[0] = {program!r}, {project!r}
if os.environ["MS_ROLE"] == "MS_WORKER":
    rank = int(os.environ["MS_NODE_ID"])
{fault}
runpy.run_path(sys.argv[0], run_name="__main__")
"""
SMALL = (
    *("--dataset_config.input_res_train", "[32, 32]", "--dataset_config.output_res", "[8, 8]"),
    *("--net_config.stage_channels", "[8, 8, 16]", "--net_config.up_channels", "[8, 8]"),
    *("--net_config.head_conv", "8", "--train_config.batch_size", "4", "--data_sink_steps", "1"),
)
SENTENCE = re.compile("^(error: |training: SIGTERM, |stopped by SIGTERM)", re.MULTILINE)


class Training:
    """A launcher with two ranks of a small training."""

    def __init__(self, kind: str, mindrecord: Path, folder: Path) -> None:
        self._kind, self._mindrecord, self._folder = kind, mindrecord, folder
        self._project = folder / "project"
        self._project.mkdir()
        (self._project / "scripts").symlink_to(PROJECT / "scripts")
        self._launcher: subprocess.Popen[bytes] | None = None
        self.mark = uuid.uuid4().hex

    def start(self, *options: object, fault: str = "") -> None:
        """With `fault`, lines of Python, on each rank before its train.py."""
        program = self._project / "train.py"
        lines = "".join(f"    {line}\n" for line in fault.splitlines())
        program.write_text(
            TRAIN.format(program=str(PROJECT / program.name), project=str(PROJECT), fault=lines)
        )
        place: list[object] = [2, "--master_port", free_port()]
        if self._kind == "ascend":
            place = [rank_table(self._folder, devices=2)]
        script = self._project / "scripts" / f"run_distributed_train_{self._kind}.sh"
        settings = {
            "PYTHON": sys.executable, "CONFIG_PATH": str(QUICKSTART), "DEVICE_TARGET": "CPU",
            "FOREGROUND": "1", "MARK": self.mark,
        }  # fmt: skip
        with (self._folder / "said").open("wb") as said:
            self._launcher = subprocess.Popen(
                list(map(str, ["bash", script, self._mindrecord, *place, *SMALL, *options])),
                cwd=self._folder,
                env={**os.environ, **settings},
                stdout=subprocess.DEVNULL,
                stderr=said,
            )

    def ended(self) -> int:
        """The launcher's exit code; it has left no process."""
        code = self._launcher.wait(120)
        assert running(self.mark) == {}
        return code

    def run(self, *options: object, fault: str = "") -> int:
        self.start(*options, fault=fault)
        return self.ended()

    def clear(self) -> None:
        """After a test that fails."""
        for process in running(self.mark):
            os.kill(process, signal.SIGKILL)
        if self._launcher:
            self._launcher.wait(30)

    @property
    def said(self) -> str:
        return (self._folder / "said").read_text()

    def codes(self) -> list[int]:
        """The ranks' exit codes, as the launcher tells them."""
        (line,) = re.findall("^exit codes: (.*)$", self.said, re.MULTILINE)
        return [int(re.search(rf"\brank {rank} (\d+)\b", line)[1]) for rank in (0, 1)]

    def log(self, rank: int) -> str:
        path = self._folder / f"LOG{rank}" / "training_log.txt"
        if self._kind == "msrun":
            path = self._folder / "LOG_msrun" / f"worker_{rank}.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        assert "Traceback" not in text
        return text

    def error(self, rank: int) -> str:
        """The one sentence that a rank has ended in."""
        (line,) = (line for line in self.log(rank).splitlines() if SENTENCE.match(line))
        return line

    def checkpoints(self) -> Path:
        return self._folder / ("LOG0" if self._kind == "ascend" else "LOG_msrun") / "ckpt_0"


@pytest.fixture
def training(kind: str, mindrecord: Path, tmp_path: Path) -> Iterator[Training]:
    training = Training(kind, mindrecord, tmp_path)
    yield training
    training.clear()


def slow_with(kind: str) -> pytest.MarkDecorator:
    """Both launchers, one of them in the slow tests: a start of three processes takes its time."""
    other = "msrun" if kind == "ascend" else "ascend"
    kinds = [other, pytest.param(kind, marks=pytest.mark.slow)]
    return pytest.mark.parametrize("kind", kinds)


@slow_with("msrun")
def test_a_full_disk_of_the_first_rank_keeps_the_training_going_and_ends_it_in_an_error_on_each(
    training: Training,
):
    small_files = "if rank == 0: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    steps = ("--train_steps", 8, "--save_checkpoint_steps", 4)
    assert training.run(*steps, fault=small_files) == 2
    # The launcher may see one that has ended while the other, its sentence said, is about to.
    assert set(training.codes()) in ({2}, {2, 143})
    log = training.log(0)
    assert "step: 8," in log
    assert "error: ckpt_0/centernet-1_4.ckpt: File too large; the training goes on" in log
    assert "error: ckpt_0/centernet-2_8.ckpt: File too large; check the path" in log
    assert training.error(1).startswith(
        "error: training: the first process could not write the last checkpoint; its log says why"
    )
    assert not [path for path in training.checkpoints().iterdir() if "ckpt" in path.name]


@pytest.mark.slow
def test_a_log_of_a_rank_on_a_full_disk_ends_nothing(mindrecord: Path, tmp_path: Path):
    (tmp_path / "LOG1").mkdir()
    (tmp_path / "LOG1" / "training_log.txt").symlink_to("/dev/full")
    training = Training("ascend", mindrecord, tmp_path)
    try:
        assert training.run("--train_steps", 4) == 0
    finally:
        training.clear()
    assert "step: 4," in training.log(0)


def of_rank_1(mindrecord: Path) -> str:
    """The second rank has a data set of its own."""
    return f"if rank == 1: sys.argv[sys.argv.index('--mindrecord_dir') + 1] = {str(mindrecord)!r}"


@slow_with("ascend")
def test_a_file_that_one_rank_lacks_ends_each_before_the_first_step(
    training: Training, mindrecord: Path, tmp_path: Path
):
    own = Path(shutil.copytree(mindrecord, tmp_path / "own", copy_function=os.link))
    lacking = own / "coco_det.train.mind3.db"
    lacking.unlink()
    assert training.run("--train_steps", 8, fault=of_rank_1(own)) == 2
    assert training.codes() == [143, 2]
    assert training.error(1).startswith(f"error: {lacking}: is missing or not the ")
    assert training.error(1) in training.said
    assert "SIGTERM" in training.error(0)
    assert "step: 1," not in training.log(0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ascend", "msrun"])
def test_files_of_one_rank_that_can_be_read_no_more_end_each(
    training: Training, mindrecord: Path, tmp_path: Path
):
    own = Path(shutil.copytree(mindrecord, tmp_path / "own"))
    training.start("--epoch_size", 1000, fault=of_rank_1(own))
    assert wait_until(lambda: "step: 4," in training.log(1), 100)
    for path in own.glob("*"):  # one that is removed is open and does no harm
        os.truncate(path, 0)
    assert training.ended() == 2
    assert training.codes() == [137, 2]  # the first waits in C++, which nothing interrupts
    said = training.error(1)
    assert said.startswith(f"error: {own}/coco_det.train.mind: cannot be read any more (")
    assert said in training.said
    assert training.error(0).startswith(
        "error: killed by the launcher, as rank 1 has ended with exit code 2; --resume goes on"
    )


def evaluated(shapes: Path) -> tuple[object, ...]:
    """Options of a training with an evaluation of 4 images a rank each four steps."""
    batch = ("--eval_config.batch_size", 1)
    return ("--train_steps", 8, "--eval_interval", 1, "--data_dir", shapes, *batch)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ascend", "msrun"])
def test_an_evaluation_that_fails_on_one_rank_is_told_on_each_and_the_training_goes_on(
    training: Training, shapes: Path
):
    fails = """\
import src.evaluation.detector as detector
finish, calls = detector.Detector.finish, []
def failing(self, *arguments):
    calls.append(1)
    if len(calls) == 2: raise OSError(5, "Input/output error", "shapes/7.jpg")
    return finish(self, *arguments)
if rank == 1: detector.Detector.finish = failing
"""
    assert training.run(*evaluated(shapes), fault=fails) == 0, training.said
    goes_on = "shapes/7.jpg: Input/output error; the training goes on"
    assert f"error: evaluation after step 4: rank 1: {goes_on}" in training.log(0)
    assert f"error: evaluation after step 4: {goes_on}" in training.log(1)
    assert "evaluation: epoch: 2, step: 8, AP: " in training.log(0)
    assert all("epoch: 2, current epoch percent: 1.000, step: 8" in training.log(i) for i in (0, 1))


SLOW_IMAGES = """\
import time
import src.evaluation.detector as detector
finish = detector.Detector.finish
def slow(self, *arguments):
    time.sleep(3.0)
    return finish(self, *arguments)
detector.Detector.finish = slow
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ascend", "msrun"])
def test_a_rank_that_is_stopped_in_an_evaluation_stops_each_with_a_checkpoint(
    training: Training, shapes: Path
):
    stops = SLOW_IMAGES + "print('process', os.getpid(), flush=True)\n"
    training.start(*evaluated(shapes), fault=stops)
    assert wait_until(lambda: " 1/4 [" in training.log(1), 200)
    (process,) = re.findall(r"^process (\d+)$", training.log(1), re.MULTILINE)
    os.kill(int(process), signal.SIGTERM)
    assert training.ended() == 143
    assert training.codes() == [143, 143]
    for rank in (0, 1):
        assert "evaluation after step 4: broken off" in training.log(rank)
        assert "training: stopped by SIGTERM after step 5; --resume goes on" in training.log(rank)
    (path,) = training.checkpoints().glob("*.ckpt")
    assert resume.step_of(path) == 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ascend", "msrun"])
def test_a_rank_that_is_killed_in_an_evaluation_ends_each(training: Training, shapes: Path):
    dies = (
        SLOW_IMAGES
        + """\
def killed(self, *arguments):
    os.kill(os.getpid(), signal.SIGKILL)
if rank == 1: detector.Detector.finish = killed
"""
    )
    assert training.run(*evaluated(shapes), fault=dies) == 137
    assert re.search(
        r"error: rank 1 \(process \d+\) ended with exit code 137 \(SIGKILL\)", training.said
    )
    ends = "error: killed by the launcher, as rank 1 has|error: the other processes are lost"
    assert re.match(ends, training.error(0))


# The fifth checkpoint is half on the disk when the first rank is killed.
KILLED_IN_A_CHECKPOINT = """\
sync = os.fsync
def killed(descriptor):
    path = os.readlink(f"/proc/self/fd/{descriptor}")
    if path.endswith("_5.ckpt"):
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)
    sync(descriptor)
if rank == 0: os.fsync = killed
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ascend", "msrun"])
def test_a_rank_that_is_killed_in_a_checkpoint_costs_that_one_alone(training: Training):
    folder = training.checkpoints()
    steps = ("--train_steps", 8, "--save_checkpoint_steps", 1)
    assert training.run(*steps, fault=KILLED_IN_A_CHECKPOINT) == 137
    assert training.codes()[0] == 137 and training.codes()[1] in (137, 143)
    assert re.search(
        r"error: rank 0 \(process \d+\) ended with exit code 137 \(SIGKILL\)", training.said
    )
    assert re.search("killed by the launcher, as rank 0 has|SIGTERM", training.error(1))
    (partial,) = folder.glob(".partial-*/*.ckpt")
    whole = folder / "centernet-1_4.ckpt"
    assert partial.stat().st_size < whole.stat().st_size
    assert resume.numbered(folder)[0] == whole

    assert training.run(*steps, "--resume") == 0, training.said
    assert "resume: ckpt_0/centernet-1_4.ckpt, after step 4" in training.log(0)
    assert resume.step_of(resume.numbered(folder)[0]) == 8
    assert not list(folder.glob(".partial-*"))
