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
from src.evaluation.matching import Verdict, judge, match
from src.model_utils.files import whole_file
from src.visual import curves, pictures
from src.visual.lettering import printable

if TYPE_CHECKING:
    from jinja2 import Template
    from matplotlib.figure import Figure

_JPEG_QUALITY = 85


@dataclass(frozen=True)
class ImageResult:
    """An image with its true and its predicted boxes, in pixels of the image.

    truth: float (n,5) x1 y1 x2 y2 class; predicted: float (m,6) x1 y1 x2 y2 score class.
    name: what the page calls it; its file's name, without folders, if it is not given.
    """

    path: Path
    truth: np.ndarray
    predicted: np.ndarray
    name: str = ""


@dataclass(frozen=True)
class Selection:
    """Positions of the images worth looking at, the most telling first; none is in two lists."""

    best: list[int]
    worst: list[int]
    confusing: list[int]


def select_images(verdicts: Sequence[Verdict], count: int) -> Selection:
    """Chooses up to `count` images of each kind, at most a third of all rounded up.

    Worst: lowest F1 below 1, then most objects missed. Confusing: largest sum of the scores of
    false boxes, in which boxes on an object of another class count twice. Best: highest F1 above 0,
    then most objects found. Of equals the first in the data set. An image that is among the worst
    is not among the others, and so on.
    """
    count = min(count, -(-len(verdicts) // 3))
    free = list(range(len(verdicts)))

    def take(keys: dict[int, Any]) -> list[int]:
        chosen = sorted(keys, key=lambda position: keys[position])[:count]
        free[:] = [position for position in free if position not in chosen]
        return chosen

    def of(position: int) -> Verdict:
        return verdicts[position]

    worst = take({i: (of(i).f1, -of(i).missed) for i in free if of(i).f1 < 1})
    confusing = take({i: -of(i).false_scores for i in free if of(i).false_scores > 0})
    best = take({i: (-of(i).f1, -of(i).found) for i in free if of(i).found})
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
) -> None:
    """Writes the page, whole or not at all. Only the pictures that it shows are read and drawn.

    Args:
        path: of the html file.
        title: heading of the page.
        facts: what was evaluated and when, shown in this order: configuration, checkpoint, time.
        numbers: COCO's numbers by the task's names; negative or nan where
            there is no ground truth.
        classes: of each class, in the order of class indices, AP, AP50 (None without ground truth),
            images and objects (numbers of those that have it).
        precision: float (10,101,C), see `curves.precision_recall_curves`.
        images: all images of the evaluation.
        score_thresh: smallest score of a box that counts in pictures and their captions; AP and
            curves count all.
        images_of_kind: how many of the best, the worst and the most confusing images are shown.
        decode: the reader of images.

    Raises:
        UserError: an image that is to be shown cannot be read.
        OSError: the file cannot be written.
    """
    class_names = list(classes)
    verdicts, scores, is_right = [], [], []
    for image in images:
        found = match(image.truth, image.predicted)
        verdicts.append(judge(image.truth, image.predicted, found, score_thresh))
        scores.append(image.predicted[:, 4])
        is_right.append(found >= 0)
    selection = select_images(verdicts, images_of_kind)
    histogram = curves.score_histogram(
        np.concatenate([np.empty(0), *scores]), np.concatenate([np.empty(0, bool), *is_right])
    )

    def shown(positions: Sequence[int]) -> list[dict[str, Any]]:
        return [
            _image(images[i], verdicts[i], class_names, score_thresh, decode) for i in positions
        ]

    page = _template().render(
        title=title,
        facts={**facts, "images": f"{len(images):,}"},
        numbers=numbers,
        curves=_svg(curves.precision_recall_curves(precision, class_names)),
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


def _image(
    image: ImageResult,
    verdict: Verdict,
    class_names: Sequence[str],
    score_thresh: float,
    decode: Decoder,
) -> dict[str, Any]:
    """The picture of the truth, that of the prediction, and what they show."""
    pixels = read_image(image.path, decode)
    counts = image.predicted[:, 4] >= score_thresh
    found = match(image.truth, image.predicted[counts])
    is_missed = ~np.isin(np.arange(len(image.truth)), found)
    truth = pictures.draw_boxes(pixels, image.truth, class_names, wrong=is_missed)
    predicted = pictures.draw_boxes(pixels, image.predicted[counts], class_names, wrong=found < 0)
    return {
        "name": image.name or image.path.name,
        "verdict": verdict,
        "truth": _photo(truth),
        "prediction": _photo(predicted),
    }


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
