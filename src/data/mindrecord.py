# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Sets of MindRecord files: encoded images with their boxes, and a manifest.

The manifest, PREFIX.json, is written last: a set without one was never finished.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mindspore.mindrecord import FileWriter
from tqdm import tqdm

from src.data.coco import BadRecords, ImageRecord
from src.data.images import Decoder, is_truncated_jpeg
from src.model_utils.errors import UserError
from src.model_utils.files import sync, write_json

SCHEMA_VERSION = 1
SCHEMA = {
    "image": {"type": "bytes"},
    "image_id": {"type": "int64"},
    "size": {"type": "int32", "shape": [2]},
    "boxes": {"type": "float32", "shape": [-1, 4]},
    "classes": {"type": "int32", "shape": [-1]},
}
_RECORDS_PER_WRITE = 256


@dataclass(frozen=True)
class Manifest:
    """What a finished set holds; `files` maps each file name to its size in bytes."""

    schema_version: int
    images: int
    boxes: int
    class_names: list[str]
    files: dict[str, int]


def manifest_path(mindrecord_dir: Path, prefix: str) -> Path:
    return mindrecord_dir / f"{prefix}.json"


def write_set(
    records: Sequence[ImageRecord],
    class_names: Sequence[str],
    mindrecord_dir: Path,
    prefix: str,
    num_shards: int,
    num_workers: int,
    decode: Decoder,
    bad_records: BadRecords,
) -> Manifest:
    """Writes the images that have boxes as a set, replacing one of the same prefix.

    Each image is decoded once to see that it can be, and that its size is the stated one.

    Raises:
        UserError: an image is missing or broken (unless `bad_records` skips), or none is left.
    """
    records = [record for record in records if len(record.boxes)]
    partial_dir = mindrecord_dir / f".{prefix}.partial"
    shutil.rmtree(partial_dir, ignore_errors=True)
    partial_dir.mkdir(parents=True)
    try:
        rows = _checked_rows(records, num_workers, decode, bad_records)
        try:
            images, boxes = _write_rows(rows, partial_dir / prefix, num_shards)
        except RuntimeError as error:  # MindSpore's word for a full disk
            reason = " ".join(str(error).split("\n")[0].split())
            raise UserError(
                f"{mindrecord_dir}: MindRecord files cannot be written ({reason}); check the free "
                "space and the permissions."
            ) from None
        if images == 0:
            raise UserError(
                f"{mindrecord_dir / prefix}: no usable image with a box was found; check the "
                "annotation file and the image folder."
            )
        _remove_set(mindrecord_dir, prefix)
        files = {}
        for path in sorted(partial_dir.iterdir()):
            sync(path)
            files[path.name] = path.stat().st_size
            path.replace(mindrecord_dir / path.name)
    finally:
        shutil.rmtree(partial_dir, ignore_errors=True)
    manifest = Manifest(SCHEMA_VERSION, images, boxes, list(class_names), files)
    write_json(manifest_path(mindrecord_dir, prefix), asdict(manifest))
    return manifest


def _checked_rows(
    records: Sequence[ImageRecord], num_workers: int, decode: Decoder, bad_records: BadRecords
) -> Iterator[dict[str, Any]]:
    def read(record: ImageRecord) -> tuple[bytes, str]:
        try:
            encoded = record.path.read_bytes()
        except OSError as error:
            return b"", f"{record.path}: image {record.image_id} cannot be read ({error.strerror})"
        image = decode(encoded)
        if image is None or is_truncated_jpeg(encoded):
            return b"", f"{record.path}: image {record.image_id} does not decode"
        if image.shape[:2] != (record.height, record.width):
            return b"", (
                f"{record.path}: image {record.image_id} is {image.shape[1]}x{image.shape[0]} "
                f"pixels but its annotation says {record.width}x{record.height}"
            )
        return encoded, ""

    with (
        ThreadPoolExecutor(num_workers) as pool,
        tqdm(total=len(records), desc="convert", unit="image", mininterval=1) as progress,
    ):
        for start in range(0, len(records), _RECORDS_PER_WRITE):
            chunk = records[start : start + _RECORDS_PER_WRITE]
            for record, (encoded, problem) in zip(chunk, pool.map(read, chunk), strict=True):
                progress.update()
                if problem:
                    bad_records.add(problem)
                    continue
                yield {
                    "image": encoded,
                    "image_id": record.image_id,
                    "size": np.array([record.height, record.width], np.int32),
                    "boxes": record.boxes,
                    "classes": record.classes,
                }


def _write_rows(rows: Iterator[dict[str, Any]], path: Path, num_shards: int) -> tuple[int, int]:
    """Deals the rows out to the shards in turn; returns the number of images and of boxes.

    Each shard has a writer of its own: one writer for all of them places the rows left over from a
    division by their number at random, and two conversions would train differently.
    """
    writers: list[FileWriter] = []
    waiting: list[list[dict[str, Any]]] = [[] for _ in range(num_shards)]
    images = boxes = 0
    for row in rows:
        shard = images % num_shards
        if shard == len(writers):
            writers.append(FileWriter(f"{path}{shard}", 1))
            writers[shard].add_schema(SCHEMA, "COCO detection")
        waiting[shard].append(row)
        images += 1
        boxes += len(row["boxes"])
        if images % _RECORDS_PER_WRITE == 0:
            _write_waiting(writers, waiting)
    _write_waiting(writers, waiting)
    for writer in writers:
        writer.commit()
    return images, boxes


def _write_waiting(writers: list[FileWriter], waiting: list[list[dict[str, Any]]]) -> None:
    for writer, shard_rows in zip(writers, waiting, strict=False):  # small sets lack shards
        if shard_rows:
            writer.write_raw_data(shard_rows)
            shard_rows.clear()


def _remove_set(mindrecord_dir: Path, prefix: str) -> None:
    """Removes an earlier set of this prefix: its manifest first, then the files that it names."""
    path = manifest_path(mindrecord_dir, prefix)
    if path.exists():
        try:
            files = dict(json.loads(path.read_bytes())["files"])
        except (ValueError, KeyError, TypeError):
            files = {}  # damaged: its files are overwritten, or stay
        path.unlink()
        for name in files:
            (mindrecord_dir / Path(name).name).unlink(missing_ok=True)


def read_manifest(mindrecord_dir: Path, prefix: str, class_names: Sequence[str]) -> Manifest:
    """Reads the manifest of a finished set and checks its files' sizes and its categories.

    Raises:
        UserError: there is no such set, it was not finished, it was changed, or it was converted
            for other categories.
    """
    path = manifest_path(mindrecord_dir, prefix)
    remedy = "run scripts/convert_dataset_to_mindrecord.sh"
    try:
        manifest = Manifest(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise UserError(f"{path}: no finished MindRecord set is here; {remedy}.") from None
    except (ValueError, TypeError):
        raise UserError(f"{path}: is not a manifest of a MindRecord set; {remedy} again.") from None
    if manifest.schema_version != SCHEMA_VERSION:
        raise UserError(
            f"{path}: schema version {manifest.schema_version} is not {SCHEMA_VERSION}; "
            f"{remedy} again."
        )
    for name, size in manifest.files.items():
        file = mindrecord_dir / name
        if not file.is_file() or file.stat().st_size != size:
            raise UserError(f"{file}: is missing or not the {size} bytes written; {remedy} again.")
    if manifest.class_names != list(class_names):
        raise UserError(
            f"{path}: was converted for {len(manifest.class_names)} categories "
            f"({', '.join(manifest.class_names[:3])}, ...), not those of "
            "dataset_config.coco_classes; use the same config for both."
        )
    return manifest


def shard_files(mindrecord_dir: Path, manifest: Manifest) -> list[str]:
    """The set's data files, without their index files."""
    return [str(mindrecord_dir / name) for name in manifest.files if not name.endswith(".db")]


def as_bytes(value: np.ndarray) -> np.ndarray:
    """The uint8 array of a `bytes` column's value, which Python gets as a numpy bytes scalar."""
    return np.frombuffer(value, np.uint8)
