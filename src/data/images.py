# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Decoding images."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from src.model_utils.errors import UserError

# decode(encoded), or decode(encoded, buffer) with uint8 room for the pixels: the result may lie in
# it, and is gone with the next image that is decoded there.
Decoder = Callable[..., "np.ndarray | None"]

# COCO's boxes are in stored pixels, as pycocotools takes them: an EXIF rotation is not applied.
_CV2_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION

# cv2.warpAffine takes no image with a side of SHRT_MAX (32,767) pixels or more.
LARGEST_SIDE = 32_766


def decode_with_cv2(encoded: bytes, buffer: np.ndarray | None = None) -> np.ndarray | None:
    """Decodes a JPEG or PNG to uint8 (height, width, 3) BGR, or None if it is not an image.

    OpenCV and simplejpeg decode JPEG by libjpeg-turbo, to the same pixels; simplejpeg in 0.9 of the
    time.
    """
    if len(encoded) == 0:
        return None
    try:
        return simplejpeg.decode_jpeg(encoded, "BGR", buffer=buffer)
    except ValueError:
        pass  # no JPEG, or one that OpenCV knows more about: CMYK, or with faults
    try:
        return cv2.imdecode(np.frombuffer(encoded, np.uint8), _CV2_FLAGS)
    except cv2.error:  # a header that states more pixels than OpenCV takes
        return None


def is_truncated_jpeg(encoded: bytes) -> bool:
    """Whether a JPEG lacks its end, which decoders let pass with a grey rest.

    Some cameras write padding after the end-of-image marker: it may stand in the last kilobyte.
    """
    return encoded[:2] == b"\xff\xd8" and b"\xff\xd9" not in encoded[-1024:]


def read_image(path: Path, decode: Decoder, record: str = "") -> np.ndarray:
    """The image in a file, uint8 (height, width, 3) BGR.

    Args:
        path: a JPEG or PNG.
        decode: see `decoder`.
        record: which image of an annotation file it is, for messages, as "image 7".

    Raises:
        UserError: it is missing, does not decode to its end, or is too large to warp.
    """
    name = f"{path}: {record}".rstrip()
    try:
        encoded = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{name} cannot be read ({reason}); restore it or leave it out.") from None
    return decoded(encoded, decode, name)


def decoded(encoded: bytes, decode: Decoder, name: str) -> np.ndarray:
    """The image in some bytes, as `read_image`; `name` is what the error calls it."""
    image = decode(encoded)
    if image is None or is_truncated_jpeg(encoded):
        raise UserError(f"{name} does not decode; restore it or leave it out.")
    if max(image.shape[:2]) > LARGEST_SIDE:
        raise UserError(
            f"{name} has a side of {max(image.shape[:2])} pixels; make it smaller, at most "
            f"{LARGEST_SIDE}, or leave it out."
        )
    return image


def decoder(image_backend: str) -> Decoder:
    """The decoding function of `dataset_config.image_backend`: cv2 or mmcv, the same pixels.

    Raises:
        UserError: mmcv is asked for and not installed.
    """
    if image_backend == "cv2":
        return decode_with_cv2
    try:
        import mmcv
    except ImportError as error:
        raise UserError(
            f"dataset_config.image_backend is mmcv, which does not import ({error}); run "
            "pip install -r requirements/mmcv.txt or choose cv2."
        ) from None

    def decode_with_mmcv(encoded: bytes, buffer: np.ndarray | None = None) -> np.ndarray | None:
        try:
            return mmcv.imfrombytes(bytes(encoded), flag="color_ignore_orientation")
        except cv2.error:
            return None

    return decode_with_mmcv
