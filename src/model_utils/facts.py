# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What a model was made with: parameters that go with it, in its checkpoint or in a json beside it.

Of a parameter marked `fact="fixed"` the model's value holds, and another that is given is an error;
of one marked "usual" the model's value is taken where none is given. One marked "changed" is as
"usual", and left out where it has its default.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from src.model_utils.config import leaves, parameters, shown_short, validated
from src.model_utils.errors import UserError
from src.model_utils.files import read_text, sha256, write_json
from src.model_utils.messages import say
from src.model_utils.networks import NETWORKS
from src.model_utils.parameters import Config
from src.tasks import TASKS

Facts = dict[str, Any]  # values by the parameters' names
_FORMAT = "centernet-model 1"
_OF_EXPORTED = {
    "dataset_config.input_res_test",
    "eval_config.K",
    "export_config.batch_size",
    "export_config.input_dtype",
}


def facts_of(config: Config) -> Facts:
    """What goes with a network that was trained so."""
    marked = {name for name, p in parameters(config.net_config.network).items() if _mark(p)}
    # Tasks that have a section of parameters have it by their name.
    others = tuple(f"net_config.{task}." for task in TASKS if task != config.task)
    marked = {name for name in marked if not name.startswith(others)}
    known = _parameters(config.net_config.network)
    facts = {
        name: value
        for name, value in leaves(config.model_dump())
        if name in marked and not (_mark(known[name]) == "changed" and value == known[name].default)
    }
    form = "net_config.deformable"
    if facts.get(form, "none") != "none":  # the device chooses among the others
        facts[form] = "auto"
    return facts


def fixed_names(facts: Facts, exported: bool = False) -> set[str]:
    """The names of the facts that hold whatever is given."""
    known = _parameters(facts.get("net_config.network", next(iter(NETWORKS))))
    marked = {name for name, p in known.items() if _mark(p) == "fixed"}
    return marked | (_OF_EXPORTED if exported else set())


def with_facts(
    config: Config, facts: Mapping[str, Any], source: Path, fixed: Collection[str] = ()
) -> Config:
    """A configuration with facts of a file, wherever it gives nothing itself; a line tells them.

    Args:
        config: as it was loaded.
        facts: as they stand in the file.
        source: the file, of a model or a data set.
        fixed: names of the facts that the configuration must not contradict.

    Raises:
        UserError: it does, or a fact is none.
    """
    known = _parameters(facts.get("net_config.network", config.net_config.network))
    given = config.origins
    current = dict(leaves(config.model_dump()))
    for name, value in facts.items():
        if name not in known:
            raise UserError(
                f"{source}: was made with {name} {shown_short(value)}, which this version of the "
                "project does not know."
            )
        if name in given and name in fixed and current[name] != value:
            raise UserError(
                f"{source}: was made with {name} {shown_short(value)}, but {given[name]} says "
                f"{shown_short(current[name])}; leave it out there."
            )
    taken = {name: value for name, value in facts.items() if name not in given}
    new = [f"{n} {shown_short(v)}" for n, v in taken.items() if current.get(n) != v]
    if new:
        say(f"taken from {source}: {', '.join(new)}")
    # What follows from others and is not given follows anew.
    kept = {
        name: value
        for name, value in current.items()
        if name in known and (name in given or known[name].default is not None)
    }
    origins = {name: where for name, where in given.items() if name in known}
    return validated({**kept, **taken}, {**origins, **dict.fromkeys(taken, str(source))})


def beside(model_path: Path) -> Path:
    """The json that goes with an exported model."""
    return model_path.with_suffix(".json")


def check_place(model_path: Path) -> None:
    """Raises UserError if NAME.json beside a model that is to be exported is somebody else's."""
    path = beside(model_path)
    if path.exists() and _stored(path) is None:
        raise UserError(
            f"{path}: is not what export.py writes beside a model; move it away or choose another "
            "--export_name."
        )


def exported_facts(config: Config) -> dict[str, Any]:
    """What goes with an exported model, as NAME.json has it but for the digest of the file."""
    facts = facts_of(config)
    facts |= {name: value for name, value in leaves(config.model_dump()) if name in _OF_EXPORTED}
    return {"format": _FORMAT, "settings": facts}


def write_facts(model_path: Path, config: Config) -> None:
    """Writes NAME.json beside an exported model, NAME.mindir or NAME.onnx, which is finished.

    It goes with both if they have the same facts.
    """
    path, content = beside(model_path), exported_facts(config)
    digests = {model_path.suffix: sha256(model_path)}
    before = _stored(path) if path.exists() else None
    if before and before["settings"] == content["settings"]:
        digests = _digests(before) | digests
    write_json(path, {**content, "sha256": digests})


def with_exported_facts(config: Config, model_path: Path, inside: str = "") -> Config:
    """The configuration with the facts of an exported model, if it has any beside it or in it.

    A json that is not export.py's may lie beside a model of an earlier version, which has none.

    Args:
        config: as it was loaded.
        model_path: the model.
        inside: the text that it holds, an ONNX file's, which counts where there is no json.

    Raises:
        UserError: as `with_facts`, or the json is another model's, or the text is none of ours.
    """
    path = beside(model_path)
    content = _stored(path) if path.exists() else None
    if content is None and inside:
        content, path = _parsed(inside), model_path
        if content is None:
            raise UserError(f"{path}: what it says of itself is damaged; export it again.")
    if content is None:
        return config
    settings = content["settings"]
    if path != model_path and sha256(model_path) not in _digests(content).values():
        raise UserError(
            f"{path}: belongs to another {model_path.name} than the one beside it; copy both from "
            "where export.py wrote them, or export again."
        )
    return with_facts(config, settings, path, fixed_names(settings, exported=True))


def _digests(content: dict[str, Any]) -> dict[str, Any]:
    """The digests of the models that a json goes with, by their endings."""
    found = content["sha256"]  # of a version that wrote MINDIRs alone: a text
    return found if isinstance(found, dict) else {".mindir": found}


def _stored(path: Path) -> dict[str, Any] | None:
    """The content of a json that export.py wrote beside a model; None if it is none.

    Raises:
        UserError: it cannot be read.
    """
    try:
        content = _parsed(read_text(path))
        return content if content and "sha256" in content else None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    except ValueError:  # not UTF-8
        return None


def _parsed(text: str) -> dict[str, Any] | None:
    """Format and settings in a json; None if it has others than export.py writes."""
    try:
        content = json.loads(text)
        is_ours = content["format"] == _FORMAT and isinstance(content["settings"], dict)
        return content if is_ours else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _parameters(network: Any) -> dict[str, FieldInfo]:
    is_known = isinstance(network, str) and network in NETWORKS
    return parameters(network) if is_known else {}


def _mark(parameter: FieldInfo) -> str:
    return parameter.json_schema_extra["fact"] if parameter.json_schema_extra else ""
