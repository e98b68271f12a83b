# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Which images of an evaluation each process has, and how what they find comes together."""

import io
import json
from collections.abc import Sequence

import numpy as np

from src.model_utils.errors import UserError
from src.model_utils.ranks import gathered

Found = np.ndarray | UserError  # boxes of an image, as `Detector` gives them, or why there are none


def share(images: int, batch_size: int, rank: int, rank_size: int) -> list[int]:
    """Positions of the images of a rank.

    Whole batches in turn: in the network an image has the neighbours that it has on one device,
    and so the same boxes to the last bit.
    """
    return [place for place in range(images) if place // batch_size % rank_size == rank]


def from_all(packed_own: bytes, images: int, batch_size: int, rank_size: int) -> list[Found]:
    """What the ranks have found in the images of their shares, in the order of all images."""
    found = {}
    for rank, data in enumerate(gathered(packed_own, rank_size)):
        places = share(images, batch_size, rank, rank_size)
        found.update(zip(places, unpacked(data), strict=True))
    return [found[place] for place in range(images)]


def packed(found: Sequence[Found]) -> bytes:
    """An npz: all rows one after the other, how many each image has, and errors by position."""
    boxes = [of_image for of_image in found if not isinstance(of_image, UserError)]
    errors = {i: str(error) for i, error in enumerate(found) if isinstance(error, UserError)}
    with io.BytesIO() as file:
        np.savez(
            file,
            rows=np.concatenate(boxes) if boxes else np.empty((0, 0), np.float32),
            counts=np.array([len(of_image) for of_image in boxes], np.int64),
            errors=np.frombuffer(json.dumps(errors).encode(), np.uint8),
        )
        return file.getvalue()


def unpacked(data: bytes) -> list[Found]:
    """What `packed` took."""
    with io.BytesIO(data) as file, np.load(file, allow_pickle=False) as arrays:
        found: list[Found] = np.split(arrays["rows"], np.cumsum(arrays["counts"]))[:-1]
        errors = json.loads(arrays["errors"].tobytes())
    for place, error in errors.items():
        found.insert(int(place), UserError(error))
    return found
