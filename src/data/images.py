# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Image files: which formats are read, what is wrong with one, and its pixels."""

import io
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import simplejpeg

from src.model_utils.errors import UserError
from src.model_utils.files import read_regular

if TYPE_CHECKING:
    from PIL.Image import Image

# decode(encoded), or decode(encoded, buffer) with uint8 room for the pixels: the result may lie in
# it, and is gone with the next image that is decoded there.
Decoder = Callable[..., "np.ndarray | None"]

# Pixels are taken as they are stored, as pycocotools takes them; `decoder` can turn them.
_CV2_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION

# cv2.warpAffine takes no image with a side of SHRT_MAX (32,767) pixels or more.
LARGEST_SIDE = 32_766
# A header may state any size. Beyond so many pixels it is believed if the file has bytes for them:
# one for 512 pixels of a JPEG, whose 8x8 blocks take a bit each, for 10,000 of other formats.
_ALWAYS_BELIEVED = 1 << 26
_PIXELS_OF_A_BYTE = {"JPEG": 512}
_PIXELS_OF_A_BYTE_ELSE = 10_000

# The formats that are read, by how their files begin; the application on Ascend 310 has the same
# list (image_header.cc). Others are not given to OpenCV: its builds differ in what they take.
FORMATS = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "BMP": rb"BM",
    "WebP": rb"RIFF....WEBP",
    "TIFF": rb"II\*\x00|MM\x00\*",
    "JPEG 2000": rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "PNM": rb"P[1-6]\s",
}
_READ = {name: re.compile(start, re.DOTALL) for name, start in FORMATS.items()}
# What else is found in image folders, by the name that a message gives it.
_NOT_READ = {
    name: re.compile(start, re.DOTALL | re.IGNORECASE)
    for name, start in {
        "a GIF": rb"GIF8",
        "an AVIF": rb"....ftypavi[fs]",
        "a HEIC": rb"....ftyp(?:hei[cxms]|mif1|msf1)",
        "a video": rb"....ftyp|\x1aE\xdf\xa3|RIFF....AVI ",
        "a JPEG XL": rb"\xff\x0a|\x00\x00\x00\x0cJXL ",
        "a BigTIFF": rb"II\+\x00|MM\x00\+",
        "an OpenEXR": rb"v/1\x01",
        "a Photoshop file": rb"8BPS",
        "a DICOM file": rb".{128}DICM",
        "a PDF": rb"%PDF",
        "an SVG": rb"\s*(?:<\?xml[^>]*>\s*)?<svg",
        "a web page": rb"\s*<(?:!doctype|html)",
        "a pointer of Git LFS (git lfs pull fetches the file)": rb"version https://git-lfs",
        "a zip file": rb"PK\x03\x04",
        "packed with gzip": rb"\x1f\x8b",
    }.items()
}
# By the names of Pillow, which is asked about these.
_PILLOW_FORMATS = {"BMP": "BMP", "WebP": "WEBP", "JPEG 2000": "JPEG2000", "PNM": "PPM"}
_STRAY_BYTES = 16  # before a marker, which some encoders write; more are left by damaged pixels
_FEW_LEVELS = 16  # of 256: a 16-bit image below holds 12 bits or fewer
# Between two markers of a JPEG: entropy-coded bytes, in which 0xFF is stuffed, restarts or fill.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class ImageFault(Exception):
    """What is wrong with an image file: its kind, the sentence's end and what to do about it."""

    def __init__(self, kind: str, what: str, remedy: str = "restore it") -> None:
        super().__init__(what)
        self.kind, self.what, self.remedy = kind, what, remedy

    def as_user_error(self, name: str) -> UserError:
        """The whole sentence; `name` is how it begins, as "a.jpg:" or "a.jpg: image 7"."""
        return UserError(f"{name} {self.what}; {self.remedy} or leave it out.")


def format_of(encoded: bytes) -> str:
    """The format among `FORMATS` that a file begins as; empty if it is none of them."""
    return next((name for name, start in _READ.items() if start.match(encoded)), "")


def kind_of(encoded: bytes) -> str:
    """What a file that is not read is, as "a GIF"; empty if that is not known."""
    return next((name for name, start in _NOT_READ.items() if start.match(encoded)), "")


def decode_with_cv2(
    encoded: bytes, buffer: np.ndarray | None = None, take_damaged: bool = True
) -> np.ndarray | None:
    """Decodes an image to uint8 (height, width, 3) BGR, or None if it is none of `FORMATS`.

    OpenCV and simplejpeg decode JPEG by libjpeg-turbo, to the same pixels; simplejpeg in 0.9 of the
    time.

    Raises:
        ImageFault: a JPEG is damaged, and `take_damaged` is not set.
        MemoryError: there is too little for the pixels.
    """
    encoded = bytes(encoded)
    if len(encoded) == 0 or not _is_possible(header_size(encoded), encoded):
        return None
    try:
        return simplejpeg.decode_jpeg(encoded, "BGR", buffer=buffer)
    except ValueError as error:  # no JPEG, or one that OpenCV knows more about: CMYK, or damaged
        if not take_damaged:
            _refuse_damaged(str(error))
    kind = format_of(encoded)
    if not kind or _is_float_tiff(encoded):
        return None
    if kind == "JPEG 2000":
        return _decode_jpeg_2000(encoded)
    try:
        return cv2.imdecode(np.frombuffer(encoded, np.uint8), _CV2_FLAGS)
    except cv2.error as error:  # a header that states more pixels than OpenCV takes
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from None
        return None


def _refuse_damaged(warning: str) -> None:
    """Raises `ImageFault` if a decoder's warning is of the pixels of a JPEG, not of its headers."""
    stray = re.match(r"Corrupt JPEG data: (\d+) extraneous bytes", warning)
    if stray and int(stray[1]) <= _STRAY_BYTES:
        return
    if warning.startswith(("Corrupt JPEG data", "Premature end")):
        raise ImageFault(
            "damaged JPEG",
            f"is damaged ({warning.removeprefix('Corrupt JPEG data: ')}; "
            "dataset_config.take_damaged_jpegs takes it as it decodes)",
        )


def _decode_jpeg_2000(encoded: bytes) -> np.ndarray | None:
    """By Pillow, to OpenCV's pixels: the OpenJPEG 2.5.0 in OpenCV crashes on damaged files."""
    try:
        with _opened(encoded) as image:
            if image.mode.startswith("I;16"):
                grey = (np.asarray(image) >> 8).astype(np.uint8)
                return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
            return cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR)
    except MemoryError:
        raise
    except Exception:  # of many types, in damaged files
        return None


def _opened(encoded: bytes) -> "Image":
    """An image whose header Pillow has read."""
    from PIL import Image  # here and not above: it is seldom needed

    Image.init()
    read_header, _ = Image.OPEN[_PILLOW_FORMATS[format_of(encoded)]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_header(io.BytesIO(encoded), "")  # Image.open hides the size of a large one


def is_truncated_jpeg(encoded: bytes) -> bool:
    """Whether a JPEG lacks its end, which decoders let pass with a grey rest.

    Files go on after the end-of-image marker: cameras write padding, phones a film. Where none is
    in the last kilobyte, it is looked for where a decoder stops, segment by segment.
    """
    if encoded[:2] != b"\xff\xd8" or b"\xff\xd9" in encoded[-1024:]:
        return False
    return all(marker != 0xD9 for marker, _ in _segments(encoded))


def _segments(encoded: bytes) -> Iterator[tuple[int, int]]:
    """The markers of a JPEG's segments after its first, and where each segment's length stands."""
    place = 2
    while found := _MARKER.search(encoded, place):
        marker, place = encoded[found.start() + 1], found.end()
        yield marker, place
        if marker != 0x01:  # TEM, which has no length, as the end of the image has none
            place += int.from_bytes(encoded[place : place + 2], "big")


def orientation(encoded: bytes) -> int:
    """The EXIF orientation of a JPEG, PNG or WebP, 1 (upright) to 8; 1 where there is none.

    That of a TIFF is a part of its format, which decoding applies.
    """
    found = None
    if encoded[:2] == b"\xff\xd8":
        place = 2
        while encoded[place : place + 1] == b"\xff" and found is None:
            marker, size = encoded[place + 1 : place + 2], encoded[place + 2 : place + 4]
            if marker == b"\xda":  # the pixels begin
                break
            if marker == b"\xe1" and encoded[place + 4 : place + 10] == b"Exif\0\0":
                found = encoded[place + 10 : place + 2 + int.from_bytes(size, "big")]
            place += 2 + max(int.from_bytes(size, "big"), 2)
    elif _READ["PNG"].match(encoded):
        found = _chunk(encoded, 8, b"eXIf", ">I4s", 4)
    elif _READ["WebP"].match(encoded):
        found = _chunk(encoded, 12, b"EXIF", "<4sI", 0)
        if found is not None:
            found = found.removeprefix(b"Exif\0\0")
    value = 1 if found is None else _tiff_tag(found, 0x0112)
    return value if value in range(1, 9) else 1


def _chunk(encoded: bytes, place: int, wanted: bytes, header: str, check: int) -> bytes | None:
    """The content of a chunk of a PNG or WebP; `check` bytes of check sum follow each."""
    while place + 8 <= len(encoded):
        first, second = struct.unpack_from(header, encoded, place)
        name, size = (first, second) if isinstance(first, bytes) else (second, first)
        if name == wanted:
            return encoded[place + 8 : place + 8 + size]
        place += 8 + size + check
        if not check:
            place += size % 2  # RIFF's chunks have even lengths
    return None


def _tiff_tag(content: bytes, tag: int) -> int | None:
    """The first value of a tag in the first directory of a TIFF, a SHORT or a LONG."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4])
    if order is None or len(content) < 8:
        return None
    (place,) = struct.unpack_from(order + "I", content, 4)
    if place + 2 > len(content):
        return None
    (count,) = struct.unpack_from(order + "H", content, place)
    for entry in range(place + 2, min(place + 2 + 12 * count, len(content) - 11), 12):
        found, kind, values, value = struct.unpack_from(order + "HHII", content, entry)
        if found == tag:
            form = {3: "H", 4: "I"}.get(kind)
            if form is None:
                return None
            width = struct.calcsize(form)
            at = entry + 8 if values * width <= 4 else value
            if at + width > len(content):
                return None
            return struct.unpack_from(order + form, content, at)[0]
    return None


def _is_float_tiff(encoded: bytes) -> bool:
    return bool(_READ["TIFF"].match(encoded)) and _tiff_tag(encoded, 339) == 3


def header_size(encoded: bytes, upright: bool = False) -> tuple[int, int] | None:
    """Height and width that an image's header states; None where that cannot be told.

    Args:
        upright: of the image as `decoder` turns it.
    """
    size = None
    if encoded[:2] == b"\xff\xd8":
        try:
            size = simplejpeg.decode_jpeg_header(encoded)[:2]
        except ValueError:  # also of a sampling that OpenCV decodes
            size = _frame_size(encoded)
    elif _READ["PNG"].match(encoded) and len(encoded) >= 24:
        width, height = struct.unpack_from(">II", encoded, 16)
        size = height, width
    elif _READ["TIFF"].match(encoded):
        height, width = _tiff_tag(encoded, 257), _tiff_tag(encoded, 256)
        if height and width:
            is_turned = _tiff_tag(encoded, 0x0112) in (5, 6, 7, 8)
            size = (width, height) if is_turned else (height, width)
    if size is None:
        try:
            with _opened(encoded) as image:
                size = image.height, image.width
        except Exception:  # of many types, in damaged files
            return None
    if upright and orientation(encoded) >= 5:
        return size[1], size[0]
    return size


def _frame_size(encoded: bytes) -> tuple[int, int] | None:
    """Height and width in the frame header of a JPEG."""
    for marker, place in _segments(encoded):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = encoded[place + 3 : place + 5], encoded[place + 5 : place + 7]
            return int.from_bytes(height, "big"), int.from_bytes(width, "big")
        if marker == 0xDA:
            return None
    return None


def _is_possible(size: tuple[int, int] | None, encoded: bytes) -> bool:
    """Whether an image of a size, which its header states, may be in the bytes of the file."""
    if size is None:
        return False
    of_a_byte = _PIXELS_OF_A_BYTE.get(format_of(encoded), _PIXELS_OF_A_BYTE_ELSE)
    return max(size) <= LARGEST_SIDE and (
        size[0] * size[1] <= max(_ALWAYS_BELIEVED, of_a_byte * len(encoded))
    )


def _has_16_bits(encoded: bytes) -> bool:
    if _READ["PNG"].match(encoded):
        return encoded[24:25] == b"\x10"
    return bool(_READ["TIFF"].match(encoded)) and _tiff_tag(encoded, 258) == 16


def check_header(
    encoded: bytes, stated: tuple[int, int] | None = None, upright: bool = False
) -> None:
    """Refuses a file that is no image that is read, or of another size, without decoding it.

    Args:
        encoded: the file's bytes.
        stated: height and width that its annotation says.
        upright: as of `decoder`.

    Raises:
        ImageFault: with what is wrong.
    """
    if not format_of(encoded):
        kind = kind_of(encoded)
        if kind:
            raise ImageFault(
                "image of a format that is not read",
                f"is {kind}, which is not read ({', '.join(FORMATS)} are)",
                "convert it",
            )
        why = f"it begins with {encoded[:12]!r}" if encoded else "it is empty"
        raise ImageFault("image that does not decode", f"does not decode ({why})")
    if _is_float_tiff(encoded):
        raise ImageFault(
            "image of a format that is not read",
            "is a TIFF of floating-point numbers, which is not read",
            "convert it to 8 or 16 bits",
        )
    size = header_size(encoded, upright)
    if size is None:
        raise ImageFault(
            "image that does not decode", "does not decode, as its header states no size"
        )
    _check_size(size, stated, encoded, upright)


def _check_size(
    size: tuple[int, int], stated: tuple[int, int] | None, encoded: bytes, upright: bool
) -> None:
    if max(size) > LARGEST_SIDE:
        raise ImageFault(
            "image too large to warp",
            f"has a side of {max(size)} pixels, more than {LARGEST_SIDE}",
            "make it smaller",
        )
    if not _is_possible(size, encoded):
        raise ImageFault(
            "image that does not decode",
            f"states {size[1]}x{size[0]} pixels, which its {len(encoded)} bytes cannot hold",
        )
    if stated is None or size == stated:
        return
    what = f"is {size[1]}x{size[0]} pixels but its annotation says {stated[1]}x{stated[0]}"
    turn = orientation(encoded)
    if size == stated[::-1] and turn >= 5:
        what += (
            f"; dataset_config.turn_by_exif turns it by its EXIF orientation {turn}, which its "
            "labels ignore"
            if upright
            else f", as its EXIF orientation {turn} turns it; dataset_config.turn_by_exif takes it "
            "so"
        )
    raise ImageFault("image of another size", what, "correct its annotation")


@dataclass(frozen=True)
class Oddity:
    """What is odd about an image that is taken.

    orientation: its EXIF orientation, 1 if it is upright.
    is_dark: whether it is of 16 bits and uses so few levels that as 8 bits it is nearly black.
    """

    orientation: int = 1
    is_dark: bool = False


def examined(
    encoded: bytes,
    decode: Decoder,
    stated: tuple[int, int] | None = None,
    upright: bool = False,
    header_only: bool = False,
) -> tuple[np.ndarray | None, Oddity]:
    """Checks an image file as every program does that takes it.

    Args:
        encoded, decode, stated, upright: as of `checked`.
        header_only: leave the pixels to whoever decodes them later, but for images of 16 bits.

    Returns:
        The image, None if it was not decoded, and what is odd about it.

    Raises:
        ImageFault: as `checked`, or with `header_only` as `check_header`.
    """
    is_16_bit = _has_16_bits(encoded)
    if header_only and not is_16_bit:
        check_header(encoded, stated, upright)
        return None, Oddity(orientation(encoded))
    image = checked(encoded, decode, stated, upright)
    return image, Oddity(orientation(encoded), is_16_bit and int(image.max()) < _FEW_LEVELS)


def checked(
    encoded: bytes,
    decode: Decoder,
    stated: tuple[int, int] | None = None,
    upright: bool = False,
) -> np.ndarray:
    """The image in some bytes, uint8 (height, width, 3) BGR, if nothing is wrong with it.

    Args:
        encoded: a file's bytes.
        decode: see `decoder`.
        stated, upright: as of `check_header`.

    Raises:
        ImageFault: as `check_header`; or it does not decode, or not to its end.
    """
    check_header(encoded, stated, upright)  # before the pixels take memory
    try:
        image = decode(encoded)
    except MemoryError:
        raise _too_large_for_the_memory() from None
    if image is None:
        raise ImageFault("image that does not decode", "does not decode")
    _check_size(image.shape[:2], stated, encoded, upright)
    return image


def _too_large_for_the_memory() -> ImageFault:
    what = "takes more memory than there is"
    return ImageFault("image too large for the memory", what, "make it smaller")


def read_file(path: Path) -> bytes:
    """The bytes of a file; raises `ImageFault` if it cannot be read."""
    try:
        return read_regular(path)
    except MemoryError:
        raise _too_large_for_the_memory() from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise ImageFault("image that cannot be read", f"cannot be read ({reason})") from None


def read_image(
    path: Path, decode: Decoder, record: str = "", stated: tuple[int, int] | None = None
) -> np.ndarray:
    """The image in a file, uint8 (height, width, 3) BGR.

    Args:
        path: of one of `FORMATS`.
        decode: see `decoder`.
        record: which image of an annotation file it is, for messages, as "image 7".
        stated: height and width that its annotation says.

    Raises:
        UserError: it is missing, or as `checked`.
    """
    try:
        return checked(read_file(path), decode, stated)
    except ImageFault as fault:
        raise fault.as_user_error(f"{path}: {record}".rstrip()) from None


def decoded(encoded: bytes, decode: Decoder, name: str) -> np.ndarray:
    """The image in some bytes, as `read_image`; `name` is what the error calls it."""
    try:
        return checked(encoded, decode)
    except ImageFault as fault:
        raise fault.as_user_error(name) from None


def decoder(image_backend: str, upright: bool = False, take_damaged: bool = False) -> Decoder:
    """The decoding function of `dataset_config.image_backend`: cv2 or mmcv, the same pixels.

    Args:
        upright: turn the pixels by their EXIF orientation; else they stay as they are stored.
        take_damaged: decode a JPEG that is cut or damaged as far as it goes, else `ImageFault`.

    Raises:
        UserError: mmcv is asked for and not installed.
    """
    decode = decode_with_cv2 if image_backend == "cv2" else _mmcv_decoder()

    def decode_as_asked(encoded: bytes, buffer: np.ndarray | None = None) -> np.ndarray | None:
        is_cut = not take_damaged and is_truncated_jpeg(bytes(encoded))
        image = decode(encoded, buffer, take_damaged or is_cut)
        if image is not None and is_cut:
            raise ImageFault(
                "image that does not decode",
                "does not decode to its end: it is cut off (dataset_config.take_damaged_jpegs "
                "takes it as it decodes)",
            )
        return (
            turned(image, orientation(bytes(encoded))) if upright and image is not None else image
        )

    return decode_as_asked


def _mmcv_decoder() -> Decoder:
    try:
        import mmcv
    except ImportError as error:
        raise UserError(
            f"dataset_config.image_backend is mmcv, which does not import ({error}); run "
            "pip install -r requirements/mmcv.txt or choose cv2."
        ) from None

    def decode_with_mmcv(
        encoded: bytes, buffer: np.ndarray | None = None, take_damaged: bool = True
    ) -> np.ndarray | None:
        encoded = bytes(encoded)
        if format_of(encoded) in ("", "JPEG 2000") or _is_float_tiff(encoded):
            return decode_with_cv2(encoded)  # which knows better what it is
        if not take_damaged:
            decode_with_cv2(encoded, None, take_damaged)  # for the decoder's warnings
        if not _is_possible(header_size(encoded), encoded):
            return None
        try:
            return mmcv.imfrombytes(encoded, flag="color_ignore_orientation")
        except cv2.error:
            return None

    return decode_with_mmcv


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """An image as stored, turned and mirrored to stand upright by its EXIF orientation."""
    if orientation in (5, 7):
        image = cv2.transpose(image)
    if orientation in (6, 8):
        ways = {6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
        return cv2.rotate(image, ways[orientation])
    axes = {2: 1, 3: -1, 4: 0, 7: -1}
    return cv2.flip(image, axes[orientation]) if orientation in axes else image
