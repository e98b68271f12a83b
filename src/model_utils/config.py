# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The configuration of a program: default_config.yaml, overlays on top of it, the command line.

`src.model_utils.parameters` says every parameter. Nothing is read until `load_config` is called.
"""

import argparse
import copy
import difflib
import os
import re
import reprlib
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from src.model_utils.errors import UserError
from src.model_utils.files import read_text
from src.model_utils.messages import say
from src.model_utils.networks import NETWORKS
from src.model_utils.parameter_types import Section
from src.model_utils.parameters import Config

DEFAULT_CONFIG_PATH = Path(__file__).resolve().parents[2] / "default_config.yaml"

# What parameters that are no booleans stand for without a value.
_VALUES_ALONE = {"resume": "newest"}


class _Short(reprlib.Repr):
    """How values stand in messages: a file may hold any amount of them."""

    def repr_int(self, x: int, level: int) -> str:
        bits = x.bit_length()  # Python writes no number of more than 4,300 digits
        return super().repr_int(x, level) if bits < 10_000 else f"a number of {bits} bits"


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 200
# Not UTF-8, no date, and whatever else the classes of tags stumble over.
_NO_YAML = (yaml.YAMLError, ValueError, AttributeError, TypeError, LookupError, OverflowError)
_DEEPEST = 20  # nodes of a yaml in one another
# Short names of parameters in sections.
_ALIASES = {"eval_config.score_thresh": "score_thresh"}


class _YamlLoader(yaml.SafeLoader):
    """YAML 1.1 as PyYAML reads it, except that 5e-4 is a number (YAML 1.2), not a string.

    A key that stands twice is an error, as YAML has it; PyYAML would take the last. Names of
    classes are text as they stand there, also 0 and no.
    """

    depth = 0  # of the node that is read

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > _DEEPEST:  # how deep Python itself can go depends on what is imported
            raise RecursionError
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            if key.tag == "tag:yaml.org,2002:merge" or not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} stands twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
            if key.value == "coco_classes":
                _take_as_text(value)
        return super().construct_mapping(node, deep)


def _take_as_text(node: yaml.Node) -> None:
    """Makes the entries of a list text as they stand there."""
    for entry in node.value if isinstance(node, yaml.SequenceNode) else ():
        if isinstance(entry, yaml.ScalarNode):
            entry.tag = "tag:yaml.org,2002:str"


_YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    [*"-+0123456789"],
)


def load_config(description: str, arguments: Sequence[str] | None = None) -> Config:
    """Reads default_config.yaml, the overlay `--config_path` and those below it, the command line.

    Args:
        description: first lines of `--help`: what the program does.
        arguments: the command line without the program's name; None takes the process's own.

    Raises:
        UserError: an unknown or misspelt parameter, one of another network than the chosen one, a
            value of a wrong type, out of its bounds or not among its choices, an unreadable file.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    overlay_path, options, unknown = _parse_arguments(description, arguments)
    given = _Given()
    given.add(_read_yaml(DEFAULT_CONFIG_PATH), str(DEFAULT_CONFIG_PATH))
    given.leave_out_defaults()
    for path in _overlays(overlay_path):
        tree = _read_yaml(path)
        tree.pop("base", None)
        given.add(tree, str(path))
    given.add(_nested(options), "command line", are_texts=True)
    config = validated(given.values, given.origins)
    if unknown and config.enable_modelarts:
        say(f"ignored what ModelArts adds to the command line: {' '.join(unknown)}")
    elif unknown and not unknown[0].startswith("--"):
        raise UserError(
            f"command line: {unknown[0]!r} belongs to no --parameter; --help lists them."
        )
    elif unknown:
        name = unknown[0].lstrip("-").partition("=")[0]
        raise UserError(f"command line: {_unknown(name, given.network)}")
    return config


class _Given:
    """What files and the command line say, each over those before it.

    values, origins: by the parameters' names what is given, and where.
    network: net_config.network so far.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.network = next(iter(NETWORKS))

    def add(self, tree: dict[str, Any], origin: str, are_texts: bool = False) -> None:
        """Takes what one source says; `are_texts` of a command line, read by their parameter."""
        net = tree.get("net_config")
        named = net.get("network", self.network) if isinstance(net, dict) else self.network
        if not isinstance(named, str) or named not in NETWORKS:
            wanted = ", ".join(NETWORKS)
            raise UserError(
                f"{origin}: net_config.network is {shown_short(named)}; choose one of {wanted}."
            )
        if named != self.network:  # a network has no parameters of another
            self.network = named
            known = parameters(named)
            self.values = {name: value for name, value in self.values.items() if name in known}
            self.origins = {name: self.origins[name] for name in self.values}
        self._take(tree, origin, are_texts, "")

    def _take(self, tree: dict[str, Any], origin: str, are_texts: bool, prefix: str) -> None:
        known = parameters(self.network)
        for last, value in tree.items():
            name = f"{prefix}{last}"
            if name in known:
                value = _parsed(value, known[name]) if are_texts else value
                if isinstance(value, str) and not _is_text(value):
                    raise UserError(
                        f"{origin}: {name} is {value!r}, which no file name or text can hold."
                    )
                if value is not None or known[name].default is not None:
                    self.values[name], self.origins[name] = value, origin
            elif not any(other.startswith(f"{name}.") for other in known):
                raise UserError(f"{origin}: {_unknown(name, self.network)}")
            elif not isinstance(value, dict):
                raise UserError(f"{origin}: {name} is a section; give its parameters below it.")
            else:
                self._take(value, origin, are_texts, f"{name}.")

    def leave_out_defaults(self) -> None:
        """Forgets what is given as it would be anyway."""
        for name, parameter in parameters(self.network).items():
            if self.values.get(name) == parameter.get_default(call_default_factory=True):
                self.values.pop(name, None)
                self.origins.pop(name, None)


def validated(values: Mapping[str, Any], origins: Mapping[str, str]) -> Config:
    """The configuration with these values; all others are as they are by default.

    Args:
        values: by the parameters' names, as train_config.batch_size.
        origins: where they are given, by the names of those that are; the configuration keeps it.

    Raises:
        UserError: a value is none that its parameter can have, or some do not fit together.
    """
    network = values.get("net_config.network", next(iter(NETWORKS)))
    try:
        config = Config.model_validate(_nested({"net_config.network": network, **values}))
    except ValidationError as error:
        raise UserError(_first_problem(error, origins)) from None
    config.origins.update(origins)
    return config


def parameters(network: str) -> dict[str, FieldInfo]:
    """All parameters by their names, those of `network` in net_config."""
    found = dict(_fields(Config, network, ""))
    chosen = copy.copy(found["net_config.network"])
    chosen.annotation = Literal[tuple(NETWORKS)]  # each class has its own alone
    return found | {"net_config.network": chosen}


def _fields(section: type[Section], network: str, prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in section.model_fields.items():
        kind = NETWORKS[network] if name == "net_config" else field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _fields(kind, network, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} as {"a": {"b": 1}}."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *sections, last = name.split(".")
        group = tree
        for section in sections:
            group = group.setdefault(section, {})
        group[last] = value
    return tree


def _overlays(path: str) -> list[Path]:
    """The overlay and, before it, those that it lies on: `base`, relative to its folder."""
    if not path:
        return []
    # ModelArts starts in a folder of its own.
    beside = DEFAULT_CONFIG_PATH.parent / path
    found = [Path(path) if Path(path).exists() or not beside.exists() else beside]
    while base := _read_yaml(found[0]).get("base"):
        if not isinstance(base, str) or not _is_text(base):
            raise UserError(f"{found[0]}: base is {shown_short(base)}; give the name of a file.")
        below = found[0].parent / base
        if below.resolve() in {above.resolve() for above in found}:
            raise UserError(f"{found[0]}: base is {base}, which lies on this file itself.")
        found.insert(0, below)
    return found


def _first_problem(error: ValidationError, origins: Mapping[str, str]) -> str:
    problem = error.errors()[0]
    place = [part for part in problem["loc"] if isinstance(part, str) and part not in NETWORKS]
    name, message = ".".join(place), problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":  # several values that do not fit together
        where = " and ".join(dict.fromkeys(origins.values())) or DEFAULT_CONFIG_PATH
        return f"{where}: {message}."
    where = f"{origins.get(name, DEFAULT_CONFIG_PATH)}: {name} is {shown_short(problem['input'])}"
    if problem["type"] == "literal_error":
        wanted = problem["ctx"]["expected"].replace(" or ", ", ").replace("'", "")
        return f"{where}; choose one of {wanted}."
    return f"{where}: {message[:1].lower()}{message[1:]}."


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        parts = list(yaml.load_all(read_text(path), Loader=_YamlLoader))  # a SafeLoader
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); check --config_path."
        ) from None
    except _NO_YAML as error:
        raise UserError(f"{path}: is not YAML ({' '.join(str(error).split())}).") from None
    except RecursionError:
        raise UserError(f"{path}: is nested too deeply for a file of parameters.") from None
    parts = [part if part is not None else {} for part in parts] or [{}]
    if len(parts) != 1 or not isinstance(parts[0], dict):
        raise UserError(f"{path}: should hold one YAML mapping of parameters.")
    return parts[0]


def _is_text(value: str) -> bool:
    try:
        return b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def _unknown(name: str, network: str) -> str:
    for other in NETWORKS:
        if name in parameters(other):
            return f"{name} is a parameter of the network {other}, not of {network}; leave it out"
    nearest = difflib.get_close_matches(name, parameters(network), n=1, cutoff=0.5)
    advice = f"did you mean {nearest[0]}?" if nearest else "--help lists the known ones."
    return f"unknown parameter {name}; {advice}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> typing.NoReturn:
        raise UserError(f"command line: {message}; --help lists the parameters.")


def _parse_arguments(
    description: str, arguments: Sequence[str]
) -> tuple[str, dict[str, str], list[str]]:
    """The overlay's path, the values of the parameters given, and what is not known."""
    parser = _Parser(
        description=description,
        epilog="Booleans are true or false, alone true; lists are written [1, 2].",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        usage="%(prog)s [--config_path FILE] [--parameter VALUE ...]",
    )
    parser.add_argument(
        "--config_path", metavar="FILE", default="",
        help="overlay on default_config.yaml, such as configs/original/resnet18.yaml",
    )  # fmt: skip
    groups: dict[str, Any] = {}
    seen: set[str] = set()
    for network in NETWORKS:
        own = parameters(network)
        for name in [name for name in own if name not in seen]:
            seen.add(name)
            section = name.rpartition(".")[0] or "parameters"
            if name.startswith("net_config.") and network != next(iter(NETWORKS)):
                section = f"net_config of the network {network}"
            if section not in groups:
                groups[section] = parser.add_argument_group(section)
            parameter = own[name]
            text = f"{parameter.description} [{shown_default(parameter)}]".replace("%", "%%")
            # A boolean alone, --verify, is --verify true.
            alone = "true" if parameter.annotation is bool else _VALUES_ALONE.get(name)
            nargs = {"nargs": "?", "const": alone} if alone else {}
            flags = [f"--{flag}" for flag in (name, _ALIASES.get(name)) if flag]
            metavar = _metavar(parameter)
            groups[section].add_argument(*flags, dest=name, metavar=metavar, help=text, **nargs)
    known, unknown = parser.parse_known_args(arguments)
    options = vars(known)
    return options.pop("config_path"), options, unknown


def leaves(group: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """{"a": {"b": 1}} as ("a.b", 1)."""
    for name, value in group.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def choices(parameter: FieldInfo) -> tuple[Any, ...]:
    """The values that a parameter can have, if they are a few."""
    is_choice = typing.get_origin(parameter.annotation) is Literal
    return typing.get_args(parameter.annotation) if is_choice else ()


def _metavar(parameter: FieldInfo) -> str:
    if found := choices(parameter):
        return "|".join(map(str, found))
    kind = typing.get_origin(parameter.annotation) or parameter.annotation
    return {str: "TEXT", int: "N", float: "X", bool: "true|false", list: "[...]"}[kind]


def shown_short(value: Any) -> str:
    """A value of any size as Python writes it, cut."""
    return _SHORT.repr(value)


def shown_default(parameter: FieldInfo) -> str:
    """What a parameter is where it is not given, in a few words."""
    return "derived" if parameter.default is None else _shown(parameter.default)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        text = ", ".join(map(_shown, value))
        return f"[{text[:40]}...]" if len(text) > 60 else f"[{text}]"
    return str(value).lower() if isinstance(value, bool) else str(value) or '""'


def _parsed(text: str, parameter: FieldInfo) -> Any:
    """The value that `text` stands for in YAML; text parameters take it as it is."""
    kind = parameter.annotation
    if kind is str or (choices(parameter) and isinstance(choices(parameter)[0], str)):
        return text
    try:
        loader = _YamlLoader(text)
        node = loader.get_single_node()
        if kind == list[str]:
            _take_as_text(node)
        return loader.construct_document(node) if node else None
    except (*_NO_YAML, RecursionError):
        return text  # the type check names it
