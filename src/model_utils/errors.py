# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The one kind of error that a user can mend, and how a program ends on it."""

import re
import sys
from collections.abc import Callable

from src.model_utils.signals import end_interrupted, interrupts_watched, is_interrupted


class UserError(Exception):
    """Bad input: its message is one sentence with the file, the record and the remedy."""


def run_program(main: Callable[[], None]) -> None:
    """Runs a script's main function; a `UserError` ends it with one sentence and exit code 2.

    SIGINT ends it with exit code 130, see `interrupts_watched`.
    """
    try:
        with interrupts_watched():
            _run(main)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        # A full disk, a folder without permission.
        where = f"{error.filename}: " if error.filename else ""
        print(
            f"error: {where}{error.strerror or error}; check the path, its permissions and the "
            "free space.",
            file=sys.stderr,
        )
        sys.exit(2)
    except MemoryError as error:
        what = str(error) or "for an object"
        print(
            f"error: memory is full ({what}); lower batch sizes or the sizes of images.",
            file=sys.stderr,
        )
        sys.exit(2)
    except RuntimeError as error:
        sentence = _quoted(str(error))
        if not sentence:
            raise
        print(f"error: {sentence}", file=sys.stderr)
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
