# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""ImageNet's ResNets of MindCV."""

from src.weights.layouts.layout import Layout, Rule
from src.weights.layouts.parts import (
    CLASSIFIER,
    MINDSPORE,
    MINDSPORE_STATE,
    resnet_blocks,
    resnet_shortcuts,
    resnet_stem,
)
from src.weights.layouts.torchvision import IMAGENET

MINDCV = Layout(
    name="ImageNet, MindCV",
    mark=r"bn1\.gamma",
    prefix=r"(?:\w+\.)*",
    rules=(
        *resnet_stem(MINDSPORE),
        *resnet_blocks(MINDSPORE),
        *resnet_shortcuts(MINDSPORE, "down_sample"),
        Rule(r"classifier\.(?:weight|bias)", ignored=CLASSIFIER),
        MINDSPORE_STATE,
    ),
    facts={"net_config.network": "resnet"},
    colours=IMAGENET,
    remarks=(
        "Its max-pooling is that of net_config.stem_pool same: with another its features are not "
        "quite where they were until it is trained further.",
    ),
)
