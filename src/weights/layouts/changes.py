# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What layouts do to values. Transposed convolutions are (in, out, 4, 4) in all of them."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from src.weights.layouts.layout import Change, Rule

_EPSILON = 1e-5  # of BatchNorm here
_FROM_YX = [*range(1, 18, 2), *range(0, 18, 2), *range(18, 27)]
_TO_YX = np.argsort(_FROM_YX).tolist()


def _taps(text: str, order: list[int]) -> Change:
    def apply(array: np.ndarray) -> np.ndarray:
        # One of another length fits no network here, and is refused as such.
        return array[order] if array.shape[:1] == (len(order),) else array

    return Change(f"permuted: {text}", apply)


# Channels of a 3x3 deformable convolution's offsets and masks.
TAPS_FROM_YX = _taps("offsets y, x of each tap to nine x, nine y", _FROM_YX)
TAPS_TO_YX = _taps("nine x, nine y to offsets y, x of each tap", _TO_YX)


def with_epsilon(epsilon: float, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules, with variances that take up the difference of BatchNorm's epsilon to ours."""
    added = np.float32(epsilon - _EPSILON)
    change = Change(f"folded: BatchNorm's epsilon {epsilon:g}", lambda array: array + added)
    return tuple(
        replace(rule, change=change) if rule.name.endswith(".moving_variance") else rule
        for rule in rules
    )
