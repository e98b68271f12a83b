# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What the synthetic sets of shapes and of stick figures are drawn with."""

from collections.abc import Sequence

import cv2
import numpy as np

# Smallest distance in BGR space between an object and what lies around or beneath it.
MIN_CONTRAST = 120.0


def mask_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Tight x1 y1 x2 y2 of a non-empty bool mask, the far edges exclusive."""
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def box_iou(first: Sequence[float], second: Sequence[float]) -> float:
    """Intersection over union of two xyxy boxes."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return width * height / (areas[0] + areas[1] - width * height)


def background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A colour gradient with soft blotches and fine noise, float32 (H,W,3) in 0..255."""
    base = rng.uniform(50.0, 205.0, 3)
    corners = base + rng.normal(0.0, 12.0, (2, 2, 3))
    image = cv2.resize(corners.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    for cell, strength in ((24, 10.0), (8, 6.0)):
        grid = rng.normal(0.0, strength, (height // cell + 2, width // cell + 2, 3))
        image += cv2.resize(grid.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    image += rng.normal(0.0, rng.uniform(2.0, 8.0), image.shape).astype(np.float32)
    return np.clip(image, 0.0, 255.0)


def contrasting_colour(rng: np.random.Generator, others: list[np.ndarray]) -> np.ndarray:
    """A random BGR colour MIN_CONTRAST or more from the others; else the farthest of 32."""
    candidates = rng.uniform(0.0, 255.0, (32, 3))
    distances = np.linalg.norm(candidates[:, None] - np.stack(others)[None], axis=2).min(axis=1)
    enough = np.flatnonzero(distances >= MIN_CONTRAST)
    return candidates[enough[0] if enough.size else int(distances.argmax())]
