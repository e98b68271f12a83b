# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Rules for parts that the networks of several projects share."""

from collections.abc import Iterable
from dataclasses import replace

from src.weights.layouts.layout import Rule

# BatchNorm's tensors. Ours have MindSpore's names.
MINDSPORE = ("gamma", "beta", "moving_mean", "moving_variance")
PYTORCH = ("weight", "bias", "running_mean", "running_var")
PADDLE = ("weight", "bias", "_mean", "_variance")

# The heads of two stacks, by the place of their stack.
STACKS = ((0, "auxiliary_heads.0"), (1, "heads"))

CLASSIFIER = "ImageNet's classifier"
PYTORCH_COUNTERS = Rule(r".+\.num_batches_tracked", ignored="a counter of PyTorch's BatchNorm")
_STATE = (
    "optimizer|moment1|moment2|moments|accum|stat|beta1_power|beta2_power|global_step|"
    "learning_rate|scale_sense"
)
# Cells and parameters of MindSpore's optimizers and training steps.
MINDSPORE_STATE = Rule(rf"(?:.+\.)?(?:{_STATE})(?:\..+)?|[^.]+", ignored="the training's state")

_ANY_BLOCK = r"layer\d\.\d+"
# Places in the up-sampling: (convolution, BatchNorm, ReLU) twice a stage, or once if plain.
_CONVOLUTIONS, _NORMS = ("|".join(map(str, range(first, 48, 3))) for first in (0, 1))


def batch_norm(pattern: str, name: str, theirs: Iterable[str]) -> tuple[Rule, ...]:
    """Rules for a BatchNorm: cells of a pattern to ours, tensors `theirs` to MindSpore's."""
    return tuple(
        Rule(rf"{pattern}\.{their}", f"{name}.{our}")
        for their, our in zip(theirs, MINDSPORE, strict=True)
    )


def conv_norm(
    theirs: tuple[str, str], ours: tuple[str, str], norm: Iterable[str]
) -> tuple[Rule, ...]:
    """Rules for a convolution without bias and the BatchNorm behind it: patterns to our names."""
    return (
        Rule(rf"{theirs[0]}\.weight", f"{ours[0]}.weight"),
        *batch_norm(theirs[1], ours[1], norm),
    )


def below(cell: str, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules for names that start with a pattern and a dot."""
    return tuple(replace(rule, pattern=rf"{cell}\.(?:{rule.pattern})") for rule in rules)


def resnet_stem(norm: Iterable[str]) -> tuple[Rule, ...]:
    return (
        Rule(r"conv1\.weight", "features.backbone.conv1.weight"),
        *batch_norm("bn1", "features.backbone.bn1", norm),
    )


def resnet_blocks(
    norm: Iterable[str], block: str = _ANY_BLOCK, suffix: str = ""
) -> tuple[Rule, ...]:
    """Rules for the blocks whose cells have the pattern `block`; a BatchNorm is bn1 + `suffix`."""
    return (
        Rule(rf"({block}\.conv\d\.weight)", r"features.backbone.\1"),
        *batch_norm(rf"({block}\.bn\d){suffix}", r"features.backbone.\1", norm),
    )


def resnet_shortcuts(norm: Iterable[str], cell: str = "downsample") -> tuple[Rule, ...]:
    return (
        Rule(rf"(layer\d\.0)\.{cell}\.0\.weight", r"features.backbone.\1.downsample.0.weight"),
        *batch_norm(rf"(layer\d\.0)\.{cell}\.1", r"features.backbone.\1.downsample.1", norm),
    )


def up_sampling(norm: Iterable[str]) -> tuple[Rule, ...]:
    return (
        Rule(rf"(deconv_layers\.(?:{_CONVOLUTIONS})\.(?:weight|bias))", r"features.neck.\1"),
        *batch_norm(rf"(deconv_layers\.(?:{_NORMS}))", r"features.neck.\1", norm),
    )
