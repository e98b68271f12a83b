# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Streams and cameras: the newest frame for the detector, and files of what it found.

A thread reads all frames and keeps the last one. The detector takes it when it is free, so it sees
what is before the camera now, and memory does not grow.
"""

import contextlib
import errno
import json
import os
import re
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np
from tqdm import tqdm

from src.data.images import LARGEST_SIDE
from src.evaluation.predict import Prediction, Predictor, VideoFault, opened_writer
from src.model_utils.errors import UserError
from src.model_utils.files import whole_file
from src.model_utils.messages import say
from src.model_utils.signals import is_interrupted

_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp")
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_CAMERA = re.compile(r"[0-9]+|/dev/video[0-9]+|/dev/v4l/.+")

_ANSWER = 10.0  # seconds to wait for a stream to open, and for a frame
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds before a lost stream is opened again
_STEADY = 30.0  # seconds after which it is lost anew, and not once more
_LONGEST_NAME = 100  # characters, before the time
_SEGMENT = 600.0  # seconds of a video: its index is in memory, and a crash costs no more than it
# The encoder has to keep up, and to end within an interrupt's seconds: VP9 takes 10 to 60 times as
# long as MPEG-4 (640x480 to 1920x1080), and at its end as long again for what it holds back.
_CODEC, _RATE = "mp4v", 25.0


def is_stream(given: str) -> bool:
    """Whether `given` is an address, a camera's number or its device, and not a file."""
    if _ADDRESS.fullmatch(given):
        return True
    is_device = given.startswith("/dev/")
    return bool(_CAMERA.fullmatch(given)) and (is_device or not os.path.lexists(given))


def shown_address(given: str) -> str:
    """A stream's address or camera as messages and results have it, without what may be secret.

    That is what is before the last @ (user and password, which may hold any letter) and the query.
    """
    address = _ADDRESS.fullmatch(given)
    if not address:
        return f"camera {given}" if given.isdigit() else given
    scheme, (_, at, rest) = address[1], address[2].rpartition("@")
    place, *query = re.split("[?#]", rest, maxsplit=1)
    return f"{scheme}://{'***@' if at else ''}{place}{'?***' if query else ''}"


def _file_name(given: str) -> str:
    """How the names of the results begin: letters and digits of ASCII, and . _ -"""
    if given.isdigit():
        return f"camera{given}"
    place = re.sub(r"^[^/]*//(\*\*\*@)?|\?\*\*\*$", "", shown_address(given))
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", place.removeprefix("/dev/"))
    return name.strip("._-")[:_LONGEST_NAME] or "stream"


@dataclass(frozen=True)
class Frame:
    """A frame of a stream.

    image: uint8 (height, width, 3) BGR.
    number: of the frames that came before it.
    clock: second of the monotonic clock in which it came.
    time: when that was, in UTC.
    """

    image: np.ndarray
    number: int
    clock: float
    time: datetime


class Stream:
    """A stream or a camera that is read in a thread; see `opened_stream`.

    Attributes:
        name: address as messages have it.
        read: frames so far.
        fault: after its end, why it has ended, as the end of a sentence; empty if it was left.
        first: its first frame, when it has been waited for.
    """

    first: Frame

    def __init__(self, given: str) -> None:
        self.name, self.file_name = shown_address(given), _file_name(given)
        self.read, self.fault = 0, ""
        self._given = given
        self._is_left = threading.Event()
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._is_over = False

    def run(self) -> None:
        """Reads frames until the stream is left or lost."""
        fault = "cannot be read"
        try:
            fault = self._read_on()
        finally:
            with self._changed:
                self.fault, self._is_over = fault, True
                self._changed.notify_all()

    def leave(self) -> None:
        self._is_left.set()

    def wait(self) -> bool:
        """Waits for the first frame; gives whether it comes."""
        with self._changed:
            while self._newest is None and not self._is_over:
                self._changed.wait(0.2)  # not longer: an interrupt does not end it
            self.first = self._newest
            return self.first is not None

    def newest(self, seconds: float = 0.0) -> Iterator[Frame]:
        """Each time the newest frame, as soon as there is one, until the stream ends.

        The frames before the first call are not counted.

        Args:
            seconds: after so many it ends, if not 0.
        """
        end = time.monotonic() + (seconds or float("inf"))
        with self._changed:
            self._newest, self.read = None, 0
        while True:
            with self._changed:
                while self._newest is None and not self._is_over and time.monotonic() < end:
                    self._changed.wait(0.2)
                frame, self._newest = self._newest, None
            if frame is None or time.monotonic() >= end:
                return
            yield frame

    def _read_on(self) -> str:
        tries, has_begun = 0, False
        while True:
            begun = time.monotonic()
            came, fault = self._read_until_it_breaks(is_again=has_begun)
            has_begun = has_begun or came
            if self._is_left.is_set():
                return ""
            if fault:
                return fault
            if not has_begun:
                return (
                    f"gives no video (waited {time.monotonic() - begun:.1f} seconds, at most "
                    f"{_ANSWER:g} for an answer); check the address and its password, or the "
                    "camera, and whether another program has it."
                )
            if came and time.monotonic() - begun > _STEADY:
                tries = 0
            if tries == len(_PAUSES):
                return f"is lost after {self.read} frames; what came is written."
            if came:
                say(
                    f"note: {self.name}: breaks off after {self.read} frames; it is opened again, "
                    f"up to {len(_PAUSES) - tries} times"
                )
            if self._is_left.wait(_PAUSES[tries]):
                return ""
            tries += 1

    def _read_until_it_breaks(self, is_again: bool) -> tuple[bool, str]:
        """Whether frames came, and why it is not to be opened again, if so."""
        has_come = False
        capture = _opened(self._given)
        try:
            length = capture.get(cv2.CAP_PROP_FRAME_COUNT)
            is_by_http = self.name.lower().startswith("http")
            if length > 0 and is_by_http:  # it comes faster than it plays
                return False, (
                    f"is a video of {length:.0f} frames and no live stream; download it and give "
                    "the file."
                )
            while not self._is_left.is_set():
                is_read, image = capture.read()
                if not is_read or max(image.shape[:2]) > LARGEST_SIDE:
                    break
                if is_again and not has_come:
                    say(f"note: {self.name}: is back")
                has_come = True
                with self._changed:
                    clock, now = time.monotonic(), datetime.now(timezone.utc)
                    self._newest = Frame(image, self.read, clock, now)
                    self.read += 1
                    self._changed.notify_all()
            if has_come and length > 0:
                self._is_left.set()  # it has an end, and this is it
        except (cv2.error, MemoryError):
            pass  # as one that breaks off
        finally:
            capture.release()
        return has_come, ""


def _opened(given: str) -> cv2.VideoCapture:
    if given.isdigit():
        return cv2.VideoCapture(int(given), cv2.CAP_V4L2)
    if not _ADDRESS.fullmatch(given):
        return cv2.VideoCapture(given, cv2.CAP_V4L2)
    milliseconds = int(_ANSWER * 1000)
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC]
    options = [value for limit in limits for value in (limit, milliseconds)]
    return cv2.VideoCapture(given, cv2.CAP_FFMPEG, options)


@contextlib.contextmanager
def opened_stream(given: str) -> Iterator[Stream]:
    """A stream or camera, from its first frame on; what comes before it is used is dropped.

    Raises:
        UserError: it is of no kind that is read, or gives no video.
    """
    address = _ADDRESS.fullmatch(given)
    if address and address[1].lower() not in _SCHEMES:
        raise UserError(
            f"{shown_address(given)}: is no stream that is read; give one of "
            f"{', '.join(_SCHEMES)}, the number of a camera, or a file."
        )
    stream = Stream(given)
    reader = threading.Thread(target=stream.run, daemon=True)
    reader.start()
    try:
        if not stream.wait():
            raise UserError(f"{stream.name}: {stream.fault}")
        yield stream
    finally:
        stream.leave()
        if not is_interrupted():  # it may wait for a frame; the process ends without it
            reader.join()


def predict_stream(
    stream: Stream,
    predictor: Predictor,
    output_dir: Path,
    seconds: float = 0.0,
    segment: float = _SEGMENT,
) -> bool:
    """Writes videos with boxes, and their json, of the frames that the detector has time for.

    Each video has a name with the time of its first frame, NAME_20260131T235959Z.mp4, and beside it
    .jsonl, a line a frame, which is there at once. Also where the work ends by an error or an
    interrupt, both are whole.

    Args:
        seconds: after so many it ends, if not 0.
        segment: seconds after which another video is begun.

    Returns:
        Whether the stream came to the end of `seconds`, and was not lost.

    Raises:
        UserError: as `Predictor`, or no video can be written.
        OSError: a result cannot be written.
    """
    predictor = replace(predictor, keep_size=True)

    def detect(frame: Frame) -> Prediction:
        (done,) = predictor([partial(np.asarray, frame.image)])
        if isinstance(done, UserError):
            raise UserError(f"{stream.name}: {done}")
        return done

    detect(stream.first)  # compiles the network
    recorder, detected = _Recorder(stream, output_dir, segment), 0
    with (
        tqdm(desc="predict", unit="frame", mininterval=1) as progress,
        ThreadPoolExecutor(1) as worker,  # no interrupt comes to it
    ):
        last: Future[None] = worker.submit(lambda: None)
        try:
            for frame in stream.newest(seconds):
                done = detect(frame)
                last.result()
                last = worker.submit(recorder.add, frame, done)
                detected += 1
                dropped = stream.read - detected
                progress.set_postfix_str(f"{stream.read} read, {dropped} dropped", refresh=False)
                progress.update()
            last.result()
        except VideoFault as fault:
            raise UserError(f"{stream.name}: cannot be recorded ({fault}).") from None
        finally:
            read = stream.read
            worker.submit(recorder.close).result()
            say(
                f"{stream.name}: {read} frame(s) read, {detected} detected, {read - detected} "
                f"dropped; {recorder.videos} video(s) in {output_dir}"
            )
    if stream.fault:
        say(f"not done: {stream.name}: {stream.fault}", to_stderr=True)
    return not stream.fault


class _Recorder:
    """Writes the frames of a stream; all but `videos` is of one thread.

    Attributes:
        videos: that are begun.
    """

    def __init__(self, stream: Stream, folder: Path, segment: float) -> None:
        self.videos = 0
        self._stream, self._folder, self._segment = stream, folder, segment
        self._video: _Video | None = None

    def add(self, frame: Frame, done: Prediction) -> None:
        if self._video and not self._video.takes(frame, self._segment):
            self.close()
        if not self._video:
            self._video = _Video(self._folder, self._stream.file_name, frame)
            self.videos += 1
        picture, content = done
        self._video.add(frame, picture, self._stream.name, content)

    def close(self) -> None:
        video, self._video = self._video, None
        if video:
            video.close()


class _Video:
    """A video that is being written, and its json."""

    def __init__(self, folder: Path, name: str, first: Frame) -> None:
        self._start, self._shape = first.clock, first.image.shape
        self._shown, self._written = first.image, 0
        height, width = self._shape[:2]
        with ExitStack() as stack:
            name = f"{name}_{first.time:%Y%m%dT%H%M%SZ}"
            self._lines = stack.enter_context(_claimed(folder, name))
            lines = Path(self._lines.name)
            try:
                self._path = stack.enter_context(whole_file(lines.with_suffix(".mp4")))
                self._writer = opened_writer(self._path, _RATE, (width, height), (_CODEC,))
            except BaseException:
                lines.unlink()
                raise
            self._stack = stack.pop_all()

    def takes(self, frame: Frame, segment: float) -> bool:
        return frame.image.shape == self._shape and frame.clock - self._start < segment

    def add(self, frame: Frame, picture: np.ndarray, name: str, content: dict[str, Any]) -> None:
        seconds = round(frame.clock - self._start, 3)
        self._show_until(round(seconds * _RATE))
        self._shown = picture
        of_frame = {
            "frame": frame.number,
            "time": frame.time.isoformat(timespec="milliseconds"),
            "seconds": seconds,
        }
        self._lines.write(json.dumps({"file": name, **of_frame, **content}) + "\n")

    def close(self) -> None:
        with self._stack:
            self._show_until(self._written + 1)
            self._writer.release()
            if not _is_whole(self._path):  # OpenCV does not say so
                raise OSError(errno.ENOSPC, "not all frames could be written", str(self._path))

    def _show_until(self, count: int) -> None:
        """Shows the last picture up to the video's frame `count`."""
        while self._written < count:
            self._writer.write(self._shown)
            self._written += 1


def _is_whole(path: Path) -> bool:
    """Whether an MP4, which is boxes of a size and a name, ends with its index, `moov`."""
    end, kind = 0, b""
    with path.open("rb") as file:
        while len(head := file.read(16)) == 16:
            size, kind, large_size = struct.unpack(">I4sQ", head)
            end += max(8, large_size if size == 1 else size)
            file.seek(end)
    return kind == b"moov" and end == path.stat().st_size


def _claimed(folder: Path, name: str) -> TextIO:
    """A new file of lines; its name, with the video's ending too, is nobody else's."""
    path, number = folder / f"{name}.jsonl", 1
    while True:
        if not path.with_suffix(".mp4").exists():
            with contextlib.suppress(FileExistsError):
                return path.open("x", encoding="utf-8", buffering=1)
        number += 1
        path = folder / f"{name}-{number}.jsonl"
