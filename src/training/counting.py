# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""How a training counts its steps: from its beginning, also where a run continues another."""

import math
from dataclasses import dataclass

from mindspore.train import Callback, RunContext

from src.model_utils.messages import say
from src.model_utils.parameters import Config


@dataclass(frozen=True)
class Plan:
    """How long a training is, for what happens between its steps.

    steps_per_epoch, total_steps: batches of one epoch of the data and of the training.
    line_steps: steps between two results that Python sees, and so between two records.
    images_per_step: images of one step on all devices.
    """

    steps_per_epoch: int
    total_steps: int
    line_steps: int
    images_per_step: int


def steps_between_returns(
    config: Config, total_steps: int, steps_per_epoch: int, first_step: int = 0
) -> int:
    """Steps between two results that Python sees: 1, or the data sink's.

    Those divide the total, and the steps that an earlier run has done.
    """
    if not config.enable_data_sink:
        return 1
    wanted = config.data_sink_steps if config.data_sink_steps > 0 else steps_per_epoch
    steps = math.gcd(min(wanted, total_steps), total_steps, first_step)
    if steps != wanted:
        done = f" and the {first_step} done" if first_step else ""
        say(
            f"data sink: {steps} steps at a time, as {wanted} do not divide {total_steps} steps"
            f"{done}"
        )
    return steps


class CountFrom(Callback):
    """Lets MindSpore count steps on from those that an earlier run has done."""

    def __init__(self, first_step: int) -> None:
        super().__init__()
        self._first_step = first_step

    def on_train_begin(self, run_context: RunContext) -> None:
        run_context.original_args().cur_step_num = self._first_step


def passes(interval: int, last_step: int, step: int) -> bool:
    """Whether a multiple of `interval` lies in (last_step, step]: with a data sink steps leap."""
    return step // interval > last_step // interval
