# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Decoding images."""

import contextlib
import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from src.data import images
from src.data.images import decoder
from src.model_utils.errors import UserError
from tests.conftest import PROJECT


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


# Formats, EXIF, ends ------------------------------------------------------------------------------


def saved(picture: np.ndarray, kind: str, orientation: int = 1, **options: object) -> bytes:
    """An image file that Pillow writes, with an EXIF orientation."""
    file, exif = io.BytesIO(), Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    Image.fromarray(picture[:, :, ::-1]).save(file, kind, exif=exif, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "TIFF", "JPEG2000", "PPM"])
def test_every_format_of_the_list_is_read_with_its_size(kind: str, picture: np.ndarray):
    options = {"WEBP": {"lossless": True}, "JPEG2000": {"irreversible": False}}.get(kind, {})
    encoded = saved(picture, kind, **options)
    np.testing.assert_array_equal(decoder("cv2")(encoded), picture)
    assert images.header_size(encoded) == (20, 30)
    image, oddity = images.examined(encoded, decoder("cv2"), (20, 30))
    assert (image.shape, oddity) == ((20, 30, 3), images.Oddity())
    with pytest.raises(images.ImageFault, match="is 30x20 pixels but its annotation says 20x30"):
        images.check_header(encoded, (30, 20))


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"GIF87a", "is a GIF, which is not read (JPEG, PNG, BMP, WebP, TIFF, JPEG 2000, PNM are)"),
        (b"\0\0\0\x20ftypavif", "is an AVIF"),
        (b"\0\0\0\x18ftypheic", "is a HEIC"),
        (b"\0\0\0\x20ftypisom", "is a video"),
        (b"\xff\x0a", "is a JPEG XL"),
        (b"  <!DOCTYPE html>", "is a web page"),
        (b'<?xml version="1.0"?>\n<svg>', "is an SVG"),
        (bytes(128) + b"DICM", "is a DICOM file"),
        (b"no image", "does not decode (it begins with b'no image')"),
        (b"", "does not decode (it is empty)"),
    ],
)
def test_what_is_not_read_is_named(start: bytes, what: str):
    encoded = start + bytes(40) * bool(start and b"no" not in start)
    for check in (images.check_header, lambda data: images.checked(data, decoder("cv2"))):
        with pytest.raises(images.ImageFault) as fault:
            check(encoded)
        assert fault.value.what.startswith(what)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_turned_as_pillow_turns_them(kind: str, orientation: int, picture: np.ndarray):
    options = {"PNG": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 95}}[kind]
    encoded = saved(picture, kind, orientation, **options)
    assert images.orientation(encoded) == orientation
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))).convert("RGB")
    turned = decoder("cv2", upright=True)(encoded)
    np.testing.assert_allclose(turned, np.asarray(upright)[:, :, ::-1], atol=2)
    assert images.header_size(encoded, upright=True) == turned.shape[:2]
    assert decoder("cv2")(encoded).shape == picture.shape
    assert images.header_size(encoded) == picture.shape[:2]


def test_a_jpeg_ends_at_its_marker_whatever_stands_behind(picture: np.ndarray):
    noise = np.random.default_rng(1).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    for progressive in (0, 1):
        options = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_RST_INTERVAL, 4]
        jpeg = cv2.imencode(".jpg", noise, options)[1].tobytes()
        film = b"\0\0\0\x18ftypmp42" + bytes(range(200)) * 20
        assert not images.is_truncated_jpeg(jpeg)
        assert not images.is_truncated_jpeg(jpeg + film)
        assert images.is_truncated_jpeg(jpeg[:-2] + film)
        for cut in (10, 300, len(jpeg) // 2, len(jpeg) - 2000):
            assert images.is_truncated_jpeg(jpeg[:cut])
        # The end of a preview in its header is not that of the image.
        preview = (
            b"\xff\xe1" + (2 + len(jpeg[:3000]) + 2).to_bytes(2, "big") + jpeg[:3000] + b"\xff\xd9"
        )
        with_preview = jpeg[:2] + preview + jpeg[2:]
        assert not images.is_truncated_jpeg(with_preview + film)
        assert images.is_truncated_jpeg(with_preview[:-4000])


def test_damaged_files_raise_nothing_else():
    """Headers of any bytes: cut, and with bytes changed."""
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    wholes = [saved(picture, kind, 6) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]
    for number in range(4000):
        encoded = bytearray(wholes[number % 4])
        encoded = encoded[: random.integers(len(encoded) + 1)] if number % 3 else encoded
        for place in random.integers(0, max(1, min(len(encoded), 200)), 4):
            encoded[place : place + 1] = bytes([random.integers(256)])
        data = bytes(encoded)
        assert images.orientation(data) in range(1, 9)
        assert images.is_truncated_jpeg(data) in (True, False)
        with contextlib.suppress(images.ImageFault):
            images.check_header(data, (20, 30), upright=True)


def test_the_application_reads_the_same_formats():
    source = (PROJECT / "ascend310_infer" / "src" / "image_header.cc").read_text()
    assert "is no JPEG, PNG, BMP, WebP, TIFF, JPEG 2000 or PNM" in source
    *names, last = images.FORMATS
    assert f"{', '.join(names)} or {last}" in source
