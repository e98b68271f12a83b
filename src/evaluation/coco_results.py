# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""COCO's result format and its numbers."""

import contextlib
import functools
import io
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.coco
import pycocotools.cocoeval

from src.data import keypoints
from src.data.coco import (
    area_of,
    class_of_category,
    is_box,
    is_id,
    is_marked,
    read_annotation_file,
)
from src.model_utils.errors import UserError
from src.tasks import boxes as boxes_task
from src.tasks.columns import points_of
from src.tasks.task import Task
from src.visual.lettering import elided, printable

_ALL_AREAS = 0  # index of COCOeval's area ranges
_MAX_DETS = [1, 10, 100]  # boxes of an image that COCO's numbers count


@dataclass(frozen=True)
class ClassScore:
    """COCO's numbers of one class; None where its images hold no object of it.

    images: number of images with an object of the class; objects: their number. `iscrowd` boxes,
    which can be neither found nor missed, are not counted.
    """

    AP: float | None
    AP50: float | None
    images: int
    objects: int


@dataclass(frozen=True)
class PoseScore(ClassScore):
    """The numbers of one class where points are compared: AP and AP50 are of points.

    labelled: how many of the objects have a labelled point: those that AP counts. A class without
    points has neither. bbox_AP, bbox_AP50: of the boxes, of which all objects count.
    """

    labelled: int
    bbox_AP: float | None
    bbox_AP50: float | None


@dataclass(frozen=True)
class Scores:
    """What COCO's evaluation says of a set of results.

    numbers: those of the task, 0 to 1; -1, as COCO has it, where nothing is to be found.
        Where points are compared, those of the boxes after them, their names behind bbox_. Where
        more than 100 boxes of an image are kept, also (bbox_)AP_K and (bbox_)AR_K, which count all
        of them.
    table: pycocotools' text of them, a line each.
    classes: for each class by name, in the order of the classes.
    precision: float (10,101,C), at IoU (of points OKS) 0.5 to 0.95 and recall 0 to 1, of objects of
        any size and the 100 (of points 20) best boxes of an image; nan where no object of the class
        is.
    """

    numbers: dict[str, float]
    table: str
    classes: dict[str, ClassScore]
    precision: np.ndarray


def to_results(
    image_id: int,
    boxes: np.ndarray,
    category_ids: Sequence[int | None],
    has_points: Sequence[bool] = (),
) -> list[dict[str, Any]]:
    """Entries of a COCO result file, in full precision.

    Points have no score there: in its place COCO asks for 1, a visibility that it does not look at.

    Args:
        image_id: COCO's id of the image.
        boxes: float (n,6+3J), x1 y1 x2 y2 score class, then x y score of each point, in image
            pixels.
        category_ids: COCO's category id of each class; None if the data set lacks the class, whose
            boxes are then left out.
        has_points: of each class, whether its points are written; none are if it is not given.
    """
    places = points_of(boxes)[:, :, :2].astype(float)
    results = []
    for (x1, y1, x2, y2, score, class_index), of_box in zip(boxes[:, :6], places, strict=True):
        category_id = category_ids[int(class_index)]
        if category_id is None:
            continue
        entry = {
            "image_id": image_id,
            "category_id": category_id,
            "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
            "score": float(score),
        }
        if has_points and has_points[int(class_index)]:
            entry["keypoints"] = [number for x, y in of_box.tolist() for number in (x, y, 1)]
        results.append(entry)
    return results


def is_points(value: Any, count: int) -> bool:
    """Whether a value of a json is a list of x, y and visibility, all finite, of so many points."""
    return (
        isinstance(value, list)
        and len(value) == 3 * count
        and all(type(number) is float or is_id(number) for number in value)
        and all(map(math.isfinite, value))
    )


def category_ids(class_of_category: dict[int, int], num_classes: int) -> list[int | None]:
    """The inverse of `class_of_category`: the category id of each class, None if there is none."""
    ids: list[int | None] = [None] * num_classes
    for category_id, class_index in class_of_category.items():
        ids[class_index] = category_id
    return ids


def upload_name(test_annotation: str) -> str:
    """The file name that COCO's server asks for, detections_[testset]_[alg]_results.json.

    Args:
        test_annotation: the list of test images, annotations/image_info_test-dev2017.json.
    """
    test_set = Path(test_annotation).stem.removeprefix("image_info_")
    return f"detections_{test_set}_centernet_results.json"


def import_backend(name: str) -> tuple[Any, Any]:
    """The classes COCO and COCOeval of `eval_config.coco_backend`.

    faster-coco-eval gives the numbers of pycocotools, the reference, by C++ and in less time.

    Raises:
        UserError: faster-coco-eval is asked for and not installed.
    """
    if name == "pycocotools":
        return pycocotools.coco.COCO, pycocotools.cocoeval.COCOeval
    try:
        import faster_coco_eval
    except ImportError as error:
        raise UserError(
            f"eval_config.coco_backend is faster-coco-eval, which does not import ({error}); run "
            "pip install -r requirements/faster-coco-eval.txt or choose pycocotools."
        ) from None
    evaluate = functools.partial(faster_coco_eval.COCOeval_faster, print_function=print)
    return faster_coco_eval.COCO, evaluate


def score(
    annotation_path: Path,
    results: Sequence[dict[str, Any]],
    image_ids: Sequence[int],
    class_names: Sequence[str],
    backend: str = "pycocotools",
    boxes: int = 100,
    other_classes: str = "fail",
    task: Task = boxes_task.TASK,
    has_points: Sequence[bool] = (),
    keypoints_path: Path | None = None,
) -> Scores:
    """COCO's numbers of results over the images of `image_ids`; results of others do not count.

    Annotations without `iscrowd` count as single objects, without `area` with their box's; those
    marked `ignore` count as crowds. Without any result, every number that has ground truth is 0.
    Entries that pycocotools would stumble over are left out: --on_bad_record has let them pass
    before. Objects without a labelled point can be neither found nor missed by points, as COCO has
    it; where annotations do not state `num_keypoints` they are counted.

    Args:
        annotation_path: the ground truth.
        results: entries of a COCO result file.
        image_ids: COCO's ids of the images that were looked at.
        class_names: C names; the file may have some of them only.
        backend: a choice of `eval_config.coco_backend`.
        boxes: eval_config.K, the boxes that an image can have.
        other_classes: as of `class_of_category`.
        task: says what is compared, and the numbers.
        has_points: of each class, whether its points are compared, if the task's metric is of them.
        keypoints_path: the file of the points, where `annotation_path` has none.

    Raises:
        UserError: the file has no annotations, not those of these images, or a category that is not
            in `class_names`; a result is of an image or a category that the file does not list;
            points are compared and the file has none, or others; the backend is not installed.
    """
    content = _read_truth(annotation_path, image_ids, keypoints_path)
    mapping = class_of_category(content, class_names, annotation_path, other_classes)
    content["categories"] = [entry for entry in content["categories"] if entry["id"] in mapping]
    content["annotations"] = [
        entry for entry in content["annotations"] if entry["category_id"] in mapping
    ]
    _check_results(results, content, annotation_path)
    by_points = task.metric == "keypoints"
    pointed = {category for category, index in mapping.items() if by_points and has_points[index]}
    if by_points:
        _give_points(content, pointed, task.points, annotation_path)
    compared = functools.partial(
        _compared, content, results, image_ids=image_ids, mapping=mapping, backend=backend,
        num_classes=len(class_names),
    )  # fmt: skip
    of_boxes = compared(task=boxes_task.TASK, categories=set(mapping), boxes=boxes)
    classes = _class_scores(
        content["annotations"], image_ids, mapping, class_names, of_boxes.precision
    )
    if not by_points:
        return Scores(of_boxes.numbers, "\n".join(of_boxes.table), classes, of_boxes.precision)
    of_points = compared(task=task, categories=pointed)
    labelled = [entry for entry in content["annotations"] if entry["num_keypoints"] > 0]
    classes_by_points = _class_scores(
        labelled, image_ids, mapping, class_names, of_points.precision
    )
    return Scores(
        of_points.numbers | {f"bbox_{name}": value for name, value in of_boxes.numbers.items()},
        "\n".join(["keypoints", *of_points.table, "boxes", *of_boxes.table]),
        {
            name: PoseScore(
                by_point.AP,
                by_point.AP50,
                images=by_box.images,
                objects=by_box.objects,
                labelled=by_point.objects,
                bbox_AP=by_box.AP,
                bbox_AP50=by_box.AP50,
            )
            for (name, by_box), by_point in zip(
                classes.items(), classes_by_points.values(), strict=True
            )
        },
        of_points.precision,
    )


def _read_truth(
    annotation_path: Path, image_ids: Sequence[int], keypoints_path: Path | None
) -> dict[str, Any]:
    """The content of an annotation file that has these images, as COCOeval can take it."""
    content = read_annotation_file(annotation_path)
    if keypoints_path:
        keypoints.merge(content, read_annotation_file(keypoints_path), keypoints_path)
    content.setdefault("info", {})  # pycocotools 2.0.9 and 2.0.10 cannot do without
    content["images"] = [entry for entry in content["images"] if is_id(entry.get("id"))]
    missing = set(image_ids) - {entry["id"] for entry in content["images"]}
    if "annotations" not in content or missing:
        what = f"does not list image {min(missing)}" if missing else "has no annotations"
        raise UserError(f"{annotation_path}: {what}; give the annotation file of these images.")
    content["annotations"] = [
        entry
        for entry in content["annotations"]
        if isinstance(entry, dict)
        and all(is_id(entry[name]) for name in ("image_id", "category_id"))
        and is_box(entry.get("bbox"))
    ]
    for position, entry in enumerate(content["annotations"]):
        entry["id"] = position + 1  # COCOeval takes a match with id 0 for none
        entry["iscrowd"] = int(is_marked(entry, "iscrowd") or is_marked(entry, "ignore"))
        if not isinstance(entry.get("area"), int | float):
            entry["area"] = entry["bbox"][2] * entry["bbox"][3]
    return content


def _give_points(
    content: dict[str, Any], categories: Collection[int], count: int, annotation_path: Path
) -> None:
    """Gives all annotations `keypoints` and `num_keypoints`, in place; those without have zeros.

    Areas that are none, which OKS could not be computed of, become those of boxes.

    Where `categories` have points and an annotation's are no x, y and visibility of `count`, it is
    left out.
    """
    usable, none, unlike = [], [0] * (3 * count), None
    has_any = any(
        entry.get("keypoints") for entry in content["categories"] if entry["id"] in categories
    )
    for entry in content["annotations"]:
        entry = entry | {"area": area_of(entry)}
        points = entry.get("keypoints") if entry["category_id"] in categories else None
        if not points:
            usable.append(entry | {"keypoints": none, "num_keypoints": 0})
            continue
        has_any = True
        if is_points(points, count):
            stated = entry.get("num_keypoints")
            number = stated if is_id(stated) else sum(seen > 0 for seen in points[2::3])
            usable.append(entry | {"num_keypoints": number})
        else:
            unlike = unlike or points
    is_asked = any(entry["category_id"] in categories for entry in content["annotations"])
    if is_asked and not has_any:
        raise UserError(
            f"{annotation_path}: has no keypoints, which task pose is scored by; give annotations "
            "with points (COCO's are person_keypoints_val2017.json)."
        )
    if unlike and not any(entry["category_id"] in categories for entry in usable):
        size = f"{len(unlike)} numbers" if isinstance(unlike, list) else "no list"
        raise UserError(
            f"{annotation_path}: has keypoints of {size}, but x, y and visibility of the model's "
            f"{count} points are {3 * count}; give the annotations that it was trained for."
        )
    content["annotations"] = usable


def _check_results(
    results: Sequence[dict[str, Any]], content: dict[str, Any], annotation_path: Path
) -> None:
    """Every result is of an image and a category that the annotation file lists, or a UserError."""
    lists = (("image_id", "images"), ("category_id", "categories"))
    listed = {name: {entry["id"] for entry in content[key]} for name, key in lists}
    for position, result in enumerate(results):
        for name, ids in listed.items():
            if result[name] not in ids:
                raise UserError(
                    f"{annotation_path}: result {position} has {name} {result[name]}, which the "
                    "file does not list; give the annotation file that the results were made for."
                )


@dataclass(frozen=True)
class _Compared:
    """One of COCO's evaluations, as in `Scores`; the table's lines."""

    numbers: dict[str, float]
    table: list[str]
    precision: np.ndarray


def _compared(
    content: dict[str, Any],
    results: Sequence[dict[str, Any]],
    *,
    image_ids: Sequence[int],
    mapping: dict[int, int],
    num_classes: int,
    backend: str,
    task: Task,
    categories: Collection[int],
    boxes: int = 0,
) -> _Compared:
    """What COCO says of annotations and results of some categories, by the task's metric."""
    # Copies: what COCOeval notes in annotations is of one metric.
    truth = content | {
        "categories": [entry for entry in content["categories"] if entry["id"] in categories],
        "annotations": [
            dict(entry) for entry in content["annotations"] if entry["category_id"] in categories
        ],
    }
    found = [dict(result) for result in results if result["category_id"] in categories]
    evaluation = _evaluated(truth, found, image_ids, backend, boxes=boxes, task=task)
    dense, dense_table = _take_dense_numbers(evaluation)
    table = io.StringIO()
    with contextlib.redirect_stdout(table):
        evaluation.summarize()
    count = len(task.numbers)
    precision = np.full((10, 101, num_classes), np.nan)
    classes = [mapping[category_id] for category_id in evaluation.params.catIds]
    precision[:, :, classes] = evaluation.eval["precision"][:, :, :, _ALL_AREAS, -1]
    precision[precision < 0] = np.nan
    return _Compared(
        # faster-coco-eval adds two numbers and their lines to COCO's.
        dict(zip(task.numbers, map(float, evaluation.stats[:count]), strict=True)) | dense,
        [*table.getvalue().splitlines()[:count], *dense_table],
        precision,
    )


def _evaluated(
    content: dict[str, Any],
    results: list[dict[str, Any]],
    image_ids: Sequence[int],
    backend: str,
    boxes: int,
    task: Task,
) -> Any:
    """The backend's COCOeval after its work, with `boxes` beside COCO's numbers of boxes."""
    make_dataset, make_evaluation = import_backend(backend)
    truth = make_dataset()
    truth.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        # pycocotools' takes no empty list.
        found = truth.loadRes(results) if results else make_dataset()
        evaluation = make_evaluation(truth, found, task.metric)
        evaluation.params.imgIds = list(image_ids)
        if task.metric == "keypoints":  # of which COCO counts 20 an image
            evaluation.params.kpt_oks_sigmas = np.array(task.sigmas)
        else:
            more = [boxes] if boxes > _MAX_DETS[-1] else []
            evaluation.params.maxDets = [*_MAX_DETS, *more]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _take_dense_numbers(evaluation: Any) -> tuple[dict[str, float], list[str]]:
    """AP and AR of all boxes and their lines, where COCOeval has counted more than 100.

    Their share of its tables is taken out: faster-coco-eval makes COCO's numbers of the last.
    """
    if len(evaluation.params.maxDets) <= len(_MAX_DETS):
        return {}, []
    numbers, lines = {}, []
    counted = len(_MAX_DETS)
    for name, key, title in (
        ("AP_K", "precision", "Precision  (AP)"),
        ("AR_K", "recall", "Recall     (AR)"),
    ):
        values = evaluation.eval[key][..., _ALL_AREAS, counted]
        known = values[values > -1]
        numbers[name] = float(known.mean()) if len(known) else -1.0
        lines.append(
            f" Average {title} @[ IoU=0.50:0.95 | area=   all | maxDets="
            f"{evaluation.params.maxDets[-1]:>3} ] = {numbers[name]:.3f}"
        )
        evaluation.eval[key] = evaluation.eval[key][..., :counted]
    evaluation.params.maxDets = _MAX_DETS
    return numbers, lines


def _class_scores(
    annotations: Sequence[dict[str, Any]],
    image_ids: Sequence[int],
    mapping: dict[int, int],
    class_names: Sequence[str],
    precision: np.ndarray,
) -> dict[str, ClassScore]:
    """The numbers of each class; `precision` as in `Scores`."""
    scored = set(image_ids)
    images_of_objects: list[list[int]] = [[] for _ in class_names]
    for entry in annotations:
        is_counted = entry["image_id"] in scored and not entry["iscrowd"]
        if is_counted and entry["category_id"] in mapping:
            images_of_objects[mapping[entry["category_id"]]].append(entry["image_id"])
    scores = {}
    for index, name in enumerate(class_names):
        mean, mean50 = precision[:, :, index].mean(), precision[0, :, index].mean()
        scores[name] = ClassScore(
            None if np.isnan(mean) else float(mean),
            None if np.isnan(mean50) else float(mean50),
            images=len(set(images_of_objects[index])),
            objects=len(images_of_objects[index]),
        )
    return scores


def class_table(classes: dict[str, ClassScore]) -> list[str]:
    """A line for each class, the highest AP first, those without an object last."""

    def rank(name: str) -> float:
        ap = classes[name].AP
        return 1.0 if ap is None else -ap

    shown = {name: elided(printable(name)) for name in classes}
    width = max(len("class"), *map(len, shown.values()))
    columns = ["images", "objects", "AP", "AP50"]
    if any(isinstance(of, PoseScore) for of in classes.values()):
        columns = ["images", "objects", "labelled", "AP", "AP50", "bbox_AP", "bbox_AP50"]
    # A value has three decimals.
    lines = ["  ".join([f"{'class':<{width}}", *(f"{name:>5}" for name in columns)])]
    for name in sorted(classes, key=rank):
        values = [getattr(classes[name], column) for column in columns]
        texts = ["-" if v is None else f"{v:.3f}" if type(v) is float else str(v) for v in values]
        cells = [f"{text:>{max(5, len(of))}}" for text, of in zip(texts, columns, strict=True)]
        lines.append("  ".join([f"{shown[name]:<{width}}", *cells]))
    return lines
