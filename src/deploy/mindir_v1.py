# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""MINDIR version 3 (MindSpore 2.3 and later) to version 1 (the only one MindSpore Lite 2.0 reads).

The two versions store the same graph. Version 3 passes an operator's settings as constant inputs at
the end of its input list; version 1 keeps them as attributes of the operator. Going back means
moving those constants and is done here on the protobuf alone. Only operators that were run in both
runtimes with equal results are let through; any other is refused by name.
"""

import tempfile
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore._c_expression import typing
from mindspore.train.mind_ir_pb2 import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    PrimitiveProto,
    TensorProto,
)

from src.model_utils.files import read_regular, whole_file

# Operator -> its settings, in the order in which version 3 appends them to the inputs, each with
# the type that the constant must have.
SETTINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "ArgMaxWithValue": (("axis", "INT64"), ("keep_dims", "BOOL")),
    "AvgPool": (
        ("kernel_size", "TUPLE"),
        ("strides", "TUPLE"),
        ("pad_mode", "INT64"),
        ("format", "INT64"),
    ),
    "BatchMatMul": (("transpose_a", "BOOL"), ("transpose_b", "BOOL")),
    "BatchNorm": (
        ("is_training", "BOOL"),
        ("epsilon", "FLOAT"),
        ("momentum", "FLOAT"),
        ("format", "INT64"),
    ),
    "BiasAdd": (("format", "INT64"),),
    "BroadcastTo": (("shape", "TUPLE"),),
    "Concat": (("axis", "INT64"),),
    "Gather": (("batch_dims", "INT64"),),
    "MatMul": (("transpose_a", "BOOL"), ("transpose_b", "BOOL")),
    "ReduceMean": (("keep_dims", "BOOL"),),
    "ReduceMin": (("keep_dims", "BOOL"),),
    "ReduceSum": (("keep_dims", "BOOL"), ("skip_mode", "BOOL")),
    "ResizeNearestNeighbor": (
        ("size", "TUPLE"),
        ("align_corners", "BOOL"),
        ("half_pixel_centers", "BOOL"),
    ),
    "ReverseV2": (("axis", "TUPLE"),),
    "Softmax": (("axis", "TUPLE"),),
    "Split": (("axis", "INT64"), ("output_num", "INT64")),
    "Squeeze": (("axis", "TUPLE"),),
    "StridedSlice": (
        ("begin_mask", "INT64"),
        ("end_mask", "INT64"),
        ("ellipsis_mask", "INT64"),
        ("new_axis_mask", "INT64"),
        ("shrink_axis_mask", "INT64"),
    ),
}

# Settings that Lite takes at one value only: it ignores batch_dims, for one.
ONLY_VALUE = {
    "batch_dims": 0,
    "format": 0,
    "half_pixel_centers": 0,
    "is_training": 0,
    "pad_mode": 2,  # "valid"
}
_WORDS = {"format": b"NCHW", "pad_mode": b"VALID"}  # what version 1 writes for these values
_OF_BATCH = {"kernel_size", "strides"}  # of height and width; in version 1 of all four axes

# Operators of a tensor and a number, which version 1 lacks -> the same of two tensors.
SCALAR_FORMS = {
    "Divs": "RealDiv",
    "EqScalar": "Equal",
    "LessScalar": "Less",
    "Muls": "Mul",
}

# Operators that both versions write alike. FloorDiv of integers: Lite rounds towards zero, so none
# may be negative. Not here: ReduceMax, whose maximum of negative numbers is 1e-38 in Lite; the
# negative of ReduceMin does its work.
# fmt: off
UNCHANGED = frozenset({
    "Abs", "Add", "Cast", "Conv2D", "Conv2DTranspose", "Depend", "Div", "Equal", "Exp",
    "ExpandDims", "Flatten", "Floor", "FloorDiv", "FloorMod", "GatherD", "GatherNd",
    "Greater", "GreaterEqual", "HSigmoid", "HSwish", "Less", "LessEqual", "Load", "Log",
    "LogicalAnd", "LogicalNot", "LogicalOr", "MakeTuple", "MaxPool", "Maximum", "Minimum",
    "Mul", "Neg", "NotEqual", "Pad", "Pow", "ReLU", "ReLU6", "RealDiv", "Reciprocal",
    "Reshape", "Select", "Sigmoid", "Sqrt", "Square", "Stack", "Sub", "Tanh", "Tile",
    "TopK", "Transpose", "TupleGetItem", "UpdateState",
})
# fmt: on

# What `Cast` is asked for here.
_TYPES = {
    TensorProto.BOOL: ms.bool_,
    TensorProto.FLOAT: ms.float32,
    TensorProto.FLOAT16: ms.float16,
    TensorProto.INT32: ms.int32,
    TensorProto.INT64: ms.int64,
    TensorProto.UINT8: ms.uint8,
}
_NUMPY_TYPES = {
    TensorProto.FLOAT: np.float32,
    TensorProto.FLOAT16: np.float16,
    TensorProto.INT32: np.int32,
    TensorProto.INT64: np.int64,
}
_SCALAR_TYPES = (AttributeProto.FLOAT, AttributeProto.INT64)
_REFERENCE = "REF::"
_TYPE = ":type"  # ends the names of constants that `_number_to_type` has made


class UnsupportedGraphError(ValueError):
    """The graph has no version-1 form here; the message names the operators."""


def write_version_1(source: Path, target: Path) -> None:
    """Read a version-3 MINDIR and write it as version 1; ``target`` appears whole or not at all.

    Raises:
        UnsupportedGraphError: see ``downgrade``; nothing is written.
        google.protobuf.message.DecodeError: ``source`` is not a MINDIR.
    """
    model = ModelProto()
    model.ParseFromString(read_regular(source))
    downgrade(model)
    with whole_file(target) as partial:
        partial.write_bytes(model.SerializeToString())


def is_type(node: NodeProto) -> bool:
    """Whether a constant of a version-1 file stands for a type: its tensor has no content."""
    return node.op_type == "Constant" and node.name.endswith(_TYPE)


def load(path: Path) -> object:
    """`mindspore.load` of a MINDIR of either version.

    MindSpore takes version 1 as it is, but for types and for the sizes of AvgPool.
    """
    model = ModelProto()
    model.ParseFromString(read_regular(path))
    if model.mind_ir_version != 1:
        return ms.load(str(path))
    for node in model.graph.node:
        if is_type(node):
            value = _attribute(node, "value")
            value.type = AttributeProto.INT64
            value.i = typing.type_to_type_id(_TYPES[value.tensors[0].data_type])
            del value.tensors[:]
    for primitive in model.primitives:
        for attribute in primitive.attribute if primitive.op_type == "AvgPool" else ():
            if attribute.name in _OF_BATCH:
                del attribute.values[:2]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model.mindir"
        copy.write_bytes(model.SerializeToString())
        return ms.load(str(copy))


def downgrade(model: ModelProto) -> None:
    """Turn ``model`` from MINDIR version 3 into version 1, in place.

    A constant that loses its last user stays in the graph: both runtimes ignore it.

    Raises:
        UnsupportedGraphError: ``model`` is not version 3, has control flow or weights in separate
            files, or holds an operator that is not in the tables above. ``model`` may then be
            half changed.
    """
    if model.mind_ir_version != 3:
        raise UnsupportedGraphError(
            f"expected MINDIR version 3 (MindSpore 2.3 and later), not {model.mind_ir_version}"
        )
    if model.functions:
        raise UnsupportedGraphError(f"control flow is not supported: {model.functions[0].name}")
    if any(parameter.HasField("external_data") for parameter in model.graph.parameter):
        raise UnsupportedGraphError("weights outside the MINDIR file are not supported")

    kinds = {primitive.name: primitive.op_type for primitive in model.primitives}
    operators: list[tuple[NodeProto, str]] = []
    constants: dict[str, AttributeProto] = {}
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = _attribute(node, "value")
        else:
            operators.append((node, kinds[node.op_type.removeprefix(_REFERENCE)]))
    _refuse_unknown(operators)

    types = _tensor_types(model.graph)
    new_constants = []
    for node, kind in operators:
        if kind.startswith("Reduce"):
            _refuse_unnamed_axes(node, kind, constants)
        if kind in SETTINGS:
            _settings_to_attributes(node, kind, _own_primitive(model, node), constants)
        elif kind in SCALAR_FORMS:
            _own_primitive(model, node).op_type = SCALAR_FORMS[kind]
            new_constants.append(_scalar_to_tensor(node, kind, constants, types))
        elif kind == "Cast":
            new_constants.append(_number_to_type(node, types[node.output[0]]))
    # A constant must stand before its users.
    nodes = [*new_constants, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.mind_ir_version = 1


def _refuse_unknown(operators: list[tuple[NodeProto, str]]) -> None:
    known = UNCHANGED | SETTINGS.keys() | SCALAR_FORMS.keys()
    unknown = {kind: node.domain for node, kind in operators if kind not in known}
    if unknown:
        listed = ", ".join(f"{kind} ({scope})" for kind, scope in sorted(unknown.items()))
        raise UnsupportedGraphError(f"no version-1 form is known for {listed}")


def _refuse_unnamed_axes(node: NodeProto, kind: str, constants: dict[str, AttributeProto]) -> None:
    """Lite never comes back from a reduction whose axes are ()."""
    axes = constants.get(node.input[1])
    if axes is None or not axes.values:
        raise UnsupportedGraphError(f"{kind} ({node.domain}) must name the axes it reduces")


def _attribute(node: NodeProto, name: str) -> AttributeProto:
    return next(attribute for attribute in node.attribute if attribute.name == name)


def _tensor_types(graph: GraphProto) -> dict[str, int]:
    """The element type of every input, weight and single-tensor result, by name."""
    types = {value.name: value.tensor[0].data_type for value in graph.input}
    types.update((weight.name, weight.data_type) for weight in graph.parameter)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "shape" and len(attribute.tensors) == 1:
                types[node.output[0]] = attribute.tensors[0].data_type
    return types


def _own_primitive(model: ModelProto, node: NodeProto) -> PrimitiveProto:
    """Give ``node`` its own copy of a primitive that other nodes may share, and return it."""
    shared = node.op_type.removeprefix(_REFERENCE)
    own = model.primitives.add()
    own.CopyFrom(next(primitive for primitive in model.primitives if primitive.name == shared))
    own.name = f"{shared}:{node.output[0]}"
    node.op_type = _REFERENCE + own.name
    return own


def _settings_to_attributes(
    node: NodeProto, kind: str, primitive: PrimitiveProto, constants: dict[str, AttributeProto]
) -> None:
    settings = SETTINGS[kind]
    for (name, expected), source in zip(settings, node.input[-len(settings) :], strict=True):
        constant = constants.get(source)
        if constant is None or constant.type != AttributeProto.AttributeType.Value(expected):
            raise UnsupportedGraphError(f"{name} of {kind} ({node.domain}) is not a constant")
        if constant.i != ONLY_VALUE.get(name, constant.i):
            raise UnsupportedGraphError(f"{kind} ({node.domain}) has {name} {constant.i}")
        attribute = primitive.attribute.add()
        if name in _WORDS:
            attribute.type = AttributeProto.STRING
            attribute.s = _WORDS[name]
        else:
            attribute.CopyFrom(constant)
        if name in _OF_BATCH:
            one = AttributeProto(ints=[1], type=AttributeProto.INT64)
            attribute.values.insert(0, one)
            attribute.values.insert(0, one)
        attribute.name = name
    del node.input[-len(settings) :]


def _scalar_to_tensor(
    node: NodeProto, kind: str, constants: dict[str, AttributeProto], types: dict[str, int]
) -> NodeProto:
    """Replace the number that ``node`` takes second by a tensor of the type of the first input.

    Returns the constant that holds the tensor.
    """
    data_type = types.get(node.input[0])
    scalar = constants.get(node.input[1])
    if scalar is None or data_type not in _NUMPY_TYPES or scalar.type not in _SCALAR_TYPES:
        raise UnsupportedGraphError(f"{kind} ({node.domain}) is not a tensor beside a number")
    number = scalar.f if scalar.type == AttributeProto.FLOAT else scalar.i
    array = np.array(number, _NUMPY_TYPES[data_type])
    if array.dtype.kind == "i" and (kind == "Divs" or scalar.type == AttributeProto.FLOAT):
        raise UnsupportedGraphError(f"{kind} ({node.domain}) gives a float from an integer tensor")
    constant, tensor = _tensor_constant(f"{node.output[0]}:number", data_type)
    tensor.raw_data = array.tobytes()
    node.input[1] = constant.name
    return constant


def _number_to_type(node: NodeProto, data_type: int) -> NodeProto:
    """Replace the number of a type, the second input of a Cast, by the type itself.

    On a CPU Lite takes either. On Ascend it takes no number ("error convert Value to TypePtr").

    Returns the constant: in version 1 a type is a tensor without content.
    """
    constant, _ = _tensor_constant(f"{node.output[0]}{_TYPE}", data_type)
    node.input[1] = constant.name
    return constant


def _tensor_constant(name: str, data_type: int) -> tuple[NodeProto, TensorProto]:
    """A constant called ``name`` and its tensor, as yet without content."""
    constant = NodeProto(name=name, op_type="Constant", output=[name])
    value = constant.attribute.add(name="value", type=AttributeProto.TENSORS)
    return constant, value.tensors.add(data_type=data_type, name="value0")
