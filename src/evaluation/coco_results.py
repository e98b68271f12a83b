# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""COCO's result format and its AP."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from src.data.coco import is_box, is_id, read_annotation_file
from src.model_utils.errors import UserError

# pycocotools' order.
COCO_NUMBERS = (
    "AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
    "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large",
)  # fmt: skip


def to_results(
    image_id: int, boxes: np.ndarray, category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Entries of a COCO result file, scores in full precision.

    Args:
        image_id: COCO's id of the image.
        boxes: float (n,6), x1 y1 x2 y2 score class in image pixels.
        category_ids: COCO's category id of each class; negative if the data set lacks the class,
            whose boxes are then left out.
    """
    return [
        {
            "image_id": image_id,
            "category_id": category_ids[int(class_index)],
            "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
            "score": float(score),
        }
        for x1, y1, x2, y2, score, class_index in boxes
        if category_ids[int(class_index)] >= 0
    ]


def category_ids(class_of_category: dict[int, int], num_classes: int) -> list[int]:
    """The inverse of `class_of_category`: the category id of each class, -1 where there is none."""
    ids = [-1] * num_classes
    for category_id, class_index in class_of_category.items():
        ids[class_index] = category_id
    return ids


def average_precision(
    annotation_path: Path, results: list[dict[str, Any]], image_ids: Sequence[int]
) -> tuple[np.ndarray, str]:
    """COCO's twelve numbers over the images of `image_ids`, and pycocotools' table of them.

    Annotations without `iscrowd` count as single objects, without `area` with their box's. Without
    any result, every number that has ground truth is 0. Entries that pycocotools would stumble over
    are left out: --on_bad_record has let them pass before.

    Raises:
        UserError: the file has no annotations, or not those of these images.
    """
    content = read_annotation_file(annotation_path)
    content["images"] = [entry for entry in content["images"] if is_id(entry.get("id"))]
    missing = set(image_ids) - {entry["id"] for entry in content["images"]}
    if "annotations" not in content or missing:
        what = f"does not list image {min(missing)}" if missing else "has no annotations"
        raise UserError(f"{annotation_path}: {what}; give the annotation file of these images.")
    content["annotations"] = [
        entry
        for entry in content["annotations"]
        if isinstance(entry, dict)
        and all(is_id(entry.get(name)) for name in ("id", "image_id", "category_id"))
        and is_box(entry.get("bbox"))
    ]
    truth = COCO()
    truth.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):
        for entry in content["annotations"]:
            entry.setdefault("iscrowd", 0)
            entry.setdefault("area", entry["bbox"][2] * entry["bbox"][3])
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results) if results else COCO(), "bbox")
        evaluation.params.imgIds = list(image_ids)
        evaluation.evaluate()
        evaluation.accumulate()
    table = io.StringIO()
    with contextlib.redirect_stdout(table):
        evaluation.summarize()
    return evaluation.stats, table.getvalue().rstrip("\n")
