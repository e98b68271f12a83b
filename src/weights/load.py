# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Weights of any known layout into a network, and the table of what became of them."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from mindspore import Tensor, nn

from src.model_utils.errors import UserError
from src.model_utils.facts import Facts, with_facts
from src.model_utils.messages import say
from src.model_utils.parameters import Config
from src.models.network import FEATURES
from src.weights import checkpoints
from src.weights.files import read
from src.weights.layouts.ours import OURS
from src.weights.translate import Translated, shown, translate

_SHOWN = 3
_COLOURS = ("dataset_config.channel_order", "dataset_config.mean", "dataset_config.std")
_BLOCK = re.compile(r"features\.backbone\.layer(\d+)\.(\d+)\.")
_DEPTHS = {
    ("basic", (2, 2, 2, 2)): "ResNet-18",
    ("basic", (3, 4, 6, 3)): "ResNet-34",
    ("bottleneck", (3, 4, 6, 3)): "ResNet-50",
    ("bottleneck", (3, 4, 23, 3)): "ResNet-101",
    ("bottleneck", (3, 8, 36, 3)): "ResNet-152",
}


def read_weights(path: Path) -> Translated:
    """The tensors of a file of any layout that docs/weights.md lists, under our names.

    Raises:
        UserError: as `read` and `translate`, or a number is not finite.
    """
    found = translate(read(path))
    checkpoints.check_finite(found.arrays, path)
    return found


def configured(config: Config, found: Translated) -> Config:
    """The configuration of the network whose weights these are, wherever `config` gives nothing.

    Raises:
        UserError: it gives something else, see `with_facts`.
    """
    return with_facts(config, found.facts, found.path, found.fixed)


def configured_to_train(config: Config, facts: Facts, path: Path) -> Config:
    """The configuration of a training that starts from weights, by their network and colours.

    What `config` gives is taken, whatever the weights were made with; if it gives one of the
    colours' parameters, all of them are its own, as a mean is that of an order of channels.

    Args:
        config: as it was loaded.
        facts: of the weights, which are in the file `path`.
    """
    names = set() if config.origins.keys() & set(_COLOURS) else set(_COLOURS)
    configured_network = config.net_config.network
    if facts.get("net_config.network", configured_network) == configured_network:
        names |= {name for name in facts if name.startswith("net_config.")}
    return with_facts(config, {n: value for n, value in facts.items() if n in names}, path)


def load(network: nn.Cell, found: Translated) -> None:
    """Gives `network` all its parameters; what became of other projects' weights is printed.

    Raises:
        UserError: the weights are of another network, or a parameter is missing.
    """
    _fit(network, found)
    missing = missing_from(found, network)
    if missing and found.layout is not OURS:
        raise UserError(
            f"{found.path}: lacks {summary(missing)} of the configured network; give weights of "
            "the whole network, or train from these first (train.py --load_checkpoint_path)."
        )
    checkpoints.fill(network, _tensors(found), found.path)


def load_for_fine_tuning(network: nn.Cell, found: Translated) -> None:
    """Starts `network` from weights as far as they go, as `checkpoints.fill_for_fine_tuning`.

    Raises:
        UserError: the weights are of another network, or a parameter is of another shape.
    """
    _fit(network, found)
    checkpoints.fill_for_fine_tuning(network, _tensors(found), found.path)


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
    parts = [".".join(n.split(".")[:2]) for n in names]
    return f"{len(names)} parameters ({', '.join(dict.fromkeys(parts))})"


def table(found: Translated, network: nn.Cell) -> list[str]:
    """What became of a file's tensors: rows of what, how many, and how or why, with some names."""
    rows: list[tuple[str, str, list[str]]] = []  # what, how or why, names
    kinds = {name: found.changed.get(name, "matched: as they are") for name in found.arrays}
    for kind in dict.fromkeys(kinds.values()):
        what, _, how = kind.partition(": ")
        rows.append((what, how, [name for name in kinds if kinds[name] == kind]))
    if not any(what == "transposed" for what, _, _ in rows):
        why = "nothing has to be: all keep such layers as (in, out, 4, 4)"
        rows.append(("transposed", why, []))
    for reason in dict.fromkeys(found.ignored.values()):
        names = [name for name, why in found.ignored.items() if why == reason]
        rows.append(("ignored", reason, names))
    rows.append(("left at initial values", "not in the file", missing_from(found, network)))
    lines = [f"{found.path}: {found.layout.name}", f"  {'what':<22} {'tensors':>7}  how, or why"]
    for what, how, names in rows:
        listed = f" ({shown(names)})" if names and not what.startswith("matched") else ""
        lines.append(
            f"  {what:<22} {len(names):>7}  {how if names or what == 'transposed' else ''}{listed}"
        )
    return [*lines, *(f"  {remark}" for remark in found.remarks)]


def _fit(network: nn.Cell, found: Translated) -> None:
    """Checks other projects' weights against `network`, and prints what becomes of them."""
    fit_names(network, found)
    if found.layout is not OURS:
        say(*table(found, network))


def fit_names(network: nn.Cell, found: Translated) -> None:
    """Leaves out the heads that `network` has not.

    Raises:
        UserError: the names are those of another kind of network, or a tensor is not float32.
    """
    if found.layout is not OURS:  # a file of ours is told by what does not fit
        _check_network(found, network, found.path)
        _leave_out_other_heads(found, network)


def _check_network(found: Translated, network: nn.Cell, path: Path) -> None:
    """Raises UserError if the names are those of another kind of network or of other types."""
    for name, array in found.arrays.items():
        if array.dtype != np.float32:
            raise UserError(f"{path}: {found.sources[name]} is {array.dtype}; save it as float32.")
    kind = next(kind for kind, cell in FEATURES.items() if isinstance(network.features, cell))
    made_with = found.facts.get("net_config.network", kind)
    if made_with != kind:
        raise UserError(
            f"{path}: holds weights of the network {made_with}, but the configured one is {kind}; "
            "choose the --config_path of that network, docs/weights.md lists them."
        )
    wanted = [name for name, _ in network.parameters_and_names()]
    has_neck = any(name.startswith("features.neck.") for name in found.arrays)
    texts = [_described(names, has_neck) for names in (found.arrays, wanted)]
    if texts[0] != texts[1]:
        raise UserError(
            f"{path}: holds {texts[0]}, but the configured network is {texts[1]}; choose the "
            "--config_path of that network, docs/weights.md lists them."
        )


def _described(names: Iterable[str], with_neck: bool) -> str:
    """A network's ResNet, and its neck, by the names of its tensors."""
    names = list(names)
    numbers = {match.groups() for name in names if (match := _BLOCK.match(name))}
    stages = Counter(int(stage) for stage, _ in numbers)
    blocks = tuple(stages[stage] for stage in sorted(stages))
    kind = "bottleneck" if "features.backbone.layer1.0.conv3.weight" in names else "basic"
    text = _DEPTHS.get((kind, blocks), f"a ResNet of {list(blocks)} {kind} blocks")
    if with_neck:
        deformable = any(".conv_offset." in name for name in names)
        text += f" {'with' if deformable else 'without'} deformable layers"
    return text


def _leave_out_other_heads(found: Translated, network: nn.Cell) -> None:
    heads = {checkpoints.head_of(name) for name, _ in network.parameters_and_names()}
    for name in list(found.arrays):
        head = checkpoints.head_of(name)
        if head not in heads:
            del found.arrays[name]
            found.changed.pop(name, None)
            found.ignored[found.sources.pop(name)] = f"the configured network has no head {head}"


def _tensors(found: Translated) -> dict[str, Tensor]:
    return {name: Tensor(array) for name, array in found.arrays.items()}
