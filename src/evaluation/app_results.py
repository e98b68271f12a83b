# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What the Ascend 310 application wrote, as entries of a COCO result file. No MindSpore here."""

import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from src.data.coco import BadRecords, is_box, is_id
from src.deploy.bin_files import ImageMeta, Meta, read_detections
from src.evaluation.coco_results import to_results
from src.evaluation.postprocess import PostProcessing
from src.model_utils.errors import UserError
from src.model_utils.files import read_regular

_IMAGES_AT_ONCE = 64  # to a process
_WORTH_A_PROCESS = 500  # images: they take as long as a process takes to start


def check_settings(
    meta: Meta,
    meta_path: Path,
    down_ratio: int,
    soft_nms: bool,
    boxes: int,
    category_ids: Sequence[int | None],
) -> None:
    """Refuses settings other than those of the meta file, which the application has taken.

    Raises:
        UserError: one differs.
    """
    for name, found, wanted in (
        ("net_config.down_ratio", meta.down_ratio, down_ratio),
        ("eval_config.SOFT_NMS", meta.soft_nms, soft_nms),
        ("eval_config.K", meta.boxes, boxes),
        ("the category ids", meta.category_ids, list(category_ids)),
    ):
        if found != wanted:
            raise UserError(
                f"{meta_path}: was written for {name} {found}, not {wanted}; give the options and "
                "annotations that preprocess.py had, or run it again with these."
            )


@dataclass(frozen=True)
class _Boxes:
    """The boxes (n,6) of an image from its result file, in any process."""

    result_path: Path
    post_process: PostProcessing
    num_classes: int

    def __call__(self, image: ImageMeta) -> np.ndarray | UserError:
        try:
            detections = read_detections(
                self.result_path, image.name, self.post_process.k, self.num_classes
            )
        except UserError as error:
            return error
        return self.post_process([detections], [image.affine])


def of_bin_files(
    result_path: Path, meta: Meta, bad_records: BadRecords, workers: int
) -> tuple[list[dict[str, Any]], list[int]]:
    """Entries made from the files NAME_0.bin, by `workers` processes.

    Returns:
        The entries and the ids of the images that have a sound file; the others go to
        `bad_records`.
    """
    results: list[dict[str, Any]] = []
    image_ids = []
    post_process = PostProcessing(meta.soft_nms, meta.boxes, meta.down_ratio)
    boxes = _Boxes(result_path, post_process, len(meta.category_ids))
    # disable: on a terminal only, not in acc.log
    progress = tqdm(meta.images, desc="postprocess", unit="image", mininterval=1, disable=None)
    for image, found in zip(progress, _mapped(boxes, meta.images, workers), strict=True):
        if isinstance(found, UserError):
            bad_records.add("image without a sound result file", str(found).rstrip("."))
        else:
            results += to_results(image.image_id, found, meta.category_ids)
            image_ids.append(image.image_id)
    return results, image_ids


def _mapped(
    boxes: _Boxes, images: Sequence[ImageMeta], workers: int
) -> Iterator[np.ndarray | UserError]:
    """`boxes` of each image, in order. Not by threads: soft-NMS holds Python's lock."""
    workers = min(workers, len(images) // _WORTH_A_PROCESS)
    if workers < 2:
        yield from map(boxes, images)
    else:
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            yield from pool.map(boxes, images, chunksize=_IMAGES_AT_ONCE)


def of_result_file(
    path: Path, meta: Meta, bad_records: BadRecords
) -> tuple[list[dict[str, Any]], list[int]]:
    """Entries of the COCO result file that the application wrote by --result_json.

    An image has at least one box there, unless all were of classes that the data set lacks: where
    it lacks some, an image without a box is one in which nothing was found, else one that failed.

    Returns:
        The entries and the ids of the images that did not fail; the others go to `bad_records`.

    Raises:
        UserError: it cannot be read or is no result file of these images.
    """
    try:
        results = json.loads(read_regular(path))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); run ascend310_infer with --result_json."
        ) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not json ({error}); run ascend310_infer again.") from None
    if not isinstance(results, list):
        raise UserError(f"{path}: is no list of COCO results; run ascend310_infer again.")
    listed = {image.image_id for image in meta.images}
    categories = set(meta.category_ids) - {None}
    seen = set()
    for position, entry in enumerate(results):
        if not _is_result(entry) or entry["category_id"] not in categories:
            raise UserError(
                f"{path}: entry {position} is no COCO result of the meta file's categories; run "
                "ascend310_infer again with the same meta file."
            )
        if entry["image_id"] not in listed:
            raise UserError(
                f"{path}: entry {position} is of image {entry['image_id']}, which the meta file "
                "does not list; give the one that ascend310_infer had."
            )
        seen.add(entry["image_id"])
    if None not in meta.category_ids:
        for image in meta.images:
            if image.image_id not in seen:
                problem = f"{path}: has no box of image {image.image_id} ({image.name})"
                bad_records.add("image without results", problem)
        return results, [image.image_id for image in meta.images if image.image_id in seen]
    return results, [image.image_id for image in meta.images]


def _is_result(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and is_id(entry.get("image_id"))
        and is_id(entry.get("category_id"))
        and is_box(entry.get("bbox"))
        and (type(entry.get("score")) is float or is_id(entry.get("score")))
        and bool(np.isfinite([*entry["bbox"], entry["score"]]).all())
    )
