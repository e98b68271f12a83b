# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""MMDetection's CornerNet, of its versions 2 and 3."""

from src.weights.layouts.cornernet import FACTS
from src.weights.layouts.layout import Layout, Rule
from src.weights.layouts.parts import PYTORCH, PYTORCH_COUNTERS, STACKS, batch_norm, conv_norm
from src.weights.layouts.torchvision import IMAGENET

# Theirs and ours of cells with residual blocks or with a convolution and a BatchNorm.
_CELLS = (
    (r"backbone\.stem\.(0)", r"features.stem.\1"),
    (r"backbone\.stem\.(1)\.0", r"features.stem.\1"),
    (r"backbone\.hourglass_modules\.(.+)", r"features.hourglasses.\1"),
    (r"backbone\.(out_convs\.\d)", r"features.\1"),
    (r"backbone\.(inters\.\d)", r"features.\1"),
)
_PROJECTIONS = ("conv1x1s", "remap_convs")
_BRANCH = (
    ("direction1_conv", ("conv1.conv", "conv1.bn")),
    ("direction2_conv", ("conv2.conv", "conv2.bn")),
    ("aftpool_conv", ("pooled.0", "pooled.1")),
    ("conv1", ("skip.0", "skip.1")),
    ("conv2", ("out.conv", "out.bn")),
)

MMDETECTION_CORNERNET = Layout(
    name="CornerNet, MMDetection",
    mark=r"bbox_head\.tl_pool\.0\.aftpool_conv\.conv\.weight",
    prefix=r"(?:module\.)?",
    rules=(
        PYTORCH_COUNTERS,
        *(
            rule
            for theirs, ours in _CELLS
            for rule in (
                Rule(rf"{theirs}\.(conv\d?)\.weight", rf"{ours}.\2.weight"),
                *batch_norm(rf"{theirs}\.(bn\d?)", rf"{ours}.\2", PYTORCH),
                *conv_norm(
                    (rf"{theirs}\.downsample\.0", rf"{theirs}\.downsample\.1"),
                    (f"{ours}.skip.0", f"{ours}.skip.1"),
                    PYTORCH,
                ),
            )
        ),
        *(
            rule
            for cell in _PROJECTIONS
            for rule in conv_norm(
                (rf"backbone\.{cell}\.(\d)\.conv", rf"backbone\.{cell}\.(\d)\.bn"),
                (rf"features.{cell}.\1.0", rf"features.{cell}.\1.1"),
                PYTORCH,
            )
        ),
        *(
            rule
            for stack, cell in STACKS
            for theirs, ours in _BRANCH
            for rule in conv_norm(
                tuple(
                    rf"bbox_head\.(tl|br)_pool\.{stack}\.{theirs}\.{layer}"
                    for layer in ("conv", "bn")
                ),
                tuple(rf"{cell}.\1_pool.{name}" for name in ours),
                PYTORCH,
            )
        ),
        *(
            Rule(
                rf"bbox_head\.((?:tl|br)_(?:heat|emb|off))\.{stack}\.{theirs}\.conv\.(weight|bias)",
                rf"{cell}.\1.{ours}.\2",
            )
            for stack, cell in STACKS
            for theirs, ours in ((0, 0), (1, 2))
        ),
    ),
    facts=FACTS,
    colours=IMAGENET,
)
