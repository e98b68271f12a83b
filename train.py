# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Trains CenterNet on MindRecord files: python train.py --mindrecord_dir DIR."""

from collections.abc import Callable
from pathlib import Path

from src.model_utils import moxing_adapter
from src.model_utils.config import load_config
from src.model_utils.device_adapter import Device, set_up_device
from src.model_utils.errors import UserError, run_program
from src.model_utils.output import lose_what_cannot_be_printed
from src.model_utils.parameters import Config


def main() -> None:
    config = load_config("Train CenterNet on MindRecord files.")
    lose_what_cannot_be_printed()
    with moxing_adapter.job(
        config,
        outputs=["save_checkpoint_path", "save_result_dir", "profiler_path"],
        data="mindrecord_dir",
        checkpoint="resume" if config.resume else "load_checkpoint_path",
    ) as config:
        train(config)


def train(config: Config) -> None:
    if not config.mindrecord_dir:
        raise UserError("command line: give --mindrecord_dir, the folder of the MindRecord files.")
    if config.eval_interval > 0 and not config.data_dir:
        raise UserError("command line: give --data_dir, what --eval_interval evaluates on, or 0.")
    device = set_up_device(config, may_distribute=True)

    from src.training import resume  # not above: set_up_device has to come before MindSpore

    with resume.own_folder(config, device):
        train_here(config, device)


def train_here(config: Config, device: Device) -> None:
    # Here and not above: --help needs no MindSpore, and set_up_device has to come before it.
    import mindspore as ms

    from src.data.loader import create_train_dataset, steps_per_epoch
    from src.data.mindrecord import read_manifest
    from src.evaluation.run import Evaluation
    from src.models.centernet import create_network, with_loss
    from src.models.deformable import chosen_form
    from src.training import checkpoints, resume
    from src.training.evaluating import evaluated_weights
    from src.training.graph_cache import use_graph_cache
    from src.training.mixed_precision import set_precision
    from src.training.optimizer import create_optimizer, learning_rates
    from src.training.run import draw_first_batch, run_training
    from src.training.schedule_check import schedule_problems
    from src.training.step import TrainStep, step_options
    from src.weights.load import load_for_fine_tuning

    data, net, recipe = config.dataset_config, config.net_config, config.train_config
    mindrecord_dir, prefix = Path(config.mindrecord_dir), config.mindrecord_prefix
    ms.set_seed(config.seed)  # the same first weights on every device

    images = read_manifest(mindrecord_dir, prefix, data.coco_classes).images
    epoch = steps_per_epoch(images, recipe.batch_size, device.rank_size)
    total_steps = config.train_steps if config.train_steps > 0 else epoch * config.epoch_size
    beginning = resume.begin(config, device, epoch)
    dataset = create_train_dataset(
        data, mindrecord_dir, prefix, recipe.batch_size, config.do_shuffle, config.seed,
        device.rank, device.rank_size, beginning.at.step,
    )  # fmt: skip
    if config.visual_image and device.rank == 0:
        folder = Path(config.save_result_dir)
        draw_first_batch(dataset, data.coco_classes, net.down_ratio, folder)

    form = chosen_form(net.deformable)
    network = create_network(net, data.num_classes, form)
    set_precision(network, recipe.amp_level, device.target)
    if config.load_checkpoint_path and not beginning.continued:
        load_for_fine_tuning(network, Path(config.load_checkpoint_path), config)
    resume.set_first_weights(network, beginning)
    loss = with_loss(network, net, data.num_classes, tuple(data.output_res))
    rates = learning_rates(recipe, total_steps, epoch, device.rank_size)
    if device.rank == 0:
        by_epochs = config.train_steps <= 0
        for problem in schedule_problems(recipe, total_steps, epoch, device.rank_size, by_epochs):
            print(f"schedule: {problem}", flush=True)
    optimizer = create_optimizer(recipe, loss, rates)
    step = TrainStep(loss, optimizer, step_options(config), device.rank_size)
    resume.restore(step, network, beginning, config, device)

    evaluate = None
    if config.eval_interval > 0 and device.rank == 0:
        # In float32, whatever amp_level says.
        evaluated = create_network(net, data.num_classes, form)
        evaluation = Evaluation(config, evaluated, "val")

        def evaluate(is_stopped: Callable[[], bool]) -> dict[str, float] | None:
            checkpoints.copy(evaluated_weights(network, step), evaluated)
            return evaluation.numbers(is_stopped)

    if config.compile_cache_dir:
        use_graph_cache(config, device, rates)
    run_training(config, device, dataset, network, step, rates, beginning, evaluate)


if __name__ == "__main__":
    run_program(main)
