# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What happens beside the training: records, evaluation, picture, checkpoints and the end.

Steps count from the beginning of the training, also where a run continues another: `CountFrom`
comes first and sees to it. What fails here is told in one line and does not end the training; the
checkpoint of a step is written before anything else is done there.
"""

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.train import Callback, RunContext

from src.model_utils.device_adapter import Device
from src.model_utils.errors import UserError
from src.model_utils.signals import (
    interrupt_sender,
    note_interrupt,
    steps_take_interrupts,
    taken_interrupt,
)
from src.training import resume
from src.training.metrics import Record, Recorder, read_records
from src.training.step import TrainStep
from src.visual import curves


@contextlib.contextmanager
def told_if_it_fails(what: str, and_then: str = "the training goes on") -> Iterator[None]:
    """Tells an error of what is done beside the training in one line, and lets it go on."""
    try:
        yield
    except Exception as error:  # of any kind: a full disk, a picture, a library, no memory
        print(f"error: {what}: {_sentence(error)}; {and_then}", flush=True)


class CountFrom(Callback):
    """Lets MindSpore count steps on from those that an earlier run has done."""

    def __init__(self, first_step: int) -> None:
        super().__init__()
        self._first_step = first_step

    def on_train_begin(self, run_context: RunContext) -> None:
        run_context.original_args().cur_step_num = self._first_step


class TrainingLog(Callback):
    """Makes a record of the training each time MindSpore returns, and prints the epochs' times.

    Args:
        rates: learning rate of every update.
        optimizer: its step count tells which of them was used last.
        steps_per_epoch, total_steps: batches of one epoch of the data and of the training.
        line_steps: steps between two records.
        images_per_step: images of one step on all devices.
        recorders: what takes the records, see `src.training.metrics`.
    """

    def __init__(
        self,
        rates: np.ndarray,
        optimizer: nn.Optimizer,
        steps_per_epoch: int,
        total_steps: int,
        line_steps: int,
        images_per_step: int,
        recorders: Sequence[Recorder],
    ) -> None:
        super().__init__()
        self._rates, self._optimizer = rates, optimizer
        self._steps_per_epoch, self._total_steps = steps_per_epoch, total_steps
        self._line_steps, self._images_per_step = line_steps, images_per_step
        self._recorders = recorders
        self._failing: set[Recorder] = set()
        self._start = self._epoch_start = self._line_start = 0.0
        self._epoch_step = self._line_step = 0
        self._has_compiled = False

    def on_train_begin(self, run_context: RunContext) -> None:
        self._start = self._epoch_start = self._line_start = time.monotonic()
        self._epoch_step = self._line_step = run_context.original_args().cur_step_num

    def on_train_step_end(self, run_context: RunContext) -> None:
        params = run_context.original_args()
        step, now = params.cur_step_num, time.monotonic()
        if not self._has_compiled:  # speeds and the time left leave it out, and so the first return
            self._has_compiled, self._line_start, self._line_step = True, now, step
        if step % self._line_steps == 0 or step == self._total_steps:
            self._record_step(step, now, params.net_outputs)
        is_epoch_end = _passes(self._steps_per_epoch, self._epoch_step, step)
        if is_epoch_end or step == self._total_steps:
            elapsed = (now - self._epoch_start) * 1000
            steps = step - self._epoch_step
            print(
                f"epoch time: {elapsed:.3f} ms, per step time: {elapsed / steps:.3f} ms", flush=True
            )
            self._epoch_start, self._epoch_step = now, step

    def _record_step(self, step: int, now: float, outputs: tuple[Tensor, ...]) -> None:
        loss, hm_loss, wh_loss, off_loss, overflow, scale = (
            output.asnumpy().item() for output in outputs
        )
        used = min(int(self._optimizer.global_step.asnumpy().item()), len(self._rates)) - 1
        epoch = math.ceil(step / self._steps_per_epoch)
        steps = step - self._line_step
        step_seconds = (now - self._line_start) / steps if steps else math.nan
        self._line_start, self._line_step = now, step
        self._hand_on(
            {
                "step": step,
                "epoch": epoch,
                "epoch_percent": (step - (epoch - 1) * self._steps_per_epoch)
                / self._steps_per_epoch,
                "loss": loss,
                "hm_loss": hm_loss,
                "wh_loss": wh_loss,
                "off_loss": off_loss,
                "lr": self._rates[max(used, 0)].item(),
                "overflow": overflow,
                "scale": scale,
                "images_per_second": self._images_per_step / step_seconds,
                "seconds_left": step_seconds * (self._total_steps - step),
                "seconds": now - self._start,
            }
        )

    def record_evaluation(
        self, step: int, numbers: dict[str, float], of_averages: bool, seconds: float
    ) -> None:
        """Makes a record of an evaluation that ended just now.

        Args:
            step: steps done before it.
            numbers: COCO's numbers by their names.
            of_averages: whether the averaged weights were evaluated.
            seconds: how long it took; speeds and epoch times leave that out.
        """
        self.leave_out(seconds)
        self._hand_on(
            {
                "step": step,
                "epoch": math.ceil(step / self._steps_per_epoch),
                **numbers,
                "of_averages": of_averages,
                "evaluation_seconds": seconds,
                "seconds": time.monotonic() - self._start,
            }
        )

    def leave_out(self, seconds: float) -> None:
        """Keeps the last so many seconds out of speeds and epoch times."""
        self._line_start += seconds
        self._epoch_start += seconds

    def _hand_on(self, record: Record) -> None:
        for recorder in self._recorders:
            try:
                recorder(record)
                self._failing.discard(recorder)
            except Exception as error:  # of any kind, see `told_if_it_fails`; here once in a row
                if recorder not in self._failing:
                    self._failing.add(recorder)
                    print(f"error: {_sentence(error)}; records get lost", flush=True)


class PeriodicEvaluation(Callback):
    """Evaluates what the training has come to, every so many steps and after the last.

    Of several processes only the first has it; the others wait for that one in the all-reduce of
    their next step.

    Args:
        evaluate: gives COCO's numbers by their names; None if it was broken off, as the training is
            about to be.
        log: takes the numbers.
        every_steps, total_steps: when.
        save_best: called with the step when AP is higher than ever before; None to write nothing.
        best_ap: the highest AP of the run that this one continues.
        of_averages: whether averaged weights are evaluated.
        is_owed: whether that run ended between its last checkpoint and the evaluation due there.
    """

    def __init__(
        self,
        evaluate: Callable[[], dict[str, float] | None],
        log: TrainingLog,
        every_steps: int,
        total_steps: int,
        save_best: Callable[[int], None] | None,
        best_ap: float = -math.inf,
        of_averages: bool = False,
        is_owed: bool = False,
    ) -> None:
        super().__init__()
        self._evaluate, self._log = evaluate, log
        self._every_steps, self._total_steps = every_steps, total_steps
        self._save_best, self._best_ap = save_best, best_ap
        self._of_averages, self._is_owed = of_averages, is_owed
        self._last_step = 0

    def on_train_begin(self, run_context: RunContext) -> None:
        self._last_step = run_context.original_args().cur_step_num
        if self._is_owed:
            self._run(self._last_step)

    def on_train_step_end(self, run_context: RunContext) -> None:
        step = run_context.original_args().cur_step_num
        is_due = _passes(self._every_steps, self._last_step, step) or step == self._total_steps
        self._last_step = step
        if is_due:
            self._run(step)

    def _run(self, step: int) -> None:
        start = time.monotonic()
        numbers: dict[str, float] | None = None
        with told_if_it_fails(f"evaluation after step {step}"):
            numbers = self._evaluate()
            if numbers is None:
                print(f"evaluation after step {step}: broken off", flush=True)
        seconds = time.monotonic() - start
        if numbers is None:
            self._log.leave_out(seconds)
            return
        self._log.record_evaluation(step, numbers, self._of_averages, seconds)
        if numbers["AP"] > self._best_ap:
            with told_if_it_fails("best checkpoint"):
                if self._save_best is not None:
                    self._save_best(step)
                self._best_ap = numbers["AP"]


class TrainingPicture(Callback):
    """Draws the records of a metrics file at the end of an epoch and of the training.

    Args:
        metrics_path: the file, see `MetricsFile`; what was recorded before a stop is in it.
        picture_path: the picture.
        steps_per_epoch, total_steps: of the training.
        pause: seconds without a picture after one. Drawing takes half a second, and epochs of a
            small data set not much more.
    """

    def __init__(
        self,
        metrics_path: Path,
        picture_path: Path,
        steps_per_epoch: int,
        total_steps: int,
        pause: float = 20.0,
    ) -> None:
        super().__init__()
        self._metrics_path, self._picture_path = metrics_path, picture_path
        self._steps_per_epoch, self._total_steps = steps_per_epoch, total_steps
        self._last_step = 0
        self._pause, self._drawn = pause, -math.inf

    def on_train_begin(self, run_context: RunContext) -> None:
        self._last_step = run_context.original_args().cur_step_num

    def on_train_step_end(self, run_context: RunContext) -> None:
        step = run_context.original_args().cur_step_num
        is_epoch_end = _passes(self._steps_per_epoch, self._last_step, step)
        self._last_step = step
        is_free = time.monotonic() >= self._drawn + self._pause
        if (is_epoch_end and is_free) or step == self._total_steps:
            with told_if_it_fails("picture of the training"):
                figure = curves.training_curves(read_records(self._metrics_path))
                curves.write_figure(self._picture_path, figure)
            self._drawn = time.monotonic()


class CheckpointKeeper(Callback):
    """Writes a checkpoint every so many steps and at the end, and keeps the newest.

    One that cannot be written, as on a full disk, or whose weights are not finite is told and left
    out: those before it stay. Only the last one is an error, `last_error`, see `EndTogether`.

    Args:
        writers: what writes the files of a checkpoint, by their names before -EPOCH_STEP.ckpt; each
            is called with path and step.
        folder: the files' folder. What an earlier run has left there counts among the newest.
        every_steps, keep: as save_checkpoint_steps and save_checkpoint_num.
        steps_per_epoch, total_steps: of the training.
        unit: steps between two that a training can go on from.
    """

    def __init__(
        self,
        writers: dict[str, Callable[[Path, int], None]],
        folder: Path,
        every_steps: int,
        keep: int,
        steps_per_epoch: int,
        total_steps: int,
        unit: int = 1,
    ) -> None:
        super().__init__()
        self._writers, self._folder = writers, folder
        self._every_steps, self._keep, self._unit = every_steps, keep, unit
        self._steps_per_epoch, self._total_steps = steps_per_epoch, total_steps
        self._last_step = self._last_saved = 0
        self.last_error: Exception | None = None

    def on_train_begin(self, run_context: RunContext) -> None:
        self._last_step = self._last_saved = run_context.original_args().cur_step_num

    def on_train_step_end(self, run_context: RunContext) -> None:
        step = run_context.original_args().cur_step_num
        is_due = _passes(self._every_steps, self._last_step, step) and step % self._unit == 0
        if is_due or step >= self._total_steps:
            self._last_step = step
            self.save(step)

    def save(self, step: int) -> None:
        """Writes the checkpoint of a step now, if that has not been done."""
        if step == self._last_saved:
            return
        try:
            self._write(step)
        except Exception as error:
            if step >= self._total_steps:
                self.last_error = error
                return
            print(
                f"error: {_sentence(error)}; the training goes on and keeps the checkpoints before",
                flush=True,
            )

    def _write(self, step: int) -> None:
        for name, write in self._writers.items():
            path = self._folder / self._file_name(name, step)
            write(path, step)
            print(f"checkpoint: {path}", flush=True)
        self._last_saved = step
        with told_if_it_fails("an older checkpoint"):
            older = [path for path in resume.numbered(self._folder) if resume.step_of(path) < step]
            for old in older[self._keep - 1 :]:
                for name in self._writers:
                    path = old.with_name(self._file_name(name, resume.step_of(old)))
                    path.unlink(missing_ok=True)

    def _file_name(self, name: str, step: int) -> str:
        return resume.file_name(name, step, self._steps_per_epoch)


class EndTogether(Callback):
    """Ends all processes with an error if the last checkpoint is not written, when all is done.

    Args:
        keeper: of the first process; None on the others, which ask it.
        device: this process.
    """

    def __init__(self, keeper: CheckpointKeeper | None, device: Device) -> None:
        super().__init__()
        self._keeper, self._device = keeper, device

    def on_train_end(self, run_context: RunContext) -> None:
        error = self._keeper.last_error if self._keeper else None
        if resume.told_by_first(error is not None, self._device) and error is None:
            error = UserError(
                "training: the first process could not write the last checkpoint; its log says "
                "why, and --resume goes on from the one before."
            )
        if error is not None:
            raise error


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
        print(f"training: stopped by {name} after step {step}; --resume goes on", flush=True)
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
                print(
                    f"training: SIGTERM, {why}; --resume goes on from the last checkpoint",
                    flush=True,
                )
                os._exit(128 + signal.SIGTERM)  # what waits in C++ cannot be stopped otherwise


class StopAt(Callback):
    """Ends the training after a number of steps."""

    def __init__(self, total_steps: int) -> None:
        super().__init__()
        self._total_steps = total_steps

    def on_train_step_end(self, run_context: RunContext) -> None:
        if run_context.original_args().cur_step_num >= self._total_steps:
            run_context.request_stop()


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    text = " ".join(str(error).split()).rstrip(".")[:300]
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}".rstrip(": ")


def _passes(interval: int, last_step: int, step: int) -> bool:
    """Whether a multiple of `interval` lies in (last_step, step]: with a data sink steps leap."""
    return step // interval > last_step // interval
