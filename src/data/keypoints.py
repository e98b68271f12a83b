# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The points of a COCO set's annotations: checked, and as an array.

An annotation's `keypoints` are x, y and visibility of each point that its category lists: 0 not
labelled, 1 labelled and hidden, 2 seen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.data.notes import Notes
from src.model_utils.errors import UserError
from src.model_utils.pose_parameters import PoseConfig

_SHOWN = 3  # names of a longer list
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Points:
    """Which annotations have points.

    names: of the points; none where points are not wanted.
    categories: COCO's ids of the categories whose annotations have them.
    """

    names: Sequence[str] = ()
    categories: frozenset[int] = frozenset()

    def problem(self, entry: Mapping[str, Any]) -> tuple[str, str]:
        """The kind of a problem of an annotation's keypoints and what it is; empty if there is
        none, as in one without any.
        """
        values, count = entry.get("keypoints"), len(self.names)
        if not values or entry["category_id"] not in self.categories:
            return "", ""
        if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
            return "keypoints that are no numbers", f"has keypoints {_short(values)}, not numbers"
        if len(values) == 2 * count:
            return (
                "keypoints without visibility",
                f"has {2 * count} numbers as keypoints, x and y of {count} points without their "
                f"visibility (0, 1 or 2), which make {3 * count}",
            )
        if len(values) != 3 * count:
            return (
                "keypoints of another number",
                f"has {len(values)} numbers as keypoints, not x, y and visibility of "
                f"{count} points, which are {3 * count}",
            )
        for name, x, y, visibility in zip(
            self.names, *(values[i::3] for i in range(3)), strict=True
        ):
            if not all(-_LARGEST <= value <= _LARGEST for value in (x, y)):
                return (
                    "keypoint that is not finite",
                    f"has {name} at {_short([x, y])}, which is not finite",
                )
            if visibility not in (0, 1, 2):
                return (
                    "keypoint without a visibility of 0, 1 or 2",
                    f"has {name} with visibility {visibility}, which is not 0, 1 or 2",
                )
        return "", ""

    def of(self, annotations: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """The points of annotations without a problem, float64 (n,3J); zeros where they have none.

        J is 0 where points are not wanted.
        """
        none = [0.0] * (3 * len(self.names))
        rows = [
            (entry["category_id"] in self.categories and entry.get("keypoints")) or none
            for entry in annotations
        ]
        return np.array(rows, np.float64).reshape(len(rows), len(none))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def points_of(
    content: Mapping[str, Any],
    mapping: Mapping[int, int],
    class_names: Sequence[str],
    pose: PoseConfig,
    path: Path,
) -> Points:
    """Which annotations of a file have points, after a look at its categories.

    Args:
        content: what `coco.read_annotation_file` gave.
        mapping: what `coco.class_of_category` gave.
        class_names: the classes.
        pose: says which of them have points, and which.
        path: the file.

    Raises:
        UserError: the category of a class of `pose` that annotations use lists no points or others.
    """
    entries = (entry for entry in content.get("annotations", []) if isinstance(entry, dict))
    used = {entry["category_id"] for entry in entries if type(entry["category_id"]) is int}
    found = set()
    for category in content["categories"]:
        class_index = mapping.get(category["id"])
        if class_index is None or (pose.classes and class_names[class_index] not in pose.classes):
            continue
        found.add(category["id"])
        if category["id"] in used:
            _check_names(category, pose.keypoints, path)
    return Points(tuple(pose.keypoints), frozenset(found))


def _check_names(category: Mapping[str, Any], names: Sequence[str], path: Path) -> None:
    shown, listed = f"category {category['name']!r}", category.get("keypoints")
    if not listed:
        raise UserError(
            f"{path}: {shown} lists no keypoints, which task pose takes points from; give "
            "annotations with points (COCO's are person_keypoints_train2017.json), leave the class "
            "out of net_config.pose.classes, or take --task boxes."
        )
    if listed == list(names):
        return
    remedy = "make net_config.pose.keypoints the category's list"
    if not isinstance(listed, list) or len(listed) != len(names):
        count = len(listed) if isinstance(listed, list) else _short(listed)
        raise UserError(
            f"{path}: {shown} lists {count} keypoints, but net_config.pose.keypoints has "
            f"{len(names)} ({', '.join(names[:_SHOWN])}, ...); {remedy}, or take another file."
        )
    place = next(i for i, pair in enumerate(zip(listed, names, strict=True)) if pair[0] != pair[1])
    raise UserError(
        f"{path}: {shown} has {_short(listed[place])} as keypoint {place + 1}, where "
        f"net_config.pose.keypoints has {names[place]!r}; {remedy}, with its skeleton and sigmas."
    )


def merge(content: dict[str, Any], other: Mapping[str, Any], path: Path) -> None:
    """Gives annotations the points of those of another file that have the same ids, in place.

    So TensorFlow makes its sets of 90 classes, of COCO's instances and person_keypoints.

    Args:
        content: what `coco.read_annotation_file` gave of the file without points.
        other: what it gave of the file with points.
        path: the latter.

    Raises:
        UserError: no annotation of `other` is in `content`.
    """
    own = {entry["id"]: entry for entry in _with_id(content.get("annotations", []))}
    merged = 0
    for entry in _with_id(other.get("annotations", [])):
        target = own.get(entry["id"])
        if target and all(target[key] == entry[key] for key in ("image_id", "category_id")):
            target.update({k: entry[k] for k in ("keypoints", "num_keypoints") if k in entry})
            merged += 1
    if not merged:
        raise UserError(
            f"{path}: none of its annotations has id, image and category of one in the annotations "
            "without points; give the keypoints of the same images."
        )
    lists = {c["id"]: c["keypoints"] for c in _with_id(other["categories"]) if c.get("keypoints")}
    for category in _with_id(content["categories"]):
        if category["id"] in lists:
            category["keypoints"] = lists[category["id"]]


def _with_id(entries: Sequence[Any]) -> list[dict[str, Any]]:
    return [entry for entry in entries if isinstance(entry, dict) and type(entry.get("id")) is int]


def note_points(
    notes: Notes,
    points: Points,
    annotations: Sequence[Mapping[str, Any]],
    keypoints: np.ndarray,
    sizes: np.ndarray,
    path: Path,
    name: Callable[[Mapping[str, Any]], str],
) -> None:
    """Notes what is odd of the points of annotations.

    Args:
        notes: takes it.
        points: says which annotations have points.
        annotations: n that are used.
        keypoints: (n,3J), what `points` gave of them.
        sizes: (n,2) widths and heights of their images.
        path: their file.
        name: what messages call an annotation.

    Raises:
        UserError: no point is labelled at all.
    """
    rows = [i for i, entry in enumerate(annotations) if entry["category_id"] in points.categories]
    if not rows:
        return
    entries, sizes = [annotations[row] for row in rows], sizes[rows]
    triples = keypoints[rows].reshape(len(rows), -1, 3)
    places, is_labelled = triples[:, :, :2], triples[:, :, 2] > 0
    if not is_labelled.any():
        raise UserError(
            f"{path}: none of its {len(rows)} annotations of classes with points has a labelled "
            "point (visibility 1 or 2); give annotations with points, or take --task boxes."
        )

    def note(kind: str, found: Sequence[bool] | np.ndarray, what: Callable[[int], str]) -> None:
        if any(found):
            row = int(np.argmax(found))
            notes.add(kind, name(entries[row]) + what(row), int(np.sum(found)))

    note(
        "{count} annotation(s) of classes with points have no keypoints ({example}): objects whose "
        "points are not labelled",
        [not entry.get("keypoints") for entry in entries],
        lambda row: "",
    )
    counts = is_labelled.sum(axis=1).tolist()
    stated = [
        entry.get("num_keypoints", count) for entry, count in zip(entries, counts, strict=True)
    ]
    note(
        "{count} annotation(s) state another num_keypoints than they have labelled points "
        "({example}); training takes the points, COCO's evaluation leaves out those that state 0",
        [value != count for value, count in zip(stated, counts, strict=True)],
        lambda row: f": {stated[row]!r} for {counts[row]}",
    )
    note(
        "{count} annotation(s) have points with a place and visibility 0 ({example}), which count "
        "as not labelled",
        ((places != 0).any(axis=2) & ~is_labelled).any(axis=1),
        lambda row: "",
    )
    # Programs round: a pixel beyond the edge is none.
    is_outside = is_labelled & ((places < -1) | (places > sizes[:, None] + 1)).any(axis=2)

    def outside(row: int) -> str:
        x, y = places[row, np.argmax(is_outside[row])]
        return f": {x:.6g}, {y:.6g} in {sizes[row, 0]}x{sizes[row, 1]} pixels"

    note(
        "{count} annotation(s) have labelled points outside of their image ({example}), which are "
        "kept: training takes them where its crop reaches them",
        is_outside.any(axis=1),
        outside,
    )
    if (places[is_labelled] <= 1).all():
        note(
            "{count} annotation(s) have points, all of them at 0 to 1 ({example}); are they parts "
            "of the image? COCO's are pixels",
            is_labelled.any(axis=1),
            lambda row: "",
        )
