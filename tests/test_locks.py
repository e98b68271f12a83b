# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""A folder is written by one process at a time, and a training's by one training."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src.model_utils.device_adapter import Device
from src.model_utils.errors import UserError
from src.model_utils.locks import held
from src.training import resume
from tests.conftest import PROJECT, QUICKSTART, Program, assert_refused
from tests.helpers import config

HOLD = """
import pathlib, sys, time
from src.model_utils.locks import held
with held(pathlib.Path(sys.argv[1]), "training", "wait"):
    print("held", flush=True)
    time.sleep(600)
"""


class Holder:
    """Another process that holds a place."""

    def __init__(self, place: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(place)],
            cwd=PROJECT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout.readline() == "held\n"

    def end(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        self.process.communicate()


def test_the_second_is_told_whose_the_folder_is_and_takes_it_over_from_a_dead_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    place = tmp_path / "below" / "ckpt_0"
    before = time.time()
    holder = Holder(place)
    with pytest.raises(UserError) as refused, held(place, "training", "choose another"):
        pass
    owner = json.loads((tmp_path / "below" / ".ckpt_0.lock").read_text())
    assert before - 1 <= owner["since"] <= time.time()
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(owner["since"]))
    whose = f"(process {holder.process.pid} on {socket.gethostname()}, since {since})"
    assert str(refused.value) == (f"{place}: another training writes here {whose}; choose another.")
    holder.end()
    with held(place, "training", "choose another"):
        assert (
            capsys.readouterr().out == f"{place}: a training that was killed {whose} wrote here\n"
        )
        assert (
            json.loads((tmp_path / "below" / ".ckpt_0.lock").read_text())["process"] == os.getpid()
        )
    assert list(place.parent.iterdir()) == []
    with held(place, "training", "choose another"):
        assert capsys.readouterr().out == ""


def test_a_lock_on_a_file_that_its_owner_has_removed_is_none(tmp_path: Path, monkeypatch):
    lock = tmp_path / ".ckpt_0.lock"
    opened, real = [], os.open

    def open_late(*arguments: object) -> int:
        descriptor = real(*arguments)
        if not opened:
            lock.unlink()  # the owner goes between the opening and the locking
        opened.append(descriptor)
        return descriptor

    monkeypatch.setattr(os, "open", open_late)
    with held(tmp_path / "ckpt_0", "training", "wait"):
        assert len(opened) == 2
        assert os.path.samestat(lock.stat(), os.fstat(opened[1]))


@pytest.mark.parametrize(
    ("host", "process", "is_free"),
    [
        (None, None, True),
        ("here", "dead", True),
        ("here", "alive", False),
        ("there", "dead", False),
    ],
)
def test_without_locks_of_the_file_system_the_file_says_whose_it_is(
    host: str | None, process: str, is_free: bool, tmp_path: Path, monkeypatch
):
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    dead = subprocess.Popen(["true"])
    dead.wait()
    lock = tmp_path / ".ckpt_0.lock"
    if host:
        owner = {
            "process": dead.pid if process == "dead" else os.getpid(),
            "host": socket.gethostname() if host == "here" else "another-host", "since": 0.0,
        }  # fmt: skip
        lock.write_text(json.dumps(owner))
    if is_free:
        with held(tmp_path / "ckpt_0", "training", "wait"):
            assert lock.exists()
        assert not lock.exists()
    else:
        with (
            pytest.raises(UserError, match=rf"; wait; if that process is gone, remove {lock}\.$"),
            held(tmp_path / "ckpt_0", "training", "wait"),
        ):
            pass


def test_a_second_training_in_a_folder_is_refused_and_touches_nothing(
    mindrecord: Path, program: Program, tmp_path: Path
):
    folder = tmp_path / "ckpt_0"
    folder.mkdir()
    for name in ("centernet-1_2.ckpt", "metrics.jsonl", ".partial-x"):
        (folder / name).write_text("of the first")
    holder = Holder(folder)
    options = (
        "--config_path",
        QUICKSTART,
        "--device_target",
        "CPU",
        "--mindrecord_dir",
        mindrecord,
    )
    for more in (
        (),
        ("--resume",),
        ("--enable_save_ckpt", "false", "--enable_tensorboard", "true"),
    ):
        done = program("train.py", *options, *more, cwd=tmp_path)
        assert_refused(
            done, "ckpt_0: another training writes here", f"process {holder.process.pid}"
        )
        assert "--save_checkpoint_path" in done.stderr
    holder.end()
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(
        ("centernet-1_2.ckpt", "metrics.jsonl", ".partial-x"), "of the first"
    )
    assert not (tmp_path / "ckpt_0.1").exists()


def test_processes_of_one_training_and_those_that_write_nothing_share_a_folder(tmp_path: Path):
    settings = config("--save_checkpoint_path", str(tmp_path))
    silent = config("--save_checkpoint_path", str(tmp_path), "--enable_save_ckpt", "false")
    with resume.own_folder(settings, Device("CPU", 0, 2)):
        with resume.own_folder(settings, Device("CPU", 1, 2)):
            pass
        with resume.own_folder(silent, Device("CPU", 0, 1)):
            pass
        with pytest.raises(UserError), resume.own_folder(settings, Device("CPU", 0, 1)):
            pass
