# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Writing a model as ONNX, by MindSpore's exporter, with what is wrong in its graphs mended.

Of MindSpore 2.7 to 2.10, opset 11. Numbers stay the network's; `mend` says what changes.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import mindspore as ms
import onnx
from mindspore import Tensor, nn
from onnx import GraphProto, ModelProto, NodeProto, helper

from src.deploy.comparison import checked, detections, random_images
from src.deploy.onnx_session import FACTS_KEY, read_onnx, start
from src.model_utils.errors import UserError
from src.model_utils.files import whole_file
from src.model_utils.progress import telling

INPUT, OUTPUT = "images", "detections"
# What the exporter says of an operator that it does not know.
_UNKNOWN = re.compile(r"Can not find key (\w+) in convert map")


def write_onnx(
    model: nn.Cell,
    image_shape: tuple[int, int, int, int],
    dtype: str,
    path: Path,
    facts: str,
    tolerance: float,
) -> float:
    """Exports `model`, runs the file in ONNX Runtime and writes it to `path` if both boxes agree.

    Args:
        model: images to detections (B,K,6+3J).
        image_shape: (B,3,H,W).
        dtype: "uint8" or "float32".
        path: file to write, ending in .onnx.
        facts: text that the file holds of what the model was made with.
        tolerance: in output-grid pixels; scores are held to a hundredth of it.

    Returns:
        The largest difference found, see `comparison.largest_difference`.

    Raises:
        UserError: the model's boxes are not finite, or MindSpore does not write an operator.
        RuntimeError: the file gives other boxes than the model.
        onnx.checker.ValidationError, onnx.shape_inference.InferenceError: it is no proper ONNX.
    """
    images = random_images(image_shape, dtype)
    with telling("compiling the network") as teller, whole_file(path) as partial:
        expected = detections(model, images)
        teller.now("exporting the network")
        exported = partial.with_name("exported.onnx")
        try:
            ms.export(model, Tensor(images), file_name=str(exported), file_format="ONNX")
        except RuntimeError as error:
            unknown = _UNKNOWN.search(str(error))
            if unknown is None:
                raise
            raise UserError(
                f"{path}: MindSpore does not write the operator {unknown[1]} as ONNX; choose "
                "--export_config.deformable gather or --export_format MINDIR."
            ) from None
        written = onnx.load(exported)
        mend(written.graph)
        _name(written, facts)
        onnx.save(written, partial)
        del written  # it is as large as the file
        teller.now("running the exported network, to compare both")
        onnx.checker.check_model(str(partial), full_check=True)
        found = start(read_onnx(partial), target="CPU")(images)
        return checked(path, found, expected, tolerance)


def mend(graph: GraphProto) -> None:
    """Rewrites, in place, what MindSpore's exporter gets wrong or what ATC does not take.

    See the functions of `_MENDINGS`; nodes that then have no use are left out.
    """
    makers: dict[str, NodeProto] = {}  # of each value
    nodes = []
    for node in graph.node:
        makers.update(dict.fromkeys(node.output, node))
        mending = _MENDINGS.get(node.op_type)
        nodes += mending(node, makers) if mending else [node]
    used, kept = {value.name for value in graph.output}, []
    for node in reversed(nodes):
        if not used.isdisjoint(node.output):
            used.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def _transposed_convolution(node: NodeProto, _: Mapping[str, NodeProto]) -> list[NodeProto]:
    """With pads as numbers.

    MindSpore writes `output_shape` of four numbers, where ONNX has two, and SAME_LOWER, where an
    uneven number of cells is cut off at the end. ATC takes it in some versions only.
    """
    settings = _settings(node)
    settings.pop("output_shape")
    same = settings.pop("auto_pad", None)
    if same is not None:
        sides = zip(settings["kernel_shape"], settings["strides"], strict=True)
        cut = [kernel - stride if same != b"VALID" else 0 for kernel, stride in sides]
        settings["pads"] = [side // 2 for side in cut] + [side - side // 2 for side in cut]
    return [_replaced(node, node.op_type, node.input, settings)]


def _resize(node: NodeProto, _: Mapping[str, NodeProto]) -> list[NodeProto]:
    """By the rule that ATC computes, whatever is asked of it; the same where sides double."""
    rule = {
        "coordinate_transformation_mode": "half_pixel",
        "nearest_mode": "round_prefer_ceil",
    }
    return [_replaced(node, node.op_type, node.input, _settings(node) | rule)]


def _stack(node: NodeProto, makers: Mapping[str, NodeProto]) -> list[NodeProto]:
    """A concatenation of tensors, not of a sequence of them, which ATC lacks."""
    axis = _settings(node)["axis"]
    parts = [
        helper.make_node("Unsqueeze", [part], [f"{node.output[0]}_{i}"], axes=[axis])
        for i, part in enumerate(makers[node.input[0]].input)
    ]
    names = [part.output[0] for part in parts]
    return [*parts, _replaced(node, "Concat", names, {"axis": axis})]


def _division(node: NodeProto, makers: Mapping[str, NodeProto]) -> list[NodeProto]:
    """A division of integers, not of floats, where that is rounded down and back to integers.

    As float16, which a 310 prefers, those beyond 2048 are not exact. None here is negative.
    """
    if node.input[0] != f"{node.output[0]}_floor":  # another cast
        return [node]
    division = makers[makers[node.input[0]].input[0]]
    integers = [makers[name].input[0] for name in division.input]
    return [_replaced(node, "Div", integers, {})]


_MENDINGS: dict[str, Callable[[NodeProto, Mapping[str, NodeProto]], list[NodeProto]]] = {
    "Cast": _division,
    "ConcatFromSequence": _stack,
    "ConvTranspose": _transposed_convolution,
    "Resize": _resize,
}


def _settings(node: NodeProto) -> dict[str, object]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _replaced(node: NodeProto, kind: str, inputs: list[str], settings: dict) -> NodeProto:
    """A node that makes the same value."""
    return helper.make_node(kind, inputs, node.output, name=node.name, **settings)


def _name(model: ModelProto, facts: str) -> None:
    """Names input, output and graph, and adds the facts."""
    graph = model.graph
    graph.name = "centernet"
    names = {graph.input[0].name: INPUT, graph.output[0].name: OUTPUT}
    for value in [*graph.input, *graph.output]:
        value.name = names[value.name]
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    helper.set_model_props(model, {FACTS_KEY: facts})
