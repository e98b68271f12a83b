# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Converts weights: python src/weights --source FILE --config_path YAML --output FILE."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

if __package__ in (None, ""):  # started as a folder, `python src/weights`, from anywhere
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from src.model_utils.config import load_config
from src.model_utils.errors import UserError, run_program
from src.model_utils.facts import facts_of
from src.model_utils.messages import say
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
    from src.models.network import create_network
    from src.weights.checkpoints import MODEL
    from src.weights.files import write
    from src.weights.layouts.original import ORIGINALS
    from src.weights.load import (
        check_shapes,
        configured,
        fit_names,
        missing_from,
        read_weights,
        summary,
        table,
    )
    from src.weights.translate import in_layout

    found = read_weights(source)
    config = configured(config, found)
    facts = facts_of(config)
    network = create_network(config)
    fit_names(network, found)
    say(*table(found, network))
    check_shapes(found, network, source)
    missing = missing_from(found, network)
    if missing and not config.allow_missing:
        raise UserError(
            f"{source}: lacks {summary(missing)} of the configured network; give --allow_missing "
            "if they are to be trained."
        )
    network_name = "net_config.network"
    original = next(
        (layout for layout in ORIGINALS if layout.facts[network_name] == facts[network_name]),
        ORIGINALS[0],
    )
    lacks = [
        f"{name} {facts.get(name)}"
        for name, value in original.facts.items()
        if facts.get(name) != value and config.to == "original"
    ]
    if lacks:
        raise UserError(
            f"{source}: the original has no {lacks[0]}, so it cannot take these weights; write "
            "them by --to ours."
        )
    names = [name for name, _ in network.parameters_and_names() if name in found.arrays]
    arrays = {name: found.arrays[name] for name in names}
    if config.to == "original":
        write(output, in_layout(original, arrays), {})
    else:
        write(output, arrays, {MODEL: json.dumps(facts)})
    say(f"{output}: {len(arrays)} tensors written")


if __name__ == "__main__":
    run_program(main)
