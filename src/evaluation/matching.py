# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Which predicted box has found which object, as COCO counts it, and what that says of an image."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """What became of the boxes of an image that count, those of at least the score threshold.

    found, missed: objects that a box has found, and the others; false: boxes without an object of
    their own. Of these, mixed_up lie on a missed object of another class. false_scores is the sum
    of the scores of false boxes, in which those mixed up count twice.
    """

    found: int
    missed: int
    false: int
    mixed_up: int
    false_scores: float

    @property
    def f1(self) -> float:
        """2 · found / (2 · found + missed + false), the F1 score; 1 with neither object nor box."""
        errors = self.missed + self.false
        return 2 * self.found / (2 * self.found + errors) if errors else 1.0


def match(truth: np.ndarray, predicted: np.ndarray, min_iou: float = 0.5) -> np.ndarray:
    """Gives boxes to objects of their class, best score first, as COCO does without crowds.

    Each box takes the free object that it overlaps most, if their IoU is at least `min_iou`. So
    boxes of a lower score never change what those of a higher one have found.

    Args:
        truth: float (n,5) x1 y1 x2 y2 class.
        predicted: float (m,6) x1 y1 x2 y2 score class.

    Returns:
        int (m,), the row of the object that each box has found, -1 if none.
    """
    found = np.full(len(predicted), -1)
    if len(truth) == 0 or len(predicted) == 0:
        return found
    overlap = iou(predicted[:, :4], truth[:, :4])
    overlap[predicted[:, 5][:, None] != truth[:, 4]] = 0
    overlap[overlap < min_iou] = 0
    for row in np.argsort(-predicted[:, 4], kind="stable"):
        best = np.argmax(overlap[row])
        if overlap[row, best] > 0:
            found[row] = best
            overlap[:, best] = 0
    return found


def judge(
    truth: np.ndarray, predicted: np.ndarray, found: np.ndarray, score_thresh: float
) -> Verdict:
    """Counts what the boxes of an image with at least the score `score_thresh` have found.

    Args:
        truth: float (n,5) x1 y1 x2 y2 class.
        predicted: float (m,6) x1 y1 x2 y2 score class.
        found: int (m,), what `match` gives for them.
    """
    counts = predicted[:, 4] >= score_thresh
    is_false = counts & (found < 0)
    is_missed = np.ones(len(truth), bool)
    is_missed[found[counts & (found >= 0)]] = False
    false_boxes, missed = predicted[is_false], truth[is_missed]
    is_mixed_up = (iou(false_boxes[:, :4], missed[:, :4]) >= 0.5) & (
        false_boxes[:, 5][:, None] != missed[:, 4]
    )
    mixed_up = is_mixed_up.any(axis=1)
    return Verdict(
        found=int((~is_missed).sum()),
        missed=len(missed),
        false=len(false_boxes),
        mixed_up=int(mixed_up.sum()),
        false_scores=float((false_boxes[:, 4] * (1 + mixed_up)).sum()),
    )


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of each of the boxes (n,4) x1 y1 x2 y2 with each of the others (m,4): float64 (n,m)."""
    boxes, others = boxes.astype(np.float64), others.astype(np.float64)
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=2)
    # A predicted box can have negative sides; it has no area.
    areas = [np.clip(of[:, 2:] - of[:, :2], 0, None).prod(axis=1) for of in (boxes, others)]
    union = areas[0][:, None] + areas[1][None, :] - overlap
    return overlap / np.maximum(union, 1e-9)
