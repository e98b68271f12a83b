# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Learning rate schedules and the optimizer."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
from mindspore import Tensor, nn

from src.model_utils.errors import UserError
from src.model_utils.messages import say
from src.model_utils.parameters import TrainConfig


def warm_up(total_steps: int, warmup_steps: int, first: float | None = None) -> np.ndarray:
    """Factors (total_steps,) that rise linearly to 1, reached at step number `warmup_steps`.

    The first is `first`, as mmengine's LinearLR has it, or 1 / warmup_steps.
    """
    if first is None:
        first = 1 / max(1, warmup_steps)
    slope = (1 - first) / max(1, warmup_steps - 1)
    rising = np.arange(total_steps) < warmup_steps - 1
    return np.where(rising, first + slope * np.arange(total_steps), 1.0)


_MOST_STEPS = 100_000_000


def multi_decay(
    total_steps: int,
    steps_per_epoch: int,
    learning_rate: float,
    warmup_steps: int,
    multi_epochs: Sequence[int],
    factor: float,
    accumulate_steps: int = 1,
    multi_steps: Sequence[int] = (),
    warmup_learning_rate: float | None = None,
) -> np.ndarray:
    """Divides the learning rate by `factor` after each of `multi_epochs` epochs; float32 a step.

    Of the steps here each takes `accumulate_steps` of the `steps_per_epoch` batches of an epoch.
    Where there are `multi_steps`, it is after these steps instead. The warm-up begins at
    `warmup_learning_rate`, see `warm_up`.
    """
    first = None if warmup_learning_rate is None else warmup_learning_rate / learning_rate
    step = np.arange(total_steps)
    passed = step if multi_steps else step * accumulate_steps // steps_per_epoch
    drops = sum((passed >= last).astype(int) for last in multi_steps or multi_epochs)
    with np.errstate(all="ignore"):  # `learning_rates` tells what is not finite
        rates = learning_rate / factor ** np.asarray(drops, np.float64)
        return (rates * warm_up(total_steps, warmup_steps, first)).astype(np.float32)


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


def cosine_decay(
    total_steps: int, learning_rate: float, warmup_steps: int, warmup_learning_rate: float
) -> np.ndarray:
    """Rises from one learning rate to the other, then falls to 0 as half a cosine; float32 a step.

    As TensorFlow's object detection has it, whose steps count from 0: after W steps of T the rate
    is the highest, and that of step s ≥ W is half of it times 1 + cos(π (s - W) / (T - W)).
    """
    step = np.arange(total_steps)
    rise = warmup_learning_rate + (learning_rate - warmup_learning_rate) * (
        step / max(1, warmup_steps)
    )
    part = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    fall = learning_rate / 2 * (1 + np.cos(np.pi * part))
    return np.where(step < warmup_steps, rise, fall).astype(np.float32)


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
            accumulate_steps=config.accumulate_steps, multi_steps=multi.multi_steps,
            warmup_learning_rate=multi.warmup_learning_rate,
        )  # fmt: skip
    elif config.lr_schedule == "CosineDecay":
        cosine = config.CosineDecay
        rates = cosine_decay(
            updates, cosine.learning_rate, cosine.warmup_steps, cosine.warmup_learning_rate
        )
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


def fix_parameters(network: nn.Cell, patterns: Sequence[str], is_first: bool) -> None:
    """Takes the parameters whose names fit one of these shell patterns out of the training.

    BatchNorm's statistics are not trained in any case, and move all the same.

    Args:
        network: whose structural names they are, as in checkpoints.
        patterns: train_config.fixed_parameters.
        is_first: whether this process says so.

    Raises:
        UserError: a pattern fits no parameter that is trained, or nothing is left to train.
    """
    trained = {name: p for name, p in network.parameters_and_names() if p.requires_grad}
    fixed = set()
    for pattern in patterns:
        found = {name for name in trained if fnmatchcase(name, pattern)}
        if not found:
            raise UserError(
                f"train_config.fixed_parameters: {pattern!r} fits none of the {len(trained)} "
                f"parameters that are trained, {next(iter(trained))} to {next(reversed(trained))}; "
                "change it or leave it out."
            )
        fixed |= found
    if len(fixed) == len(trained):
        raise UserError(
            f"train_config.fixed_parameters: {', '.join(patterns)} leaves nothing to train; take a "
            "pattern out."
        )
    for name in fixed:
        trained[name].requires_grad = False
    if fixed and is_first:
        values, of_all = (sum(trained[n].size for n in names) for names in (fixed, trained))
        say(
            f"fixed: {len(fixed)} of {len(trained)} parameters with {values:,} of {of_all:,} values"
        )


def create_optimizer(config: TrainConfig, network: nn.Cell, rates: np.ndarray) -> nn.Adam:
    """Adam over the network's parameters; those named in `decay_filter` are not decayed."""
    endings = tuple(config.Adam.decay_filter)
    eps = getattr(config, config.lr_schedule).eps
    plain = [p for p in network.trainable_params() if p.name.endswith(endings)]
    decayed = [p for p in network.trainable_params() if not p.name.endswith(endings)]
    groups = [
        {"params": group, "weight_decay": weight_decay}
        for group, weight_decay in ((decayed, config.Adam.weight_decay), (plain, 0.0))
        if group
    ]
    return nn.Adam(groups, learning_rate=Tensor(rates), eps=eps)
