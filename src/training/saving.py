# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The checkpoints of a training: what is in their files, when they are written, which are kept."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mindspore import nn
from mindspore.train import Callback, RunContext

from src.model_utils.device_adapter import Device
from src.model_utils.errors import UserError, in_one_line
from src.model_utils.facts import facts_of
from src.model_utils.messages import say
from src.model_utils.parameters import Config
from src.training import resume
from src.training.asides import told_if_it_fails
from src.training.counting import Plan, passes
from src.training.step import TrainStep
from src.weights import checkpoints


class Saver:
    """Writes the files that hold a training after a step: with all, or the averaged weights alone.

    Args:
        config: of the training.
        network, step: what is trained, and the training step around it.
        start: where this run begins.
    """

    def __init__(
        self, config: Config, network: nn.Cell, step: TrainStep, start: resume.Progress
    ) -> None:
        self._config, self._network, self._step, self._start = config, network, step, start
        self.folder = resume.checkpoint_folder(config)
        self.best = self.folder / "best.ckpt"  # of the evaluations

    def save(self, path: Path, steps: int) -> None:
        """Raises UserError, and writes nothing, if the training has diverged."""
        resume.check(path, self._network, self._step)
        self._write(path, steps)

    def _write(self, path: Path, steps: int) -> None:
        progress = replace(self._start, step=steps)
        resume.save(path, self._network, self._step, progress, self._config)

    def save_averages(self, path: Path, steps: int) -> None:
        facts = {checkpoints.MODEL: json.dumps(facts_of(self._config))}
        checkpoints.save(self._step.ema_weights(self._network), path, facts)

    def save_best(self, steps: int) -> None:
        """Writes what was evaluated: averages alone, else all."""
        write, what = self.save, ""
        if self._step.averages_weights:
            write, what = self.save_averages, ", averaged weights"
        write(self.best, steps)
        say(f"best checkpoint so far: {self.best}{what}")

    def save_bad(self, steps: int) -> None:
        self._write(self.folder / "bad.ckpt", steps)
        say(f"checkpoint of the bad state: {self.folder / 'bad.ckpt'}")


class CheckpointKeeper(Callback):
    """Writes a checkpoint every so many steps and at the end, and keeps the newest.

    One that cannot be written, as on a full disk, or whose weights are not finite is told and left
    out: those before it stay. Only the last one is an error, `last_error`, see `EndTogether`.

    Args:
        writers: what writes the files of a checkpoint, by their names before -EPOCH_STEP.ckpt; each
            is called with path and step.
        folder: the files' folder. What an earlier run has left there counts among the newest.
        plan: of the training.
        every_steps, keep: as save_checkpoint_steps and save_checkpoint_num.
        unit: steps between two that a training can go on from.
    """

    def __init__(
        self,
        writers: dict[str, Callable[[Path, int], None]],
        folder: Path,
        plan: Plan,
        every_steps: int,
        keep: int,
        unit: int = 1,
    ) -> None:
        super().__init__()
        self._writers, self._folder, self._plan = writers, folder, plan
        self._every_steps, self._keep, self._unit = every_steps, keep, unit
        self._last_step = self._last_saved = 0
        self.last_error: Exception | None = None

    def on_train_begin(self, run_context: RunContext) -> None:
        self._last_step = self._last_saved = run_context.original_args().cur_step_num

    def on_train_step_end(self, run_context: RunContext) -> None:
        step = run_context.original_args().cur_step_num
        is_due = passes(self._every_steps, self._last_step, step) and step % self._unit == 0
        if is_due or step >= self._plan.total_steps:
            self._last_step = step
            self.save(step)

    def save(self, step: int) -> None:
        """Writes the checkpoint of a step now, if that has not been done."""
        if step == self._last_saved:
            return
        try:
            self._write(step)
        except Exception as error:
            if step >= self._plan.total_steps:
                self.last_error = error
                return
            problem = in_one_line(error)
            say(f"error: {problem}; the training goes on and keeps the checkpoints before")

    def _write(self, step: int) -> None:
        for name, write in self._writers.items():
            path = self._folder / self._file_name(name, step)
            write(path, step)
            say(f"checkpoint: {path}")
        self._last_saved = step
        with told_if_it_fails("an older checkpoint"):
            older = [path for path in resume.numbered(self._folder) if resume.step_of(path) < step]
            for old in older[self._keep - 1 :]:
                for name in self._writers:
                    path = old.with_name(self._file_name(name, resume.step_of(old)))
                    path.unlink(missing_ok=True)

    def _file_name(self, name: str, step: int) -> str:
        return resume.file_name(name, step, self._plan.steps_per_epoch)


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
