# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Pictures: boxes on images, and the curves of a training."""

import colorsys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from src.model_utils.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GOLDEN_RATIO = 0.618033988749895
_MAX_POINTS = 1000


def class_colour(class_index: int) -> tuple[int, int, int]:
    """A BGR colour of each class: always the same, and neighbours far apart in hue."""
    hue = (class_index * _GOLDEN_RATIO) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85 if class_index % 2 else 0.6, 1.0)
    return round(255 * blue), round(255 * green), round(255 * red)


def draw_boxes(
    image: np.ndarray, boxes: np.ndarray, class_names: Sequence[str], score_thresh: float = 0.0
) -> np.ndarray:
    """Draws boxes with their names on a copy of the image, enlarged if it is small.

    Args:
        image: uint8 (height, width, 3) BGR.
        boxes: (n,6) x1 y1 x2 y2 score class, or (n,5) without score for ground truth.
        class_names: name of each class.
        score_thresh: boxes with a lower score are not drawn.
    """
    enlarge = max(1, round(480 / max(image.shape[:2])))
    picture = cv2.resize(image, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_LINEAR)
    unit = max(picture.shape[:2]) / 640
    thickness, font_scale = max(1, round(1.5 * unit)), max(0.4, 0.5 * unit)
    for box in boxes[::-1]:  # the best on top
        has_score = len(box) == 6
        if has_score and box[4] < score_thresh:
            continue
        colour = class_colour(int(box[-1]))
        x1, y1, x2, y2 = (round(float(side) * enlarge) for side in box[:4])
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, thickness, cv2.LINE_AA)
        text = class_names[int(box[-1])] + (f" {box[4]:.2f}" if has_score else "")
        (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, font_scale, 1)
        left = min(max(x1, 0), max(picture.shape[1] - width - 2, 0))
        top = max(y1 - height - below, 0)
        bottom = top + height + below
        cv2.rectangle(picture, (left, top), (left + width + 2, bottom), colour, -1)
        cv2.putText(
            picture, text, (left + 1, top + height + below // 2), cv2.FONT_HERSHEY_SIMPLEX,
            font_scale, (0, 0, 0), 1, cv2.LINE_AA,
        )  # fmt: skip
    return picture


def side_by_side(pictures: Sequence[np.ndarray], titles: Sequence[str]) -> np.ndarray:
    """Pictures of one size in a row, each below its title."""
    columns = []
    for picture, title in zip(pictures, titles, strict=True):
        header = np.full((28, picture.shape[1], 3), 32, np.uint8)
        cv2.putText(
            header, title, (6, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA
        )
        columns.append(np.vstack([header, picture]))
    return np.hstack(columns)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Writes a picture, whole or not at all; its format is the ending of `path`.

    Raises:
        OSError: the picture cannot be written.
    """
    with whole_file(path) as partial:
        if not cv2.imwrite(str(partial), picture):
            raise OSError(f"{path}: OpenCV cannot write the picture")


def training_curves(records: Sequence[dict[str, Any]]) -> "Figure":
    """Losses, learning rate and, once there is one, AP over the steps of a training.

    Long curves are thinned out to means of neighbouring records, which the loss axis then says.

    Args:
        records: of the training and its evaluations, see `src.training.metrics`.
    """
    # Here and not above: it takes half a second, and only a training draws curves.
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    steps = [record for record in records if "loss" in record]
    evaluations = [record for record in records if "AP" in record]
    rows = 3 if evaluations else 2
    figure = Figure(figsize=(9, 1 + 2.6 * rows), dpi=100, layout="constrained")
    panels = figure.subplots(rows, 1, sharex=True, height_ratios=[2, 1, 1.3][:rows])

    losses, rate = panels[0], panels[1]
    together = -(-len(steps) // _MAX_POINTS)  # rounded up
    for name, width in (("loss", 1.8), ("hm_loss", 1), ("wh_loss", 1), ("off_loss", 1)):
        at, values = _means(steps, name, together)
        if np.any(values > 0):  # a network without offsets has an off_loss of 0
            losses.plot(at, values, label=name, linewidth=width, **_marker(at))
    losses.set_yscale("log", nonpositive="mask")
    losses.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    losses.yaxis.set_major_formatter("{x:g}")
    losses.yaxis.set_minor_formatter("")
    overflows = [record["step"] for record in steps if record["overflow"]]
    if overflows:
        top = losses.get_xaxis_transform()  # y from 0 to 1
        losses.plot(overflows, np.full(len(overflows), 0.98), "kv", transform=top, label="overflow")
    losses.set_ylabel("loss" if together <= 1 else f"loss (means of {together} records)")
    rate.plot(*_means(steps, "lr", together), color="black", linewidth=1.2)
    rate.set_ylabel("learning rate")
    rate.set_ylim(bottom=0)
    rate.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    if evaluations:
        for name, width in (("AP", 1.8), ("AP50", 1), ("AP75", 1)):
            at, values = _means(evaluations, name, 1)
            panels[2].plot(
                at, values, label=name, linewidth=width, marker="o", markersize=3, clip_on=False
            )
        best = max(evaluations, key=lambda record: record["AP"])
        panels[2].set_title(f"best AP {best['AP']:.3f} after step {best['step']}", fontsize=10)
        panels[2].set_ylabel("AP (0 to 1)")
        panels[2].set_ylim(bottom=0)
    for axes in panels:
        axes.grid(True, which="major", alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.align_ylabels()
    panels[-1].set_xlabel("step")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    return figure


def write_figure(path: Path, figure: "Figure") -> None:
    """Writes a matplotlib figure, whole or not at all; its format is the ending of `path`.

    Raises:
        OSError: the picture cannot be written.
    """
    with whole_file(path) as partial:
        figure.savefig(partial)


def _means(
    records: Sequence[dict[str, Any]], name: str, together: int
) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values, each the mean over as many records; what is None does not count."""
    points = [(record["step"], record[name]) for record in records if record[name] is not None]
    groups = [points[first : first + together] for first in range(0, len(points), together or 1)]
    means = np.array([np.mean(group, axis=0) for group in groups]).reshape(-1, 2)
    return means[:, 0], means[:, 1]


def _marker(steps: np.ndarray) -> dict[str, Any]:
    """A line through few points shows where they are, and one point shows at all."""
    return {"marker": "o", "markersize": 3} if len(steps) <= 30 else {}
