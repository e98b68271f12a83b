# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What happens beside the training: the log, the checkpoints and the end."""

import math
import time
from pathlib import Path

import numpy as np
from mindspore import Tensor, nn
from mindspore.train import Callback, RunContext

from src.training import checkpoints


class TrainingLog(Callback):
    """Prints the ModelZoo document's lines: one each time MindSpore returns, one an epoch.

    Args:
        rates: learning rate of every update.
        optimizer: its step count tells which of them was used last.
        steps_per_epoch, total_steps: batches of one epoch of the data and of the training.
        line_steps: steps between two lines.
        images_per_step: images of one step on all devices.
    """

    def __init__(
        self,
        rates: np.ndarray,
        optimizer: nn.Optimizer,
        steps_per_epoch: int,
        total_steps: int,
        line_steps: int,
        images_per_step: int,
    ) -> None:
        super().__init__()
        self._rates, self._optimizer = rates, optimizer
        self._steps_per_epoch, self._total_steps = steps_per_epoch, total_steps
        self._line_steps, self._images_per_step = line_steps, images_per_step
        self._epoch_start = self._line_start = 0.0
        self._epoch_step = self._line_step = 0

    def on_train_begin(self, run_context: RunContext) -> None:
        self._epoch_start = self._line_start = time.monotonic()

    def on_train_step_end(self, run_context: RunContext) -> None:
        params = run_context.original_args()
        step, now = params.cur_step_num, time.monotonic()
        if step % self._line_steps == 0 or step == self._total_steps:
            self._print_line(step, now, params.net_outputs)
        epochs, last_epochs = (s // self._steps_per_epoch for s in (step, self._epoch_step))
        if epochs > last_epochs or step == self._total_steps:
            elapsed = (now - self._epoch_start) * 1000
            steps = step - self._epoch_step
            print(
                f"epoch time: {elapsed:.3f} ms, per step time: {elapsed / steps:.3f} ms", flush=True
            )
            self._epoch_start, self._epoch_step = now, step

    def _print_line(self, step: int, now: float, outputs: tuple[Tensor, ...]) -> None:
        loss, hm_loss, wh_loss, off_loss, overflow, scale = (
            output.asnumpy().item() for output in outputs
        )
        used = min(int(self._optimizer.global_step.asnumpy().item()), len(self._rates)) - 1
        epoch = math.ceil(step / self._steps_per_epoch)
        percent = (step - (epoch - 1) * self._steps_per_epoch) / self._steps_per_epoch
        seconds = (now - self._line_start) / (step - self._line_step)
        print(
            f"epoch: {epoch}, current epoch percent: {percent:.3f}, step: {step}, "
            f"loss: {loss:.5f}, hm_loss: {hm_loss:.5f}, wh_loss: {wh_loss:.5f}, "
            f"off_loss: {off_loss:.5f}, lr: {self._rates[max(used, 0)]:.3e}, "
            f"overflow: {overflow}, scale: {scale:g}, "
            f"images/s: {self._images_per_step / seconds:.1f}, "
            f"time left: {_clock(seconds * (self._total_steps - step))}",
            flush=True,
        )
        self._line_start, self._line_step = now, step


class CheckpointKeeper(Callback):
    """Writes a checkpoint every so many steps and at the end, and keeps the newest.

    Args:
        network: the cell whose parameters are written.
        folder, name: files are FOLDER/NAME-EPOCH_STEP.ckpt.
        every_steps, keep: as save_checkpoint_steps and save_checkpoint_num.
        steps_per_epoch, total_steps: of the training.
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
    ) -> None:
        super().__init__()
        self._network, self._folder, self._name = network, folder, name
        self._every_steps, self._keep = every_steps, keep
        self._steps_per_epoch, self._total_steps = steps_per_epoch, total_steps
        self._last_saved = 0
        self._written: list[Path] = []

    def on_train_step_end(self, run_context: RunContext) -> None:
        step = run_context.original_args().cur_step_num
        is_due = step // self._every_steps > self._last_saved // self._every_steps
        if not is_due and step < self._total_steps:
            return
        epoch = math.ceil(step / self._steps_per_epoch)
        path = self._folder / f"{self._name}-{epoch}_{step}.ckpt"
        checkpoints.save(self._network, path)
        self._last_saved = step
        self._written.append(path)
        print(f"checkpoint: {path}", flush=True)
        while len(self._written) > self._keep:
            self._written.pop(0).unlink(missing_ok=True)


class StopAt(Callback):
    """Ends the training after a number of steps."""

    def __init__(self, total_steps: int) -> None:
        super().__init__()
        self._total_steps = total_steps

    def on_train_step_end(self, run_context: RunContext) -> None:
        if run_context.original_args().cur_step_num >= self._total_steps:
            run_context.request_stop()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
