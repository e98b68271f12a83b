# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Which predicted box has found which object, as COCO counts it, and what that says of an image.

Where classes have points these are compared, by OKS instead of IoU. Objects of them without a
labelled point can be neither found nor missed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.tasks.columns import POINTS_OF_DETECTION, points_of

POINTS_OF_TRUTH = 5  # where they begin in rows x1 y1 x2 y2 class


@dataclass(frozen=True)
class Poses:
    """How points are compared: COCO's sigmas, and of each class whether it has points."""

    sigmas: Sequence[float]
    has_points: Sequence[bool]


@dataclass(frozen=True)
class Verdict:
    """What became of the boxes of an image that count, those of at least the score threshold.

    found, missed: objects that a box has found, and the others; false: boxes without an object of
    their own. Of these, mixed_up lie on a missed object of another class. false_scores is the sum
    of the scores of false boxes, in which those mixed up count twice. oks, where points are
    compared: mean over the objects of the OKS of what has found them, 0 of those missed; None
    without an object.
    """

    found: int
    missed: int
    false: int
    mixed_up: int
    false_scores: float
    oks: float | None = None

    @property
    def f1(self) -> float:
        """2 · found / (2 · found + missed + false), the F1 score; 1 with neither object nor box."""
        errors = self.missed + self.false
        return 2 * self.found / (2 * self.found + errors) if errors else 1.0

    @property
    def quality(self) -> float:
        """What images are ranked by: OKS, or F1 where no points are compared."""
        return self.f1 if self.oks is None else self.oks


def match(
    truth: np.ndarray,
    predicted: np.ndarray,
    least: float = 0.5,
    poses: Poses | None = None,
    areas: np.ndarray | None = None,
) -> np.ndarray:
    """Gives boxes to objects of their class, best score first, as COCO does without crowds.

    Each box takes the free object that it is most like, if that is at least `least`, of objects
    that count before others. So boxes of a lower score never change what those of a higher one have
    found.

    Args:
        truth: float (n,5+3J) x1 y1 x2 y2 class, then x y visibility of each point.
        predicted: float (m,6+3J) x1 y1 x2 y2 score class, then x y score of each point.
        least: IoU or OKS.
        poses: how points are compared; None compares boxes alone.
        areas: (n,) COCO's areas of the objects, for OKS; their boxes' if they are not given.

    Returns:
        int (m,), the row of the object that each box has found, -1 if none.
    """
    found = np.full(len(predicted), -1)
    if len(truth) == 0 or len(predicted) == 0:
        return found
    like = likeness(truth, predicted, poses, areas)
    like[predicted[:, 5][:, None] != truth[:, 4]] = 0
    like[like < least] = 0
    does_count = counting(truth, poses)
    for row in np.argsort(-predicted[:, 4], kind="stable"):
        for group in (does_count, ~does_count):
            best = np.argmax(like[row] * group)
            if like[row, best] * group[best] > 0:
                found[row] = best
                like[:, best] = 0
                break
    return found


def counting(truth: np.ndarray, poses: Poses | None) -> np.ndarray:
    """Bool (n,): which objects of `truth` can be found and missed."""
    if poses is None or len(truth) == 0:
        return np.ones(len(truth), bool)
    is_labelled = (points_of(truth, POINTS_OF_TRUTH)[:, :, 2] > 0).any(axis=1)
    return is_labelled | ~np.array(poses.has_points)[truth[:, 4].astype(int)]


def judge(
    truth: np.ndarray,
    predicted: np.ndarray,
    found: np.ndarray,
    score_thresh: float,
    poses: Poses | None = None,
    areas: np.ndarray | None = None,
) -> Verdict:
    """Counts what the boxes of an image with at least the score `score_thresh` have found.

    Args:
        truth, predicted, poses, areas: as of `match`.
        found: int (m,), what `match` gives for them.
    """
    counts = predicted[:, 4] >= score_thresh
    is_false = counts & (found < 0)
    does_count = counting(truth, poses)
    is_missed = does_count.copy()
    is_missed[found[counts & (found >= 0)]] = False
    false_boxes, missed = predicted[is_false], truth[is_missed]
    is_mixed_up = (iou(false_boxes[:, :4], missed[:, :4]) >= 0.5) & (
        false_boxes[:, 5][:, None] != missed[:, 4]
    )
    mixed_up = is_mixed_up.any(axis=1)
    return Verdict(
        found=int((does_count & ~is_missed).sum()),
        missed=len(missed),
        false=len(false_boxes),
        mixed_up=int(mixed_up.sum()),
        false_scores=float((false_boxes[:, 4] * (1 + mixed_up)).sum()),
        oks=_mean_oks(truth, predicted, np.where(counts, found, -1), poses, areas),
    )


def _mean_oks(
    truth: np.ndarray,
    predicted: np.ndarray,
    found: np.ndarray,
    poses: Poses | None,
    areas: np.ndarray | None,
) -> float | None:
    if poses is None:
        return None
    is_posed = counting(truth, poses) & np.array(poses.has_points)[truth[:, 4].astype(int)]
    if not is_posed.any():
        return None
    rows = [row for row in np.flatnonzero(found >= 0) if is_posed[found[row]]]
    like = likeness(truth, predicted, poses, areas)[rows, found[rows]]
    return float(like.sum() / is_posed.sum())


def likeness(
    truth: np.ndarray, predicted: np.ndarray, poses: Poses | None, areas: np.ndarray | None
) -> np.ndarray:
    """IoU, or of objects whose class has points OKS, of each box with each: float64 (m,n)."""
    like = iou(predicted[:, :4], truth[:, :4])
    if poses is not None and len(truth):
        has_points = np.array(poses.has_points)[truth[:, 4].astype(int)]
        like[:, has_points] = oks(truth, predicted, poses.sigmas, areas)[:, has_points]
    return like


def oks(
    truth: np.ndarray,
    predicted: np.ndarray,
    sigmas: Sequence[float],
    areas: np.ndarray | None = None,
) -> np.ndarray:
    """COCO's object keypoint similarity of each box with each object: float64 (m,n).

    The mean over an object's labelled points of exp(-d² / (2 · area · (2σ)²)). Of an object without
    any, d is how far each point lies outside its box at three times the size.

    Args:
        truth, predicted, areas: as of `match`.
        sigmas: (J,).
    """
    truth, predicted = truth.astype(np.float64), predicted.astype(np.float64)
    true = points_of(truth, POINTS_OF_TRUTH)[None]  # (1,n,J,3)
    guess = points_of(predicted, POINTS_OF_DETECTION)[:, None]  # (m,1,J,3)
    low, high = truth[None, :, None, :2], truth[None, :, None, 2:4]
    size = high - low
    outside = np.maximum(low - size - guess[..., :2], 0)
    outside += np.maximum(guess[..., :2] - high - size, 0)
    is_labelled = true[..., 2] > 0
    has_any = is_labelled.any(axis=2, keepdims=True)
    distance = np.where(has_any[..., None], guess[..., :2] - true[..., :2], outside)
    if areas is None:
        areas = size.prod(axis=3).ravel()
    spread = 2 * areas[:, None] * (2 * np.asarray(sigmas)) ** 2 + np.spacing(1)
    like = np.exp(-(distance**2).sum(axis=3) / spread)
    return np.average(like, axis=2, weights=np.broadcast_to(is_labelled | ~has_any, like.shape))


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
