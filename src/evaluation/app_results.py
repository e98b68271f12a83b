# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What the Ascend 310 application wrote, as entries of a COCO result file. No MindSpore here."""

import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from src.data.coco import BadRecords, is_box, is_id
from src.deploy.bin_files import ImageMeta, Meta, read_detections
from src.evaluation.coco_results import is_points, to_results
from src.evaluation.postprocess import PostProcessing
from src.model_utils.errors import UserError
from src.model_utils.files import read_regular

_IMAGES_AT_ONCE = 64  # to a process
_WORTH_A_PROCESS = 500  # images: they take as long as a process takes to start


def class_names(meta: Meta, content: dict[str, Any], label_path: Path) -> list[str]:
    """The name of each class by its category id; a class that the data set lacks has none.

    Args:
        content: of the annotation file `label_path`, as `read_annotation_file` gave it.

    Raises:
        UserError: the file lacks a category of the meta file.
    """
    categories = [entry for entry in content["categories"] if is_id(entry["id"])]
    names = {category["id"]: category.get("name") for category in categories}
    for category_id in meta.category_ids:
        if category_id is not None and not isinstance(names.get(category_id), str):
            raise UserError(
                f"{label_path}: has no category {category_id} with a name, which the meta file "
                "lists; give the annotations that preprocess.py had."
            )
    return ["" if category_id is None else names[category_id] for category_id in meta.category_ids]


@dataclass(frozen=True)
class _Boxes:
    """The boxes (n,6+3J) of an image from its result file, in any process."""

    result_path: Path
    meta: Meta  # without images, which each process would be sent

    def __call__(self, image: ImageMeta) -> np.ndarray | UserError:
        try:
            detections = read_detections(self.result_path, image.name, self.meta)
        except UserError as error:
            return error
        meta = self.meta
        post_process = PostProcessing(
            *(meta.soft_nms, meta.kept, meta.down_ratio),
            clip_boxes=meta.clip_boxes,
            form=meta.soft_nms_form,
            pairs=meta.pairs,
        )
        return post_process([detections], [image.affine], (image.height, image.width))


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
    boxes, has_points = _Boxes(result_path, replace(meta, images=[])), meta.has_points
    # disable: on a terminal only, not in acc.log
    progress = tqdm(meta.images, desc="postprocess", unit="image", mininterval=1, disable=None)
    for image, found in zip(progress, _mapped(boxes, meta.images, workers), strict=True):
        if isinstance(found, UserError):
            bad_records.add("image without a sound result file", str(found).rstrip("."))
        else:
            results += to_results(image.image_id, found, meta.category_ids, has_points)
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
    points = dict(zip(meta.category_ids, meta.has_points, strict=True))
    seen = set()
    for position, entry in enumerate(results):
        if not _is_result(entry) or entry["category_id"] not in categories:
            raise UserError(
                f"{path}: entry {position} is no COCO result of the meta file's categories; run "
                "ascend310_infer again with the same meta file."
            )
        count, given = meta.points if points[entry["category_id"]] else 0, entry.get("keypoints")
        if not (is_points(given, count) if count else given is None):
            size = f"{len(given)} numbers" if isinstance(given, list) else "none"
            raise UserError(
                f"{path}: entry {position} has as keypoints {size} where the meta file asks for "
                f"{3 * count}, all finite; run ascend310_infer again with the same meta file."
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
