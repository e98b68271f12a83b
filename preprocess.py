# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Prepares a validation set for ascend310_infer.

python preprocess.py --val_data_dir DIR --predict_dir DIR
"""

from pathlib import Path

from tqdm import tqdm

from src.data.augment import colour_statistics, normalisation, normalise
from src.data.geometry import InputGeometry
from src.data.images import decoder, read_image
from src.deploy import bin_files
from src.evaluation.evaluation_set import read_evaluation_set
from src.model_utils.config import load_config
from src.model_utils.errors import UserError, run_program


def main() -> None:
    config = load_config("Warp the images of a validation set to the input of an exported model.")
    if not config.val_data_dir or not config.predict_dir:
        raise UserError("command line: give --val_data_dir and --predict_dir.")
    dataset, evaluation = config.dataset_config, config.eval_config
    images = read_evaluation_set(
        dataset, Path(config.val_data_dir), "val", evaluation.num_images, config.on_bad_record
    )
    warp = InputGeometry(False, evaluation.pad, tuple(dataset.input_res_test))
    colour = normalisation(colour_statistics(dataset))
    decode, predict_dir = decoder(dataset.image_backend), Path(config.predict_dir)
    bin_files.start(predict_dir)
    metas = []
    for record in tqdm(images.records, desc="preprocess", unit="image", mininterval=1):
        pixels = read_image(record.path, decode, f"image {record.image_id}")
        image, affine = warp(pixels)
        if config.export_config.input_dtype == "float32":
            image = normalise(image, colour)
        name = bin_files.image_name(record.image_id)
        bin_files.write_input(predict_dir, name, image)
        metas.append(bin_files.ImageMeta(name, record.image_id, affine.tolist()))
    bin_files.finish(predict_dir, metas)
    print(f"{len(metas)} images written to {predict_dir / 'data'}")


if __name__ == "__main__":
    run_program(main)
