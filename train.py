# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Trains CenterNet on MindRecord files: python train.py --mindrecord_dir DIR."""

from pathlib import Path

from src.model_utils import moxing_adapter
from src.model_utils.config import load_config
from src.model_utils.device_adapter import set_up_device
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import make_writable
from src.model_utils.parameters import Config
from src.model_utils.signals import hold_interrupts


def main() -> None:
    config = load_config("Train CenterNet on MindRecord files.")
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
    hold_interrupts()  # before MindSpore starts its threads
    device = set_up_device(config, may_distribute=True)

    # Here and not above: --help needs no MindSpore, and set_up_device has to come before it.
    import mindspore as ms

    from src.data.loader import create_train_dataset, steps_per_epoch
    from src.data.mindrecord import read_manifest
    from src.evaluation.run import Evaluation
    from src.models.centernet import create_network, with_loss
    from src.training import checkpoints, resume
    from src.training.graph_cache import use_graph_cache
    from src.training.mixed_precision import set_precision
    from src.training.optimizer import create_optimizer, learning_rates
    from src.training.run import checkpoint_folder, draw_first_batch, run_training
    from src.training.step import TrainStep, step_options

    if config.enable_save_ckpt and device.rank == 0:
        make_writable(Path(config.save_checkpoint_path))  # before the work, not after it
    ms.set_seed(config.seed)  # the same first weights on every device
    mindrecord_dir, prefix = Path(config.mindrecord_dir), config.mindrecord_prefix
    classes, recipe = config.dataset_config.num_classes, config.train_config
    images = read_manifest(mindrecord_dir, prefix, config.dataset_config.coco_classes).images
    epoch = steps_per_epoch(images, recipe.batch_size, device.rank_size)
    total_steps = config.train_steps if config.train_steps > 0 else epoch * config.epoch_size
    is_first = device.rank == 0  # it reads the checkpoint, for all
    stopped = resume.find(config.resume, checkpoint_folder(config)) if is_first else None
    progress = resume.shared_progress(stopped, device)
    start = resume.start(progress, config, epoch, device.rank_size)
    dataset = create_train_dataset(
        config.dataset_config,
        mindrecord_dir,
        prefix,
        recipe.batch_size,
        config.do_shuffle,
        config.seed,
        device.rank,
        device.rank_size,
        start.step,
    )
    if config.visual_image and device.rank == 0:
        folder = Path(config.save_result_dir)
        names, ratio = config.dataset_config.coco_classes, config.net_config.down_ratio
        draw_first_batch(dataset, names, ratio, folder)
    network = create_network(config.net_config, classes)
    set_precision(network, recipe.amp_level, device.target)
    if stopped:
        checkpoints.fill(network, stopped.parameters, stopped.path)
    elif config.load_checkpoint_path and not progress:
        checkpoints.load_for_fine_tuning(network, Path(config.load_checkpoint_path))
    evaluate = None
    if config.eval_interval > 0 and device.rank == 0:
        evaluate = Evaluation(config, network, "val").numbers
    loss = with_loss(network, config.net_config, classes, tuple(config.dataset_config.output_res))
    rates = learning_rates(recipe, total_steps, epoch, device.rank_size)
    if config.compile_cache_dir:
        use_graph_cache(config, device, rates)
    optimizer = create_optimizer(recipe, loss, rates)
    step = TrainStep(loss, optimizer, step_options(config), device.rank_size)
    if progress:
        resume.restore(step, network, stopped, progress, start, config, device)
    run_training(config, device, dataset, network, step, rates, start, evaluate)


if __name__ == "__main__":
    run_program(main)
