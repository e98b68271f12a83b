# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The training loop: MindSpore's `Model.train` with our callbacks."""

import contextlib
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
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
from src.training import checkpoints, resume
from src.training.callbacks import (
    CheckpointKeeper,
    CountFrom,
    PeriodicEvaluation,
    StopAt,
    StopAtBadSteps,
    StopOnSignal,
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
        print(
            f"data sink: {steps} steps at a time, as {wanted} do not divide {total_steps} steps"
            f"{done}"
        )
    return steps


def run_training(
    config: Config,
    device: Device,
    dataset: ds.Dataset,
    network: nn.Cell,
    step: TrainStep,
    rates: np.ndarray,
    start: resume.Progress,
    evaluate: Callable[[], dict[str, float]] | None = None,
) -> None:
    """Trains for as many batches as `rates` has updates for.

    Args:
        config: the flags of train.py are read.
        device: this process's place.
        dataset: batches of image, colour, objects, from `start` on.
        network: what checkpoints hold for evaluation.
        step: the training step around `network`.
        rates: learning rate of every update.
        start: where this run begins.
        evaluate: gives COCO's numbers of `network`, by their names, where this process evaluates.

    Raises:
        UserError: TensorBoard's files are asked for and tensorboardX is not installed, or the loss
            stays bad for max_bad_steps batches.
        SystemExit: SIGTERM or SIGINT has stopped the training: 143 or 130.
    """
    steps_per_epoch = start.steps_per_epoch
    total_steps = len(rates) * start.accumulate_steps
    if start.step >= total_steps:
        print(f"training: all {total_steps} steps are done", flush=True)
        return
    stride = steps_between_returns(config, total_steps, steps_per_epoch, start.step)
    print(
        f"training: {total_steps} steps, {steps_per_epoch} an epoch, batch {start.batch_size} on "
        f"each of {device.rank_size} {device.target} device(s)",
        flush=True,
    )
    folder = checkpoint_folder(config)
    metrics_path = folder / "metrics.jsonl"
    writes_files = config.enable_save_ckpt and device.rank == 0
    recorders: list[Recorder] = [print_record]
    if writes_files:
        resume.clear(folder)
        resume.set_aside(folder, start.step)
        recorders.append(MetricsFile(metrics_path, start.step))
    if config.enable_tensorboard and device.rank == 0:
        recorders.append(TensorBoardLog(folder / "tensorboard", start.step))
    log = TrainingLog(
        rates, step.optimizer, steps_per_epoch, total_steps, stride,
        start.batch_size * device.rank_size, recorders,
    )  # fmt: skip

    def save(path: Path, steps: int) -> None:
        resume.save(path, network, step, replace(start, step=steps), config)

    def save_averages(path: Path, steps: int) -> None:
        checkpoints.save(step.ema_weights(network), path)

    writers = {resume.NAME: save}
    if config.train_config.ema_decay > 0:
        writers[f"{resume.NAME}_ema"] = save_averages
    keeper = CheckpointKeeper(
        writers, folder, config.save_checkpoint_steps, config.save_checkpoint_num,
        steps_per_epoch, total_steps, start.accumulate_steps if device.rank_size > 1 else 1,
    )  # fmt: skip
    callbacks: list[ms.Callback] = [CountFrom(start.step), log]
    if evaluate is not None:

        def save_best(steps: int) -> None:
            if writes_files:
                save(folder / "best.ckpt", steps)
                print(f"best checkpoint so far: {folder / 'best.ckpt'}", flush=True)

        best_ap = best_average_precision(read_records(metrics_path)) if writes_files else -math.inf
        callbacks.append(
            PeriodicEvaluation(
                evaluate, step, log, config.eval_interval * steps_per_epoch, total_steps,
                save_best, best_ap,
            )
        )  # fmt: skip
    if writes_files:
        picture_path = folder / "training.png"
        callbacks.append(TrainingPicture(metrics_path, picture_path, steps_per_epoch, total_steps))
        callbacks.append(keeper)
    if config.train_config.max_bad_steps > 0:

        def save_apart(steps: int) -> None:
            save(folder / "bad.ckpt", steps)
            print(f"checkpoint of the bad state: {folder / 'bad.ckpt'}", flush=True)

        callbacks.append(
            StopAtBadSteps(
                step, config.train_config.max_bad_steps, save_apart if writes_files else None
            )
        )
    stopper = StopOnSignal(step, total_steps, keeper.save if writes_files else None)
    callbacks += [stopper, StopAt(total_steps)]
    # What MindSpore calls an epoch is, with a data sink, one return from it. A CPU has no sink.
    sinks = config.enable_data_sink and device.target != "CPU"
    round_steps = stride if sinks else steps_per_epoch
    profile = contextlib.nullcontext()
    if config.need_profiler:
        write = tensorboard_trace_handler(config.profiler_path or "./profiler")
        profile = ms.profiler.profile(on_trace_ready=write)
    with profile, stopper:
        ms.Model(step).train(
            math.ceil(total_steps / round_steps), dataset, callbacks, dataset_sink_mode=sinks,
            sink_size=stride if sinks else -1, initial_epoch=start.step // round_steps,
        )  # fmt: skip
    if stopper.exit_code:
        sys.exit(stopper.exit_code)


def checkpoint_folder(config: Config) -> Path:
    """Where the first process writes, and looks for what --resume alone goes on from."""
    return Path(config.save_checkpoint_path) / "ckpt_0"


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
