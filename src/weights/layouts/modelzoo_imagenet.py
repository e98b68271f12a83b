# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""ImageNet's ResNets of ModelZoo.

In ResNet-18 and 34 only the BatchNorms of the blocks have the other epsilon. ResNet-101 was trained
with colours of its own, so the depths are told by the last block of the third stage.
"""

from src.weights.layouts.changes import with_epsilon
from src.weights.layouts.layout import Colours, Layout, Rule
from src.weights.layouts.parts import (
    CLASSIFIER,
    MINDSPORE,
    MINDSPORE_STATE,
    resnet_blocks,
    resnet_shortcuts,
    resnet_stem,
)
from src.weights.layouts.torchvision import IMAGENET

_NAME, _PREFIX = "ImageNet, ModelZoo", r"(?:\w+\.)*"
_EPSILON = 1e-4
_FACTS = {"net_config.network": "resnet"}
_STEM, _SHORTCUTS = resnet_stem(MINDSPORE), resnet_shortcuts(MINDSPORE, "down_sample_layer")
_OTHERS = (Rule(r"end_point\.(?:weight|bias)", ignored=CLASSIFIER), MINDSPORE_STATE)

_BASIC = Layout(
    name=_NAME,
    mark=r"layer1\.0\.bn1d\.gamma",
    prefix=_PREFIX,
    rules=(
        *_STEM,
        *with_epsilon(_EPSILON, resnet_blocks(MINDSPORE, suffix="d")),
        *_SHORTCUTS,
        *_OTHERS,
    ),
    facts=_FACTS,
    colours=IMAGENET,
)


def _bottleneck(last_block: int, colours: Colours) -> Layout:
    """The one of so many blocks, counted from 0, in the third stage."""
    third = "|".join(map(str, range(last_block + 1)))
    blocks = resnet_blocks(MINDSPORE, rf"(?:layer[124]\.\d|layer3\.(?:{third}))")
    return Layout(
        name=_NAME,
        mark=rf"layer3\.{last_block}\.bn3\.gamma",
        prefix=_PREFIX,
        rules=(*with_epsilon(_EPSILON, (*_STEM, *blocks, *_SHORTCUTS)), *_OTHERS),
        facts=_FACTS,
        colours=colours,
        remarks=(
            "Its convolutions and pooling of stride 2 pad at the end alone, ours on both sides: "
            "until it is trained further its features are not quite where they were.",
        ),
    )


MODELZOO_IMAGENET = (
    _BASIC,
    _bottleneck(5, IMAGENET),
    _bottleneck(22, Colours("RGB", (0.475, 0.451, 0.392), (0.275, 0.267, 0.278))),
    _bottleneck(35, IMAGENET),
)
