# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What happens beside the training: records, evaluation, picture, checkpoints and the end."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from mindspore import Parameter, Tensor, nn
from mindspore.train import Callback, RunContext

from src import visual
from src.model_utils.errors import UserError
from src.training import checkpoints
from src.training.metrics import Record, Recorder, read_records


class TrainingLog(Callback):
    """Makes a record of the training each time MindSpore returns, and prints the epochs' times.

    Args:
        rates: learning rate of every update.
        optimizer: its step count tells which of them was used last.
        steps_per_epoch, total_steps: batches of one epoch of the data and of the training.
        line_steps: steps between two records.
        images_per_step: images of one step on all devices.
        recorders: what takes the records, see `src.training.metrics`.
        first_step: steps done by the run that this one continues.
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
        first_step: int = 0,
    ) -> None:
        super().__init__()
        self._rates, self._optimizer = rates, optimizer
        self._steps_per_epoch, self._total_steps = steps_per_epoch, total_steps
        self._line_steps, self._images_per_step = line_steps, images_per_step
        self._recorders, self._first_step = recorders, first_step
        self._start = self._epoch_start = self._line_start = 0.0
        self._epoch_step = self._line_step = first_step

    def on_train_begin(self, run_context: RunContext) -> None:
        self._start = self._epoch_start = self._line_start = time.monotonic()

    def on_train_step_end(self, run_context: RunContext) -> None:
        params = run_context.original_args()
        step, now = self._first_step + params.cur_step_num, time.monotonic()
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
        step_seconds = (now - self._line_start) / (step - self._line_step)
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

    def record_evaluation(self, step: int, numbers: dict[str, float], seconds: float) -> None:
        """Makes a record of an evaluation that ended just now.

        Args:
            step: steps done before it.
            numbers: COCO's numbers by their names.
            seconds: how long it took; speeds and epoch times leave that out.
        """
        self._line_start += seconds
        self._epoch_start += seconds
        self._hand_on(
            {
                "step": step,
                "epoch": math.ceil(step / self._steps_per_epoch),
                **numbers,
                "evaluation_seconds": seconds,
                "seconds": time.monotonic() - self._start,
            }
        )

    def _hand_on(self, record: Record) -> None:
        for recorder in self._recorders:
            recorder(record)


class PeriodicEvaluation(Callback):
    """Evaluates the network every so many steps and after the last.

    It stands before the callback that writes checkpoints: what a checkpoint continues from is then
    recorded already. Of several processes only the first has it; the others wait for that one in
    the all-reduce of their next step.

    Args:
        evaluate: gives COCO's numbers of the network as it is, by their names.
        step: the training step, which goes on in training mode.
        log: takes the numbers.
        every_steps, total_steps: when.
        save_best: called when AP is higher than ever before.
        best_ap: the highest AP before `first_step`.
        first_step: steps done by the run that this one continues.
    """

    def __init__(
        self,
        evaluate: Callable[[], dict[str, float]],
        step: nn.Cell,
        log: TrainingLog,
        every_steps: int,
        total_steps: int,
        save_best: Callable[[], None],
        best_ap: float = -math.inf,
        first_step: int = 0,
    ) -> None:
        super().__init__()
        self._evaluate, self._step, self._log = evaluate, step, log
        self._every_steps, self._total_steps = every_steps, total_steps
        self._save_best, self._best_ap = save_best, best_ap
        self._first_step = self._last_step = first_step

    def on_train_step_end(self, run_context: RunContext) -> None:
        step = self._first_step + run_context.original_args().cur_step_num
        is_due = _passes(self._every_steps, self._last_step, step) or step == self._total_steps
        self._last_step = step
        if not is_due:
            return
        start = time.monotonic()
        numbers = self._evaluate()
        # MindSpore sets the mode once, before the first step. The compiled step stays as it is, but
        # whatever compiles it again would find BatchNorm in inference mode.
        self._step.set_train(True)
        self._log.record_evaluation(step, numbers, time.monotonic() - start)
        if numbers["AP"] > self._best_ap:
            self._best_ap = numbers["AP"]
            self._save_best()


class TrainingPicture(Callback):
    """Draws the records of a metrics file at the end of an epoch and of the training.

    Args:
        metrics_path: the file, see `MetricsFile`; what was recorded before a stop is in it.
        picture_path: the picture.
        steps_per_epoch, total_steps: of the training.
        first_step: steps done by the run that this one continues.
        pause: seconds without a picture after one. Drawing takes half a second, and epochs of a
            small data set not much more.
    """

    def __init__(
        self,
        metrics_path: Path,
        picture_path: Path,
        steps_per_epoch: int,
        total_steps: int,
        first_step: int = 0,
        pause: float = 20.0,
    ) -> None:
        super().__init__()
        self._metrics_path, self._picture_path = metrics_path, picture_path
        self._steps_per_epoch, self._total_steps = steps_per_epoch, total_steps
        self._first_step = self._last_step = first_step
        self._pause, self._drawn = pause, -math.inf

    def on_train_step_end(self, run_context: RunContext) -> None:
        step = self._first_step + run_context.original_args().cur_step_num
        is_epoch_end = _passes(self._steps_per_epoch, self._last_step, step)
        self._last_step = step
        is_free = time.monotonic() >= self._drawn + self._pause
        if (is_epoch_end and is_free) or step == self._total_steps:
            figure = visual.training_curves(read_records(self._metrics_path))
            visual.write_figure(self._picture_path, figure)
            self._drawn = time.monotonic()


class CheckpointKeeper(Callback):
    """Writes a checkpoint every so many steps and at the end, and keeps the newest.

    Args:
        network: the cell whose parameters are written.
        folder, name: files are FOLDER/NAME-EPOCH_STEP.ckpt.
        every_steps, keep: as save_checkpoint_steps and save_checkpoint_num.
        steps_per_epoch, total_steps: of the training.
        ema_weights: averaged parameters by the network's names, if there are any; they are written
            beside, as FOLDER/NAME_ema-EPOCH_STEP.ckpt.
    """

    def __init__(
        self,
        network: nn.Cell,
        folder: Path,
        name: str,
        every_steps: int,
        keep: int,
        steps_per_epoch: int,
        total_steps: int,
        ema_weights: Callable[[], Iterable[tuple[str, Parameter]]] | None = None,
    ) -> None:
        super().__init__()
        self._weights = {name: network.parameters_and_names}
        if ema_weights is not None:
            self._weights[f"{name}_ema"] = ema_weights
        self._folder, self._every_steps, self._keep = folder, every_steps, keep
        self._steps_per_epoch, self._total_steps = steps_per_epoch, total_steps
        self._last_saved = 0
        self._written: list[list[Path]] = []

    def on_train_step_end(self, run_context: RunContext) -> None:
        step = run_context.original_args().cur_step_num
        if _passes(self._every_steps, self._last_saved, step) or step >= self._total_steps:
            self.save(step)

    def save(self, step: int) -> None:
        """Writes the checkpoint of a step now."""
        epoch = math.ceil(step / self._steps_per_epoch)
        paths = []
        for name, weights in self._weights.items():
            paths.append(self._folder / f"{name}-{epoch}_{step}.ckpt")
            checkpoints.save(weights(), paths[-1])
            print(f"checkpoint: {paths[-1]}", flush=True)
        self._last_saved = step
        self._written.append(paths)
        while len(self._written) > self._keep:
            for path in self._written.pop(0):
                path.unlink(missing_ok=True)


class StopAtBadSteps(Callback):
    """Ends a training that learns nothing any more, with a checkpoint and an error.

    Args:
        bad_steps: the training step's count of consecutive bad batches.
        max_bad_steps: as in train_config.
        save: writes the checkpoint of a step; None where this process writes none.
    """

    def __init__(
        self, bad_steps: Parameter, max_bad_steps: int, save: Callable[[int], None] | None
    ) -> None:
        super().__init__()
        self._bad_steps, self._max_bad_steps, self._save = bad_steps, max_bad_steps, save

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
            "scale and start from an earlier checkpoint."
        )


class StopAt(Callback):
    """Ends the training after a number of steps."""

    def __init__(self, total_steps: int) -> None:
        super().__init__()
        self._total_steps = total_steps

    def on_train_step_end(self, run_context: RunContext) -> None:
        if run_context.original_args().cur_step_num >= self._total_steps:
            run_context.request_stop()


def _passes(interval: int, last_step: int, step: int) -> bool:
    """Whether a multiple of `interval` lies in (last_step, step]: with a data sink steps leap."""
    return step // interval > last_step // interval
