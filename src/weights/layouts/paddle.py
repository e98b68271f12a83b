# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""PaddleDetection's CenterNet, the networks of configs/centernet in release 2.6."""

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


def _conv_norm(
    pattern: str, conv: str, norm: str, theirs: tuple[str, str] = ("conv", "norm")
) -> tuple[Rule, ...]:
    """Rules for a convolution and its BatchNorm: cells `theirs` in those of a pattern to ours."""
    return (
        Rule(rf"{pattern}\.{theirs[0]}\.weight", rf"{conv}.weight"),
        *batch_norm(rf"{pattern}\.{theirs[1]}", norm, PADDLE),
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

_LAYERS = "features.backbone.layers"


def _convolutions(theirs: tuple[str, str], cells: dict[str, str]) -> tuple[Rule, ...]:
    """Rules for convolutions in our layers with their BatchNorms behind them.

    Args:
        theirs: as of `_conv_norm`.
        cells: patterns behind "backbone." and the places of the convolutions in our layers.
    """
    rules = ()
    for pattern, ours in cells.items():
        cell, _, place = ours.rpartition(".")
        norm = f"{cell}.{int(place) + 1}"
        rules += _conv_norm(
            rf"backbone\.{pattern}", f"{_LAYERS}.{ours}", f"{_LAYERS}.{norm}", theirs
        )
    return rules


_MOBILENET_V1_BLOCKS = (
    *("conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv4_1", "conv4_2"),
    *(f"conv5_{number}" for number in range(1, 7)),
    "conv6",
)
PADDLE_MOBILENET_V1 = Layout(
    name="PaddleDetection's CenterNet with MobileNetV1",
    mark=r"backbone\.conv2_1\._depthwise_conv\._conv\.weight",
    rules=(
        *_convolutions(
            ("_conv", "_batch_norm"),
            {"conv1": "0.0"}
            | {
                rf"{block}\._{kind}_conv": f"{layer}.{place}"
                for layer, block in enumerate(_MOBILENET_V1_BLOCKS, 1)
                for kind, place in (("depthwise", 0), ("pointwise", 3))
            },
        ),
        *_NECK,
        *_HEADS,
    ),
    facts={"net_config.network": "mobilenet_v1", "net_config.head_conv": 256},
    colours=_COLOURS,
)


def _mobilenet_v3(variant: str, mark: str, blocks: int) -> Layout:
    cells = {"conv1": "0.0"}
    excites = ()
    for layer in range(1, blocks + 1):
        block = f"conv{layer + 1}"
        for theirs, ours in (
            ("expand", "expand"),
            ("bottleneck", "depthwise"),
            ("linear", "project"),
        ):
            cells[rf"{block}\.{theirs}_conv"] = f"{layer}.{ours}.0"
        excites += (
            Rule(
                rf"backbone\.{block}\.mid_se\.(conv[12]\.(?:weight|bias))",
                rf"{_LAYERS}.{layer}.excite.\1",
            ),
        )
    return Layout(
        name=f"PaddleDetection's CenterNet with MobileNetV3, {variant}",
        mark=mark,
        rules=(*_convolutions(("conv", "bn"), cells), *excites, *_NECK, *_HEADS),
        facts={
            "net_config.network": "mobilenet_v3",
            "net_config.variant": variant,
            "net_config.head_conv": 256,
        },
        colours=_COLOURS,
    )


# The large one has more blocks; the small one alone has squeeze-and-excite in the first.
PADDLE_MOBILENET_V3 = (
    _mobilenet_v3("large", r"backbone\.conv16\.linear_conv\.conv\.weight", 15),
    _mobilenet_v3("small", r"backbone\.conv2\.mid_se\.conv1\.weight", 11),
)

_MOST_UNITS = 16  # of a stage of ShuffleNetV2; the published ones have up to 8
PADDLE_SHUFFLENET_V2 = Layout(
    name="PaddleDetection's CenterNet with ShuffleNetV2",
    mark=r"backbone\.2_1\._conv_dw_1\._conv\.weight",
    rules=(
        *_convolutions(
            ("_conv", "_batch_norm"),
            {"_conv1": "0.0"}
            | {
                rf"{stage + 1}_{unit + 1}\._conv_{theirs}": f"{stage}.{unit}.{ours}"
                for stage in (1, 2, 3)
                for unit in range(_MOST_UNITS)
                for theirs, ours in (
                    *(("dw_1", "branch1.0"), ("linear_1", "branch1.2")),
                    *(("pw(?:_2)?", "branch2.0"), ("dw(?:_2)?", "branch2.3")),
                    ("linear(?:_2)?", "branch2.5"),
                )
            },
        ),
        *_NECK,
        *_HEADS,
    ),
    facts={"net_config.network": "shufflenet_v2", "net_config.head_conv": 256},
    colours=_COLOURS,
)

PADDLES = (
    *(PADDLE_DLA, PADDLE_RESNET),
    *(PADDLE_MOBILENET_V1, *PADDLE_MOBILENET_V3, PADDLE_SHUFFLENET_V2),
)
