# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What layouts do to values. PyTorch's transposed convolutions are (in, out, h, w), as ours are."""

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


def _axes(text: str, order: tuple[int, int, int, int]) -> Change:
    def apply(array: np.ndarray) -> np.ndarray:
        return array.transpose(order) if array.ndim == 4 else array

    return Change(f"transposed: {text}", apply)


# TensorFlow's. A transposed convolution's height, width, out, in becomes in, out, height, width.
FROM_HWIO = _axes("height, width, in, out to out, in, height, width", (3, 2, 0, 1))
FROM_DEPTHWISE = _axes("height, width, channel, 1 to channel, 1, height, width", (2, 3, 0, 1))


def _turned(array: np.ndarray) -> np.ndarray:
    """Channels 1, 0, 3, 2, ..."""
    if len(array) % 2:
        return array
    return array.reshape(-1, 2, *array.shape[1:])[:, ::-1].reshape(array.shape)


PAIRS_TURNED = Change("permuted: y, x to x, y, or height, width to width, height", _turned)
_COCO_CATEGORIES = 90
_NEVER_USED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # of COCO's category ids 1 to 90
_USED = [i - 1 for i in range(1, _COCO_CATEGORIES + 1) if i not in _NEVER_USED]


def _used(array: np.ndarray) -> np.ndarray:
    return array[_USED] if len(array) == _COCO_CATEGORIES else array


USED_CLASSES = Change("picked: if there are 90 channels, those of COCO's 80 classes", _used)


def after_hwio(change: Change) -> Change:
    """`FROM_HWIO`, and then another change of the output channels."""
    what, _, how = change.text.partition(": ")
    return Change(
        f"{FROM_HWIO.text}, then {what} {how}",
        lambda array: change.apply(FROM_HWIO.apply(array)),
    )
