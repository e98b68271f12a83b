# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Configuration: default_config.yaml, an overlay on top of it, then the command line.

default_config.yaml says every value, its meaning and its choices; `src.model_utils.parameters` says
the types and bounds. Nothing is read until `load_config` is called.
"""

import argparse
import difflib
import os
import re
import reprlib
import sys
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from src.model_utils.errors import UserError
from src.model_utils.files import read_text
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
    """Reads default_config.yaml, the overlay `--config_path`, then the command line.

    Args:
        description: first lines of `--help`: what the program does.
        arguments: the command line without the program's name; None takes the process's own.

    Raises:
        UserError: an unknown or misspelt parameter, a value of a wrong type, out of its bounds or
            not among its choices, an unreadable file.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    values, helps, choices = _read_yaml(DEFAULT_CONFIG_PATH, documents=3)
    overlay_path, options, unknown = _parse_arguments(
        description, arguments, values, helps, choices
    )
    origin = str(DEFAULT_CONFIG_PATH)
    if overlay_path:
        beside = (
            DEFAULT_CONFIG_PATH.parent / overlay_path
        )  # ModelArts starts in a folder of its own
        if not Path(overlay_path).exists() and beside.exists():
            overlay_path = str(beside)
        origin = overlay_path
        (overlay,) = _read_yaml(Path(overlay_path), documents=1)
        _merge(values, overlay, overlay_path)
    for name, text in options.items():
        *sections, last = name.split(".")
        group = values
        for section in sections:
            group = group[section]
        group[last] = _parse_value(text, _field_type(name))
    if unknown and values["enable_modelarts"] is True:
        print(f"ignored what ModelArts adds to the command line: {' '.join(unknown)}")
    elif unknown:
        name = unknown[0].lstrip("-").partition("=")[0]
        if not unknown[0].startswith("--"):
            raise UserError(
                f"command line: {unknown[0]!r} belongs to no --parameter; --help lists them."
            )
        raise UserError(f"command line: {_unknown(name, values)}")
    for name, allowed in leaves(choices):
        value = _get(values, name)
        if value not in allowed:
            wanted = ", ".join(map(str, allowed))
            raise UserError(
                f"{_origin(name, options, origin)}: {name} is {shown_short(value)}; choose one "
                f"of {wanted}."
            )
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise UserError(_first_problem(error, options, origin)) from None


def _first_problem(error: ValidationError, options: dict[str, str], origin: str) -> str:
    problem = error.errors()[0]
    name = ".".join(part for part in problem["loc"] if isinstance(part, str))
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{DEFAULT_CONFIG_PATH}: {name} is missing; put it back."
    if problem["type"] == "value_error":  # several values that do not fit together
        where = f"{origin} and command line" if options else origin
        return f"{where}: {message}."
    return (
        f"{_origin(name, options, origin)}: {name} is {shown_short(problem['input'])}: "
        f"{message[:1].lower()}{message[1:]}."
    )


def _origin(name: str, options: dict[str, str], origin: str) -> str:
    return "command line" if name in options else origin


def _read_yaml(path: Path, documents: int) -> list[dict[str, Any]]:
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
    if len(parts) != documents or not all(isinstance(part, dict) for part in parts):
        raise UserError(f"{path}: should hold {documents} YAML mapping(s) of parameters.")
    return parts


def _merge(values: dict[str, Any], overlay: dict[str, Any], path: str, prefix: str = "") -> None:
    for name, value in overlay.items():
        if name not in values:
            raise UserError(f"{path}: {_unknown(f'{prefix}{name}', values, prefix)}")
        if isinstance(values[name], dict):
            if not isinstance(value, dict):
                raise UserError(
                    f"{path}: {prefix}{name} is a section; give its parameters below it."
                )
            _merge(values[name], value, path, f"{prefix}{name}.")
        else:
            if isinstance(value, str) and not _is_text(value):
                raise UserError(
                    f"{path}: {prefix}{name} is {value!r}, which no file name or text can hold."
                )
            values[name] = value


def _is_text(value: str) -> bool:
    try:
        return b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def _unknown(name: str, values: dict[str, Any], prefix: str = "") -> str:
    known = [prefix + leaf for leaf, _ in leaves(values)]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    advice = f"did you mean {nearest[0]}?" if nearest else "--help lists the known ones."
    return f"unknown parameter {name}; {advice}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> typing.NoReturn:
        raise UserError(f"command line: {message}; --help lists the parameters.")


def _parse_arguments(
    description: str,
    arguments: Sequence[str],
    values: dict[str, Any],
    helps: dict[str, Any],
    choices: dict[str, Any],
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
        help="overlay on default_config.yaml, such as configs/resnet18.yaml",
    )  # fmt: skip
    groups = {"": parser.add_argument_group("parameters")}
    allowed = dict(leaves(choices))
    for name, value in leaves(values):
        section = name.rpartition(".")[0]
        if section not in groups:
            groups[section] = parser.add_argument_group(section)
        text = f"{_get(helps, name)} [{shown(value)}]".replace("%", "%%")
        metavar = "|".join(map(str, allowed[name])) if name in allowed else _type_name(name)
        # A boolean alone, --verify, is --verify true.
        value_alone = "true" if _field_type(name) is bool else _VALUES_ALONE.get(name)
        alone = {"nargs": "?", "const": value_alone} if value_alone else {}
        flags = [f"--{flag}" for flag in (name, _ALIASES.get(name)) if flag]
        groups[section].add_argument(*flags, dest=name, metavar=metavar, help=text, **alone)
    known, unknown = parser.parse_known_args(arguments)
    options = vars(known)
    return options.pop("config_path"), options, unknown


def leaves(group: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in group.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _get(group: dict[str, Any], name: str) -> Any:
    for part in name.split("."):
        group = group[part]
    return group


def _field_type(name: str) -> Any:
    model: Any = Config
    for part in name.split("."):
        model = model.model_fields[part].annotation
    return model


def _type_name(name: str) -> str:
    kind = typing.get_origin(_field_type(name)) or _field_type(name)
    return {str: "TEXT", int: "N", float: "X", bool: "true|false", list: "[...]"}[kind]


def shown_short(value: Any) -> str:
    """A value of any size as Python writes it, cut."""
    return _SHORT.repr(value)


def shown(value: Any) -> str:
    if isinstance(value, list):
        text = ", ".join(map(shown, value))
        return f"[{text[:40]}...]" if len(text) > 60 else f"[{text}]"
    return str(value).lower() if isinstance(value, bool) else str(value) or '""'


def _parse_value(text: str, kind: Any) -> Any:
    """The value that `text` stands for in YAML; text parameters take it as it is."""
    if kind is str:
        return text
    try:
        loader = _YamlLoader(text)
        node = loader.get_single_node()
        if kind == list[str]:
            _take_as_text(node)
        return loader.construct_document(node) if node else None
    except (*_NO_YAML, RecursionError):
        return text  # the type check names it
