# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Evaluations between the steps of a training."""

import math
import time
from collections.abc import Callable, Iterator

from mindspore import Parameter, nn
from mindspore.train import Callback, RunContext

from src.model_utils.messages import say
from src.training.asides import told_if_it_fails
from src.training.counting import Plan, passes
from src.training.log import TrainingLog
from src.training.step import TrainStep

# Asks now and then whether to break off; gives COCO's numbers by their names, or None if it did.
# Of several processes all have to call it, and the first alone gets numbers.
Evaluate = Callable[[Callable[[], bool]], dict[str, float] | None]


def evaluated_weights(network: nn.Cell, step: TrainStep) -> Iterator[tuple[str, Parameter]]:
    """What a training is evaluated by, by structural names: averages where it keeps them."""
    if step.averages_weights:
        return step.ema_weights(network)
    return network.parameters_and_names()


class PeriodicEvaluation(Callback):
    """Evaluates what the training has come to, every so many steps and after the last.

    Of several processes all have it, as they share the images. The others wait for the first, which
    scores what all have found, in the all-reduce of their next step.

    Args:
        evaluate: gives COCO's numbers by their names, on other processes than the first none; None
            if it was broken off, as the training is about to be.
        log: takes the numbers.
        plan: of the training.
        every_steps: when, beside its end.
        save_best: called with the step when AP (of poses that of the points) is higher than ever
            before; None to write nothing.
        best_ap: the highest AP of the run that this one continues.
        of_averages: whether averaged weights are evaluated.
        is_owed: whether that run ended between its last checkpoint and the evaluation due there.
    """

    def __init__(
        self,
        evaluate: Callable[[], dict[str, float] | None],
        log: TrainingLog,
        plan: Plan,
        every_steps: int,
        save_best: Callable[[int], None] | None,
        *,
        best_ap: float = -math.inf,
        of_averages: bool = False,
        is_owed: bool = False,
    ) -> None:
        super().__init__()
        self._evaluate, self._log = evaluate, log
        self._every_steps, self._total_steps = every_steps, plan.total_steps
        self._save_best, self._best_ap = save_best, best_ap
        self._of_averages, self._is_owed = of_averages, is_owed
        self._last_step = 0

    def on_train_begin(self, run_context: RunContext) -> None:
        self._last_step = run_context.original_args().cur_step_num
        if self._is_owed:
            self._run(self._last_step)

    def on_train_step_end(self, run_context: RunContext) -> None:
        step = run_context.original_args().cur_step_num
        is_due = passes(self._every_steps, self._last_step, step) or step == self._total_steps
        self._last_step = step
        if is_due:
            self._run(step)

    def _run(self, step: int) -> None:
        start = time.monotonic()
        numbers: dict[str, float] | None = None
        with told_if_it_fails(f"evaluation after step {step}"):
            numbers = self._evaluate()
            if numbers is None:
                say(f"evaluation after step {step}: broken off")
        seconds = time.monotonic() - start
        if not numbers:
            self._log.leave_out(seconds)
            return
        self._log.record_evaluation(step, numbers, self._of_averages, seconds)
        if numbers["AP"] > self._best_ap:
            with told_if_it_fails("best checkpoint"):
                if self._save_best is not None:
                    self._save_best(step)
                self._best_ap = numbers["AP"]
