# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Saying what takes long."""

import contextlib
import threading
import time
from collections.abc import Iterator

from src.model_utils.messages import say

_FIRST, _LARGEST = 10.0, 60.0  # seconds of silence


class Teller:
    """Says what is being done after ten seconds of silence, and then ever less often.

    Args:
        what: is done; empty for what says it itself.
    """

    def __init__(self, what: str) -> None:
        self._what, self._start = what, time.monotonic()
        self._heard, self._is_over = threading.Event(), False

    def now(self, what: str, is_said: bool = True) -> None:
        """Changes what is being done; if not `is_said`, the silence and its seconds go on."""
        self._what = what
        if is_said:
            self.hush()

    def hush(self) -> None:
        """Begins the ten seconds anew: something else has been said."""
        self._start = time.monotonic()
        self._heard.set()

    def end(self) -> None:
        self._is_over = True
        self._heard.set()

    def run(self) -> None:
        pause = _FIRST
        while True:
            is_heard = self._heard.wait(pause)
            self._heard.clear()
            if self._is_over:
                return
            if is_heard:
                pause = _FIRST
            elif self._what and _tellers[-1:] == [self]:
                say(f"{self._what}, {time.monotonic() - self._start:.0f} s so far")
                pause = min(2 * pause, _LARGEST)


_tellers: list[Teller] = []  # the last one speaks


@contextlib.contextmanager
def telling(what: str) -> Iterator[Teller]:
    """While it lasts, says each ten seconds and then less often what is done, and for how long.

    Within another one that one is silent.
    """
    teller = Teller(what)
    thread = threading.Thread(target=teller.run, daemon=True)
    _tellers.append(teller)
    thread.start()
    try:
        yield teller
    finally:
        _tellers.remove(teller)
        for outer in _tellers[-1:]:
            outer.hush()
        teller.end()
        thread.join()
