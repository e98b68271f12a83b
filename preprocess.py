# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Prepares a validation set for ascend310_infer, or another runner of an exported model.

python preprocess.py --val_data_dir DIR --predict_dir DIR --load_mindir_path FILE
"""

from pathlib import Path

from src.data.augment import border_colour, colour_statistics, normalisation
from src.data.coco import BadRecords, with_classes
from src.deploy import bin_files
from src.deploy.inputs import write_inputs
from src.deploy.onnx_session import read_onnx
from src.evaluation.evaluation_set import annotation_path, read_evaluation_set
from src.model_utils.config import load_config
from src.model_utils.errors import UserError, run_program
from src.model_utils.facts import with_exported_facts
from src.model_utils.messages import say


def main() -> None:
    config = load_config("Prepare the images of a validation set for an exported model.")
    if not config.val_data_dir or not config.predict_dir:
        raise UserError("command line: give --val_data_dir and --predict_dir.")
    if config.load_mindir_path:
        config = with_exported_facts(config, Path(config.load_mindir_path))
    elif config.load_onnx_path:
        path = Path(config.load_onnx_path)
        config = with_exported_facts(config, path, read_onnx(path).facts)
    data_dir = Path(config.val_data_dir)
    config = with_classes(config, annotation_path(config.dataset_config, data_dir, "val"))
    dataset, evaluation = config.dataset_config, config.eval_config
    bad_records = BadRecords(config.on_bad_record)
    found = read_evaluation_set(
        dataset,
        data_dir,
        "val",
        evaluation.num_images,
        bad_records=bad_records,
        boxes=evaluation.K,
        pose=config.pose,
    )
    predict_dir, colour = Path(config.predict_dir), normalisation(colour_statistics(dataset))
    images = write_inputs(config, found.records, colour, predict_dir, bad_records)
    meta = bin_files.Meta(
        down_ratio=config.net_config.down_ratio,
        soft_nms=evaluation.SOFT_NMS,
        soft_nms_form=evaluation.soft_nms_form,
        clip_boxes=config.net_config.clip_boxes,
        pairs=config.task_facts.pairs,
        rows=config.rows,
        kept=evaluation.K,
        points=config.task_facts.points,
        category_ids=found.category_ids,
        colour=colour,
        border=border_colour(colour, dataset.border),
        placement=evaluation.placement,
        take_damaged_jpegs=dataset.take_damaged_jpegs,
        task=config.task,
        point_classes=[index for index, has in enumerate(config.has_points) if has],
        sigmas=list(config.task_facts.sigmas),
        images=images,
    )
    bin_files.write_meta(predict_dir, meta)
    left_out = found.left_out + len(found.records) - len(images)
    say(
        f"{len(images)} images written to {predict_dir / 'data'}; left out as unreadable: "
        f"{left_out}."
    )


if __name__ == "__main__":
    run_program(main)
