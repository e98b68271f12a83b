# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The one warp between images and network input, for training, evaluation and the 310 path.

An affine is a float64 (2,3) matrix that takes (x, y, 1) in image pixels to network input pixels.
Sizes are (height, width).
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

_WARP_UNITS = 1024  # to the pixel, of cv2.warpAffine's fixed-point coordinates

Colour = tuple[int, int, int]  # B, G, R
BLACK: Colour = (0, 0, 0)


def centred_affine(
    centre: ArrayLike,
    scale: ArrayLike,
    input_size: tuple[int, int],
    degrees: ArrayLike = 0.0,
) -> np.ndarray:
    """The affine that puts `centre` (x, y) in the middle of the output, magnified by `scale`.

    It is what CenterNet builds from three points: dst = scale · R(-degrees) · (src - centre) +
    output / 2. Centres (B,2), scales (B,) and degrees (B,) or a single number give (B,2,3).
    """
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    linear = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)
    linear = np.asarray(scale)[..., None, None] * linear
    middle = np.array([input_size[1], input_size[0]]) / 2
    moved = linear @ np.asarray(centre, np.float64)[..., None]
    return np.concatenate([linear, middle[:, None] - moved], axis=-1)


def mirrored(affine: np.ndarray, width: ArrayLike) -> np.ndarray:
    """The affine for an image of `width` pixels that is mirrored first: pixel x is width-1-x.

    Affines (B,2,3) and widths (B,) give (B,2,3).
    """
    last = np.asarray(width)[..., None] - 1.0
    first, second, third = np.moveaxis(affine, -1, 0)
    return np.stack([-first, second, third + first * last], axis=-1)


def of_pixel_centres(affine: np.ndarray) -> np.ndarray:
    """The affine between places of pixels for one (...,2,3) between the images' areas.

    In these a pixel is the square from its number to the next, as cv2.resize and MMDetection count;
    here and in CenterNet its place is the number.
    """
    moved = affine.copy()
    moved[..., 2] += affine[..., :2].sum(axis=-1) / 2 - 0.5
    return moved


def fixed_resolution(
    size: tuple[int, int], input_size: tuple[int, int], placement: str = "centred"
) -> np.ndarray:
    """The affine that fits an image of `size` into `input_size`, its shape kept.

    Args:
        size, input_size: as above.
        placement: in the middle (centred), or else in the top left corner, where sides are rounded
            to whole pixels, ties to even, as TensorFlow's keep_aspect_ratio_resizer does.
    """
    height, width = size
    if placement != "centred":
        scale = min(input_size[0] / height, input_size[1] / width)
        fitted_height, fitted_width = (max(np.rint(side * scale), 1.0) for side in size)
        return np.array([[fitted_width / width, 0.0, 0.0], [0.0, fitted_height / height, 0.0]])
    scale = min(input_size) / max(height, width)
    return centred_affine((width / 2, height / 2), scale, input_size)


def keep_resolution(
    size: tuple[int, int], scale: float, pad: int, pad_to: str = "even"
) -> tuple[np.ndarray, tuple[int, int]]:
    """The affine that magnifies an image by `scale` and pads it, and the padded size.

    Each side is padded to (side | pad) + 1, the image in the middle (CenterNet's keep_res), or for
    `pad_to` odd to side | pad (CornerNet).
    """
    height, width = int(size[0] * scale), int(size[1] * scale)
    added = 0 if pad_to == "odd" else 1
    input_size = ((height | pad) + added, (width | pad) + added)
    left, top = input_size[1] // 2 - width // 2, input_size[0] // 2 - height // 2
    return np.array([[scale, 0.0, left], [0.0, scale, top]]), input_size


def inverted(affine: np.ndarray) -> np.ndarray:
    """The affine from network input back to image pixels."""
    return cv2.invertAffineTransform(affine)


def warp(
    image: np.ndarray,
    affine: np.ndarray,
    input_size: tuple[int, int],
    out: np.ndarray | None = None,
    border: Colour = BLACK,
) -> np.ndarray:
    """Warps a uint8 (height, width, 3) image bilinearly; what lies outside is of `border`.

    Every pixel is the one that cv2.warpAffine gives, which here looks up only the rows and columns
    that the image reaches: outside they cost it nearly as much as inside.

    Args:
        image: uint8 (height, width, 3).
        affine: (2,3) from image to output.
        input_size: (H, W).
        out: uint8 (H,W,3) to write to; a new array if it is not given.
        border: a colour.
    """
    if out is None:
        out = np.empty((*input_size, 3), np.uint8)
    top, bottom, left, right = reached(affine, image.shape[:2], input_size)
    # OpenCV rounds what a column adds to 1/1024 image pixel apart from the rest, so the origin may
    # only move by columns that add whole ones. Those of a 640 wide image at CenterNet's scales do.
    if left:
        added = left * _WARP_UNITS * inverted(affine)[:, 0]
        if np.abs(added - np.round(added)).max() > 1e-6:
            left = 0
    _fill(out[:top], border)
    _fill(out[bottom:], border)
    _fill(out[top:bottom, :left], border)
    _fill(out[top:bottom, right:], border)
    if top < bottom and left < right:
        moved = affine.copy()
        moved[:, 2] -= left, top
        # Intel's kernel makes every border black.
        has_exact = border != BLACK and cv2.ipp.useIPP_NotExact()
        if has_exact:
            cv2.ipp.setUseIPP_NotExact(False)
        cv2.warpAffine(
            image, moved, (right - left, bottom - top), dst=out[top:bottom, left:right],
            flags=cv2.INTER_LINEAR, borderValue=border,
        )  # fmt: skip
        if has_exact:
            use_exact_warp()
    return out


def _fill(out: np.ndarray, colour: Colour) -> None:
    """Sets pixels (n,m,3) to a colour; row by row, in a hundredth of the time of pixel by pixel."""
    out[:] = 0 if colour == BLACK else np.tile(np.uint8(colour), (out.shape[1], 1))


def resized_in_corner(
    image: np.ndarray,
    affine: np.ndarray,
    input_size: tuple[int, int],
    half_pixel: bool,
    border: Colour = BLACK,
) -> np.ndarray:
    """Resizes an image bilinearly into the top left corner; the rest is of `border`.

    Weights are exact and what is needed beyond the last pixel is that pixel, as in TensorFlow;
    `warp` takes weights in steps of 1/32 and mixes black in there.

    Args:
        image: uint8 (height, width, 3).
        affine: (2,3) of `fixed_resolution` in the corner.
        input_size: (H, W).
        half_pixel: output pixel i is at (i + 1/2) · in / out - 1/2 of the image (TensorFlow 2 and
            most libraries), or at i · in / out (TensorFlow 1, whose zoo's models take this).
        border: a colour.
    """
    out = np.empty((*input_size, 3), np.uint8)
    _fill(out, border)
    pixels = image.astype(np.float32)
    for axis, scale in enumerate((affine[1, 1], affine[0, 0])):
        length = image.shape[axis]
        at = np.arange(round(length * scale)) + half_pixel / 2
        at = np.clip(at / scale - half_pixel / 2, 0, length - 1)
        low = at.astype(int)
        part = (at - low).astype(np.float32).reshape(-1, *[1] * (2 - axis))
        high = np.take(pixels, np.minimum(low + 1, length - 1), axis)
        pixels = np.take(pixels, low, axis)
        pixels += (high - pixels) * part
    out[: len(pixels), : pixels.shape[1]] = np.rint(pixels)
    return out


def use_exact_warp() -> None:
    """Lets `warp` in this thread take Intel's kernel, where OpenCV has it (x86): half the time.

    Its weights are exact, so that a pixel is within rounding of true bilinear interpolation.
    OpenCV's own kernel takes them in steps of 1/32, up to 8 of 255 levels off in white noise; it
    stays the one of evaluation, whose pixels are the same on every machine, and of borders that are
    not black.
    """
    cv2.ipp.setUseIPP_NotExact(True)  # a setting of the calling thread


def reached(
    affine: np.ndarray, size: tuple[int, int], input_size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of what a warped image reaches of the output; the rest is border.

    Bilinear weights end one pixel beyond the outermost pixel centres.
    """
    height, width = size
    first_column, last_column = _extent(affine[0], width, height)
    first_row, last_row = _extent(affine[1], width, height)
    top = min(max(math.floor(first_row), 0), input_size[0])
    bottom = max(min(math.ceil(last_row) + 1, input_size[0]), top)
    left = min(max(math.floor(first_column), 0), input_size[1])
    right = max(min(math.ceil(last_column) + 1, input_size[1]), left)
    return top, bottom, left, right


def _extent(affine_row: np.ndarray, width: int, height: int) -> tuple[float, float]:
    """Least and largest coordinate of the four corners -1 and `width`, -1 and `height`.

    Of each term apart: in plain numbers it takes a tenth of the time of four corners in NumPy.
    """
    x, y, shift = affine_row.tolist()
    xs, ys = (-x, x * width), (-y, y * height)
    return min(xs) + min(ys) + shift, max(xs) + max(ys) + shift


def transform_boxes(boxes: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Transforms (n,4) xyxy boxes to the upright boxes around their transformed corners.

    `affine` is one for all, (2,3), or one for each, (n,2,3).
    """
    x1, y1, x2, y2 = np.asarray(boxes, np.float64).T
    corners = np.stack([np.stack([x1, x2, x1, x2], 1), np.stack([y1, y1, y2, y2], 1)], 1)
    moved = affine[..., :2] @ corners + affine[..., 2:]  # (n, 2, 4)
    return np.concatenate([moved.min(axis=2), moved.max(axis=2)], axis=1)


def transform_points(points: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Transforms points (n,J,2) by an affine for all (2,3) or for each row (n,2,3)."""
    return points @ np.swapaxes(affine[..., :2], -1, -2) + affine[..., None, :, 2]


def is_mirrored(affine: np.ndarray) -> np.ndarray:
    """Whether affines (...,2,3) mirror an image, as a bool array (...): left becomes right."""
    return np.linalg.det(affine[..., :2]) < 0


@dataclass(frozen=True)
class InputGeometry:
    """How an image becomes network input.

    keep_res: feed it at its own resolution, padded by `pad` and `pad_to`; else in `fixed_size`
        (H, W), placed there by `placement`: centred, corner or corner_half_pixel. See
        `keep_resolution`, `fixed_resolution` and `resized_in_corner`.
    exact_padding: with keep_res the way back takes off what each side was padded by, else half of
        the padding, as PaddleDetection does: half a pixel less where the image's side is odd.
    border: what is around it.
    """

    keep_res: bool
    pad: int
    fixed_size: tuple[int, int]
    placement: str = "centred"
    exact_padding: bool = True
    pad_to: str = "even"
    border: Colour = BLACK

    def input_size(self, size: tuple[int, int], scale: float = 1.0) -> tuple[int, int]:
        """Height and width of the network input of an image of `size`."""
        if self.keep_res:
            return keep_resolution(size, scale, self.pad, self.pad_to)[1]
        return int(self.fixed_size[0] * scale), int(self.fixed_size[1] * scale)

    def __call__(self, image: np.ndarray, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Warps a uint8 (height, width, 3) BGR image.

        Returns:
            uint8 (3,H,W) and the affine (2,3) from image to network input, by whose inverse
            detections come back.
        """
        size = image.shape[:2]
        input_size = self.input_size(size, scale)
        if self.keep_res:
            affine, _ = keep_resolution(size, scale, self.pad, self.pad_to)
        else:
            affine = fixed_resolution(size, input_size, self.placement)
        if self.keep_res or self.placement == "centred":
            warped = warp(image, affine, input_size, border=self.border)
        else:
            half_pixel = self.placement == "corner_half_pixel"
            warped = resized_in_corner(image, affine, input_size, half_pixel, self.border)
        if self.keep_res and not self.exact_padding:
            affine[:, 2] = [(input_size[axis] - int(size[axis] * scale)) / 2 for axis in (1, 0)]
        return np.ascontiguousarray(warped.transpose(2, 0, 1)), affine
