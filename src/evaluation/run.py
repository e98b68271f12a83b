# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Evaluation of a whole data set."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import nn
from tqdm import tqdm

from src import visual
from src.data.coco import BadRecords, ImageRecord
from src.data.images import decoder
from src.evaluation.coco_results import COCO_NUMBERS, average_precision, to_results
from src.evaluation.detector import create_detector
from src.evaluation.evaluation_set import read_evaluation_set, read_image
from src.model_utils.errors import UserError
from src.model_utils.parameters import Config


class Evaluation:
    """The configured evaluation of a network, for eval.py and for a training that is going on.

    Args:
        config: data_dir, on_bad_record and the sections are read.
        network: `CenterNet`, evaluated with the weights that it has at that time.
        run_mode: val or test.

    Raises:
        UserError: as `read_evaluation_set`.
    """

    def __init__(self, config: Config, network: nn.Cell, run_mode: str) -> None:
        self._config, self._network = config, network
        self.set = read_evaluation_set(
            config.dataset_config,
            Path(config.data_dir),
            run_mode,
            config.eval_config.num_images,
            config.on_bad_record,
        )
        self._detector = create_detector(config, network)
        self._decode = decoder(config.dataset_config.image_backend)
        self.detected: list[ImageRecord] = []  # by the last `detect`

    def detect(
        self, picture_dir: Path | None = None, is_stopped: Callable[[], bool] | None = None
    ) -> list[dict[str, Any]] | None:
        """Entries of a COCO result file, None if stopped; leaves the network in inference mode.

        Images that cannot be read are named. With on_bad_record skip they are left out, here and
        of AP, and counted.

        Args:
            picture_dir: folder for a picture of each image with its true and predicted boxes.
            is_stopped: asked after each image; once it is true the rest is left.

        Raises:
            UserError: images could not be read and on_bad_record is fail; the others are done.
        """
        self._network.set_train(False)
        results, self.detected, images = [], [], self.set.records
        reading = (partial(read_image, record, self._decode) for record in images)
        progress = tqdm(images, desc="detect", unit="image", mininterval=1)
        bad = BadRecords(self._config.on_bad_record)
        for record, boxes in zip(progress, self._detector.detect(reading), strict=False):
            if is_stopped is not None and is_stopped():
                return None
            if isinstance(boxes, UserError):
                bad.add("image cannot be read", str(boxes).rstrip("."))
                continue
            self.detected.append(record)
            results += to_results(record.image_id, boxes, self.set.category_ids)
            if picture_dir is not None:
                self._draw(record, boxes, picture_dir)
        bad.report()
        return results

    def _draw(self, record: ImageRecord, boxes: np.ndarray, picture_dir: Path) -> None:
        image = read_image(record, self._decode)
        names, thresh = (
            self._config.dataset_config.coco_classes,
            self._config.eval_config.score_thresh,
        )
        truth = np.column_stack([record.boxes, record.classes])
        pictures = [
            visual.draw_boxes(image, truth, names),
            visual.draw_boxes(image, boxes, names, thresh),
        ]
        picture = visual.side_by_side(pictures, ["ground truth", "prediction"])
        visual.write_picture(picture_dir / f"{record.path.stem}.jpg", picture)

    def average_precision(self, results: list[dict[str, Any]]) -> tuple[dict[str, float], str]:
        """COCO's numbers by name, and pycocotools' table; raises as the function it calls."""
        image_ids = [record.image_id for record in self.detected]
        stats, table = average_precision(self.set.annotation_path, results, image_ids)
        return dict(zip(COCO_NUMBERS, stats.tolist(), strict=True)), table

    def numbers(self, is_stopped: Callable[[], bool]) -> dict[str, float] | None:
        """COCO's numbers of the network as it is now, by name; leaves it in inference mode.

        Args:
            is_stopped: as of `detect`; there are no numbers then.
        """
        results = self.detect(is_stopped=is_stopped)
        return None if results is None else self.average_precision(results)[0]
