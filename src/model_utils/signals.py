# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""SIGINT while MindSpore trains."""

import signal


def hold_interrupts() -> None:
    """Lets SIGINT wait, in this thread and all that are started from now on, until it is taken.

    While a step runs MindSpore has a handler of its own, which makes it a SIGTERM; it would get the
    signal in any thread that does not let it wait.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])


def taken_interrupt() -> bool:
    """Whether SIGINT has come since `hold_interrupts`, or since it was taken last."""
    return signal.sigtimedwait([signal.SIGINT], 0) is not None
