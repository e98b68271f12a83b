# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Reading COCO annotation files, with every record checked.

Category ids and xywh boxes stay on this side: what leaves is class indices and xyxy boxes.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.data.images import LARGEST_SIDE
from src.model_utils.errors import UserError

_EXAMPLES = 5  # shown of each kind of problem


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
    """Collects the records that are not usable, by the kind of their problem.

    All are gathered before anything is said about them, so that one run shows the whole list. With
    the action `fail` there may be none, with `skip` they are left out.
    """

    def __init__(self, action: str) -> None:
        self._action = action
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    @property
    def count(self) -> int:
        return self._counts.total()

    @property
    def acceptable(self) -> bool:
        """Whether the good records are wanted still."""
        return self._action == "skip" or not self._counts

    def add(self, kind: str, problem: str) -> None:
        """Notes a problem: its kind, and what is wrong with which record of which file."""
        self._counts[kind] += 1
        examples = self._examples.setdefault(kind, [])
        if len(examples) < _EXAMPLES:
            examples.append(problem)

    def report(self) -> None:
        """Prints the list to stderr, if there is anything on it.

        Raises:
            UserError: with the action `fail`, if there is.
        """
        if not self._counts:
            return
        kinds = self._counts.most_common()
        print(f"unusable records: {self.count}", file=sys.stderr)
        for kind, count in kinds:
            print(f"  {kind}: {count}", file=sys.stderr)
            for problem in self._examples[kind]:
                print(f"    {problem}", file=sys.stderr)
            if count > _EXAMPLES:
                print(f"    and {count - _EXAMPLES} more", file=sys.stderr)
        if self._action == "fail":
            first = self._examples[kinds[0][0]][0]
            if self.count > 1:
                first += f" (and {self.count - 1} more unusable records, listed above)"
            raise UserError(f"{first}; mend what is listed or pass --on_bad_record skip.")


def is_id(value: Any) -> bool:
    """Whether a value of a json is an integer that 64 bits hold; true and false are none."""
    return type(value) is int and -(2**63) <= value < 2**63


def is_box(value: Any) -> bool:
    """Whether a value of a json is a list of four numbers, which may be NaN or infinite."""
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(type(side) is float or is_id(side) for side in value)
    )


def read_annotation_file(path: Path, digest: "hashlib._Hash | None" = None) -> dict[str, Any]:
    """Reads a COCO json with `images` and `categories`; `annotations` may be absent (test sets).

    Args:
        path: the file.
        digest: is updated with the file's bytes.

    Raises:
        UserError: the file is missing, is not json or is not COCO's.
    """
    try:
        encoded = path.read_bytes()
        content = json.loads(encoded)
    except FileNotFoundError:
        raise UserError(
            f"{path}: annotation file not found; check the data set folder and dataset_config."
        ) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not json ({error}); fetch or write it again.") from None
    if digest is not None:
        digest.update(encoded)
    for key in ("images", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise UserError(f"{path}: is not a COCO annotation file: it has no list {key!r}.")
        for position, entry in enumerate(content[key]):
            if not isinstance(entry, dict):
                raise UserError(
                    f"{path}: is not a COCO annotation file: {key}[{position}] is no mapping."
                )
    if not isinstance(content.get("annotations", []), list):
        raise UserError(f"{path}: is not a COCO annotation file: its annotations are no list.")
    return content


def class_of_category(
    categories: Sequence[dict[str, Any]], class_names: Sequence[str], path: Path
) -> dict[int, int]:
    """Maps COCO category ids to class indices, the positions of their names in `class_names`.

    Raises:
        UserError: a category whose name is not among `class_names`, or whose id is no id, or one
            with the id or the name of another.
    """
    class_of_name = {name: index for index, name in enumerate(class_names)}
    mapping: dict[int, int] = {}
    for position, category in enumerate(categories):
        category_id, name = category.get("id"), category.get("name")
        if not is_id(category_id):
            raise UserError(f"{path}: categories[{position}] has no integer id; COCO needs one.")
        if category_id in mapping:
            raise UserError(
                f"{path}: category id {category_id} stands there twice; give each category an id "
                "of its own."
            )
        if not isinstance(name, str) or name not in class_of_name:
            raise UserError(
                f"{path}: category {name!r} (id {category_id}) is not in "
                "dataset_config.coco_classes; add it there or pick the config of this data set."
            )
        if class_of_name[name] in mapping.values():
            raise UserError(
                f"{path}: category {name!r} stands there twice; give its annotations one category."
            )
        mapping[category_id] = class_of_name[name]
    return mapping


def read_records(
    content: dict[str, Any],
    annotation_path: Path,
    image_dir: Path,
    class_names: Sequence[str],
    bad_records: BadRecords,
    skip_crowd: bool = False,
) -> list[ImageRecord]:
    """All usable images with their usable boxes, in the file's order, those without boxes included.

    Boxes are clipped to the image. What is not usable goes to `bad_records`, except the annotations
    of an unusable image, which leave with it.

    Args:
        content: what `read_annotation_file` gave.
        annotation_path: the file it gave it from.
        image_dir: the folder that file names are below.
        class_names: the classes; a class index is the position of the category's name.
        bad_records: collects the problems.
        skip_crowd: leave `iscrowd` boxes out; CenterNet trains on them.

    Raises:
        UserError: a category is unknown or stands there twice.
    """
    mapping = class_of_category(content["categories"], class_names, annotation_path)
    images = _usable_images(content["images"], annotation_path, image_dir, bad_records)
    annotations = _wellformed_annotations(content, mapping, annotation_path, bad_records)
    index = {image["id"]: position for position, image in enumerate(images)}
    annotations = [entry for entry in annotations if entry["image_id"] in index]
    owners = np.array([index[entry["image_id"]] for entry in annotations], np.int64)
    classes = np.array([mapping[entry["category_id"]] for entry in annotations], np.int32)
    sizes = np.array([(image["width"], image["height"]) for image in images]).reshape(-1, 2)
    boxes, usable = _clipped_boxes(annotations, sizes[owners], annotation_path, bad_records)
    if skip_crowd:
        usable &= [entry.get("iscrowd") != 1 for entry in annotations]
    # The boxes of one image side by side, in the file's order.
    order = np.flatnonzero(usable)
    order = order[np.argsort(owners[order], kind="stable")]
    ends = np.searchsorted(owners[order], np.arange(len(images)), side="right").tolist()
    boxes, classes = boxes[order], classes[order]
    return [
        ImageRecord(
            image["id"],
            image_dir / image["file_name"],
            image["width"],
            image["height"],
            boxes[start:end],
            classes[start:end],
        )
        for image, start, end in zip(images, [0, *ends], ends, strict=False)
    ]


def _usable_images(
    images: list[dict[str, Any]], annotation_path: Path, image_dir: Path, bad_records: BadRecords
) -> list[dict[str, Any]]:
    entries_of_id = Counter(image["id"] for image in images if is_id(image.get("id")))
    usable = []
    for position, image in enumerate(images):
        kind, what = _image_problem(image, image_dir)
        if not kind and entries_of_id[image["id"]] > 1:
            # Which of them an annotation means is not known: none is usable.
            kind = "image id that is not unique"
            what = f"({image['file_name']!r}) shares its id with another image"
        if kind:
            name = image.get("id", f"number {position}")
            bad_records.add(kind, f"{annotation_path}: image {name} {what}")
        else:
            usable.append(image)
    return usable


def _image_problem(image: dict[str, Any], image_dir: Path) -> tuple[str, str]:
    """The kind of an image entry's problem and what it is; empty if there is none."""
    name = image.get("file_name")
    if not is_id(image.get("id")):
        return "image without a 64-bit integer id", "has no id that is an integer of 64 bits"
    if not isinstance(name, str) or not name:
        return "image without a file name", "has no file_name"
    if Path(name).is_absolute() or ".." in Path(name).parts:
        return "file name outside the folder", f"has file_name {name!r}, which leaves {image_dir}"
    sides = (image.get("width"), image.get("height"))
    if not all(is_id(side) and side > 0 for side in sides):
        return "image without a size", "has no positive integer width and height"
    if max(sides) > LARGEST_SIDE:
        return (
            "image too large to warp",
            f"is {sides[0]}x{sides[1]} pixels, more than {LARGEST_SIDE} on a side",
        )
    return "", ""


def _wellformed_annotations(
    content: dict[str, Any], mapping: dict[int, int], path: Path, bad_records: BadRecords
) -> list[dict[str, Any]]:
    """The annotations whose ids and types are right; their boxes may be anywhere."""
    listed = {image["id"] for image in content["images"] if is_id(image.get("id"))}
    seen: set[int] = set()
    wellformed = []
    for position, entry in enumerate(content.get("annotations", [])):
        kind, what = _annotation_problem(entry, listed, mapping, seen)
        if kind:
            name = entry.get("id") if isinstance(entry, dict) else None
            name = f"number {position}" if name is None else name
            bad_records.add(kind, f"{path}: annotation {name} {what}")
        else:
            seen.add(entry["id"])
            wellformed.append(entry)
    return wellformed


def _annotation_problem(
    entry: Any, listed: set[int], mapping: dict[int, int], seen: set[int]
) -> tuple[str, str]:
    """The kind of an annotation's problem and what it is; empty if there is none."""
    if not isinstance(entry, dict):
        return "annotation that is no mapping", "is no mapping"
    annotation_id, image_id = entry.get("id"), entry.get("image_id")
    if not is_id(annotation_id):
        return "annotation without a 64-bit integer id", "has no id that is an integer of 64 bits"
    if annotation_id in seen:
        return "annotation id that is not unique", "shares its id with an earlier annotation"
    if not is_id(image_id) or image_id not in listed:
        return "annotation of an image that is not listed", f"is of image {image_id}, not listed"
    category_id = entry.get("category_id")
    if not is_id(category_id) or category_id not in mapping:
        return (
            "annotation of a category that is not listed",
            f"has category_id {category_id}, which categories does not list",
        )
    if not is_box(entry.get("bbox")):
        return "box that is not four numbers", f"has bbox {entry.get('bbox')}, not four numbers"
    return "", ""


def _clipped_boxes(
    annotations: list[dict[str, Any]], sizes: np.ndarray, path: Path, bad_records: BadRecords
) -> tuple[np.ndarray, np.ndarray]:
    """Clips the annotations' boxes to their images and notes those with nothing left.

    Args:
        annotations: n annotations with well-formed boxes.
        sizes: (n,2) widths and heights of their images.
        path: the annotation file.
        bad_records: collects the problems.

    Returns:
        float32 (n,4) xyxy and bool (n,), whether each is usable.
    """
    xywh = np.array([entry["bbox"] for entry in annotations], np.float64).reshape(-1, 4)
    with np.errstate(invalid="ignore", over="ignore"):  # values that are noted below
        low = np.maximum(xywh[:, :2], 0)
        high = np.minimum(xywh[:, :2] + xywh[:, 2:], sizes)
        boxes = np.hstack([low, high]).astype(np.float32)  # float32 can lose a tiny area
        finite = np.isfinite(xywh).all(axis=1)
        sized = (xywh[:, 2:] > 0).all(axis=1)
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    for kind, wrong, what in (
        ("box that is not finite", ~finite, "which is not finite"),
        ("box without area", finite & ~sized, "without area"),
        ("box outside its image", finite & sized & ~inside, "without area inside its image"),
    ):
        for i in np.flatnonzero(wrong):
            width, height = sizes[i]
            bad_records.add(
                kind,
                f"{path}: annotation {annotations[i]['id']} has bbox {annotations[i]['bbox']}, "
                f"{what} (image {annotations[i]['image_id']}, {width}x{height} pixels)",
            )
    return boxes, finite & sized & inside
