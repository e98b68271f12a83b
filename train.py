# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Trains CenterNet on MindRecord files: python train.py --mindrecord_dir DIR."""

from src.model_utils import moxing_adapter
from src.model_utils.config import load_config
from src.model_utils.device_adapter import set_up_device
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

    # Here and not above: --help needs no MindSpore, and set_up_device has to come before it.
    from src.evaluation.models import create_detector
    from src.evaluation.run import Evaluation
    from src.models.network import Network
    from src.training import recipe, resume
    from src.training.evaluating import Evaluate

    def evaluation(used: Config, network: Network) -> Evaluate:
        place = {"rank": device.rank, "rank_size": device.rank_size}
        return Evaluation(used, create_detector(used, network), "val", **place).numbers

    with resume.own_folder(config, device):
        recipe.train(config, device, evaluation)


if __name__ == "__main__":
    run_program(main)
