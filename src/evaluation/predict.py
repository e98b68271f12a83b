# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Boxes of any images and videos, drawn and as json. No MindSpore here."""

import glob
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from src import visual
from src.data.images import LARGEST_SIDE, Decoder, is_truncated_jpeg
from src.model_utils.errors import UserError
from src.model_utils.files import whole_file, write_json

VIDEO_ENDINGS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")

# With keep_res the network needs about 1 KB a pixel: 8 GB for a frame of 4096×2160.
LARGEST_INPUT = 4096 * 2160

_DEFAULT_RATE = 25.0  # frames a second of a video that does not say


class UnreadableError(UserError):
    """A file that is passed over; the others are predicted."""


@dataclass(frozen=True)
class Source:
    """A file to predict on: `picture` is where it goes with its boxes, `boxes` their json."""

    path: Path
    picture: Path
    boxes: Path
    is_video: bool


def find_sources(given: str, output_dir: Path) -> list[Source]:
    """The files that `given` names, in the order of their names, and where their results go.

    Results have the name of the file: a.png gives a.png, with boxes, and a.png.json; a video
    a.avi gives a.avi.mp4 and a.avi.jsonl. Folders below a given folder are kept.

    Args:
        given: an image, a video, a folder with all below it, or a pattern with * ? [] and **.
        output_dir: folder of the results. Files in it and hidden files are not read.

    Raises:
        UserError: there is no such file, or a result would replace an input or another result.
    """
    output = output_dir.resolve()
    if Path(given).is_file():
        root, paths = Path(given).parent, [Path(given)]
    else:
        root, paths = _below(Path(given)) if Path(given).is_dir() else _matching(given)
        paths = [path for path in paths if output not in path.resolve().parents]
    sources = [_source(path, output_dir / path.relative_to(root)) for path in paths]
    if not sources:
        raise UserError(f"{given}: no file is found there; give an image, a video or a folder.")
    _refuse_collisions(sources)
    return sources


def _below(folder: Path) -> tuple[Path, list[Path]]:
    """The folder, and all files below it but the hidden ones."""
    return folder, [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    ]


def _matching(pattern: str) -> tuple[Path, list[Path]]:
    """The innermost folder that holds all files of the pattern, and those files."""
    # Not Path.glob, which takes no absolute pattern.
    found = sorted(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207
    paths = [path for path in found if path.is_file()]
    return Path(os.path.commonpath([path.parent for path in paths] or ["."])), paths


def _source(path: Path, target: Path) -> Source:
    name, ending = target.name, target.suffix.lower()
    if ending in VIDEO_ENDINGS:
        picture = name if ending == ".mp4" else f"{name}.mp4"
        return Source(path, target.with_name(picture), target.with_name(f"{name}.jsonl"), True)
    is_written = ending != "" and cv2.haveImageWriter(f"a{ending}")
    picture = name if is_written else f"{name}.jpg"
    return Source(path, target.with_name(picture), target.with_name(f"{name}.json"), False)


def _refuse_collisions(sources: Sequence[Source]) -> None:
    taken = {source.path.resolve(): source.path for source in sources}
    for source in sources:
        for target in (source.picture, source.boxes):
            other = taken.setdefault(target.resolve(), source.path)
            if other is not source.path or target.resolve() == source.path.resolve():
                raise UserError(
                    f"{source.path}: its result {target} would replace "
                    f"{'it' if other is source.path else f'{other} or its result'}; choose another "
                    "--output or rename it."
                )


@dataclass(frozen=True)
class Predictor:
    """What is done with one image.

    detect: uint8 (height, width, 3) BGR to boxes (n,6), x1 y1 x2 y2 score class.
    class_names: name of each class.
    score_thresh: smallest score drawn and written.
    largest: pixels beyond which an image is made smaller before; None does so with none.
    """

    detect: Callable[[np.ndarray], np.ndarray]
    class_names: Sequence[str]
    score_thresh: float
    largest: float | None

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """The image, uint8 BGR, with its boxes (enlarged if it is small), and their json.

        Raises:
            UnreadableError: a side is too long.
            UserError: the network has classes without a name.
        """
        height, width = image.shape[:2]
        if max(height, width) > LARGEST_SIDE:
            raise UnreadableError(
                f"an image of {width}x{height} is too large; give one with sides of at most "
                f"{LARGEST_SIDE} pixels."
            )
        boxes = self._boxes(image)
        boxes = boxes[boxes[:, 4] >= self.score_thresh]
        if len(boxes) and boxes[:, 5].max() >= len(self.class_names):
            raise UserError(
                f"the network found class {int(boxes[:, 5].max())} of {len(self.class_names)} in "
                "dataset_config.coco_classes; give the configuration that it was trained with."
            )
        content = {"width": width, "height": height, "boxes": [*map(self._entry, boxes)]}
        picture = visual.draw_boxes(image, boxes, self.class_names, self.score_thresh)
        return picture, content

    def _boxes(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        if self.largest is None or height * width <= self.largest:
            return self.detect(image)
        scale = math.sqrt(self.largest / (height * width))
        size = (max(1, int(width * scale)), max(1, int(height * scale)))
        boxes = self.detect(cv2.resize(image, size, interpolation=cv2.INTER_AREA)).copy()
        boxes[:, [0, 2]] *= width / size[0]
        boxes[:, [1, 3]] *= height / size[1]
        return boxes

    def _entry(self, box: np.ndarray) -> dict[str, Any]:
        return {
            "class": self.class_names[int(box[5])],
            "class_index": int(box[5]),
            "score": float(box[4]),
            "box": [float(side) for side in box[:4]],
        }


def predict_all(sources: Sequence[Source], predictor: Predictor, decode: Decoder) -> int:
    """Writes pictures and json of all files; those that cannot be read are named and passed over.

    Returns:
        How many were passed over, or not read to their end.
    """
    faults = 0
    total = sum(_frame_count(source.path) if source.is_video else 1 for source in sources)
    with tqdm(total=total, desc="predict", unit="image", mininterval=1) as progress:
        for source in sources:
            try:
                if source.is_video:
                    _predict_video(source, predictor, progress)
                else:
                    _predict_image(source, predictor, decode)
                    progress.update()
            except UnreadableError as error:
                faults += 1
                message = str(error)
                if str(source.path) not in message:
                    message = f"{source.path}: {message}"
                progress.write(f"not done: {message}", file=sys.stderr)
    return faults


def _predict_image(source: Source, predictor: Predictor, decode: Decoder) -> None:
    try:
        encoded = source.path.read_bytes()
    except OSError as error:
        raise UnreadableError(
            f"{source.path}: cannot be read ({error.strerror}); check its permissions."
        ) from None
    image = decode(encoded)
    if image is None or is_truncated_jpeg(encoded):
        what = "is not an image" if image is None else "is cut off"
        raise UnreadableError(f"{source.path}: {what}; replace it or leave it out.")
    picture, content = predictor(image)
    visual.write_picture(source.picture, picture)
    write_json(source.boxes, {"file": str(source.path), **content})


def _predict_video(source: Source, predictor: Predictor, progress: tqdm) -> None:
    """A video frame by frame: picture and json appear when its end is reached, or a fault.

    Raises:
        UnreadableError: no frame can be read, so nothing is written; or it ends early, then the
            frames before are written.
    """
    frames = _frames(source.path)
    expected = _frame_count(source.path)
    first = next(frames, None)
    if first is None:
        raise UnreadableError(f"{source.path}: is not a video that can be read; leave it out.")
    height, width = first.shape[:2]
    count = 0
    with (
        closing(frames),
        whole_file(source.picture) as partial,
        whole_file(source.boxes) as partial_boxes,
        partial_boxes.open("w", encoding="utf-8") as lines,
    ):
        rate = _frame_rate(source.path)
        code = cv2.VideoWriter_fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(partial), cv2.CAP_FFMPEG, code, rate, (width, height))
        if not writer.isOpened():
            raise OSError(f"{source.picture}: OpenCV cannot write the video")
        frame: np.ndarray | None = first
        while frame is not None:
            picture, content = predictor(frame)
            if picture.shape[:2] != (height, width):
                picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
            writer.write(picture)
            entry = {"file": str(source.path), "frame": count, **content}
            lines.write(json.dumps(entry) + "\n")
            count += 1
            progress.update()
            frame = next(frames, None)
        writer.release()
    # Some containers only estimate the number.
    if count < 0.99 * expected - 1:
        raise UnreadableError(
            f"{source.path}: ends after {count} of {expected} frames, which are written; replace "
            "it if the others are needed."
        )


def _frames(path: Path) -> Iterator[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    try:
        while True:
            is_read, frame = video.read()
            if not is_read:
                return
            yield frame
    finally:
        video.release()


def _frame_count(path: Path) -> int:
    """Frames that the video says it has; 0 if it does not say."""
    return max(0, int(_property(path, cv2.CAP_PROP_FRAME_COUNT)))


def _frame_rate(path: Path) -> float:
    rate = _property(path, cv2.CAP_PROP_FPS)
    return rate if math.isfinite(rate) and 0 < rate <= 1000 else _DEFAULT_RATE


def _property(path: Path, name: int) -> float:
    video = cv2.VideoCapture(str(path))
    try:
        return video.get(name)
    finally:
        video.release()
