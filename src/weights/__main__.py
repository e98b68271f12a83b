# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Converts weights: python src/weights --source FILE --config_path YAML --output FILE."""

import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):  # started as a folder, `python src/weights`, from anywhere
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from src.model_utils.config import load_config
from src.model_utils.errors import UserError, run_program
from src.model_utils.parameters import Config

_ENDINGS = {"ours": (".ckpt", ".safetensors"), "original": (".pth", ".safetensors")}


def main(arguments: Sequence[str] | None = None) -> None:
    config = load_config(
        "Convert weights of this and other projects; docs/weights.md lists them.", arguments
    )
    if not config.source or not config.output:
        raise UserError(
            "command line: give --source and --output, a file to read and one to write."
        )
    source, output = Path(config.source), Path(config.output)
    if output.suffix not in _ENDINGS[config.to]:
        endings = " or ".join(_ENDINGS[config.to])
        raise UserError(f"{output}: --to {config.to} writes {endings}; choose such a name.")
    convert(config, source, output)


def convert(config: Config, source: Path, output: Path) -> None:
    """Reads `source`, prints what became of its tensors and writes `output`.

    Raises:
        UserError: as `translated`, a tensor does not fit, or one is missing.
    """
    # Here and not above: --help needs no MindSpore.
    from src.models.centernet import create_network
    from src.weights.files import write
    from src.weights.layouts.original import ORIGINAL
    from src.weights.load import check_shapes, missing_from, summary, table, translated
    from src.weights.translate import STEM_POOL, in_layout

    network = create_network(config.net_config, config.dataset_config.num_classes)
    found = translated(network, source, config)
    print(f"{source}: {table(found, network)}", flush=True)
    check_shapes(found, network, source)
    missing = missing_from(found, network)
    if missing and not config.allow_missing:
        raise UserError(
            f"{source}: lacks {summary(missing)} of the configured network; give --allow_missing "
            "if they are to be trained."
        )
    if config.to == "original" and config.net_config.stem_pool != ORIGINAL.stem_pool:
        raise UserError(
            f"{source}: the original has no net_config.stem_pool {config.net_config.stem_pool}, so "
            "it cannot take these weights; write them by --to ours."
        )
    names = [name for name, _ in network.parameters_and_names() if name in found.arrays]
    arrays = {name: found.arrays[name] for name in names}
    if config.to == "original":
        write(output, in_layout(ORIGINAL, arrays), {})
    else:
        write(output, arrays, {STEM_POOL: config.net_config.stem_pool})
    print(f"{output}: {len(arrays)} tensors written")


if __name__ == "__main__":
    run_program(main)
