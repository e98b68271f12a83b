# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""PaddleDetection's CenterNet, configs/centernet of release 2.6: DLA-34 and ResNet-50-vd."""

from src.weights.layouts.changes import TAPS_FROM_YX
from src.weights.layouts.layout import Colours, Layout, Rule
from src.weights.layouts.parts import PADDLE, batch_norm

_COLOURS = Colours("BGR", (0.40789655, 0.44719303, 0.47026116), (0.2886383, 0.27408165, 0.27809834))
_HEADS = tuple(
    Rule(rf"head\.{theirs}\.([02])\.conv\.(weight|bias)", rf"heads.{ours}.\1.\2")
    for theirs, ours in (("heatmap", "hm"), ("size", "wh"), ("offset", "reg"))
)
_NODE = r"neck\.(?:dla_up\.)?(ida_\w+\.(?:proj|node)_\d)\.0"
_NECK = (
    # Plain, or deformable.
    Rule(rf"{_NODE}\.conv\.weight", r"features.neck.\1.conv.weight"),
    Rule(rf"{_NODE}\.conv\.conv_dcn\.(weight|bias)", r"features.neck.\1.conv.\2"),
    Rule(
        rf"{_NODE}\.conv\.conv_offset\.(weight|bias)",
        r"features.neck.\1.conv.conv_offset.\2",
        change=TAPS_FROM_YX,
    ),
    *batch_norm(rf"{_NODE}\.norm", r"features.neck.\1.bn", PADDLE),
    Rule(r"neck\.(?:dla_up\.)?(ida_\w+\.up_\d\.weight)", r"features.neck.\1"),
)


def _conv_norm(pattern: str, conv: str, norm: str) -> tuple[Rule, ...]:
    """Rules for a convolution and its BatchNorm: cells of a pattern to ours."""
    return (
        Rule(rf"{pattern}\.conv\.weight", rf"{conv}.weight"),
        *batch_norm(rf"{pattern}\.norm", norm, PADDLE),
    )


def _tree(pattern: str, conv: str, norm: str) -> tuple[Rule, ...]:
    """Rules for a part of the trees of DLA-34: cells of a pattern to our convolution and norm."""
    where = r"backbone\.(level[2-5])\.((?:tree\d\.)*)"
    ours = r"features.backbone.\1.tree.\2"
    return _conv_norm(where + pattern, ours + conv, ours + norm)


PADDLE_DLA = Layout(
    name="PaddleDetection's CenterNet with DLA-34",
    mark=r"backbone\.base_layer\.0\.conv\.weight",
    rules=(
        Rule(
            r"backbone\.level[34]\.project\..+",
            ignored="of a tree of two levels, which never uses it",
        ),
        *_conv_norm(
            r"backbone\.(base_layer|level[01])\.0",
            r"features.backbone.\1.0",
            r"features.backbone.\1.1",
        ),
        *_tree(r"conv(\d)", r"conv\3", r"bn\3"),
        *_tree(r"root\.conv", "root.conv", "root.bn"),
        *_tree("project", "project.0", "project.1"),
        *_NECK,
        *_HEADS,
    ),
    facts={"net_config.network": "dla", "net_config.head_conv": 256},
    colours=_COLOURS,
)

# Blocks of a stage; behind the tenth they have other names.
_LETTERS = "abcdefghij"


def _block(stage: int, position: int) -> tuple[Rule, ...]:
    """Rules for a block of ResNet-vd; stage counts from 0."""
    theirs = rf"backbone\.res{stage + 2}\.res{stage + 2}{_LETTERS[position]}"
    ours = f"features.backbone.layer{stage + 1}.{position}"
    rules = ()
    for branch, number in (("a", 1), ("b", 2), ("c", 3)):
        rules += _conv_norm(
            rf"{theirs}\.branch2{branch}", f"{ours}.conv{number}", f"{ours}.bn{number}"
        )
    rules += (
        Rule(
            rf"{theirs}\.branch2b\.conv_offset\.(weight|bias)",
            rf"{ours}.conv2.conv_offset.\1",
            change=TAPS_FROM_YX,
        ),
    )
    if position == 0:
        # Ours has the pooling in front of the convolution, theirs a cell around both.
        inside, first = (r"short\.conv", 1) if stage else ("short", 0)
        shortcut = f"{ours}.downsample"
        rules += _conv_norm(
            rf"{theirs}\.{inside}", f"{shortcut}.{first}", f"{shortcut}.{first + 1}"
        )
    return rules


PADDLE_RESNET = Layout(
    name="PaddleDetection's CenterNet with ResNet-vd",
    mark=r"backbone\.conv1\.conv1_1\.conv\.weight",
    rules=(
        *(
            rule
            for layer in range(3)
            for rule in _conv_norm(
                rf"backbone\.conv1\.conv1_{layer + 1}",
                f"features.backbone.stem.{3 * layer}",
                f"features.backbone.stem.{3 * layer + 1}",
            )
        ),
        *(
            rule
            for stage in range(4)
            for position in range(len(_LETTERS))
            for rule in _block(stage, position)
        ),
        *_NECK,
        *_HEADS,
    ),
    facts={"net_config.network": "resnet_vd", "net_config.head_conv": 256},
    colours=_COLOURS,
)

PADDLES = (PADDLE_DLA, PADDLE_RESNET)
