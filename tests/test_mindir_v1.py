# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Version-1 MINDIRs run in MindSpore Lite 2.0 and give what MindSpore gives."""

import subprocess
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops
from mindspore.train.mind_ir_pb2 import AttributeProto, ModelProto, TensorProto

from benchmarks.ascend.variants import arguments_of
from src.data.augment import colour_statistics, normalisation
from src.deploy.comparison import largest_difference
from src.deploy.mindir import write_mindir
from src.deploy.mindir_v1 import (
    SCALAR_FORMS,
    SETTINGS,
    UNCHANGED,
    UnsupportedGraphError,
    load,
    write_version_1,
)
from src.model_utils.config import load_config
from src.models.layers import DepthwiseUpSampling
from src.models.network import create_network, with_decode
from src.tasks.columns import NO_OBJECT
from tests.helpers import changed

X = np.random.default_rng(0).uniform(-2, 2, (1, 4, 6, 4)).astype(np.float32)
OTHER = Tensor(np.roll(X, 1))
HALF = Tensor(0.5, ms.float32)
SEVEN = Tensor(7, ms.int32)


class Apply(nn.Cell):
    """One operator on the input, which ``view`` first casts or reshapes."""

    def __init__(self, operator, *rest, view=None):
        super().__init__()
        self.operator = operator
        self.rest = rest
        self.view = view

    def construct(self, x):
        if self.view is not None:
            x = self.view(x)
        outputs = self.operator(x, *self.rest)
        if isinstance(outputs, tuple):
            return outputs[0], outputs[1]
        return outputs


def rows(x):
    return ops.Reshape()(x, (24, 4))


def whole(x):
    """Integers from 0 to 20."""
    return ops.Cast()(ops.Abs()(x) * Tensor(10.0, ms.float32), ms.int32)


def signs(x):
    return ops.Greater()(x, HALF)


def positive(x):
    return ops.Add()(ops.Abs()(x), HALF)


def pair(operator, x):
    return operator((x, ops.Neg()(x)))


def concat(x):
    return pair(ops.Concat(-1), x)


def stack(x):
    return pair(ops.Stack(2), x)


def select(x):
    return ops.Select()(signs(x), x, OTHER)


def square_bmm(x):
    return ops.BatchMatMul(True, False)(x, OTHER)


def gather_d(x):
    return ops.GatherD()(ops.Reshape()(x, (4, 24)), 1, ops.Reshape()(whole(x), (4, 24)))


def gather_nd(x):
    return ops.GatherNd()(x, Tensor([[0, 1], [0, 3]], ms.int32))


def times(x):
    return 2.5 * x


def times_seven(x):
    return x * 7


def divided(x):
    return x / 3


def less(x):
    return ops.Cast()(x < 0.5, ms.float32)


def equal(x):
    return ops.Cast()(ops.Floor()(x) == 1.0, ms.float32)


def strided_slice(x):
    return x[..., None, 1, ::2] + x[:, :4, 2:3, 2:]


def argmax(x):
    index, value = ops.ArgMaxWithValue(1, True)(x)
    return ops.Cast()(index, ms.int32), value


def filled(net: nn.Cell) -> nn.Cell:
    """``net``, ready for inference, with weights that are not trivial."""
    rng = np.random.default_rng(1)
    for weight in net.get_parameters():
        low = 0.5 if "variance" in weight.name else -0.5
        weight.set_data(Tensor(rng.uniform(low, 1, weight.shape).astype(np.float32)))
    return net.set_train(False)


def padded(kind: type, *sizes: int, **options) -> nn.Cell:
    return filled(kind(*sizes, pad_mode="pad", padding=1, **options))


def compare(operator) -> Apply:
    return Apply(ops.Cast(), ms.float32, view=Compared(operator))


class Compared(nn.Cell):
    """``operator`` between the input rounded down and the other tensor rounded down."""

    def __init__(self, operator):
        super().__init__()
        self.operator = operator

    def construct(self, x):
        return self.operator(ops.Floor()(x), ops.Floor()(OTHER))


class Logical(nn.Cell):
    """``operator`` between two sets of signs, as numbers."""

    def __init__(self, operator):
        super().__init__()
        self.operator = operator

    def construct(self, x):
        return ops.Cast()(self.operator(signs(x), signs(OTHER)), ms.float32)


def logical_not(x):
    return ops.Cast()(ops.LogicalNot()(signs(x)), ms.float32)


# Operator -> the nets that show it.
NETS = {
    "Abs": [Apply(ops.Abs())],
    "Add": [Apply(ops.Add(), HALF), Apply(ops.Add(), SEVEN, view=whole)],
    "ArgMaxWithValue": [Apply(argmax)],
    "AvgPool": [Apply(ops.AvgPool(2, 2)), Apply(ops.AvgPool((3, 2), (1, 2)))],
    "BatchMatMul": [
        Apply(square_bmm),
        Apply(ops.BatchMatMul(False, True), OTHER),
        filled(DepthwiseUpSampling(4, 2)),
        filled(DepthwiseUpSampling(4, 8)),
    ],
    "BatchNorm": [filled(nn.BatchNorm2d(4, eps=0.1))],
    "BiasAdd": [padded(nn.Conv2d, 4, 6, 3, has_bias=True), filled(nn.Dense(4, 3))],
    "BroadcastTo": [Apply(ops.BroadcastTo((3, 4, 6, 4)))],
    "Cast": [Apply(ops.Cast(), ms.int32)],
    "Concat": [Apply(concat)],
    "Conv2D": [
        padded(nn.Conv2d, 4, 6, 3, 2),
        padded(nn.Conv2d, 4, 4, 3, group=4),
        filled(nn.Conv2d(4, 6, 3, pad_mode="valid")),
        filled(nn.Conv2d(4, 6, 3, pad_mode="same", dilation=2)),
    ],
    "Conv2DTranspose": [
        padded(nn.Conv2dTranspose, 4, 6, 4, 2),
        padded(nn.Conv2dTranspose, 4, 4, 4, 2, group=4),
        padded(nn.Conv2dTranspose, 4, 6, 3, 2, output_padding=1),
    ],
    "Div": [Apply(ops.Div(), OTHER)],
    "Divs": [Apply(divided)],
    "EqScalar": [Apply(equal)],
    "Equal": [compare(ops.Equal())],
    "Exp": [Apply(ops.Exp())],
    "ExpandDims": [Apply(ops.ExpandDims(), -1)],
    "Flatten": [Apply(ops.Flatten())],
    "Floor": [Apply(ops.Floor())],
    "FloorDiv": [Apply(ops.FloorDiv(), SEVEN, view=whole), Apply(ops.FloorDiv(), HALF)],
    "FloorMod": [Apply(ops.FloorMod(), SEVEN, view=whole)],
    "Gather": [
        Apply(ops.Gather(), Tensor([[2, 0], [5, 5]], ms.int32), 0, view=rows),
        Apply(ops.Gather(), Tensor([2, 0], ms.int32), 1),
    ],
    "GatherD": [Apply(gather_d)],
    "GatherNd": [Apply(gather_nd)],
    "Greater": [compare(ops.Greater())],
    "GreaterEqual": [compare(ops.GreaterEqual())],
    "HSigmoid": [Apply(ops.HSigmoid(), view=times)],
    "HSwish": [Apply(ops.HSwish(), view=times)],
    "Less": [compare(ops.Less())],
    "LessEqual": [compare(ops.LessEqual())],
    "LessScalar": [Apply(less)],
    "Log": [Apply(ops.Log(), view=positive)],
    "LogicalAnd": [Logical(ops.LogicalAnd())],
    "LogicalNot": [Apply(logical_not)],
    "LogicalOr": [Logical(ops.LogicalOr())],
    "MatMul": [Apply(ops.MatMul(False, True), Tensor(X.reshape(-1, 4)), view=rows)],
    "MaxPool": [
        Apply(ops.MaxPool(3, 1, "same")),
        Apply(ops.MaxPool(3, 2, "valid")),
        Apply(ops.MaxPool((6, 1), 1, "valid")),
    ],
    "Maximum": [Apply(ops.Maximum(), HALF), Apply(ops.Maximum(), SEVEN, view=whole)],
    "Minimum": [Apply(ops.Minimum(), HALF), Apply(ops.Minimum(), SEVEN, view=whole)],
    "Mul": [Apply(ops.Mul(), OTHER), Apply(ops.Mul(), SEVEN, view=whole)],
    "Muls": [Apply(times), Apply(times_seven, view=whole)],
    "Neg": [Apply(ops.Neg())],
    "NotEqual": [compare(ops.NotEqual())],
    "Pad": [Apply(ops.Pad(((0, 0), (1, 0), (2, 1), (0, 3))))],
    "Pow": [Apply(ops.Pow(), HALF, view=positive)],
    "ReLU": [Apply(ops.ReLU())],
    "ReLU6": [Apply(ops.ReLU6(), view=times)],
    "RealDiv": [Apply(ops.RealDiv(), OTHER)],
    "Reciprocal": [Apply(ops.Reciprocal())],
    "ReduceMean": [Apply(ops.ReduceMean(), 1), Apply(ops.ReduceMean(True), (2, 3))],
    "ReduceMin": [Apply(ops.ReduceMin(), 1), Apply(ops.ReduceMin(True), (2, 3))],
    "ReduceSum": [Apply(ops.ReduceSum(), 1), Apply(ops.ReduceSum(True), (2, 3))],
    "Reshape": [Apply(ops.Reshape(), (8, -1))],
    "ResizeNearestNeighbor": [
        Apply(ops.ResizeNearestNeighbor((12, 8))),
        Apply(ops.ResizeNearestNeighbor((11, 7), align_corners=True)),
    ],
    "ReverseV2": [Apply(ops.ReverseV2([3]))],
    "Select": [Apply(select)],
    "Sigmoid": [Apply(ops.Sigmoid())],
    "Softmax": [Apply(ops.Softmax(1))],
    "Split": [Apply(ops.Split(1, 2))],
    "Sqrt": [Apply(ops.Sqrt(), view=positive)],
    "Square": [Apply(ops.Square())],
    "Squeeze": [Apply(ops.Squeeze(0)), Apply(ops.Squeeze())],
    "Stack": [Apply(stack)],
    "StridedSlice": [Apply(strided_slice)],
    "Sub": [Apply(ops.Sub(), OTHER)],
    "Tanh": [Apply(ops.Tanh())],
    "Tile": [Apply(ops.Tile(), (2, 1, 3, 1))],
    "TopK": [Apply(ops.TopK(), 3, view=rows)],
    "Transpose": [Apply(ops.Transpose(), (0, 2, 3, 1))],
}

# What MindSpore puts into graphs by itself; every net above with weights or two outputs has it.
PLUMBING = {"Depend", "Load", "MakeTuple", "TupleGetItem", "UpdateState"}

REFUSED = {
    "pad_mode": Apply(ops.AvgPool(2, 2, "same")),
    "integer tensor": Apply(divided, view=whole),
    "PadV3": Apply(ops.pad, (1, 1)),
    "MaxPoolWithArgmaxV2": Apply(ops.max_pool2d, 3, 1, 1),
    "ClampScalar": Apply(ops.clamp, 0.0, 1.0),
    "batch_dims": Apply(ops.Gather(1), Tensor([[1, 0]], ms.int32), 1),
    "half_pixel_centers": Apply(ops.ResizeNearestNeighbor((12, 8), False, True)),
    "ReduceMax": Apply(ops.ReduceMax(), 1),
    "must name the axes": Apply(ops.ReduceMin(), ()),
}


@pytest.fixture(autouse=True)
def graph_mode():
    ms.set_context(mode=ms.GRAPH_MODE)


def export(net: nn.Cell, folder: Path, image: np.ndarray) -> Path:
    ms.export(net, Tensor(image), file_name=str(folder / "net"), file_format="MINDIR")
    return folder / "net.mindir"


def operators_of(path: Path) -> set[str]:
    model = ModelProto()
    model.ParseFromString(path.read_bytes())
    return {primitive.op_type for primitive in model.primitives}


def run_in_lite(app: Path, mindir: Path, image: np.ndarray, expected: list) -> list[np.ndarray]:
    """The outputs, read with the types and shapes of ``expected``."""
    folder = mindir.parent / "run"
    (folder / "in").mkdir(parents=True)
    names = [str(row) for row in range(len(image))]
    for name, row in zip(names, image, strict=True):
        row.tofile(folder / "in" / f"{name}.bin")
    command = [app, "--device_target=CPU", "--mindir_path", mindir, "--input_path", folder / "in"]
    command += ["--result_path", folder / "out", "--time_path", folder / "time"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    found = []
    for i, output in enumerate(expected):
        rows = [np.fromfile(folder / "out" / f"{name}_{i}.bin", output.dtype) for name in names]
        found.append(np.concatenate(rows).reshape(output.shape))
    return found


def check_agreement(app: Path, net: nn.Cell, folder: Path, image: np.ndarray) -> None:
    source = export(net, folder, image)
    target = folder / "net_v1.mindir"
    write_version_1(source, target)
    outputs = net(Tensor(image))
    expected = [o.asnumpy() for o in (outputs if isinstance(outputs, tuple) else (outputs,))]
    for got, want in zip(run_in_lite(app, target, image, expected), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_every_operator_of_the_tables_is_shown():
    assert NETS.keys() | PLUMBING == UNCHANGED | SETTINGS.keys() | SCALAR_FORMS.keys()


@pytest.mark.parametrize(
    ("operator", "net"),
    [pytest.param(operator, net, id=operator) for operator in NETS for net in NETS[operator]],
)
def test_operator_gives_the_same_in_both_runtimes(infer_app, tmp_path, operator, net):
    check_agreement(infer_app, net, tmp_path, X)
    if operator not in SCALAR_FORMS:  # which MindSpore before 2.8 does not write
        assert operator in operators_of(tmp_path / "net.mindir")


@pytest.mark.parametrize("reason", REFUSED)
def test_operators_that_lite_gets_wrong_are_refused_by_name(tmp_path, reason):
    source = export(REFUSED[reason], tmp_path, X)
    with pytest.raises(UnsupportedGraphError, match=reason):
        write_version_1(source, tmp_path / "net_v1.mindir")
    assert list(tmp_path.iterdir()) == [source]


class TinyDetector(nn.Cell):
    """A CenterNet in small: uint8 image, normalisation, stride 2, up-convolution, peaks, TopK."""

    def __init__(self):
        super().__init__()
        self.scale = Tensor(np.array([0.012, 0.015, 0.014], np.float32).reshape(1, 3, 1, 1))
        self.shift = Tensor(np.array([-1.4, -1.6, -1.7], np.float32).reshape(1, 3, 1, 1))
        self.stem = padded(nn.Conv2d, 3, 8, 3, 2)
        self.norm = filled(nn.BatchNorm2d(8))
        self.up = padded(nn.Conv2dTranspose, 8, 8, 4, 2)
        self.head = filled(nn.Conv2d(8, 5, 1, has_bias=True))
        self.pool = ops.MaxPool(3, 1, "same")

    def construct(self, image):
        x = ops.Cast()(image, ms.float32) * self.scale + self.shift
        x = ops.ReLU()(self.up(ops.ReLU()(self.norm(self.stem(x)))))
        x = self.head(x) * Tensor(0.01, ms.float32)
        heat = ops.Sigmoid()(x[:, :3])
        heat = heat * ops.Cast()(ops.Equal()(self.pool(heat), heat), ms.float32)
        batch, _, height, width = heat.shape
        score, index = ops.TopK()(ops.Reshape()(heat, (batch, -1)), 4)
        row = index - index // (height * width) * (height * width)
        if batch > 1:
            row = row + Tensor(np.arange(batch, dtype=np.int32)[:, None] * height * width)
        offset = ops.Reshape()(ops.Transpose()(x[:, 3:], (0, 2, 3, 1)), (-1, 2))
        offset = ops.Gather()(offset, ops.Reshape()(row, (-1,)), 0)
        offset = ops.Reshape()(offset, (batch, 4, 2))
        return ops.Concat(2)((offset, ops.ExpandDims()(score, 2)))


def image_of(batch: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (batch, 3, 16, 24), dtype=np.uint8)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_whole_detector_gives_the_same_in_both_runtimes(infer_app, tmp_path, batch):
    check_agreement(infer_app, TinyDetector(), tmp_path, image_of(batch))


# Of each network as little as there can be, and the size of its features, by which the heads are
# made smaller: so many scores are neither 0 nor 1.
NETWORKS = {
    "uint8": 1,
    "pose": 1,
    "hourglass": 100,
    "mobilenet_v2_fpn": 10,
    "corners": 5,  # at each of the three layers up to the heads
    **dict.fromkeys(("mobilenet_v2", "resnet_v1_fpn", "resnet_v2", "dla", "resnet_vd"), 1),
    **dict.fromkeys(("mobilenet_v1", "mobilenet_v3", "shufflenet_v2"), 1),
}


def networks(*quick: str) -> list:
    """All of them, those but a few in the slow tests."""
    return [
        pytest.param(name, marks=[] if name in quick else pytest.mark.slow) for name in NETWORKS
    ]


def seeded_model(network: str, **net: object) -> nn.Cell:
    """One of `NETWORKS` with its decode, of five classes, for images uint8 (B,3,H,W)."""
    used = load_config("", arguments_of(f"export_{network}", ()))
    # Embeddings by chance are not alike.
    used = changed(used, 5, **{"corners.max_distance": 100.0}, **net)
    colour = normalisation(colour_statistics(used.dataset_config))
    made = create_network(used, used.export_config.deformable)
    return with_decode(seeded(made, NETWORKS[network]), used, colour)


def large_image_of(batch: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (batch, 3, 128, 128), np.uint8)


@pytest.mark.parametrize("network", networks("hourglass", "mobilenet_v2_fpn", "corners"))
def test_every_network_gives_the_same_in_all_three_runtimes(infer_app, tmp_path, network):
    """As MINDIR of this MindSpore, which `write_mindir` loads and compares, and of version 1."""
    model, image = seeded_model(network), large_image_of(1)
    for version in (0, 1):
        target = tmp_path / f"{version}.mindir"
        write_mindir(model, image.shape, "uint8", target, version=version, tolerance=1e-3)
    expected = model(Tensor(image)).asnumpy()
    scores = expected[0, :, 4]
    scores = scores[scores > NO_OBJECT]
    assert scores[0] > scores[-1] + 0.01  # which boxes are found says something
    (found,) = run_in_lite(infer_app, target, image, [expected])
    assert largest_difference(found, expected) < 1e-3


def seeded(network: nn.Cell, size: float) -> nn.Cell:
    """The network with weights that all matter, and heads for features of order `size`."""
    rng = np.random.default_rng(5)
    for name, weight in network.parameters_and_names():
        shape = weight.shape
        if name.endswith(("gamma", "moving_variance")):
            values = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 4:
            values = rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)
            if name.startswith("heads") and ".2." not in name and "pointwise" not in name:
                values /= size
            # Else all scores are 1.
            values *= 0.05 if name.endswith(("hm.2.weight", "heat.2.weight")) else 1
            # Offsets of cells would make more of rounding from one deformable layer to the next.
            values *= 0.1 if "conv_offset" in name else 1
        else:
            values = rng.normal(0, 0.1, shape)
        weight.set_data(Tensor(values.astype(np.float32)))
    return network


def test_casts_name_their_type(tmp_path):
    """Lite's conversion for Ascend takes a type, not the number that version 3 has."""
    write_version_1(export(Apply(whole), tmp_path, X), tmp_path / "net_v1.mindir")
    model = ModelProto()
    model.ParseFromString((tmp_path / "net_v1.mindir").read_bytes())
    kinds = {f"REF::{primitive.name}": primitive.op_type for primitive in model.primitives}
    (cast,) = (node for node in model.graph.node if kinds.get(node.op_type) == "Cast")
    (constant,) = (node for node in model.graph.node if node.output[0] == cast.input[1])
    (value,) = constant.attribute
    assert (value.name, value.type) == ("value", AttributeProto.TENSORS)
    assert [tensor.data_type for tensor in value.tensors] == [TensorProto.INT32]
    assert not value.tensors[0].dims and not value.tensors[0].raw_data


def test_mindspore_still_loads_version_1(tmp_path):
    net, image = TinyDetector(), image_of(1)
    write_version_1(export(net, tmp_path, image), tmp_path / "net_v1.mindir")
    loaded = nn.GraphCell(load(tmp_path / "net_v1.mindir"))
    got, want = loaded(Tensor(image)).asnumpy(), net(Tensor(image)).asnumpy()
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_a_version_1_file_is_refused(tmp_path):
    source = export(Apply(ops.Abs()), tmp_path, X)
    write_version_1(source, source)
    with pytest.raises(UnsupportedGraphError, match="version 3"):
        write_version_1(source, tmp_path / "again.mindir")
    assert list(tmp_path.iterdir()) == [source]


class Branch(nn.Cell):
    def construct(self, x):
        return ops.Exp()(x) if ops.ReduceSum()(x) > 0 else ops.Abs()(x)


def test_control_flow_is_refused(tmp_path):
    with pytest.raises(UnsupportedGraphError, match="control flow"):
        write_version_1(export(Branch(), tmp_path, X), tmp_path / "net_v1.mindir")
