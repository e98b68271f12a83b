# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""ModelZoo's centernet_resnet101. Cells of its training may stand around the network."""

from src.weights.layouts.layout import Layout, Rule
from src.weights.layouts.parts import (
    MINDSPORE,
    MINDSPORE_STATE,
    below,
    resnet_blocks,
    resnet_shortcuts,
    resnet_stem,
    up_sampling,
)

MODELZOO = Layout(
    name="CenterNet, ModelZoo",
    mark=r"resnet\d+\.conv1\.weight",
    prefix=r"(?:\w+\.)*",
    rules=(
        *below(
            r"resnet\d+",
            (
                *resnet_stem(MINDSPORE),
                *resnet_blocks(MINDSPORE),
                *resnet_shortcuts(MINDSPORE),
                *up_sampling(MINDSPORE),
            ),
        ),
        Rule(r"(\w+)_fn\.([02]\.(?:weight|bias))", r"heads.\1.\2"),
        MINDSPORE_STATE,
    ),
    facts={"net_config.network": "resnet", "net_config.stem_pool": "same"},
)
