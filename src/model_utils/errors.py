# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The one kind of error that a user can mend, and how a program ends on it."""

import re
import sys
from collections.abc import Callable

from src.model_utils.messages import say, sentence
from src.model_utils.signals import end_interrupted, interrupts_watched, is_interrupted


class UserError(Exception):
    """Bad input: its message is one sentence with the file, the record and the remedy.

    Names come from files, which hold anything: `sentence` makes the message fit to be printed.
    """

    def __str__(self) -> str:
        text = super().__str__()
        # MindSpore's data pipeline makes a UserError of another one's traceback, see `_quoted`.
        return text if text.startswith("Traceback ") else sentence(text)


def in_one_line(error: Exception) -> str:
    """An error of any kind as others quote it, without a full stop."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    text = " ".join(str(error).split()).rstrip(".")[:300]
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}".rstrip(": ")


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
        say(f"error: {error}", to_stderr=True)
        sys.exit(2)
    except OSError as error:
        # A full disk, a folder without permission.
        where = f"{error.filename}: " if error.filename else ""
        what = f"{where}{error.strerror or error}"
        say(f"error: {what}; check the path, its permissions and the free space.", to_stderr=True)
        sys.exit(2)
    except MemoryError as error:
        what = str(error) or "for an object"
        say(
            f"error: memory is full ({what}); lower batch sizes or the sizes of images.",
            to_stderr=True,
        )
        sys.exit(2)
    except RuntimeError as error:
        quoted = _quoted(str(error))
        if not quoted:
            raise
        say(f"error: {quoted}", to_stderr=True)
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
