# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""From the network's detections to the boxes of an image, for eval.py and postprocess.py alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.data import geometry
from src.tasks.columns import points_of

_SOFT_NMS_SIGMA = 0.5
_SOFT_NMS_THRESHOLD = 0.001


@dataclass(frozen=True)
class PostProcessing:
    """How detections of one image become its result, at most `kept` boxes.

    Args:
        soft_nms: rescore them.
        kept: as above.
        down_ratio: of the network.
        clip_boxes: they end at the border of the image.
        form: eval_config.soft_nms_form.
        pairs: they are pairs of corners, see `src.tasks.task`.
        views: 2 if the second half of the rows is of the mirrored image, mirrored back.
    """

    soft_nms: bool
    kept: int
    down_ratio: int
    clip_boxes: bool = False
    form: str = "original"
    pairs: bool = False
    views: int = 1

    def __call__(
        self,
        detections: Sequence[np.ndarray],
        affines: Sequence[np.ndarray],
        size: Sequence[int],
    ) -> np.ndarray:
        """Brings detections back to the image, merges scales and views and keeps the best `kept`.

        Pairs of each view have a soft-NMS of their own before that of all together.

        Args:
            detections: for each scale float32 (K,6+3J) on the output grid.
            affines: for each scale the affine (2,3) from image to network input.
            size: height and width of the image.

        Returns:
            float32 (n,6+3J), n ≤ kept, best first: x1 y1 x2 y2 score class, then x y score of each
            point, in image pixels.
        """
        found = [
            view
            for of_scale, affine in zip(detections, affines, strict=True)
            for view in np.split(to_image(of_scale, affine, self.down_ratio), self.views)
        ]
        found = [view[~(view[:, 4] < 0)] for view in found]  # the rest has no object
        if self.pairs:
            found = [
                real_pairs(view, size[1] if place % self.views else None)
                for place, view in enumerate(found)
            ]
            if self.soft_nms and len(found) > 1:
                found = [soft_nms(view, form=self.form, kept=self.kept) for view in found]
        merged = np.concatenate(found)
        if self.clip_boxes:
            merged[:, :4] = np.clip(merged[:, :4], 0, [size[1], size[0]] * 2)
        if self.soft_nms or len(found) > 1:
            merged = soft_nms(merged, form=self.form, kept=self.kept)
        best_first = np.argsort(-merged[:, 4], kind="stable")
        return merged[best_first[: self.kept]]


def real_pairs(detections: np.ndarray, mirrored_width: int | None = None) -> np.ndarray:
    """Those of the pairs of corners (K,6) in pixels of an image that are boxes.

    As MMDetection does, coordinates below 0 become 0; a box that has no side then is none. Of pairs
    of the mirrored image that holds there, so that back in the image they end at its right border,
    `mirrored_width`.
    """
    boxes = detections[:, :4].reshape(-1, 2, 2)
    if mirrored_width is None:
        boxes[:, :, 0] = np.maximum(boxes[:, :, 0], 0)
    else:
        boxes[:, :, 0] = np.minimum(boxes[:, :, 0], mirrored_width)
    boxes[:, :, 1] = np.maximum(boxes[:, :, 1], 0)
    has_sides = (boxes[:, 0] < boxes[:, 1]).all(axis=1)
    ended = np.column_stack([boxes.reshape(-1, 4), detections[:, 4:]])
    return ended[has_sides]


def to_image(detections: np.ndarray, affine: np.ndarray, down_ratio: int) -> np.ndarray:
    """Detections (K,6+3J) from the output grid to the pixels of the image that `affine` warped.

    Corner by corner: a box predicted with a negative side keeps it, as in the original.
    """
    back = geometry.inverted(affine)

    def to_pixels(places: np.ndarray) -> np.ndarray:
        return places.astype(np.float64) * down_ratio @ back[:, :2].T + back[:, 2]

    moved = detections.copy()
    moved[:, :4] = to_pixels(detections[:, :4].reshape(-1, 2, 2)).reshape(-1, 4)
    points = points_of(moved)
    points[:, :, :2] = to_pixels(points[:, :, :2])
    return moved


def soft_nms(
    detections: np.ndarray,
    sigma: float = _SOFT_NMS_SIGMA,
    threshold: float = _SOFT_NMS_THRESHOLD,
    form: str = "original",
    kept: int | None = None,
) -> np.ndarray:
    """Gaussian soft-NMS within each class (Bodla et al., 2017, equation 3).

    Takes the best box, multiplies the scores of the others of its class by exp(-IoU²/σ), and so on.

    Args:
        detections: float (n,6+3J), x1 y1 x2 y2 score class, then what else there is.
        sigma: σ.
        threshold: boxes whose score falls below it are dropped.
        form: original, as in the code that CenterNet's results were made with: sides are counted as
            x2 - x1 + 1, and boxes that none overlaps stay. Or mmcv: sides are x2 - x1, and all
            below the threshold are dropped once the best is taken.
        kept: so many of them are enough.

    Returns:
        The rescored boxes, best first: float (m,6+3J), m ≤ n.
    """
    boxes, scores, classes = detections[:, :4], detections[:, 4].copy(), detections[:, 5]
    added = 1 if form == "original" else 0
    decay = np.ones((len(boxes), len(boxes)))
    for label in np.unique(classes):
        own = np.flatnonzero(classes == label)
        iou = _iou(boxes[own].astype(np.float64), added)
        decay[own[:, None], own] = np.exp(-(iou**2) / sigma)
    waiting = np.arange(len(detections))
    order = []
    while (
        len(waiting) and len(order) != kept
    ):  # no score rises, so what is taken later is no better
        best = waiting[np.argmax(scores[waiting])]
        order.append(best)
        waiting = waiting[waiting != best]
        factor = decay[best, waiting]
        scores[waiting] *= factor
        stays = scores[waiting] >= threshold
        if form == "original":
            stays |= factor == 1.0
        waiting = waiting[stays]
    kept_boxes = detections[order].copy()
    kept_boxes[:, 4] = scores[order]
    return kept_boxes


def _iou(boxes: np.ndarray, added: int) -> np.ndarray:
    """IoU of every pair of (n,4) boxes, with so much added to their sides."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    overlap = np.clip(high - low + added, 0, None).prod(axis=2)
    area = (boxes[:, 2:] - boxes[:, :2] + added).prod(axis=1)
    # A predicted box can have negative sides; its IoU is 0.
    union = np.maximum(area[:, None] + area[None, :] - overlap, 1e-9)
    return np.clip(overlap / union, 0, 1)
