# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Whether an exported model detects what its network does."""

import math
from pathlib import Path

import numpy as np
from mindspore import Tensor, nn

from src.models.detections import check_finite

_TIED_SCORES = 1e-4


def random_images(shape: tuple[int, int, int, int], dtype: str) -> np.ndarray:
    """Images (B,3,H,W) that a model takes: "uint8", or "float32" from -1 to 1; always the same."""
    values = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    return values if dtype == "uint8" else ((values / 127.5) - 1).astype(np.float32)


def detections(model: nn.Cell, images: np.ndarray) -> np.ndarray:
    """What a network with its decode detects: (B,3,H,W) to (B,K,6+3J).

    Raises:
        UserError: that is not finite.
    """
    model.set_train(False)
    found = model(Tensor(images)).asnumpy()
    check_finite([found])
    return found


def checked(path: Path, found: np.ndarray, expected: np.ndarray, tolerance: float) -> float:
    """The largest difference of a file's detections from the network's, see there.

    Raises:
        RuntimeError: it is more than `tolerance`.
    """
    difference = largest_difference(found, expected)
    if difference > tolerance:
        raise RuntimeError(
            f"{path}: the exported model's boxes differ from the network's by {difference}"
        )
    return difference


def largest_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference between two sets of detections (B,K,6+3J), order of equal scores aside.

    In output-grid pixels; differences of scores count a hundredfold, of classes as they are. Rows
    that tie with the last one kept are compared by score alone: which of them are kept is open.
    """
    if not (np.isfinite(found).all() and np.isfinite(expected).all()):
        return math.inf
    weights = np.ones(expected.shape[2])
    weights[4] = 100  # and a point's score as it is
    largest = float(np.abs(found[:, :, 4] - expected[:, :, 4]).max() * weights[4])
    for ours, theirs in zip(found, expected, strict=True):
        # Rows of equal score come in any order: each is compared with the nearest one.
        distance = (np.abs(ours[:, None] - theirs[None]) * weights).max(axis=2)
        last = max(ours[-1, 4], theirs[-1, 4]) + _TIED_SCORES
        for nearest, scores in (
            (distance.min(axis=1), ours[:, 4]),
            (distance.min(axis=0), theirs[:, 4]),
        ):
            largest = max(largest, float(nearest[scores > last].max(initial=0.0)))
    return largest
