# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""An evaluation as one web page that needs no other file."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from src.data.images import Decoder, decode_with_cv2, read_image
from src.evaluation.matching import POINTS_OF_TRUTH, Poses, Verdict, counting, judge, match
from src.model_utils.files import whole_file
from src.tasks import boxes as boxes_task
from src.tasks.columns import POINTS_OF_DETECTION, points_of
from src.tasks.task import Task
from src.visual import curves, pictures
from src.visual.lettering import printable

if TYPE_CHECKING:
    from jinja2 import Template
    from matplotlib.figure import Figure

_JPEG_QUALITY = 85
_OF_BOXES = "bbox_"  # before the names of numbers where points have the others


@dataclass(frozen=True)
class ImageResult:
    """An image with its true and its predicted boxes, in pixels of the image.

    truth: float (n,5+3J) x1 y1 x2 y2 class, then x y visibility of each point; predicted: float
        (m,6+3J) x1 y1 x2 y2 score class, then x y score of each point.
    name: what the page calls it; its file's name, without folders, if it is not given.
    areas: float (n,), COCO's areas of the objects, for OKS; their boxes' if they are not given.
    """

    path: Path
    truth: np.ndarray
    predicted: np.ndarray
    name: str = ""
    areas: np.ndarray | None = None


@dataclass(frozen=True)
class Selection:
    """Positions of the images worth looking at, the most telling first; none is in two lists."""

    best: list[int]
    worst: list[int]
    confusing: list[int]


def select_images(verdicts: Sequence[Verdict], count: int) -> Selection:
    """Chooses up to `count` images of each kind, at most a third of all rounded up.

    Worst: lowest quality (F1, or OKS where points are compared) below 1, then most objects missed.
    Confusing: largest sum of the scores of false boxes, in which boxes on an object of another
    class count twice. Best: highest quality above 0, then most objects found. Of equals the first
    in the data set. An image that is among the worst is not among the others, and so on.
    """
    count = min(count, -(-len(verdicts) // 3))
    free = list(range(len(verdicts)))

    def take(keys: dict[int, Any]) -> list[int]:
        chosen = sorted(keys, key=lambda position: keys[position])[:count]
        free[:] = [position for position in free if position not in chosen]
        return chosen

    def of(position: int) -> Verdict:
        return verdicts[position]

    worst = take({i: (of(i).quality, -of(i).missed) for i in free if of(i).quality < 1})
    confusing = take({i: -of(i).false_scores for i in free if of(i).false_scores > 0})
    best = take({i: (-of(i).quality, -of(i).found) for i in free if of(i).found})
    return Selection(best, worst, confusing)


def write_report(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    numbers: Mapping[str, float],
    classes: Mapping[str, Mapping[str, Any]],
    precision: np.ndarray,
    images: Sequence[ImageResult],
    score_thresh: float,
    images_of_kind: int = 4,
    decode: Decoder = decode_with_cv2,
    task: Task = boxes_task.TASK,
    has_points: Sequence[bool] = (),
) -> None:
    """Writes the page, whole or not at all. Only the pictures that it shows are read and drawn.

    Args:
        path: of the html file.
        title: heading of the page.
        facts: what was evaluated and when, shown in this order: configuration, checkpoint, time.
        numbers: COCO's numbers by the task's names, of poses also those of the boxes, behind bbox_;
            negative or nan where there is no ground truth.
        classes: of each class, in the order of class indices, AP, AP50 (None without ground truth),
            images and objects (numbers of those that have it).
        precision: float (10,101,C), see `curves.precision_recall_curves`.
        images: all images of the evaluation.
        score_thresh: smallest score of a box that counts in pictures and their captions; AP and
            curves count all.
        images_of_kind: how many of the best, the worst and the most confusing images are shown.
        decode: the reader of images.
        task: says how points are drawn, and whether they are compared.
        has_points: of each class; needed where results have points.

    Raises:
        UserError: an image that is to be shown cannot be read.
        OSError: the file cannot be written.
    """
    class_names = list(classes)
    poses = Poses(task.sigmas, has_points) if task.metric == "keypoints" else None
    verdicts, scores, is_right = [], [], []
    for image in images:
        pair = image.truth, image.predicted
        found = match(*pair, poses=poses, areas=image.areas)
        verdicts.append(judge(*pair, found, score_thresh, poses, image.areas))
        is_told = ~np.isin(found, np.flatnonzero(~counting(image.truth, poses)))  # right or wrong
        scores.append(image.predicted[is_told, 4])
        is_right.append(found[is_told] >= 0)
    selection = select_images(verdicts, images_of_kind)
    measure = "OKS" if poses else "IoU"
    histogram = curves.score_histogram(
        np.concatenate([np.empty(0), *scores]), np.concatenate([np.empty(0, bool), *is_right])
    )

    def shown(positions: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {
                "name": images[i].name or images[i].path.name,
                "verdict": verdicts[i],
                **_photos(
                    *(images[i], class_names, score_thresh, decode),
                    poses=poses,
                    task=task,
                    has_points=has_points,
                ),
            }
            for i in positions
        ]

    page = _template().render(
        title=title,
        facts={**facts, "images": f"{len(images):,}"},
        numbers={n: value for n, value in numbers.items() if not n.startswith(_OF_BOXES)},
        box_numbers={
            n.removeprefix(_OF_BOXES): value
            for n, value in numbers.items()
            if n.startswith(_OF_BOXES)
        },
        legend_of_points=pictures.LEGEND if task.points else "",
        curves=_svg(curves.precision_recall_curves(precision, class_names, measure)),
        histogram=_svg(histogram),
        worst=shown(selection.worst),
        confusing=shown(selection.confusing),
        best=shown(selection.best),
        classes=_by_precision(classes),
        score_thresh=score_thresh,
    )
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _template() -> "Template":
    """The page, whose every value is escaped and has a question mark for what cannot be printed."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # only a report takes it

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
        keep_trailing_newline=True,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    environment.tests["known"] = lambda value: value is not None and value >= 0  # nor nan
    return environment.get_template("report.html.j2")


def _by_precision(classes: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The classes with their names and colours, by AP, best first."""
    rows = []
    for index, (name, found) in enumerate(classes.items()):
        blue, green, red = pictures.class_colour(index)
        rows.append({"name": name, "red": red, "green": green, "blue": blue, **found})
    return sorted(rows, key=lambda row: -1 if row["AP"] is None else row["AP"], reverse=True)


def _photos(
    image: ImageResult,
    class_names: Sequence[str],
    score_thresh: float,
    decode: Decoder,
    *,
    poses: Poses | None,
    task: Task,
    has_points: Sequence[bool],
) -> dict[str, Any]:
    """The picture of the truth and that of the prediction."""
    pixels = read_image(image.path, decode)
    predicted = image.predicted[image.predicted[:, 4] >= score_thresh]
    found = match(image.truth, predicted, poses=poses, areas=image.areas)
    is_missed = counting(image.truth, poses) & ~np.isin(np.arange(len(image.truth)), found)
    shown = pictures.shown_points(predicted, has_points, score_thresh) if has_points else None
    pair = (
        pictures.draw_boxes(
            *(pixels, image.truth[:, :POINTS_OF_TRUTH], class_names),
            wrong=is_missed,
            points=points_of(image.truth, POINTS_OF_TRUTH),
            task=task,
        ),
        pictures.draw_boxes(
            *(pixels, predicted[:, :POINTS_OF_DETECTION], class_names),
            wrong=found < 0,
            points=shown,
            task=task,
        ),
    )
    return dict(zip(("truth", "prediction"), map(_photo, pair), strict=True))


def _photo(picture: np.ndarray) -> dict[str, Any]:
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    height, width = picture.shape[:2]
    return {"source": _source("jpeg", encoded.tobytes()), "width": width, "height": height}


def _svg(figure: "Figure") -> str:
    picture = io.BytesIO()
    figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
    return _source("svg+xml", picture.getvalue())


def _source(kind: str, content: bytes) -> str:
    """A picture as the address of itself."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
