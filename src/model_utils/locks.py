# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""A folder that one process at a time writes."""

import contextlib
import errno
import fcntl
import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from src.model_utils.errors import UserError
from src.model_utils.messages import say


@contextlib.contextmanager
def held(place: Path, what: str, advice: str) -> Iterator[None]:
    """Keeps a place in a file system to this process, by a file .NAME.lock beside it.

    The system lets the lock of a process go when that ends, however it ends: the next one takes it
    over. It reaches other hosts that share the disk where the file system passes locks on (NFS does
    for files that are open for writing, as this one is). Where a file system has no locks at all,
    the file itself is one, and only on the host that it names a dead process is known for dead.

    Args:
        place: a folder, or what files begin with; it need not be there.
        what: what another process that holds it does, as "training".
        advice: what to do then.

    Raises:
        UserError: another process holds it, which the sentence names.
        OSError: the lock file cannot be written.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = place.with_name(f".{place.name}.lock")
    with open(_taken(lock, place, what, advice), "w", encoding="utf-8") as file:
        try:
            owner = {"process": os.getpid(), "host": socket.gethostname(), "since": time.time()}
            json.dump(owner, file)
            file.flush()
            yield
        finally:
            with contextlib.suppress(OSError):
                lock.unlink()  # while it is held: a lock on a file that is gone is none


def _taken(lock: Path, place: Path, what: str, advice: str) -> int:
    """The descriptor of the lock file, locked; raises as `held`."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file", str(lock))
            owner = _owner(descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_free = True
            except (BlockingIOError, PermissionError):  # either, where NFS makes it a record lock
                is_free = False
            except OSError:  # a file system without locks
                is_free = not owner or _is_dead(owner)
                advice += f"; if that process is gone, remove {lock}"
            if not is_free:
                raise UserError(f"{place}: another {what} writes here{_shown(owner)}; {advice}.")
            if _is_at(lock, descriptor):
                os.ftruncate(descriptor, 0)
                if owner:
                    say(f"{place}: a {what} that was killed{_shown(owner)} wrote here")
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its owner has just removed it


def _owner(descriptor: int) -> dict[str, Any]:
    """What a lock file says; nothing if its owner has not written it yet, or it says nothing."""
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        process, host, since = int(owner["process"]), str(owner["host"]), float(owner["since"])
        time.localtime(since)
        is_sound = 0 < process < 2**31 and len(host) < 256
        return {"process": process, "host": host, "since": since} if is_sound else {}
    except (ValueError, TypeError, KeyError, OverflowError, OSError, RecursionError):
        return {}


def _shown(owner: dict[str, Any]) -> str:
    if not owner:
        return ""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(owner["since"]))
    return f" (process {owner['process']} on {owner['host']}, since {since})"


def _is_dead(owner: dict[str, Any]) -> bool:
    return owner["host"] == socket.gethostname() and not Path(f"/proc/{owner['process']}").exists()


def _is_at(lock: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(lock.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
