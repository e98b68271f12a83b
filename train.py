# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Trains CenterNet on MindRecord files: python train.py --mindrecord_dir DIR."""

from pathlib import Path

from src.model_utils import moxing_adapter
from src.model_utils.config import load_config
from src.model_utils.device_adapter import set_up_device
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import make_writable
from src.model_utils.parameters import Config


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
    device = set_up_device(config, may_distribute=True)

    # Here and not above: --help needs no MindSpore, and set_up_device has to come before it.
    import mindspore as ms

    from src.data.loader import create_train_dataset, steps_per_epoch
    from src.data.mindrecord import read_manifest
    from src.evaluation.run import Evaluation
    from src.models.centernet import create_network, with_loss
    from src.training import resume
    from src.training.graph_cache import use_graph_cache
    from src.training.mixed_precision import set_precision
    from src.training.optimizer import create_optimizer, learning_rates
    from src.training.run import draw_first_batch, run_training
    from src.training.step import TrainStep, step_options
    from src.weights.load import load_for_fine_tuning

    data, net, recipe = config.dataset_config, config.net_config, config.train_config
    mindrecord_dir, prefix = Path(config.mindrecord_dir), config.mindrecord_prefix
    if config.enable_save_ckpt and device.rank == 0:
        make_writable(Path(config.save_checkpoint_path))  # before the work, not after it
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

    network = create_network(net, data.num_classes)
    set_precision(network, recipe.amp_level, device.target)
    if config.load_checkpoint_path and not beginning.continued:
        load_for_fine_tuning(network, Path(config.load_checkpoint_path), config)
    resume.set_first_weights(network, beginning)
    loss = with_loss(network, net, data.num_classes, tuple(data.output_res))
    rates = learning_rates(recipe, total_steps, epoch, device.rank_size)
    optimizer = create_optimizer(recipe, loss, rates)
    step = TrainStep(loss, optimizer, step_options(config), device.rank_size)
    resume.restore(step, network, beginning, config, device)

    evaluate = None
    if config.eval_interval > 0 and device.rank == 0:
        evaluate = Evaluation(config, network, "val").numbers
    if config.compile_cache_dir:
        use_graph_cache(config, device, rates)
    run_training(config, device, dataset, network, step, rates, beginning.at, evaluate)


if __name__ == "__main__":
    run_program(main)
