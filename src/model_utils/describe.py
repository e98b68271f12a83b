# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Writes default_config.yaml and docs/parameters.md: python -m src.model_utils.describe."""

import textwrap
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from src.model_utils.config import DEFAULT_CONFIG_PATH, choices, parameters, shown_default
from src.model_utils.messages import say
from src.model_utils.networks import NETWORKS, NetConfig

DOCUMENT_PATH = DEFAULT_CONFIG_PATH.parent / "docs" / "parameters.md"
_HEAD_OF_CONFIG = """\
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# Every parameter of the ResNet-101 model on COCO. Files in configs/ say what differs, or the
# command line does: --train_config.batch_size 4. A value of null follows from others.
# docs/parameters.md has the parameters of all networks."""
_HEAD_OF_TABLE = """\
# Parameters

Values come from `default_config.yaml`, over it the file of `--config_path`, which may lie on
another (`base: FILE`), over it the command line: `--train_config.batch_size 4`. What is *derived*
follows from other parameters where it is not given.

This page, `default_config.yaml` and `--help` are made from `src/model_utils/parameters.py` and
`networks.py`, by `PYTHONPATH=. python -m src.model_utils.describe` in the project's folder.

## All models"""


def default_config() -> str:
    """default_config.yaml: every parameter of the ResNet-101 model, its meaning behind it."""
    lines = [_HEAD_OF_CONFIG]
    sections: list[str] = []
    for name, parameter in parameters(next(iter(NETWORKS))).items():
        *inside, last = name.split(".")
        for depth, section in enumerate(inside):
            if inside[: depth + 1] != sections[: depth + 1]:
                lines += [""] * (depth == 0) + [f"{'  ' * depth}{section}:"]
        sections = inside
        if heading := parameter.json_schema_extra["heading"]:
            lines += ["", f"# {heading}"]
        lines += _entry("  " * len(inside), last, parameter)
    return "\n".join(lines) + "\n"


def _entry(indent: str, name: str, parameter: FieldInfo) -> list[str]:
    value, meaning = _yaml(parameter.default), _meaning(parameter)
    if len(value) <= 120:
        return [f"{indent}{name}: {value} # {meaning}"]
    wrapped = textwrap.wrap(value[1:], 100 - len(indent) - 2)
    return [f"{indent}{name}: [ # {meaning}", *(f"{indent}  {line}" for line in wrapped)]


def _yaml(value: Any) -> str:
    if isinstance(value, float):
        return repr(value) if "e" not in repr(value) else f"{value:g}".replace("e-0", "e-")
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _meaning(parameter: FieldInfo) -> str:
    found = ", ".join(map(str, choices(parameter)))
    return f"{parameter.description} ({found})" if found else str(parameter.description)


def parameter_table() -> str:
    """docs/parameters.md: a table of what all models share, and one for each network."""
    lines = [_HEAD_OF_TABLE]
    shared = parameters(next(iter(NETWORKS)))
    lines += _table({n: p for n, p in shared.items() if not _is_of_network(n)})
    for network in NETWORKS:
        lines += ["", f"## Network {network}"]
        lines += _table({n: p for n, p in parameters(network).items() if _is_of_network(n)})
    return "\n".join(lines) + "\n"


def _is_of_network(name: str) -> bool:
    section, _, rest = name.partition(".")
    return section == "net_config" and rest.split(".")[0] not in NetConfig.model_fields


def _table(rows: dict[str, FieldInfo]) -> list[str]:
    lines = ["", "| parameter | default | meaning |", "| --- | --- | --- |"]
    for name, parameter in rows.items():
        meaning = _meaning(parameter).replace("|", "\\|")
        default = shown_default(parameter)
        default = "*derived*" if default == "derived" else f"`{default}`"
        lines.append(f"| `--{name}` | {default} | {meaning} |")
    return lines


def main() -> None:
    for path, text in ((DEFAULT_CONFIG_PATH, default_config()), (DOCUMENT_PATH, parameter_table())):
        Path(path).write_text(text, encoding="utf-8")
        say(str(path))


if __name__ == "__main__":
    main()
