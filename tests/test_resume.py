# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints, and trainings that are stopped, killed or moved and go on."""

import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import mindspore as ms
import numpy as np
import psutil
import pytest

from src.model_utils.device_adapter import Device
from src.model_utils.errors import UserError
from src.models.network import create_network
from src.training import resume
from src.training.counting import Plan
from src.training.metrics import MetricsFile, read_records
from src.training.resume import Beginning, Progress, Stopped
from src.training.saving import CheckpointKeeper, EndTogether
from src.weights import checkpoints
from tests.conftest import PROJECT, QUICKSTART, Program, assert_refused
from tests.helpers import assert_same, changed, config, write_sums_again

# 20 steps of 8 an epoch, two batches an update, with all that a step may have to remember.
STEPS = 20
OPTIONS = (
    *("--config_path", QUICKSTART, "--device_target", "CPU", "--train_config.batch_size", 4),
    *("--train_steps", STEPS, "--train_config.accumulate_steps", 2, "--train_config.ema_decay"),
    *(0.9, "--train_config.loss_scale", "dynamic", "--train_config.scale_window", 3),
    *("--train_config.ema_kind", "threshold", "--data_sink_steps", 1),
    *("--train_config.fixed_parameters", "[features.backbone.*.gamma, features.backbone.*.beta]"),
)
EVERY_STEP = ("--save_checkpoint_steps", 1, "--save_checkpoint_num", 100)


@pytest.fixture(scope="module")
def unbroken(mindrecord: Path, program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of every step of a training that nothing happened to."""
    folder = tmp_path_factory.mktemp("unbroken")
    done = program("train.py", *OPTIONS, *EVERY_STEP, "--mindrecord_dir", mindrecord, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "ckpt_0"


def at(folder: Path, step: int) -> Path:
    return folder / f"centernet-{-(-step // 8)}_{step}.ckpt"


@pytest.mark.parametrize("step", [8, 11])  # at an epoch's end, inside one and inside an update
@pytest.mark.parametrize("sink", ["true", "false"])
def test_a_resumed_training_ends_in_the_same_bits(
    unbroken: Path, mindrecord: Path, program: Program, tmp_path: Path, step: int, sink: str
):
    done = program(
        "train.py",
        *OPTIONS,
        *("--mindrecord_dir", mindrecord, "--resume", at(unbroken, step)),
        *("--enable_data_sink", sink),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert f"resume: {at(unbroken, step)}, after step {step} (epoch {step / 8:.2f})" in done.stdout
    assert_same(at(tmp_path / "ckpt_0", STEPS), at(unbroken, STEPS))
    steps = [record["step"] for record in read_records(tmp_path / "ckpt_0" / "metrics.jsonl")]
    assert steps == list(range(step + 1, STEPS + 1))


def test_the_file_of_averages_holds_what_they_are_read_as(unbroken: Path):
    stored = checkpoints.read(at(unbroken, STEPS))
    calls = int(stored["training.ema.calls"].asnumpy())
    assert calls == STEPS // 2  # updates
    divisor = 1 - min(0.9, calls / (calls + 9)) ** calls
    averages = checkpoints.read(unbroken / "centernet_ema-3_20.ckpt")
    weights = [name for name, value in averages.items() if not isinstance(value, str)]
    assert {name for name in weights if name.endswith((".moving_mean", ".gamma"))}
    for name in weights:
        (found,) = (
            value for key, value in stored.items()
            if key.startswith("training.ema.ema_sum.") and key.endswith(f".{name}")
        )  # fmt: skip
        expected = found.asnumpy() / divisor
        np.testing.assert_allclose(averages[name].asnumpy(), expected, rtol=1e-6, err_msg=name)


def damage(path: Path, how: str) -> None:
    """Cuts a file in its middle, or turns a bit there."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    path.unlink()  # MindSpore writes checkpoints that may only be read
    if how == "cut":
        path.write_bytes(content[:middle])
    else:
        content[middle] ^= 4
        path.write_bytes(content)


def test_damaged_checkpoints_are_passed_over_and_times_of_files_do_not_matter(
    unbroken: Path, mindrecord: Path, program: Program, tmp_path: Path
):
    folder = tmp_path / "ckpt_0"
    folder.mkdir()
    for step in range(9, 15):
        shutil.copy2(at(unbroken, step), folder)
        os.utime(at(folder, step), (0, 10_000 - step))  # the clock ran backwards
    damage(at(folder, 14), "cut")
    damage(at(folder, 13), "bit")
    done = program("train.py", *OPTIONS, "--mindrecord_dir", mindrecord, "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("resume: ")]
    for line, step in zip(said, (14, 13), strict=False):
        assert line.startswith(f"resume: ckpt_0/centernet-2_{step}.ckpt: is not a MindSpore check")
        assert line.endswith("Trying the one before.")
    assert said[2] == "resume: ckpt_0/centernet-2_12.ckpt, after step 12 (epoch 1.50)"
    assert_same(at(folder, STEPS), at(unbroken, STEPS))
    # save_checkpoint_num is 1; what was damaged is out of the way.
    left = {path.name for path in folder.glob("*.ckpt")}
    assert left == {"centernet-3_20.ckpt", "centernet_ema-3_20.ckpt"}
    aside = tmp_path / "ckpt_0.1"
    assert {path.name for path in aside.iterdir()} == {at(aside, s).name for s in (13, 14)}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_step_writes_a_checkpoint_and_the_training_goes_on_from_it(
    unbroken: Path, mindrecord: Path, program: Program, tmp_path: Path, number: int, code: int
):
    training = Training(mindrecord, tmp_path)
    training.wait_for("step: 5,")
    training.process.send_signal(number)
    training.process.send_signal(number)  # a launcher and a terminal may both send it
    assert training.ended(60) == code
    said = training.line(f"training: stopped by {signal.Signals(number).name}")
    stopped = int(re.search(r" after step (\d+);", said)[1])
    assert (f" from process {os.getpid()} (" in said) == (number == signal.SIGINT)
    assert 5 <= stopped < STEPS
    assert "Traceback" not in training.text
    assert_same(at(tmp_path / "ckpt_0", stopped), at(unbroken, stopped))
    done = program("train.py", *OPTIONS, "--mindrecord_dir", mindrecord, "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same(at(tmp_path / "ckpt_0", STEPS), at(unbroken, STEPS))
    steps = [record["step"] for record in read_records(tmp_path / "ckpt_0" / "metrics.jsonl")]
    assert steps == list(range(1, STEPS + 1))
    done = program("train.py", *OPTIONS, "--mindrecord_dir", mindrecord, "--resume", cwd=tmp_path)
    assert done.returncode == 0 and f"all {STEPS} steps are done" in done.stdout


class Training:
    """train.py in a process of its own, whose output can be watched."""

    def __init__(self, mindrecord: Path, folder: Path, *options: object) -> None:
        command = [sys.executable, "-u", PROJECT / "train.py", *OPTIONS, *options]
        self.text = ""
        self.process = subprocess.Popen(
            list(map(str, [*command, "--mindrecord_dir", mindrecord])),
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.text += line

    def wait_for(self, what: str, seconds: float = 120) -> None:
        self._wait(lambda: what in self.text, seconds)

    def ended(self, seconds: float) -> int:
        """The exit code."""
        code = self.process.wait(seconds)
        self._reader.join(10)
        self.process.stdout.close()
        return code

    def line(self, start: str) -> str:
        return next(line for line in self.text.splitlines() if line.startswith(start))

    def kill_when(self, ready: Callable[[], bool]) -> None:
        """Kills it without warning as soon as something holds, or lets it end."""
        while not ready() and self.process.poll() is None:
            time.sleep(0.0005)
        self.process.kill()
        self.ended(60)

    def _wait(self, ready: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < deadline and self.process.poll() is None, self.text
            time.sleep(0.01)


@pytest.mark.slow
def test_a_training_killed_ten_times_ends_in_the_same_bits(
    unbroken: Path, mindrecord: Path, program: Program, tmp_path: Path
):
    folder = tmp_path / "ckpt_0"
    moments = random.Random(5)
    cut_short = 0
    went_on_after: set[int] = set()  # the record of a step comes behind its checkpoint
    for kill in range(10):
        training = Training(mindrecord, tmp_path, *EVERY_STEP, "--resume")
        if kill % 2:  # while a checkpoint is being written
            training.wait_for("training: 20 steps")
            training.kill_when(lambda: any(folder.glob(".partial-*/*.ckpt")))
        else:  # anywhere, from the imports on
            due = time.monotonic() + moments.uniform(1.0, 12.0)
            training.kill_when(lambda due=due: time.monotonic() > due)
        went_on_after |= {
            int(step) for step in re.findall(r"\.ckpt, after step (\d+)", training.text)
        }
        cut_short += any(folder.glob(".partial-*/*.ckpt"))
        if at(folder, STEPS).exists():  # got to the end: once more
            shutil.rmtree(folder)
    assert cut_short > 0
    done = program(
        "train.py", *OPTIONS, *EVERY_STEP, "--mindrecord_dir", mindrecord, "--resume", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    went_on_after |= {int(step) for step in re.findall(r"\.ckpt, after step (\d+)", done.stdout)}
    assert_same(at(folder, STEPS), at(unbroken, STEPS))
    assert not list(folder.glob(".partial-*"))  # what the kills left behind is gone
    steps = [record["step"] for record in read_records(folder / "metrics.jsonl")]
    assert steps == sorted(set(steps)) and set(steps) | went_on_after == set(range(1, STEPS + 1))


@pytest.fixture
def no_large_files() -> Iterator[None]:
    """Processes started meanwhile can write files of a megabyte, not of a checkpoint's four."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_keeps_the_checkpoint_before_and_the_training_goes_on(
    unbroken: Path, mindrecord: Path, program: Program, tmp_path: Path, no_large_files: None
):
    folder = tmp_path / "ckpt_0"
    folder.mkdir()
    before = at(folder, 8)
    before.symlink_to(at(unbroken, 8))
    options = ("--save_checkpoint_steps", 4, "--mindrecord_dir", mindrecord, "--resume")
    done = program("train.py", *OPTIONS, *options, cwd=tmp_path)
    assert "error: ckpt_0/centernet-2_12.ckpt: File too large; the training goes on" in done.stdout
    assert "step: 20," in done.stdout
    assert_refused(done, "ckpt_0/centernet-3_20.ckpt: File too large", "free space")
    assert list(folder.glob("*.ckpt")) == [before]
    assert not list(folder.glob(".partial-*"))


def test_an_evaluation_that_fails_ends_no_training_and_comes_after_the_checkpoint(
    mindrecord: Path, shapes: Path, tmp_path: Path
):
    data = Path(shutil.copytree(shapes, tmp_path / "data"))
    options = ("--train_steps", 16, "--save_checkpoint_steps", 8, "--eval_interval", 1)
    training = Training(mindrecord, tmp_path, *options, "--data_dir", data)
    training.wait_for("training: 16 steps")
    damaged = data / "val2017" / "000001000001.jpg"
    damaged.write_bytes(b"no image")
    assert training.ended(120) == 0, training.text
    lines = [
        line for line in training.text.splitlines() if re.match("error|checkpoint|epoch:", line)
    ]
    kinds = [line.split(":")[0] for line in lines if "step: " not in line or "step: 8," in line]
    # The checkpoint of a step and its averages, then its record, then what fails.
    assert kinds == [*["checkpoint"] * 2, "epoch", "error", *["checkpoint"] * 2, "error"]
    for step, line in zip((8, 16), (line for line in lines if line[:5] == "error"), strict=True):
        assert line.startswith(f"error: evaluation after step {step}: {damaged}: ")
        assert line.endswith("; the training goes on")


def test_records_that_cannot_be_written_do_not_end_a_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "metrics.jsonl"
    record = MetricsFile(path, first_step=0)
    record({"step": 1})
    kept = path.rename(tmp_path / "kept")
    path.symlink_to("/dev/full")
    record({"step": 2})
    record({"step": 3})
    assert capsys.readouterr().out.count("No space left on device") == 1
    path.unlink()
    kept.rename(path)
    record({"step": 4})
    assert [entry["step"] for entry in read_records(path)] == [1, 4]


def test_another_batch_size_is_told_and_goes_on_at_the_same_part_of_an_epoch(
    unbroken: Path, mindrecord: Path, program: Program, tmp_path: Path
):
    done = program(
        "train.py",
        *OPTIONS,
        *("--train_config.batch_size", 8, "--train_steps", 8, "--mindrecord_dir", mindrecord),
        *("--resume", unbroken, "--seed", 7),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    # 20 of 8 an epoch are 10 of 4: more than 8.
    assert "all 8 steps are done" in done.stdout
    done = program(
        "train.py",
        *OPTIONS,
        *("--train_config.batch_size", 8, "--train_steps", 8, "--mindrecord_dir", mindrecord),
        *("--resume", at(unbroken, 11), "--train_config.ema_decay", 0.8),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert (
        "resume: 1 x 4 images a step there, 1 x 8 here: goes on after step 6 of 4 an epoch, with "
        "the images in another order"
    ) in done.stdout
    assert "train_config.batch_size 4 -> 8, train_config.ema_decay 0.9 -> 0.8" in done.stdout
    assert "step: 7," in done.stdout and "step: 6," not in done.stdout
    state = checkpoints.read(tmp_path / "ckpt_0" / "centernet-2_8.ckpt")
    assert state["training.optimizer.global_step"].asnumpy().item() == 4  # 3 and one of two batches


@pytest.mark.parametrize(
    ("devices", "batch_size", "steps_per_epoch", "unit", "step", "expected"),
    [
        (8, 32, 458, 1, 1000, 1000),  # the same
        (4, 32, 916, 1, 916, 1832),  # COCO, two epochs of 458 steps, on half of the devices
        (1, 32, 3664, 8, 229, 1832),  # half an epoch, with 8 batches an update
        (1, 32, 3664, 8, 1, 8),
        (16, 32, 229, 1, 3, 2),  # 1.5 steps
    ],
)
def test_other_devices_go_on_at_the_same_part_of_an_epoch(
    devices: int, batch_size: int, steps_per_epoch: int, unit: int, step: int, expected: int
):
    stopped = Progress(step, 458, 32, 8, 1)
    changes = ("--train_config.batch_size", str(batch_size))
    changes += ("--train_config.accumulate_steps", str(unit))
    now = resume.start(stopped, config(*changes), steps_per_epoch, devices)
    assert now == Progress(expected, steps_per_epoch, batch_size, devices, unit)


def test_there_may_be_nothing_to_go_on_with(
    unbroken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert resume.find("", unbroken) is None
    assert resume.find("newest", tmp_path / "none") is None
    assert capsys.readouterr().out == (
        f"resume: no checkpoint in {tmp_path / 'none'}; this training starts anew\n"
    )
    with pytest.raises(UserError, match="no intact checkpoint of a training; check --resume"):
        resume.find(str(tmp_path), unbroken)
    with pytest.raises(UserError, match="holds weights but no training"):
        resume.find(str(unbroken / "centernet_ema-2_12.ckpt"), unbroken)
    for where, folder in (("newest", unbroken), (unbroken, tmp_path), (unbroken.parent, tmp_path)):
        assert resume.find(str(where), folder).path == at(unbroken, STEPS)
    assert resume.find(str(at(unbroken, 3)), tmp_path).progress == Progress(3, 8, 4, 1, 2)


def test_a_checkpoint_cut_where_an_entry_ends_is_not_taken_for_a_training(
    unbroken: Path, tmp_path: Path
):
    path = tmp_path / "centernet-1_3.ckpt"
    content = at(unbroken, 3).read_bytes()
    path.write_bytes(content[: content.rindex(resume.PROGRESS.encode()) - 8])
    with pytest.raises(UserError):
        resume.find(str(path), tmp_path)


@pytest.mark.parametrize(
    "fact",
    [
        "step 7",
        "[]",
        '{"step": 7, "config": {}}',
        '{"step": 7, "steps_per_epoch": 0, "batch_size": 4, "rank_size": 1, "accumulate_steps": 1, '
        '"config": {}}',
        '{"step": 7, "steps_per_epoch": 8, "batch_size": 4, "rank_size": 1, "accumulate_steps": 1, '
        '"config": 1}',
    ],
)
def test_a_checkpoint_of_another_version_is_refused_in_one_sentence(fact: str, tmp_path: Path):
    weights = [("w", ms.Parameter(np.zeros(2, np.float32)))]
    checkpoints.save(weights, tmp_path / "centernet-1_7.ckpt", {resume.PROGRESS: fact})
    with pytest.raises(UserError, match=r"1_7.ckpt: another version .* --load_checkpoint_path\.$"):
        resume.find(str(tmp_path / "centernet-1_7.ckpt"), tmp_path)


ANEW = Progress(0, 8, 4, 1, 2)


def going_on(path: Path, stopped: Progress, at: Progress) -> Beginning:
    return Beginning(at, stopped, Stopped(path, stopped, {}, {}))


def test_a_training_that_starts_anew_puts_the_earlier_one_aside(tmp_path: Path):
    folder = tmp_path / "ckpt_0"
    for number in (1, 2):
        folder.mkdir()
        (folder / "centernet-1_3.ckpt").write_text(f"{number}")
        (folder / "metrics.jsonl").touch()
        resume.set_aside(folder, Beginning(ANEW))
        assert not list(folder.iterdir())
        folder.rmdir()
        moved = tmp_path / f"ckpt_0.{number}"
        assert (moved / "centernet-1_3.ckpt").read_text() == f"{number}"
        assert (moved / "metrics.jsonl").exists()
    resume.set_aside(folder, Beginning(ANEW))
    assert len(list(tmp_path.iterdir())) == 2


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A folder with the checkpoints of three steps, their averages, the best one and records."""
    folder = tmp_path / "ckpt_0"
    folder.mkdir()
    for step in (3, 11, 14):
        at(folder, step).write_text(f"{step}")
        (folder / f"centernet_ema-{-(-step // 8)}_{step}.ckpt").touch()
    (folder / "best.ckpt").touch()
    (folder / "metrics.jsonl").touch()
    return folder


def test_a_training_that_goes_on_puts_later_steps_aside_with_their_averages(filled: Path):
    stopped = Progress(11, 8, 4, 1, 2)
    resume.set_aside(filled, going_on(at(filled, 11), stopped, stopped))
    assert names(filled.with_name("ckpt_0.1")) == [
        "centernet-2_14.ckpt", "centernet_ema-2_14.ckpt",
    ]  # fmt: skip
    assert at(filled, 11).exists() and at(filled, 3).exists() and (filled / "best.ckpt").exists()


def test_what_a_training_goes_on_from_stays_the_newest_when_steps_count_in_another_way(
    filled: Path,
):
    stopped, now = Progress(11, 8, 4, 1, 2), Progress(6, 4, 8, 1, 2)
    resume.set_aside(filled, going_on(at(filled, 11), stopped, now))
    assert names(filled) == [
        "best.ckpt", "centernet-2_6.ckpt", "centernet_ema-2_6.ckpt", "metrics.jsonl",
    ]  # fmt: skip
    assert (filled / "centernet-2_6.ckpt").read_text() == "11"
    assert at(filled.with_name("ckpt_0.1"), 14).exists()
    # It goes when the first one of this training is whole, and not before.
    keeper = CheckpointKeeper(
        {"centernet": refuse, "centernet_ema": refuse}, filled, Plan(4, 9, 1, 1), 1, 1
    )
    keeper.on_train_begin(step_context(6))
    keeper.on_train_step_end(step_context(7))
    assert (filled / "centernet-2_6.ckpt").read_text() == "11"
    keeper._writers = dict.fromkeys(keeper._writers, lambda path, step: path.touch())
    keeper.on_train_step_end(step_context(8))
    assert [path.name for path in resume.numbered(filled)] == ["centernet-2_8.ckpt"]


def refuse(path: Path, step: int) -> None:
    raise OSError(28, "No space left on device", str(path))


def test_a_training_of_another_folder_leaves_the_files_here_whole(filled: Path, tmp_path: Path):
    before = names(filled)
    stopped = Progress(20, 8, 4, 1, 2)
    resume.set_aside(filled, going_on(tmp_path / "other" / "x.ckpt", stopped, stopped))
    assert names(filled) == []
    assert names(filled.with_name("ckpt_0.1")) == before


def test_the_checkpoint_just_written_stays_beside_those_of_later_steps(tmp_path: Path):
    for step in (3, 14):
        at(tmp_path, step).touch()
    keeper = CheckpointKeeper(
        {"centernet": lambda path, step: path.touch()}, tmp_path, Plan(8, 20, 1, 1), 3, 1
    )
    keeper.on_train_begin(step_context(3))
    keeper.on_train_step_end(step_context(6))
    assert names(tmp_path) == ["centernet-1_6.ckpt", "centernet-2_14.ckpt"]


def test_the_last_checkpoint_that_is_not_written_is_an_error_when_all_else_is_done(tmp_path: Path):
    keeper = CheckpointKeeper({"centernet": refuse}, tmp_path, Plan(8, 6, 1, 1), 3, 1)
    for step in range(1, 7):
        keeper.on_train_step_end(step_context(step))
    with pytest.raises(OSError, match="No space left on device"):
        EndTogether(keeper, Device("CPU", 0, 1)).on_train_end(step_context(6))


def test_the_newest_checkpoints_are_kept_those_of_an_earlier_run_among_them(tmp_path: Path):
    for step in (3, 6):
        at(tmp_path, step).touch()
    (tmp_path / "best.ckpt").touch()
    written = []

    def write(path: Path, step: int) -> None:
        if step == 12:
            raise OSError(28, "No space left on device", str(path))
        path.touch()
        written.append(step)

    keeper = CheckpointKeeper(
        {"centernet": write, "centernet_ema": write}, tmp_path, Plan(8, 20, 1, 1), 3, 2
    )
    keeper.on_train_begin(step_context(6))
    for step in range(7, 21):
        keeper.on_train_step_end(step_context(step))
    assert written == [9, 9, 15, 15, 18, 18, 20, 20]
    assert names(tmp_path) == [
        "best.ckpt",
        *("centernet-3_18.ckpt", "centernet-3_20.ckpt"),
        *("centernet_ema-3_18.ckpt", "centernet_ema-3_20.ckpt"),
    ]


def test_with_several_devices_checkpoints_wait_for_the_end_of_an_update(tmp_path: Path):
    written = []
    keeper = CheckpointKeeper(
        {"centernet": lambda path, step: written.append(step)},
        tmp_path,
        Plan(8, 11, 1, 1),
        3,
        2,
        unit=4,
    )
    keeper.on_train_begin(step_context(0))
    for step in range(1, 12):
        keeper.on_train_step_end(step_context(step))
    assert written == [4, 8, 11]


def step_context(step: int) -> SimpleNamespace:
    """MindSpore's RunContext after a step."""
    return SimpleNamespace(original_args=lambda: SimpleNamespace(cur_step_num=step))


# --- fine-tuning -------------------------------------------------------------------------------


def small_network(classes: int, **changes: object) -> ms.nn.Cell:
    return create_network(changed(config("--config_path", str(QUICKSTART)), classes, **changes))


def test_fine_tuning_takes_what_fits_and_lists_what_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "other.ckpt"
    ms.set_seed(1)
    other = dict(small_network(7).parameters_and_names())
    del other["heads.reg.0.bias"]
    other["neck.unknown.weight"] = other["heads.wh.2.bias"]
    other["training.scale"] = other["heads.wh.2.bias"]
    checkpoints.save(other.items(), path)
    ms.set_seed(2)
    network = small_network(5)
    before = {name: p.asnumpy().copy() for name, p in network.parameters_and_names()}
    checkpoints.fill_for_fine_tuning(network, checkpoints.read(path), path)
    anew = {"heads.hm.2.weight", "heads.hm.2.bias", "heads.reg.0.bias"}
    for name, parameter in network.parameters_and_names():
        expected = before[name] if name in anew else other[name].asnumpy()
        np.testing.assert_array_equal(parameter.asnumpy(), expected, err_msg=name)
    assert capsys.readouterr().out == (
        f"fine-tuning: {len(before) - 3} of {len(before)} parameters are from {path}\n"
        "  of another number of classes, trained anew: heads.hm.2.weight, heads.hm.2.bias\n"
        "  missing there, trained anew: heads.reg.0.bias\n"
        "  only there, ignored: features.neck.unknown.weight\n"
    )


def test_fine_tuning_refuses_another_network_and_one_of_which_nothing_is_here(tmp_path: Path):
    path = tmp_path / "other.ckpt"
    checkpoints.save(small_network(5, head_conv=64).parameters_and_names(), path)
    with pytest.raises(UserError, match="another model, 3 parameters do not fit"):
        checkpoints.fill_for_fine_tuning(small_network(5), checkpoints.read(path), path)
    checkpoints.save([("w", ms.Parameter(ms.Tensor([1.0])))], path)
    with pytest.raises(UserError, match="is missing"):
        checkpoints.fill_for_fine_tuning(small_network(5), checkpoints.read(path), path)


def test_a_damaged_image_ends_a_training_in_one_sentence_and_leaves_its_checkpoints(
    mindrecord: Path, program: Program, tmp_path: Path
):
    damaged = tmp_path / "mindrecord"
    shutil.copytree(mindrecord, damaged)
    shard = damaged / "coco_det.train.mind0"
    content = bytearray(shard.read_bytes())
    start = content.rindex(b"\xff\xd8\xff")  # of a JPEG file
    content[start : start + 3] = bytes(3)
    shard.write_bytes(content)
    write_sums_again(damaged)  # as if it had been so when it was converted
    done = program("train.py", *OPTIONS, *EVERY_STEP, "--mindrecord_dir", damaged, cwd=tmp_path)
    assert_refused(done, "does not decode", "convert again")


# --- several devices ---------------------------------------------------------------------------


# Each process in a folder of its own, as the launchers start them: the second sees no checkpoint.
PROCESS = f"""
import os, runpy, sys
os.makedirs(os.environ["RANK_ID"], exist_ok=True)
os.chdir(os.environ["RANK_ID"])
sys.argv[0] = {str(PROJECT / "train.py")!r}
sys.path[0] = {str(PROJECT)!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class TwoProcesses(Training):
    """train.py in two processes by msrun; the output is the first one's."""

    def __init__(self, mindrecord: Path, folder: Path, *options: object) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        bin_dir = Path(sys.executable).parent
        self._logs = folder / "logs"
        shutil.rmtree(self._logs, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        (folder / "process.py").write_text(PROCESS)
        command = [
            *(bin_dir / "msrun", "--worker_num=2", "--local_worker_num=2", "--join=True"),
            *("--master_addr=127.0.0.1", f"--master_port={port}", f"--log_dir={self._logs}"),
            *(folder / "process.py", *OPTIONS, "--mindrecord_dir", mindrecord, "--train_steps", 40),
            *options,
        ]
        self.process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            env={**os.environ, "PATH": f"{bin_dir}:{os.environ['PATH']}"},  # msrun starts `python`
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    @property
    def text(self) -> str:
        log = self._logs / "worker_0.log"
        return log.read_text() if log.exists() else ""

    def process_of(self, rank: int) -> psutil.Process:
        wanted = {"RANK_ID": str(rank), "MS_ROLE": "MS_WORKER"}
        (found,) = (
            process
            for process in psutil.Process(self.process.pid).children(recursive=True)
            if wanted.items() <= process.environ().items()
            and "process.py" in "".join(process.cmdline())
        )
        return found

    def ended(self, seconds: float) -> int:
        return self.process.wait(seconds)


@pytest.mark.slow
def test_a_signal_to_one_of_two_processes_stops_both_after_the_same_update_and_they_go_on(
    mindrecord: Path, tmp_path: Path
):
    alone = TwoProcesses(mindrecord, tmp_path / "alone", *EVERY_STEP)
    assert alone.ended(300) == 0, alone.text
    folder = tmp_path / "stopped"
    training = TwoProcesses(mindrecord, folder, "--save_checkpoint_steps", 100)
    training.wait_for("step: 1,", 300)
    second = training.process_of(1)
    training.wait_for("step: 3,", 300)
    second.send_signal(signal.SIGTERM)
    training.ended(120)
    (last,) = resume.numbered(folder / "0" / "ckpt_0")
    stopped = resume.step_of(last)
    assert stopped < 40 and stopped % 2 == 0  # the end of an update
    for rank in (0, 1):
        log = (folder / "logs" / f"worker_{rank}.log").read_text()
        assert f"training: stopped by SIGTERM after step {stopped};" in log
    training = TwoProcesses(mindrecord, folder, "--resume", "--save_checkpoint_num", 2)
    assert training.ended(300) == 0, training.text
    assert f"after step {stopped} (epoch {stopped / 4:.2f})" in training.text
    assert_same(
        folder / "0" / "ckpt_0" / last.name, tmp_path / "alone" / "0" / "ckpt_0" / last.name
    )
    name = "centernet-10_40.ckpt"
    assert_same(folder / "0" / "ckpt_0" / name, tmp_path / "alone" / "0" / "ckpt_0" / name)


@pytest.mark.slow
def test_a_process_that_waits_for_one_that_hangs_ends_after_sigterm(
    mindrecord: Path, tmp_path: Path
):
    training = TwoProcesses(mindrecord, tmp_path, *EVERY_STEP)
    training.wait_for("step: 3,", 300)
    first, second = training.process_of(0), training.process_of(1)
    second.suspend()
    try:
        first.send_signal(signal.SIGTERM)
        first.wait(90)
    finally:
        second.resume()
        training.process.terminate()
        training.ended(60)
    assert re.search(r"no step ended in \d+ s: another process is gone or hangs", training.text)
    assert resume.numbered(tmp_path / "0" / "ckpt_0")
