# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""CenterNets of TensorFlow's detection zoo, by the keys of their TensorFlow 2 checkpoints.

Keras numbers the layers with weights of a model in the order of its graph: `layer_with_weights-0`,
`-1`, ... Here a model is the list of our cells in that order, each with its kind. The checkpoint
also holds the layers' own names: those of the backbones do not change, and are compared.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from src.weights.layouts.changes import (
    FROM_DEPTHWISE,
    FROM_HWIO,
    PAIRS_TURNED,
    USED_CLASSES,
    after_hwio,
)
from src.weights.layouts.layout import Change, Colours, Layout, Rule
from src.weights.layouts.parts import MINDSPORE

_NAME = "CenterNet, TensorFlow"
_FEATURES, _HEADS = "model/_feature_extractor", "model/_prediction_head_dict"
_VALUE = r"(?:/\.ATTRIBUTES/VARIABLE_VALUE)?"  # how the keys in files end
_NORM = f"(?P<tensor>{'|'.join(MINDSPORE)})"
_OTHERS = (
    Rule(r".+/\.OPTIMIZER_SLOT/.+", ignored="the training's state"),
    Rule(rf"(?!(?:{_FEATURES}|{_HEADS})/).+", ignored="the training's state"),
)

Rules = tuple[Rule, ...]
Kind = Callable[[str, str], Rules]  # a layer's rules: pattern of its key, our cell


def _rule(pattern: str, name: str, change: Change | None = None) -> Rule:
    return Rule(pattern + _VALUE, name, change=change)


def _kernel(theirs: str, ours: str) -> Rules:
    """A convolution without bias, transposed or not."""
    return (_rule(f"{theirs}/kernel", f"{ours}.weight", FROM_HWIO),)


def _biased(theirs: str, ours: str) -> Rules:
    return (*_kernel(theirs, ours), _rule(f"{theirs}/bias", f"{ours}.bias"))


def _depthwise(theirs: str, ours: str) -> Rules:
    return (_rule(f"{theirs}/depthwise_kernel", f"{ours}.weight", FROM_DEPTHWISE),)


def _separable(theirs: str, ours: str) -> Rules:
    return (
        *_depthwise(theirs, f"{ours}.depthwise"),
        _rule(f"{theirs}/pointwise_kernel", f"{ours}.pointwise.weight", FROM_HWIO),
        _rule(f"{theirs}/bias", f"{ours}.pointwise.bias"),
    )


def _norm(theirs: str, ours: str) -> Rules:
    return (_rule(f"{theirs}/{_NORM}", rf"{ours}.\g<tensor>"),)


def _numbered(model: str, part: str, layers: Iterable[tuple[Kind, str]], first: int = 0) -> Rules:
    """Rules for the layers of a Keras model, in its order."""
    return tuple(
        rule
        for number, (kind, cell) in enumerate(layers, first)
        for rule in kind(f"{_FEATURES}/{model}/layer_with_weights-{number}", f"{part}.{cell}")
    )


def _backbone(layers: Iterable[tuple[Kind, str]]) -> Rules:
    return _numbered("_base_model", "features.backbone", layers)


def _neck(layers: Iterable[tuple[Kind, str]]) -> Rules:
    """Layer 0 of this model is the backbone, which has keys of its own."""
    return _numbered("_feature_extractor_model", "features.neck", layers, first=1)


# Our heads: name, theirs, and what becomes of the channels of the last convolution.
_HEAD_NAMES = (
    ("hm", "object_center", USED_CLASSES),
    ("wh", "box.Sscale", PAIRS_TURNED),
    ("reg", "box.Soffset", PAIRS_TURNED),
    ("hm_hp", "human_pose.Skeypoint.Sheatmap", None),
    ("hp_offset", "human_pose.Skeypoint.Soffset", PAIRS_TURNED),
    ("hps", "human_pose.Skeypoint.Sregression", PAIRS_TURNED),
)


def _heads(first: Kind = _biased, stacks: Sequence[str] = ("heads",)) -> Rules:
    """Rules for all heads.

    Args:
        first: kind of their 3×3 convolutions.
        stacks: our cells of the heads of each stack.
    """
    rules: list[Rule] = []
    for stack, cell in enumerate(stacks):
        for ours, name, change in _HEAD_NAMES:
            theirs = f"{_HEADS}/{re.escape(name)}/{stack}/layer_with_weights"
            kernel = after_hwio(change) if change else FROM_HWIO
            rules += first(f"{theirs}-0", f"{cell}.{ours}.0")
            rules += [
                _rule(f"{theirs}-1/kernel", f"{cell}.{ours}.2.weight", kernel),
                _rule(f"{theirs}-1/bias", f"{cell}.{ours}.2.bias", change),
            ]
    return tuple(rules)


def _from_255(*values: float) -> tuple[float, ...]:
    return tuple(value / 255 for value in values)


_CAFFE = Colours("BGR", _from_255(103.939, 116.779, 123.68), _from_255(1, 1, 1))
_HALVES = Colours("RGB", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_OF_HOURGLASS = Colours(
    "BGR",
    _from_255(104.01362025, 114.03422265, 119.9165958),
    _from_255(73.6027665, 69.89082075, 70.9150767),
)

# --- ResNet V1 and V2 --------------------------------------------------------------------------

_V1_REST = (
    *((_biased, "conv1"), (_norm, "bn1"), (_biased, "conv2"), (_norm, "bn2")),
    *((_biased, "conv3"), (_norm, "bn3")),
)
_V1_FIRST = (
    *_V1_REST[:4],
    *((_biased, "downsample.0"), (_biased, "conv3"), (_norm, "downsample.1"), (_norm, "bn3")),
)
_V2_REST = (
    *((_norm, "preact_bn"), (_kernel, "conv1"), (_norm, "bn1")),
    *((_kernel, "conv2"), (_norm, "bn2"), (_biased, "conv3")),
)
_V2_FIRST = (*_V2_REST[:-1], (_biased, "downsample"), _V2_REST[-1])


def _stages(
    blocks: Sequence[int], first: Sequence[tuple[Kind, str]], rest: Sequence[tuple[Kind, str]]
) -> list[tuple[Kind, str]]:
    """The layers of all blocks: how many there are in each stage, and what is in one."""
    return [
        (kind, f"layer{stage}.{block}.{cell}")
        for stage, count in enumerate(blocks, 1)
        for block in range(count)
        for kind, cell in (rest if block else first)
    ]


def _pyramid(convolution: Kind) -> list[tuple[Kind, str]]:
    layers: list[tuple[Kind, str]] = [(_biased, "top")]
    for stage in range(3):
        layers += [(_biased, f"laterals.{stage}"), (convolution, f"convs.{stage}.0")]
        layers += [(_norm, f"convs.{stage}.1")]
    return layers


def _facts(network: str, **others: object) -> dict[str, object]:
    facts = {"network": network, "head_conv": 256, **others}
    return {f"net_config.{name}": value for name, value in facts.items()}


def _keras_resnet(layers: Sequence[tuple[Kind, str]]) -> dict[str, str]:
    """Our cells in the stages by the names of Keras's layers: conv2_block1_0_conv, ..."""
    names = {}
    for kind, cell in layers:
        if not cell.startswith("layer"):
            continue
        stage, block, part, *_ = cell.removeprefix("layer").split(".")
        part = "preact" if part == "preact_bn" else part.replace("downsample", "0")[-1]
        end = "bn" if kind is _norm else "conv"
        names[f"conv{int(stage) + 1}_block{int(block) + 1}_{part}_{end}"] = cell
    return _in_backbone(names)


def _in_backbone(cells: dict[str, str]) -> dict[str, str]:
    return {name: f"features.backbone.{cell}" for name, cell in cells.items()}


def _resnet_v1_fpn(depth: int, blocks: list[int]) -> Layout:
    layers = [(_biased, "conv1"), (_norm, "bn1"), *_stages(blocks, _V1_FIRST, _V1_REST)]
    return Layout(
        name=f"{_NAME}: ResNet-{depth} V1 FPN",
        mark=f"{_FEATURES}/_base_model/layer_with_weights-2/bias{_VALUE}",
        rules=(
            *_OTHERS,
            *_backbone(layers),
            *_neck(_pyramid(_biased)),
            *_heads(),
        ),
        facts=_facts("resnet_v1_fpn", block_class=blocks),
        colours=_CAFFE,
        layers=_keras_resnet(layers),
    )


_V2_BLOCKS = [3, 4, 6, 3]
_V2_LAYERS = [(_biased, "conv1"), *_stages(_V2_BLOCKS, _V2_FIRST, _V2_REST)]
_UP_CONVOLUTIONS = [
    (kind, f"layers.{place}")
    for place, kind in enumerate([_biased, _norm, None] * 6)
    if kind  # each third is a ReLU
]

_RESNET50_V2 = Layout(
    name=f"{_NAME}: ResNet-50 V2",
    mark=f"{_FEATURES}/_base_model/layer_with_weights-{len(_V2_LAYERS)}/gamma{_VALUE}",
    rules=(
        *_OTHERS,
        *_backbone(_V2_LAYERS),
        Rule(
            f"{_FEATURES}/_base_model/layer_with_weights-{len(_V2_LAYERS)}/{_NORM}{_VALUE}",
            ignored="the last BatchNorm of ResNet V2, which its CenterNet leaves out",
        ),
        *_neck(_UP_CONVOLUTIONS),
        *_heads(),
    ),
    facts=_facts("resnet_v2", block_class=_V2_BLOCKS),
    colours=_HALVES,
    layers=_keras_resnet(_V2_LAYERS),
)

# --- MobileNetV2 -------------------------------------------------------------------------------

_PROJECTED = (
    *((_depthwise, "depthwise.0"), (_norm, "depthwise.1")),
    *((_kernel, "project.0"), (_norm, "project.1")),
)
_EXPANDED = ((_kernel, "expand.0"), (_norm, "expand.1"), *_PROJECTED)
_FIRST, _LAST = 0, 18  # the convolutions before and behind the blocks
_MOBILENET_V2_LAYERS = [
    *((_kernel, f"layers.{_FIRST}.0"), (_norm, f"layers.{_FIRST}.1")),
    *(
        (kind, f"layers.{block}.{cell}")
        for block in range(_FIRST + 1, _LAST)
        for kind, cell in (_EXPANDED if block > 1 else _PROJECTED)
    ),
    *((_kernel, f"layers.{_LAST}.0"), (_norm, f"layers.{_LAST}.1")),
]


def _keras_mobilenet_v2(layers: Sequence[tuple[Kind, str]]) -> dict[str, str]:
    """Our cells in the blocks by the names of Keras's layers: block_1_expand_BN, ..."""
    names = {}
    for _, cell in layers:
        _, block, *parts = cell.split(".")
        if len(parts) == 2:
            before = f"block_{int(block) - 1}" if int(block) > 1 else "expanded_conv"
            names[f"{before}_{parts[0]}" + "_BN" * (parts[1] == "1")] = cell
    return _in_backbone(names)


_MOBILENET_V2_FPN = Layout(
    name=f"{_NAME}: MobileNetV2 FPN",
    mark=f"{_FEATURES}/_base_model/layer_with_weights-2/depthwise_kernel{_VALUE}",
    rules=(
        *_OTHERS,
        *_backbone(_MOBILENET_V2_LAYERS),
        *_neck(_pyramid(_separable)),
        *_heads(_separable),
    ),
    facts=_facts("mobilenet_v2_fpn", separable_heads=True),
    colours=_HALVES,
    layers=_keras_mobilenet_v2(_MOBILENET_V2_LAYERS),
)

# --- Hourglass ---------------------------------------------------------------------------------

_NETWORK = f"{_FEATURES}/_network"


def _conv_block(theirs: str, ours: str, conv: str = "conv", norm: str = "bn") -> Rules:
    return (
        *_kernel(f"{theirs}/conv", f"{ours}.{conv}"),
        *_norm(f"{theirs}/norm", f"{ours}.{norm}"),
    )


def _residual(theirs: str, ours: str) -> Rules:
    return (
        *_conv_block(f"{theirs}/conv_block", ours, "conv1", "bn1"),
        *_conv_block(theirs, ours, "conv2", "bn2"),
        *_conv_block(f"{theirs}/skip", ours, "skip.0", "skip.1"),
    )


def _hourglass(depth: int) -> Rules:
    """Rules for the residual blocks of an hourglass so far inside."""
    inside = f"{_NETWORK}/hourglass_network/(\\d)/" + "inner_block/0/" * depth
    ours = r"features.hourglasses.\1" + ".low2" * depth
    return (
        *_residual(rf"{inside}encoder_block1/(\d)", rf"{ours}.up1.\2"),
        *_residual(rf"{inside}encoder_block2/(\d)", rf"{ours}.low1.\2"),
        *_residual(rf"{inside}inner_block/(\d)", rf"{ours}.low2.\2"),
        *_residual(rf"{inside}decoder_block/(\d)", rf"{ours}.low3.\2"),
    )


_HOURGLASS104 = Layout(
    name=f"{_NAME}: Hourglass-104",
    mark=f"{_NETWORK}/downsample_input/conv_block/conv/kernel{_VALUE}",
    rules=(
        *_OTHERS,
        *_conv_block(f"{_NETWORK}/downsample_input/conv_block", "features.stem.0"),
        *_residual(f"{_NETWORK}/downsample_input/residual_block", "features.stem.1"),
        *(rule for depth in range(5) for rule in _hourglass(depth)),
        *_conv_block(rf"{_NETWORK}/output_conv/(\d)", r"features.out_convs.\1"),
        *_conv_block(f"{_NETWORK}/intermediate_conv1/0", "features.conv1x1s.0", "0", "1"),
        *_conv_block(f"{_NETWORK}/intermediate_conv2/0", "features.remap_convs.0", "0", "1"),
        *_residual(f"{_NETWORK}/intermediate_residual/0", "features.inters.0"),
        *_heads(stacks=("auxiliary_heads.0", "heads")),
    ),
    facts=_facts("hourglass"),
    colours=_OF_HOURGLASS,
)

TENSORFLOW = (
    _HOURGLASS104,
    _resnet_v1_fpn(50, [3, 4, 6, 3]),
    _resnet_v1_fpn(101, [3, 4, 23, 3]),
    _RESNET50_V2,
    _MOBILENET_V2_FPN,
)
