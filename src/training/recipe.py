# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""A training from its configuration to its last checkpoint, in the order in which it is done."""

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import mindspore as ms
from mindspore import nn

from src.data.loader import create_train_dataset, steps_per_epoch
from src.data.mindrecord import manifest_path, read_manifest, reading
from src.model_utils.device_adapter import Device
from src.model_utils.facts import with_facts
from src.model_utils.messages import say
from src.model_utils.parameters import Config
from src.model_utils.progress import telling
from src.model_utils.ranks import all_do, take_weights_of_first
from src.models.network import create_network, with_loss
from src.training import resume
from src.training.counting import CountFrom, Plan, steps_between_returns
from src.training.evaluating import Evaluate, PeriodicEvaluation, evaluated_weights
from src.training.graph_cache import graph_cache
from src.training.log import StepTeller, TrainingLog, TrainingPicture, draw_first_batch
from src.training.metrics import (
    MetricsFile,
    Record,
    Recorder,
    TensorBoardLog,
    best_average_precision,
    is_evaluated,
    print_record,
    read_records,
)
from src.training.mixed_precision import set_precision
from src.training.optimizer import create_optimizer, fix_parameters, learning_rates
from src.training.profiling import profiled
from src.training.saving import CheckpointKeeper, EndTogether, Saver
from src.training.schedule_check import schedule_problems
from src.training.step import TrainStep, step_options
from src.training.stopping import StopAt, StopAtBadSteps, StopOnSignal
from src.training.sync_norm import synchronise
from src.weights import checkpoints
from src.weights.load import configured_to_train, load_for_fine_tuning, read_weights


def train(
    config: Config, device: Device, create_evaluation: Callable[[Config, nn.Cell], Evaluate]
) -> None:
    """Trains as the configuration says, from the beginning or from where an earlier run stopped.

    Args:
        config: of the training.
        device: this process, which holds its `resume.own_folder`.
        create_evaluation: makes, of the configuration and a network, what evaluates it with the
            weights that it then has.

    Raises:
        UserError: something of the configuration, the data or a checkpoint does not fit, the loss
            stays bad for max_bad_steps batches, or the last checkpoint would not be finite.
        OSError: the last checkpoint cannot be written.
        SystemExit: SIGTERM or SIGINT has stopped the training: 143 or 130.
    """
    task = config.task_facts
    is_first = device.rank == 0  # of several processes it alone writes, scores and tells

    # Before anything is drawn: so every device has the same first weights.
    ms.set_seed(config.seed)

    # How long the training is and where this run begins. That comes first, as the data begin behind
    # the batches that are done, and a training that goes on takes no other weights.
    mindrecord_dir, prefix = Path(config.mindrecord_dir), config.mindrecord_prefix
    recipe = config.train_config
    classes = config.dataset_config.coco_classes
    manifest = read_manifest(mindrecord_dir, prefix, classes, task.point_names)
    if not classes:
        facts = {"dataset_config.coco_classes": manifest.class_names}
        config = with_facts(config, facts, manifest_path(mindrecord_dir, prefix))
    images = manifest.images
    epoch = steps_per_epoch(images, recipe.batch_size, device.rank_size)
    wanted_steps = config.train_steps if config.train_steps > 0 else epoch * config.epoch_size
    beginning = resume.begin(config, device, epoch)
    start = beginning.at

    # The weights to start from, or to go on with, say how colours come to their network, which the
    # data are made for.
    weights = None
    if beginning.continued:
        source = beginning.stopped.path if beginning.stopped else Path(config.resume)
        config = configured_to_train(config, beginning.facts, source)
    elif config.load_checkpoint_path:
        weights = read_weights(Path(config.load_checkpoint_path))
        config = configured_to_train(config, weights.facts, weights.path)
    data, net = config.dataset_config, config.net_config

    # The data. The loader draws by (seed, rank, epoch, batch), so that it goes on where it was.
    dataset = create_train_dataset(
        data, task, mindrecord_dir, prefix, down_ratio=net.down_ratio,
        batch_size=recipe.batch_size, shuffle=config.do_shuffle, seed=config.seed,
        rank=device.rank, rank_size=device.rank_size, first_step=start.step,
    )  # fmt: skip
    if config.visual_image and is_first:
        folder = Path(config.save_result_dir)
        draw_first_batch(dataset, data.coco_classes, net.down_ratio, folder, task)

    # The network and its first weights: those drawn, or those of another training as far as they
    # fit, or those of the one that goes on. float16 is for the network alone: the loss is built
    # around it afterwards, in float32.
    network = create_network(config)
    set_precision(network, recipe.amp_level, device.target)
    if recipe.sync_norm and device.rank_size > 1:
        synchronise(network, device.rank_size)
    if weights:
        load_for_fine_tuning(network, weights)
    if stopped := beginning.stopped:
        checkpoints.fill(network, stopped.parameters, stopped.path)
    fix_parameters(network, recipe.fixed_parameters, is_first)
    loss = with_loss(network, config)

    # A learning rate for every update; batches at the end that fill none are not trained on.
    rates = learning_rates(recipe, wanted_steps, epoch, device.rank_size)
    total_steps = len(rates) * recipe.accumulate_steps
    if is_first:
        by_epochs = config.train_steps <= 0
        for problem in schedule_problems(recipe, wanted_steps, epoch, device.rank_size, by_epochs):
            say(f"schedule: {problem}")

    # The step. It comes after the first weights, as averages begin as copies of them, and before
    # the state of the training that goes on (moments, averages, scale), which is its Parameters.
    optimizer = create_optimizer(recipe, loss, rates)
    step = TrainStep(loss, optimizer, step_options(config), device.rank_size)
    resume.restore(step, network, beginning, config, device)

    # Evaluations have a network of their own: in float32, and in inference mode. Devices share
    # their images, and take the weights of the first: BatchNorm's statistics are not theirs.
    evaluate = None
    if config.eval_interval > 0:
        evaluated = create_network(config)
        evaluate = create_evaluation(config, evaluated)

    if start.step >= total_steps:
        say(f"training: all {total_steps} steps are done")
        return
    stride = steps_between_returns(config, total_steps, epoch, start.step)
    plan = Plan(epoch, total_steps, stride, start.batch_size * start.rank_size)
    say(
        f"training: {total_steps} steps, {epoch} an epoch, batch {start.batch_size} on each of "
        f"{device.rank_size} {device.target} device(s)"
    )

    # What is written. Files of an earlier training are moved only now, when nothing of the above
    # can fail any more, and before the records, of which those of later steps go.
    folder = resume.checkpoint_folder(config)
    metrics_path = folder / "metrics.jsonl"
    recorders: list[Recorder] = [print_record]
    earlier: list[Record] = []
    saver = keeper = picture = None
    if config.enable_save_ckpt and is_first:
        saver = Saver(config, network, step, start)
        resume.clear(folder)
        resume.set_aside(folder, beginning)
        recorders.append(MetricsFile(metrics_path, start.step))
        earlier = read_records(metrics_path)
        files = {resume.NAME: saver.save}
        if step.averages_weights:
            files[f"{resume.NAME}_ema"] = saver.save_averages
        # Devices have each their own part of a half update, so it is not broken off there.
        unit = recipe.accumulate_steps if device.rank_size > 1 else 1
        keeper = CheckpointKeeper(
            files, folder, plan, config.save_checkpoint_steps, config.save_checkpoint_num, unit=unit
        )
        picture = TrainingPicture(metrics_path, folder / "training.png", plan)
    if config.enable_tensorboard and is_first:
        recorders.append(TensorBoardLog(folder / "tensorboard", start.step))
    log = TrainingLog(plan, rates, optimizer, task.losses, recorders)
    stopper = StopOnSignal(step, total_steps, keeper and keeper.save)
    bad_steps = evaluation = None
    if recipe.max_bad_steps > 0:
        bad_steps = StopAtBadSteps(step, recipe.max_bad_steps, saver and saver.save_bad)
    if evaluate:
        interval = config.eval_interval * epoch
        at_evaluation = start.step > 0 and start.step % interval == 0

        def take_weights() -> Iterator[None]:
            yield checkpoints.copy(evaluated_weights(network, step), evaluated)

        def evaluate_now() -> dict[str, float] | None:
            all_do(take_weights(), device.rank_size)
            take_weights_of_first(evaluated, device.rank_size)
            return evaluate(stopper.is_requested)

        evaluation = PeriodicEvaluation(
            evaluate_now, log, plan, interval, saver and saver.save_best,
            best_ap=best_average_precision(earlier) if saver and saver.best.exists() else -math.inf,
            of_averages=step.averages_weights,
            is_owed=at_evaluation
            and resume.told_by_first(not is_evaluated(earlier, start.step), device),
        )  # fmt: skip

    # The training. What MindSpore calls an epoch is, with a data sink, one return from it; a CPU
    # has no sink. The end of a step calls what is beside it in this order:
    sinks = config.enable_data_sink and device.target != "CPU"
    round_steps = stride if sinks else epoch
    with (
        reading(mindrecord_dir, prefix),
        graph_cache(config, device, rates),
        profiled(config),
        stopper.handling(),
        telling("starting") as teller,
    ):
        beside = [
            CountFrom(start.step),  # the others count by it
            StepTeller(teller, plan),
            keeper,  # before all that may fail, take long or end the training
            log,
            evaluation,  # the log takes its numbers, at the step that it has just told
            picture,  # of the records, those of the evaluation among them
            bad_steps,  # an error, when what led to it is written
            EndTogether(keeper, device) if config.enable_save_ckpt else None,
            stopper,  # several devices stop after the same step, whatever one of them did above
            StopAt(total_steps),
        ]
        ms.Model(step).train(
            math.ceil(total_steps / round_steps),
            dataset,
            [callback for callback in beside if callback is not None],
            dataset_sink_mode=sinks,
            sink_size=stride if sinks else -1,
            initial_epoch=start.step // round_steps,
        )
    if stopper.exit_code:
        sys.exit(stopper.exit_code)
