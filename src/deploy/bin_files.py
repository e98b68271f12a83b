# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Files between preprocess.py, the Ascend 310 application and postprocess.py. No MindSpore here.

PREDICT_DIR/data/NAME.bin      one image, float32 or uint8 (1,3,H,W), C order
PREDICT_DIR/meta/meta.json     which image each NAME is, and the affine that warped it
RESULT_PATH/NAME_0.bin         its detections, float32 (1,K,6), C order
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from src.model_utils.errors import UserError
from src.model_utils.files import whole_file, write_json


@dataclass(frozen=True)
class ImageMeta:
    """One image: the `name` of its files, its COCO id and the affine (2,3) to network input."""

    name: str
    image_id: int
    affine: list[list[float]]


def image_name(image_id: int) -> str:
    """The name of an image's files, the ModelZoo document's."""
    return f"eval2017_image_{image_id}"


def write_input(predict_dir: Path, name: str, image: np.ndarray) -> None:
    """Writes an image (3,H,W), as the exported model takes it."""
    with whole_file(predict_dir / "data" / f"{name}.bin") as partial:
        image.tofile(partial)


def start(predict_dir: Path) -> None:
    """Makes the folders; inputs of an earlier run are removed, its meta file first."""
    for folder, pattern in (("meta", "meta.json"), ("data", "*.bin")):
        (predict_dir / folder).mkdir(parents=True, exist_ok=True)
        for old in (predict_dir / folder).glob(pattern):
            old.unlink()


def finish(predict_dir: Path, metas: list[ImageMeta]) -> None:
    """Writes the meta file, which says that all inputs are there."""
    write_json(predict_dir / "meta" / "meta.json", [asdict(meta) for meta in metas])


def read_metas(meta_path: Path) -> list[ImageMeta]:
    """Reads the meta file, given by its path or its folder's.

    Raises:
        UserError: it is missing or not what preprocess.py wrote.
    """
    path = meta_path / "meta.json" if meta_path.is_dir() else meta_path
    try:
        return [ImageMeta(**entry) for entry in json.loads(path.read_bytes())]
    except FileNotFoundError:
        raise UserError(f"{path}: meta file not found; run preprocess.py first.") from None
    except (ValueError, TypeError):
        raise UserError(f"{path}: is not preprocess.py's meta file; run preprocess.py.") from None


def read_detections(result_path: Path, name: str, k: int) -> np.ndarray:
    """Reads an image's detections, float32 (K,6).

    Raises:
        UserError: the file is missing or not of the size that K boxes take.
    """
    path = result_path / f"{name}_0.bin"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); run ascend310_infer on the files of the "
            "same preprocess.py run."
        ) from None
    if len(content) != k * 6 * 4:
        raise UserError(
            f"{path}: has {len(content)} bytes, but {k} boxes take {k * 24}; set eval_config.K to "
            "the value that export.py had."
        )
    return np.frombuffer(content, np.float32).reshape(k, 6)
