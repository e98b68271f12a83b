# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What a training tells of itself: its first batch, then lines, records and their picture."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import mindspore.dataset as ds
import numpy as np
from mindspore import Tensor, nn
from mindspore.train import Callback, RunContext

from src.data.objects import table_boxes
from src.model_utils.errors import in_one_line
from src.model_utils.messages import say
from src.model_utils.progress import Teller
from src.tasks.columns import CLASS, POINTS_OF_OBJECT, points_of
from src.tasks.task import Task
from src.training.asides import told_if_it_fails
from src.training.counting import Plan, passes
from src.training.metrics import Record, Recorder, read_records
from src.visual import curves, pictures


def draw_first_batch(
    dataset: ds.Dataset, class_names: Sequence[str], down_ratio: int, folder: Path, task: Task
) -> None:
    """Writes the images of the first batch, warped as the network gets them, with their objects."""
    image, _, objects = next(dataset.create_tuple_iterator(num_epochs=1, output_numpy=True))
    for position, (picture, table) in enumerate(zip(image, objects, strict=True)):
        boxes = table_boxes(table) * [down_ratio, down_ratio, down_ratio, down_ratio, 1]
        points = points_of(table[table[:, CLASS] >= 0], POINTS_OF_OBJECT)
        points = points * (down_ratio, down_ratio, 2)  # a table does not say which are hidden
        drawn = pictures.draw_boxes(picture, boxes, class_names, points=points, task=task)
        pictures.write_picture(folder / f"train_{position:03d}.jpg", drawn)
    say(f"pictures of the first batch: {folder}")


class StepTeller(Callback):
    """Tells what the training does where its next line takes long.

    Args:
        teller: tells it.
        plan: of the training.
    """

    def __init__(self, teller: Teller, plan: Plan) -> None:
        super().__init__()
        self._teller, self._plan, self._step = teller, plan, 0
        self._compiling_since: float | None = None
        self._has_compiled = False

    def on_train_begin(self, run_context: RunContext) -> None:
        self._step = run_context.original_args().cur_step_num
        self._teller.now("reading the first batch")

    def on_train_step_begin(self, run_context: RunContext) -> None:
        if self._compiling_since is None:
            self._compiling_since = time.monotonic()
            say("compiling the training step: once, before the first one")
            self._teller.now("compiling the training step")

    def on_train_step_end(self, run_context: RunContext) -> None:
        step = run_context.original_args().cur_step_num
        returned, self._step = step - self._step, step
        if self._compiling_since is not None and not self._has_compiled:
            first = "the first step" if returned == 1 else f"the first {returned} steps"
            seconds = time.monotonic() - self._compiling_since
            say(f"compiled; {first} done after {seconds:.1f} s")
            self._has_compiled = True
        # With a data sink MindSpore comes back after many steps, with a line.
        ahead = f"{returned} steps at once, " if returned > 1 else ""
        epoch, inside = divmod(step - 1, self._plan.steps_per_epoch)
        self._teller.now(
            f"{ahead}after step {inside + 1} of {self._plan.steps_per_epoch} of epoch {epoch + 1}, "
            f"{step} of {self._plan.total_steps} in all",
            is_said=step % self._plan.line_steps == 0,
        )


class TrainingLog(Callback):
    """Makes a record of the training each time MindSpore returns, and prints the epochs' times.

    Args:
        plan: of the training.
        rates: learning rate of every update.
        optimizer: its step count tells which of them was used last.
        loss_names: the parts of the loss, in the order in which the step gives them.
        recorders: what takes the records, see `src.training.metrics`.
    """

    def __init__(
        self,
        plan: Plan,
        rates: np.ndarray,
        optimizer: nn.Optimizer,
        loss_names: Sequence[str],
        recorders: Sequence[Recorder],
    ) -> None:
        super().__init__()
        self._plan, self._rates, self._optimizer = plan, rates, optimizer
        self._loss_names, self._recorders = loss_names, recorders
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
        if step % self._plan.line_steps == 0 or step == self._plan.total_steps:
            self._record_step(step, now, params.net_outputs)
        is_epoch_end = passes(self._plan.steps_per_epoch, self._epoch_step, step)
        if is_epoch_end or step == self._plan.total_steps:
            elapsed = (now - self._epoch_start) * 1000
            steps = step - self._epoch_step
            say(f"epoch time: {elapsed:.3f} ms, per step time: {elapsed / steps:.3f} ms")
            self._epoch_start, self._epoch_step = now, step

    def _record_step(self, step: int, now: float, outputs: tuple[Tensor, ...]) -> None:
        losses, overflow, scale = (output.asnumpy().tolist() for output in outputs)
        used = min(int(self._optimizer.global_step.asnumpy().item()), len(self._rates)) - 1
        epoch = math.ceil(step / self._plan.steps_per_epoch)
        steps = step - self._line_step
        step_seconds = (now - self._line_start) / steps if steps else math.nan
        self._line_start, self._line_step = now, step
        self._hand_on(
            {
                "step": step,
                "epoch": epoch,
                "epoch_percent": (step - (epoch - 1) * self._plan.steps_per_epoch)
                / self._plan.steps_per_epoch,
                **dict(zip(("loss", *self._loss_names), losses, strict=True)),
                "lr": self._rates[max(used, 0)].item(),
                "overflow": overflow,
                "scale": scale,
                "images_per_second": self._plan.images_per_step / step_seconds,
                "seconds_left": step_seconds * (self._plan.total_steps - step),
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
                "epoch": math.ceil(step / self._plan.steps_per_epoch),
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
                    say(f"error: {in_one_line(error)}; records get lost")


class TrainingPicture(Callback):
    """Draws the records of a metrics file at the end of an epoch and of the training.

    Args:
        metrics_path: the file, see `MetricsFile`; what was recorded before a stop is in it.
        picture_path: the picture.
        plan: of the training.
        pause: seconds without a picture after one. Drawing takes half a second, and epochs of a
            small data set not much more.
    """

    def __init__(
        self,
        metrics_path: Path,
        picture_path: Path,
        plan: Plan,
        pause: float = 20.0,
    ) -> None:
        super().__init__()
        self._metrics_path, self._picture_path = metrics_path, picture_path
        self._plan, self._last_step = plan, 0
        self._pause, self._drawn = pause, -math.inf

    def on_train_begin(self, run_context: RunContext) -> None:
        self._last_step = run_context.original_args().cur_step_num

    def on_train_step_end(self, run_context: RunContext) -> None:
        step = run_context.original_args().cur_step_num
        is_epoch_end = passes(self._plan.steps_per_epoch, self._last_step, step)
        self._last_step = step
        is_free = time.monotonic() >= self._drawn + self._pause
        if (is_epoch_end and is_free) or step == self._plan.total_steps:
            with told_if_it_fails("picture of the training"):
                figure = curves.training_curves(read_records(self._metrics_path))
                curves.write_figure(self._picture_path, figure)
            self._drawn = time.monotonic()
