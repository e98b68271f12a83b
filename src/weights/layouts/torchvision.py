# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""ImageNet's networks of torchvision: ResNets, which timm has too, and MobileNetV2."""

from src.weights.layouts.layout import Colours, Layout, Rule
from src.weights.layouts.parts import (
    CLASSIFIER,
    PYTORCH,
    PYTORCH_COUNTERS,
    batch_norm,
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

_OURS = r"features.backbone.layers"
_FIRST, _OTHERS = r"features\.1\.conv", r"features\.(\d+)\.conv"
# Of a block: where its convolution and its BatchNorm are, and ours. The first one expands nothing.
_OF_BLOCKS = (
    (rf"{_FIRST}\.0\.0", rf"{_FIRST}\.0\.1", f"{_OURS}.1.depthwise"),
    (rf"{_FIRST}\.1", rf"{_FIRST}\.2", f"{_OURS}.1.project"),
    (rf"{_OTHERS}\.0\.0", rf"{_OTHERS}\.0\.1", rf"{_OURS}.\1.expand"),
    (rf"{_OTHERS}\.1\.0", rf"{_OTHERS}\.1\.1", rf"{_OURS}.\1.depthwise"),
    (rf"{_OTHERS}\.2", rf"{_OTHERS}\.3", rf"{_OURS}.\1.project"),
    (r"features\.(0|18)\.0", r"features\.(0|18)\.1", rf"{_OURS}.\1"),
)

TORCHVISION_MOBILENET_V2 = Layout(
    name="ImageNet's MobileNetV2, torchvision",
    mark=r"features\.1\.conv\.0\.0\.weight",
    prefix=r"(?:module\.)?",
    rules=(
        PYTORCH_COUNTERS,
        *(
            rule
            for convolution, norm, ours in _OF_BLOCKS
            for rule in (
                Rule(rf"{convolution}\.weight", f"{ours}.0.weight"),
                *batch_norm(norm, f"{ours}.1", PYTORCH),
            )
        ),
        Rule(r"classifier\.1\.(?:weight|bias)", ignored=CLASSIFIER),
    ),
    facts={"net_config.network": "mobilenet_v2"},
    colours=IMAGENET,
)
