# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Reading the images to evaluate on; shared by eval.py and preprocess.py. No MindSpore here."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from src.data import keypoints
from src.data.coco import (
    BadRecords,
    ImageRecord,
    class_of_category,
    read_annotation_file,
    read_records,
)
from src.data.images import ImageFault, Oddity, decoder, examined, read_file
from src.data.notes import Notes, note_image, note_large_images, note_unfindable_objects
from src.evaluation.coco_results import category_ids
from src.model_utils.errors import UserError
from src.model_utils.parameters import DatasetConfig
from src.model_utils.pose_parameters import PoseConfig
from src.model_utils.workers import map_ahead, worker_count


@dataclass(frozen=True)
class EvaluationSet:
    """The images to evaluate on, and the COCO category id of each class, None if it has none.

    keypoints_path: the file of its points, where they are in another one.
    listed: number of images that the annotation file lists.
    left_out: number of images that were asked for and whose files are unusable.
    """

    annotation_path: Path
    image_dir: Path
    records: list[ImageRecord]
    category_ids: list[int | None]
    listed: int
    left_out: int
    keypoints_path: Path | None = None


def annotation_path(config: DatasetConfig, data_dir: Path, run_mode: str) -> Path:
    """The annotation file of the val or test set below `data_dir`."""
    return data_dir / (config.val_annotation if run_mode == "val" else config.test_annotation)


def read_evaluation_set(
    config: DatasetConfig,
    data_dir: Path,
    run_mode: str,
    num_images: int,
    bad_records: BadRecords,
    boxes: int = 100,
    keep_res: bool = False,
    pose: PoseConfig | None = None,
) -> EvaluationSet:
    """Reads the val or test set below `data_dir`, all of it or its first `num_images`.

    Every image file's header is checked as the converter checks it, and what is odd is said, before
    anything is done with the set.

    Args:
        config: says where the set is and how its images are taken.
        data_dir: folder of the data set.
        run_mode: val or test.
        num_images: -1 for all.
        bad_records: collects what is unusable; its caller has it report.
        boxes: eval_config.K.
        keep_res: whether images are fed at their own size.
        pose: the points to read, if any.

    Raises:
        UserError: as `read_annotation_file` and `read_records`; or nothing usable is in the set.
    """
    path = annotation_path(config, data_dir, run_mode)
    image_dir = data_dir / (config.val_images if run_mode == "val" else config.test_images)
    notes = Notes()
    content = read_annotation_file(path, notes=notes)
    keypoints_path = None
    if pose and run_mode == "val" and config.val_keypoints:
        keypoints_path = data_dir / config.val_keypoints
        keypoints.merge(content, read_annotation_file(keypoints_path), keypoints_path)
    mapping = class_of_category(content, config.coco_classes, path, config.other_classes)
    workers = worker_count(config.num_workers)
    records = read_records(
        *(content, path, image_dir, config, bad_records),
        notes=notes,
        num_workers=workers,
        pose=pose,
    )
    if num_images >= 0:
        records = records[:num_images]
    asked_for = len(records)
    records = list(_sound(records, config, workers, bad_records, notes))
    names = [f"image {record.image_id}" for record in records]
    sizes = [(record.width, record.height) for record in records]
    note_unfindable_objects(notes, [len(record.boxes) for record in records], names, boxes)
    note_large_images(notes, sizes, names, keep_res, config.input_res_train)
    notes.report()
    if not records:
        bad_records.report()
        why = "none of its images can be read" if asked_for else "lists no usable image"
        raise UserError(f"{path}: {why}; there is nothing to evaluate.")
    return EvaluationSet(
        path,
        image_dir,
        records,
        category_ids=category_ids(mapping, config.num_classes),
        listed=len(content["images"]),
        left_out=asked_for - len(records),
        keypoints_path=keypoints_path,
    )


def _sound(
    records: Sequence[ImageRecord],
    config: DatasetConfig,
    workers: int,
    bad_records: BadRecords,
    notes: Notes,
) -> Iterator[ImageRecord]:
    """The records whose files have the header of a usable image; the pixels come later."""
    upright = config.turn_by_exif
    decode = decoder(config.image_backend, upright, config.take_damaged_jpegs)

    def examine(record: ImageRecord) -> Oddity | ImageFault:
        try:
            size = (record.height, record.width)
            _, oddity = examined(read_file(record.path), decode, size, upright, header_only=True)
            return oddity
        except ImageFault as fault:
            return fault

    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=len(records), desc="check", unit="image", mininterval=1) as progress,
    ):
        found_of = map_ahead(pool, examine, records, 16 * workers)
        for record, found in zip(records, found_of, strict=True):
            if isinstance(found, ImageFault):
                problem = f"{record.path}: image {record.image_id} {found.what}"
                bad_records.add(found.kind, problem)
            else:
                note_image(notes, str(record.path), found, upright)
                yield record
            progress.update()
