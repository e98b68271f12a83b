# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The one kind of error that a user can mend, and how a program ends on it."""

import re
import sys
import unicodedata
from collections.abc import Callable

from src.model_utils.signals import end_interrupted, interrupts_watched, is_interrupted

_LONGEST = 1200  # characters of a message


class UserError(Exception):
    """Bad input: its message is one sentence with the file, the record and the remedy.

    Names come from files, which hold anything: `sentence` makes the message fit to be printed.
    """

    def __str__(self) -> str:
        text = super().__str__()
        # MindSpore's data pipeline makes a UserError of another one's traceback, see `_quoted`.
        return text if text.startswith("Traceback ") else sentence(text)


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


def run_program(main: Callable[[], None]) -> None:
    """Runs a script's main function; a `UserError` ends it with one sentence and exit code 2.

    SIGINT ends it with exit code 130, see `interrupts_watched`.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names have letters that a terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
    try:
        with interrupts_watched():
            _run(main)
    except UserError as error:
        print(f"error: {sentence(str(error))}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        # A full disk, a folder without permission.
        where = f"{error.filename}: " if error.filename else ""
        problem = sentence(f"{where}{error.strerror or error}")
        print(
            f"error: {problem}; check the path, its permissions and the free space.",
            file=sys.stderr,
        )
        sys.exit(2)
    except MemoryError as error:
        what = sentence(str(error)) or "for an object"
        print(
            f"error: memory is full ({what}); lower batch sizes or the sizes of images.",
            file=sys.stderr,
        )
        sys.exit(2)
    except RuntimeError as error:
        quoted = _quoted(str(error))
        if not quoted:
            raise
        print(f"error: {sentence(quoted)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        end_interrupted()


def _run(main: Callable[[], None]) -> None:
    try:
        main()
    except Exception:
        if is_interrupted():
            end_interrupted()
        raise


def _quoted(text: str) -> str:
    """The message of a `UserError` in MindSpore's data pipeline, which quotes it in a long text."""
    ours = re.search(rf"^{__name__}\.UserError: (.+)$", text, re.MULTILINE)
    return ours[1] if ours else ""
