# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Writing and reading checkpoints.

The network's parameters go by their place in it (features.backbone.conv1.weight), whatever cells
stand around it. What the model was made with stands beside them as a text. Whatever more a training
needs to go on, see `src.training.resume`, has names with a prefix that no network has. MindSpore's
check sum over all tells damaged files.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn

from src.model_utils.errors import UserError
from src.model_utils.facts import Facts
from src.model_utils.files import read_regular, whole_file
from src.model_utils.messages import say
from src.model_utils.progress import telling
from src.weights import checkpoint_file

STATE_PREFIX = "training."  # of what is not the network's
MODEL = STATE_PREFIX + "model"  # the text of the model's facts

_SHOWN = 3
_ONCE = re.compile(r"^((?:training\..*\.)?)(?<!features\.)((?:backbone|neck)\.)")

_HEAD = re.compile(r"(?:heads|auxiliary_heads\.\d+)\.(\w+)\.")


def save(
    parameters: Iterable[tuple[str, ms.Parameter]], path: Path, facts: dict[str, str] | None = None
) -> None:
    """Writes parameters by their names, and texts by theirs, to `path`, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    entries = [{"name": name, "data": data} for name, data in parameters]
    with telling(f"writing {path}"), whole_file(path) as partial:
        try:
            ms.save_checkpoint(entries, str(partial), append_dict=facts, crc_check=True)
        except RuntimeError as error:
            raise OSError(0, f"MindSpore could not write it ({error})") from error


def read(path: Path) -> dict[str, ms.Parameter | str]:
    """Everything that a checkpoint holds, by its name.

    Raises:
        UserError: the file is missing, damaged or no checkpoint.
        OSError: it may not be read.
    """
    if not path.is_file():
        what = "it is no regular file" if path.exists() else "checkpoint not found"
        raise UserError(f"{path}: {what}; check the path.")
    try:
        with telling(f"reading {path}"):
            stored = checkpoint_file.parse(read_regular(path))
    except MemoryError:
        raise UserError(
            f"{path}: does not fit into memory ({path.stat().st_size:,} bytes); check the file."
        ) from None
    except ValueError as error:
        raise UserError(
            f"{path}: is not a MindSpore checkpoint, or a damaged one ({error}); give a .ckpt file "
            "that train.py wrote."
        ) from None
    return {present_name(name): value for name, value in stored.items()}


def facts_in(texts: Mapping[str, str | ms.Parameter], path: Path) -> Facts:
    """The facts of the model among the texts of a checkpoint; none if an earlier version wrote it.

    Raises:
        UserError: they are damaged.
    """
    try:
        facts = json.loads(texts.get(MODEL, "{}"))
    except (ValueError, TypeError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise UserError(f"{path}: does not say what its model was made with; it is damaged.")
    return facts


def present_name(name: str) -> str:
    """A parameter's name as it is now: once backbone and neck stood in no features."""
    return _ONCE.sub(r"\1features.\2", name)


def head_of(name: str) -> str:
    """The head, hm or another, of any stack, that a parameter belongs to; empty if it is none."""
    match = _HEAD.match(name)
    return match[1] if match else ""


def check_finite(stored: Mapping[str, np.ndarray], path: Path) -> None:
    """Raises UserError if a number among those stored in `path` is not finite."""
    bad = not_finite(stored.items())
    if bad:
        raise UserError(
            f"{path}: {len(bad)} of {len(stored)} tensors hold numbers that are not finite "
            f"({', '.join(bad[:_SHOWN])}): it is damaged or of a training that diverged; give an "
            "earlier checkpoint."
        )


def not_finite(arrays: Iterable[tuple[str, np.ndarray]]) -> list[str]:
    """The names of the arrays that hold a NaN or an infinity."""
    return [name for name, array in arrays if not np.isfinite(array).all()]


def fill(network: nn.Cell, stored: Mapping[str, ms.Tensor | str], path: Path) -> None:
    """Gives `network` all its parameters from those stored; others there (moments) are ignored.

    Raises:
        UserError: the checkpoint, which `path` names, is another model's.
    """
    problems = []
    for name, parameter in network.parameters_and_names():
        found = stored.get(name)
        if found is None:
            problems.append(f"{name} is missing")
        elif found.shape != parameter.shape:
            problems.append(_shapes(name, found, parameter))
    if problems:
        raise _another_model(path, problems)
    for name, parameter in network.parameters_and_names():
        parameter.set_data(stored[name])


def copy(parameters: Iterable[tuple[str, ms.Parameter]], network: nn.Cell) -> None:
    """Gives `network` the values that parameters of its names have now."""
    own = dict(network.parameters_and_names())
    for name, parameter in parameters:
        own[name].set_data(ms.Tensor(parameter.asnumpy()))  # a copy: the original goes on changing


def fill_for_fine_tuning(
    network: nn.Cell, stored: Mapping[str, ms.Tensor | str], path: Path
) -> None:
    """Gives `network` the stored weights as far as they fit, and prints what does not.

    Parameters that the checkpoint lacks keep their first values, and so do those of heads that were
    trained for another number of classes.

    Raises:
        UserError: another shape elsewhere, or nothing of the network is in the checkpoint.
    """
    parameters = dict(network.parameters_and_names())
    taken = [name for name in parameters if name in stored]
    other = [name for name in taken if stored[name].shape != parameters[name].shape]
    of_other_classes = [
        name
        for name in other
        if head_of(name) and stored[name].shape[1:] == parameters[name].shape[1:]
    ]
    problems = [
        _shapes(name, stored[name], parameters[name])
        for name in other
        if name not in of_other_classes
    ]
    if not taken:
        problems = [f"{name} is missing" for name in parameters]
    if problems:
        raise _another_model(path, problems)
    for name in taken:
        if name not in of_other_classes:
            parameters[name].set_data(stored[name])
    missing = [name for name in parameters if name not in stored]
    surplus = [name for name in stored if name not in parameters and _is_weight(name)]
    say(
        f"fine-tuning: {len(taken) - len(of_other_classes)} of {len(parameters)} parameters are "
        f"from {path}"
    )
    for what, names in (
        ("of another number of classes, trained anew", of_other_classes),
        ("missing there, trained anew", missing),
        ("only there, ignored", surplus),
    ):
        if names:
            say(f"  {what}: {', '.join(names)}")


def _is_weight(name: str) -> bool:
    return not name.startswith(STATE_PREFIX)


def _shapes(name: str, found: ms.Tensor, wanted: ms.Parameter) -> str:
    return f"{name} is {tuple(found.shape)} instead of {tuple(wanted.shape)}"


def _another_model(path: Path, problems: list[str]) -> UserError:
    return UserError(
        f"{path}: is a checkpoint of another model, {len(problems)} parameters do not fit "
        f"({'; '.join(problems[:_SHOWN])}); pick the config that it was trained with."
    )
