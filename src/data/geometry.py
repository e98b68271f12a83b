# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The one warp between images and network input, for training, evaluation and the 310 path.

An affine is a float64 (2,3) matrix that takes (x, y, 1) in image pixels to network input pixels.
Sizes are (height, width).
"""

from dataclasses import dataclass

import cv2
import numpy as np


def centred_affine(
    centre: tuple[float, float],
    scale: float,
    output_size: tuple[int, int],
    degrees: float = 0.0,
) -> np.ndarray:
    """The affine that puts `centre` (x, y) in the middle of the output, magnified by `scale`.

    It is what CenterNet builds from three points: dst = scale · R(-degrees) · (src - centre) +
    output / 2.
    """
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    linear = scale * np.array([[cos, sin], [-sin, cos]])
    middle = np.array([output_size[1], output_size[0]]) / 2
    return np.column_stack([linear, middle - linear @ np.asarray(centre, np.float64)])


def mirrored(affine: np.ndarray, width: int) -> np.ndarray:
    """The affine for an image of `width` pixels that is mirrored first: pixel x is width-1-x."""
    mirror = np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    return affine @ mirror


def fixed_resolution(size: tuple[int, int], output_size: tuple[int, int]) -> np.ndarray:
    """The affine that fits an image of `size` into `output_size`, centred, its shape kept."""
    height, width = size
    scale = min(output_size) / max(height, width)
    return centred_affine((width / 2, height / 2), scale, output_size)


def keep_resolution(
    size: tuple[int, int], scale: float, pad: int
) -> tuple[np.ndarray, tuple[int, int]]:
    """The affine that magnifies an image by `scale` and pads it, and the padded size.

    Each side is padded to (side | pad) + 1, the image in the middle (CenterNet's keep_res).
    """
    height, width = int(size[0] * scale), int(size[1] * scale)
    output_size = ((height | pad) + 1, (width | pad) + 1)
    left, top = output_size[1] // 2 - width // 2, output_size[0] // 2 - height // 2
    return np.array([[scale, 0.0, left], [0.0, scale, top]]), output_size


def inverted(affine: np.ndarray) -> np.ndarray:
    """The affine from network input back to image pixels."""
    return cv2.invertAffineTransform(affine)


def warp(image: np.ndarray, affine: np.ndarray, output_size: tuple[int, int]) -> np.ndarray:
    """Warps a uint8 (height, width, 3) image bilinearly; what lies outside is 0 (black)."""
    return cv2.warpAffine(image, affine, output_size[::-1], flags=cv2.INTER_LINEAR)


def transform_boxes(boxes: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Transforms (n,4) xyxy boxes to the upright boxes around their transformed corners."""
    x1, y1, x2, y2 = np.asarray(boxes, np.float64).T
    corners = np.stack([[x1, y1], [x2, y1], [x1, y2], [x2, y2]])  # (4, 2, n)
    moved = affine[:, :2] @ corners + affine[:, 2:]
    return np.concatenate([moved.min(axis=0), moved.max(axis=0)]).T


@dataclass(frozen=True)
class InputGeometry:
    """How an image becomes network input.

    keep_res: feed it at its own resolution, padded by `pad`; else warped to `fixed_size` (H, W).
    """

    keep_res: bool
    pad: int
    fixed_size: tuple[int, int]

    def __call__(self, image: np.ndarray, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Warps a uint8 (height, width, 3) BGR image.

        Returns:
            uint8 (3,H,W) and the affine (2,3) from image to network input.
        """
        size = image.shape[:2]
        if self.keep_res:
            affine, output_size = keep_resolution(size, scale, self.pad)
        else:
            output_size = (int(self.fixed_size[0] * scale), int(self.fixed_size[1] * scale))
            affine = fixed_resolution(size, output_size)
        warped = warp(image, affine, output_size)
        return np.ascontiguousarray(warped.transpose(2, 0, 1)), affine
