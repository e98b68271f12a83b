# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Files between preprocess.py, the Ascend 310 application and postprocess.py. No MindSpore here.

PREDICT_DIR/data/NAME.bin      one image, float32 or uint8 (3,H,W), C order
PREDICT_DIR/data/images.txt    instead of these: the paths of the images, for --input_format image
PREDICT_DIR/meta/meta.txt      which image each NAME is, the affine that warps it, and what else the
                               application needs to make boxes of the image; see `write_meta`
PREDICT_DIR/meta/written.txt   the names of these files: the next run removes them, and no others
RESULT_PATH/NAME_0.bin         its detections, float32 (K,6+3J), C order
"""

import contextlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from src.data.coco import ImageRecord
from src.data.geometry import Colour
from src.model_utils.errors import UserError
from src.model_utils.files import read_regular, read_text, whole_file
from src.tasks import TASKS
from src.tasks.columns import POINTS_OF_DETECTION
from src.tasks.task import Task

META_NAME = "meta.txt"
IMAGE_LIST_NAME = "images.txt"
_WRITTEN_NAME = "written.txt"
_OURS = re.compile(r"meta/meta\.txt|data/images\.txt|data/eval2017_image_-?[0-9]+\.bin")

_BYTE = rb"(?:0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
_INTEGER, _FLOAT = rb"-?[0-9]{1,19}", rb"-?[0-9]+(?:\.[0-9]+)?(?:e[-+][0-9]+)?"
_SETTINGS = [
    re.compile(pattern)
    for pattern in (
        rb"centernet-meta 5",
        rb"down_ratio ([1-9][0-9]{0,8})",
        rb"soft_nms ([01])",
        rb"soft_nms_form (original|mmcv)",
        rb"clip_boxes ([01])",
        rb"pairs ([01])",
        rb"rows ([1-9][0-9]{0,8})",
        rb"kept ([1-9][0-9]{0,8})",
        rb"points (0|[1-9][0-9]{0,8})",
        rb"category_ids((?: (?:%b|-))+)" % _INTEGER,
        rb"colour((?: %b){12})" % _FLOAT,
        rb"border((?: %b){3})" % _BYTE,
        rb"placement (centred|corner|corner_half_pixel)",
        rb"take_damaged_jpegs ([01])",
        rb"task ([a-z][a-z0-9_]*)",
        rb"point_classes((?: (?:0|[1-9][0-9]{0,8}))*)",
        rb"sigmas((?: %b)*)" % _FLOAT,
    )
]
_IMAGE = re.compile(
    rb"image (%b)((?: %b){6}) ([1-9][0-9]{0,8}) ([1-9][0-9]{0,8}) ((?:[^%%\r]|%%25|%%0A|%%0D)+)"
    % (_INTEGER, _FLOAT)
)
_INT64 = range(-(2**63), 2**63)
_SMALLEST_DETERMINANT = 2.0**-1024  # 1 by a smaller one is infinite
_ESCAPES = (("%", "%25"), ("\n", "%0A"), ("\r", "%0D"))  # in this order


@dataclass(frozen=True, eq=False)  # arrays have no one truth value
class ImageMeta:
    """One image: the `name` of its files, its COCO id and the affine to network input.

    affine: float64 (2,3), invertible. width, height: of the image, in pixels.
    """

    name: str
    image_id: int
    affine: np.ndarray
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class Meta:
    """What meta.txt holds.

    down_ratio, clip_boxes: of net_config. soft_nms, soft_nms_form: of eval_config.
    pairs: of the task. rows: of the model's detections. kept: of these, eval_config.K.
    points: J of the task, a name of `TASKS`.
    point_classes: the classes whose objects have points.
    sigmas: of the points, for their evaluation; none if the task compares boxes alone.
    category_ids: COCO's category id of each class, None for a class that the data set lacks.
    colour: float32 (3,4), the normalisation, for models that take normalised images.
    border, placement, take_damaged_jpegs: B, G and R around images, eval_config.placement and
        dataset_config.take_damaged_jpegs, for an application that decodes.
    images: at least one, each with a name and an id of its own.
    """

    down_ratio: int
    soft_nms: bool
    soft_nms_form: str
    clip_boxes: bool
    pairs: bool
    rows: int
    kept: int
    points: int
    category_ids: list[int | None]
    colour: np.ndarray
    border: Colour
    placement: str
    take_damaged_jpegs: bool
    task: str
    point_classes: list[int]
    sigmas: list[float]
    images: list[ImageMeta]

    @property
    def has_points(self) -> list[bool]:
        """Whether objects of each class have points."""
        return [index in self.point_classes for index in range(len(self.category_ids))]

    @property
    def task_facts(self) -> Task:
        """What evaluation needs to know of the task."""
        sigmas, points = tuple(self.sigmas), tuple(range(self.points))
        return replace(TASKS[self.task], mirrored=points, sigmas=sigmas)


def input_names(records: Sequence[ImageRecord], input_format: str) -> list[str]:
    """The name of each image's files: the ModelZoo document's, or with images that of the image.

    The latter is the file's name without folder and ending, as the application makes it.

    Raises:
        UserError: two images have one name.
    """
    if input_format == "bin":
        return [f"eval2017_image_{record.image_id}" for record in records]
    first: dict[str, ImageRecord] = {}
    for record in records:
        name = record.path.name
        stem = name[: name.rfind(".")] if name.rfind(".") > 0 else name  # Path.stem keeps "a."
        other = first.setdefault(stem, record)
        if other is not record:
            raise UserError(
                f"{record.path}: image {record.image_id} and {other.path} would both give "
                f"{stem}_0.bin; rename one of them or choose --input_format bin."
            )
    return list(first)


def start(predict_dir: Path, names: Sequence[str]) -> None:
    """Makes the folders, removes what an earlier run has written, and notes what this one will.

    Args:
        predict_dir: as --predict_dir.
        names: of the inputs that `write_input` will write; none for a list of images.

    Raises:
        UserError: a file is in the way that no earlier run has written.
    """
    for folder in ("meta", "data"):
        (predict_dir / folder).mkdir(parents=True, exist_ok=True)
    written = _written(predict_dir)
    inputs = list(map("data/{}.bin".format, names)) or [f"data/{IMAGE_LIST_NAME}"]
    to_write = [f"meta/{META_NAME}", *inputs]
    # The application takes every .bin that is there.
    others = [f"data/{path.name}" for path in (predict_dir / "data").glob("*.bin") if names]
    for name in (*to_write, *sorted(others)):
        if name not in written and (predict_dir / name).exists():
            raise UserError(
                f"{predict_dir / name}: no earlier run of preprocess.py wrote it; move it away or "
                "choose another --predict_dir."
            )
    for name in sorted(written, reverse=True):  # the meta file first
        (predict_dir / name).unlink(missing_ok=True)
    with whole_file(predict_dir / "meta" / _WRITTEN_NAME) as partial:
        partial.write_text("".join(f"{name}\n" for name in to_write), encoding="utf-8")


def _written(predict_dir: Path) -> set[str]:
    """What earlier runs have written, below `predict_dir`."""
    with contextlib.suppress(OSError):
        text = read_text(predict_dir / "meta" / _WRITTEN_NAME, errors="replace")
        return {name for name in text.splitlines() if _OURS.fullmatch(name)}
    return set()


def write_input(predict_dir: Path, name: str, image: np.ndarray) -> None:
    """Writes an image (3,H,W), as the exported model takes it."""
    with whole_file(predict_dir / "data" / f"{name}.bin") as partial:
        image.tofile(partial)


def write_image_list(predict_dir: Path, paths: Sequence[Path]) -> None:
    """Writes the paths, made absolute: one a line, or where one holds a newline, ended by NULs."""
    names = [os.fsencode(path.absolute()) for path in paths]
    end = b"\0" if any(b"\n" in name for name in names) else b"\n"
    with whole_file(predict_dir / "data" / IMAGE_LIST_NAME) as partial:
        partial.write_bytes(b"".join(name + end for name in names))


def write_meta(predict_dir: Path, meta: Meta) -> None:
    r"""Writes the meta file, which says that all inputs are there.

    Lines of words with one blank between them, ended by \n. Numbers read back as the same bits; %,
    \n and \r of a name are %25, %0A and %0D; the ID of a class that the data set lacks is -.

        centernet-meta 5
        down_ratio 4
        soft_nms 1
        soft_nms_form original
        clip_boxes 0
        pairs 0
        rows 100
        kept 100
        points 0
        category_ids ID ...
        colour C00 C01 ... C23
        border 0 0 0
        placement centred
        take_damaged_jpegs 0
        task boxes
        point_classes CLASS ...
        sigmas S0 ...
        image IMAGE_ID A00 A01 A02 A10 A11 A12 WIDTH HEIGHT NAME
    """
    lines = [
        "centernet-meta 5",
        f"down_ratio {meta.down_ratio}",
        f"soft_nms {int(meta.soft_nms)}",
        f"soft_nms_form {meta.soft_nms_form}",
        f"clip_boxes {int(meta.clip_boxes)}",
        f"pairs {int(meta.pairs)}",
        f"rows {meta.rows}",
        f"kept {meta.kept}",
        f"points {meta.points}",
        f"category_ids {' '.join('-' if i is None else str(i) for i in meta.category_ids)}",
        f"colour {_numbers(meta.colour)}",
        " ".join(["border", *map(str, meta.border)]),
        f"placement {meta.placement}",
        f"take_damaged_jpegs {int(meta.take_damaged_jpegs)}",
        f"task {meta.task}",
        " ".join(["point_classes", *map(str, meta.point_classes)]),
        " ".join(["sigmas", *map(repr, meta.sigmas)]),
    ]
    for image in meta.images:
        name = image.name
        for character, escape in _ESCAPES:
            name = name.replace(character, escape)
        size = f"{image.width} {image.height}"
        lines.append(f"image {image.image_id} {_numbers(image.affine)} {size} {name}")
    with whole_file(predict_dir / "meta" / META_NAME) as partial:
        partial.write_bytes(os.fsencode("".join(f"{line}\n" for line in lines)))


def _numbers(values: np.ndarray) -> str:
    return " ".join(map(repr, values.ravel().tolist()))


def read_meta(meta_path: Path) -> Meta:
    """Reads the meta file, given by its path or its folder's.

    Raises:
        UserError: it is missing or not what `write_meta` writes.
    """
    path = meta_path / META_NAME if meta_path.is_dir() else meta_path
    try:
        *lines, rest = read_regular(path).split(b"\n")
    except OSError as error:
        raise UserError(
            f"{path}: meta file cannot be read ({error.strerror}); run preprocess.py first."
        ) from None

    def problem(number: int, what: str) -> UserError:
        return UserError(f"{path}: line {number} {what}; run preprocess.py again.")

    if rest:
        raise problem(len(lines) + 1, "is cut off")
    settings = []
    for number, pattern in enumerate(_SETTINGS):
        found = pattern.fullmatch(lines[number]) if number < len(lines) else None
        if found is None:
            wanted = pattern.pattern.split(b"(")[0].decode()
            raise problem(number + 1, f"is not what preprocess.py writes there, {wanted!r}")
        settings += found.groups()
    down_ratio, soft_nms, form, clip_boxes, pairs, rows, kept, points, *names = settings
    category_ids, colour_words, border, placement, damaged, task, point_classes, sigma_words = names
    colour = _array(colour_words, 3, np.float32)
    if not np.isfinite(colour).all():
        raise problem(_line("colour"), "has a number that is not finite")
    ids_of_classes = [None if word == b"-" else int(word) for word in category_ids.split()]
    if not all(word is None or word in _INT64 for word in ids_of_classes):
        raise problem(_line("category_ids"), "has an id of more than 64 bits")
    if task.decode() not in TASKS:
        raise problem(_line("task"), "has a task that is not known")
    classes = [int(word) for word in point_classes.split()]
    if any(index >= len(ids_of_classes) for index in classes):
        raise problem(_line("point_classes"), "has a class that category_ids lacks")
    sigmas = [float(word) for word in sigma_words.split()]
    if not all(0 < sigma <= np.finfo(np.float32).max for sigma in sigmas):
        raise problem(_line("sigmas"), "has a sigma that is not positive")
    if TASKS[task.decode()].metric == "keypoints" and len(sigmas) != int(points):
        raise problem(_line("sigmas"), f"has {len(sigmas)} sigmas for {int(points)} points")
    images: dict[str, ImageMeta] = {}
    ids = set()
    for number, line in enumerate(lines[len(_SETTINGS) :], len(_SETTINGS) + 1):
        found = _IMAGE.fullmatch(line)
        if found is None:
            raise problem(number, "is no image line of preprocess.py")
        image_id, affine, width, height, name = found.groups()
        image = ImageMeta(
            *(_unescaped(name), int(image_id), _array(affine, 2, np.float64)),
            *(int(width), int(height)),
        )
        if image.image_id not in _INT64:
            raise problem(number, "has an id of more than 64 bits")
        (a, b, _), (c, d, _) = image.affine.tolist()
        # As the application has it: numbers of float32, and an inverse that is finite.
        is_finite = np.abs(image.affine).max() <= np.finfo(np.float32).max
        if not is_finite or abs(a * d - b * c) <= _SMALLEST_DETERMINANT:
            raise problem(number, "has an affine that has no inverse")
        if image.name in images or image.image_id in ids:
            raise problem(number, "has the name or the id of an earlier image")
        images[image.name] = image
        ids.add(image.image_id)
    if not images:
        raise problem(len(_SETTINGS) + 1, "and with it all images are missing")
    return Meta(
        down_ratio=int(down_ratio),
        soft_nms=soft_nms == b"1",
        soft_nms_form=form.decode(),
        clip_boxes=clip_boxes == b"1",
        pairs=pairs == b"1",
        rows=int(rows),
        kept=int(kept),
        points=int(points),
        category_ids=ids_of_classes,
        colour=colour,
        border=tuple(int(word) for word in border.split()),
        placement=placement.decode(),
        take_damaged_jpegs=damaged == b"1",
        task=task.decode(),
        point_classes=classes,
        sigmas=sigmas,
        images=list(images.values()),
    )


def _line(keyword: str) -> int:
    """The number of the line that begins so."""
    starts = [pattern.pattern.startswith(keyword.encode()) for pattern in _SETTINGS]
    return starts.index(True) + 1


def _array(words: bytes, rows: int, dtype: type) -> np.ndarray:
    return np.array([float(word) for word in words.split()], dtype).reshape(rows, -1)


def _unescaped(encoded: bytes) -> str:
    name = os.fsdecode(encoded)
    for character, escape in reversed(_ESCAPES):
        name = name.replace(escape, character)
    return name


def read_detections(result_path: Path, name: str, meta: Meta) -> np.ndarray:
    """Reads an image's detections, float32 (K,6+3J).

    Raises:
        UserError: the file is missing, not of the size that K rows take, or holds a number that is
            not finite or a class that is not one of the meta file's.
    """
    path = result_path / f"{name}_0.bin"
    try:
        content = read_regular(path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); run ascend310_infer on the files of the "
            "same preprocess.py run."
        ) from None
    columns = POINTS_OF_DETECTION + 3 * meta.points
    size = meta.rows * columns * np.dtype(np.float32).itemsize
    if len(content) != size:
        raise UserError(
            f"{path}: has {len(content)} bytes, but {meta.rows} rows of {columns} numbers take "
            f"{size}; run ascend310_infer again with this meta file."
        )
    detections = np.frombuffer(content, np.float32).reshape(meta.rows, columns)
    num_classes = len(meta.category_ids)
    if not (
        np.isfinite(detections).all() and np.isin(detections[:, 5], np.arange(num_classes)).all()
    ):
        raise UserError(
            f"{path}: holds boxes of other than {num_classes} classes or that are not finite; run "
            "ascend310_infer again with this meta file."
        )
    return detections
