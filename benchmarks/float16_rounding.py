# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What a graph computes where some of its operators have float16 alone, shown on a CPU.

In front of such an operator CANN casts float32 to float16, and behind it back. Here those casts are
written into a MINDIR: it holds every operator of a graph as MindSpore compiles it, also those that
a cell calls as functions. Sums within a convolution or a matrix product stay float32, as in
Ascend's matrix unit. Not shown: from 65,520 on float16 is infinite here, where 910A and 310
saturate at 65,504.
"""

import tempfile
from collections.abc import Collection
from pathlib import Path

import mindspore as ms
from mindspore import Tensor, nn
from mindspore.train.mind_ir_pb2 import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    PrimitiveProto,
    TensorProto,
)

from src.deploy import mindir_v1
from src.model_utils.files import read_regular

_REFERENCE = "REF::"
# Nodes that compute nothing.
_PLUMBING = frozenset({"Depend", "Load", "MakeTuple", "TupleGetItem", "UpdateState"})
# Inputs that stay float32 in an operator's float16 form: scale, offset and statistics.
_FLOAT32_INPUTS = {"BatchNorm": (1, 2, 3, 4)}
# What the two casts make, and the number by which Cast knows it.
_CASTS = {"float16": 42, "float32": 43}
_CAST = "Cast:float16_rounding"


def exported(model: nn.Cell, *inputs: Tensor) -> ModelProto:
    """The graph of a cell for such inputs, as MindSpore writes it into a MINDIR."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.mindir"
        ms.export(model, *inputs, file_name=str(path), file_format="MINDIR")
        return read(path)


def read(path: Path) -> ModelProto:
    """The content of a MINDIR."""
    model = ModelProto()
    model.ParseFromString(read_regular(path))
    return model


def runnable(model: ModelProto) -> nn.GraphCell:
    """The graph as a cell."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.mindir"
        path.write_bytes(model.SerializeToString())
        return nn.GraphCell(mindir_v1.load(path))


def operators(model: ModelProto) -> list[str]:
    """The name of every operator in the graph; nodes that compute nothing are none."""
    names = _operator_names(model)
    found = [names[node.op_type] for node in model.graph.node if node.op_type in names]
    return [name for name in found if name not in _PLUMBING]


def round_operators(model: ModelProto, names: Collection[str] | None) -> int:
    """Rounds the float32 inputs and results of some operators to float16, in place.

    Args:
        model: of version 1 or 3.
        names: operators by MindSpore's names; None for all.

    Returns:
        The number of operators with something rounded.

    Raises:
        ValueError: the graph has control flow.
    """
    if model.functions:
        raise ValueError(f"control flow is not supported: {model.functions[0].name}")
    operator_names = _operator_names(model)
    float32 = _float32_tensors(model.graph)
    nodes: list[NodeProto] = []
    rounded: dict[str, str] = {}  # float32 tensor -> the same, rounded; rounded ones -> themselves
    results: dict[str, str] = {}  # result of a rounded operator -> what its users take instead
    tuples = set()  # results of rounded operators that are several tensors

    def round_tensor(name: str) -> str:
        if name in float32 and name not in rounded:
            source = name
            for kind in _CASTS:
                cast = NodeProto(name=f"{name}:{kind}", op_type=_REFERENCE + _CAST)
                cast.input.extend([source, f"{_CAST}:{kind}"])
                cast.output.append(cast.name)
                nodes.append(cast)
                source = cast.name
            rounded[name] = rounded[source] = source
        return rounded.get(name, name)

    count = 0
    for node in model.graph.node:
        operator = operator_names.get(node.op_type)
        (result,) = node.output
        inputs = [results.get(name, name) for name in node.input]
        is_chosen = operator not in {None, *_PLUMBING} and (names is None or operator in names)
        if is_chosen:
            kept = _FLOAT32_INPUTS.get(operator, ())
            inputs = [name if i in kept else round_tensor(name) for i, name in enumerate(inputs)]
            count += result in float32 or any(name in rounded for name in inputs)
            tuples.add(result)
        nodes.append(node)
        del node.input[:]
        node.input.extend(inputs)
        if is_chosen or (operator == "TupleGetItem" and inputs[0] in tuples):
            results[result] = round_tensor(result)
    for output in model.graph.output:
        output.name = results.get(output.name, output.name)
    _add_cast(model)
    nodes = [*_cast_types(), *nodes]  # a constant stands before its users
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return count


def _operator_names(model: ModelProto) -> dict[str, str]:
    """What nodes call -> the operator's name."""
    return {_REFERENCE + primitive.name: primitive.op_type for primitive in model.primitives}


def _float32_tensors(graph: GraphProto) -> set[str]:
    """Names of the inputs, weights, constants and results that are one float32 tensor."""
    tensors = {value.name: list(value.tensor) for value in graph.input}
    tensors.update((weight.name, [weight]) for weight in graph.parameter)
    for node in graph.node:
        for attribute in node.attribute:  # a result's shape or a constant's value
            if attribute.name in ("shape", "value"):
                tensors[node.output[0]] = list(attribute.tensors)
    return {
        name
        for name, found in tensors.items()
        if len(found) == 1 and found[0].data_type == TensorProto.FLOAT
    }


def _add_cast(model: ModelProto) -> None:
    cast = model.primitives.add(name=_CAST, op_type="Cast", instance_name="cast")
    cast.prim_type = PrimitiveProto.PRIMITIVE_FUNCTION
    for name, ends in (("input_names", ("x", "dst_type")), ("output_names", ("output",))):
        attribute = cast.attribute.add(name=name, type=AttributeProto.LIST)
        for end in ends:
            attribute.values.add(type=AttributeProto.STRING, strings=[end.encode()])


def _cast_types() -> list[NodeProto]:
    constants = []
    for kind, number in _CASTS.items():
        constant = NodeProto(name=f"{_CAST}:{kind}", op_type="Constant")
        constant.output.append(constant.name)
        constant.attribute.add(name="value", type=AttributeProto.INT64, i=number)
        constants.append(constant)
    return constants
