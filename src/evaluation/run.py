# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Evaluation of a whole data set."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import nn
from tqdm import tqdm

from src import visual
from src.data.images import Decoder, decoder
from src.evaluation.coco_results import Scores, import_backend, score, to_results
from src.evaluation.detector import Detector, create_detector
from src.evaluation.evaluation_set import EvaluationSet, read_evaluation_set, read_image
from src.model_utils.parameters import Config


class Evaluation:
    """The configured evaluation of a network, for eval.py and for a training that is going on.

    Args:
        config: data_dir, on_bad_record and the sections are read.
        network: `CenterNet`, evaluated with the weights that it has at that time.
        run_mode: val or test.

    Raises:
        UserError: as `read_evaluation_set` and `import_backend`.
    """

    def __init__(self, config: Config, network: nn.Cell, run_mode: str) -> None:
        import_backend(config.eval_config.coco_backend)  # absent: said before the work
        self._config, self._network = config, network
        self.set = read_evaluation_set(
            config.dataset_config,
            Path(config.data_dir),
            run_mode,
            config.eval_config.num_images,
            config.on_bad_record,
        )
        self._detector = create_detector(config, network)

    def detect(
        self, picture_dir: Path | None = None, is_stopped: Callable[[], bool] | None = None
    ) -> list[dict[str, Any]] | None:
        """Entries of a COCO result file, None if stopped; leaves the network in inference mode."""
        self._network.set_train(False)
        dataset = self._config.dataset_config
        return detect_all(
            self._detector,
            self.set,
            decoder(dataset.image_backend),
            dataset.coco_classes,
            picture_dir,
            self._config.eval_config.score_thresh,
            is_stopped,
        )

    def score(self, results: list[dict[str, Any]]) -> Scores:
        """COCO's numbers of what `detect` gave; raises as `coco_results.score`."""
        return score(
            self.set.annotation_path,
            results,
            [record.image_id for record in self.set.records],
            self._config.dataset_config.coco_classes,
            self._config.eval_config.coco_backend,
        )

    def numbers(self, is_stopped: Callable[[], bool]) -> dict[str, float] | None:
        """COCO's numbers of the network as it is now, by name; leaves it in inference mode.

        Args:
            is_stopped: asked before each image; once it is true the rest is left, and there are no
                numbers.
        """
        results = self.detect(is_stopped=is_stopped)
        return None if results is None else self.score(results).numbers


def detect_all(
    detector: Detector,
    evaluation_set: EvaluationSet,
    decode: Decoder,
    class_names: Sequence[str],
    picture_dir: Path | None,
    score_thresh: float,
    is_stopped: Callable[[], bool] | None = None,
) -> list[dict[str, Any]] | None:
    """Runs the detector over the set.

    Args:
        detector, evaluation_set, decode: what to run, on what, read how.
        class_names: names of the classes, for pictures.
        picture_dir: folder for a picture of each image with its true and predicted boxes, or None.
        score_thresh: smallest score drawn.
        is_stopped: asked before each image.

    Returns:
        Entries of a COCO result file; None once `is_stopped` is true.
    """
    results = []
    for record in tqdm(evaluation_set.records, desc="detect", unit="image", mininterval=1):
        if is_stopped is not None and is_stopped():
            return None
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
