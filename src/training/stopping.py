# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What ends a training: its last step, a signal, or batches that teach it nothing."""

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

import mindspore as ms
from mindspore import Tensor, ops
from mindspore.train import Callback, RunContext

from src.model_utils.errors import UserError
from src.model_utils.messages import say
from src.model_utils.signals import (
    interrupt_sender,
    note_interrupt,
    steps_take_interrupts,
    taken_interrupt,
)
from src.training.step import TrainStep


class StopAtBadSteps(Callback):
    """Ends a training that learns nothing any more, with a checkpoint and an error.

    Args:
        step_cell: its count of consecutive bad batches is watched.
        max_bad_steps: as in train_config.
        save: writes what the training has come to, at a step, apart from the checkpoints to go on
            from; None where this process writes none.
    """

    def __init__(
        self, step_cell: TrainStep, max_bad_steps: int, save: Callable[[int], None] | None
    ) -> None:
        super().__init__()
        self._bad_steps, self._max_bad_steps = step_cell.bad_steps, max_bad_steps
        self._save = save

    def on_train_step_end(self, run_context: RunContext) -> None:
        bad = int(self._bad_steps.asnumpy().item())
        if bad < self._max_bad_steps:
            return
        step = run_context.original_args().cur_step_num
        if self._save is not None:
            self._save(step)
        raise UserError(
            f"training: up to step {step}, {bad} batches in a row had a loss that was not finite, "
            "or overflowed at a scale that cannot be lowered; lower the learning rate or the loss "
            "scale and --resume, or start from an earlier checkpoint."
        )


class StopOnSignal(Callback):
    """Ends the training after the step in which SIGTERM or SIGINT comes, with a checkpoint.

    Within `handling` SIGTERM is its own; SIGINT is watched, see `src.model_utils.signals`. Of
    several processes all stop after the same step, whichever of them the signal reaches. Further
    signals change nothing: a terminal and a launcher may both send theirs.

    A process may be waiting for one that is gone: MindSpore, when it has lost another server, sends
    its own process a SIGTERM. So one of several ends, without a checkpoint, if after the signal no
    step ends in three times the longest, or `patience` seconds if that is longer. Before the first
    step has ended there is nothing to write, and any process ends `first_patience` seconds after a
    signal, whatever is being compiled.

    Args:
        step_cell: the training step, over which processes agree.
        total_steps: of the training.
        save: writes the checkpoint of a step; None where this process writes none.
    """

    patience, first_patience = 20.0, 3.0

    def __init__(
        self, step_cell: TrainStep, total_steps: int, save: Callable[[int], None] | None
    ) -> None:
        super().__init__()
        self._step, self._total_steps, self._save = step_cell, total_steps, save
        self._received = 0
        self._step_ended, self._step_start, self._longest = threading.Event(), math.nan, 0.0
        self.exit_code = 0  # 128 + the signal's number, once it has ended the training

    @contextlib.contextmanager
    def handling(self) -> Iterator[None]:
        """While SIGTERM is this object's. (MindSpore enters and leaves callbacks themselves.)"""
        before = signal.signal(signal.SIGTERM, self._receive)
        try:
            with self._watching():
                yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def is_requested(self) -> bool:
        """Whether the training is to stop, as far as this process knows."""
        if taken_interrupt():
            self._receive(signal.SIGINT, None)
        return self._received > 0

    def on_train_step_end(self, run_context: RunContext) -> None:
        steps_take_interrupts()
        self._step_ended.set()
        now = time.monotonic()
        if not math.isnan(self._step_start):  # the first compiles
            self._longest = max(self._longest, now - self._step_start)
        self._step_start = now
        step = run_context.original_args().cur_step_num
        is_requested = self.is_requested()
        if step >= self._total_steps or not self._stops(is_requested):
            return
        if self._save is not None:
            self._save(step)
        self.exit_code = 128 + (self._received or signal.SIGTERM)
        name = signal.Signals(self.exit_code - 128).name
        if self._received == signal.SIGINT:
            name += interrupt_sender()
        say(f"training: stopped by {name} after step {step}; --resume goes on")
        run_context.request_stop()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = self._received or number

    def _stops(self, is_requested: bool) -> bool:
        if not self._step.is_distributed:
            return is_requested
        if is_requested:
            # Not set_data, which a branch of the compiled step does not see.
            ops.assign(self._step.stop_requested, Tensor(1.0, ms.float32))
        return bool(self._step.stop_agreed.asnumpy().item())

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        # The handler waits until a step has ended; what comes through this pipe does not.
        signals, signalled = os.pipe()
        os.set_blocking(signalled, False)  # as set_wakeup_fd wants it
        before = signal.set_wakeup_fd(signalled)
        watcher = threading.Thread(target=self._watch, args=(signals,), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            self._step_ended.set()
            os.close(signalled)
            watcher.join()
            os.close(signals)

    def _watch(self, signals: int) -> None:
        """Ends the process if no step ends after a SIGTERM."""
        while number := os.read(signals, 1):
            self._step_ended.clear()
            if number[0] == signal.SIGINT:
                note_interrupt()
            if number[0] != signal.SIGTERM:
                continue
            if math.isnan(self._step_start):
                patience, why = self.first_patience, "before the first step has ended"
            elif self._step.is_distributed:
                patience = max(self.patience, 3 * self._longest)
                why = f"and no step ended in {patience:.0f} s: another process is gone or hangs"
            else:
                continue
            if not self._step_ended.wait(patience):
                say(f"training: SIGTERM, {why}; --resume goes on from the last checkpoint")
                os._exit(128 + signal.SIGTERM)  # what waits in C++ cannot be stopped otherwise


class StopAt(Callback):
    """Ends the training after a number of steps."""

    def __init__(self, total_steps: int) -> None:
        super().__init__()
        self._total_steps = total_steps

    def on_train_step_end(self, run_context: RunContext) -> None:
        if run_context.original_args().cur_step_num >= self._total_steps:
            run_context.request_stop()
