# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What is done beside a training may fail: it is told in one line, and the training goes on."""

import contextlib
from collections.abc import Iterator

from src.model_utils.errors import in_one_line
from src.model_utils.messages import say


@contextlib.contextmanager
def told_if_it_fails(what: str, and_then: str = "the training goes on") -> Iterator[None]:
    """Tells an error of what is done beside the training in one line, and lets it go on."""
    try:
        yield
    except Exception as error:  # of any kind: a full disk, a picture, a library, no memory
        say(f"error: {what}: {in_one_line(error)}; {and_then}")
