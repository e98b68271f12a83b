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
    """How detections of one image become its result: `soft_nms`, at most `kept` boxes.

    With `clip_boxes` they end at the border of the image.
    """

    soft_nms: bool
    kept: int
    down_ratio: int
    clip_boxes: bool = False

    def __call__(
        self,
        detections: Sequence[np.ndarray],
        affines: Sequence[np.ndarray],
        size: Sequence[int],
    ) -> np.ndarray:
        """Brings detections back to the image, merges scales and keeps the best `kept`.

        Args:
            detections: for each scale float32 (K,6+3J) on the output grid.
            affines: for each scale the affine (2,3) from image to network input.
            size: height and width of the image.

        Returns:
            float32 (n,6+3J), n ≤ kept, best first: x1 y1 x2 y2 score class, then x y score of each
            point, in image pixels.
        """
        merged = np.concatenate(
            [
                to_image(found, affine, self.down_ratio)
                for found, affine in zip(detections, affines, strict=True)
            ]
        )
        merged = merged[~(merged[:, 4] < 0)]  # rows without an object, see `src.tasks.columns`
        if self.clip_boxes:
            merged[:, :4] = np.clip(merged[:, :4], 0, [size[1], size[0]] * 2)
        if self.soft_nms or len(detections) > 1:
            merged = soft_nms(merged)
        best_first = np.argsort(-merged[:, 4], kind="stable")
        return merged[best_first[: self.kept]]


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
) -> np.ndarray:
    """Gaussian soft-NMS within each class (Bodla et al., 2017, equation 3).

    Takes the best box, multiplies the scores of the others of its class by exp(-IoU²/σ), and so on;
    boxes whose score falls below `threshold` by that are dropped. Sides are counted as x2 - x1 + 1,
    as in the code that CenterNet's results were made with. All classes are done in one pass.

    Args:
        detections: float (n,6+3J), x1 y1 x2 y2 score class, then what else there is.

    Returns:
        The rescored boxes, best first: float (m,6+3J), m ≤ n.
    """
    boxes, scores, classes = detections[:, :4], detections[:, 4].copy(), detections[:, 5]
    decay = np.exp(-(_iou(boxes.astype(np.float64)) ** 2) / sigma)
    decay[classes[:, None] != classes[None, :]] = 1.0
    waiting = np.arange(len(detections))
    order = []
    while len(waiting):
        best = waiting[np.argmax(scores[waiting])]
        order.append(best)
        waiting = waiting[waiting != best]
        factor = decay[best, waiting]
        scores[waiting] *= factor
        waiting = waiting[(factor == 1.0) | (scores[waiting] >= threshold)]
    kept = detections[order].copy()
    kept[:, 4] = scores[order]
    return kept


def _iou(boxes: np.ndarray) -> np.ndarray:
    """IoU of every pair of (n,4) boxes, sides counted with + 1."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    overlap = np.clip(high - low + 1, 0, None).prod(axis=2)
    area = (boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=1)
    # A predicted box can have negative sides; its IoU is 0.
    union = np.maximum(area[:, None] + area[None, :] - overlap, 1e-9)
    return np.clip(overlap / union, 0, 1)
