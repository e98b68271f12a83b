# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Sets of MindRecord files: encoded images with their boxes, and a manifest.

The manifest, PREFIX.json, is written last: a set without one was never finished.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import mindspore.dataset as ds
import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from tqdm import tqdm

from src.model_utils.errors import UserError
from src.model_utils.files import check_readable, read_regular, sha256

SCHEMA_VERSION = 2
# Readers pick columns by name and the manifest lists them, so a set with points is one with a
# further column, and good for boxes too.
COLUMNS: dict[str, dict[str, Any]] = {
    "image": {"type": "bytes"},
    "image_id": {"type": "int64"},
    "size": {"type": "int32", "shape": [2]},  # height, width
    "boxes": {"type": "float32", "shape": [-1, 4]},
    "classes": {"type": "int32", "shape": [-1]},
}
KEYPOINTS = "keypoints"  # float32 (n,3J): x, y in pixels of the image and visibility of each point
# MindRecord gives an empty array back as a scalar of random content. An image without boxes
# therefore has one row of zeros, whose class is this.
NO_OBJECT = -1
_PATIENCE = 5.0  # seconds without a word
_REMEDY = "run scripts/convert_dataset_to_mindrecord.sh"


Count = Annotated[int, Field(ge=0, lt=2**53)]
FileName = Annotated[str, Field(pattern=r"^[^/\x00]+$", max_length=255)]  # in the set's folder


class FileEntry(BaseModel):
    """A file as it was written: its size in bytes, and its SHA-256 in hexadecimal digits."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    size: Count
    sha256: str


class Manifest(BaseModel):
    """What a finished set holds.

    source: fingerprint of what it was converted from, see `conversion.source_fingerprint`.
    images: number of images, of which empty_images have no box.
    left_out_empty, left_out_unusable: number of images left out as they have no box, and of images
        and annotations left out as unusable.
    class_names: the categories; class indices are positions in it.
    columns: name, type and shape of each column, as MindRecord's schemas say them.
    most_boxes: of one image; 0 in sets of versions that did not say.
    keypoints: names of the points of the column of that name; none in a set without.
    labelled_points: number of points that are labelled.
    turn_by_exif: whether pixels are to be turned by their EXIF orientation, as the boxes are.
    notes: what was odd in the source, a line each.
    files: the set's files by name.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    schema_version: int
    source: str
    images: Count
    empty_images: Count
    boxes: Count
    left_out_empty: Count
    left_out_unusable: Count
    class_names: list[str]
    columns: dict[str, dict[str, Any]]
    files: dict[FileName, FileEntry]
    most_boxes: Count = 0
    turn_by_exif: bool = False
    notes: list[str] = []
    keypoints: list[str] = []
    labelled_points: Count = 0

    @property
    def contents(self) -> str:
        """How much it holds, for messages."""
        points = f" and {self.labelled_points} labelled points" if self.keypoints else ""
        return f"{self.images} images with {self.boxes} boxes{points}"

    def as_json(self) -> str:
        """What stands in the file; a set without points says nothing of them."""
        left_out = None if self.keypoints else {"keypoints", "labelled_points"}
        return self.model_dump_json(indent=1, exclude=left_out)


def manifest_path(mindrecord_dir: Path, prefix: str) -> Path:
    return mindrecord_dir / f"{prefix}.json"


def load_manifest(mindrecord_dir: Path, prefix: str) -> Manifest:
    """Reads the manifest of a finished set and checks that its files have the sizes written.

    Raises:
        UserError: there is no such set, it was not finished, or it was changed.
        OSError: a file may not be read.
    """
    path = manifest_path(mindrecord_dir, prefix)
    try:
        content = json.loads(read_regular(path))
        version = content["schema_version"]
        manifest = Manifest.model_validate(content) if version == SCHEMA_VERSION else None
    except FileNotFoundError:
        raise UserError(f"{path}: no finished MindRecord set is here; {_REMEDY}.") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UserError(
            f"{path}: is not a manifest of a MindRecord set; {_REMEDY} again."
        ) from None
    if manifest is None:
        raise UserError(
            f"{path}: schema version {version} is not {SCHEMA_VERSION}; {_REMEDY} again."
        )
    for name, written in manifest.files.items():
        file = mindrecord_dir / name
        if not file.is_file() or file.stat().st_size != written.size:
            raise UserError(
                f"{file}: is missing or not the {written.size} bytes written; {_REMEDY} again."
            )
        check_readable(file)
    return manifest


def read_manifest(
    mindrecord_dir: Path, prefix: str, class_names: Sequence[str], point_names: Sequence[str] = ()
) -> Manifest:
    """`load_manifest`, and the check that the set was converted for these categories and points.

    None are asked for by empty lists.

    Raises:
        UserError: as `load_manifest`, or the categories or points are others.
    """
    manifest = load_manifest(mindrecord_dir, prefix)
    if class_names and manifest.class_names != list(class_names):
        raise UserError(
            f"{manifest_path(mindrecord_dir, prefix)}: was converted for "
            f"{len(manifest.class_names)} categories ({', '.join(manifest.class_names[:3])}, ...), "
            "not those of dataset_config.coco_classes; use the same config for both."
        )
    if point_names and manifest.keypoints != list(point_names):
        shown = f"{len(manifest.keypoints)} ({', '.join(manifest.keypoints[:3])}, ...)"
        raise UserError(
            f"{manifest_path(mindrecord_dir, prefix)}: was converted with "
            f"{shown if manifest.keypoints else 'no'} keypoints, not the {len(point_names)} of "
            "net_config.pose.keypoints; convert with the config of the training, --task pose."
        )
    return manifest


def verify_set(mindrecord_dir: Path, prefix: str, num_workers: int) -> Manifest:
    """Checks every checksum, then reads every record and counts.

    Raises:
        UserError: as `load_manifest`; or a file's content is not what was written, or the records
            are not those that the manifest counts.
    """
    manifest = load_manifest(mindrecord_dir, prefix)
    check_content(mindrecord_dir, manifest, num_workers)
    counted = _count_records(mindrecord_dir, prefix, manifest, num_workers)
    stated = (manifest.images, manifest.empty_images, manifest.boxes, manifest.labelled_points)
    if counted != stated:
        points = " and {} labelled points" if manifest.keypoints else ""
        raise UserError(
            f"{manifest_path(mindrecord_dir, prefix)}: states {stated[0]} images, {stated[1]} of "
            f"them without boxes, and {stated[2]} boxes{points.format(stated[3])}, but the files "
            f"hold {counted[0]}, {counted[1]} and {counted[2]}{points.format(counted[3])}; "
            f"{_REMEDY} again."
        )
    return manifest


def check_content(
    mindrecord_dir: Path, manifest: Manifest, num_workers: int, part: int = 0, parts: int = 1
) -> None:
    """Compares the content of the set's files with their check sums, of one in `parts` of them.

    MindSpore takes lengths and places of damaged files as they stand there, and crashes.

    Raises:
        UserError: a file's content is not what was written.
    """
    by_size = sorted(manifest.files, key=lambda name: (manifest.files[name].size, name))
    paths = [mindrecord_dir / name for name in by_size[part::parts]]
    with ThreadPoolExecutor(num_workers) as pool:
        digests = pool.map(sha256, paths)
        progress = tqdm(
            zip(paths, digests, strict=True), "checksums", len(paths), unit="file", delay=_PATIENCE
        )
        changed = [path for path, digest in progress if digest != manifest.files[path.name].sha256]
    if changed:
        others = f", as in {len(changed) - 1} more files" if len(changed) > 1 else ""
        raise UserError(
            f"{changed[0]}: its content is not what was written (SHA-256){others}; {_REMEDY} again."
        )


def _count_records(
    mindrecord_dir: Path, prefix: str, manifest: Manifest, num_workers: int
) -> tuple[int, int, int, int]:
    """Reads all columns of all records.

    Returns:
        Number of images, of those without boxes, of boxes, of labelled points.
    """
    images = empty_images = boxes = labelled_points = 0
    try:
        records = ds.MindDataset(
            shard_files(mindrecord_dir, manifest),
            columns_list=list(manifest.columns),
            shuffle=False,
            num_parallel_workers=num_workers,
        )
        rows = records.create_dict_iterator(num_epochs=1, output_numpy=True)
        for row in tqdm(rows, "records", manifest.images, unit="image", mininterval=1):
            count = len(real_objects(row["boxes"], row["classes"])[0])
            images += 1
            empty_images += count == 0
            boxes += count
            if manifest.keypoints:
                points, _ = real_objects(row[KEYPOINTS], row["classes"])
                labelled_points += int((points[:, 2::3] > 0).sum())
    except RuntimeError as error:
        raise UserError(
            f"{mindrecord_dir / prefix}: record {images} cannot be read ({reason(error)}); "
            f"{_REMEDY} again."
        ) from None
    return images, empty_images, boxes, labelled_points


@contextlib.contextmanager
def reading(mindrecord_dir: Path, prefix: str) -> Iterator[None]:
    """While it lasts a file of the set that MindSpore cannot read any more is a `UserError`."""
    try:
        yield
    except RuntimeError as error:
        if "minddata/mindrecord/" not in str(error):  # where in its source
            raise
        raise UserError(
            f"{mindrecord_dir / prefix}: cannot be read any more ({reason(error)}); check the disk "
            "and, by src/dataset.py --verify, the files; --resume goes on from the last checkpoint."
        ) from None


def reason(error: RuntimeError) -> str:
    """What MindSpore's message of many lines says, in one: its [ERROR] line if it has one."""
    lines = [" ".join(line.split()) for line in str(error).splitlines()]
    errors = [line.removeprefix("[ERROR] ") for line in lines if line.startswith("[ERROR] ")]
    return (errors or lines or [""])[0].rstrip(".")


def shard_files(mindrecord_dir: Path, manifest: Manifest) -> list[str]:
    """The set's data files, without their index files."""
    return [str(mindrecord_dir / name) for name in manifest.files if not name.endswith(".db")]


def as_bytes(value: np.ndarray) -> np.ndarray:
    """The uint8 array of a `bytes` column's value, which Python gets as a numpy bytes scalar."""
    return np.frombuffer(value, np.uint8)


def real_objects(rows: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A record's boxes or keypoints and classes (n,) without the row that stands for no object."""
    real = classes != NO_OBJECT
    return rows[real], classes[real]
