# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""ImageNet's ResNets of torchvision and timm."""

from src.weights.layouts.layout import Colours, Layout, Rule
from src.weights.layouts.parts import (
    CLASSIFIER,
    PYTORCH,
    PYTORCH_COUNTERS,
    resnet_blocks,
    resnet_shortcuts,
    resnet_stem,
)

IMAGENET = Colours("RGB", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

TORCHVISION = Layout(
    name="ImageNet, torchvision or timm",
    mark=r"conv1\.weight",
    prefix=r"(?:module\.)?",
    rules=(
        PYTORCH_COUNTERS,
        *resnet_stem(PYTORCH),
        *resnet_blocks(PYTORCH),
        *resnet_shortcuts(PYTORCH),
        Rule(r"fc\.(?:weight|bias)", ignored=CLASSIFIER),
    ),
    facts={"net_config.network": "resnet"},
    colours=IMAGENET,
)
