# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Boxes and points of any images and videos, drawn and as json. No MindSpore here."""

import contextlib
import errno
import fnmatch
import functools
import glob
import itertools
import json
import math
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from src.data.images import LARGEST_SIDE, Decoder, ImageFault, Oddity, examined, read_file
from src.data.notes import Notes, note_image, note_large_images
from src.model_utils.errors import UserError
from src.model_utils.files import fitting_name, open_regular, whole_file, write_json
from src.model_utils.messages import escaped, say
from src.tasks import boxes as boxes_task
from src.tasks.columns import POINTS_OF_DETECTION, points_of
from src.tasks.task import Task
from src.visual import pictures

VIDEO_ENDINGS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")

# With keep_res memory grows by 0.6 KB a pixel (measured: ResNet-101, CPU): to 5 GB here.
LARGEST_INPUT = 4096 * 2160

_DEFAULT_RATE = 25.0  # frames a second of a video that does not say
_SLOWEST_RATE = 0.01
_CODECS = ("avc1", "vp09", "mp4v")  # H.264, VP9, MPEG-4
_FRAMES_AHEAD = 8  # that wait for the encoder
# How files with these endings begin: MP4 and QuickTime, Matroska, AVI, MPEG. Others are not given
# to FFmpeg, which takes a playlist for a video and reads the files that it names.
_CONTAINER = re.compile(
    rb"....(?:ftyp|moov|mdat|free|skip|wide|pnot)|\x1aE\xdf\xa3|RIFF....AVI |\x00\x00\x00?\x01|"
    rb"\x47.{187}\x47",
    re.DOTALL,
)

Reader = Callable[[], np.ndarray]  # gives uint8 (height, width, 3) BGR, or raises UserError
Prediction = tuple[np.ndarray, dict[str, Any]]  # the picture with its boxes, and their json


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
        output_dir: folder of the results; where it is below the inputs, what is in it is not read.

    Raises:
        UserError: there is no such file, or a result would replace an input or another result.
    """
    output = _real(output_dir)
    if os.path.lexists(given) and not Path(given).is_dir():
        root, paths = Path(given).parent, [Path(given)]
    else:
        root, paths = _below(Path(given)) if Path(given).is_dir() else _matching(given)
        if _real(root) in output.parents:
            paths = [path for path in paths if output not in _real(path).parents]
    sources = [_source(path, output_dir / path.relative_to(root)) for path in paths]
    if not sources:
        raise UserError(f"{given}: no file is found there; give an image, a video or a folder.")
    _refuse_collisions(sources)
    return sources


def _below(folder: Path) -> tuple[Path, list[Path]]:
    """The folder, and all files below it but the hidden ones.

    Folders that may not be read are among them, to be named later.

    Raises:
        OSError: this folder may not be read.
    """
    os.scandir(folder).close()
    return folder, [
        path
        for path in _walked(folder)
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _walked(folder: Path) -> list[Path]:
    """What is no folder below a folder, and folders that may not be read, in order.

    Linked folders are entered, each folder once: links may lead round in a circle.
    """
    found: list[Path] = []

    def note(error: OSError) -> None:
        found.append(Path(error.filename))

    entered = {_real(folder)}
    for place, folders, names in os.walk(folder, onerror=note, followlinks=True):
        found += [Path(place) / name for name in names]
        further = {name: _real(Path(place) / name) for name in sorted(folders)}
        folders[:] = [name for name, real in further.items() if real not in entered]
        entered.update(further.values())
    return sorted(found)


def _matching(pattern: str) -> tuple[Path, list[Path]]:
    """The innermost folder that holds all files of the pattern, and those files."""
    parts = Path(pattern).parts
    if "**" in parts:
        # Not by glob, which follows links round in circles.
        fixed = next(number for number, part in enumerate(parts) if glob.has_magic(part))
        found = [
            path
            for path in _walked(Path(*parts[:fixed]))
            if _fits(path.parts[len(Path(*parts[:fixed]).parts) :], parts[fixed:])
        ]
    else:
        # Not Path.glob, which takes no absolute pattern.
        found = sorted(map(Path, glob.glob(pattern)))  # noqa: PTH207
    paths = [path for path in found if not path.is_dir()]  # pipes and dead links are named later
    return Path(os.path.commonpath([path.parent for path in paths] or ["."])), paths


def _fits(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path are those of a pattern, as glob takes it."""
    reached = {0}  # parts of the pattern that are met
    for name in names:
        reached = _passed(reached, pattern)
        reached = {
            number if pattern[number] == "**" else number + 1
            for number in reached
            if number < len(pattern)
            and (not name.startswith(".") or pattern[number].startswith("."))
            and (pattern[number] == "**" or fnmatch.fnmatchcase(name, pattern[number]))
        }
    return len(pattern) in _passed(reached, pattern)


def _passed(reached: set[int], pattern: Sequence[str]) -> set[int]:
    """With the parts after each **, which stands for no folder too."""
    passed = set(reached)
    for number, part in enumerate(pattern):
        if number in passed and part == "**":
            passed.add(number + 1)
    return passed


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve raises an error on a circle of links


def _source(path: Path, target: Path) -> Source:
    name, ending = target.name, target.suffix.lower()
    is_video = ending in VIDEO_ENDINGS
    if is_video:
        further = "" if ending == ".mp4" else ".mp4"
    else:
        # OpenCV crashes on names that are not UTF-8.
        has_writer = ending != "" and ending.isascii() and cv2.haveImageWriter(f"a{ending}")
        further = "" if has_writer else ".jpg"
    picture = target.with_name(fitting_name(name, further))
    boxes = target.with_name(fitting_name(name, ".jsonl" if is_video else ".json"))
    return Source(path, picture, boxes, is_video)


def _refuse_collisions(sources: Sequence[Source]) -> None:
    taken = {_real(source.path): source.path for source in sources}
    for source in sources:
        for target in (source.picture, source.boxes):
            other = taken.setdefault(_real(target), source.path)
            if other is not source.path or _real(target) == _real(source.path):
                raise UserError(
                    f"{source.path}: its result {target} would replace "
                    f"{'it' if other is source.path else f'{other} or its result'}; choose another "
                    "--output or rename it."
                )


class _Reading:
    """An image that is read in another thread when its turn comes, and kept for its picture.

    Called, it gives what the network is to see: a smaller one if it has more than `largest` pixels.
    """

    def __init__(self, read: Reader, largest: float) -> None:
        self._read, self._largest = read, largest

    def __call__(self) -> np.ndarray:
        self.image = self._read()
        height, width = self.image.shape[:2]
        scale = math.sqrt(min(1.0, self._largest / (height * width)))
        size = (max(1, int(width * scale)), max(1, int(height * scale)))
        self.ratio = np.array([width / size[0], height / size[1]] * 2)  # of x1 y1 x2 y2
        if scale == 1:
            return self.image
        return cv2.resize(self.image, size, interpolation=cv2.INTER_AREA)


@dataclass(frozen=True)
class Predictor:
    """What is done with images.

    detect: images to the boxes of each, (n,6+3J) x1 y1 x2 y2 score class, then x y score of each
        point, or to the error of one that cannot be read; `Detector.detect`.
    class_names: name of each class.
    score_thresh: smallest score of a box drawn and written; points of less are drawn as unseen.
    task: of the points.
    has_points: of each class, whether its points are drawn and written; none if it is not given.
    largest: pixels beyond which an image is made smaller for the network.
    keep_size: see `pictures.draw_boxes`.
    """

    detect: Callable[[Iterable[Reader]], Iterator[np.ndarray | UserError]]
    class_names: Sequence[str]
    score_thresh: float
    task: Task = boxes_task.TASK
    has_points: Sequence[bool] = ()
    largest: float = math.inf
    keep_size: bool = False

    def __call__(self, readers: Iterable[Reader]) -> Iterator[Prediction | UserError]:
        """For each image, in order, its picture and json, or why it cannot be read.

        Raises:
            UserError: the network has classes without a name.
        """
        ahead: deque[_Reading] = deque()

        def kept() -> Iterator[_Reading]:
            for read in readers:
                ahead.append(_Reading(read, self.largest))
                yield ahead[-1]

        for found in self.detect(kept()):
            reading = ahead.popleft()
            yield found if isinstance(found, UserError) else self._prediction(reading, found)

    def _prediction(self, reading: _Reading, found: np.ndarray) -> Prediction:
        boxes = found[found[:, 4] >= self.score_thresh]
        boxes[:, :4] *= reading.ratio
        points = points_of(boxes)
        points[:, :, :2] *= reading.ratio[:2]
        if len(boxes) and boxes[:, 5].max() >= len(self.class_names):
            raise UserError(
                f"dataset_config.coco_classes: names {len(self.class_names)} classes, but the "
                f"network found number {int(boxes[:, 5].max())}; give the configuration that it "
                "was trained with."
            )
        entries = [
            {
                "class": self.class_names[int(box[5])],
                "class_index": int(box[5]),
                "score": float(box[4]),
                "box": [float(side) for side in box[:4]],
            }
            | ({"points": of_box.tolist()} if self._is_pointed(box) else {})
            for box, of_box in zip(boxes, points, strict=True)
        ]
        height, width = reading.image.shape[:2]
        shown = None
        if self.has_points:
            shown = pictures.shown_points(boxes, self.has_points, self.score_thresh)
        picture = pictures.draw_boxes(
            *(reading.image, boxes[:, :POINTS_OF_DETECTION], self.class_names, self.score_thresh),
            keep_size=self.keep_size,
            points=shown,
            task=self.task,
        )
        return picture, {"width": width, "height": height, "boxes": entries}

    def _is_pointed(self, box: np.ndarray) -> bool:
        return bool(self.has_points) and self.has_points[int(box[5])]


def predict_all(
    sources: Sequence[Source],
    predictor: Predictor,
    decode: Decoder,
    upright: bool = False,
    input_size: Sequence[int] = (),
) -> int:
    """Writes pictures and json of all files, images first; those that cannot be read are named.

    Args:
        sources, predictor: what is done with what.
        decode, upright: see `images.decoder`.
        input_size: height and width of the network's input in training, if images are fed at their
            own size; much larger ones are then said.

    Returns:
        How many could not be read, or not to their end.

    Raises:
        UserError: as `Predictor`.
        OSError: a result cannot be written.
    """
    images = [source for source in sources if not source.is_video]
    videos = [source for source in sources if source.is_video]
    total = len(images) + sum(_frame_count(source.path) for source in videos)
    faults = 0
    with tqdm(total=total, desc="predict", unit="image", mininterval=1) as progress:
        seen: list[tuple[str, Oddity, tuple[int, int]]] = []
        readers = [partial(_read, source.path, decode, upright, seen) for source in images]
        for source, done in zip(images, predictor(readers), strict=True):
            progress.update()
            if isinstance(done, UserError):
                faults += 1
                named = "" if escaped(str(source.path)) in str(done) else f"{source.path}: "
                say(f"not done: {named}{done}", to_stderr=True)
            else:
                picture, content = done
                pictures.write_picture(source.picture, picture)
                write_json(source.boxes, {"file": str(source.path), **content})
        for source in videos:
            try:
                fault = _predict_video(source, replace(predictor, keep_size=True), progress)
            except (cv2.error, MemoryError, VideoFault) as error:
                fault = f"cannot be done ({error}); convert it or leave it out."
            if fault:
                faults += 1
                say(f"not done: {source.path}: {fault}", to_stderr=True)
    _say_what_is_odd(sorted(seen, key=lambda image: image[0]), upright, input_size)
    return faults


def _read(
    path: Path, decode: Decoder, upright: bool, seen: list[tuple[str, Oddity, tuple[int, int]]]
) -> np.ndarray:
    """As `read_image`; what is odd about the image, and its width and height, go to `seen`."""
    try:
        image, oddity = examined(read_file(path), decode, upright=upright)
    except ImageFault as fault:
        raise fault.as_user_error(f"{path}:") from None
    seen.append((str(path), oddity, (image.shape[1], image.shape[0])))
    return image


def _say_what_is_odd(
    seen: Sequence[tuple[str, Oddity, tuple[int, int]]], upright: bool, input_size: Sequence[int]
) -> None:
    notes = Notes()
    for name, oddity, _ in seen:
        note_image(notes, name, oddity, upright)
    names, sizes = [name for name, _, _ in seen], [size for _, _, size in seen]
    note_large_images(notes, sizes, names, len(input_size) > 0, input_size or [0])
    notes.report()


def _predict_video(source: Source, predictor: Predictor, progress: tqdm) -> str:
    """Writes a video and its json, a line a frame; both appear at its end, or where it breaks off.

    Returns:
        What is wrong with the video, if something is.
    """
    try:
        with _video_name(source.path):
            pass
    except OSError as error:
        return f"cannot be read ({error.strerror}); restore it or leave it out."
    expected, frames = _frame_count(source.path), _frames(source.path)
    first = next(frames, None)
    if first is None or max(first.shape[:2]) > LARGEST_SIDE:
        return "is not a video that can be read; replace it or leave it out."
    height, width = first.shape[:2]
    readers = (partial(np.asarray, frame) for frame in itertools.chain([first], frames))
    with whole_file(source.picture) as video_path, whole_file(source.boxes) as boxes_path:
        with (
            boxes_path.open("w", encoding="utf-8") as lines,
            closing(_VideoFile(video_path, _frame_rate(source.path), (width, height))) as video,
        ):
            for number, done in enumerate(predictor(readers)):
                if isinstance(done, UserError):
                    raise done
                picture, content = done
                video.write(picture)
                entry = {"file": str(source.path), "frame": number, **content}
                lines.write(json.dumps(entry) + "\n")
                progress.update()
        count = number + 1
        if _frame_count(video_path) != count:  # OpenCV does not say so
            raise OSError(errno.ENOSPC, "not all frames could be written", str(source.picture))
    # Some containers only estimate the number.
    if count < 0.99 * expected - 1:
        return f"ends after {count} of {expected} frames, which are written; look for a whole one."
    return ""


class VideoFault(Exception):
    """Why no video can be written of one that was read."""


class _VideoFile:
    """An mp4 that is being written; odd sides lose a pixel, which the formats lack.

    It is H.264 or VP9, which browsers play, as far as this build of OpenCV encodes them, else
    MPEG-4. Encoding, which takes VP9 long, goes on beside the network.
    """

    def __init__(self, path: Path, rate: float, size: tuple[int, int]) -> None:
        self._size = size  # width, height
        self._writer = opened_writer(path, rate, size)
        self._encoder = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()

    def write(self, picture: np.ndarray) -> None:
        if (picture.shape[1], picture.shape[0]) != self._size:  # a stream may change its size
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        self._waiting.append(self._encoder.submit(self._writer.write, picture))
        if len(self._waiting) > _FRAMES_AHEAD:
            self._waiting.popleft().result()

    def close(self) -> None:
        self._encoder.shutdown()
        self._writer.release()


def opened_writer(
    path: Path, rate: float, size: tuple[int, int], codecs: Sequence[str] = ()
) -> cv2.VideoWriter:
    """The writer of an mp4 of this width and height, at the rate or a whole one near it.

    It is the first of the codecs that this build of OpenCV has; not given, H.264, VP9 and MPEG-4.

    Raises:
        VideoFault: it has none for such a video.
    """
    written = path.with_name("written.mp4")
    with _name_for_opencv(os.open(path.parent, os.O_RDONLY)) as folder:
        writer = _writer_of(f"{folder}/{written.name}", rate, size, codecs)
    written.replace(path)  # it stays the file that is being written
    return writer


def _writer_of(
    name: str, rate: float, size: tuple[int, int], codecs: Sequence[str]
) -> cv2.VideoWriter:
    before = cv2.getLogLevel()
    cv2.setLogLevel(0)  # it complains about each encoder that it lacks
    try:
        for codec in codecs or _CODECS:
            # MPEG-4 lacks some rates with a fraction, and all lack those of hours a frame.
            for possible in (rate, max(_SLOWEST_RATE, float(round(rate)))):
                code = cv2.VideoWriter_fourcc(*codec)
                writer = cv2.VideoWriter(name, cv2.CAP_FFMPEG, code, possible, size)
                if writer.isOpened():
                    if not codecs and codec == _CODECS[-1]:
                        _say_mpeg_4()
                    return writer
    finally:
        cv2.setLogLevel(before)
    raise VideoFault(f"OpenCV writes no video of {size[0]}x{size[1]} at {rate:g} frames a second")


@functools.cache
def _say_mpeg_4() -> None:
    say(
        "note: this build of OpenCV encodes neither H.264 nor VP9; videos are MPEG-4, which "
        "players show and browsers do not"
    )


@contextlib.contextmanager
def _name_for_opencv(descriptor: int) -> Iterator[str]:
    """A name of an open file or folder that OpenCV takes: it crashes on those that are not UTF-8.

    The descriptor is closed at the end.
    """
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _video_name(path: Path) -> Iterator[str]:
    """The name of a video for OpenCV.

    Raises:
        OSError: it cannot be read, or is no regular file or no video.
    """
    with _name_for_opencv(open_regular(path)) as name:
        with Path(name).open("rb") as file:
            if not _CONTAINER.match(file.read(256)):
                raise OSError(errno.EINVAL, "it is not a video", str(path))
        yield name


@contextlib.contextmanager
def _opened_video(path: Path) -> Iterator[cv2.VideoCapture]:
    """A video that OpenCV reads; it gives no frames and no properties if it cannot."""
    try:
        with _video_name(path) as name:
            video = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    except OSError:
        video = cv2.VideoCapture()
    try:
        yield video
    finally:
        video.release()


def _frames(path: Path) -> Iterator[np.ndarray]:
    with _opened_video(path) as video:
        while True:
            is_read, frame = video.read()
            if not is_read:
                return
            yield frame


def _frame_count(path: Path) -> int:
    """Frames that the video says it has; 0 if it does not say."""
    count = _property(path, cv2.CAP_PROP_FRAME_COUNT)
    return max(0, int(count)) if math.isfinite(count) else 0


def _frame_rate(path: Path) -> float:
    rate = _property(path, cv2.CAP_PROP_FPS)
    if math.isfinite(rate) and rate > 0:
        return rate
    say(f"note: {path}: does not say its frames a second; {_DEFAULT_RATE:g} are taken")
    return _DEFAULT_RATE


def _property(path: Path, name: int) -> float:
    with _opened_video(path) as video:
        return video.get(name)
