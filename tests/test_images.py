# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Decoding images."""

import cv2
import numpy as np
import pytest

from src.data.images import decoder
from src.model_utils.errors import UserError


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)


def test_a_png_keeps_its_pixels_and_what_is_no_image_is_none(picture: np.ndarray):
    encoded = cv2.imencode(".png", picture)[1].tobytes()
    assert np.array_equal(decoder("cv2")(encoded), picture)
    assert decoder("cv2")(encoded[:40]) is None
    assert decoder("cv2")(b"") is None


SAMPLING = {  # horizontal and vertical of luma, as OpenCV numbers them
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:4:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    "4:1:1": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
}


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("sampling", SAMPLING)
@pytest.mark.parametrize("size", [(64, 96), (37, 53), (1, 1)])
def test_a_jpeg_of_any_kind_has_the_pixels_of_opencv(size, sampling, progressive):
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    image = cv2.GaussianBlur(noise, (5, 5), 0)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_QUALITY, 70]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLING[sampling]]
    encoded = cv2.imencode(".jpg", image, options)[1]
    decoded = decoder("cv2")(encoded.tobytes())
    assert decoded.dtype == np.uint8 and decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, cv2.imdecode(encoded, cv2.IMREAD_COLOR))


def test_a_grayscale_jpeg_has_three_channels(picture: np.ndarray):
    encoded = cv2.imencode(".jpg", picture[:, :, 0])[1]
    expected = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decoder("cv2")(encoded.tobytes()), expected)


def test_an_exif_rotation_is_not_applied(picture: np.ndarray):
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    # An APP1 segment with one entry: orientation (0x112) is 6, a quarter turn.
    entry = b"\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00" + entry + b"\x00\x00\x00\x00"
    turned = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (30, 20, 3)
    assert np.array_equal(decoder("cv2")(turned), decoder("cv2")(jpeg))


def test_mmcv_gives_the_same_pixels(picture: np.ndarray):
    pytest.importorskip("mmcv", reason="mmcv is optional: requirements/mmcv.txt")
    encoded = cv2.imencode(".jpg", picture)[1].tobytes()
    assert np.array_equal(decoder("mmcv")(encoded), decoder("cv2")(encoded))
    assert decoder("mmcv")(encoded[:40]) is None


def test_mmcv_that_is_not_installed_is_refused_with_its_remedy():
    try:
        import mmcv  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match=r"requirements/mmcv\.txt"):
            decoder("mmcv")
    else:
        pytest.skip("mmcv is installed")
