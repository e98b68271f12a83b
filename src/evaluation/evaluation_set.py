# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Reading the images to evaluate on; shared by eval.py and preprocess.py. No MindSpore here."""

from dataclasses import dataclass
from pathlib import Path

from src.data.coco import (
    BadRecords,
    ImageRecord,
    class_of_category,
    read_annotation_file,
    read_records,
)
from src.evaluation.coco_results import category_ids
from src.model_utils.errors import UserError
from src.model_utils.parameters import DatasetConfig


@dataclass(frozen=True)
class EvaluationSet:
    """The images to evaluate on, and the COCO category id of each class."""

    annotation_path: Path
    records: list[ImageRecord]
    category_ids: list[int]


def read_evaluation_set(
    config: DatasetConfig, data_dir: Path, run_mode: str, num_images: int, on_bad_record: str
) -> EvaluationSet:
    """Reads the val or test set below `data_dir`, all of it or its first `num_images`.

    Raises:
        UserError: as `read_annotation_file` and `read_records`; `on_bad_record` is fail and a
            record is unusable; or the set is empty.
    """
    is_val = run_mode == "val"
    annotation_path = data_dir / (config.val_annotation if is_val else config.test_annotation)
    image_dir = data_dir / (config.val_images if is_val else config.test_images)
    content = read_annotation_file(annotation_path)
    mapping = class_of_category(content["categories"], config.coco_classes, annotation_path)
    bad_records = BadRecords(on_bad_record)
    records = read_records(content, annotation_path, image_dir, config.coco_classes, bad_records)
    bad_records.report()
    if num_images >= 0:
        records = records[:num_images]
    if not records:
        raise UserError(f"{annotation_path}: lists no image; there is nothing to evaluate.")
    return EvaluationSet(annotation_path, records, category_ids(mapping, config.num_classes))
