# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Output that nobody may be able to take any more."""

import contextlib
import io
import os
import sys


class _Lossy(io.RawIOBase):
    """A file descriptor to write to; what cannot be written is lost."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, content: "bytes | memoryview") -> int:
        with contextlib.suppress(OSError):
            return os.write(self._descriptor, content)
        return len(content)


def lose_what_cannot_be_printed() -> None:
    """Lets a program go on whose log is on a full disk, or whose terminal or pipe is gone."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        encoding = getattr(sys, name).encoding
        raw = io.BufferedWriter(_Lossy(descriptor))
        text = io.TextIOWrapper(raw, encoding, "backslashreplace", line_buffering=True)
        setattr(sys, name, text)
