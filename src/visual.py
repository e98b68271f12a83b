# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Pictures: boxes on images."""

import colorsys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from src.model_utils.files import whole_file

_GOLDEN_RATIO = 0.618033988749895


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
