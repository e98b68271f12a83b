# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Evaluation of a whole data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from src import visual
from src.data.images import Decoder
from src.evaluation.coco_results import to_results
from src.evaluation.detector import Detector
from src.evaluation.evaluation_set import EvaluationSet, read_image


def detect_all(
    detector: Detector,
    evaluation_set: EvaluationSet,
    decode: Decoder,
    class_names: Sequence[str],
    picture_dir: Path | None,
    score_thresh: float,
) -> list[dict[str, Any]]:
    """Runs the detector over the set.

    Args:
        detector, evaluation_set, decode: what to run, on what, read how.
        class_names: names of the classes, for pictures.
        picture_dir: folder for a picture of each image with its true and predicted boxes, or None.
        score_thresh: smallest score drawn.

    Returns:
        Entries of a COCO result file.
    """
    results = []
    for record in tqdm(evaluation_set.records, desc="detect", unit="image", mininterval=1):
        image = read_image(record, decode)
        boxes = detector(image)
        results += to_results(record.image_id, boxes, evaluation_set.category_ids)
        if picture_dir is not None:
            truth = np.column_stack([record.boxes, record.classes])
            pictures = [
                visual.draw_boxes(image, truth, class_names),
                visual.draw_boxes(image, boxes, class_names, score_thresh),
            ]
            picture = visual.side_by_side(pictures, ["ground truth", "prediction"])
            visual.write_picture(picture_dir / f"{record.path.stem}.jpg", picture)
    return results
