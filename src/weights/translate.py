# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Which layout a file of weights has, and its tensors under our names.

A file has the layout whose rules name all of its tensors; shapes and values say nothing of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from src.model_utils.errors import UserError
from src.model_utils.facts import Facts, fixed_names
from src.weights import checkpoints
from src.weights.files import Stored
from src.weights.layouts import LAYOUTS
from src.weights.layouts.layout import Layout, Rule, renamed

STEM_POOL = checkpoints.STATE_PREFIX + "stem_pool"  # all that earlier converted files say

_SHOWN = 3


@dataclass
class Translated:
    """Tensors of a file under our names.

    path: the file.
    layout: the file's.
    arrays: by our names.
    sources: their names in the file, by our names.
    changed: by our names how their values were changed, where they were: `Change.text`.
    ignored: names in the file that are left out, and why.
    remarks: sentences for the reader.
    facts: what its network was made with, as far as the file or its layout says.
    fixed: names of those that hold whatever is configured.
    """

    path: Path
    layout: Layout
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    facts: Facts = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)


def translate(stored: Stored, layouts: Sequence[Layout] = LAYOUTS) -> Translated:
    """Gives the tensors of a file our names and our meaning.

    Raises:
        UserError: no layout or several name all tensors of the file, or its layers are in another
            order.
    """
    layout, named = _recognised(stored, layouts)
    for source, (_, name) in named.items():
        _check_layer(stored, layout, source, name)
    found = Translated(stored.path, layout, remarks=[*stored.remarks, *layout.remarks])
    found.facts, found.fixed = _facts(stored, layout)
    for source, (rule, name) in named.items():
        if not name:
            found.ignored[source] = rule.ignored
            continue
        array = stored.tensors[source]
        if rule.change:
            array, found.changed[name] = rule.change.apply(array), rule.change.text
        found.arrays[name], found.sources[name] = array, source
    return found


def _check_layer(stored: Stored, layout: Layout, source: str, name: str) -> None:
    """Raises UserError if a tensor's layer is not the one that its place among them says."""
    layer = stored.facts.get(source, "").rpartition("/")[0]
    expected = layout.layers.get(layer)
    if name and expected and expected != name.rpartition(".")[0]:
        raise UserError(
            f"{stored.path}: {source} is of the layer {layer}, which is {expected} here, but "
            f"stands where {name} does: the layers are in another order than those of the layout "
            f"'{layout.name}'; give a checkpoint of the published model."
        )


def _facts(stored: Stored, layout: Layout) -> tuple[Facts, set[str]]:
    """What a file's network was made with, and the names of what holds in any case."""
    if checkpoints.MODEL in stored.facts:
        stored_facts = checkpoints.facts_in(stored.facts, stored.path)
        return stored_facts, fixed_names(stored_facts)
    facts = dict(layout.facts)
    if STEM_POOL in stored.facts:
        facts["net_config.stem_pool"] = stored.facts[STEM_POOL]
    return facts | (layout.colours.facts if layout.colours else {}), set(facts)


def in_layout(layout: Layout, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our arrays in a layout that can be written: what `translate` undoes, exactly."""
    found = {}
    for name, array in arrays.items():
        rule, theirs = renamed(layout.back, name)
        found[theirs] = rule.change.apply(array) if rule.change else array
    return found


def shown(names: Iterable[str]) -> str:
    """The first of some names, as messages show them."""
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _recognised(
    stored: Stored, layouts: Sequence[Layout]
) -> tuple[Layout, dict[str, tuple[Rule, str]]]:
    """A file's layout, and by the names in the file their rules and our names."""
    candidates = []
    for layout in layouts:
        prefix = layout.prefix_of(stored.tensors)
        if prefix is not None:
            candidates.append((layout, *_named(layout, prefix, stored.tensors)))
    if not candidates:
        raise UserError(
            f"{stored.path}: its tensors ({shown(stored.tensors)}) are of no layout that is known "
            "here; docs/weights.md lists those that can be read."
        )
    fitting = [layout.name for layout, _, unknown in candidates if not unknown]
    if len(fitting) > 1:
        raise UserError(
            f"{stored.path}: its tensors ({shown(stored.tensors)}) may be of the layouts "
            f"{' and '.join(map(repr, fitting))}, which differ in what they mean; give a file "
            "with all tensors of its network."
        )
    layout, named, unknown = min(candidates, key=lambda candidate: len(candidate[2]))
    if unknown:
        raise UserError(
            f"{stored.path}: holds {len(unknown)} tensors ({shown(unknown)}) that a network of "
            f"the layout '{layout.name}' does not have, so it is another network; docs/weights.md "
            "lists those that can be read."
        )
    return layout, named


def _named(
    layout: Layout, prefix: str, sources: Iterable[str]
) -> tuple[dict[str, tuple[Rule, str]], list[str]]:
    """Rules and our names of those that `layout` names, and the others.

    A second tensor for one of our names is among the others: a network has it once.
    """
    named: dict[str, tuple[Rule, str]] = {}
    taken, unknown = set(), []
    for source in sources:
        found = renamed(layout.rules, source.removeprefix(prefix))
        if found is None or found[1] in taken:
            unknown.append(source)
            continue
        named[source] = found
        if found[1]:
            taken.add(found[1])
    return named, unknown
