# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Running an exported MINDIR in MindSpore."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError
from mindspore import Tensor, nn
from mindspore.train.mind_ir_pb2 import AttributeProto, GraphProto, ModelProto, TensorProto

from src.data.augment import normalise
from src.deploy import mindir_v1
from src.model_utils.errors import UserError
from src.model_utils.files import read_regular
from src.model_utils.progress import telling
from src.tasks.columns import POINTS_OF_DETECTION

_NUMBERS = {
    TensorProto.FLOAT: "<f4", TensorProto.UINT8: "<u1", TensorProto.INT8: "<i1",
    TensorProto.UINT16: "<u2", TensorProto.INT16: "<i2", TensorProto.INT32: "<i4",
    TensorProto.INT64: "<i8", TensorProto.BOOL: "?", TensorProto.FLOAT16: "<f2",
    TensorProto.DOUBLE: "<f8", TensorProto.FLOAT64: "<f8", TensorProto.UINT32: "<u4",
    TensorProto.UINT64: "<u8",
}  # fmt: skip
_MOST_DIMS = 8  # in messages
_REMEDY = "give a file that export.py wrote with the same configuration"


def load_mindir(
    path: Path, image_size: tuple[int, int], colour: np.ndarray, points: int = 0
) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """The model of a file that export.py wrote, of either version and either type of input.

    Args:
        path: the MINDIR.
        image_size: (H, W) that its input has to have.
        colour: float32 (3,4), the normalisation of a model that takes normalised images.
        points: J, of an object.

    Returns:
        A function of uint8 images (B,3,H,W), BGR, that gives detections float32 (B,K,6+3J), and B,
        all of them NumPy's.

    Raises:
        UserError: the file cannot be read, is no such model, or takes images of another size.
    """
    content = ModelProto()
    try:
        content.ParseFromString(read_regular(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}.") from None
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise UserError(f"{path}: is not a MINDIR; {_REMEDY}.") from None
    _check_tensors(path, content)
    if not _is_graph(content):
        raise UserError(f"{path}: its graph is damaged; {_REMEDY}.")
    tensors = [value.tensor[0] for value in content.graph.input if value.tensor]
    types = {TensorProto.FLOAT: "float32", TensorProto.UINT8: "uint8"}
    if len(tensors) != 1 or tensors[0].data_type not in types:
        raise UserError(f"{path}: is not a model of one float32 or uint8 input; {_REMEDY}.")
    shape = tuple(tensors[0].dims)
    expected = (*shape[:1], 3, *image_size)
    if shape != expected:
        raise UserError(
            f"{path}: takes images {shape}, but dataset_config.input_res_test makes them "
            f"{expected}; give the input_res_test that export.py had."
        )
    images = Tensor(np.zeros(shape, types[tensors[0].data_type]))
    try:
        model = nn.GraphCell(mindir_v1.load(path))
        with telling("compiling the model"):
            found = model(images)
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError):
        raise UserError(f"{path}: this MindSpore does not load it; {_REMEDY}.") from None
    length = POINTS_OF_DETECTION + 3 * points
    if not isinstance(found, Tensor) or found.ndim != 3 or found.shape[::2] != (shape[0], length):
        raise UserError(f"{path}: is not a model of detections (B,K,{length}); {_REMEDY}.")
    normalises = types[tensors[0].data_type] == "uint8"

    def run(images: np.ndarray) -> np.ndarray:
        if not normalises:
            images = np.stack([normalise(image, colour) for image in images])
        return model(Tensor(images)).asnumpy()

    return run, shape[0]


def _check_tensors(path: Path, content: ModelProto) -> None:
    """Compares the content of each tensor with its shape and type, as MindSpore does not.

    Raises:
        UserError: a tensor has more or fewer bytes, or a weight that is not finite.
    """
    for tensor in _tensors([content.graph, *content.functions]):
        name = tensor.name or "a constant"
        kind = _NUMBERS.get(tensor.data_type)
        if kind is None or tensor.HasField("external_data"):
            raise UserError(f"{path}: {name} is of no type known here; {_REMEDY}.")
        shape = list(tensor.dims)
        fits = all(side >= 0 for side in shape)
        if not fits or len(tensor.raw_data) != math.prod(shape) * np.dtype(kind).itemsize:
            raise UserError(
                f"{path}: {name} of shape {shape[:_MOST_DIMS]} has {len(tensor.raw_data)} bytes: "
                f"the file is damaged; {_REMEDY}."
            )
        if "f" in kind and not np.isfinite(np.frombuffer(tensor.raw_data, kind)).all():
            raise UserError(
                f"{path}: {name} is not finite: the model is damaged or of a training that "
                f"diverged; {_REMEDY}."
            )


def _tensors(graphs: Sequence[GraphProto]) -> Iterator[TensorProto]:
    """The weights and constants of graphs; what is no constant and has no content is a shape."""
    for graph in graphs:
        yield from graph.parameter
        for node in graph.node:
            attributes = list(node.attribute)
            while attributes:
                attribute = attributes.pop()
                for tensor in [attribute.t] * attribute.HasField("t") + list(attribute.tensors):
                    is_value = node.op_type == "Constant" and not mindir_v1.is_type(node)
                    if tensor.raw_data or is_value:
                        yield tensor
                attributes += attribute.values


def _is_graph(content: ModelProto) -> bool:
    """Whether all that nodes name is there; MindSpore takes the first of nothing, and aborts."""
    primitives = {f"REF::{primitive.name}" for primitive in content.primitives}
    functions = {function.name for function in content.functions}
    for graph in [content.graph, *content.functions]:
        known = {value.name for value in [*graph.parameter, *graph.input]} | functions
        for node in graph.node:
            is_constant = node.op_type == "Constant"
            if not node.output or not node.output[0] or (is_constant and not node.attribute):
                return False
            if not is_constant and node.op_type not in primitives | functions | known:
                return False
            if not known.issuperset(node.input) or not all(map(_is_attribute, node.attribute)):
                return False
            known.update(node.output)
        if not graph.output or not all(value.name in known for value in graph.output):
            return False
        if not all(value.tensor or value.HasField("attr_info") for value in graph.output):
            return False
    primitive_attributes = [a for primitive in content.primitives for a in primitive.attribute]
    return all(map(_is_attribute, primitive_attributes))


def _is_attribute(attribute: AttributeProto) -> bool:
    """Whether it has the values that its type says, in all its parts."""
    kinds = AttributeProto
    if attribute.type == kinds.TENSORS and not attribute.tensors:
        return False
    return attribute.type != kinds.UNDEFINED and all(map(_is_attribute, attribute.values))
