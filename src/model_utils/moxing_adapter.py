# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""ModelArts jobs: inputs copied in before, outputs copied out, by ModelArts' package `moxing`.

ModelArts starts one process a device. The first of a server leads: it alone copies. A lock on a
file beside `output_path` tells who is first: the system takes it back when a process ends, however
it ends, so an earlier job leaves nothing behind that could be mistaken for a process of this one.
"""

import contextlib
import fcntl
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import TextIO

from src.model_utils import local_adapter
from src.model_utils.config import DEFAULT_CONFIG_PATH
from src.model_utils.errors import UserError
from src.model_utils.files import PARTIAL_PREFIX
from src.model_utils.messages import say
from src.model_utils.parameters import Config
from src.model_utils.progress import telling

_CODE_FOLDER = DEFAULT_CONFIG_PATH.parent
_COPY_IN_SECONDS = 3 * 3600.0  # a large set, slowly; that a leader died is noticed at once
_LAST_FILES_SECONDS = 600.0  # others write a last checkpoint, of 600 MB, or score an evaluation
_SYNC_SECONDS = 600.0  # at most so much of the training is lost with its server


def device_id(default: int) -> int:
    """Index of the device on its server, as ModelArts says it; `default` if it does not."""
    return int(os.environ.get("ASCEND_DEVICE_ID") or local_adapter.device_id(default))


@contextlib.contextmanager
def job(
    config: Config, outputs: Sequence[str], data: str = "", checkpoint: str = ""
) -> Iterator[Config]:
    """Surrounds a program's work; outside ModelArts (`enable_modelarts` false) it does nothing.

    Before, `data_url` is copied to `data_path` and `checkpoint_url` to `load_path`. Meanwhile new
    files of `output_path` are copied to `train_url` every ten minutes, and in the end all of it,
    also when the work fails or is stopped by SIGTERM, as ModelArts stops jobs.

    Args:
        config: the configuration.
        outputs: parameters naming what is written; their values are taken below `output_path`.
        data: the parameter that takes `data_path`; empty where no data set is read.
        checkpoint: the parameter that names the checkpoint: a path below `load_path`, else below
            the code's folder; if it is empty, the only checkpoint in `load_path`.

    Yields:
        The configuration with those parameters set.

    Raises:
        UserError: no moxing, a copy that fails, an output elsewhere, no checkpoint or several.
    """
    if not config.enable_modelarts:
        yield config
        return
    changes = {name: _output_path(config, name) for name in outputs}
    if data:
        changes[data] = config.data_path
    if local_adapter.is_scheduler():
        yield config.model_copy(update=changes)
        return
    moxing = _import_moxing()
    copies = []
    if data and config.data_url:
        copies.append((config.data_url, config.data_path))
    if checkpoint and config.checkpoint_url:
        copies.append((config.checkpoint_url, config.load_path))
    inputs = ", ".join(f"{source} to {target}" for source, target in copies)
    with _lock_file(Path(config.output_path)) as lock:
        leads = _is_first(lock, inputs)
        if leads:
            for source, target in copies:
                with telling(f"ModelArts: copying {source}"):
                    _copy(moxing.file.copy_parallel, source, target)
            _let_others_begin(lock, inputs)
        if checkpoint:
            changes[checkpoint] = _checkpoint_path(config, checkpoint)
        with _sigterm_as_exit(), _outputs_copied(moxing, config, lock if leads else None):
            yield config.model_copy(update=changes)


def _import_moxing() -> ModuleType:
    try:
        import moxing
    except ImportError:
        raise UserError(
            "enable_modelarts is true but the package moxing is not here; it comes with ModelArts, "
            "elsewhere leave enable_modelarts false."
        ) from None
    return moxing


def _output_path(config: Config, name: str) -> str:
    folder = Path(config.output_path).resolve()
    path = (folder / getattr(config, name)).resolve()
    if not path.is_relative_to(folder):
        raise UserError(
            f"{name} {path} is not below output_path {folder}, so it would not be copied to "
            "train_url; give a relative path."
        )
    return str(path)


def _checkpoint_path(config: Config, name: str) -> str:
    given = getattr(config, name)
    if given == "newest":  # of the folder that was copied in, or of this job's own
        return config.load_path if config.checkpoint_url else given
    if given:
        places = [config.load_path] if config.checkpoint_url else []
        paths = [Path(place, given) for place in [*places, _CODE_FOLDER]]
        return str(next((path for path in paths if path.exists()), paths[0]))
    if not config.checkpoint_url:
        return ""
    found = sorted(Path(config.load_path).rglob("*.ckpt"))
    if len(found) != 1:
        names = ", ".join(str(path.relative_to(config.load_path)) for path in found[:3])
        raise UserError(
            f"checkpoint_url {config.checkpoint_url} holds {len(found)} files *.ckpt"
            f"{f' ({names})' if names else ''}; name one of that folder by --{name}."
        )
    return str(found[0])


def _copy(copy: Callable[[str, str], object], source: str, target: str) -> None:
    """Copies by one of moxing's functions, which raise many kinds of errors."""
    say(f"ModelArts: copying {source} to {target}")
    try:
        copy(source, target)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"ModelArts: {source} could not be copied to {target} ({reason}); check that the first "
            "exists, that the job may write to the second, and its free space."
        ) from None


# The lock file's first byte is locked exclusively by the leader while it copies in, then shared by
# all who use the copy; its second is shared by all processes of the server while they run. They are
# POSIX record locks, which turn from exclusive to shared without a gap for another to be first.
_COPY_BYTE, _PRESENCE_BYTE = 0, 1


@contextlib.contextmanager
def _lock_file(output_path: Path) -> Iterator[TextIO]:
    output_path.mkdir(parents=True, exist_ok=True)
    path = output_path.resolve()
    with path.with_name(f".{path.name}.lock").open(
        "a+", encoding="utf-8", errors="replace"
    ) as lock:
        yield lock


@telling("ModelArts: waiting for the process of this server that copies")
def _is_first(lock: TextIO, inputs: str, seconds: float = _COPY_IN_SECONDS) -> bool:
    """Whether this process copies in; if another one does, waits until it has done so.

    If that one fails, the next takes over: it is first then.

    Args:
        lock: the lock file.
        inputs: what is copied to where, which `_let_others_begin` leaves in the file.
        seconds: how long to wait.

    Raises:
        UserError: the other process takes longer.
    """
    deadline = time.monotonic() + seconds
    while True:
        if _try_lock(lock, fcntl.LOCK_SH, _PRESENCE_BYTE):  # not while an earlier job copies out
            if _try_lock(lock, fcntl.LOCK_EX, _COPY_BYTE):
                lock.truncate(0)
                return True
            if _try_lock(lock, fcntl.LOCK_SH, _COPY_BYTE):
                lock.seek(0)
                if lock.read() == inputs:
                    return False
                fcntl.lockf(lock, fcntl.LOCK_UN, 1, _COPY_BYTE)
        if time.monotonic() > deadline:
            raise UserError(
                f"ModelArts: {inputs} was not copied within {seconds:g} seconds by the process of "
                "this server that began it; see its log."
            )
        time.sleep(random.uniform(0.2, 0.6))  # so that two that wait do not hinder each other


def _let_others_begin(lock: TextIO, inputs: str) -> None:
    lock.write(inputs)
    lock.flush()
    fcntl.lockf(lock, fcntl.LOCK_SH, 1, _COPY_BYTE)


@telling("ModelArts: waiting for the other processes of this server")
def _wait_for_others(lock: TextIO, seconds: float) -> None:
    """Waits until the other processes of this server have ended, but not longer."""
    deadline = time.monotonic() + seconds
    while not _try_lock(lock, fcntl.LOCK_EX, _PRESENCE_BYTE) and time.monotonic() < deadline:
        time.sleep(0.1)


def _try_lock(lock: TextIO, kind: int, byte: int) -> bool:
    try:
        fcntl.lockf(lock, kind | fcntl.LOCK_NB, 1, byte)
    except (BlockingIOError, PermissionError):  # either is what POSIX lets a system say
        return False
    return True


@contextlib.contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """SIGTERM ends the work like an error: files are cleaned up, outputs copied out."""

    def stop(number: int, frame: FrameType | None) -> None:
        say("ModelArts: stopped by SIGTERM")
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _outputs_copied(moxing: ModuleType, config: Config, lock: TextIO | None) -> Iterator[None]:
    """Copies outputs out during and after the work; does nothing without the leader's lock."""
    if lock is None or not config.train_url:
        yield
        return
    folder, url = Path(config.output_path), config.train_url.rstrip("/")
    done = threading.Event()
    sync = threading.Thread(target=_copy_new_files, args=(moxing, folder, url, done), daemon=True)
    sync.start()

    def copy_out() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the copy is all that is left to do
        done.set()
        sync.join()
        if any(path.is_file() for path in folder.rglob("*")):  # moxing refuses an empty folder
            _copy(moxing.file.copy_parallel, str(folder), url)

    try:
        yield
        _wait_for_others(lock, _LAST_FILES_SECONDS)
    except BaseException:
        try:
            copy_out()
        except UserError as error:  # the work's own error is the one to end with
            say(f"error: {error}", to_stderr=True)
        raise
    copy_out()


def _copy_new_files(
    moxing: ModuleType,
    folder: Path,
    url: str,
    done: threading.Event,
    seconds: float = _SYNC_SECONDS,
) -> None:
    """Copies new and changed files every so many seconds until `done`, one by one.

    A folder at once would bring along files that are being written, and those copied before.
    """
    copied: dict[Path, int] = {}
    while not done.wait(seconds):
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder)
            if any(part.startswith(PARTIAL_PREFIX) for part in name.parts):
                continue
            try:
                changed = path.stat().st_mtime_ns
                if path.is_file() and copied.get(path) != changed:
                    _copy(moxing.file.copy, str(path), f"{url}/{name.as_posix()}")
                    copied[path] = changed
            except FileNotFoundError:
                continue  # an old checkpoint that made room for a new one
            except UserError as error:  # the end tries again
                say(str(error))
