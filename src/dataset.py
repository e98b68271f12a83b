# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Converts a data set in COCO format to MindRecord files for training.

python src/dataset.py --coco_data_dir DIR --mindrecord_dir DIR
python src/dataset.py --verify --mindrecord_dir DIR
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):  # started as a file: `python src/dataset.py`, or by ModelArts
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from src.model_utils import moxing_adapter
from src.model_utils.config import load_config
from src.model_utils.errors import UserError, run_program
from src.model_utils.messages import say
from src.model_utils.parameters import Config
from src.model_utils.progress import telling
from src.model_utils.workers import worker_count


def main(arguments: Sequence[str] | None = None) -> None:
    config = load_config("Convert a data set in COCO format to MindRecord files.", arguments)
    if config.verify:
        verify(config)
        return
    with moxing_adapter.job(config, outputs=["mindrecord_dir"], data="coco_data_dir") as config:
        convert(config)


def convert(config: Config) -> None:
    """Converts the training set, unless the set is there already.

    Raises:
        UserError: see `coco.read_annotation_file`, `coco.read_records`, `conversion.write_set`.
    """
    if not config.coco_data_dir or not config.mindrecord_dir:
        raise UserError("command line: give --coco_data_dir and --mindrecord_dir.")
    with telling("loading MindSpore"):  # here and not above: --help needs none
        from src.data import coco, conversion, keypoints, notes

    root = Path(config.coco_data_dir)
    annotation_path = root / config.dataset_config.train_annotation
    config = coco.with_classes(config, annotation_path)
    dataset = config.dataset_config
    image_dir = root / dataset.train_images
    mindrecord_dir, prefix = Path(config.mindrecord_dir), config.mindrecord_prefix
    source = hashlib.sha256()
    odd = notes.Notes()
    content = coco.read_annotation_file(annotation_path, source, odd)
    pose = config.pose
    if pose and dataset.train_keypoints:
        path = root / dataset.train_keypoints
        keypoints.merge(content, coco.read_annotation_file(path, source), path)
    bad_records = coco.BadRecords(config.on_bad_record)
    records = coco.read_records(
        *(content, annotation_path, image_dir, dataset, bad_records),
        notes=odd,
        num_workers=worker_count(dataset.num_workers),
        pose=pose,
    )
    listed = len(content["images"])
    names = [f"image {record.image_id}" for record in records]
    counts = [len(record.boxes) for record in records]
    sizes = [(record.width, record.height) for record in records]
    advice = notes.Notes()  # of the training's parameters, not of the set's
    notes.note_many_objects(advice, counts, names, dataset.max_objs)
    keep_res = config.eval_config.keep_res
    notes.note_large_images(advice, sizes, names, keep_res, dataset.input_res_train)
    options = {
        "coco_classes": dataset.coco_classes,
        "keep_empty_images": dataset.keep_empty_images,
        "num_shards": dataset.num_shards,
        "on_bad_record": config.on_bad_record,
        "other_classes": dataset.other_classes,
        "skip_crowd": dataset.skip_crowd,
        "take_damaged_jpegs": dataset.take_damaged_jpegs,
        "turn_by_exif": dataset.turn_by_exif,
    }
    if dataset.min_side:  # sets of all sides keep the digest that they have
        options["min_side"] = dataset.min_side
    point_names = pose.keypoints if pose else []
    if pose:  # sets of boxes keep the digest that they have
        options |= {"keypoints": point_names, "point_classes": pose.classes}
    fingerprint = conversion.source_fingerprint(source, records, image_dir, options)
    manifest = conversion.finished_set(mindrecord_dir, prefix, fingerprint)
    if manifest:
        notes.tell([*manifest.notes, *advice.lines()])
        say(
            f"{mindrecord_dir / prefix}*: up to date, {manifest.contents} of {listed} images; left "
            f"out as unusable: {manifest.left_out_unusable}; nothing to do."
        )
        return
    manifest = conversion.write_set(
        *(records, dataset, mindrecord_dir, prefix, fingerprint),
        bad_records=bad_records,
        notes=odd,
        point_names=point_names,
    )
    advice.report()
    say(
        f"{manifest.contents} of {listed} images written to "
        f"{mindrecord_dir / prefix}*; without boxes: {manifest.empty_images} written, "
        f"{manifest.left_out_empty} left out; left out as unusable: {manifest.left_out_unusable}."
    )


def verify(config: Config) -> None:
    """Checks a converted set wholly.

    Raises:
        UserError: see `mindrecord.verify_set`.
    """
    if not config.mindrecord_dir:
        raise UserError("command line: give --mindrecord_dir, the folder of the set to verify.")
    from src.data import mindrecord

    mindrecord_dir, prefix = Path(config.mindrecord_dir), config.mindrecord_prefix
    manifest = mindrecord.verify_set(
        mindrecord_dir, prefix, worker_count(config.dataset_config.num_workers)
    )
    say(
        f"{mindrecord_dir / prefix}*: verified, {manifest.contents} in {len(manifest.files)} files."
    )


if __name__ == "__main__":
    run_program(main)
