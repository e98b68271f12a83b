# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Curves of an evaluation: which lines there are, and what is in them."""

import numpy as np

from src.visual import curves


def lines_of(axes: object) -> dict[str, np.ndarray]:
    return {line.get_label(): line.get_ydata() for line in axes.get_lines()}


def test_precision_recall_curves_are_means_of_the_classes_that_have_ground_truth():
    precision = np.full((10, 101, 3), np.nan)
    precision[:, :, 0] = 1
    precision[:, :, 2] = 0
    precision[:6, :51, 2] = 0.5  # IoU 0.50 to 0.75, recall 0 to 0.5
    means, single = curves.precision_recall_curves(precision, ["a", "b", "$c_$"]).axes
    found = lines_of(means)
    at = [0, 50, 51, 100]
    half = (1 + 0.5 * 51 / 101) / 2
    of_all = (1 + 0.6 * 0.5 * 51 / 101) / 2
    assert set(found) == {
        f"IoU 0.50:0.95: AP {of_all:.3f}", f"IoU 0.50: AP {half:.3f}", f"IoU 0.75: AP {half:.3f}",
    }  # fmt: skip
    np.testing.assert_allclose(found[f"IoU 0.75: AP {half:.3f}"][at], [0.75, 0.75, 0.5, 0.5])
    np.testing.assert_allclose(found[f"IoU 0.50:0.95: AP {of_all:.3f}"][at], [0.65, 0.65, 0.5, 0.5])
    assert list(lines_of(single)) == ["a: AP 1.000", r"\$c_\$: AP 0.252"]


def test_curves_of_many_classes_show_the_best_and_the_worst():
    precision = np.ones((10, 101, 1)) * np.linspace(0, 1, 80)
    _, single = curves.precision_recall_curves(precision, [f"c{i}" for i in range(80)]).axes
    names = [label.split(":")[0] for label in lines_of(single)]
    assert names == ["c79", "c78", "c77", "c76", "c3", "c2", "c1", "c0"]


def test_the_histogram_counts_right_and_wrong_boxes_by_score():
    scores = np.array([0.01, 0.01, 0.9, 0.91, 0.92, 1.0])
    is_right = np.array([False, False, True, False, True, True])
    counts, share = curves.score_histogram(scores, is_right).axes
    assert [text.get_text() for text in counts.get_legend().get_texts()] == ["right: 3", "wrong: 3"]
    right, wrong = (counts.patches[i].get_data().values for i in (0, 2))
    assert right[36] == 2 and right[39] == 1 and right.sum() == 3
    assert wrong[0] == 2 and wrong[36] == 1 and wrong.sum() == 3
    (line,) = share.get_lines()
    precision = dict(zip(np.round(line.get_xdata(), 3), line.get_ydata(), strict=True))
    assert precision[0.0] == 0.5 and precision[0.025] == 0.75 and precision[0.975] == 1


def test_an_evaluation_without_ground_truth_or_boxes_can_be_drawn(tmp_path):
    precision = curves.precision_recall_curves(np.full((10, 101, 2), np.nan), ["a", "b"])
    histogram = curves.score_histogram(np.empty(0), np.empty(0, bool))
    for figure, text in ((precision, "no class has ground truth"), (histogram, "no boxes")):
        assert [axes.texts[0].get_text() for axes in figure.axes] == [text, text]
        curves.write_figure(tmp_path / "figure.svg", figure)
