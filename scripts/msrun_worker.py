# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Runs a process for msrun and notes its id and its exit code, for run_distributed_train_msrun.sh.

python msrun_worker.py FILE PROGRAM [ARGUMENT ...]

FILE gets a line when PROGRAM starts, and one when it has ended, with fields divided by tabs:
    started PROCESS NAME LOG THIS_PROCESS
    ended PROCESS CODE
A line "stopped" is the script's, when it ends with what it has seen: a PROGRAM that starts later is
killed. CODE is the one that a shell gives: 128 and the signal's number after a signal.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path


def main() -> int:
    file, *command = sys.argv[1:]
    process = subprocess.Popen([sys.executable, *command], start_new_session=True)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the program's to answer, not this one's
    log = Path("/proc/self/fd/1").readlink()
    note(file, "started", process.pid, name(), log, os.getpid())
    if "stopped" in Path(file).read_text().splitlines():  # the script, which has not seen it
        os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    code = code if code >= 0 else 128 - code
    note(file, "ended", process.pid, code)
    return code


def name() -> str:
    """What msrun says that this process is; RANK_ID says something even where it does not know."""
    if os.environ.get("MS_ROLE") == "MS_SCHED":
        return "scheduler"
    if "MS_NODE_ID" in os.environ:
        return f"rank {os.environ['MS_NODE_ID']}"
    return f"worker {os.environ['DEVICE_ID']} of this node"


def note(file: str, *fields: object) -> None:
    line = "\t".join(map(str, fields)) + "\n"
    # One write: lines of several processes do not mix.
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(descriptor, line.encode())
    os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
