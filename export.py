# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Exports a checkpoint: python export.py --export_load_ckpt F.ckpt --export_name NAME."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from src.model_utils import moxing_adapter
from src.model_utils.config import load_config
from src.model_utils.device_adapter import set_up_device
from src.model_utils.errors import UserError, run_program
from src.model_utils.messages import say
from src.model_utils.parameters import Config
from src.tasks.columns import POINTS_OF_DETECTION

if TYPE_CHECKING:
    from mindspore import nn


def main() -> None:
    config = load_config("Export a CenterNet checkpoint, decode included, as MINDIR or ONNX.")
    with moxing_adapter.job(
        config, outputs=["export_name"], checkpoint="export_load_ckpt"
    ) as config:
        export(config)


def export(config: Config) -> None:
    if not config.export_load_ckpt:
        raise UserError("command line: give --export_load_ckpt, the checkpoint to export.")
    device = set_up_device(config)

    # Here and not above: --help needs no MindSpore, and set_up_device has to come before it.
    from src.data.augment import colour_statistics, normalisation
    from src.model_utils.facts import check_place, write_facts
    from src.models.network import create_network, with_decode
    from src.weights.load import configured, load, read_weights

    ending = f".{config.export_format.lower()}"
    path = Path(f"{config.export_name.removesuffix(ending)}{ending}")
    check_place(path)
    weights = read_weights(Path(config.export_load_ckpt))
    config = configured(config, weights)
    dataset, options = config.dataset_config, config.export_config
    network = create_network(config, options.deformable)
    load(network, weights)
    colour = normalisation(colour_statistics(dataset)) if options.input_dtype == "uint8" else None
    model = with_decode(network, config, colour)
    height, width = dataset.input_res_test
    # On a CPU both are the same float32 graph; elsewhere half-precision units may round apart.
    tolerance = 1e-3 if device.target == "CPU" else 1.0
    batch = options.batch_size
    shape = (batch, 3, height, width)
    row_length = POINTS_OF_DETECTION + 3 * config.task_facts.points
    difference = write(model, shape, path, config, tolerance)
    write_facts(path, config)
    say(
        f"{path}: {options.input_dtype} images ({batch},3,{height},{width}) to detections "
        f"({batch},{config.rows},{row_length}); "
        f"loaded back, it gives the network's boxes to {difference:.1e} pixels"
    )


def write(
    model: "nn.Cell",
    shape: tuple[int, int, int, int],
    path: Path,
    config: Config,
    tolerance: float,
) -> float:
    """Writes a model with its decode, and gives how far the file's detections are from its own."""
    from src.deploy import mindir_v1
    from src.deploy.mindir import write_mindir
    from src.model_utils.facts import exported_facts

    dtype = config.export_config.input_dtype
    if config.export_format == "ONNX":
        try:
            from src.deploy.onnx_file import write_onnx
        except ImportError as error:
            raise UserError(
                f"export_format is ONNX, for which a package does not import ({error}); run "
                "pip install -r requirements/onnx.txt or choose MINDIR."
            ) from None
        facts = json.dumps(exported_facts(config))
        return write_onnx(model, shape, dtype, path, facts=facts, tolerance=tolerance)
    try:
        return write_mindir(
            model, shape, dtype, path, version=config.mindir_version, tolerance=tolerance
        )
    except mindir_v1.UnsupportedGraphError as error:
        raise UserError(
            f"{path}: cannot be written as MINDIR version 1 ({error}); choose "
            "--export_config.deformable gather or --mindir_version 0."
        ) from None


if __name__ == "__main__":
    run_program(main)
