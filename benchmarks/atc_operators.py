# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Which operators of exported ONNX files CANN's compiler ATC takes, and what it makes of them.

Sources, all public. Names: the index of the "list of supported ONNX operators" of CANN 8.0.0.
Types and settings: its pages where a comment or a check below names them (8.0.0 to 9.1.0), else
the operator lists of CANN 8.1.RC1, as in `ascend_types`, by CANN's operator. What becomes of an
operator: the ONNX plug-ins of CANN's open source (ops-math and ops-nn, August 2026). Opsets: the
page of ATC's --framework (9.1.0). The index holds for 310P; 310 and 310B are after 8.1.RC1.

`python -m benchmarks.atc_operators FILE.onnx ...` checks files. It needs the package onnx.
"""

import argparse
import math
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper

from benchmarks.ascend_types import HALF, KERNEL, NONE, YES

OPSETS = range(11, 19)
# Without a computation: gone when ATC has compiled, or a view of the same memory.
VIEW = "view"


class Listed(NamedTuple):
    """An operator of the list.

    types: of its first input, those of our graphs. cann: CANN's operator.
    on_310, on_310p, on_310b: AI Core's kernels, as in `ascend_types`, or `VIEW`.
    """

    name: str
    types: str
    cann: str
    on_310: str
    on_310p: str
    on_310b: str
    remark: str = ""


OPERATORS = (
    Listed("Abs", "float32", "Abs", YES, YES, YES),
    Listed("Add", "float32 int32", "Add", KERNEL, KERNEL, KERNEL),
    Listed("ArgMax", "float32", "ArgMaxV2", HALF, YES, YES, "poses"),
    Listed("AveragePool", "float32", "AvgPoolV2", HALF, HALF, HALF, "ResNet-vd's shortcuts"),
    Listed("BatchNormalization", "float32", "BatchNorm", YES, YES, YES, "goes into convolutions"),
    Listed("Cast", "uint8 bool float32 int32 int64", "Cast", YES, YES, YES),
    Listed("Clip", "float32", "ClipByValue", YES, YES, YES, "MobileNets"),
    Listed("Concat", "float32", "ConcatD", KERNEL, KERNEL, KERNEL),
    Listed("Constant", "", "Const", VIEW, VIEW, VIEW),
    Listed(
        "Conv", "float32", "Conv2D", HALF, KERNEL, KERNEL,
        "no float32 by must_keep_origin_dtype; `group` of 1, says the page, and the plug-in "
        "hands any on: depthwise ones",
    ),
    Listed("ConvTranspose", "float32", "Conv2DTranspose", HALF, HALF, HALF),
    Listed(
        "Div", "float32 int32", "RealDiv", YES, KERNEL, KERNEL,
        "int32, of K values: AI CPU on 310",
    ),
    Listed("Equal", "float32", "Equal", YES, YES, YES),
    Listed("Floor", "float32", "Floor", YES, YES, YES),
    Listed("Gather", "float32 int32", "GatherV2", YES, YES, YES),
    Listed("Gemm", "float32", "MatMulV2", KERNEL, KERNEL, KERNEL),
    Listed("Greater", "float32", "Greater", YES, YES, YES, "corners"),
    Listed("Identity", "float32 int32 int64", "Identity", VIEW, VIEW, VIEW),
    Listed("Less", "float32", "Less", YES, YES, YES),
    Listed("MatMul", "float32", "BatchMatMulV2", KERNEL, KERNEL, KERNEL),
    Listed("Max", "float32", "Maximum", YES, YES, YES),
    Listed("MaxPool", "float32", "MaxPoolV3", HALF, HALF, HALF, "stems; peaks go by Max"),
    Listed("Min", "float32", "Minimum", YES, YES, YES),
    Listed("Mul", "float32 int32", "Mul", KERNEL, KERNEL, KERNEL),
    Listed("Neg", "float32", "Neg", YES, YES, YES, "poses"),
    Listed("Not", "bool", "LogicalNot", YES, YES, YES, "corners"),
    Listed("Or", "bool", "LogicalOr", YES, YES, YES, "poses"),
    Listed("ReduceMean", "float32", "ReduceMeanD", YES, YES, YES, "MobileNetV3"),
    Listed("ReduceSum", "float32", "ReduceSumD", YES, YES, YES),
    Listed("Relu", "float32", "Relu", YES, YES, YES),
    Listed("Reshape", "float32 int32", "Reshape", VIEW, VIEW, VIEW),
    Listed(
        "Resize", "float32", "ResizeNearestNeighborV2", YES, YES, YES,
        "of 310B CANN's open source, newer than the list, has none",
    ),
    Listed("Sigmoid", "float32", "Sigmoid", YES, YES, YES),
    Listed(
        "Slice", "float32 int32", "StridedSliceV2", NONE, NONE, NONE,
        "AI CPU, if ATC's ConstToAttrStridedSliceV2Fusion did not make it StridedSliceD",
    ),
    Listed("Sub", "float32 int32", "Sub", YES, YES, YES),
    Listed("Tile", "float32 bool", "TileD", KERNEL, KERNEL, KERNEL, "poses"),
    Listed(
        "TopK", "float32", "TopK", HALF, YES, YES,
        "TopKFusionPass makes it TopKD; AI CPU without",
    ),
    Listed("Transpose", "float32", "TransposeD", YES, YES, YES),
    Listed("Unsqueeze", "float32", "Unsqueeze", VIEW, VIEW, VIEW, "ShuffleNetV2"),
    Listed("Where", "bool", "SelectV2", YES, YES, YES, "poses"),
)  # fmt: skip
_KNOWN = {operator.name: operator for operator in OPERATORS}
_TYPE_NAMES = {
    TensorProto.FLOAT: "float32", TensorProto.INT32: "int32", TensorProto.INT64: "int64",
    TensorProto.UINT8: "uint8", TensorProto.BOOL: "bool",
}  # fmt: skip


def problems(model: ModelProto) -> list[str]:
    """What of a model ATC's list does not have, each once; nothing if it is all there."""
    (opset,) = (entry.version for entry in model.opset_import if not entry.domain)
    found = [] if opset in OPSETS else [f"opset {opset} is not of {OPSETS[0]} to {OPSETS[-1]}"]
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    types |= {weight.name: weight.data_type for weight in graph.initializer}
    constants = {weight.name for weight in graph.initializer}
    constants |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
    for node in graph.node:
        listed = _KNOWN.get(node.op_type)
        if listed is None:
            found.append(f"{node.op_type} is not listed")
            continue
        for name in node.input[:1]:
            dtype = _TYPE_NAMES.get(types.get(name, 0), "another type")
            if dtype not in listed.types.split():
                found.append(f"{node.op_type} is not known of {dtype}")
        check = _CHECKS.get(node.op_type)
        found += (f"{node.op_type} {what}" for what in (check(node, constants) if check else ()))
    return list(dict.fromkeys(found))


def _settings(node: NodeProto) -> dict[str, object]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _convolution(node: NodeProto, _: Collection[str]) -> Iterator[str]:
    settings = _settings(node)
    limits = {"kernel_shape": 255, "strides": 63, "dilations": 255, "pads": 255}
    for name, limit in limits.items():
        if max(settings.get(name, [0])) > limit:
            yield f"has {name} above {limit}"


def _transposed_convolution(node: NodeProto, _: Collection[str]) -> Iterator[str]:
    settings = _settings(node)
    # Versions read these differently: up to 8.0.RC2 no SAME, and output_shape only in part.
    for name in {"auto_pad", "output_shape"} & set(settings):
        yield f"has {name}"
    if set(settings.get("dilations", [1])) != {1}:
        yield "is dilated"


def _pooling(node: NodeProto, _: Collection[str]) -> Iterator[str]:
    settings = _settings(node)
    kernel = settings["kernel_shape"]
    if max(kernel) > 255 or math.prod(kernel) > 256 or max(settings.get("strides", [1])) > 63:
        yield "is too large: AI CPU"
    if "pads" in settings and settings.get("auto_pad", b"NOTSET") != b"NOTSET":
        yield "has pads and auto_pad"
    if settings.get("auto_pad") == b"SAME_LOWER":  # of 8.0.0, not of 8.1.RC1 and later
        yield "has auto_pad SAME_LOWER"


def _resize(node: NodeProto, constants: Collection[str]) -> Iterator[str]:
    settings = _settings(node)
    if settings.get("mode", b"nearest") not in (b"nearest", b"linear"):
        yield f"has mode {settings['mode'].decode()}"
    if settings.get("mode", b"nearest") == b"nearest":
        # All that is there of nearest, since 8.3.RC1's page; and which cells it means is sure.
        wanted = {
            "nearest_mode": b"round_prefer_ceil",
            "coordinate_transformation_mode": b"half_pixel",
        }
        for name, value in wanted.items():
            if settings.get(name) != value:
                yield f"has another {name} than {value.decode()}"
    yield from _constant_from(2)(node, constants)


def _top_k(node: NodeProto, constants: Collection[str]) -> Iterator[str]:
    if _settings(node).get("sorted", 1) != 1:
        yield "is not sorted"
    yield from _constant_from(1)(node, constants)


def _constant_from(first: int) -> Callable[[NodeProto, Collection[str]], Iterator[str]]:
    """What asks for constants from an input on."""

    def check(node: NodeProto, constants: Collection[str]) -> Iterator[str]:
        for name in node.input[first:]:
            if name and name not in constants:
                yield f"has no constant as input {list(node.input).index(name)}"

    return check


_CHECKS: dict[str, Callable[[NodeProto, Collection[str]], Iterator[str]]] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "MaxPool": _pooling,
    "AveragePool": _pooling,
    "Resize": _resize,
    "TopK": _top_k,
    "Slice": _constant_from(1),
    "Reshape": _constant_from(1),
    "Tile": _constant_from(1),
}


def table() -> str:
    """The operators as a markdown table."""
    rows = [("operator", "type", "CANN's", "310", "310P", "310B", "remark")]
    rows += [("---",) * len(rows[0]), *OPERATORS]
    return "\n".join(
        f"| {' | '.join((name, types.replace(' ', ', '), *rest))} |" for name, types, *rest in rows
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, help="ONNX files")
    failed = False
    for path in parser.parse_args(arguments).files:
        for what in problems(onnx.load(path)):
            print(f"{path}: {what}")
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
