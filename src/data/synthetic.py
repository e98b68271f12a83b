# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Small synthetic sets in COCO format, for the quick start and for tests.

    python -m src.data.synthetic --output_dir DIR [--task boxes] [--train_images 300]
        [--val_images 60] [--seed 0]

writes ``DIR/annotations/instances_{train,val}2017.json`` and ``DIR/{train,val}2017/*.jpg``:
coloured circles, squares, triangles, stars and rings on textured backgrounds. The category ids have
gaps, as COCO's have, so that the mapping to contiguous classes is exercised. ``--task pose`` makes
``person_keypoints_{train,val}2017.json`` and the stick figures of ``stick_figures.py``. Image
number i of a split depends on (seed, split, i) alone: the same seed gives the same bytes, and a
longer set begins like a shorter.
"""

import argparse
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from src.data import stick_figures
from src.data.drawing import background, box_iou, contrasting_colour, mask_box
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import read_text, sync
from src.model_utils.messages import say

# Category id -> name. The gaps are deliberate.
CATEGORIES = {1: "circle", 2: "square", 4: "triangle", 7: "star", 9: "ring"}

MANIFEST_NAME = "synthetic.json"
# Raise this when a change here changes the pictures: sets made before are then not "up to date".
GENERATOR_VERSION = 1

IMAGE_SIDES = (96, 112, 128, 144, 160, 176)
OBJECT_SIDES = (12.0, 80.0)
MAX_OBJECTS = 6
MAX_IOU = 0.3
# An object that is cut by the border or covered by a later one keeps at least this part of its
# area.
MIN_VISIBLE = 0.7
JPEG_QUALITY = 92

_SPLITS = {"train": 0, "val": 1}
_FIRST_IMAGE_ID = {"train": 1, "val": 1_000_001}
# Bits after the binary point in the coordinates handed to cv2.fillPoly.
_SUBPIXEL_BITS = 6


@dataclass
class Shape:
    """One object on a canvas. ``visible`` is a bool (H,W) array that later shapes eat into."""

    category_id: int
    colour: np.ndarray
    full_area: int
    visible: np.ndarray

    @property
    def area(self) -> int:
        """Visible pixels."""
        return int(np.count_nonzero(self.visible))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Tight x1 y1 x2 y2 around the visible pixels, the far edges exclusive."""
        return mask_box(self.visible)

    def annotation(self) -> dict[str, Any]:
        """What COCO's json says of it, ids apart."""
        x1, y1, x2, y2 = self.box
        return {
            "category_id": self.category_id,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": self.area,
            "iscrowd": 0,
        }


def outline(name: str, size: float, angle: float) -> list[np.ndarray]:
    """Closed outlines of a shape around the origin, (points,2) each, the larger extent ``size``.

    A second outline is a hole (the even-odd rule of cv2.fillPoly).
    """

    def regular(corners: int, radii: Sequence[float], turn: float) -> np.ndarray:
        theta = turn + 2.0 * np.pi * np.arange(corners) / corners
        radius = np.resize(np.asarray(radii, dtype=np.float64), corners)
        return np.stack([radius * np.sin(theta), -radius * np.cos(theta)], axis=1)

    if name == "circle":
        polygons = [regular(72, [1.0], 0.0)]
    elif name == "square":
        polygons = [regular(4, [1.0], np.pi / 4.0 + angle)]
    elif name == "triangle":
        polygons = [regular(3, [1.0], angle)]
    elif name == "star":
        polygons = [regular(10, [1.0, 0.43], angle)]
    elif name == "ring":
        polygons = [regular(72, [1.0], 0.0), regular(72, [0.55], 0.0)]
    else:
        raise ValueError(f"no shape is called {name!r}")
    lowest, highest = polygons[0].min(axis=0), polygons[0].max(axis=0)
    middle = (lowest + highest) / 2.0
    return [(polygon - middle) * (size / (highest - lowest).max()) for polygon in polygons]


def coverage(outlines: list[np.ndarray], centre: np.ndarray, height: int, width: int) -> np.ndarray:
    """Anti-aliased coverage of a shape, float32 (H,W) in 0..1."""
    canvas = np.zeros((height, width), dtype=np.uint8)
    points = [
        np.round((polygon + centre) * 2**_SUBPIXEL_BITS).astype(np.int32) for polygon in outlines
    ]
    cv2.fillPoly(canvas, points, 255, lineType=cv2.LINE_AA, shift=_SUBPIXEL_BITS)
    return canvas.astype(np.float32) / 255.0


def _place(
    rng: np.random.Generator, category_id: int, image: np.ndarray, shapes: list[Shape]
) -> bool:
    """Draw one more shape on ``image`` at a random spot; False if that spot is not free."""
    height, width = image.shape[:2]
    smallest, largest = OBJECT_SIDES
    # The exponent favours small objects mildly: a fifth of them are below 20 pixels.
    size = smallest + (min(largest, 0.7 * min(height, width)) - smallest) * rng.random() ** 1.3
    margin = 0.4 * size
    centre = np.array([rng.uniform(margin, side - margin) for side in (width, height)])
    name = CATEGORIES[category_id]
    polygons = outline(name, size, rng.uniform(-0.45, 0.45))

    # Drawn once on a canvas that holds all of it, to know how much of it the border cuts.
    border = int(np.ceil(size))
    whole = coverage(polygons, centre + border, height + 2 * border, width + 2 * border)
    alpha = whole[border : border + height, border : border + width]
    mask = alpha >= 0.5
    full_area = int(np.count_nonzero(whole >= 0.5))
    if np.count_nonzero(mask) < MIN_VISIBLE * full_area:
        return False
    box = mask_box(mask)
    if any(box_iou(box, shape.box) > MAX_IOU for shape in shapes):
        return False
    for shape in shapes:
        if np.count_nonzero(shape.visible & ~mask) < MIN_VISIBLE * shape.full_area:
            return False

    touched = [shape.colour for shape in shapes if (shape.visible & mask).any()]
    colour = contrasting_colour(rng, [image[mask].mean(axis=0), *touched])
    grain = rng.normal(0.0, 4.0, image.shape)
    image += alpha[..., None] * (colour + grain - image)
    for shape in shapes:
        shape.visible &= ~mask
    shapes.append(Shape(category_id, colour, full_area, mask))
    return True


def make_image(rng: np.random.Generator) -> tuple[np.ndarray, list[Shape]]:
    """One picture, uint8 BGR (H,W,3), and the one to six shapes on it."""
    height, width = (int(side) for side in rng.choice(IMAGE_SIDES, 2))
    image = background(rng, height, width).astype(np.float64)
    shapes: list[Shape] = []
    wanted = int(rng.integers(1, MAX_OBJECTS + 1))
    category_ids = rng.choice(list(CATEGORIES), wanted)
    for category_id in category_ids:
        # A crowded picture stays with fewer shapes; the first try of the first shape can fail only
        # at the border, so some are always placed.
        for _ in range(20):
            if _place(rng, int(category_id), image, shapes):
                break
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), shapes


@dataclass(frozen=True)
class SetKind:
    """What a set shows: its name, the start of its annotation files' names, and its categories.

    make_image: draws a picture and the objects on it, which give their annotations.
    version: raised when a change here changes the pictures; sets made before are then not "up to
        date".
    """

    name: str
    annotations: str
    categories: list[dict[str, Any]]
    make_image: Callable[[np.random.Generator], tuple[np.ndarray, Sequence[Any]]]
    version: int

    def annotation_file(self, split: str) -> str:
        return f"{self.annotations}_{split}2017.json"


KINDS = {
    "boxes": SetKind(
        "shapes",
        "instances",
        [
            {"id": category_id, "name": name, "supercategory": "shape"}
            for category_id, name in CATEGORIES.items()
        ],
        make_image,
        GENERATOR_VERSION,
    ),
    "pose": SetKind(
        "stick figures",
        "person_keypoints",
        [stick_figures.CATEGORY],
        stick_figures.make_image,
        stick_figures.VERSION,
    ),
}


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    sync(path)


def write_split(folder: Path, split: str, count: int, seed: int, kind: SetKind) -> int:
    """Write one split's ``count`` pictures and annotation file; returns its number of objects."""
    image_folder = folder / f"{split}2017"
    image_folder.mkdir(parents=True)
    images: list[dict] = []
    annotations: list[dict] = []
    for index in range(count):
        rng = np.random.default_rng([seed, _SPLITS[split], index])
        picture, objects = kind.make_image(rng)
        image_id = _FIRST_IMAGE_ID[split] + index
        file_name = f"{image_id:012d}.jpg"
        done, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not done:
            raise UserError(f"OpenCV could not encode {file_name} as JPEG.")
        _write(image_folder / file_name, encoded.tobytes())
        images.append(
            {
                "id": image_id,
                "file_name": file_name,
                "height": picture.shape[0],
                "width": picture.shape[1],
                "license": 1,
            }
        )
        annotations += [
            {"id": number, "image_id": image_id, **one.annotation()}
            for number, one in enumerate(objects, len(annotations) + 1)
        ]
    document = {
        "info": {
            "description": f"Synthetic {kind.name}, {split} split, seed {seed}",
            "version": str(kind.version),
        },
        "licenses": [{"id": 1, "name": "Apache License 2.0", "url": ""}],
        "images": images,
        "annotations": annotations,
        "categories": kind.categories,
    }
    annotation_folder = folder / "annotations"
    annotation_folder.mkdir(exist_ok=True)
    _write(
        annotation_folder / kind.annotation_file(split),
        (json.dumps(document, indent=1) + "\n").encode(),
    )
    return len(annotations)


def _is_up_to_date(folder: Path, parameters: dict[str, Any], kind: SetKind) -> bool:
    """Whether ``folder`` holds a complete set made with exactly these parameters."""
    try:
        found = json.loads(read_text(folder / MANIFEST_NAME))
    except (OSError, ValueError, RecursionError):
        return False
    return found == parameters and all(
        (folder / "annotations" / kind.annotation_file(split)).is_file()
        and len(list((folder / f"{split}2017").glob("*.jpg"))) == parameters[f"{split}_images"]
        for split in _SPLITS
    )


def generate(
    output_dir: Path,
    train_images: int = 300,
    val_images: int = 60,
    seed: int = 0,
    task: str = "boxes",
) -> str:
    """Write a whole set to ``output_dir``, or nothing; returns one line that says what happened.

    The set is written to a folder beside and renamed. Raises UserError if ``output_dir`` holds
    anything but the very set asked for.
    """
    output_dir = output_dir.absolute()
    kind = KINDS[task]
    parameters = {
        "generator_version": kind.version,
        "train_images": train_images,
        "val_images": val_images,
        "seed": seed,
        **({"task": task} if task != "boxes" else {}),
    }
    if output_dir.exists() and not output_dir.is_dir():
        raise UserError(f"{output_dir} is a file; choose a folder.")
    if output_dir.is_dir() and any(output_dir.iterdir()):
        if _is_up_to_date(output_dir, parameters, kind):
            return f"{output_dir} is up to date: {train_images} train and {val_images} val images."
        raise UserError(
            f"{output_dir} is not empty and does not hold the set asked for; remove it or choose "
            "another --output_dir."
        )

    output_dir.parent.mkdir(parents=True, exist_ok=True)
    partial = output_dir.parent / f".{output_dir.name}.{os.getpid()}.partial"
    partial.mkdir()
    try:
        objects = {
            split: write_split(partial, split, parameters[f"{split}_images"], seed, kind)
            for split in _SPLITS
        }
        _write(partial / MANIFEST_NAME, (json.dumps(parameters) + "\n").encode())
        # An empty folder of that name is replaced by the rename.
        partial.rename(output_dir)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return (
        f"{output_dir}: {train_images} train images with {objects['train']} objects, "
        f"{val_images} val images with {objects['val']} objects."
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m src.data.synthetic",
        description="Write a small synthetic set in COCO format.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--output_dir", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--task", choices=KINDS, default="boxes", help="shapes for boxes, or stick figures for pose"
    )
    parser.add_argument("--train_images", type=int, default=300, help="train pictures")
    parser.add_argument("--val_images", type=int, default=60, help="val pictures")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes")
    options = parser.parse_args()
    say(generate(**vars(options)))


if __name__ == "__main__":
    run_program(main)
