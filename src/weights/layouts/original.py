# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""CenterNet's own project, github.com/xingyizhou/CenterNet: ResNets, Hourglass-104, DLA-34."""

from src.weights.layouts.changes import TAPS_FROM_YX, TAPS_TO_YX
from src.weights.layouts.layout import Layout, Rule
from src.weights.layouts.parts import (
    CLASSIFIER,
    MINDSPORE,
    PYTORCH,
    PYTORCH_COUNTERS,
    STACKS,
    batch_norm,
    below,
    resnet_blocks,
    resnet_shortcuts,
    resnet_stem,
    up_sampling,
)
from src.weights.layouts.torchvision import IMAGENET

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

# Theirs and ours of cells whose parts are alike, and of those with a convolution 0, a BatchNorm 1.
_CELLS = (
    ("pre", "stem"),
    ("kps", "hourglasses"),
    ("cnvs", "out_convs"),
    ("inters", "inters"),
)
_PROJECTIONS = (("inters_", "conv1x1s"), ("cnvs_", "remap_convs"))
HOURGLASS_FEATURES = (
    *(
        rule
        for theirs, ours in _CELLS
        for rule in (
            Rule(rf"{theirs}\.(.+\.(?:conv\d?|skip\.0)\.weight)", rf"features.{ours}.\1"),
            *batch_norm(rf"{theirs}\.(.+\.(?:bn\d?|skip\.1))", rf"features.{ours}.\1", PYTORCH),
        )
    ),
    *(
        rule
        for theirs, ours in _PROJECTIONS
        for rule in (
            Rule(rf"{theirs}\.(\d\.0\.weight)", rf"features.{ours}.\1"),
            *batch_norm(rf"{theirs}\.(\d\.1)", rf"features.{ours}.\1", PYTORCH),
        )
    ),
)


ORIGINAL_HOURGLASS = Layout(
    name="CenterNet's Hourglass-104, original PyTorch",
    mark=r"pre\.0\.conv\.weight",
    prefix=r"(?:module\.)?",
    rules=(
        PYTORCH_COUNTERS,
        *HOURGLASS_FEATURES,
        *(
            rule
            for stack, ours in STACKS
            for rule in (
                Rule(rf"(\w+)\.{stack}\.0\.conv\.(weight|bias)", rf"{ours}.\1.0.\2"),
                Rule(rf"(\w+)\.{stack}\.1\.(weight|bias)", rf"{ours}.\1.2.\2"),
            )
        ),
    ),
    facts={"net_config.network": "hourglass", "net_config.head_conv": 256},
    back=(
        *(
            rule
            for theirs, ours in (*_CELLS, *_PROJECTIONS)
            for rule in (
                *(
                    Rule(rf"features\.{ours}\.(.+)\.{our}", rf"{theirs}.\1.{their}")
                    for our, their in zip(MINDSPORE, PYTORCH, strict=True)
                ),
                Rule(rf"features\.{ours}\.(.+)", rf"{theirs}.\1"),
            )
        ),
        *(
            rule
            for stack, ours in STACKS
            for rule in (
                Rule(rf"{ours}\.(\w+)\.0\.(\w+)", rf"\1.{stack}.0.conv.\2"),
                Rule(rf"{ours}\.(\w+)\.2\.(\w+)", rf"\1.{stack}.1.\2"),
            )
        ),
    ),
)

# Trees of the levels of DLA-34 behind the first two.
_TREES = r"level[2-5]"
_NECK = r"(?:dla_up\.)?(ida_\w+\.(?:proj|node)_\d)"
_BASE = (
    Rule(r"level[34]\.project\..+", ignored="of a tree of two levels, which never uses it"),
    Rule(r"fc\.(?:weight|bias)", ignored=CLASSIFIER),
    Rule(r"((?:base_layer|level[01])\.0\.weight)", r"features.backbone.\1"),
    *batch_norm(r"((?:base_layer|level[01])\.1)", r"features.backbone.\1", PYTORCH),
    Rule(rf"({_TREES})\.(.*(?:conv\d?|project\.0)\.weight)", r"features.backbone.\1.tree.\2"),
    *batch_norm(rf"({_TREES})\.(.*(?:bn\d?|project\.1))", r"features.backbone.\1.tree.\2", PYTORCH),
)

DLA_IMAGENET = Layout(
    name="ImageNet's DLA-34, original PyTorch",
    mark=r"base_layer\.0\.weight",
    prefix=r"(?:module\.)?",
    rules=(PYTORCH_COUNTERS, *_BASE),
    facts={"net_config.network": "dla"},
    colours=IMAGENET,
)

ORIGINAL_DLA = Layout(
    name="CenterNet's DLA-34, original PyTorch",
    mark=r"base\.base_layer\.0\.weight",
    prefix=r"(?:module\.)?",
    rules=(
        PYTORCH_COUNTERS,
        *below("base", _BASE),
        Rule(rf"{_NECK}\.conv\.(weight|bias)", r"features.neck.\1.conv.\2"),
        Rule(
            rf"{_NECK}\.conv\.conv_offset_mask\.(weight|bias)",
            r"features.neck.\1.conv.conv_offset.\2",
            change=TAPS_FROM_YX,
        ),
        *batch_norm(rf"{_NECK}\.actf\.0", r"features.neck.\1.bn", PYTORCH),
        Rule(r"(?:dla_up\.)?(ida_\w+\.up_\d\.weight)", r"features.neck.\1"),
        Rule(r"(\w+\.[02]\.(?:weight|bias))", r"heads.\1"),
    ),
    facts={"net_config.network": "dla", "net_config.head_conv": 256},
    back=(
        *(
            rule
            for our, their in zip(MINDSPORE, PYTORCH, strict=True)
            for rule in (
                Rule(rf"features\.backbone\.(level\d)\.tree\.(.+)\.{our}", rf"base.\1.\2.{their}"),
                Rule(rf"features\.backbone\.(.+)\.{our}", rf"base.\1.{their}"),
                Rule(rf"features\.neck\.(ida_up\..+)\.bn\.{our}", rf"\1.actf.0.{their}"),
                Rule(rf"features\.neck\.(.+)\.bn\.{our}", rf"dla_up.\1.actf.0.{their}"),
            )
        ),
        Rule(r"features\.backbone\.(level\d)\.tree\.(.+)", r"base.\1.\2"),
        Rule(r"features\.backbone\.(.+)", r"base.\1"),
        *(
            rule
            for ours, theirs in ((r"(ida_up\..+)", r"\1"), (r"(.+)", r"dla_up.\1"))
            for rule in (
                Rule(
                    rf"features\.neck\.{ours}\.conv_offset\.(\w+)",
                    rf"{theirs}.conv_offset_mask.\2",
                    change=TAPS_TO_YX,
                ),
                Rule(rf"features\.neck\.{ours}", theirs),
            )
        ),
        Rule(r"heads\.(.+)", r"\1"),
    ),
)

ORIGINALS = (ORIGINAL, ORIGINAL_HOURGLASS, ORIGINAL_DLA)
