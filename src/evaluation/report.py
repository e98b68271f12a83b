# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""An evaluation as one web page that needs no other file."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from src import visual
from src.data.images import Decoder, decode_with_cv2, read_image
from src.evaluation.matching import Verdict, judge, match
from src.lettering import printable
from src.model_utils.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_JPEG_QUALITY = 85
_NONE = "\N{EN DASH}"
_LEGEND = (
    "Dashed and with a cross: in the truth objects that are missed, in the prediction boxes that "
    "are false."
)

_MEANINGS = {
    "AP": "average precision, mean over IoU 0.50 to 0.95 and over the classes",
    "AP50": "AP where IoU 0.50 is enough: found, if roughly",
    "AP75": "AP where IoU 0.75 is asked: found and well placed",
    "AP_small": "AP of objects below 32² pixels",
    "AP_medium": "AP of objects of 32² to 96² pixels",
    "AP_large": "AP of objects above 96² pixels",
    "AR1": "share of objects found by the best box of an image alone",
    "AR10": "share of objects found by the ten best boxes of an image",
    "AR100": "share of objects found by the hundred best boxes of an image",
    "AR_small": "AR100 of objects below 32² pixels",
    "AR_medium": "AR100 of objects of 32² to 96² pixels",
    "AR_large": "AR100 of objects above 96² pixels",
    "AP_K": "AP of all boxes that an image keeps, eval_config.K",
    "AR_K": "share of objects found by all boxes that an image keeps, eval_config.K",
}


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
        numbers: COCO's numbers by their names in `coco_results.COCO_NUMBERS`; negative or nan where
            there is no ground truth.
        classes: of each class, in the order of class indices, AP, AP50 (None without ground truth),
            images and objects (numbers of those that have it).
        precision: float (10,101,C), see `visual.precision_recall_curves`.
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
    curves = visual.precision_recall_curves(precision, class_names)
    histogram = visual.score_histogram(
        np.concatenate([np.empty(0), *scores]), np.concatenate([np.empty(0, bool), *is_right])
    )

    def kind(anchor: str, heading: str, meaning: str, positions: Sequence[int]) -> str:
        shown = "\n".join(
            _image(images[i], verdicts[i], class_names, score_thresh, decode) for i in positions
        )
        return (
            f'<section id="{anchor}">\n<h2>{heading}</h2>\n<p class="note">{meaning}</p>\n'
            f"{shown or '<p>There are none.</p>'}\n</section>"
        )

    parts = [
        _header(title, facts, len(images)),
        _numbers(numbers),
        '<section id="curves">\n<h2>Curves</h2>\n<div class="pair">',
        _curve(curves, "Precision over recall: mean of the classes, best and worst classes"),
        _curve(
            histogram, "Scores of right and wrong boxes, and the precision from a score upwards"
        ),
        "</div>\n</section>",
        kind(
            "worst",
            "Worst images",
            f"Lowest F1 at IoU 0.50 of boxes with a score of at least {score_thresh:g}. {_LEGEND}",
            selection.worst,
        ),
        kind(
            "confusing",
            "Most confusing images",
            "Most and surest false boxes: largest sum of their scores, in which a box on a missed "
            f"object of another class counts twice. {_LEGEND}",
            selection.confusing,
        ),
        kind(
            "best",
            "Best images",
            f"Highest F1, then most objects. {_LEGEND}",
            selection.best,
        ),
        _classes(classes),
    ]
    page = _PAGE.format(title=_escaped(title), style=_STYLE, body="\n".join(parts))
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _escaped(text: str) -> str:
    return html.escape(printable(text))


def _header(title: str, facts: Mapping[str, str], count: int) -> str:
    rows = {**facts, "images": f"{count:,}"}
    listed = "\n".join(
        f"<div><dt>{_escaped(name)}</dt><dd>{_escaped(value)}</dd></div>"
        for name, value in rows.items()
    )
    links = "\n".join(
        f'<a href="#{anchor}">{text}</a>'
        for anchor, text in (
            ("numbers", "Numbers"), ("curves", "Curves"), ("worst", "Worst"),
            ("confusing", "Confusing"), ("best", "Best"), ("classes", "Classes"),
        )
    )  # fmt: skip
    return (
        f"<header>\n<h1>{_escaped(title)}</h1>\n<dl>\n{listed}\n</dl>\n<nav>\n{links}\n</nav>\n"
        "</header>"
    )


def _is_known(value: float | None) -> bool:
    return value is not None and value >= 0  # not nan, not pycocotools' -1


def _numbers(numbers: Mapping[str, float]) -> str:
    tiles = "\n".join(
        f'<div class="tile"><b>{_escaped(name)}</b>{_bar(value)}'
        f"<span>{_MEANINGS.get(name, '')}{'' if _is_known(value) else ': there are none'}</span>"
        "</div>"
        for name, value in numbers.items()
    )
    return (
        '<section id="numbers">\n<h2>COCO\'s numbers</h2>\n<p class="note">All from 0 to 1; more '
        "is better. IoU is the area that two boxes share over the area that they cover together."
        f'</p>\n<div class="tiles">\n{tiles}\n</div>\n</section>'
    )


def _bar(value: float | None) -> str:
    """A value from 0 to 1 in digits and as a bar."""
    if not _is_known(value):
        return f'<span class="value">{_NONE}</span>'
    return (
        f'<span class="value">{value:.3f}</span><span class="bar"><i style="width:'
        f'{100 * min(value, 1):.1f}%"></i></span>'
    )


def _classes(classes: Mapping[str, Mapping[str, Any]]) -> str:
    order = sorted(
        enumerate(classes.items()),
        key=lambda entry: -1 if entry[1][1]["AP"] is None else entry[1][1]["AP"],
        reverse=True,
    )
    rows = []
    for index, (name, row) in order:
        blue, green, red = visual.class_colour(index)
        rows.append(
            f'<tr><th scope="row"><i class="colour" style="background:rgb({red},{green},{blue})">'
            f"</i>{_escaped(name)}</th><td>{row['images']:,}</td><td>{row['objects']:,}</td>"
            f"<td>{_bar(row['AP'])}</td><td>{_bar(row['AP50'])}</td></tr>"
        )
    body = "\n".join(rows)
    return (
        '<section id="classes">\n<h2>Classes</h2>\n<p class="note">By AP, best first; '
        f"{_NONE} where there is no ground truth. Colours are those of the boxes above.</p>\n"
        '<div class="scroll" tabindex="0" role="region" aria-label="Classes">\n'
        '<table>\n<thead><tr><th scope="col">class</th>'
        '<th scope="col">images</th><th scope="col">objects</th><th scope="col">AP</th>'
        f'<th scope="col">AP50</th></tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>\n'
        "</section>"
    )


def _curve(figure: "Figure", alt: str) -> str:
    picture = io.BytesIO()
    figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
    return f'<p class="curve">{_img("svg+xml", picture.getvalue(), alt)}</p>'


def _image(
    image: ImageResult,
    verdict: Verdict,
    class_names: Sequence[str],
    score_thresh: float,
    decode: Decoder,
) -> str:
    """The picture of the truth beside that of the prediction, and what they show."""
    pixels = read_image(image.path, decode)
    counts = image.predicted[:, 4] >= score_thresh
    found = match(image.truth, image.predicted[counts])
    is_missed = ~np.isin(np.arange(len(image.truth)), found)
    truth = visual.draw_boxes(pixels, image.truth, class_names, wrong=is_missed)
    predicted = visual.draw_boxes(pixels, image.predicted[counts], class_names, wrong=found < 0)
    name = _escaped(image.name or image.path.name)
    of_truth = f"{name}, truth: {verdict.found + verdict.missed} objects"
    of_boxes = f"{name}, prediction: {verdict.found} right and {verdict.false} false boxes"
    mixed = f" ({verdict.mixed_up} on an object of another class)" if verdict.mixed_up else ""
    return (
        f'<figure>\n<div class="pair">\n<p><span>truth</span>{_photo(truth, of_truth)}</p>\n'
        f"<p><span>prediction</span>{_photo(predicted, of_boxes)}</p>\n</div>\n"
        f"<figcaption><b>{name}</b>: {verdict.found} found, {verdict.missed} missed, "
        f"{verdict.false} false{mixed}; F1&#160;{verdict.f1:.2f}</figcaption>\n</figure>"
    )


def _photo(picture: np.ndarray, alt: str) -> str:
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    height, width = picture.shape[:2]
    return _img("jpeg", encoded.tobytes(), alt, f' width="{width}" height="{height}"')


def _img(kind: str, content: bytes, alt: str, size: str = "") -> str:
    data = base64.b64encode(content).decode("ascii")
    return f'<img src="data:image/{kind};base64,{data}" alt="{alt}"{size}/>'


# The policy holds the page to what is in it.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="color-scheme" content="light dark"/>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'"/>
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

_STYLE = """:root {
  --ground: #f6f7f9; --card: #fff; --text: #1c2128; --faint: #59636e; --line: #d9dee4;
  --bar: #2f6fde; --rail: #e6eaf0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171c; --card: #1e232b; --text: #e6e9ee; --faint: #9aa4b2; --line: #353d49;
    --bar: #6ea0ff; --rail: #313947;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
}
main { max-width: 1240px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 12px; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 44px 0 6px; }
p { margin: 0; }
dl { display: flex; flex-wrap: wrap; gap: 6px 28px; margin: 0 0 16px; }
dl div { min-width: 0; }
dt { color: var(--faint); font-size: .8rem; }
dd { margin: 0; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; }
a { color: var(--bar); }
.note { color: var(--faint); font-size: .9rem; max-width: 75ch; margin-bottom: 14px; }
.tiles { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: 12px; }
.tile, figure, .curve, .scroll {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px;
}
.tile { padding: 12px 14px; display: flex; flex-direction: column; }
.tile b { color: var(--faint); font-size: .85rem; }
.tile .value { font-size: 1.7rem; line-height: 1.3; text-align: left; }
.tile span:last-child { font-size: .8rem; line-height: 1.35; color: var(--faint); }
.tile .bar { margin: 4px 0 10px; }
.value { font-variant-numeric: tabular-nums; }
.bar { display: block; height: 6px; border-radius: 3px; background: var(--rail); overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--bar); }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 12px; }
.pair span { display: block; font-size: .8rem; color: var(--faint); }
img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figure img { max-height: 640px; width: auto; }
.curve { padding: 12px; background: #fff; }
figure { margin: 0 0 18px; padding: 12px; }
figcaption { margin-top: 8px; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { padding: 5px 14px; text-align: right; border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--faint); font-weight: 600; }
th:first-child { text-align: left; }
tbody th { font-weight: 400; overflow-wrap: anywhere; min-width: 8em; }
td:nth-child(n+4), thead th:nth-child(n+4) { width: 26%; text-align: left; }
td .value { float: left; width: 3.2em; }
td .bar { margin: 9px 0 0 3.4em; }
.colour {
  display: inline-block; width: .8em; height: .8em; border-radius: 3px; margin-right: .6em;
}
@media (max-width: 1000px) { .tiles { grid-template-columns: repeat(4, minmax(0, 1fr)); } }
@media (max-width: 640px) {
  main { padding: 16px 12px 48px; }
  h1 { font-size: 1.4rem; }
  .pair { grid-template-columns: minmax(0, 1fr); }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .curve, figure { padding: 8px; }
  th, td { padding: 5px 6px; }
  table { font-size: .85rem; }
  td:nth-child(n+4), thead th:nth-child(n+4) { width: 17%; }
  .colour { margin-right: .4em; }
  td .value { float: none; }
  td .bar { margin: 0 0 4px; height: 4px; }
}"""
