# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Converts a data set in COCO format to MindRecord files for training.

python -m src.dataset --coco_data_dir DIR --mindrecord_dir DIR
"""

import sys
from pathlib import Path

if __package__ in (None, ""):  # started as a file: `python src/dataset.py`, or by ModelArts
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from src.model_utils import moxing_adapter
from src.model_utils.config import load_config
from src.model_utils.errors import UserError, run_program
from src.model_utils.parameters import Config


def main() -> None:
    config = load_config("Convert a data set in COCO format to MindRecord files.")
    with moxing_adapter.job(config, outputs=["mindrecord_dir"], data="coco_data_dir") as config:
        convert(config)


def convert(config: Config) -> None:
    if not config.coco_data_dir or not config.mindrecord_dir:
        raise UserError("command line: give --coco_data_dir and --mindrecord_dir.")
    # Here and not above: --help needs no MindSpore.
    from src.data import coco, mindrecord
    from src.data.images import decoder
    from src.data.loader import worker_count

    dataset, root = config.dataset_config, Path(config.coco_data_dir)
    bad_records = coco.BadRecords(config.on_bad_record)
    records = coco.read_records(
        root / dataset.train_annotation,
        root / dataset.train_images,
        dataset.coco_classes,
        bad_records,
    )
    manifest = mindrecord.write_set(
        records,
        dataset.coco_classes,
        Path(config.mindrecord_dir),
        config.mindrecord_prefix,
        dataset.num_shards,
        worker_count(dataset.num_workers),
        decoder(dataset.image_backend),
        bad_records,
    )
    for problem in bad_records.skipped:
        print(f"left out: {problem}")
    print(
        f"{manifest.images} images with {manifest.boxes} boxes of {len(records)} images written to "
        f"{Path(config.mindrecord_dir) / config.mindrecord_prefix}*; left out as unusable: "
        f"{len(bad_records.skipped)}."
    )


if __name__ == "__main__":
    run_program(main)
