# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Starts processes, and ends when they and all that they have started are gone.

python supervise.py [--background] [--log FILE] [--lock FILE] --child NAME LOG COMMAND ...

COMMAND is a line for bash that ends in exec, and runs in a session of its own; LOG is where its
output goes. One child whose LOG is the FILE of --log is a program: what it says goes there, and in
the foreground to the terminal too. Others are the ranks of a training, which write their logs
themselves, and the scheduler that brings them together and ends after them.

The first rank that fails is named with the end of its log, and ends the others, which can finish no
step without it; the exit code is its own. A signal stops all: a program gets the same signal, a
rank SIGTERM, and STOP_SECONDS (120) to finish its step and write what it has to; a second signal
kills at once. The exit code is then 128 and the signal's number, or 137 if one had to be killed.
A rank that is killed gets a last line in its log that says why.
"""

import argparse
import contextlib
import ctypes
import fcntl
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TextIO

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a script, started by its path

from src.model_utils.messages import say

SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
STOPPED = {0, *(128 + number for number in SIGNALS)}  # exit codes of what was asked to stop
SECONDS_WITHOUT_A_RANK = 10
SECONDS_TO_BE_GONE = 30  # on a loaded machine
GO_ON = "--resume goes on from the last checkpoint"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # of linux/prctl.h
LIBC = ctypes.CDLL(None)


@dataclass
class Child:
    """A process: its name and log in messages; `code` as a shell gives it, once it has ended."""

    name: str
    log: str
    process: int
    code: int | None = None

    def __str__(self) -> str:
        return f"{self.name} (process {self.process})"


class Supervisor:
    """Watches children, and what they start: Linux leaves that to this process when they end.

    Args:
        stop_seconds: what ranks get to stop.
        is_program: there is one child, and it is no rank.
        signal_all: signals go to what it has started, too.
    """

    def __init__(self, stop_seconds: int, is_program: bool, signal_all: bool) -> None:
        self.children: list[Child] = []
        self.signals: list[int] = []  # that have come
        self._ended: list[Child] = []  # in this order
        self._stop_seconds, self._is_program = stop_seconds, is_program
        self._signal_all = signal_all
        ignored = {number for number in SIGNALS if signal.getsignal(number) == signal.SIG_IGN}
        self._awaited = SIGNALS - ignored | {signal.SIGCHLD}
        signal.pthread_sigmask(signal.SIG_BLOCK, self._awaited)
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)

    def start(self, name: str, log: str, command: str, **options: Any) -> None:
        """`options`: of Popen."""
        started = subprocess.Popen(
            ["bash", "-c", command],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_prepare_child,
            **options,
        )
        started.returncode = 0  # `_pause` waits for all together
        self.children.append(Child(name, log, started.pid))

    def take_ranks_of_msrun(self, count: int) -> None:
        """Waits for the one child, msrun, to leave the processes it has started to this one."""
        (msrun,) = self.children
        while msrun.code is None and len(self.signals) < 2:
            self._pause(0.1)
            for process, parent in _parents().items():
                if parent in (msrun.process, os.getpid()) and process != msrun.process:
                    self._note_rank(process)
        self.children.remove(msrun)
        self.children.sort(key=lambda child: child.process)  # as they were started
        if msrun.code is not None and (msrun.code or len(self._ranks()) < count):
            self.kill_all()
            logs = Path(msrun.log).parent
            code = f"its exit code: {msrun.code}"
            _fail(f"msrun has not started {count} ranks ({code}); logs: {logs}")

    def supervise(self) -> int:
        """Returns the exit code when all are gone."""
        code, cause, deadline = 0, "it has not stopped in time", math.inf
        while True:
            failed = [child for child in self._ended if self._has_failed(child)]
            if failed and not code:
                code = failed[0].code
                cause = f"{failed[0].name} has ended with exit code {code}"
                for child in failed:
                    self._report(child)
            running = [child for child in self.children if child.code is None]
            ranks = [child for child in self._ranks() if child.code is None]
            if not running or len(self.signals) > 1 or (code not in STOPPED and not ranks):
                break
            if code or self.signals:
                # Ranks agree on the step they stop after, whomever of them the signal has reached.
                has_time = ranks and code in STOPPED
                seconds = self._stop_seconds if has_time else SECONDS_WITHOUT_A_RANK
                is_asked, deadline = deadline < math.inf, min(deadline, time.monotonic() + seconds)
                if not is_asked:
                    self._ask_to_stop(ranks, seconds)
                if time.monotonic() >= deadline:
                    break
            self._pause(1.0)
        if ranks and code in STOPPED:
            code = 137
            for rank in ranks:
                say(
                    f"error: {rank} is killed before it has stopped; log: {rank.log}",
                    to_stderr=True,
                )
        self.kill_all()
        if (code or self.signals) and not self._is_program:
            for rank in ranks:
                with contextlib.suppress(OSError), Path(rank.log).open("a") as log:
                    if rank.code == 137:
                        log.write(f"error: killed by the launcher, as {cause}; {GO_ON}\n")
            codes = [f"{c.name} {'(runs)' if c.code is None else c.code}" for c in self.children]
            say(f"exit codes: {', '.join(codes)}", to_stderr=True)
        return code or (128 + self.signals[-1] if self.signals else 0)

    def kill_all(self) -> None:
        """Kills all below this process and waits until they are gone."""
        end = time.monotonic() + SECONDS_TO_BE_GONE
        while (left := _below(os.getpid())) and time.monotonic() < end:
            for process in left:
                _signal(process, signal.SIGKILL)
            self._pause(0.05)

    def _ranks(self) -> list[Child]:
        return [child for child in self.children if child.name != "scheduler"]

    def _note_rank(self, process: int) -> None:
        try:
            variables = Path(f"/proc/{process}/environ").read_text(errors="replace").split("\0")
            log = str(Path(f"/proc/{process}/fd/1").readlink())
        except OSError:  # it has ended
            return
        environment = dict(variable.partition("=")[::2] for variable in variables)
        if "MS_ROLE" not in environment:
            return
        if environment["MS_ROLE"] == "MS_SCHED":
            name = "scheduler"
        elif "MS_NODE_ID" in environment:
            name = f"rank {environment['MS_NODE_ID']}"
        else:  # msrun does not know it, whatever RANK_ID says
            name = f"worker {environment['DEVICE_ID']} of this node"
        if name not in [child.name for child in self.children]:  # else that one has started it
            self.children.append(Child(name, log, process))

    def _has_failed(self, child: Child) -> bool:
        """In a stop a rank that stops, and the scheduler that misses it, has not."""
        stops = child.name == "scheduler" or child.code in STOPPED
        return child.code != 0 and not (self.signals and stops)

    def _report(self, child: Child) -> None:
        number = child.code - 128
        known = f" ({signal.Signals(number).name})" if number in list(signal.Signals) else ""
        how = f"exit code {child.code}{known}"
        if not self._is_program:
            end = _end_of(Path(child.log))
            say(f"error: {child} ended with {how}; its log {child.log} ends:", *end, to_stderr=True)
        elif child.log:
            say(f"failed with {how}; log: {child.log}", to_stderr=True)

    def _ask_to_stop(self, ranks: list[Child], seconds: int) -> None:
        """Not the scheduler, without which they could not go on.

        Nor what they have started, as compilers on Ascend, which their step may need.
        """
        for rank in ranks:
            number = self.signals[-1] if self._is_program else signal.SIGTERM
            for process in [rank.process, *(_below(rank.process) if self._signal_all else [])]:
                _signal(process, number)
        if ranks and not self._is_program:
            say(
                f"stopping {len(ranks)} rank(s) of this server, by force in {seconds} seconds",
                to_stderr=True,
            )

    def _pause(self, seconds: float) -> None:
        """Until a signal comes or a child ends, or the seconds have gone."""
        end = time.monotonic() + seconds
        # Not with a time to wait, see `src.model_utils.signals._watch`.
        while not (came := signal.sigtimedwait(self._awaited, 0)) and time.monotonic() < end:
            time.sleep(0.02)
        if came and came.si_signo != signal.SIGCHLD:
            self.signals.append(came.si_signo)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                for child in self.children:
                    if child.process == ended[0] and child.code is None:
                        code = os.waitstatus_to_exitcode(ended[1])
                        child.code = code if code >= 0 else 128 - code
                        self._ended.append(child)


def main() -> int:
    arguments = _parse_arguments()
    stop_seconds = os.environ.get("STOP_SECONDS") or "120"
    if not re.fullmatch("0|[1-9][0-9]*", stop_seconds):
        _fail(f"STOP_SECONDS is '{stop_seconds}', not a number of seconds.")
    is_program = len(arguments.child) == 1 and arguments.child[0][1] == arguments.log
    options: dict[str, Any] = {}
    echo, errors = None, []
    if arguments.log:
        lock = _begin(arguments, is_program)
        options["pass_fds"] = [lock.fileno()]
        if is_program and not arguments.background:
            source, sink = os.pipe()
            options |= {"stdout": sink, "stderr": subprocess.STDOUT}
            echo = threading.Thread(target=_echo, args=(source, lock, errors))
    supervisor = Supervisor(int(stop_seconds), is_program, arguments.signal_all)
    for child in arguments.child:
        supervisor.start(*child, **options)
    if echo:
        os.close(sink)
        echo.start()
    if arguments.msrun:
        supervisor.take_ranks_of_msrun(arguments.msrun)
    if not is_program:
        say(f"logs: {' '.join(child.log for child in supervisor.children)}")
        say(f"processes: {' '.join(str(child.process) for child in supervisor.children)}")
    code = supervisor.supervise()
    if echo:
        echo.join()
    for error in errors:
        say(error, to_stderr=True)
    return code or (2 if errors else 0)


def _begin(arguments: argparse.Namespace, is_program: bool) -> TextIO:
    """Takes the lock, and goes to the background; the file's first line says whose it is."""
    try:
        lock = own(arguments.lock or arguments.log)
        output = lock
        if arguments.background and not is_program:
            output = Path(arguments.log).open("w")  # noqa: SIM115 - stays open
        lock.truncate(0)
        told, tell = os.pipe()
        process = os.fork() if arguments.background else os.getpid()
        if process:
            start = f"process {process} of {socket.gethostname()}, {time.strftime('%F %T')}"
            print(f"{start}: {arguments.child[0][2].removeprefix('exec ')}", file=lock, flush=True)
    except OSError as error:
        path = Path(error.filename or arguments.lock or arguments.log).absolute()
        _fail(
            f"{path}: cannot be written ({error.strerror}), so nothing is started; start in a "
            "folder with the permission and the space for it."
        )
    if not arguments.background:
        return lock
    if process:
        os.write(tell, b"go on")
        logs = dict.fromkeys([arguments.log, *(log for _, log, _ in arguments.child)])
        say(f"log: {', '.join(str(Path(log).absolute()) for log in logs)}")
        say(f"process: {process}", f"to stop it: kill {process}")
        sys.exit()
    os.close(tell)
    if not os.read(told, 10):  # the first line could not be written
        sys.exit(2)
    os.setsid()
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    return lock


def own(path: str) -> TextIO:
    """Keeps other launchers off a file to the end of this process and its children."""
    file = Path(path).open("a+", errors="replace")  # noqa: SIM115 - stays open
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        _fail(
            f"{Path(path).absolute()}: is written by another run ({file.readline(100).strip()}); "
            "start in another folder, or wait for its end."
        )
    except OSError:  # a file system without locks
        pass
    return file


def _echo(source: int, log: TextIO, errors: list[str]) -> None:
    """Copies what comes to the terminal and to a log: one goes on where the other is full."""
    outputs = {1: "the terminal", log.fileno(): log.name}
    while data := os.read(source, 65536):
        for descriptor, name in list(outputs.items()):
            rest = data
            try:
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            except OSError as error:
                del outputs[descriptor]
                errors.append(f"error: {name}: {error.strerror}")


def _prepare_child() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # if the supervisor is killed


def _parents() -> dict[int, int]:
    """Each process of this machine, and its parent."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # ID (NAME) STATE PARENT ...; a name may hold anything.
            fields = stat.read_bytes().rpartition(b")")[2].split()
            found[int(stat.parent.name)] = int(fields[1])
    return found


def _below(process: int) -> list[int]:
    """What a process has started, and what that has."""
    parents, found = _parents(), [process]
    for above in found:
        found += [child for child, parent in parents.items() if parent == above]
    return found[1:]


def _signal(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def _end_of(log: Path) -> list[str]:
    """The last ten lines."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 10_000))
            return file.read().decode(errors="replace").splitlines()[-10:]
    except OSError as error:
        return [f"({error.strerror})"]


def _fail(text: str) -> NoReturn:
    say(f"error: {text}", to_stderr=True)
    sys.exit(2)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--background", action="store_true", help="prints the log and the process id")
    add("--log", default="", help="of this process in the background")
    add("--lock", default="", help="a file that one run at a time has; else it is that of --log")
    add("--signal-all", action="store_true", help="a signal is also for what the child has started")
    add("--msrun", type=int, help="the child is msrun, which starts so many ranks")
    add("--child", nargs=3, action="append", required=True, metavar=("NAME", "LOG", "COMMAND"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
