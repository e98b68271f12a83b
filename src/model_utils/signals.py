# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""SIGINT (Ctrl-C) and SIGTERM: how programs end, also while MindSpore is imported or compiles.

MindSpore has a handler of its own at times, which makes it a SIGTERM or loses it, and a compilation
lets Python's handler wait until it ends. So threads block SIGINT, and one waits for it. Threads
that a library has started before take it all the same: what Python's handler hears there comes to
the one that waits through a pipe. SIGTERM, which a training and ModelArts' copying take themselves
for a time, is not blocked, and comes by such a pipe too.
"""

import _thread
import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from src.model_utils.files import remove_partial_files

_SECONDS_TO_RAISE, _SECONDS_TO_END = 3.0, 5.0

_steps_take_it = threading.Event()  # those of a training, which stop after one of them
_for_steps = threading.Event()  # one came
_raised = threading.Event()
_noted = threading.Event()
_terminated = threading.Event()  # it is SIGTERM that ends the process
_sender = ""  # who sent the last SIGINT, as messages say it; "" where the system does not tell


@contextlib.contextmanager
def interrupts_watched() -> Iterator[None]:
    """While it lasts SIGINT and SIGTERM raise KeyboardInterrupt in the main thread.

    The process ends at once if a second one comes, or if none can be raised within three seconds,
    or while MindSpore is being imported, which does not bear one. After `steps_take_interrupts`
    SIGINT waits for `taken_interrupt` instead.
    """
    with _sigint_watched(), _terminations_watched():  # its thread blocks SIGINT, too
        yield


@contextlib.contextmanager
def _sigint_watched() -> Iterator[None]:
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # ignored, as in the background of a shell
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    signal.signal(signal.SIGINT, _raise)
    over = threading.Event()
    heard, hearing = os.pipe()
    os.set_blocking(hearing, False)  # as set_wakeup_fd wants it
    before = signal.set_wakeup_fd(hearing, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(over, heard), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        watcher.join()
        os.close(hearing)
        os.close(heard)


def steps_take_interrupts() -> None:
    """From now on SIGINT is answered between the steps of a training."""
    _steps_take_it.set()


def note_interrupt() -> None:
    """Tells of a SIGINT that was heard of elsewhere."""
    _noted.set()


def taken_interrupt() -> bool:
    """Whether SIGINT has come for the steps since the last call."""
    has_come = _for_steps.is_set()
    _for_steps.clear()
    return has_come


def interrupt_sender() -> str:
    """Who sent the last SIGINT, as messages add it; empty for Ctrl-C or where it is unknown."""
    return _sender


def is_interrupted() -> bool:
    """Whether KeyboardInterrupt has been raised: MindSpore may have made another error of it."""
    return _raised.is_set()


def end_interrupted() -> None:
    """Ends the process now, as interrupted; what it was writing is removed."""
    number = signal.SIGTERM if _terminated.is_set() else signal.SIGINT
    sender = interrupt_sender() if number == signal.SIGINT else ""
    # No lock of another thread is waited for, as `say` does.
    print(f"stopped by {number.name}{sender}", file=sys.stderr, flush=True)  # noqa: T201
    remove_partial_files()
    for child in _children():  # they have inherited that SIGINT is blocked
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGTERM)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(128 + number)  # Python's own end may wait for MindSpore's threads, or crash


def _children() -> Iterator[int]:
    for listed in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            yield from map(int, listed.read_text().split())


def _raise(number: int, frame: FrameType | None) -> None:
    if _steps_take_it.is_set():
        _for_steps.set()
    elif _mindspore_is_being_imported():
        end_interrupted()
    elif not _raised.is_set():  # cleaning up after the first is not to be interrupted
        _raised.set()
        raise KeyboardInterrupt


@contextlib.contextmanager
def _terminations_watched() -> Iterator[None]:
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signals, signalled = os.pipe()
    os.set_blocking(signalled, False)  # as set_wakeup_fd wants it
    signal.signal(signal.SIGTERM, _terminate)
    before = signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch_terminations, args=(signals,), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.close(signalled)
        watcher.join()
        os.close(signals)


def _terminate(number: int, frame: FrameType | None) -> None:
    _terminated.set()
    if _raised.is_set() or _mindspore_is_being_imported():
        end_interrupted()
    _raised.set()
    raise KeyboardInterrupt


def _watch_terminations(signals: int) -> None:
    """Ends the process where its main thread cannot do so after a SIGTERM."""
    while number := os.read(signals, 1):
        if number[0] == signal.SIGINT:
            note_interrupt()
        if number[0] != signal.SIGTERM or signal.getsignal(signal.SIGTERM) is not _terminate:
            continue
        _terminated.set()
        if _raised.wait(_SECONDS_TO_RAISE):
            time.sleep(_SECONDS_TO_END)
        end_interrupted()


def _watch(over: threading.Event, heard: int) -> None:
    def comes_within(seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not over.is_set():
            select.select([heard], [], [], 0.1)
            # Not with a time to wait: if the process is stopped and goes on within it (Ctrl-Z and
            # fg, a frozen container), CPython returns a signal that nobody has sent.
            taken = signal.sigtimedwait([signal.SIGINT], 0)
            if taken:
                _note_sender(taken.si_pid)
            if taken or _has_been_heard(heard):
                return True
            if time.monotonic() > deadline:
                break
        return False

    while not over.is_set():
        if not comes_within(1.0):
            continue
        if _steps_take_it.is_set():
            _for_steps.set()
            continue
        if not _mindspore_is_being_imported():
            if not _raised.is_set():
                _thread.interrupt_main()
                time.sleep(0.1)
                _has_been_heard(heard)  # that
            is_second = comes_within(_SECONDS_TO_RAISE)
            if _raised.is_set() and not is_second:
                comes_within(_SECONDS_TO_END)
        if not over.is_set():
            end_interrupted()


def _note_sender(process: int) -> None:
    global _sender
    if process == 0:  # the kernel's, as at Ctrl-C, or from outside of a container
        return
    command = b""
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{process}/cmdline").read_bytes()[:100].replace(b"\0", b" ").strip()
    shown = command.decode("latin-1").encode("unicode_escape").decode()
    _sender = f" from process {process}" + (f" ({shown})" if shown else "")


def _has_been_heard(heard: int) -> bool:
    is_noted = _noted.is_set()
    _noted.clear()
    numbers = os.read(heard, 4096) if select.select([heard], [], [], 0)[0] else b""
    return is_noted or signal.SIGINT in numbers


def _mindspore_is_being_imported() -> bool:
    spec = getattr(sys.modules.get("mindspore"), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))
