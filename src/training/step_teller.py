# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What a training says between its lines: that it compiles, and how far it is."""

import time

from mindspore.train import Callback, RunContext

from src.model_utils.progress import Teller, say


class StepTeller(Callback):
    """Tells what the training does where its next line takes long.

    Args:
        teller: tells it.
        first_step: steps that an earlier run has done.
        steps_per_epoch, total_steps: of the training.
        line_steps: steps between two lines.
    """

    def __init__(
        self,
        teller: Teller,
        first_step: int,
        steps_per_epoch: int,
        total_steps: int,
        line_steps: int,
    ) -> None:
        super().__init__()
        self._teller, self._step, self._line_steps = teller, first_step, line_steps
        self._steps_per_epoch, self._total_steps = steps_per_epoch, total_steps
        self._compiling_since: float | None = None
        self._has_compiled = False

    def on_train_begin(self, run_context: RunContext) -> None:
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
        inside = (step - 1) % self._steps_per_epoch + 1
        self._teller.now(
            f"{ahead}after step {inside} of {self._steps_per_epoch} of epoch "
            f"{(step - 1) // self._steps_per_epoch + 1}, {step} of {self._total_steps} in all",
            is_said=step % self._line_steps == 0,
        )
