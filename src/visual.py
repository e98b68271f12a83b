# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Pictures: boxes and heat maps on images, curves of a training and of an evaluation."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from src.lettering import (
    draw_text,
    elided,
    families_of,
    shown_names,
    text_size,
)
from src.model_utils.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LARGEST_SIDE = 1600  # of a picture: what a screen shows
_SMALL_SIDE = 400  # images below are enlarged
_ENLARGED_SIDE = 640
_NUM_COLOURS = 80
_MAX_POINTS = 1000
_EXTREME_CLASSES = 4  # curves of so many best and worst classes
_LONGEST_IN_CURVES = 28  # letters of a name in a legend


def class_colour(class_index: int) -> tuple[int, int, int]:
    """A BGR colour of each class: always the same, 80 of them distinct, then from the first on."""
    blue, green, red = _palette()[class_index % _NUM_COLOURS].tolist()
    return blue, green, red


def text_colour(background: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black or white, whichever has more contrast (WCAG 2.1) on a BGR background."""
    linear = [
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (level / 255 for level in background)
    ]
    luminance = 0.0722 * linear[0] + 0.7152 * linear[1] + 0.2126 * linear[2]
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 0.05 * 1.05 else (255, 255, 255)


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    class_names: Sequence[str],
    score_thresh: float = 0.0,
    wrong: np.ndarray | None = None,
    keep_size: bool = False,
) -> np.ndarray:
    """Draws boxes with their names on a copy of the image, at a size that is good to look at.

    Images of more than 1600 pixels are scaled down to that, those of less than 400 enlarged by a
    whole factor. Lines and letters grow with the picture. See `place_labels` for where names go.

    Args:
        image: uint8 (height, width, 3) BGR.
        boxes: (n,6) x1 y1 x2 y2 score class, or (n,5) without score for ground truth.
        class_names: name of each class.
        score_thresh: boxes with a lower score are not drawn.
        wrong: bool (n,), boxes to draw dashed and with a cross; none if it is not given.
        keep_size: draw at the image's own size, as for a frame of a video.

    Returns:
        uint8 (height, width, 3) BGR.
    """
    from PIL import Image, ImageDraw  # here and not above: a training without pictures needs none

    picture, scale = (image.copy(), np.ones(2)) if keep_size else _fitted(image)
    height, width = picture.shape[:2]
    has_score = boxes.shape[1] == 6
    order = np.argsort(-boxes[:, 4], kind="stable") if has_score else np.arange(len(boxes))
    corners = boxes[:, :4].astype(np.float64) * np.tile(scale, 2)
    is_seen = (corners[:, 2:] >= 0).all(axis=1) & (corners[:, :2] <= (width, height)).all(axis=1)
    if has_score:
        is_seen &= boxes[:, 4] >= score_thresh
    order = order[is_seen[order]]
    is_wrong = np.zeros(len(boxes), bool) if wrong is None else wrong
    colours = {index: class_colour(int(boxes[index, -1])) for index in order}

    line = max(1, round(max(height, width) / 400))
    dashes = np.where(is_wrong, 5 * line, 0)
    shadow = picture.copy()
    for index in order:
        _rectangle(shadow, corners[index], (0, 0, 0), line + 2, dashes[index])
    picture = cv2.addWeighted(shadow, 0.5, picture, 0.5, 0)
    for index in order[::-1]:  # the best on top
        _rectangle(picture, corners[index], colours[index], line, dashes[index])

    letters = _letter_size(width, height)
    margin = max(2, round(letters / 5))
    names = shown_names(class_names)

    def label(index: int) -> tuple[str, tuple[int, int]]:
        """The text of a box and its size; a name is cut until it fits into the picture."""
        name = names[int(boxes[index, -1])]
        mark = "\N{MULTIPLICATION X} " if is_wrong[index] else ""
        score = f" {boxes[index, 4]:.2f}" if has_score else ""
        longest = len(name)
        while True:
            text = mark + elided(name, longest) + score
            text_width, text_height = text_size(text, letters)
            if text_width + 2 * margin <= width or longest <= 3:
                return text, (text_width + 2 * margin, text_height + 2)
            longest -= 1

    labels = [label(index) for index in order]
    texts, sizes = [text for text, _ in labels], [size for _, size in labels]
    places = place_labels(corners[order], np.array(sizes, int).reshape(-1, 2), (width, height))
    canvas = Image.fromarray(picture)  # takes BGR for RGB; so are the colours below
    draw = ImageDraw.Draw(canvas)
    for index, text, size, place in zip(order, texts, sizes, places, strict=True):
        if place is None:
            continue
        left, top = place
        draw.rectangle((left, top, left + size[0] - 1, top + size[1] - 1), colours[index])
        draw_text(draw, (left + margin, top + 1), text, text_colour(colours[index]), letters)
    return np.array(canvas)


def place_labels(
    boxes: np.ndarray, sizes: np.ndarray, picture_size: tuple[int, int]
) -> list[tuple[int, int] | None]:
    """Where labels of boxes go: inside the picture, at their box, and none over another.

    The first labels choose first: above their box, inside or below, at its left or right end; else
    the nearest place that touches the box. Places that hide no small box come before those that do.
    A label that would have to leave its box has none.

    Args:
        boxes: float (n,4) x1 y1 x2 y2, in pixels of the picture, which they meet.
        sizes: int (n,2) width and height of each label.
        picture_size: width and height.

    Returns:
        Left and top of each label, or None.
    """
    places: list[tuple[int, int] | None] = []
    corners = np.clip(np.round(boxes), 0, np.tile(picture_size, 2)).astype(int)
    is_small = corners[:, 3] - corners[:, 1] < 2 * sizes[:, 1]
    small = corners[is_small]
    taken = np.empty((0, 4), int)
    for (x1, y1, x2, y2), size in zip(corners.tolist(), sizes, strict=True):
        width, height = size.tolist()
        room = np.array(picture_size) - size
        if (room < 0).any():
            places.append(None)
            continue
        above, inside, below = y1 - height, y1, y2
        is_low = y2 - y1 < 3 * height  # a label inside would hide what the box is about
        tops = [above, below, inside] if is_low else [above, inside, below]
        near = [(left, top) for top in [*tops, y2 - height] for left in (x1, x2 - width)]
        grid = np.meshgrid(np.linspace(x1 - width, x2, 25), np.linspace(y1 - height, y2, 25))
        around = np.stack(grid, axis=-1).reshape(-1, 2).round()
        way = np.abs(around - (x1, above)).sum(axis=1)
        candidates = np.vstack([near, around[np.argsort(way, kind="stable")]]).astype(int)
        candidates = np.clip(candidates, 0, room)
        place = _first_free(candidates, size, np.vstack([taken, small]))
        if place is None:
            place = _first_free(candidates, size, taken)
        places.append(place)
        if place is not None:
            taken = np.vstack([taken, [*place, place[0] + width, place[1] + height]])
    return places


def side_by_side(pictures: Sequence[np.ndarray], titles: Sequence[str]) -> np.ndarray:
    """Pictures of one size below their titles: in a row, or in a column if they are very wide."""
    from PIL import Image, ImageDraw

    height, width = pictures[0].shape[:2]
    letters = _letter_size(width, height, 1.2)
    margin = round(0.6 * letters)
    titled = []
    for picture, title in zip(pictures, titles, strict=True):
        text_height = text_size(title, letters)[1]
        header = Image.new("RGB", (width, text_height + margin), (32, 32, 32))
        place = (margin, margin // 2)
        draw_text(ImageDraw.Draw(header), place, title, (255, 255, 255), letters)
        titled.append(np.vstack([np.array(header), picture]))
    is_row = width <= 2 * height
    gap_shape = (titled[0].shape[0], margin // 2) if is_row else (margin // 2, width)
    gap = np.full((*gap_shape, 3), 32, np.uint8)
    parts = [part for picture in titled for part in (gap, picture)][1:]
    return np.hstack(parts) if is_row else np.vstack(parts)


def heat_map_overlay(
    image: np.ndarray, heat: np.ndarray, affine: np.ndarray, down_ratio: int
) -> np.ndarray:
    """Lays a heat map over its image, at the size that `draw_boxes` gives it.

    Cell (row, column) lies on the pixels that the network sees there: from down_ratio · column to
    down_ratio · (column + 1) in its input, taken back to the image. Between the middles of cells
    the heat is interpolated. Cold places show the image, darkened; hot ones red.

    Args:
        image: uint8 (height, width, 3) BGR.
        heat: float (h,w) on the output grid, 0 to 1: the largest over the classes.
        affine: (2,3) from image to network input.
        down_ratio: network input pixels of one cell.

    Returns:
        uint8 (height, width, 3) BGR.
    """
    picture, scale = _fitted(image)
    height, width = picture.shape[:2]
    # From the index of a pixel to that of a cell; both are half a unit before its middle.
    to_grid = np.asarray(affine, np.float64) / down_ratio
    to_grid[:, :2] /= scale
    to_grid[:, 2] += to_grid[:, :2].sum(axis=1) / 2 - 0.5
    spread = cv2.warpAffine(
        np.nan_to_num(heat).clip(0, 1).astype(np.float32), to_grid, (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    coloured = cv2.applyColorMap(np.round(255 * spread).astype(np.uint8), cv2.COLORMAP_TURBO)
    share = 0.75 * np.sqrt(spread)[..., None]  # the root lets weak peaks show
    return np.round(0.7 * picture * (1 - share) + coloured * share).astype(np.uint8)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Writes a picture, whole or not at all; its format is the ending of `path`.

    Raises:
        OSError: the picture cannot be written.
    """
    with whole_file(path) as partial:
        # Not by cv2.imwrite, which crashes on a name that is not UTF-8.
        is_encoded, encoded = cv2.imencode(partial.suffix, picture)
        if not is_encoded:
            raise OSError(f"{path}: OpenCV cannot write the picture")
        partial.write_bytes(encoded)


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
    evaluations = [record for record in records if record.get("AP") is not None]
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
    overflows = [record["step"] for record in steps if record.get("overflow")]
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


def precision_recall_curves(precision: np.ndarray, class_names: Sequence[str]) -> "Figure":
    """Precision over recall: the mean of the classes, and the classes that are best and worst.

    Args:
        precision: float (10,101,C), at IoU 0.5 to 0.95 and recall 0 to 1, for all areas and most
            detections, as pycocotools computes it; nan for classes without ground truth.
        class_names: name of each class.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 7.6), dpi=100, layout="constrained")
    means, single = figure.subplots(2, 1, sharex=True)
    recall = np.linspace(0, 1, 101)
    known = np.flatnonzero(~np.isnan(precision).any(axis=(0, 1)))
    names = [elided(name, _LONGEST_IN_CURVES) for name in shown_names(class_names)]
    if len(known):
        of_known = precision[:, :, known]
        for label, curve, width in (
            ("IoU 0.50:0.95", of_known.mean(axis=(0, 2)), 2.5),
            ("IoU 0.50", of_known[0].mean(axis=1), 1.5),
            ("IoU 0.75", of_known[5].mean(axis=1), 1.5),
        ):
            means.plot(recall, curve, label=f"{label}: AP {curve.mean():.3f}", linewidth=width)
        at_half = precision[0].mean(axis=0)
        order = known[np.argsort(-at_half[known], kind="stable")]
        best = order[: min(_EXTREME_CLASSES, (len(order) + 1) // 2)]
        worst = order[len(best) :][-_EXTREME_CLASSES:]
        for classes, style, colours in ((best, "-", "Greens_r"), (worst, "--", "Reds")):
            shades = _shades(colours, len(classes))
            for index, colour in zip(classes, shades, strict=True):
                label = f"{_plain(names[index])}: AP {at_half[index]:.3f}"
                single.plot(recall, precision[0, :, index], style, label=label, color=colour)
    means.set_title("mean of the classes", fontsize=11)
    single.set_title("best and worst classes at IoU 0.50", fontsize=11)
    single.set_xlabel("recall")
    for axes in (means, single):
        axes.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="precision")
        _finish(axes, bool(len(known)), "no class has ground truth")
    if legend := single.get_legend():
        families = families_of([text.get_text() for text in legend.get_texts()])
        for text in legend.get_texts():
            text.set_fontfamily(families)
    return figure


def score_histogram(scores: np.ndarray, is_true_positive: np.ndarray) -> "Figure":
    """How many boxes there are of each score, right and wrong, and the precision from it upwards.

    Args:
        scores: float (n,), 0 to 1, of all boxes.
        is_true_positive: bool (n,), whether each box is on an object of its own.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 7.6), dpi=100, layout="constrained")
    counts, share = figure.subplots(2, 1, sharex=True)
    bins = np.linspace(0, 1, 41)
    right, _ = np.histogram(scores[is_true_positive], bins)
    wrong, _ = np.histogram(scores[~is_true_positive], bins)
    if len(scores):
        for values, label, colour in ((right, "right", "#1a9850"), (wrong, "wrong", "#d73027")):
            counts.stairs(
                values, bins, fill=True, alpha=0.45, color=colour, label=f"{label}: {values.sum()}"
            )
            counts.stairs(values, bins, color=colour, linewidth=1.2, baseline=None)
        counts.set_yscale("symlog", linthresh=10)  # a few good ones beside thousands of bad ones
        counts.yaxis.set_major_formatter("{x:g}")
        right_above, wrong_above = right[::-1].cumsum()[::-1], wrong[::-1].cumsum()[::-1]
        is_any = right_above + wrong_above > 0
        precision = right_above[is_any] / (right_above + wrong_above)[is_any]
        share.plot(bins[:-1][is_any], precision, color="#1a5fb4", linewidth=2, label="precision")
    counts.set(title="boxes of each score", ylabel="boxes", ylim=(0, None))
    counts.title.set_fontsize(11)
    share.set_title("share of right ones among boxes of at least this score", fontsize=11)
    share.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="score", ylabel="precision")
    for axes in (counts, share):
        _finish(axes, bool(len(scores)), "no boxes")
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
    points = [(record["step"], record[name]) for record in records if record.get(name) is not None]
    groups = [points[first : first + together] for first in range(0, len(points), together or 1)]
    means = np.array([np.mean(group, axis=0) for group in groups]).reshape(-1, 2)
    return means[:, 0], means[:, 1]


def _marker(steps: np.ndarray) -> dict[str, Any]:
    """A line through few points shows where they are, and one point shows at all."""
    return {"marker": "o", "markersize": 3} if len(steps) <= 30 else {}


def _finish(axes: "Axes", has_data: bool, otherwise: str) -> None:
    """Grid and legend, or what to say where there is nothing to draw."""
    axes.grid(True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if has_data:
        axes.legend(fontsize=9, framealpha=0.85)
    else:
        axes.text(0.5, 0.5, otherwise, transform=axes.transAxes, ha="center")


def _shades(name: str, count: int) -> np.ndarray:
    """Float (count,4) RGBA colours from the readable part of one of matplotlib's colour maps."""
    from matplotlib import colormaps

    low, high = (0.1, 0.6) if name.endswith("_r") else (0.4, 0.9)
    return colormaps[name](np.linspace(low, high, count))


def _plain(text: str) -> str:
    """A name as matplotlib shows it as it is: it takes dollars for mathematics."""
    return text.replace("$", r"\$")


def _fitted(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image at the size of its picture, and by how much x and y have grown."""
    height, width = image.shape[:2]
    longest = max(height, width)
    if longest < _SMALL_SIDE:
        factor: float = round(_ENLARGED_SIDE / longest)
    else:
        factor = min(1, _LARGEST_SIDE / longest)
    size = (max(1, round(factor * width)), max(1, round(factor * height)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(image, size, interpolation=method)
    return picture, np.array([size[0] / width, size[1] / height])


def _letter_size(width: int, height: int, factor: float = 1.0) -> int:
    """Pixels from one line to the next: the same share of each picture that is not very narrow."""
    return max(11, round(factor * min(max(width, height) / 44, min(width, height) / 12)))


@functools.cache
def _palette() -> np.ndarray:
    """uint8 (80,3) BGR: each colour as far as can be from all before it in CIE Lab.

    So classes with a low index, the common ones, differ most. Dark, pale and grey ones are left
    out: they do not stand out from photographs.
    """
    levels = np.linspace(0, 255, 16).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 1, 3)
    lab = cv2.cvtColor(colours.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)[:, 0]
    lightness, chroma = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])
    stands_out = (lightness > 40) & (lightness < 93) & (chroma > 30)
    colours, lab = colours[stands_out, 0], lab[stands_out]
    chosen = [int(np.argmin(np.abs(colours.astype(int) - (0, 85, 255)).sum(axis=1)))]  # orange
    distance = np.full(len(lab), np.inf)
    while len(chosen) < _NUM_COLOURS:
        distance = np.minimum(distance, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
        chosen.append(int(np.argmax(distance)))
    return colours[chosen]


def _rectangle(
    picture: np.ndarray,
    corners: np.ndarray,
    colour: tuple[int, int, int],
    thickness: int,
    dash: int,
) -> None:
    """Draws a box into the picture, dashed unless `dash` is 0; lines of small boxes are thin."""
    # OpenCV takes no coordinates beyond 16 bits, and lines outside are not seen.
    height, width = picture.shape[:2]
    limits = np.array([width, height, width, height]) + 2 * thickness
    x1, y1, x2, y2 = np.clip(np.round(corners), -2 * thickness, limits).astype(int).tolist()
    thickness = min(thickness, max(1, min(x2 - x1, y2 - y1) // 8))
    if dash == 0:
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, thickness)
        return
    dash = min(dash, max(2, max(x2 - x1, y2 - y1) // 5))
    for left in range(x1, x2, 2 * dash):
        for y in (y1, y2):
            cv2.line(picture, (left, y), (min(left + dash, x2), y), colour, thickness)
    for top in range(y1, y2, 2 * dash):
        for x in (x1, x2):
            cv2.line(picture, (x, top), (x, min(top + dash, y2)), colour, thickness)


def _first_free(
    candidates: np.ndarray, size: np.ndarray, taken: np.ndarray
) -> tuple[int, int] | None:
    """The first of the corners (n,2) where a label meets none of the `taken` (m,4), or None."""
    lefts_tops = candidates[:, None]
    meets = ((lefts_tops < taken[:, 2:]) & (taken[:, :2] < lefts_tops + size)).all(axis=2)
    free = np.flatnonzero(~meets.any(axis=1))
    return tuple(candidates[free[0]].tolist()) if len(free) else None
