# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Draws and writes the boxes and points of images and videos.

python predict.py --input FILE|FOLDER|PATTERN|STREAM --output DIR --load_checkpoint_path F.ckpt
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from src.model_utils.config import load_config
from src.model_utils.device_adapter import set_up_device
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import make_writable
from src.model_utils.messages import say
from src.model_utils.parameters import Config

if TYPE_CHECKING:
    from src.evaluation.predict import Predictor


def main() -> None:
    config = load_config("Detect objects in images and videos: pictures and json of the boxes.")
    if not (config.input and config.output and len(config.models) == 1):
        raise UserError(
            "command line: give --input, --output and one of --load_checkpoint_path, "
            "--load_mindir_path and --load_onnx_path."
        )
    # Here and not above: it imports NumPy, which starts threads, and run_program sees to SIGINT.
    from src.evaluation.streams import is_stream

    is_whole = on_stream(config) if is_stream(config.input) else on_files(config)
    if not is_whole:
        sys.exit(1)


def on_files(config: Config) -> bool:
    """Predicts on images and videos; gives whether all could be done."""
    from src.data.images import decoder
    from src.evaluation.predict import find_sources, predict_all

    output_dir = Path(config.output)
    sources = find_sources(config.input, output_dir)
    make_writable(output_dir)  # before the work, not after it
    config, predictor = predictor_of(config)
    dataset = config.dataset_config
    decode = decoder(dataset.image_backend, dataset.turn_by_exif, dataset.take_damaged_jpegs)
    faults = predict_all(
        *(sources, predictor, decode, dataset.turn_by_exif),
        dataset.input_res_train if config.eval_config.keep_res else (),
    )
    say(f"{len(sources)} file(s) to {output_dir}, {faults} of them not done or not wholly")
    return not faults


def on_stream(config: Config) -> bool:
    """Predicts on a stream or a camera; gives whether it was not lost."""
    from src.evaluation.streams import opened_stream, predict_stream

    output_dir = Path(config.output)
    make_writable(output_dir)
    with opened_stream(config.input) as stream:  # a dead one is told before the model is loaded
        _, predictor = predictor_of(config)
        return predict_stream(stream, predictor, output_dir, config.max_seconds)


def predictor_of(config: Config) -> tuple[Config, "Predictor"]:
    """The configuration with what the model was made with, and what is done with images."""
    from src.evaluation.models import load_detector
    from src.evaluation.predict import LARGEST_INPUT, Predictor

    if not config.load_onnx_path:  # which needs no MindSpore
        set_up_device(config)
    (model,) = config.models
    config, detector = load_detector(config, model)
    dataset, options = config.dataset_config, config.eval_config
    predictor = Predictor(
        *(detector.detect, dataset.coco_classes, options.score_thresh),
        *(config.task_facts, config.has_points),
    )
    if options.keep_res:
        largest = LARGEST_INPUT / max(options.multi_scales) ** 2
        predictor = replace(predictor, largest=largest)
    return config, predictor


if __name__ == "__main__":
    run_program(main)
