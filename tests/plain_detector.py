# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""CenterNet's inference on one image in plain NumPy: what the tests hold the detector against.

Written from "Objects as Points" (Zhou, Wang, Krähenbühl, 2019) and the behaviour of the original's
test program (github.com/xingyizhou/CenterNet), in loops, to be read. It imports nothing of this
project. One thing is the ModelZoo's and not the original's: an image is scaled and padded by one
warp, not resized and then warped.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

# Normalised images float32 (B,3,H,W) to hm logits (B,C,h,w), wh (B,2,h,w) and reg (B,2,h,w).
Heads = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]

SIGMA = 0.5
THRESHOLD = 0.001


def plain_detect(
    image: np.ndarray,
    heads: Heads,
    *,
    scales: Sequence[float],
    flip: bool,
    keep_res: bool,
    pad: int,
    fixed_size: tuple[int, int],
    soft_nms: bool,
    k: int,
    down_ratio: int,
    mean: Sequence[float],
    std: Sequence[float],
    num_classes: int,
) -> np.ndarray:
    """Boxes of a uint8 (height, width, 3) BGR image.

    Args:
        image: the image.
        heads: the network without its decode.
        scales: scales at which the image is detected.
        flip: average heat map and sizes with those of the mirrored input.
        keep_res: scale by `scales` alone and pad by `pad`, else fit into `fixed_size` times scale.
        pad: each side s is padded to (s | pad) + 1.
        fixed_size: height and width.
        soft_nms: rescore overlapping boxes also when there is one scale.
        k: boxes kept of each scale, and of the image.
        down_ratio: input pixels of a cell of the output grid.
        mean, std: of BGR, images in 0..1.
        num_classes: C.

    Returns:
        float64 (n,6), n ≤ k, best first: x1 y1 x2 y2 score class in image pixels.

    Raises:
        ValueError: the heads are not of C classes, or with `flip` wider than the input.
    """
    boxes_of_class: dict[int, list[list[float]]] = {label: [] for label in range(num_classes)}
    for scale in scales:
        scaling, left, top, height, width = placed(
            image.shape[:2], scale, keep_res, pad, fixed_size
        )
        affine = np.array([[scaling, 0.0, left], [0.0, scaling, top]])
        warped = cv2.warpAffine(image, affine, (width, height), flags=cv2.INTER_LINEAR)
        network_input = np.zeros((1, 3, height, width), np.float32)
        for channel in range(3):
            levels = warped[:, :, channel] / 255.0
            network_input[0, channel] = (levels - mean[channel]) / std[channel]

        hm, wh, reg = averaged_heads(heads, network_input, flip)
        if len(hm) != num_classes:
            raise ValueError(f"{len(hm)} heat maps, not {num_classes}")
        if flip and hm.shape[2] * down_ratio != width:
            # The mirrored image would lie at the other end of the grid: not the original's case.
            raise ValueError(f"a grid of {hm.shape[2]} columns cannot mirror {width} pixels")
        for score, label, row, column in best_peaks(hm, k):
            x = column + reg[0, row, column]
            y = row + reg[1, row, column]
            half_width, half_height = wh[0, row, column] / 2, wh[1, row, column] / 2
            box = [
                ((x - half_width) * down_ratio - left) / scaling,
                ((y - half_height) * down_ratio - top) / scaling,
                ((x + half_width) * down_ratio - left) / scaling,
                ((y + half_height) * down_ratio - top) / scaling,
                score,
            ]
            boxes_of_class[label].append(box)

    if soft_nms or len(scales) > 1:
        boxes_of_class = {label: rescored(boxes) for label, boxes in boxes_of_class.items()}
    rows = [[*box, label] for label, boxes in boxes_of_class.items() for box in boxes]
    rows.sort(key=lambda row: -row[4])
    return np.array(rows[:k], np.float64).reshape(-1, 6)


def placed(
    size: tuple[int, int], scale: float, keep_res: bool, pad: int, fixed_size: tuple[int, int]
) -> tuple[float, float, float, int, int]:
    """Where an image of `size` (height, width) comes to lie in the network input.

    Returns:
        The magnification, left and top in input pixels, height and width of the input.
    """
    height, width = size
    if keep_res:
        new_height, new_width = int(height * scale), int(width * scale)
        input_height, input_width = (new_height | pad) + 1, (new_width | pad) + 1
        left = input_width // 2 - new_width // 2
        top = input_height // 2 - new_height // 2
        return scale, left, top, input_height, input_width
    input_height, input_width = int(fixed_size[0] * scale), int(fixed_size[1] * scale)
    scaling = min(input_height, input_width) / max(height, width)
    left = input_width / 2 - scaling * width / 2
    top = input_height / 2 - scaling * height / 2
    return scaling, left, top, input_height, input_width


def averaged_heads(
    heads: Heads, network_input: np.ndarray, flip: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """hm (C,h,w) in 0..1, wh (2,h,w) and reg (2,h,w) of one input (1,3,H,W), which `flip` averages.

    The mirrored input's heat map and sizes are mirrored back; its offsets, which say where in a
    cell of the mirrored grid a centre lies, are not used.
    """
    logits, wh, reg = heads(network_input)
    hm = sigmoid(logits)
    if flip:
        mirrored_logits, mirrored_wh, _ = heads(network_input[:, :, :, ::-1].copy())
        hm = (hm + sigmoid(mirrored_logits)[:, :, :, ::-1]) / 2
        wh = (wh + mirrored_wh[:, :, :, ::-1]) / 2
    return hm[0], wh[0].astype(np.float64), reg[0].astype(np.float64)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """In float64: rounding to float32 makes peaks of cells beside a peak where it nears 1."""
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def best_peaks(hm: np.ndarray, k: int) -> list[tuple[float, int, int, int]]:
    """The K largest cells (score, class, row, column) that no neighbour of their class exceeds."""
    height, width = hm.shape[1:]
    bordered = np.pad(hm, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    largest_around = np.full_like(hm, -np.inf)
    for down in range(3):
        for right in range(3):
            shifted = bordered[:, down : down + height, right : right + width]
            largest_around = np.maximum(largest_around, shifted)
    found = []
    for label, row, column in np.argwhere(hm == largest_around).tolist():
        found.append((float(hm[label, row, column]), label, row, column))
    found.sort(key=lambda peak: -peak[0])
    return found[:k]


def rescored(boxes: list[list[float]]) -> list[list[float]]:
    """Gaussian soft-NMS of one class (Bodla et al., 2017); sides count x2 - x1 + 1 pixels.

    Of the boxes left the best is taken; the scores of those that overlap it are multiplied by
    exp(-IoU²/σ), and dropped if that leaves less than the threshold.
    """
    left, kept = [list(box) for box in boxes], []
    while left:
        best = max(left, key=lambda box: box[4])
        left.remove(best)
        kept.append(best)
        still_left = []
        for box in left:
            width = min(best[2], box[2]) - max(best[0], box[0]) + 1
            height = min(best[3], box[3]) - max(best[1], box[1]) + 1
            if width > 0 and height > 0:
                overlap = width * height
                iou = overlap / (area(best) + area(box) - overlap)
                box[4] *= np.exp(-(iou**2) / SIGMA)
                if box[4] < THRESHOLD:
                    continue
            still_left.append(box)
        left = still_left
    return kept


def area(box: Sequence[float]) -> float:
    return (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
