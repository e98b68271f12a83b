# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Weights of any known layout into a network, and the table of what became of them."""

from collections.abc import Iterable
from pathlib import Path

from mindspore import Tensor, nn

from src.model_utils.errors import UserError, sentence
from src.model_utils.parameters import Config
from src.weights import checkpoints
from src.weights.files import read
from src.weights.layouts import OURS, Translated, shown, translate

_SHOWN = 3


def load(network: nn.Cell, path: Path, config: Config) -> None:
    """Reads every parameter of `network` from a file of any layout that docs/weights.md lists.

    What became of weights of other projects is printed.

    Raises:
        UserError: as `read` and `translate`, or a parameter is missing or of another shape.
    """
    found = translated(network, path, config)
    missing = missing_from(found, network)
    if missing and found.layout != OURS:
        raise UserError(
            f"{path}: lacks {summary(missing)} of the configured network; give weights of the "
            "whole network, or train from these first (train.py --load_checkpoint_path)."
        )
    checkpoints.fill(network, _tensors(found), path)


def load_for_fine_tuning(network: nn.Cell, path: Path, config: Config) -> None:
    """Starts `network` from such a file as far as it goes, as `checkpoints.fill_for_fine_tuning`.

    Raises:
        UserError: as `read` and `translate`, or a parameter is of another shape.
    """
    checkpoints.fill_for_fine_tuning(network, _tensors(translated(network, path, config)), path)


def translated(network: nn.Cell, path: Path, config: Config) -> Translated:
    """A file's tensors under our names; of other projects' files the table is printed.

    Raises:
        UserError: as `read` and `translate`, or a number is not finite.
    """
    found = translate(read(path), config)
    checkpoints.check_finite(found.arrays, path)
    if found.layout != OURS:
        print(f"{path}: {table(found, network)}", flush=True)
    return found


def missing_from(found: Translated, network: nn.Cell) -> list[str]:
    """The parameters of `network` that a file has not."""
    return [name for name, _ in network.parameters_and_names() if name not in found.arrays]


def check_shapes(found: Translated, network: nn.Cell, path: Path) -> None:
    """Raises UserError if a tensor of the file `path` has no place in `network` or does not fit."""
    parameters = dict(network.parameters_and_names())
    problems = []
    for name, array in found.arrays.items():
        if name not in parameters:
            problems.append(f"the configured network has no {name}")
        elif array.shape != parameters[name].shape:
            problems.append(f"{name} is {array.shape} instead of {parameters[name].shape}")
    if problems:
        raise UserError(
            f"{path}: {len(problems)} tensors do not fit ({'; '.join(problems[:_SHOWN])}); choose "
            "the --config_path of that network, docs/weights.md lists them."
        )


def summary(names: Iterable[str]) -> str:
    """Names by part of the network: "4 parameters (heads.reg)"."""
    names = list(names)
    parts = [".".join(n.split(".")[: 2 if n.startswith("heads.") else 1]) for n in names]
    return f"{len(names)} parameters ({sentence(', '.join(dict.fromkeys(parts)))})"


def table(found: Translated, network: nn.Cell) -> str:
    """What became of a file's tensors: rows of what, how many, and how or why, with some names."""
    rows: list[tuple[str, str, list[str]]] = []  # what, how or why, names
    kinds = {name: found.changed.get(name, "matched: as they are") for name in found.arrays}
    for kind in dict.fromkeys(kinds.values()):
        what, _, how = kind.partition(": ")
        rows.append((what, how, [name for name in kinds if kinds[name] == kind]))
    rows.append(("transposed", "nothing has to be: all keep such layers as (in, out, 4, 4)", []))
    for reason in dict.fromkeys(found.ignored.values()):
        names = [name for name, why in found.ignored.items() if why == reason]
        rows.append(("ignored", reason, names))
    rows.append(("left at initial values", "not in the file", missing_from(found, network)))
    lines = [f"{found.layout}", f"  {'what':<22} {'tensors':>7}  how, or why"]
    for what, how, names in rows:
        listed = f" ({shown(names)})" if names and not what.startswith("matched") else ""
        lines.append(
            f"  {what:<22} {len(names):>7}  {how if names or what == 'transposed' else ''}{listed}"
        )
    return "\n".join([*lines, *(f"  {sentence(remark)}" for remark in found.remarks)])


def _tensors(found: Translated) -> dict[str, Tensor]:
    return {name: Tensor(array) for name, array in found.arrays.items()}
