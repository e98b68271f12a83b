# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Reading COCO annotation files, with every record checked.

Category ids and xywh boxes stay on this side: what leaves is class indices and xyxy boxes.
"""

import gzip
import hashlib
import json
import re
import unicodedata
import urllib.parse
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from src.data.images import LARGEST_SIDE, ImageFault, check_header, header_size, kind_of, read_file
from src.data.keypoints import Points, note_points, points_of
from src.data.notes import Notes, note_boxes
from src.model_utils.errors import UserError
from src.model_utils.facts import with_facts
from src.model_utils.files import read_regular
from src.model_utils.messages import say
from src.model_utils.parameters import Config, DatasetConfig
from src.model_utils.pose_parameters import PoseConfig
from src.model_utils.progress import telling

_EXAMPLES = 5  # shown of each kind of problem
_LARGEST_AREA = LARGEST_SIDE**2


@dataclass(frozen=True)
class ImageRecord:
    """An image of a COCO set with its objects.

    boxes: float32 (n,4) x1 y1 x2 y2 in pixels; classes: int32 (n,), 0-based and contiguous;
    keypoints: float32 (n,3J), x y in pixels and visibility of the points that were wanted, and then
    areas: float64 (n,), what the objects cover, by which their points are compared.
    """

    image_id: int
    path: Path
    width: int
    height: int
    boxes: np.ndarray
    classes: np.ndarray
    keypoints: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    areas: np.ndarray | None = None


class BadRecords:
    """Collects the records that are not usable, by the kind of their problem.

    All are gathered before anything is said about them, so that one run shows the whole list. With
    the action `fail` there may be none, with `skip` they are left out.
    """

    def __init__(self, action: str) -> None:
        self._action = action
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    @property
    def count(self) -> int:
        return self._counts.total()

    @property
    def acceptable(self) -> bool:
        """Whether the good records are wanted still."""
        return self._action == "skip" or not self._counts

    def add(self, kind: str, problem: str) -> None:
        """Notes a problem: its kind, and what is wrong with which record of which file."""
        self._counts[kind] += 1
        examples = self._examples.setdefault(kind, [])
        if len(examples) < _EXAMPLES:
            examples.append(problem)

    def report(self) -> None:
        """Prints the list to stderr, if there is anything on it.

        Raises:
            UserError: with the action `fail`, if there is.
        """
        if not self._counts:
            return
        kinds = self._counts.most_common()
        lines = [f"unusable records: {self.count}"]
        for kind, count in kinds:
            examples = self._examples[kind]
            lines += [f"  {kind}: {count}", *(f"    {problem}" for problem in examples)]
            if count > _EXAMPLES:
                lines.append(f"    and {count - _EXAMPLES} more")
        say(*lines, to_stderr=True)
        if self._action == "fail":
            first = self._examples[kinds[0][0]][0]
            if self.count > 1:
                first += f" (and {self.count - 1} more unusable records, listed above)"
            raise UserError(f"{first}; mend what is listed or pass --on_bad_record skip.")


def is_id(value: Any) -> bool:
    """Whether a value of a json is an integer that 64 bits hold; true and false are none."""
    return type(value) is int and -(2**63) <= value < 2**63


def is_box(value: Any) -> bool:
    """Whether a value of a json is a list of four numbers, which may be NaN or infinite."""
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(type(side) is float or is_id(side) for side in value)
    )


def whole(value: Any) -> Any:
    """The integer that a value of a json means, as 7, 7.0, "7" and "7.0" do; else the value."""
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is str and (found := _WHOLE.fullmatch(value)):
        return int(found[1])
    return value


_LONG_TO_READ = 100_000_000  # bytes of json: a few seconds
_WHOLE = re.compile(r"\s*([-+]?[0-9]{1,19})(?:\.0*)?\s*")


def is_marked(entry: dict[str, Any], flag: str) -> bool:
    """Whether an annotation's flag, `iscrowd` or `ignore`, is set."""
    return whole(entry.get(flag)) == 1


def area_of(entry: dict[str, Any]) -> float:
    """The area that an annotation states, if it is one, or else its well-formed box's."""
    area, box = entry.get("area"), entry["bbox"]
    is_stated = isinstance(area, int | float) and 0 <= area <= _LARGEST_AREA  # nor NaN
    return float(area) if is_stated else float(box[2]) * float(box[3])


@telling("reading the annotation file")
def read_annotation_file(
    path: Path, digest: "hashlib._Hash | None" = None, notes: Notes | None = None
) -> dict[str, Any]:
    """Reads a COCO json with `images` and `categories`; `annotations` may be absent (test sets).

    What means the same is made the same: integers for whole numbers as text or float in ids and
    sizes, text for numbers as names, and boxes from polygons where there is none.

    Args:
        path: the file, also one packed with gzip.
        digest: is updated with the file's bytes.
        notes: takes what was made.

    Raises:
        UserError: the file is missing, is not json or is not COCO's.
    """
    try:
        encoded = read_regular(path)
    except FileNotFoundError:
        raise UserError(
            f"{path}: annotation file not found; check the data set folder and dataset_config."
        ) from None
    if digest is not None:
        digest.update(encoded)
    if len(encoded) > _LONG_TO_READ:  # json keeps all other threads from running
        say(f"reading {path}, {len(encoded) / 1e6:.0f} MB")
    content = _decoded_json(path, encoded)
    for key in ("images", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise UserError(f"{path}: is not a COCO annotation file: it has no list {key!r}.")
        for position, entry in enumerate(content[key]):
            if not isinstance(entry, dict):
                raise UserError(
                    f"{path}: is not a COCO annotation file: {key}[{position}] is no mapping."
                )
    if not isinstance(content.get("annotations", []), list):
        raise UserError(f"{path}: is not a COCO annotation file: its annotations are no list.")
    _normalise(content, notes or Notes())
    return content


def _decoded_json(path: Path, encoded: bytes) -> Any:
    try:
        if encoded[:2] == b"\x1f\x8b":
            encoded = gzip.decompress(encoded)
        return json.loads(encoded)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path}: is packed with gzip and damaged ({error}); fetch it again."
        ) from None
    except UnicodeDecodeError as error:
        kind = kind_of(encoded)
        what = f"is {kind}" if kind else f"is not UTF-8 (byte {error.start})"
        remedy = "give the json itself" if kind else "write it again in UTF-8"
        raise UserError(f"{path}: is not json: it {what}; {remedy}.") from None
    except (ValueError, RecursionError) as error:
        kind = kind_of(encoded)
        what = f"it is {kind}" if kind else error
        raise UserError(f"{path}: is not json ({what}); fetch or write it again.") from None


def _normalise(content: dict[str, Any], notes: Notes) -> None:
    """Gives ids, sizes, names and boxes that mean the same one form, in place."""
    for image in content["images"]:
        for key in ("id", "width", "height"):
            image[key] = whole(image.get(key))
    for category in content["categories"]:
        category["id"] = whole(category.get("id"))
        if type(category.get("name")) in (int, float):
            category["name"] = str(category["name"])
    seen: set[int] = set()
    for position, entry in enumerate(content.get("annotations", [])):
        if not isinstance(entry, dict):
            continue
        for key in ("image_id", "category_id"):
            if type(entry.get(key)) is not int:
                entry[key] = whole(entry.get(key))
        annotation_id = whole(entry.get("id"))
        if is_id(annotation_id):
            if annotation_id in seen:
                notes.add(
                    "{count} annotation id(s) stand there more than once ({example}); nothing "
                    "needs them, and all boxes are kept",
                    f"id {annotation_id} of image {entry['image_id']}",
                )
            seen.add(annotation_id)
        if not entry.get("bbox") and (box := _polygon_box(entry.get("segmentation"))):
            entry["bbox"] = box
            notes.add(
                "{count} box(es) are computed from polygons, as there is no bbox ({example})",
                _name(entry, position),
            )


def _polygon_box(segmentation: Any) -> list[float] | None:
    """The x y width height around polygons [[x, y, x, y, ...], ...]; None if they are none."""
    try:
        points = np.concatenate([np.array(part, np.float64).ravel() for part in segmentation])
    except (TypeError, ValueError, OverflowError):
        return None
    if isinstance(segmentation, dict) or len(points) < 4 or len(points) % 2:
        return None
    if not np.isfinite(points).all():
        return None
    low, high = points.reshape(-1, 2).min(axis=0), points.reshape(-1, 2).max(axis=0)
    return [*low.tolist(), *(high - low).tolist()]


def with_classes(config: Config, annotation_path: Path) -> Config:
    """The configuration with the categories of an annotation file as classes, if it names none.

    They are in the order of their ids.

    Raises:
        UserError: as `read_annotation_file`, or a category has no id or no name.
    """
    if config.dataset_config.coco_classes:
        return config
    categories = read_annotation_file(annotation_path)["categories"]
    for position, category in enumerate(categories):
        if not (is_id(category["id"]) and isinstance(category.get("name"), str)):
            raise UserError(
                f"{annotation_path}: categories[{position}] has no id or no name, so it is no "
                "class; name the classes by dataset_config.coco_classes."
            )
    names = [category["name"] for category in sorted(categories, key=lambda c: c["id"])]
    return with_facts(config, {"dataset_config.coco_classes": names}, annotation_path)


def class_of_category(
    content: dict[str, Any],
    class_names: Sequence[str],
    path: Path,
    other_classes: str = "fail",
    notes: Notes | None = None,
) -> dict[int, int]:
    """Maps COCO category ids to class indices, the positions of their names in `class_names`.

    A category that is not among `class_names` and that no annotation uses is left out.

    Args:
        content: what `read_annotation_file` gave.
        class_names: the classes.
        path: the file.
        other_classes: `dataset_config.other_classes`: fail, or leave_out categories that are not
            among `class_names`.
        notes: takes what is left out.

    Raises:
        UserError: a category has no id, one with the id or the name of another, or one that is not
            among `class_names`.
    """
    notes = notes or Notes()
    class_of_name = {name: index for index, name in enumerate(class_names)}
    uses = _uses(content)
    unused = "{count} category(ies) that no annotation uses are left out ({example})"
    mapping: dict[int, int] = {}
    seen: set[int] = set()
    for position, category in enumerate(content["categories"]):
        category_id, name = category["id"], category.get("name")
        if not is_id(category_id):
            raise UserError(
                f"{path}: categories[{position}] has no integer id of 64 bits but {category_id!r}; "
                "COCO needs one."
            )
        if category_id in seen:
            raise UserError(
                f"{path}: category id {category_id} stands there twice; give each category an id "
                "of its own."
            )
        seen.add(category_id)
        shown = f"{name!r} (id {category_id})"
        is_unused = uses is not None and category_id not in uses
        class_index = class_of_name.get(name) if isinstance(name, str) else None
        other = next((key for key, value in mapping.items() if value == class_index), None)
        if (class_index is None or other is not None) and is_unused:
            notes.add(unused, shown)
        elif class_index is None and other_classes == "leave_out":
            if uses is not None:
                notes.add(
                    "{count} box(es) of categories that dataset_config.coco_classes lacks are left "
                    "out ({example})",
                    shown,
                    uses[category_id],
                )
        elif class_index is None:
            raise UserError(
                f"{path}: category {shown} is not in dataset_config.coco_classes; add it there, "
                "leave its boxes out with --dataset_config.other_classes leave_out or pick the "
                "config of this data set."
            )
        elif other is not None and uses is not None and other not in uses:
            notes.add(unused, shown)
            del mapping[other]
            mapping[category_id] = class_index
        elif other is not None:
            raise UserError(
                f"{path}: category {name!r} stands there twice; give its annotations one category."
            )
        else:
            mapping[category_id] = class_index
    return mapping


def _uses(content: dict[str, Any]) -> Counter[int] | None:
    """How many annotations are of each category; None for a file that lists images alone."""
    if "annotations" not in content:
        return None
    entries = (entry for entry in content["annotations"] if isinstance(entry, dict))
    return Counter(entry["category_id"] for entry in entries if is_id(entry["category_id"]))


@telling("checking annotations and images")
def read_records(
    content: dict[str, Any],
    annotation_path: Path,
    image_dir: Path,
    config: DatasetConfig,
    bad_records: BadRecords,
    notes: Notes | None = None,
    num_workers: int = 4,
    pose: PoseConfig | None = None,
) -> list[ImageRecord]:
    """All usable images with their usable boxes, in the file's order, those without boxes included.

    Boxes are clipped to the image. What is not usable goes to `bad_records`, except the annotations
    of an unusable image, which leave with it; an image that thereby loses all its boxes leaves too,
    as it is no background. Boxes marked `ignore` are left out.

    Args:
        content: what `read_annotation_file` gave.
        annotation_path: the file it gave it from.
        image_dir: the folder that file names are below.
        config: its classes are read, and which boxes and images are wanted.
        bad_records: collects the problems.
        notes: takes what is odd.
        num_workers: threads that read the images whose size the file does not state.
        pose: the points to read, if any.

    Raises:
        UserError: a category is unknown or stands there twice; or points are wanted that the file
            does not have.
    """
    notes = notes or Notes()
    mapping = class_of_category(
        content, config.coco_classes, annotation_path, config.other_classes, notes
    )
    points = Points()
    if pose:
        points = points_of(content, mapping, config.coco_classes, pose, annotation_path)
    reading = _ImageReading(image_dir, config.turn_by_exif)
    images = _usable_images(
        content["images"], annotation_path, reading, bad_records, notes, num_workers=num_workers
    )
    annotations, refused = _wellformed_annotations(
        content, mapping, annotation_path, bad_records, points
    )
    index = {image["id"]: position for position, image in enumerate(images)}
    annotations = [entry for entry in annotations if entry["image_id"] in index]
    owners = np.array([index[entry["image_id"]] for entry in annotations], np.int64)
    classes = np.array([mapping[entry["category_id"]] for entry in annotations], np.int32)
    sizes = np.array([(image["width"], image["height"]) for image in images]).reshape(-1, 2)
    boxes, usable = _clipped_boxes(annotations, sizes[owners], annotation_path, bad_records, notes)
    refused |= {annotations[i]["image_id"] for i in np.flatnonzero(~usable)}
    is_ignored = np.array([is_marked(entry, "ignore") for entry in annotations], bool)
    if (is_ignored & usable).any():
        notes.add(
            "{count} box(es) are marked ignore: left out of training, and neither found nor missed "
            "in AP ({example})",
            _name(annotations[int(np.argmax(is_ignored & usable))]),
            int((is_ignored & usable).sum()),
        )
    usable &= ~is_ignored
    if config.skip_crowd:
        usable &= [not is_marked(entry, "iscrowd") for entry in annotations]
    # The boxes of one image side by side, in the file's order.
    order = np.flatnonzero(usable)
    order = order[np.argsort(owners[order], kind="stable")]
    ends = np.searchsorted(owners[order], np.arange(len(images)), side="right").tolist()
    boxes, classes = boxes[order], classes[order]
    entries = [annotations[row] for row in order]
    keypoints = points.of(entries)
    if points.names:
        note_points(
            *(notes, points, entries, keypoints),
            sizes=sizes[owners[order]],
            path=annotation_path,
            name=_name,
        )
    keypoints = keypoints.astype(np.float32)
    areas = np.array([area_of(entry) for entry in entries]) if points.names else None
    records = []
    for image, start, end in zip(images, [0, *ends], ends, strict=False):
        if start == end and image["id"] in refused:
            notes.add(
                "{count} image(s) are left out, as every box of theirs is unusable ({example})",
                f"image {image['id']}, {image['file_name']}",
            )
            continue
        path = image_dir / image["file_name"]
        records.append(
            ImageRecord(
                image["id"],
                path,
                image["width"],
                image["height"],
                boxes=boxes[start:end],
                classes=classes[start:end],
                keypoints=keypoints[start:end],
                areas=None if areas is None else areas[start:end],
            )
        )
    return records


def _name(entry: dict[str, Any], position: int | None = None) -> str:
    """What a message calls an annotation."""
    annotation_id = entry.get("id")
    if annotation_id is not None:
        return f"annotation {annotation_id!r}"
    where = f" of image {entry['image_id']!r}" if position is None else f" number {position}"
    return f"annotation{where}"


@dataclass(frozen=True)
class _ImageReading:
    """Finds the files that an annotation file names, and reads the sizes that it leaves out."""

    image_dir: Path
    upright: bool

    def found(self, name: str) -> str:
        """The name, below the folder, of the file that is meant; as it was if there is none."""
        if Path(name).is_absolute():
            for folder in (self.image_dir.absolute(), self.image_dir.resolve()):
                if folder in Path(name).parents:
                    return str(Path(name).relative_to(folder))
        others = []
        if "\\" in name:
            others.append(PureWindowsPath(name).as_posix())
        if "%" in name:
            others.append(urllib.parse.unquote(name))
        if not name.isascii():  # a Mac splits letters and accents
            others += [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
        if others and not _is_file(self.image_dir / name):
            return next((other for other in others if _is_file(self.image_dir / other)), name)
        return name

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of an image as it is decoded; raises `ImageFault`."""
        encoded = read_file(self.image_dir / name)
        check_header(encoded, upright=self.upright)
        size = header_size(encoded, self.upright)
        if size is None:
            raise ImageFault("image without a size", "has no width and height, nor has its file")
        return size[1], size[0]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (ValueError, OSError):  # a NUL in the name, or it is too long
        return False


def _usable_images(
    images: list[dict[str, Any]],
    annotation_path: Path,
    reading: _ImageReading,
    bad_records: BadRecords,
    notes: Notes,
    num_workers: int,
) -> list[dict[str, Any]]:
    entries_of_id = Counter(image["id"] for image in images if is_id(image["id"]))
    usable = []
    for position, image in enumerate(images):
        name = image.get("file_name")
        if isinstance(name, str):
            image = {**image, "file_name": reading.found(name)}
        kind, what = _image_problem(image, reading.image_dir)
        if not kind and entries_of_id[image["id"]] > 1:
            # Which of them an annotation means is not known: none is usable.
            kind = "image id that is not unique"
            what = f"({image['file_name']!r}) shares its id with another image"
        if kind:
            shown = f"number {position}" if image["id"] is None else f"{image['id']!r}"
            bad_records.add(kind, f"{annotation_path}: image {shown} {what}")
        else:
            usable.append(image)
    return list(_with_sizes(usable, reading, bad_records, notes, num_workers))


def _with_sizes(
    images: list[dict[str, Any]],
    reading: _ImageReading,
    bad_records: BadRecords,
    notes: Notes,
    num_workers: int,
) -> Iterator[dict[str, Any]]:
    """The images, those without a stated size with that of their file."""

    def size(image: dict[str, Any]) -> tuple[int, int] | ImageFault:
        try:
            return reading.size(image["file_name"])
        except ImageFault as fault:
            return fault

    with ThreadPoolExecutor(num_workers) as pool:
        wanted = [image for image in images if _is_sizeless(image)]
        sizes = dict(zip([image["id"] for image in wanted], pool.map(size, wanted), strict=True))
    for image in images:
        found = sizes.get(image["id"])
        if isinstance(found, ImageFault):
            path = reading.image_dir / image["file_name"]
            bad_records.add(found.kind, f"{path}: image {image['id']} {found.what}")
        elif found:
            notes.add(
                "{count} image(s) have no width and height in the annotation file ({example}); "
                "those of the files are taken",
                f"image {image['id']}, {image['file_name']}",
            )
            yield {**image, "width": found[0], "height": found[1]}
        else:
            yield image


def _is_sizeless(image: dict[str, Any]) -> bool:
    return image["width"] is None or image["height"] is None


def _image_problem(image: dict[str, Any], image_dir: Path) -> tuple[str, str]:
    """The kind of an image entry's problem and what it is; empty if there is none."""
    name = image.get("file_name")
    if not is_id(image["id"]):
        return "image without a 64-bit integer id", "has no id that is an integer of 64 bits"
    if not isinstance(name, str) or not name:
        return "image without a file name", f"has no file_name but {name!r}"
    if _URL.match(name):
        return (
            "file name that is a URL",
            f"has file_name {name[:200]!r}, a URL; download it and name the file below {image_dir}",
        )
    is_absolute = Path(name).is_absolute() or PureWindowsPath(name).is_absolute()
    if is_absolute or ".." in Path(name).parts:
        return "file name outside the folder", f"has file_name {name!r}, which leaves {image_dir}"
    if _is_sizeless(image):
        return "", ""
    sides = (image["width"], image["height"])
    if not all(is_id(side) and side > 0 for side in sides):
        return (
            "image without a size",
            f"has no positive integer width and height but {sides[0]!r} and {sides[1]!r}",
        )
    if max(sides) > LARGEST_SIDE:
        return (
            "image too large to warp",
            f"is {sides[0]}x{sides[1]} pixels, more than {LARGEST_SIDE} on a side",
        )
    return "", ""


_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/|data:")  # of two letters at least: C:/ is a drive


def _wellformed_annotations(
    content: dict[str, Any],
    mapping: dict[int, int],
    path: Path,
    bad_records: BadRecords,
    points: Points,
) -> tuple[list[dict[str, Any]], set[int]]:
    """The annotations whose ids, types and points are right, and the images of those that are not.

    The boxes may be anywhere. Annotations of categories that are left out are in neither.
    """
    listed = {image["id"] for image in content["images"] if is_id(image["id"])}
    left_out = {category["id"] for category in content["categories"]} - mapping.keys()
    wellformed, refused = [], set()
    for position, entry in enumerate(content.get("annotations", [])):
        kind, what = _annotation_problem(entry, listed, mapping, left_out)
        if not kind:
            kind, what = points.problem(entry)
        if kind:
            name = f"annotation number {position}"
            if isinstance(entry, dict):
                name = _name(entry, position)
                refused.add(entry["image_id"] if is_id(entry["image_id"]) else None)
            bad_records.add(kind, f"{path}: {name} {what}")
        elif entry["category_id"] not in left_out:
            wellformed.append(entry)
    return wellformed, refused


def _annotation_problem(
    entry: Any, listed: set[int], mapping: dict[int, int], left_out: set[int]
) -> tuple[str, str]:
    """The kind of an annotation's problem and what it is; empty if there is none."""
    if not isinstance(entry, dict):
        return "annotation that is no mapping", "is no mapping"
    image_id, category_id = entry["image_id"], entry["category_id"]
    if not is_id(image_id) or image_id not in listed:
        return "annotation of an image that is not listed", f"is of image {image_id!r}, not listed"
    if not is_id(category_id) or (category_id not in mapping and category_id not in left_out):
        return (
            "annotation of a category that is not listed",
            f"has category_id {category_id!r}, which categories does not list",
        )
    if not is_box(entry.get("bbox")):
        what = f"has bbox {entry.get('bbox')!r}, not four numbers"
        if not entry.get("bbox") and isinstance(entry.get("segmentation"), dict):
            what += ", and a mask (RLE), which boxes are not computed from"
        return "box that is not four numbers", what
    return "", ""


def _clipped_boxes(
    annotations: list[dict[str, Any]],
    sizes: np.ndarray,
    path: Path,
    bad_records: BadRecords,
    notes: Notes,
) -> tuple[np.ndarray, np.ndarray]:
    """Clips the annotations' boxes to their images and notes those with nothing left.

    Args:
        annotations: n annotations with well-formed boxes.
        sizes: (n,2) widths and heights of their images.
        path: the annotation file.
        bad_records: collects the problems.
        notes: takes what is odd in the others.

    Returns:
        float32 (n,4) xyxy and bool (n,), whether each is usable.
    """
    xywh = np.array([entry["bbox"] for entry in annotations], np.float64).reshape(-1, 4)
    with np.errstate(invalid="ignore", over="ignore"):  # values that are noted below
        low = np.maximum(xywh[:, :2], 0)
        high = np.minimum(xywh[:, :2] + xywh[:, 2:], sizes)
        boxes = np.hstack([low, high]).astype(np.float32)  # float32 can lose a tiny area
        finite = np.isfinite(xywh).all(axis=1)
        sized = (xywh[:, 2:] > 0).all(axis=1)
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    for kind, wrong, what in (
        ("box that is not finite", ~finite, "which is not finite"),
        ("box without area", finite & ~sized, "without area"),
        ("box outside its image", finite & sized & ~inside, "without area inside its image"),
    ):
        for i in np.flatnonzero(wrong):
            width, height = sizes[i]
            bad_records.add(
                kind,
                f"{path}: {_name(annotations[i])} has bbox {annotations[i]['bbox']}, "
                f"{what} (image {annotations[i]['image_id']}, {width}x{height} pixels)",
            )
    usable = finite & sized & inside
    rows = np.flatnonzero(usable)
    note_boxes(notes, xywh[rows], sizes[rows], lambda row: _name(annotations[rows[row]]))
    return boxes, usable
