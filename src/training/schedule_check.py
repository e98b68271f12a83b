# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Whether a training's schedule can work: what is odd about it, before the first step."""

from src.model_utils.parameters import TrainConfig

# An update's images, against those that the learning rates are written for.
_LARGEST_RATIO = 4
# A narrow network on easy shapes needs 500 updates to an AP of 0.17 from noise, 3,000 to 0.6.
_FEW_UPDATES, _ENOUGH_UPDATES = 500, 3000


def schedule_problems(
    recipe: TrainConfig, total_steps: int, steps_per_epoch: int, rank_size: int, by_epochs: bool
) -> list[str]:
    """What of a schedule cannot work as it is meant, and what would fit, a sentence each.

    Args:
        recipe: train_config.
        total_steps, steps_per_epoch: batches of one device in the training and in an epoch.
        rank_size: devices that train together.
        by_epochs: whether epoch_size says how long the training is; who gives a number of steps may
            want no more than a trial.
    """
    updates = total_steps // recipe.accumulate_steps
    problems = []
    if by_epochs and updates < _FEW_UPDATES:
        epochs = -(-_ENOUGH_UPDATES * recipe.accumulate_steps // steps_per_epoch)
        problems.append(
            f"epoch_size {total_steps // steps_per_epoch} makes {updates} update(s) of the weights "
            f"on this set, and a detector needs thousands; --epoch_size {epochs} makes "
            f"{epochs * steps_per_epoch // recipe.accumulate_steps}"
        )
    problems += _decay_problems(recipe, total_steps, steps_per_epoch)
    problems += _batch_problems(recipe, rank_size)
    return problems


def _decay_problems(recipe: TrainConfig, total_steps: int, steps_per_epoch: int) -> list[str]:
    name = f"train_config.{recipe.lr_schedule}"
    problems = []
    until, what = total_steps, "the end"
    schedule = getattr(recipe, recipe.lr_schedule)
    if recipe.lr_schedule == "MultiDecay":
        drops, of, unit, batches = (
            (schedule.multi_steps, "multi_steps", "update(s)", recipe.accumulate_steps)
            if schedule.multi_steps
            else (schedule.multi_epochs, "multi_epochs", "epoch(s)", steps_per_epoch)
        )
        late = [drop for drop in drops if drop * batches >= total_steps]
        if late:
            length = total_steps / batches
            problems.append(
                f"{name}.{of} {drops}: the training ends after {length:.4g} {unit}, so the "
                f"learning rate is not divided after {' and '.join(map(str, late))}; "
                f"{_fitting_drops(f'{name}.{of}', length)} would fit"
            )
        if len(late) < len(drops):
            until, what = min(drops) * batches, "its first division"
    updates = -(-until // recipe.accumulate_steps)
    if schedule.warmup_steps > updates:
        problems.append(
            f"{name}.warmup_steps {schedule.warmup_steps}: the learning rate never gets to "
            f"{schedule.learning_rate:g}, as {what} comes after {updates} update(s); "
            f"--{name}.warmup_steps {updates // 10} would fit"
        )
    return problems


def _fitting_drops(name: str, length: float) -> str:
    # After 64 and 86 % of the training, as in the original's recipe.
    drops = sorted({round(length * part) for part in (0.64, 0.86)} - {0, round(length)})
    return f"--{name} '{drops}'" if drops else "--train_config.lr_schedule PolyDecay"


def _batch_problems(recipe: TrainConfig, rank_size: int) -> list[str]:
    batch = recipe.batch_size * rank_size
    images, meant = batch * recipe.accumulate_steps, recipe.reference_batch_size
    if recipe.scale_learning_rate or 1 / _LARGEST_RATIO <= images / meant <= _LARGEST_RATIO:
        return []
    remedy = f"--train_config.accumulate_steps {meant // batch} or " if meant // batch > 1 else ""
    return [
        f"the learning rate is written for {meant} images an update "
        f"(train_config.reference_batch_size), and here are {images}; {remedy}"
        "--train_config.scale_learning_rate true would fit"
    ]
