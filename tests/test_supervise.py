# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The supervisor that all launchers share, with lines of bash as its children."""

import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT

SUPERVISE = [sys.executable, str(PROJECT / "scripts" / "supervise.py")]
RANKS = 3
# Works until it is stopped, and needs what it has started for its last step.
WORKS = """
echo rank {rank} works
sleep 600 & helper=$!
trap 'sleep 0.3; kill $helper && touch checkpoint_{rank}; exit 143' TERM
echo $$ > rank_{rank}
while :; do sleep 0.05; done
"""
HANGS = WORKS.replace("exit 143", "sleep 600 & wait")
STUBBORN = WORKS.replace("trap '", "trap '' TERM; : '")
ENDS = "echo rank {rank} works; echo $$ > rank_{rank}"
# When the others work.
FAILS = "echo waits; until [[ $(ls rank_* | wc -l) == 2 ]]; do :; done; echo no patience; exit 1"


def running(mark: str) -> dict[int, str]:
    """Processes that have MARK=mark in their environment: their command lines."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            command = (process / "cmdline").read_bytes()  # of one that has ended it is empty
        except OSError:
            continue
        if command and f"MARK={mark}".encode() in variables:
            found[int(process.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found


def wait_until(condition: Callable[[], object], seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return bool(condition())


class Run:
    """The supervisor in a folder; what it starts, and what that starts, is known by a variable."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._mark = folder, uuid.uuid4().hex

    def start(self, *options: str, **environment: str) -> "subprocess.Popen[str]":
        said = (self._folder / "said").open("w")  # no pipe, which what is left would hold open
        settings = {**os.environ, "MARK": self._mark, **environment}
        command = [*SUPERVISE, *options]
        return subprocess.Popen(command, cwd=self._folder, env=settings, stdout=said, stderr=said)

    def to_end(self, *options: str, **environment: str) -> int:
        return self.start(*options, **environment).wait(60)

    def program(self, command: str, *options: str) -> list[str]:
        return [*options, "--log", "log.txt", "--child", "program", "log.txt", command]

    def ranks(self, *lines: str) -> list[str]:
        """Each of the lines is a rank, with its log in NUMBER.log; the log of all is all.log."""
        words = ["--log", "all.log", "--lock", ".lock"]
        for rank, line in enumerate(lines):
            own = f"exec > {rank}.log 2>&1; {line.replace('{rank}', str(rank))}"
            words += ["--child", f"rank {rank}", f"{rank}.log", own]
        return words

    def start_ranks(self, line: str, **environment: str) -> "subprocess.Popen[str]":
        """In the foreground, until they work."""
        process = self.start(*self.ranks(*RANKS * [line]), **environment)
        assert self.all_work()
        return process

    def all_work(self) -> bool:
        return wait_until(lambda: all(self.log(f"rank_{rank}") for rank in range(RANKS)))

    def process(self, rank: int) -> int:
        return int(self.log(f"rank_{rank}"))

    def log(self, name: str) -> str:
        path = self._folder / name
        return path.read_text() if path.exists() else ""

    @property
    def said(self) -> str:
        return self.log("said")

    @property
    def checkpoints(self) -> list[str]:
        return sorted(path.name for path in self._folder.glob("checkpoint_*"))

    def left(self) -> dict[int, str]:
        return running(self._mark)


ALL_CHECKPOINTS = [f"checkpoint_{rank}" for rank in range(RANKS)]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path)
    yield run
    for process in run.left():
        os.kill(process, signal.SIGKILL)


# A program.


def test_a_program_is_heard_in_its_log_and_on_the_terminal_and_has_its_exit_code(run: Run):
    code = run.to_end(*run.program("echo works; echo fails >&2; exit 3"))
    owner, *heard = run.log("log.txt").splitlines()
    assert re.fullmatch(r"process \d+ of .*: echo works; .*", owner)
    assert (code, heard) == (3, ["works", "fails"])
    said = ["works", "fails", "failed with exit code 3; log: log.txt"]
    assert sorted(run.said.splitlines()) == sorted(said)
    assert run.to_end(*run.program("exec true")) == 0


def test_in_the_background_a_program_is_named_and_gets_the_signals(run: Run):
    command = run.program("trap 'echo stops; exit 5' INT; while :; do sleep 0.05; done")
    assert run.to_end("--background", *command) == 0
    found = re.match(r"log: (.*/log.txt)\nprocess: (\d+)\nto stop it: kill (\d+)\n", run.said)
    assert Path(found[1]).read_text().startswith(f"process {found[2]} of ")
    assert wait_until(lambda: len(run.left()) == 3)  # it, bash, and sleep
    os.kill(int(found[2]), signal.SIGINT)
    assert wait_until(lambda: not run.left())
    assert "stops" in run.log("log.txt")


@pytest.mark.parametrize("background", [(), ("--background",)], ids=["foreground", "background"])
def test_a_log_that_cannot_be_written_starts_nothing(background: tuple, run: Run, tmp_path: Path):
    (tmp_path / "log.txt").mkdir()  # root may write anywhere but here
    assert run.to_end(*run.program("touch started", *background)) == 2
    assert re.match(f"error: {tmp_path}/log.txt: cannot be written .*so nothing is star", run.said)
    assert "process:" not in run.said
    assert not (tmp_path / "started").exists()


def test_a_supervisor_that_is_stopped_and_goes_on_stops_nothing(run: Run):
    supervisor = run.start(*run.ranks("sleep 2", "sleep 2"))
    for _ in range(3):
        time.sleep(0.3)
        supervisor.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        supervisor.send_signal(signal.SIGCONT)
    assert supervisor.wait(60) == 0


def test_a_log_on_a_disk_that_becomes_full_ends_in_an_error_and_not_the_program(
    run: Run, tmp_path: Path
):
    program = "until [[ -e full ]]; do sleep 0.05; done; yes | head -c 9000; touch ended"
    command = [*SUPERVISE, *run.program(program)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=-1, text=True)
    assert wait_until(lambda: (tmp_path / "log.txt").exists())
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4000, 4000))
    (tmp_path / "full").touch()
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, len(out), errors) == (2, 9000, "error: log.txt: File too large\n")
    assert (tmp_path / "ended").exists()


def test_a_log_has_one_run_at_a_time(run: Run, tmp_path: Path):
    first = run.start(*run.program("echo of the first; exec sleep 60"))
    assert wait_until(lambda: "\nof the first" in run.log("log.txt"))
    before = run.log("log.txt")
    for background in ([], ["--background"]):
        assert run.to_end(*background, *run.program("exec true")) == 2
        owner = f"is written by another run (process {first.pid} of "
        assert f"error: {tmp_path}/log.txt: {owner}" in run.said
    assert run.log("log.txt") == before
    first.kill()  # which ends what it has started
    assert wait_until(lambda: not run.left())
    assert run.to_end(*run.program("echo of the second")) == 0
    assert "\nof the first" not in run.log("log.txt")


# Ranks.


def test_ranks_that_end_well_end_it_well(run: Run):
    assert run.to_end(*run.ranks(*3 * [ENDS])) == 0
    assert run.log("2.log") == "rank 2 works\n"
    assert not run.left()


def test_the_first_rank_that_fails_is_named_and_ends_the_others(run: Run):
    assert run.to_end(*run.ranks(WORKS, FAILS, WORKS)) == 1
    end = "ended with exit code 1; its log 1.log ends:\nwaits\nno patience\n"
    assert re.search(rf"error: rank 1 \(process \d+\) {end}", run.said)
    assert run.said.count("error: ") == 1
    assert "exit codes: rank 0 143, rank 1 1, rank 2 143\n" in run.said
    assert not run.left()


def test_a_rank_that_is_killed_is_named_and_the_others_have_ten_seconds(run: Run):
    process = run.start_ranks(STUBBORN)
    since = time.monotonic()
    os.kill(run.process(2), signal.SIGKILL)
    assert process.wait(60) == 137
    assert 10 <= time.monotonic() - since < 30
    said = f"error: rank 2 (process {run.process(2)}) ended with exit code 137 (SIGKILL)"
    assert f"{said}; its log 2.log ends:\nrank 2 works\n" in run.said
    reason = "as rank 2 has ended with exit code 137; --resume goes on from the last checkpoint"
    assert run.log("0.log") == f"rank 0 works\nerror: killed by the launcher, {reason}\n"
    assert not run.left()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_the_ranks_finish_their_step(sent: signal.Signals, run: Run):
    process = run.start_ranks(WORKS)
    process.send_signal(sent)
    assert process.wait(60) == 128 + sent
    assert "stopping 3 rank(s) of this server, by force in 120 seconds\n" in run.said
    assert "error: " not in run.said
    assert run.checkpoints == ALL_CHECKPOINTS
    assert not run.left()


def test_in_the_background_a_signal_lets_the_ranks_finish_their_step(run: Run, tmp_path: Path):
    assert run.to_end("--background", *run.ranks(*3 * [WORKS])) == 0
    logs = ", ".join(f"{tmp_path}/{name}.log" for name in ("all", 0, 1, 2))
    found = re.match(rf"log: {logs}\nprocess: (\d+)\n", run.said)
    assert run.all_work()
    os.kill(int(found[1]), signal.SIGTERM)
    assert wait_until(lambda: not run.left())
    assert run.checkpoints == ALL_CHECKPOINTS
    assert "exit codes: rank 0 143, rank 1 143, rank 2 143\n" in run.log("all.log")


def test_a_rank_that_does_not_stop_is_killed(run: Run):
    process = run.start_ranks(HANGS, STOP_SECONDS="2")
    process.terminate()
    assert process.wait(60) == 137
    for rank in range(RANKS):
        said = f"error: rank {rank} (process {run.process(rank)}) is killed before it has"
        assert f"{said} stopped; log: {rank}.log\n" in run.said
        assert "killed by the launcher, as it has not stopped in time" in run.log("0.log")
    assert run.checkpoints == ALL_CHECKPOINTS  # it had the time
    assert not run.left()


def test_a_second_signal_kills_at_once(run: Run):
    process = run.start_ranks(STUBBORN)
    process.send_signal(signal.SIGINT)
    assert wait_until(lambda: "stopping 3 rank(s)" in run.said)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 137
    assert not run.left()


def test_a_rank_that_is_stopped_alone_stops_the_others_like_it(run: Run):
    process = run.start_ranks(WORKS)
    os.kill(run.process(1), signal.SIGTERM)
    assert process.wait(60) == 143
    said = f"error: rank 1 (process {run.process(1)}) ended with exit code 143 (SIGTERM)"
    assert said in run.said
    assert run.checkpoints == ALL_CHECKPOINTS
    assert not run.left()


def test_the_scheduler_is_not_asked_to_stop_and_does_not_fail_in_a_stop(run: Run, tmp_path: Path):
    line = "trap 'touch asked' TERM; until [[ -e checkpoint_0 ]]; do sleep 0.05; done; exit 1"
    scheduler = ["--child", "scheduler", "s.log", f"{line} > s.log"]
    process = run.start(*scheduler, *run.ranks(WORKS))
    assert wait_until(lambda: run.log("0.log") and (tmp_path / "rank_0").exists())
    process.terminate()
    assert process.wait(60) == 143
    assert "error: " not in run.said
    assert "exit codes: scheduler 1, rank 0 143\n" in run.said
    assert not (tmp_path / "asked").exists()


def test_a_grace_time_that_is_no_number_starts_nothing(run: Run, tmp_path: Path):
    assert run.to_end(*run.ranks(ENDS), STOP_SECONDS="2m") == 2
    assert run.said == "error: STOP_SECONDS is '2m', not a number of seconds.\n"
    assert not (tmp_path / "rank_0").exists()


# As MindSpore's msrun: starts the scheduler and the ranks, and leaves.
MSRUN = """
start() {{ env "${{@:3}}" bash -c "$2" > "$1" 2>&1 & }}
start s.log "sleep 600" MS_ROLE=MS_SCHED
start 0.log {line} MS_ROLE=MS_WORKER MS_NODE_ID=0
start 1.log {line} MS_ROLE=MS_WORKER DEVICE_ID=7
sleep 0.3
exit {code}
"""


def of_msrun(line: str, code: int) -> list[str]:
    words = ["--msrun", "2", "--log", "all.log", "--lock", ".lock", "--child", "msrun", "logs/*"]
    return [*words, MSRUN.format(line=shlex.quote(line), code=code)]


def test_the_ranks_that_msrun_has_left_are_watched_by_their_names(run: Run):
    process = run.start(*of_msrun("echo $$ > rank_$DEVICE_ID; exec sleep 600", 0))
    assert wait_until(lambda: "processes: " in run.said and run.log("rank_7"))
    os.kill(run.process(7), signal.SIGKILL)
    assert process.wait(30) == 137
    named = f"error: worker 7 of this node (process {run.process(7)}) ended with exit code 137"
    assert f"{named} (SIGKILL); its log " in run.said
    assert "exit codes: scheduler 137, rank 0 143, worker 7 of this node 137" in run.said
    assert not run.left()


@pytest.mark.parametrize(("line", "code"), [("sleep 600", 7), ("true", 0)], ids=["fails", "ends"])
def test_msrun_that_starts_too_few_leaves_nothing(line: str, code: int, run: Run):
    assert run.to_end(*of_msrun(line, code)) == 2
    said = f"error: msrun has not started 2 ranks (its exit code: {code}); logs: logs\n"
    assert said in run.said
    assert not run.left()


# More work than the machine has cores, and ids of others.


@pytest.fixture
def busy() -> Iterator[None]:
    count = 2 * len(os.sched_getaffinity(0))
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    yield
    for other in others:
        other.kill()
        other.wait()


@pytest.mark.parametrize("how", ["ends", "fails", "is stopped twice"])
def test_nothing_is_left_when_it_returns_on_a_loaded_machine(how: str, busy: None, run: Run):
    if how == "is stopped twice":
        process = run.start_ranks(STUBBORN)
        process.terminate()
        assert wait_until(lambda: "stopping 3 rank(s)" in run.said)
        process.terminate()
        code = process.wait(60)
    else:
        ends = f"sleep 600 & (setsid sleep 600 &); {ENDS}"
        second = {"ends": ends, "fails": FAILS}[how]
        code = run.to_end(*run.ranks(ends, second, ends))
    assert run.left() == {}
    assert code == {"ends": 0, "fails": 1}.get(how, 137), run.said


def test_no_signal_goes_to_an_id_that_is_in_use_again():
    stranger = subprocess.Popen(["sleep", "100"])
    program = f"""
from scripts.supervise import Child, Supervisor
supervisor = Supervisor(1, False, False)
supervisor.children = supervisor._ended = [Child("rank 0", "log", {stranger.pid}, 3)]
supervisor.signals = [15]
raise SystemExit(supervisor.supervise())
"""
    try:
        done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, timeout=30, check=False)
        assert done.returncode == 3
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
