# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Evaluates a checkpoint: python eval.py --load_checkpoint_path F.ckpt --data_dir DIR."""

from pathlib import Path

from src.model_utils import moxing_adapter
from src.model_utils.config import load_config
from src.model_utils.device_adapter import set_up_device
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import make_writable, write_json
from src.model_utils.parameters import Config


def main() -> None:
    config = load_config("Evaluate a CenterNet checkpoint on a data set in COCO layout.")
    with moxing_adapter.job(
        config,
        outputs=["save_result_dir"],
        data="data_dir",
        checkpoint="load_checkpoint_path",
    ) as config:
        evaluate(config)


def evaluate(config: Config) -> None:
    if not config.load_checkpoint_path or not config.data_dir:
        raise UserError("command line: give --load_checkpoint_path and --data_dir.")
    set_up_device(config)

    # Here and not above: --help needs no MindSpore, and set_up_device has to come before it.
    from src.evaluation.run import Evaluation
    from src.models.centernet import create_network
    from src.training import checkpoints

    network = create_network(config.net_config, config.dataset_config.num_classes)
    evaluation = Evaluation(config, network, config.run_mode)
    result_dir = Path(config.save_result_dir)
    make_writable(result_dir)  # before the work, not after it
    checkpoints.load(network, Path(config.load_checkpoint_path))
    results = evaluation.detect(result_dir / "pictures" if config.visual_image else None)
    result_path = result_dir / f"results_{config.run_mode}.json"
    write_json(result_path, results)
    print(f"{len(results)} boxes of {len(evaluation.set.records)} images written to {result_path}")
    if config.visual_image:
        print(f"pictures: {result_dir / 'pictures'}")
    if config.run_mode == "val" and config.enable_eval:
        scores = evaluation.score(results)
        print(f"overall performance on {evaluation.set.annotation_path}\n{scores.table}")


if __name__ == "__main__":
    run_program(main)
