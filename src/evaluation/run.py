# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Evaluation of a whole data set."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from src.data.coco import BadRecords, ImageRecord
from src.data.images import decoder, read_image
from src.evaluation import shares
from src.evaluation.coco_results import Scores, import_backend, score, to_results
from src.evaluation.detector import Detector
from src.evaluation.evaluation_set import read_evaluation_set
from src.evaluation.matching import POINTS_OF_TRUTH
from src.evaluation.report import ImageResult, write_report
from src.model_utils import ranks
from src.model_utils.errors import UserError
from src.model_utils.files import fitting_name
from src.model_utils.messages import say
from src.model_utils.parameters import Config
from src.model_utils.progress import telling
from src.tasks.columns import POINTS_OF_DETECTION, points_of
from src.visual import pictures


class Evaluation:
    """The configured evaluation of a detector, for eval.py and for a training that is going on.

    Several processes share its images: each makes an object of its own, and all call `detect` or
    `numbers`, whose results the first one has.

    Args:
        config: data_dir, on_bad_record and the sections are read.
        detector: of the same configuration; its network has the weights that it has at that time,
            the same on all processes.
        run_mode: val or test.
        rank: this process, of `rank_size`.

    Raises:
        UserError: as `read_evaluation_set` and `import_backend`, or an image is too small or large,
            or processes have other images than the first.
    """

    def __init__(
        self, config: Config, detector: Detector, run_mode: str, rank: int = 0, rank_size: int = 1
    ) -> None:
        import_backend(config.eval_config.coco_backend)  # absent: said before the work
        self._config, self._detector = config, detector
        self._rank, self._rank_size = rank, rank_size
        bad = BadRecords(config.on_bad_record)
        self.set = read_evaluation_set(
            config.dataset_config,
            Path(config.data_dir),
            run_mode,
            config.eval_config.num_images,
            bad_records=bad,
            boxes=config.eval_config.K,
            keep_res=config.eval_config.keep_res,
            pose=config.pose,
        )
        bad.report()
        image_ids = [record.image_id for record in self.set.records]
        what = f"images of {self.set.annotation_path}"
        ranks.check_alike(what, repr(image_ids).encode(), rank_size)
        for record in self.set.records if config.on_bad_record == "fail" else ():
            unfit = self._detector.unfit(record.height, record.width)
            if unfit:
                raise UserError(f"{record.path}: image {record.image_id}: {unfit}")
        dataset = config.dataset_config
        self._decode = decoder(
            dataset.image_backend, dataset.turn_by_exif, dataset.take_damaged_jpegs
        )
        self.detected: dict[int, ImageResult] = {}  # of the last `detect`, by image id

    def detect(
        self, picture_dir: Path | None = None, is_stopped: Callable[[], bool] | None = None
    ) -> list[dict[str, Any]] | None:
        """Entries of a COCO result file, None if stopped.

        Images that cannot be read are named. With on_bad_record skip they are left out, here and
        of AP, and counted. Of several processes each detects in its share of the images; the first
        has the results of all, and says what cannot be read, and the others get an empty list.

        Args:
            picture_dir: folder for a picture of each image with its true and predicted boxes; of
                several processes each writes those of its share.
            is_stopped: asked after each image; once it is true on any process the rest is left.

        Raises:
            UserError: images could not be read and on_bad_record is fail; the others are done. None
                could be read. Another process has failed.
        """
        if picture_dir is not None and not self._detector.has_heat_maps:
            say("pictures have no heat maps: an exported model gives boxes alone")
        found = self._found(picture_dir, is_stopped)
        if found is None:
            return None
        return [] if self._rank > 0 else self._results(found)

    def _found(
        self, picture_dir: Path | None, is_stopped: Callable[[], bool] | None
    ) -> list[shares.Found] | None:
        """What is found in each image, None if stopped; on all processes, which all call it."""
        own: list[bytes] = []
        if not ranks.all_do(self._detect_share(own, picture_dir), self._rank_size, is_stopped):
            return None
        batches = len(self.set.records), self._detector.batch_size
        return shares.from_all(own[0], *batches, self._rank_size)

    def _detect_share(self, packed: list[bytes], picture_dir: Path | None) -> Iterator[None]:
        """Puts into `packed`, when it is through, what this process is to find."""
        found: list[shares.Found] = []
        records = self.set.records
        batches = len(records), self._detector.batch_size
        own = [records[i] for i in shares.share(*batches, self._rank, self._rank_size)]
        reading = (
            partial(
                *(read_image, record.path, self._decode, f"image {record.image_id}"),
                (record.height, record.width),
            )
            for record in own
        )
        progress = tqdm(own, desc="detect", unit="image", mininterval=1)
        for record, boxes in zip(progress, self._detector.detect(reading), strict=False):
            found.append(boxes)
            if picture_dir is not None and not isinstance(boxes, UserError):
                self._draw(self._result(record, boxes), picture_dir)
            yield
        packed.append(shares.packed(found))

    def _results(self, found: list[shares.Found]) -> list[dict[str, Any]]:
        """As `detect`."""
        results, self.detected = [], {}
        bad = BadRecords(self._config.on_bad_record)
        for record, boxes in zip(self.set.records, found, strict=True):
            if isinstance(boxes, UserError):
                bad.add("image cannot be read", str(boxes).rstrip("."))
                continue
            self.detected[record.image_id] = self._result(record, boxes)
            results += to_results(
                record.image_id, boxes, self.set.category_ids, self._config.has_points
            )
        bad.report()
        if not self.detected:
            raise UserError(f"{self.set.annotation_path}: none of its images can be read.")
        return results

    def _result(self, record: ImageRecord, boxes: np.ndarray) -> ImageResult:
        truth = np.column_stack([record.boxes, record.classes, record.keypoints])
        name = str(record.path.relative_to(self.set.image_dir))
        return ImageResult(record.path, truth, boxes, name, record.areas)

    def _draw(self, result: ImageResult, picture_dir: Path) -> None:
        """Ground truth, prediction and, if there is one, heat map of an image, side by side."""
        image = read_image(result.path, self._decode)
        config, task = self._config, self._config.task_facts
        names, thresh = config.dataset_config.coco_classes, config.eval_config.score_thresh
        parts = [
            pictures.draw_boxes(
                *(image, result.truth[:, :POINTS_OF_TRUTH], names),
                points=points_of(result.truth, POINTS_OF_TRUTH),
                task=task,
            ),
            pictures.draw_boxes(
                *(image, result.predicted[:, :POINTS_OF_DETECTION], names, thresh),
                points=pictures.shown_points(result.predicted, config.has_points, thresh),
                task=task,
            ),
        ]
        titles = ["ground truth", "prediction"]
        if task.points:
            titles[1] += f" ({pictures.LEGEND})"
        if self._detector.has_heat_maps:
            heat, affine = self._detector.heat_map(image)
            ratio = config.net_config.down_ratio
            parts.append(pictures.heat_map_overlay(image, heat, affine, ratio))
            titles.append("heat map")
        picture = pictures.side_by_side(parts, titles)
        is_jpeg = result.path.suffix.lower() in (".jpg", ".jpeg")
        target = picture_dir / result.name  # in folders as the images are
        name = fitting_name(target.name, "" if is_jpeg else ".jpg")  # beside a.jpg an a.png
        pictures.write_picture(target.with_name(name), picture)

    def score(self, results: list[dict[str, Any]]) -> Scores:
        """COCO's numbers of what `detect` gave; raises as `coco_results.score`."""
        with telling(f"computing AP of {len(results)} boxes"):
            return score(
                self.set.annotation_path,
                results,
                list(self.detected),
                self._config.dataset_config.coco_classes,
                backend=self._config.eval_config.coco_backend,
                boxes=self._config.eval_config.K,
                other_classes=self._config.dataset_config.other_classes,
                task=self._config.task_facts,
                has_points=self._config.has_points,
                keypoints_path=self.set.keypoints_path,
            )

    @telling("drawing the report")
    def write_report(self, path: Path, scores: Scores) -> None:
        """Writes what `detect` and `score` gave as a page to look at; raises as `write_report`."""
        config = self._config
        write_report(
            path,
            title=f"CenterNet on {self.set.annotation_path.name}",
            facts={
                "model": getattr(config, config.models[0]),
                "data": config.data_dir,
                "time": time.strftime("%Y-%m-%d %H:%M"),
            },
            numbers=scores.numbers,
            classes={name: asdict(found) for name, found in scores.classes.items()},
            precision=scores.precision,
            images=list(self.detected.values()),
            score_thresh=config.eval_config.score_thresh,
            decode=self._decode,
            task=config.task_facts,
            has_points=config.has_points,
        )

    def numbers(self, is_stopped: Callable[[], bool]) -> dict[str, float] | None:
        """COCO's numbers of the network as it is now, by name.

        Of several processes the first scores and has them; the others wait for it, and get none.

        Args:
            is_stopped: as of `detect`; there are no numbers then, but None.
        """
        with telling(""):  # the progress bar says it
            found = self._found(None, is_stopped)
        if found is None:
            return None
        scores: list[Scores] = []
        # A failure of the first process in this is one of all, too.
        scoring = ranks.in_a_thread(lambda: self.score(self._results(found)), scores)
        if not ranks.all_do(scoring if self._rank == 0 else (), self._rank_size, is_stopped):
            return None
        return scores[0].numbers if scores else {}
