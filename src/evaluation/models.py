# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Detectors of checkpoints and exported models.

MindSpore is imported inside the functions that need it: ONNX Runtime needs none.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from src.data.augment import colour_statistics, normalisation
from src.data.coco import with_classes
from src.deploy.onnx_session import load_onnx, read_onnx
from src.evaluation.detector import Detector, detector_of
from src.model_utils.errors import UserError
from src.model_utils.facts import with_exported_facts
from src.model_utils.messages import say
from src.model_utils.parameters import Config

if TYPE_CHECKING:
    from mindspore import nn


def load_detector(
    config: Config, model: str, annotations: Path | None = None
) -> tuple[Config, Detector]:
    """The detector of a model, and the configuration with what that was made with.

    Args:
        config: as it was loaded.
        model: the parameter that names the model, one of `Config.models`.
        annotations: a data set's, for the classes of a model that does not say them.

    Raises:
        UserError: the file is no such model, or the configuration contradicts it; an exported model
            is to detect at several scales or in mirrored images.
    """
    path = Path(getattr(config, model))
    if model == "load_checkpoint_path":
        return _of_checkpoint(config, path, annotations)
    return _of_exported(config, path, model == "load_onnx_path", annotations)


def create_detector(config: Config, network: "nn.Cell") -> Detector:
    """The configured detector around a network with its weights.

    On a CPU with keep_res the network runs operator by operator: compiling takes longer there than
    running, and each padded size would be compiled. On other devices a size is compiled once.
    """
    import mindspore as ms

    from src.models.network import HeatModel, with_decode
    from src.models.on_arrays import OnArrays

    evaluation = config.eval_config
    colour = normalisation(colour_statistics(config.dataset_config))
    eager = evaluation.keep_res and ms.get_context("device_target") == "CPU"
    model = with_decode(network, config, colour, evaluation.flip_test, pools=eager)
    heat_model = HeatModel(network, colour, not config.net_config.mse_loss)
    return detector_of(
        config,
        OnArrays(model, eager),
        evaluation.keep_res,
        heat_model=OnArrays(heat_model, eager),
        views=2 if evaluation.flip_test and config.task_facts.pairs else 1,
    )


def _of_checkpoint(config: Config, path: Path, annotations: Path | None) -> tuple[Config, Detector]:
    from src.models.network import create_network
    from src.weights.load import configured, load, read_weights

    weights = read_weights(path)
    config = configured(config, weights)
    if annotations:
        config = with_classes(config, annotations)
    network = create_network(config)
    load(network, weights)
    return config, create_detector(config, network)


def _of_exported(
    config: Config, path: Path, is_onnx: bool, annotations: Path | None
) -> tuple[Config, Detector]:
    """As `load_detector`; a model of an earlier version needs the configuration that it had."""
    file = read_onnx(path) if is_onnx else None
    config = with_exported_facts(config, path, file.facts if file else "")
    if annotations:
        config = with_classes(config, annotations)
    dataset, options = config.dataset_config, config.eval_config
    if not dataset.coco_classes:
        raise UserError(f"{path}: does not say its classes; give dataset_config.coco_classes.")
    if options.multi_scales != [1.0] or options.flip_test:
        raise UserError(
            f"{path}: an exported model takes one size and no mirrored images; leave out "
            "eval_config.multi_scales and eval_config.flip_test or give a checkpoint."
        )
    size = (dataset.input_res_test[0], dataset.input_res_test[1])
    if options.keep_res:
        say(f"images are warped to {size[1]}x{size[0]}, the size that {path} takes")
        options = options.model_copy(update={"keep_res": False})
        config = config.model_copy(update={"eval_config": options})
    colour = normalisation(colour_statistics(dataset))
    if file:
        model, batch_size = load_onnx(
            *(file, size, colour, config.task_facts.points),
            target=config.device_target,
            device_id=config.device_id,
        )
    else:
        from src.deploy.mindir_reader import load_mindir

        model, batch_size = load_mindir(path, size, colour, config.task_facts.points)
    return config, detector_of(config, model, keep_res=False, batch_size=batch_size)
