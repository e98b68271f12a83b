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
    from src.evaluation.detector import Detector
    from src.evaluation.predict import Predictor


def main() -> None:
    config = load_config("Detect objects in images and videos: pictures and json of the boxes.")
    has_model = bool(config.load_checkpoint_path) != bool(config.load_mindir_path)
    if not (config.input and config.output and has_model):
        raise UserError(
            "command line: give --input, --output and one of --load_checkpoint_path and "
            "--load_mindir_path."
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
    keep_res = config.eval_config.keep_res and not config.load_mindir_path
    decode = decoder(dataset.image_backend, dataset.turn_by_exif, dataset.take_damaged_jpegs)
    faults = predict_all(
        *(sources, predictor, decode, dataset.turn_by_exif),
        dataset.input_res_train if keep_res else (),
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
    from src.evaluation.predict import LARGEST_INPUT, Predictor

    set_up_device(config)
    of_model = of_mindir if config.load_mindir_path else of_checkpoint
    config, detector = of_model(config)
    dataset, options = config.dataset_config, config.eval_config
    predictor = Predictor(
        *(detector.detect, dataset.coco_classes, options.score_thresh),
        *(config.task_facts, config.has_points),
    )
    if options.keep_res and not config.load_mindir_path:
        largest = LARGEST_INPUT / max(options.multi_scales) ** 2
        predictor = replace(predictor, largest=largest)
    return config, predictor


# MindSpore is imported below and not above: --help needs none, and set_up_device comes before it.


def of_checkpoint(config: Config) -> tuple[Config, "Detector"]:
    """The configuration with what the model was made with, and the detector."""
    from src.evaluation.detector import create_detector
    from src.models.network import create_network
    from src.weights.load import configured, load, read_weights

    weights = read_weights(Path(config.load_checkpoint_path))
    config = configured(config, weights)
    network = create_network(config)
    load(network, weights)
    return config, create_detector(config, network)


def of_mindir(config: Config) -> tuple[Config, "Detector"]:
    """As `of_checkpoint`; a model of an earlier version needs the configuration that it had."""
    from src.data.augment import colour_statistics, normalisation
    from src.deploy.mindir_reader import load_mindir
    from src.evaluation.detector import detector_of
    from src.model_utils.facts import with_exported_facts

    config = with_exported_facts(config, Path(config.load_mindir_path))
    dataset, options = config.dataset_config, config.eval_config
    if options.multi_scales != [1.0] or options.flip_test:
        raise UserError(
            f"{config.load_mindir_path}: a MINDIR takes one size and no mirrored images; leave out "
            "eval_config.multi_scales and eval_config.flip_test or give a checkpoint."
        )
    size = (dataset.input_res_test[0], dataset.input_res_test[1])
    colour = normalisation(colour_statistics(dataset))
    model, batch_size = load_mindir(
        Path(config.load_mindir_path), size, colour, config.task_facts.points
    )
    return config, detector_of(config, model, keep_res=False, batch_size=batch_size)


if __name__ == "__main__":
    run_program(main)
