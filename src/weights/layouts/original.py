# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""CenterNet's own project, github.com/xingyizhou/CenterNet: ResNets with up-sampling."""

from src.weights.layouts.changes import TAPS_FROM_YX, TAPS_TO_YX
from src.weights.layouts.layout import Layout, Rule
from src.weights.layouts.parts import (
    MINDSPORE,
    PYTORCH,
    PYTORCH_COUNTERS,
    resnet_blocks,
    resnet_shortcuts,
    resnet_stem,
    up_sampling,
)

ORIGINAL = Layout(
    name="CenterNet, original PyTorch",
    mark=r"deconv_layers\.0\.weight",
    prefix=r"(?:module\.)?",
    rules=(
        PYTORCH_COUNTERS,
        *resnet_stem(PYTORCH),
        *resnet_blocks(PYTORCH),
        *resnet_shortcuts(PYTORCH),
        *up_sampling(PYTORCH),
        Rule(
            r"(deconv_layers\.\d+\.conv_offset)_mask\.(weight|bias)",
            r"features.neck.\1.\2",
            change=TAPS_FROM_YX,
        ),
        Rule(r"(\w+\.[02]\.(?:weight|bias))", r"heads.\1"),
    ),
    facts={"net_config.network": "resnet", "net_config.stem_pool": "symmetric"},
    back=(
        Rule(r"features\.neck\.(.+\.conv_offset)\.(weight|bias)", r"\1_mask.\2", change=TAPS_TO_YX),
        *(
            Rule(rf"(?:features\.)?\w+\.(.+)\.{our}", rf"\1.{their}")
            for our, their in zip(MINDSPORE, PYTORCH, strict=True)
        ),
        Rule(r"(?:features\.)?\w+\.(.+)", r"\1"),
    ),
)
