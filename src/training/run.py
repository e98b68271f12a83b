# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The training loop: MindSpore's `Model.train` with our callbacks."""

import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import mindspore as ms
import mindspore.dataset as ds
import numpy as np
from mindspore import nn
from mindspore.profiler import tensorboard_trace_handler

from src import visual
from src.data.objects import table_boxes
from src.model_utils.device_adapter import Device
from src.model_utils.parameters import Config
from src.training import checkpoints
from src.training.callbacks import (
    CheckpointKeeper,
    PeriodicEvaluation,
    StopAt,
    StopAtBadSteps,
    TrainingLog,
    TrainingPicture,
)
from src.training.metrics import (
    MetricsFile,
    Recorder,
    TensorBoardLog,
    best_average_precision,
    print_record,
    read_records,
)
from src.training.step import TrainStep


def steps_between_returns(config: Config, total_steps: int, steps_per_epoch: int) -> int:
    """Steps between two results that Python sees: 1, or the data sink's, which divide the total."""
    if not config.enable_data_sink:
        return 1
    wanted = config.data_sink_steps if config.data_sink_steps > 0 else steps_per_epoch
    steps = math.gcd(wanted, total_steps) if wanted < total_steps else total_steps
    if steps != wanted:
        print(f"data sink: {steps} steps at a time, as {wanted} do not divide {total_steps} steps")
    return steps


def run_training(
    config: Config,
    device: Device,
    dataset: ds.Dataset,
    network: nn.Cell,
    step: TrainStep,
    rates: np.ndarray,
    evaluate: Callable[[], dict[str, float]] | None = None,
    first_step: int = 0,
) -> None:
    """Trains for as many batches as `rates` has updates for.

    Args:
        config: the flags of train.py are read.
        device: this process's place.
        dataset: batches of image, colour, objects.
        network: what checkpoints hold.
        step: the training step around `network`.
        rates: learning rate of every update.
        evaluate: gives COCO's numbers of `network`, by their names, where this process evaluates.
        first_step: steps done by the run that this one continues.

    Raises:
        UserError: TensorBoard's files are asked for and tensorboardX is not installed, or the loss
            stays bad for max_bad_steps batches.
    """
    steps_per_epoch = dataset.get_dataset_size()
    total_steps = len(rates) * config.train_config.accumulate_steps
    stride = steps_between_returns(config, total_steps, steps_per_epoch)
    print(
        f"training: {total_steps} steps, {steps_per_epoch} an epoch, batch "
        f"{config.train_config.batch_size} on each of {device.rank_size} {device.target} device(s)",
        flush=True,
    )
    images_per_step = config.train_config.batch_size * device.rank_size
    folder = Path(config.save_checkpoint_path) / f"ckpt_{device.rank}"
    metrics_path, best_path = folder / "metrics.jsonl", folder / "best.ckpt"
    writes_files = config.enable_save_ckpt and device.rank == 0
    recorders: list[Recorder] = [print_record]
    if writes_files:
        recorders.append(MetricsFile(metrics_path, first_step))
    if config.enable_tensorboard and device.rank == 0:
        recorders.append(TensorBoardLog(folder / "tensorboard", first_step))
    log = TrainingLog(
        rates, step.optimizer, steps_per_epoch, total_steps, stride, images_per_step, recorders,
        first_step,
    )  # fmt: skip
    callbacks: list[ms.Callback] = [log]
    if evaluate is not None:

        def save_best() -> None:
            if writes_files:
                checkpoints.save(network.parameters_and_names(), best_path)
                print(f"best checkpoint so far: {best_path}", flush=True)

        best_ap = best_average_precision(read_records(metrics_path)) if writes_files else -math.inf
        callbacks.append(
            PeriodicEvaluation(
                evaluate, step, log, config.eval_interval * steps_per_epoch, total_steps,
                save_best, best_ap, first_step,
            )
        )  # fmt: skip
    if writes_files:
        callbacks.append(
            TrainingPicture(
                metrics_path, folder / "training.png", steps_per_epoch, total_steps, first_step
            )
        )
        ema_weights = None
        if config.train_config.ema_decay > 0:
            ema_weights = functools.partial(step.ema_weights, network)
        keeper = CheckpointKeeper(
            network, folder, "centernet", config.save_checkpoint_steps,
            config.save_checkpoint_num, steps_per_epoch, total_steps, ema_weights,
        )  # fmt: skip
        callbacks.append(keeper)
    if config.train_config.max_bad_steps > 0:
        save = keeper.save if writes_files else None
        callbacks.append(StopAtBadSteps(step.bad_steps, config.train_config.max_bad_steps, save))
    callbacks.append(StopAt(total_steps))
    # A CPU has no sink: there MindSpore counts in epochs of the data.
    sinks = config.enable_data_sink and device.target != "CPU"
    rounds = math.ceil(total_steps / (stride if sinks else steps_per_epoch))
    profile = contextlib.nullcontext()
    if config.need_profiler:
        write = tensorboard_trace_handler(config.profiler_path or "./profiler")
        profile = ms.profiler.profile(on_trace_ready=write)
    with profile:
        ms.Model(step).train(
            rounds, dataset, callbacks, dataset_sink_mode=sinks, sink_size=stride if sinks else -1
        )


def draw_first_batch(
    dataset: ds.Dataset, class_names: Sequence[str], down_ratio: int, folder: Path
) -> None:
    """Writes the images of the first batch, warped as the network gets them, with their boxes."""
    image, _, objects = next(dataset.create_tuple_iterator(num_epochs=1, output_numpy=True))
    for position, (picture, table) in enumerate(zip(image, objects, strict=True)):
        boxes = table_boxes(table) * [down_ratio, down_ratio, down_ratio, down_ratio, 1]
        drawn = visual.draw_boxes(picture, boxes, class_names)
        visual.write_picture(folder / f"train_{position:03d}.jpg", drawn)
    print(f"pictures of the first batch: {folder}", flush=True)
