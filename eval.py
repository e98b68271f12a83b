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
    from src.data.images import decoder
    from src.evaluation.coco_results import average_precision
    from src.evaluation.detector import create_detector
    from src.evaluation.evaluation_set import read_evaluation_set
    from src.evaluation.run import detect_all
    from src.models.centernet import create_network
    from src.training import checkpoints

    dataset = config.dataset_config
    evaluation_set = read_evaluation_set(
        dataset,
        Path(config.data_dir),
        config.run_mode,
        config.eval_config.num_images,
        config.on_bad_record,
    )
    result_dir = Path(config.save_result_dir)
    make_writable(result_dir)  # before the work, not after it
    network = create_network(config.net_config, dataset.num_classes)
    checkpoints.load(network, Path(config.load_checkpoint_path))
    detector = create_detector(config, network)
    results = detect_all(
        detector,
        evaluation_set,
        decoder(dataset.image_backend),
        dataset.coco_classes,
        result_dir / "pictures" if config.visual_image else None,
        config.eval_config.score_thresh,
    )
    result_path = result_dir / f"results_{config.run_mode}.json"
    write_json(result_path, results)
    print(f"{len(results)} boxes of {len(evaluation_set.records)} images written to {result_path}")
    if config.visual_image:
        print(f"pictures: {result_dir / 'pictures'}")
    if config.run_mode == "val" and config.enable_eval:
        image_ids = [record.image_id for record in evaluation_set.records]
        _, table = average_precision(evaluation_set.annotation_path, results, image_ids)
        print(f"overall performance on {evaluation_set.annotation_path}\n{table}")


if __name__ == "__main__":
    run_program(main)
