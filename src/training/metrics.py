# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What a training tells of itself: records, and where they go.

A record of the training has step (done so far, from 1), epoch (from 1), epoch_percent (of the epoch
done, 0..1), loss, its parts by the task's names (which end in _loss), lr, overflow, scale,
images_per_second (on all devices), seconds_left and seconds (since this run began). The first step
compiles: where nothing but it is behind a record, images_per_second and seconds_left are NaN. A
record of an evaluation has step, epoch, COCO's numbers of the task (0..1, -1 where the set has
nothing to count; of poses also those of the boxes, behind bbox_), of_averages (whether the averaged
weights were evaluated), evaluation_seconds and seconds.
"""

import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from src.model_utils.errors import UserError
from src.model_utils.files import read_text, whole_file
from src.model_utils.messages import say

_LARGEST = 1e30  # what curves can be drawn of
Record = dict[str, Any]
Recorder = Callable[[Record], None]


def print_record(record: Record) -> None:
    """Prints a record in one line; that of the training is the ModelZoo document's."""
    if is_evaluation(record):
        names = [name for name in ("AP", "AP50", "AP75", "bbox_AP") if name in record]
        numbers = ", ".join(f"{name}: {record[name]:.4f}" for name in names)
        say(
            f"evaluation: epoch: {record['epoch']}, step: {record['step']}, {numbers}, "
            f"seconds: {record['evaluation_seconds']:.1f}"
            f"{', weights: averaged' if record['of_averages'] else ''}"
        )
        return
    losses = [
        f"{name}: {value:.5f}"
        for name, value in record.items()
        if name == "loss" or name.endswith("_loss")
    ]
    say(
        f"epoch: {record['epoch']}, current epoch percent: {record['epoch_percent']:.3f}, "
        f"step: {record['step']}, {', '.join(losses)}, "
        f"lr: {record['lr']:.3e}, overflow: {record['overflow']}, scale: {record['scale']:g}, "
        f"images/s: {_if_known('{:.1f}'.format, record['images_per_second'])}, "
        f"time left: {_if_known(_clock, record['seconds_left'])}"
    )


class MetricsFile:
    """Adds records to a file of json objects, one a line, each of them complete when it is added.

    Args:
        path: the file. Only one process may write it.
        first_step: steps done by the run that this one continues. What the file says of later steps
            goes, and a half line too: a run that was killed leaves them after its last checkpoint,
            and the steps are done again. With 0 the file starts anew.
    """

    def __init__(self, path: Path, first_step: int) -> None:
        self._path, self._failed = path, False
        kept = [record for record in read_records(path) if record["step"] <= first_step]
        with whole_file(path) as unfinished:
            unfinished.write_text("".join(map(_line, kept)), encoding="utf-8")

    def __call__(self, record: Record) -> None:
        # After a failure the last line may not be whole.
        line = "\n" * self._failed + _line(record)
        try:
            with self._path.open(
                "a", encoding="utf-8"
            ) as file:  # closed: nothing waits in a buffer
                file.write(line)
            self._failed = False
        except OSError as error:
            if not self._failed:
                say(f"error: {self._path}: {error.strerror}; records get lost")
            self._failed = True


def read_records(path: Path) -> list[Record]:
    """The records of a metrics file, in its order; none if there is no file.

    Lines that are not whole, or no records, are left out. A number that was not finite is None.
    """
    if not path.exists():
        return []
    records = []
    for line in read_text(path, errors="replace").splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and _is_record(record):
            records.append(record)
    return records


def _is_record(record: dict[str, Any]) -> bool:
    """Whether each value is a number, as far as a float goes, or None; of steps a count."""
    if not all(value is None or type(value) in (int, float, bool) for value in record.values()):
        return False
    numbers = [abs(value) for value in record.values() if value is not None]
    step = record.get("step")
    return type(step) is int and step >= 0 and all(number <= _LARGEST for number in numbers)


def is_evaluation(record: Record) -> bool:
    return "AP" in record


def is_evaluated(records: list[Record], step: int) -> bool:
    """Whether there is an evaluation after so many steps among records."""
    return any(is_evaluation(record) and record["step"] == step for record in records)


def best_average_precision(records: list[Record]) -> float:
    """The highest AP among records; minus infinity if none of them is an evaluation."""
    found = [record["AP"] for record in records if is_evaluation(record)]
    return max((ap for ap in found if isinstance(ap, int | float)), default=-math.inf)


class TensorBoardLog:
    """Writes records as scalars into TensorBoard event files, in tensorboardX's format.

    Each is complete in the file when it is added. tensorboardX's own SummaryWriter leaves the
    writing to a thread: where the disk is full that ends, and the training waits for it for ever.

    Args:
        folder: where the event files go.
        first_step: as in `MetricsFile`; TensorBoard then shows no later step of older files.

    Raises:
        UserError: tensorboardX is not installed.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        try:
            from tensorboardX import event_file_writer, summary
            from tensorboardX.proto.event_pb2 import Event, SessionLog
        except ImportError as error:
            raise UserError(
                f"enable_tensorboard is true, but tensorboardX does not import ({error}); run "
                "pip install -r requirements/tensorboard.txt or leave it false."
            ) from None
        self._event, self._scalar = Event, summary.scalar
        folder.mkdir(parents=True, exist_ok=True)
        self._open = partial(event_file_writer.EventsWriter, str(folder / "events"))
        self._writer = self._open()
        start = SessionLog(status=SessionLog.SessionStatus.Value("START"))
        self._write(step=first_step + 1, session_log=start)

    def __call__(self, record: Record) -> None:
        """Adds a record; after an OSError, when it cannot be written, in another file."""
        group = "evaluation" if is_evaluation(record) else "training"
        if self._writer is None:
            self._writer = self._open(f".{record['step']}")
        for name, value in record.items():
            if name != "step":
                scalar = self._scalar(f"{group}/{name}", float(value))
                self._write(step=record["step"], summary=scalar)

    def _write(self, **content: Any) -> None:
        event = self._event(wall_time=time.time(), **content)
        try:
            self._writer.write_event(event)
            self._writer.flush()
        except OSError:
            self._writer = None  # nothing that follows half an event is read
            raise


def _line(record: Record) -> str:
    # JSON knows no NaN and no infinity, which a loss can be in a step that overflows.
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }
    return json.dumps(finite, allow_nan=False) + "\n"


def _if_known(written: Callable[[float], str], value: float) -> str:
    return "-" if math.isnan(value) else written(value)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
