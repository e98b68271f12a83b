# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""COCO records to a set of MindRecord files."""

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mindspore.mindrecord import FileWriter
from tqdm import tqdm

from src.data import mindrecord
from src.data.coco import BadRecords, ImageRecord
from src.data.images import (
    ImageFault,
    Oddity,
    decoder,
    examined,
    read_file,
)
from src.data.mindrecord import FileEntry, Manifest, load_manifest, manifest_path
from src.data.notes import Notes, note_image
from src.model_utils.errors import UserError
from src.model_utils.files import new_file_mode, read_regular, sha256, sync
from src.model_utils.locks import held
from src.model_utils.parameters import DatasetConfig
from src.model_utils.progress import telling
from src.model_utils.workers import map_ahead, worker_count

# Images read ahead of the writer: enough to keep the threads busy while it writes.
_READ_AHEAD = 256
# MindSpore holds Python's lock while it writes, 0.25 ms a record in such portions: few at a time,
# of one shard, let the threads go on. One at a time takes twice as long.
_RECORDS_PER_WRITE = 8
# A MindRecord page holds a whole record, with some bytes around it. Files grow by whole pages, and
# all of it is hashed: with MindSpore's 32 MiB, and 16 MiB of header, twice a small set's bytes.
_PAGE_BYTES, _HEADER_BYTES = 1 << 24, 1 << 21
_LARGEST_RECORD = _PAGE_BYTES - (1 << 10)
# Raise this when a change here or in `coco` makes another set of the same source and options: sets
# made before are then not "up to date".
_RULES = 3


@dataclass(frozen=True)
class _CheckedImage:
    """A record with its file's content and oddity, or the kind of its problem and what it is."""

    record: ImageRecord
    encoded: bytes = b""
    oddity: Oddity | None = None
    kind: str = ""
    problem: str = ""


@telling("looking at the image files' sizes and times")
def source_fingerprint(
    annotations: "hashlib._Hash",
    records: Sequence[ImageRecord],
    image_dir: Path,
    options: dict[str, Any],
) -> str:
    """What a set is made from, as a hexadecimal digest: equal sources give equal sets.

    Args:
        annotations: SHA-256 of the annotation file's bytes; updated here.
        records: their files' names, sizes and modification times count, not their content.
        image_dir: the folder that the names are below; it may move.
        options: the options that change the result.
    """
    version = [mindrecord.SCHEMA_VERSION, _RULES]
    annotations.update(json.dumps([version, options], sort_keys=True).encode())
    for record in records:
        try:
            status = record.path.stat()
            state = (status.st_size, status.st_mtime_ns)
        except (OSError, ValueError):  # the conversion will say what is wrong with it
            state = ()
        name = str(record.path.relative_to(image_dir))
        annotations.update(repr((name, state)).encode())
    return annotations.hexdigest()


def finished_set(mindrecord_dir: Path, prefix: str, source: str) -> Manifest | None:
    """The manifest of the set if it is there, whole by its sizes, and made from this source."""
    try:
        manifest = load_manifest(mindrecord_dir, prefix)
    except UserError:
        return None
    return manifest if manifest.source == source else None


def write_set(
    records: Sequence[ImageRecord],
    config: DatasetConfig,
    mindrecord_dir: Path,
    prefix: str,
    source: str,
    bad_records: BadRecords,
    notes: Notes,
    point_names: Sequence[str] = (),
) -> Manifest:
    """Writes the records as a set, replacing one of the same prefix.

    Every image is decoded once to see that it can be and that its size is the stated one, also
    those without boxes, which are written only if `keep_empty_images` says so. `notes` and
    `bad_records` report at the end; when these will fail, the images are still checked but nothing
    more is written. With `point_names` the points of the records are written too.

    Raises:
        UserError: records are not usable (unless `bad_records` skips), none is left, or the files
            cannot be written.
        OSError: likewise.
    """
    num_workers = worker_count(config.num_workers)
    with _partial_folder(mindrecord_dir, prefix) as folder:
        columns = dict(mindrecord.COLUMNS)
        if point_names:
            shape = [-1, 3 * len(point_names)]
            columns[mindrecord.KEYPOINTS] = {"type": "float32", "shape": shape}
        writer = _ShardWriter(folder / prefix, config.num_shards, columns)
        left_out_empty = 0
        try:
            for image in _checked_images(records, num_workers, config):
                if image.kind:
                    bad_records.add(image.kind, image.problem)
                    continue
                if min(image.record.height, image.record.width) < config.min_side:
                    kind = f"have a side below dataset_config.min_side {config.min_side}"
                    notes.add(
                        f"{{count}} image(s) {kind} ({{example}}): left out",
                        f"image {image.record.image_id}",
                    )
                    continue
                note_image(notes, str(image.record.path), image.oddity, config.turn_by_exif)
                if len(image.record.boxes) == 0 and not config.keep_empty_images:
                    left_out_empty += 1
                elif bad_records.acceptable:
                    writer.write(image)
            notes.report()
            bad_records.report()
            writer.commit()
        except RuntimeError as error:  # MindSpore's word for a full disk
            raise UserError(
                f"{mindrecord_dir}: MindRecord files cannot be written "
                f"({mindrecord.reason(error)}); check the free space and the permissions."
            ) from None
        if writer.images == 0:
            raise UserError(
                f"{mindrecord_dir / prefix}: no usable image with a box was found; check the "
                "annotation file and the image folder."
            )
        manifest = Manifest(
            schema_version=mindrecord.SCHEMA_VERSION,
            source=source,
            images=writer.images,
            empty_images=writer.empty_images,
            boxes=writer.boxes,
            left_out_empty=left_out_empty,
            left_out_unusable=bad_records.count,
            class_names=config.coco_classes,
            columns=columns,
            files=_finished_files(folder, num_workers),
            most_boxes=writer.most_boxes,
            turn_by_exif=config.turn_by_exif,
            notes=notes.lines(),
            keypoints=list(point_names),
            labelled_points=writer.labelled_points,
        )
        partial_manifest = manifest_path(folder, prefix)
        partial_manifest.write_text(manifest.as_json(), encoding="utf-8")
        sync(partial_manifest)
        _replace_set(mindrecord_dir, prefix, folder, manifest)
    return manifest


@contextlib.contextmanager
def _partial_folder(mindrecord_dir: Path, prefix: str) -> Iterator[Path]:
    """An empty hidden folder beside the set, for this process alone; it goes away at the end.

    What a killed conversion left in it is removed.

    Raises:
        UserError: another process converts to the same place.
        OSError: nothing can be written there.
    """
    advice = "wait for its end or choose another --mindrecord_prefix"
    with held(mindrecord_dir / prefix, "conversion", advice):
        folder = mindrecord_dir / f".{prefix}.partial"
        folder.mkdir(exist_ok=True)
        try:
            for left_over in folder.iterdir():
                left_over.unlink()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _checked_images(
    records: Sequence[ImageRecord], num_workers: int, config: DatasetConfig
) -> Iterator[_CheckedImage]:
    """Reads and checks the images in threads; gives them in order."""
    upright = config.turn_by_exif
    decode = decoder(config.image_backend, upright, config.take_damaged_jpegs)

    def check(record: ImageRecord) -> _CheckedImage:
        try:
            encoded = read_file(record.path)
            _, oddity = examined(encoded, decode, (record.height, record.width), upright)
            rows = (record.boxes, record.classes, record.keypoints)
            if len(encoded) + sum(row.nbytes for row in rows) > _LARGEST_RECORD:
                raise ImageFault(
                    "image file too large for MindRecord",
                    f"has {len(encoded)} bytes, more than MindRecord's page holds",
                )
        except ImageFault as fault:
            problem = f"{record.path}: image {record.image_id} {fault.what}"
            return _CheckedImage(record, kind=fault.kind, problem=problem)
        return _CheckedImage(record, encoded, oddity)

    with (
        # More than workers, as some wait for Python's lock while MindSpore writes.
        ThreadPoolExecutor(num_workers + 2) as pool,
        tqdm(total=len(records), desc="convert", unit="image", mininterval=1) as progress,
    ):
        for image in map_ahead(pool, check, records, _READ_AHEAD):
            yield image
            progress.update()


class _ShardWriter:
    """Deals images out to the shards in turn, and counts them, their boxes and points.

    Each shard has a writer of its own: one writer for all of them places the rows left over from a
    division by their number at random, and two conversions would train differently.
    """

    def __init__(self, path: Path, num_shards: int, columns: dict[str, dict[str, Any]]) -> None:
        self.images = self.empty_images = self.boxes = self.most_boxes = self.labelled_points = 0
        self._path, self._columns = path, columns
        self._writers: list[FileWriter] = []
        self._waiting: list[list[dict[str, Any]]] = [[] for _ in range(num_shards)]

    def write(self, image: _CheckedImage) -> None:
        """Takes an image.

        Raises:
            RuntimeError: MindSpore cannot write.
        """
        shard = self.images % len(self._waiting)
        if shard == len(self._writers):  # small sets lack the last shards
            writer = FileWriter(f"{self._path}{shard}", 1)
            writer.set_page_size(_PAGE_BYTES)
            writer.set_header_size(_HEADER_BYTES)
            writer.add_schema(self._columns, "COCO detection")
            self._writers.append(writer)
        row = _row(image)
        self._waiting[shard].append({name: row[name] for name in self._columns})
        self.images += 1
        self.empty_images += len(image.record.boxes) == 0
        self.boxes += len(image.record.boxes)
        self.most_boxes = max(self.most_boxes, len(image.record.boxes))
        self.labelled_points += int((image.record.keypoints[:, 2::3] > 0).sum())
        turn, rest = divmod(self.images, _RECORDS_PER_WRITE)
        if rest == 0:  # each shard in its turn
            self._write_waiting(turn % len(self._waiting))

    def commit(self) -> None:
        """Ends the files.

        Raises:
            RuntimeError: MindSpore cannot write.
        """
        for shard, writer in enumerate(self._writers):
            self._write_waiting(shard)
            writer.commit()

    def _write_waiting(self, shard: int) -> None:
        if self._waiting[shard]:
            self._writers[shard].write_raw_data(self._waiting[shard])
            self._waiting[shard].clear()


def _row(image: _CheckedImage) -> dict[str, Any]:
    boxes, classes, keypoints = image.record.boxes, image.record.classes, image.record.keypoints
    if len(boxes) == 0:
        boxes = np.zeros((1, 4), np.float32)
        keypoints = np.zeros((1, keypoints.shape[1]), np.float32)
        classes = np.array([mindrecord.NO_OBJECT], np.int32)
    return {
        "image": image.encoded,
        "image_id": image.record.image_id,
        "size": np.array([image.record.height, image.record.width], np.int32),
        "boxes": boxes,
        "classes": classes,
        mindrecord.KEYPOINTS: keypoints,
    }


def _finished_files(folder: Path, num_workers: int) -> dict[str, FileEntry]:
    """Brings the files to the disk, with the modes of new files; takes sizes and checksums."""
    mode = new_file_mode(folder)

    def finish(path: Path) -> FileEntry:
        path.chmod(mode)  # MindSpore lets the owner alone read them
        sync(path)
        return FileEntry(size=path.stat().st_size, sha256=sha256(path))

    paths = sorted(folder.iterdir())
    with ThreadPoolExecutor(num_workers) as pool:
        entries = tqdm(pool.map(finish, paths), "checksums", len(paths), unit="file")
        return {path.name: entry for path, entry in zip(paths, entries, strict=True)}


def earlier_files(path: Path, prefix: str) -> list[str]:
    """The files of a set of this prefix that a manifest of any version names.

    A damaged one names none: they are overwritten, or stay.
    """
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        own = re.compile(rf"{re.escape(prefix)}[0-9]{{1,9}}(\.db)?")
        return [name for name in json.loads(read_regular(path))["files"] if own.fullmatch(name)]
    return []


def _replace_set(mindrecord_dir: Path, prefix: str, folder: Path, manifest: Manifest) -> None:
    """Puts the finished files of `folder` in the place of an earlier set of this prefix.

    Up to the first step the earlier set is whole, after the last the new one; in between, which
    takes no longer than renaming the files, there is no manifest and training takes neither.
    """
    path = manifest_path(mindrecord_dir, prefix)
    earlier = earlier_files(path, prefix)
    path.unlink(missing_ok=True)
    sync(mindrecord_dir)
    for name in earlier:
        (mindrecord_dir / name).unlink(missing_ok=True)
    for name in manifest.files:
        (folder / name).replace(mindrecord_dir / name)
    sync(mindrecord_dir)
    manifest_path(folder, prefix).replace(path)
    sync(mindrecord_dir)
