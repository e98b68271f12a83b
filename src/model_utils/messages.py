# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Lines that programs print. Names in them come from files and folders, and hold anything."""

import contextlib
import sys
import unicodedata

from tqdm import tqdm

_LONGEST = 1200  # characters of a message


def say(*lines: str, to_stderr: bool = False) -> None:
    """Prints each as a `sentence`, above a progress bar if there is one."""
    stream = sys.stderr if to_stderr else sys.stdout
    with contextlib.suppress(OSError, ValueError):  # nobody listens any more
        for line in lines:
            tqdm.write(sentence(line), file=stream)
        stream.flush()


def sentence(text: str) -> str:
    """The text as messages show it: one line, `escaped`, its middle left out where it is long."""
    text = escaped(text)
    if len(text) <= _LONGEST:
        return text
    end = _LONGEST // 3  # with the remedy
    return f"{text[: _LONGEST - end - 5]} ... {text[-end:]}"


def escaped(text: str) -> str:
    r"""The text with escapes, as \x1b, for ends of lines and what terminals obey or do not show."""
    return "".join(
        sign
        if sign.isprintable() or unicodedata.category(sign) == "Zs"
        else sign.encode("unicode_escape").decode()
        for sign in text
    )
