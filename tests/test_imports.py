# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Imports between the rooms of src run one way."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT

# What each room may import besides itself.
_GROUND = {"model_utils", "tasks"}
_FIRST = _GROUND | {"data", "models"}
_SECOND = _FIRST | {"weights", "deploy", "visual"}
MAY_IMPORT = {
    "model_utils": {"tasks"},  # whose names are the choices of a parameter
    "tasks": set(),
    "data": _GROUND,
    "models": _GROUND,
    "weights": _FIRST,
    "deploy": _FIRST,
    "visual": _GROUND | {"data"},
    "training": _SECOND,
    "evaluation": _SECOND,
}
SOURCES = sorted((PROJECT / "src").rglob("*.py"))


def room_of(path: Path) -> str:
    """data of src/data/coco.py, visual of src/visual.py; empty for a program, which may all."""
    parts = path.relative_to(PROJECT / "src").with_suffix("").parts
    return "" if parts in {("__init__",), ("dataset",)} or parts[-1] == "__main__" else parts[0]


def rooms_imported(text: str) -> Iterator[tuple[int, str]]:
    """Line and room of each import of src in a file's text, wherever in the file it stands."""
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: a relative import; name the whole path"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if package == "src":
                yield node.lineno, rest.partition(".")[0]


def test_imports_are_found_wherever_they_stand():
    text = (
        "import numpy, src.data.coco\n"
        "from src import visual\n"
        "def f():\n"
        "    from src.models.layers import conv\n"
        "if TYPE_CHECKING:\n"
        "    from src.training import resume\n"
    )
    found = sorted(rooms_imported(text))
    assert found == [(1, "data"), (2, "visual"), (4, "models"), (6, "training")]
    with pytest.raises(AssertionError, match="line 1: a relative import"):
        list(rooms_imported("from . import coco"))


def test_rooms_import_only_what_is_below_them():
    wrong = []
    for path in SOURCES:
        room = room_of(path)
        if room:
            allowed = MAY_IMPORT[room] | {room}
            wrong += [
                f"{path.relative_to(PROJECT)}:{line} imports src.{other}"
                for line, other in rooms_imported(path.read_text())
                if other not in allowed
            ]
    assert not wrong, "\n".join(wrong)


def positional(call: ast.Call) -> int:
    """How many arguments are given by their place, those of an unpacked tuple counted."""
    return sum(
        len(argument.value.elts)
        if isinstance(argument, ast.Starred) and isinstance(argument.value, ast.Tuple | ast.List)
        else 1
        for argument in call.args
    )


@pytest.mark.parametrize(
    "path", [*SOURCES, *sorted(PROJECT.glob("*.py"))], ids=lambda path: path.name
)
def test_no_call_gives_more_than_five_arguments_by_their_place(path: Path):
    calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
    many = [f"line {n.lineno}" for n in calls if positional(n) > 5]
    assert many == []
