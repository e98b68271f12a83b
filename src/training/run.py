# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The training loop: MindSpore's `Model.train` with our callbacks."""

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import mindspore as ms
import mindspore.dataset as ds
import numpy as np
from mindspore import Parameter, nn
from mindspore.profiler import tensorboard_trace_handler

from src.data.mindrecord import reading
from src.data.objects import table_boxes
from src.model_utils.device_adapter import Device
from src.model_utils.files import give_usual_modes
from src.model_utils.parameters import Config
from src.model_utils.progress import telling
from src.training import checkpoints, resume
from src.training.callbacks import (
    CheckpointKeeper,
    CountFrom,
    EndTogether,
    PeriodicEvaluation,
    StopAt,
    StopAtBadSteps,
    StopOnSignal,
    TrainingLog,
    TrainingPicture,
    told_if_it_fails,
)
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
from src.training.step import TrainStep
from src.training.step_teller import StepTeller
from src.visual import pictures

BEST = "best.ckpt"  # of the evaluations

# Asks now and then whether to break off; gives COCO's numbers by their names, or None if it did.
Evaluate = Callable[[Callable[[], bool]], dict[str, float] | None]


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
    callbacks, stopper = _callbacks(config, device, step, rates, start, stride, evaluate, saver)
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
            step_teller = StepTeller(teller, start.step, start.steps_per_epoch, total_steps, stride)
            ms.Model(step).train(
                math.ceil(total_steps / round_steps), dataset, [step_teller, *callbacks],
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


def evaluated_weights(network: nn.Cell, step: TrainStep) -> Iterator[tuple[str, Parameter]]:
    """What a training is evaluated by, by structural names: averages where it keeps them."""
    if step.averages_weights:
        return step.ema_weights(network)
    return network.parameters_and_names()


class Saver:
    """Writes the files that hold a training after a step: with all, or the averaged weights alone.

    Args:
        config: of the training.
        network, step: what is trained, and the training step around it.
        start: where this run begins.
    """

    def __init__(
        self, config: Config, network: nn.Cell, step: TrainStep, start: resume.Progress
    ) -> None:
        self._config, self._network, self._step, self._start = config, network, step, start
        self.folder = resume.checkpoint_folder(config)

    def save(self, path: Path, steps: int) -> None:
        """Raises UserError, and writes nothing, if the training has diverged."""
        resume.check(path, self._network, self._step)
        self._write(path, steps)

    def _write(self, path: Path, steps: int) -> None:
        progress = replace(self._start, step=steps)
        resume.save(path, self._network, self._step, progress, self._config)

    def save_averages(self, path: Path, steps: int) -> None:
        checkpoints.save(self._step.ema_weights(self._network), path)

    def save_best(self, steps: int) -> None:
        """Writes what was evaluated: averages alone, else all."""
        write, what = self.save, ""
        if self._step.averages_weights:
            write, what = self.save_averages, ", averaged weights"
        write(self.folder / BEST, steps)
        print(f"best checkpoint so far: {self.folder / BEST}{what}", flush=True)

    def save_bad(self, steps: int) -> None:
        self._write(self.folder / "bad.ckpt", steps)
        print(f"checkpoint of the bad state: {self.folder / 'bad.ckpt'}", flush=True)


def _callbacks(
    config: Config,
    device: Device,
    step: TrainStep,
    rates: np.ndarray,
    start: resume.Progress,
    stride: int,
    evaluate: Evaluate | None,
    saver: Saver | None,
) -> tuple[list[ms.Callback], StopOnSignal]:
    """What is configured, in the order in which a step's end calls it; the one that takes signals.

    Args:
        stride: steps between two results that Python sees.
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
            files, folder, config.save_checkpoint_steps, config.save_checkpoint_num,
            epoch, total_steps, start.accumulate_steps if start.rank_size > 1 else 1,
        )  # fmt: skip
        pictures = [TrainingPicture(metrics_path, folder / "training.png", epoch, total_steps)]
        save, save_best, save_bad = keeper.save, saver.save_best, saver.save_bad
    if config.enable_tensorboard and device.rank == 0:
        recorders.append(TensorBoardLog(folder / "tensorboard", start.step))
    log = TrainingLog(
        rates, step.optimizer, epoch, total_steps, stride,
        start.batch_size * start.rank_size, recorders,
    )  # fmt: skip
    stopper = StopOnSignal(step, total_steps, save)
    keepers = [keeper] if keeper else []
    callbacks: list[ms.Callback] = [CountFrom(start.step), *keepers, log]
    if evaluate:
        interval = config.eval_interval * epoch
        is_done = any(is_evaluation(record) and record["step"] == start.step for record in earlier)
        best_ap = best_average_precision(earlier) if (folder / BEST).exists() else -math.inf
        callbacks.append(
            PeriodicEvaluation(
                lambda: evaluate(stopper.is_requested), log, interval, total_steps, save_best,
                best_ap, step.averages_weights,
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
