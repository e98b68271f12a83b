# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Reading COCO annotation files, with every record checked.

Category ids and xywh boxes stay on this side: what leaves is class indices and xyxy boxes.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.model_utils.errors import UserError


@dataclass(frozen=True)
class ImageRecord:
    """An image of a COCO set with its objects.

    boxes: float32 (n,4) x1 y1 x2 y2 in pixels; classes: int32 (n,), 0-based and contiguous.
    """

    image_id: int
    path: Path
    width: int
    height: int
    boxes: np.ndarray
    classes: np.ndarray


class BadRecords:
    """What to do about records that are not usable: `fail` at the first, or `skip` and count."""

    def __init__(self, action: str) -> None:
        self._action = action
        self.skipped: list[str] = []

    def add(self, problem: str) -> None:
        """Raises UserError or notes the problem, a sentence without its full stop."""
        if self._action == "fail":
            raise UserError(f"{problem}; mend the record or pass --on_bad_record skip.")
        self.skipped.append(problem)


def read_annotation_file(path: Path) -> dict[str, Any]:
    """Reads a COCO json with `images` and `categories`; `annotations` may be absent (test sets).

    Raises:
        UserError: the file is missing, is not json or is not COCO's.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(
            f"{path}: annotation file not found; check the data set folder and dataset_config."
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not json ({error}); fetch or write it again.") from None
    for key in ("images", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise UserError(f"{path}: is not a COCO annotation file: it has no list {key!r}.")
        for position, entry in enumerate(content[key]):
            if not isinstance(entry, dict) or not isinstance(entry.get("id"), int):
                raise UserError(f"{path}: {key}[{position}] has no integer id; COCO needs one.")
    if not isinstance(content.get("annotations", []), list):
        raise UserError(f"{path}: is not a COCO annotation file: its annotations are no list.")
    return content


def class_of_category(
    categories: Sequence[dict[str, Any]], class_names: Sequence[str], path: Path
) -> dict[int, int]:
    """Maps COCO category ids to class indices, the positions of their names in `class_names`.

    Raises:
        UserError: a category whose name is not among `class_names`.
    """
    position = {name: index for index, name in enumerate(class_names)}
    mapping = {}
    for category in categories:
        name = category.get("name")
        if not isinstance(name, str) or name not in position:
            raise UserError(
                f"{path}: category {name!r} (id {category['id']}) is not in "
                "dataset_config.coco_classes; add it there or pick the config of this data set."
            )
        mapping[category["id"]] = position[name]
    return mapping


def read_records(
    annotation_path: Path,
    image_dir: Path,
    class_names: Sequence[str],
    bad_records: BadRecords,
) -> list[ImageRecord]:
    """Reads all images with their boxes, in the file's order, images without boxes included.

    Boxes are clipped to the image. `iscrowd` boxes are kept, as CenterNet trains on them.

    Raises:
        UserError: the file is not COCO's, a category is unknown, or `bad_records` says fail.
    """
    content = read_annotation_file(annotation_path)
    mapping = class_of_category(content["categories"], class_names, annotation_path)
    images = {}
    for entry in content["images"]:
        problem = _image_problem(entry, image_dir)
        if problem:
            bad_records.add(f"{annotation_path}: image {entry['id']} {problem}")
        elif entry["id"] in images:
            bad_records.add(f"{annotation_path}: image id {entry['id']} stands there twice")
        else:
            images[entry["id"]] = entry
    objects: dict[int, list[tuple[list[float], int]]] = {image_id: [] for image_id in images}
    for position, entry in enumerate(content.get("annotations", [])):
        problem = _annotation_problem(entry, images, mapping)
        if problem:
            name = entry.get("id", f"number {position}") if isinstance(entry, dict) else position
            bad_records.add(f"{annotation_path}: annotation {name} {problem}")
            continue
        image = images[entry["image_id"]]
        box = _clipped_box(entry["bbox"], image["width"], image["height"])
        objects[entry["image_id"]].append((box, mapping[entry["category_id"]]))
    return [
        ImageRecord(
            image_id,
            image_dir / entry["file_name"],
            entry["width"],
            entry["height"],
            np.array([box for box, _ in objects[image_id]], np.float32).reshape(-1, 4),
            np.array([class_index for _, class_index in objects[image_id]], np.int32),
        )
        for image_id, entry in images.items()
    ]


def _image_problem(entry: dict[str, Any], image_dir: Path) -> str:
    name = entry.get("file_name")
    if not isinstance(name, str) or not name:
        return "has no file_name"
    if Path(name).is_absolute() or ".." in Path(name).parts:
        return f"has file_name {name!r}, which leaves {image_dir}"
    if not all(
        isinstance(entry.get(side), int) and entry[side] > 0 for side in ("width", "height")
    ):
        return "has no positive integer width and height"
    return ""


def _annotation_problem(
    entry: Any, images: dict[int, dict[str, Any]], mapping: dict[int, int]
) -> str:
    if not isinstance(entry, dict):
        return "is not a mapping"
    if not isinstance(entry.get("image_id"), int) or entry["image_id"] not in images:
        return f"is of image {entry.get('image_id')}, which is not listed or not usable"
    if not isinstance(entry.get("category_id"), int) or entry["category_id"] not in mapping:
        return f"has category_id {entry.get('category_id')}, which categories does not list"
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        return "has no bbox of four numbers"
    if not all(isinstance(side, (int, float)) and math.isfinite(side) for side in box):
        return f"has bbox {box}, which is not finite"
    image = images[entry["image_id"]]
    x1, y1, x2, y2 = _clipped_box(box, image["width"], image["height"])
    if x2 <= x1 or y2 <= y1:
        return (
            f"has bbox {box}, without area inside its image of "
            f"{image['width']}x{image['height']} pixels"
        )
    return ""


def _clipped_box(xywh: list[float], width: int, height: int) -> list[float]:
    x, y, w, h = xywh
    return [max(x, 0.0), max(y, 0.0), min(x + w, float(width)), min(y + h, float(height))]
