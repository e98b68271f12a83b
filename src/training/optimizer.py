# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Learning rate schedules and the optimizer."""

from collections.abc import Sequence

import numpy as np
from mindspore import Tensor, nn

from src.model_utils.parameters import TrainConfig


def warm_up(total_steps: int, warmup_steps: int) -> np.ndarray:
    """Factors (total_steps,) that rise linearly to 1, reached at step number `warmup_steps`."""
    return np.minimum(1.0, np.arange(1, total_steps + 1) / max(1, warmup_steps))


def multi_decay(
    total_steps: int,
    steps_per_epoch: int,
    learning_rate: float,
    warmup_steps: int,
    multi_epochs: Sequence[int],
    factor: float,
) -> np.ndarray:
    """Divides the learning rate by `factor` after each of `multi_epochs` epochs; float32 a step."""
    epoch = np.arange(total_steps) // steps_per_epoch
    drops = sum((epoch >= last).astype(int) for last in multi_epochs)
    rates = learning_rate / factor ** np.asarray(drops, np.float64)
    return (rates * warm_up(total_steps, warmup_steps)).astype(np.float32)


def poly_decay(
    total_steps: int,
    learning_rate: float,
    end_learning_rate: float,
    power: float,
    warmup_steps: int,
) -> np.ndarray:
    """Lowers the learning rate to its end value as (1 - step / total)^power; float32 a step."""
    remaining = 1 - np.arange(total_steps) / total_steps
    rates = (learning_rate - end_learning_rate) * remaining**power + end_learning_rate
    return (rates * warm_up(total_steps, warmup_steps)).astype(np.float32)


def learning_rates(config: TrainConfig, total_steps: int, steps_per_epoch: int) -> np.ndarray:
    """The configured learning rate of every step, float32 (total_steps,)."""
    if config.lr_schedule == "MultiDecay":
        multi = config.MultiDecay
        return multi_decay(
            total_steps, steps_per_epoch, multi.learning_rate, multi.warmup_steps,
            multi.multi_epochs, multi.factor,
        )  # fmt: skip
    poly = config.PolyDecay
    return poly_decay(
        total_steps, poly.learning_rate, poly.end_learning_rate, poly.power, poly.warmup_steps
    )


def create_optimizer(config: TrainConfig, network: nn.Cell, rates: np.ndarray) -> nn.Adam:
    """Adam over the network's parameters; those named in `decay_filter` are not decayed."""
    endings = tuple(config.Adam.decay_filter)
    schedule = config.MultiDecay if config.lr_schedule == "MultiDecay" else config.PolyDecay
    plain = [p for p in network.trainable_params() if p.name.endswith(endings)]
    decayed = [p for p in network.trainable_params() if not p.name.endswith(endings)]
    groups = [
        {"params": group, "weight_decay": weight_decay}
        for group, weight_decay in ((decayed, config.Adam.weight_decay), (plain, 0.0))
        if group
    ]
    return nn.Adam(groups, learning_rate=Tensor(rates), eps=schedule.eps)
