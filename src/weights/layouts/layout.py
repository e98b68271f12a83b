# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What a layout of weights is: a table of rules that name tensors, and what its files imply."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np


@dataclass(frozen=True)
class Change:
    """What is done to a tensor's values.

    text: it in the table of a conversion, "permuted: ...", "folded: ..." or "transposed: ...".
    apply: the new values of the old ones.
    """

    text: str
    apply: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Rule:
    r"""What becomes of the tensors whose whole names match a pattern.

    pattern: the regular expression.
    name: the new name, in which \1 is the pattern's first group; empty if they are left out.
    ignored: why they are left out.
    change: of the values; None where they stay as they are.
    """

    pattern: str
    name: str = ""
    ignored: str = ""
    change: Change | None = None


@dataclass(frozen=True)
class Colours:
    """The pictures that a network was trained with.

    order: of the channels, "RGB" or "BGR".
    mean, std: of the channels in this order, in 0..1.
    """

    order: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def facts(self) -> dict[str, object]:
        """They as parameters of the configuration."""
        return {
            "dataset_config.channel_order": self.order,
            "dataset_config.mean": list(self.mean),
            "dataset_config.std": list(self.std),
        }


@dataclass(frozen=True)
class Layout:
    """The names that a project gives the tensors of its networks.

    name: as messages call it.
    mark: pattern of a name that every file of the layout has.
    rules: of a name the first that matches holds.
    prefix: pattern of what may stand before all names of a file, other than a training's state.
    facts: parameters that all its networks were made with.
    colours: of its networks' pictures, if they are known.
    remarks: sentences for those who use such a file.
    back: rules that make a file of this layout of our names; none if that cannot be.
    layers: our cells by the names of layers that a file may give beside those of its tensors; both
        have to say the same.
    """

    name: str
    mark: str
    rules: tuple[Rule, ...]
    prefix: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    colours: Colours | None = None
    remarks: tuple[str, ...] = ()
    back: tuple[Rule, ...] = ()
    layers: Mapping[str, str] = field(default_factory=dict)

    def prefix_of(self, names: Iterable[str]) -> str | None:
        """What stands before the names of a file; None if no name has the mark."""
        pattern = re.compile(f"({self.prefix})(?:{self.mark})")
        found = [match[1] for name in names if (match := pattern.fullmatch(name))]
        return min(found, key=len, default=None)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """As `re` keeps them, but all: there it is 512, and a layout may have more."""
    return re.compile(pattern)


def renamed(rules: Iterable[Rule], name: str) -> tuple[Rule, str] | None:
    """The rule that holds for a name, and the new name; None if there is no rule."""
    for rule in rules:
        match = _compiled(rule.pattern).fullmatch(name)
        if match:
            return rule, match.expand(rule.name)
    return None
