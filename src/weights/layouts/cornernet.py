# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The CornerNet of the paper's own project, github.com/princeton-vl/CornerNet."""

from src.weights.layouts.layout import Colours, Layout, Rule
from src.weights.layouts.original import HOURGLASS_FEATURES
from src.weights.layouts.parts import PYTORCH, PYTORCH_COUNTERS, STACKS, conv_norm

FACTS = {
    "task": "corners",
    "net_config.network": "hourglass",
    "net_config.head_conv": 256,
    "net_config.corners.pool_channels": 128,
}
# Convolutions and BatchNorms in front of the heads, theirs and ours.
_BRANCH = (
    (("p1_conv1.conv", "p1_conv1.bn"), ("conv1.conv", "conv1.bn")),
    (("p2_conv1.conv", "p2_conv1.bn"), ("conv2.conv", "conv2.bn")),
    (("p_conv1", "p_bn1"), ("pooled.0", "pooled.1")),
    (("conv1", "bn1"), ("skip.0", "skip.1")),
    (("conv2.conv", "conv2.bn"), ("out.conv", "out.bn")),
)
_HEADS = (("heats", "heat"), ("tags", "emb"), ("regrs", "off"))

CORNERNET = Layout(
    name="CornerNet, the paper's PyTorch",
    mark=r"tl_cnvs\.0\.p_conv1\.weight",
    prefix=r"(?:module\.)?",
    rules=(
        PYTORCH_COUNTERS,
        *HOURGLASS_FEATURES,
        *(
            rule
            for stack, cell in STACKS
            for theirs, ours in _BRANCH
            for rule in conv_norm(
                tuple(rf"(tl|br)_cnvs\.{stack}\.{name}" for name in theirs),
                tuple(rf"{cell}.\1_pool.{name}" for name in ours),
                PYTORCH,
            )
        ),
        *(
            rule
            for stack, cell in STACKS
            for theirs, ours in _HEADS
            for rule in (
                Rule(
                    rf"(tl|br)_{theirs}\.{stack}\.0\.conv\.(weight|bias)",
                    rf"{cell}.\1_{ours}.0.\2",
                ),
                Rule(rf"(tl|br)_{theirs}\.{stack}\.1\.(weight|bias)", rf"{cell}.\1_{ours}.2.\2"),
            )
        ),
    ),
    facts=FACTS,
    colours=Colours(
        "BGR", (0.40789654, 0.44719302, 0.47026115), (0.28863828, 0.27408164, 0.27809835)
    ),
)
