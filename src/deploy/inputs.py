# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Images of a validation set as input of the Ascend 310 application. No MindSpore here."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from src.data.augment import border_colour, normalise
from src.data.coco import BadRecords, ImageRecord
from src.data.geometry import InputGeometry, fixed_resolution
from src.data.images import decoder, orientation, read_file, read_image
from src.deploy import bin_files
from src.deploy.bin_files import ImageMeta
from src.model_utils.errors import UserError
from src.model_utils.parameters import Config
from src.model_utils.workers import map_ahead, worker_count


def write_inputs(
    config: Config,
    records: Sequence[ImageRecord],
    colour: np.ndarray,
    predict_dir: Path,
    bad_records: BadRecords,
) -> list[ImageMeta]:
    """Writes what the application reads, the meta file apart, and gives what that is to hold.

    With input_format bin a file for each image, warped to dataset_config.input_res_test and, for
    export_config.input_dtype float32, normalised by `colour` (3,4). With image the list of their
    paths; they are only decoded here, as their sizes make the affines, and broken ones are found.

    Threads do it: decoding, warping, normalising and writing release Python's lock.

    Raises:
        UserError: a file of somebody else is in the way; two images have one name; images cannot be
            read, or would have to be turned by the application, all of which are named, and
            on_bad_record is fail; none can be read.
        OSError: a file cannot be written.
    """
    dataset = config.dataset_config
    input_size = (dataset.input_res_test[0], dataset.input_res_test[1])
    evaluation = config.eval_config
    border = border_colour(colour, dataset.border)
    warp = InputGeometry(False, evaluation.pad, input_size, evaluation.placement, border=border)
    decode = decoder(dataset.image_backend, dataset.turn_by_exif, dataset.take_damaged_jpegs)
    names = bin_files.input_names(records, config.input_format)

    def prepare(item: tuple[ImageRecord, str]) -> ImageMeta | UserError:
        record, name = item
        try:
            size = (record.height, record.width)
            pixels = read_image(record.path, decode, f"image {record.image_id}", size)
            if config.input_format == "image" and dataset.turn_by_exif:
                _refuse_turned(record)
        except UserError as error:
            return error
        if config.input_format == "image" or not bad_records.acceptable:
            affine = fixed_resolution(pixels.shape[:2], input_size, evaluation.placement)
            return ImageMeta(name, record.image_id, affine, record.width, record.height)
        image, affine = warp(pixels)
        if config.export_config.input_dtype == "float32":
            image = normalise(image, colour)
        bin_files.write_input(predict_dir, name, image)
        return ImageMeta(name, record.image_id, affine, record.width, record.height)

    bin_files.start(predict_dir, names if config.input_format == "bin" else ())
    cv2.setNumThreads(1)  # the threads below take the cores
    workers = worker_count(dataset.num_workers)
    done: list[tuple[ImageRecord, ImageMeta]] = []
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=len(records), desc="preprocess", unit="image", mininterval=1) as progress,
    ):
        items = zip(records, names, strict=True)
        for record, meta in zip(records, map_ahead(pool, prepare, items, 4 * workers), strict=True):
            if isinstance(meta, UserError):
                bad_records.add("image that cannot be read", str(meta).rstrip("."))
            else:
                done.append((record, meta))
            progress.update()
    bad_records.report()
    if not done:
        raise UserError(f"{predict_dir}: no image could be read; mend those listed above.")
    if config.input_format == "image":
        bin_files.write_image_list(predict_dir, [record.path for record, _ in done])
    return [meta for _, meta in done]


def _refuse_turned(record: ImageRecord) -> None:
    """An image that its EXIF orientation turns is a UserError: the application turns none."""
    turn = orientation(read_file(record.path))
    if turn != 1:
        raise UserError(
            f"{record.path}: image {record.image_id} is turned by its EXIF orientation {turn}, "
            "which the application leaves; choose --input_format bin or turn the file."
        )
