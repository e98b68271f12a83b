# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Files that appear whole or not at all."""

import contextlib
import errno
import glob
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from src.model_utils.messages import say

_LONGEST_NAME = 255  # bytes of a file's name that common file systems take
PARTIAL_PREFIX = ".partial-"  # of folders that hold what is being written
_partial_folders: set[str] = set()
_cleared: set[Path] = set()  # folders in which this process has looked for left-overs


def fitting_name(name: str, ending: str = "") -> str:
    """A file's name with an ending added, cut to a length that file systems take.

    What is cut off is replaced by a digest of it, so that names stay apart.
    """
    room = _LONGEST_NAME - len(os.fsencode(ending))
    if len(os.fsencode(name)) <= room:
        return name + ending
    ending = Path(name).suffix[:16] + ending
    digest = f"~{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
    room = _LONGEST_NAME - len(os.fsencode(ending + digest))
    return os.fsencode(name)[:room].decode(errors="ignore") + digest + ending


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a name to write to; on success that file takes the place of `path`.

    It is a file of the same name in a temporary folder beside `path`, which goes away with all
    that is in it, also on an error. Whoever writes it, its mode is that of new files.

    Raises:
        OSError: with `path` as its file name.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_left_overs(path.parent)
        prefix = f"{PARTIAL_PREFIX}{_maker(os.getpid())}-"
        with tempfile.TemporaryDirectory(prefix=prefix, dir=path.parent) as folder:
            _partial_folders.add(folder)
            partial = Path(folder) / path.name
            mode = new_file_mode(Path(folder))
            yield partial
            partial.chmod(mode)  # MindSpore lets the owner alone read a checkpoint
            sync(partial)
            partial.replace(path)
            sync(path.parent)
        _partial_folders.discard(folder)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def remove_partial_files() -> None:
    """Removes what `whole_file` has not finished, when the process ends without its doing."""
    for folder in list(_partial_folders):
        shutil.rmtree(folder, ignore_errors=True)


def clear_left_overs(folder: Path) -> None:
    """Removes what killed processes of this machine were writing in a folder; looks there once.

    What may be of another machine, which shares the folder, or of an earlier version is named.
    """
    if folder in _cleared:
        return
    _cleared.add(folder)
    for left_over in sorted(folder.glob(f"{glob.escape(PARTIAL_PREFIX)}*")):
        maker = _MAKER.fullmatch(left_over.name)
        if maker is None or maker[1] != _machine():
            say(
                f"note: {left_over}: is being written on another machine, or left over from a "
                "killed program; if none runs, remove it",
                to_stderr=True,
            )
        elif _maker(int(maker[2])) != f"{maker[1]}-{maker[2]}-{maker[3]}":
            if left_over.is_dir():
                shutil.rmtree(left_over, ignore_errors=True)
            else:  # of ascend310_infer
                left_over.unlink(missing_ok=True)


def _maker(process: int) -> str:
    """Machine, id and start of a process, in clock ticks; the last is 0 of one that is gone."""
    start = "0"
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
        start = fields[19].decode() if fields[0] not in (b"Z", b"X") else "0"
    return f"{_machine()}-{process}-{start}"


_MAKER = re.compile(rf"{re.escape(PARTIAL_PREFIX)}([0-9a-f]{{8}})-([0-9]+)-([0-9]+)-.*")


def _machine() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"  # ascend310_infer has the same


def new_file_mode(folder: Path) -> int:
    """The mode that a new file in `folder` gets: by the umask, or what the folder says instead."""
    with tempfile.TemporaryDirectory(prefix=PARTIAL_PREFIX, dir=folder) as inside:
        probe = Path(inside) / "probe"
        probe.touch()
        return stat.S_IMODE(probe.stat().st_mode)


def give_usual_modes(folder: Path) -> None:
    """Gives a folder that a library made, and all below it, the modes of new files.

    What belongs to somebody else stays as it is.
    """
    if not folder.is_dir():
        return
    with contextlib.suppress(PermissionError):
        mode = new_file_mode(folder)
        for path in [folder, *folder.rglob("*")]:
            with contextlib.suppress(PermissionError):
                # Who may read a folder may enter it.
                path.chmod(mode | (mode & 0o444) >> 2 if path.is_dir() else mode)


def open_regular(path: Path) -> int:
    """Opens a regular file to read and gives its descriptor, which the caller closes.

    Raises:
        OSError: it cannot be opened, or is something else: a pipe or a device may have no end.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        what = "it is a pipe, a socket or a device instead of a file"
        raise OSError(errno.EINVAL, what, str(path))
    # O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file; raises OSError as `open_regular`."""
    with open(open_regular(path), "rb") as file:
        return file.read()


def read_text(path: Path, errors: str = "strict") -> str:
    """The text of a regular file in UTF-8, with plain ends of lines.

    Raises:
        OSError: as `open_regular`.
        UnicodeDecodeError: it is no such text; not with other `errors`, as `open` takes them.
    """
    with open(open_regular(path), encoding="utf-8", errors=errors) as file:
        return file.read()


def check_readable(path: Path) -> None:
    """Raises OSError, with its name, if a file may not be read; libraries use other words."""
    os.close(open_regular(path))


def make_writable(folder: Path) -> None:
    """Makes a folder that results will go to, and shows now that files can be made in it.

    Raises:
        OSError: they cannot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()


def sync(path: Path) -> None:
    """Waits until a file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """The SHA-256 of a regular file in hexadecimal digits; raises OSError as `open_regular`."""
    digest = hashlib.sha256()
    with open(open_regular(path), "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_json(path: Path, content: Any) -> None:
    """Writes `content` as json, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content), encoding="utf-8")
