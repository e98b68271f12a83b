# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Ctrl-C and SIGTERM end a program within seconds, wherever it is."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import PROJECT, QUICKSTART

CPU = ("--config_path", QUICKSTART, "--device_target", "CPU")
# As a compilation: Python's handler has to wait.
IN_C = (
    "lock, room = ctypes.CDLL(None).pthread_mutex_lock, ctypes.create_string_buffer(64); "
    "lock(room); lock(room)"
)

# A thread that a library has started at its import, which does not block SIGINT.
EARLIER_THREAD = """
import threading, time
threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
"""

# What a main function does when SIGINT comes, what it leaves, and the seconds that it may take.
PLACES = {
    "in Python": ("while True: pass", ["cleaned up"], 3),
    "in C": (IN_C, [], 6),
    "writing a file in C": (
        f"stack.enter_context(whole_file(pathlib.Path('a.json'))).touch(); {IN_C}", [], 6,
    ),
    "waiting for a child, which holds its output": (
        f"subprocess.Popen(['sleep', '100']); {IN_C}", [], 6,
    ),
    "importing MindSpore": ("import mindspore", [], 3),
    "in a library that makes another error of it": ("library()", ["cleaned up"], 3),
}  # fmt: skip
PROGRAM = """
import contextlib, ctypes, pathlib, subprocess, sys
sys.path[:0] = [".", {project!r}]
from src.model_utils.errors import run_program
from src.model_utils.files import whole_file

def library():
    try:
        while True: pass
    except KeyboardInterrupt as error:
        raise RuntimeError("graph could not be compiled") from error

def main():
    print("begun", flush=True)
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: pathlib.Path("cleaned up").touch())
        {work}

run_program(main)
"""


def start(folder: Path, *command: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-u", *map(str, command)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("earlier", ["", EARLIER_THREAD], ids=["one thread", "two threads"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("place", PLACES)
def test_a_program_ends_within_seconds_wherever_it_is(
    place: str, number: signal.Signals, earlier: str, tmp_path: Path
):
    work, left, seconds = PLACES[place]
    (tmp_path / "mindspore").mkdir()
    (tmp_path / "mindspore" / "__init__.py").write_text("while True: pass")
    program = start(tmp_path, "-c", earlier + PROGRAM.format(project=str(PROJECT), work=work))
    assert program.stdout.readline() == "begun\n"
    time.sleep(0.5)
    sent = time.monotonic()
    program.send_signal(number)
    out, errors = program.communicate(timeout=60)
    assert time.monotonic() - sent < seconds + 10  # of a machine that has other work
    assert (program.returncode, out) == (128 + number, "")
    # Which thread got it decides whether its sender is known; with one, it always is.
    sender = rf"( from process {os.getpid()} \(.+\)){'?' if earlier else ''}"
    if number == signal.SIGTERM:
        sender = ""
    assert re.fullmatch(f"stopped by {number.name}{sender}\n", errors)
    assert [path.name for path in tmp_path.iterdir() if path.name != "mindspore"] == left


def test_a_second_interrupt_ends_a_program_at_once(tmp_path: Path):
    program = start(tmp_path, "-c", PROGRAM.format(project=str(PROJECT), work=IN_C))
    assert program.stdout.readline() == "begun\n"
    program.send_signal(signal.SIGINT)
    time.sleep(0.5)
    sent = time.monotonic()
    program.send_signal(signal.SIGINT)
    assert program.wait(60) == 130
    assert time.monotonic() - sent < 2.5
    program.communicate()


def test_a_program_that_is_stopped_and_goes_on_is_not_interrupted(tmp_path: Path):
    work = "import time; time.sleep(2.5)"
    program = start(tmp_path, "-c", PROGRAM.format(project=str(PROJECT), work=work))
    assert program.stdout.readline() == "begun\n"
    for _ in range(4):
        program.send_signal(signal.SIGSTOP)
        time.sleep(0.25)
        program.send_signal(signal.SIGCONT)
        time.sleep(0.25)
    _, errors = program.communicate(timeout=60)
    assert (program.returncode, errors) == (0, "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_that_compiles_ends_without_a_step(
    number: signal.Signals, code: int, mindrecord: Path, tmp_path: Path
):
    deep = ("--net_config.block_class", "[24, 24, 24]")  # compiles for longer than is waited
    options = (*CPU, *deep, "--mindrecord_dir", mindrecord, "--data_sink_steps", 1)
    training = start(tmp_path, PROJECT / "train.py", *options)
    said = ""
    while "compiling the training step" not in said:
        said = training.stdout.readline()
        assert said
    training.send_signal(number)
    out, errors = training.communicate(timeout=120)
    assert training.returncode == code, errors
    assert "step: 1," not in out
    assert ("stopped by SIGINT" in errors) == (number == signal.SIGINT)
    assert ("SIGTERM, before the first step has ended" in out) == (number == signal.SIGTERM)
    assert not list(tmp_path.rglob("*.ckpt"))
