# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The training loop: MindSpore's `Model.train` with our callbacks."""

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import mindspore as ms
import mindspore.dataset as ds
import numpy as np
from mindspore import nn
from mindspore.profiler import tensorboard_trace_handler

from src.data.mindrecord import reading
from src.data.objects import table_boxes
from src.model_utils.device_adapter import Device
from src.model_utils.files import give_usual_modes
from src.model_utils.parameters import Config
from src.model_utils.progress import telling
from src.models.losses import LOSSES
from src.training import resume
from src.training.asides import told_if_it_fails
from src.training.counting import CountFrom, Plan, steps_between_returns
from src.training.evaluating import PeriodicEvaluation
from src.training.log import StepTeller, TrainingLog, TrainingPicture
from src.training.metrics import (
    MetricsFile,
    Record,
    Recorder,
    TensorBoardLog,
    best_average_precision,
    is_evaluation,
    print_record,
    read_records,
)
from src.training.saving import CheckpointKeeper, EndTogether, Saver
from src.training.step import TrainStep
from src.training.stopping import StopAt, StopAtBadSteps, StopOnSignal
from src.visual import pictures

# Asks now and then whether to break off; gives COCO's numbers by their names, or None if it did.
Evaluate = Callable[[Callable[[], bool]], dict[str, float] | None]


def run_training(
    config: Config,
    device: Device,
    dataset: ds.Dataset,
    network: nn.Cell,
    step: TrainStep,
    rates: np.ndarray,
    beginning: resume.Beginning,
    evaluate: Evaluate | None = None,
) -> None:
    """Trains for as many batches as `rates` has updates for.

    Args:
        config: the flags of train.py are read.
        device: this process's place.
        dataset: batches of image, colour, objects, from `start` on.
        network: what checkpoints hold for evaluation.
        step: the training step around `network`.
        rates: learning rate of every update.
        beginning: where this run begins.
        evaluate: evaluates `evaluated_weights` as they are, where this process does.

    Raises:
        UserError: TensorBoard's files are asked for and tensorboardX is not installed, the loss
            stays bad for max_bad_steps batches, the data cannot be read any more, or the first
            process could not write the last checkpoint.
        OSError: this process could not.
        SystemExit: SIGTERM or SIGINT has stopped the training: 143 or 130.
    """
    start = beginning.at
    total_steps = len(rates) * start.accumulate_steps
    if start.step >= total_steps:
        print(f"training: all {total_steps} steps are done", flush=True)
        return
    stride = steps_between_returns(config, total_steps, start.steps_per_epoch, start.step)
    plan = Plan(start.steps_per_epoch, total_steps, stride, start.batch_size * start.rank_size)
    print(
        f"training: {total_steps} steps, {start.steps_per_epoch} an epoch, batch "
        f"{start.batch_size} on each of {device.rank_size} {device.target} device(s)",
        flush=True,
    )
    saver = None
    if config.enable_save_ckpt and device.rank == 0:
        saver = Saver(config, network, step, start)
        resume.clear(saver.folder)
        resume.set_aside(saver.folder, beginning)
    callbacks, stopper = _callbacks(config, device, step, rates, start, plan, evaluate, saver)
    # What MindSpore calls an epoch is, with a data sink, one return from it. A CPU has no sink.
    sinks = config.enable_data_sink and device.target != "CPU"
    round_steps = stride if sinks else start.steps_per_epoch
    try:
        with (
            reading(Path(config.mindrecord_dir), config.mindrecord_prefix),
            _profiled(config),
            stopper.handling(),
            telling("starting") as teller,
        ):
            callbacks.insert(1, StepTeller(teller, plan))
            ms.Model(step).train(
                math.ceil(total_steps / round_steps), dataset, callbacks,
                dataset_sink_mode=sinks,
                sink_size=stride if sinks else -1, initial_epoch=start.step // round_steps,
            )  # fmt: skip
    finally:
        # What MindSpore has made there, and nothing else.
        written = list(Path(_profiler_path(config)).glob(f"*_{os.getpid()}_*_ascend_ms"))
        if config.compile_cache_dir:
            written.append(Path(os.environ["MS_COMPILER_CACHE_PATH"]))
        with told_if_it_fails("file modes", "the training is not touched"):
            for folder in written:
                give_usual_modes(folder)
    if stopper.exit_code:
        sys.exit(stopper.exit_code)


def _profiler_path(config: Config) -> str:
    return config.profiler_path or "./profiler"


@contextlib.contextmanager
def _profiled(config: Config) -> Iterator[None]:
    """Writes MindSpore's profile of what is done within, if one is wanted."""
    if not config.need_profiler:
        yield
        return
    write = tensorboard_trace_handler(_profiler_path(config))
    profile = ms.profiler.profile(on_trace_ready=write)
    profile.start()
    try:
        yield
    finally:
        with told_if_it_fails("profile", "the training is not touched"):
            profile.stop()


def _callbacks(
    config: Config,
    device: Device,
    step: TrainStep,
    rates: np.ndarray,
    start: resume.Progress,
    plan: Plan,
    evaluate: Evaluate | None,
    saver: Saver | None,
) -> tuple[list[ms.Callback], StopOnSignal]:
    """What is configured, in the order in which a step's end calls it; the one that takes signals.

    Args:
        plan: of the training.
        saver: where this process writes files.
        config, device, step, rates, start, evaluate: as of `run_training`.
    """
    recipe, epoch = config.train_config, start.steps_per_epoch
    total_steps = len(rates) * start.accumulate_steps
    folder = resume.checkpoint_folder(config)
    metrics_path = folder / "metrics.jsonl"
    earlier: list[Record] = []
    recorders: list[Recorder] = [print_record]
    keeper = None
    pictures: list[ms.Callback] = []
    save = save_best = save_bad = None
    if saver:
        recorders.append(MetricsFile(metrics_path, start.step))
        earlier = read_records(metrics_path)
        files = {resume.NAME: saver.save}
        if recipe.ema_decay > 0:
            files[f"{resume.NAME}_ema"] = saver.save_averages
        keeper = CheckpointKeeper(
            files, folder, plan, config.save_checkpoint_steps, config.save_checkpoint_num,
            start.accumulate_steps if start.rank_size > 1 else 1,
        )  # fmt: skip
        pictures = [TrainingPicture(metrics_path, folder / "training.png", plan)]
        save, save_best, save_bad = keeper.save, saver.save_best, saver.save_bad
    if config.enable_tensorboard and device.rank == 0:
        recorders.append(TensorBoardLog(folder / "tensorboard", start.step))
    log = TrainingLog(plan, rates, step.optimizer, LOSSES, recorders)
    stopper = StopOnSignal(step, total_steps, save)
    keepers = [keeper] if keeper else []
    callbacks: list[ms.Callback] = [CountFrom(start.step), *keepers, log]
    if evaluate:
        interval = config.eval_interval * epoch
        is_done = any(is_evaluation(record) and record["step"] == start.step for record in earlier)
        best_ap = best_average_precision(earlier) if saver and saver.best.exists() else -math.inf
        callbacks.append(
            PeriodicEvaluation(
                lambda: evaluate(stopper.is_requested), log, plan, interval, save_best,
                best_ap=best_ap, of_averages=step.averages_weights,
                is_owed=start.step > 0 and start.step % interval == 0 and not is_done,
            )
        )  # fmt: skip
    callbacks += pictures
    if recipe.max_bad_steps > 0:
        callbacks.append(StopAtBadSteps(step, recipe.max_bad_steps, save_bad))
    if config.enable_save_ckpt:
        callbacks.append(EndTogether(keeper, device))
    return [*callbacks, stopper, StopAt(total_steps)], stopper


def draw_first_batch(
    dataset: ds.Dataset, class_names: Sequence[str], down_ratio: int, folder: Path
) -> None:
    """Writes the images of the first batch, warped as the network gets them, with their boxes."""
    image, _, objects = next(dataset.create_tuple_iterator(num_epochs=1, output_numpy=True))
    for position, (picture, table) in enumerate(zip(image, objects, strict=True)):
        boxes = table_boxes(table) * [down_ratio, down_ratio, down_ratio, down_ratio, 1]
        drawn = pictures.draw_boxes(picture, boxes, class_names)
        pictures.write_picture(folder / f"train_{position:03d}.jpg", drawn)
    print(f"pictures of the first batch: {folder}", flush=True)
