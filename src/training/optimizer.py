# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Learning rate schedules and the optimizer."""

from collections.abc import Sequence

import numpy as np
from mindspore import Tensor, nn

from src.model_utils.errors import UserError
from src.model_utils.parameters import TrainConfig


def warm_up(total_steps: int, warmup_steps: int) -> np.ndarray:
    """Factors (total_steps,) that rise linearly to 1, reached at step number `warmup_steps`."""
    return np.minimum(1.0, np.arange(1, total_steps + 1) / max(1, warmup_steps))


_MOST_STEPS = 100_000_000


def multi_decay(
    total_steps: int,
    steps_per_epoch: int,
    learning_rate: float,
    warmup_steps: int,
    multi_epochs: Sequence[int],
    factor: float,
    accumulate_steps: int = 1,
) -> np.ndarray:
    """Divides the learning rate by `factor` after each of `multi_epochs` epochs; float32 a step.

    Of the steps here each takes `accumulate_steps` of the `steps_per_epoch` batches of an epoch.
    """
    epoch = np.arange(total_steps) * accumulate_steps // steps_per_epoch
    drops = sum((epoch >= last).astype(int) for last in multi_epochs)
    with np.errstate(all="ignore"):  # `learning_rates` tells what is not finite
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


def learning_rates(
    config: TrainConfig, total_steps: int, steps_per_epoch: int, rank_size: int = 1
) -> np.ndarray:
    """The configured learning rate of every update, float32 (total_steps // accumulate_steps,).

    Args:
        config: train_config.
        total_steps, steps_per_epoch: batches of one device in the training and in an epoch.
        rank_size: devices that train together.

    Raises:
        UserError: not a single update would be taken, or more than int32 and memory hold, or a
            rate is not finite.
    """
    if total_steps > _MOST_STEPS:
        raise UserError(
            f"epoch_size: the training would have {total_steps:,} steps, more than "
            f"{_MOST_STEPS:,}; lower it or give --train_steps."
        )
    updates = total_steps // config.accumulate_steps
    if updates == 0:
        raise UserError(
            f"train_config.accumulate_steps is {config.accumulate_steps}, more than the "
            f"{total_steps} step(s) of this training; lower it or train for longer."
        )
    if config.lr_schedule == "MultiDecay":
        multi = config.MultiDecay
        rates = multi_decay(
            updates, steps_per_epoch, multi.learning_rate, multi.warmup_steps,
            multi_epochs=multi.multi_epochs, factor=multi.factor,
            accumulate_steps=config.accumulate_steps,
        )  # fmt: skip
    else:
        poly = config.PolyDecay
        rates = poly_decay(
            updates, poly.learning_rate, poly.end_learning_rate, poly.power, poly.warmup_steps
        )
    if config.scale_learning_rate:
        images = config.batch_size * config.accumulate_steps * rank_size
        rates = rates * np.float32(images / config.reference_batch_size)
    if not np.isfinite(rates).all():
        first = int(np.argmin(np.isfinite(rates)))
        raise UserError(
            f"train_config.{config.lr_schedule}: the learning rate of update {first + 1} is not "
            "finite; change learning_rate or factor."
        )
    return rates


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
