# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Curves of a training and of an evaluation."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from src.model_utils.files import whole_file
from src.visual.lettering import elided, families_of, shown_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_POINTS = 1000
_EXTREME_CLASSES = 4  # curves of so many best and worst classes
_LONGEST_IN_CURVES = 28  # letters of a name in a legend


def training_curves(records: Sequence[dict[str, Any]]) -> "Figure":
    """Losses, learning rate and, once there is one, AP over the steps of a training.

    The parts of the loss are what the records have that ends in _loss, in their order.
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
    parts = dict.fromkeys(name for record in steps for name in record if name.endswith("_loss"))
    for name in ("loss", *parts):
        at, values = _means(steps, name, together)
        if np.any(values > 0):  # a part that the network leaves out is 0
            width = 1.8 if name == "loss" else 1
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
        for name, width in (("AP", 1.8), ("AP50", 1), ("AP75", 1), ("bbox_AP", 1)):
            at, values = _means(evaluations, name, 1)
            if len(at):
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


def precision_recall_curves(
    precision: np.ndarray, class_names: Sequence[str], measure: str = "IoU"
) -> "Figure":
    """Precision over recall: the mean of the classes, and the classes that are best and worst.

    Args:
        precision: float (10,101,C), at IoU or OKS 0.5 to 0.95 and recall 0 to 1, for all areas and
            most detections, as pycocotools computes it; nan for classes without ground truth.
        class_names: name of each class.
        measure: IoU, or of points OKS.
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
            (f"{measure} 0.50:0.95", of_known.mean(axis=(0, 2)), 2.5),
            (f"{measure} 0.50", of_known[0].mean(axis=1), 1.5),
            (f"{measure} 0.75", of_known[5].mean(axis=1), 1.5),
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
    single.set_title(f"best and worst classes at {measure} 0.50", fontsize=11)
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
