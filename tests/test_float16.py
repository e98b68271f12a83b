# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""On chips that have some operators in float16 alone, boxes stay those of float32.

Ascend 910A, 310P and 310 as far as a CPU can show them: see benchmarks/float16_rounding.py.
"""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops
from mindspore.train.mind_ir_pb2 import ModelProto

from benchmarks.ascend_types import HALF, KERNEL, NONE, OPERATORS, YES, float16_operators
from benchmarks.float16_emulation import Boxes, compare, evaluate
from benchmarks.float16_rounding import exported, read, round_operators, runnable
from src.data import synthetic
from src.data.augment import colour_statistics, normalisation
from src.data.geometry import InputGeometry
from src.data.images import decoder, read_image
from src.data.objects import object_tables
from src.deploy.mindir import write_mindir
from src.deploy.mindir_v1 import downgrade
from src.evaluation.evaluation_set import read_evaluation_set
from src.model_utils.corner_parameters import CornersConfig
from src.model_utils.networks import ResNetConfig
from src.model_utils.parameters import Config
from src.models.network import Network, create_network, with_decode, with_loss
from src.models.tasks import corners
from src.models.tasks.boxes import Decode
from src.training.optimizer import create_optimizer
from src.training.step import StepOptions, TrainStep
from tests.conftest import QUICKSTART, Program, assert_refused
from tests.helpers import benchmark, config

CHIPS = ("910A", "310P", "310")
PACKAGE = Path(os.environ.get("MINDSPORE_ASCEND_DIR", "mindspore-ascend"))


@pytest.fixture(autouse=True, scope="module")
def graph_mode() -> None:
    ms.set_context(mode=ms.GRAPH_MODE)


# The table.


@pytest.mark.skipif(
    not PACKAGE.is_dir(),
    reason="MINDSPORE_ASCEND_DIR names no unpacked mindspore-ascend 1.10.0 (pip download "
    "mindspore-ascend==1.10.0 --no-deps --only-binary=:all: --python-version 3.9 "
    "--platform manylinux1_x86_64 --abi cp39)",
)
def test_the_table_says_what_the_package_says():
    types: dict[str, set[str]] = {}  # operator -> types of its first input, of all its forms
    for path in (PACKAGE / "mindspore/ops/_op_impl/tbe").glob("*.py"):
        text = path.read_text()
        for name in re.findall(r'TBERegOp\("(\w+)"\)', text):
            forms = re.findall(r"\.dtype_format\(DataType\.([A-Za-z0-9]+)_", text)
            types.setdefault(name, set()).update(forms)
    assert len(types) > 300
    short = {"float32": "F32", "int32": "I32", "uint8": "U8", "bool": "BOOL"}
    for operator in OPERATORS:
        found = types.get(operator.name, set())
        wanted = {short[dtype] for dtype in short if dtype in operator.dtype}
        kind = HALF if "F16" in found else NONE
        if "None" in found:
            kind = KERNEL
        if wanted and wanted <= found:
            kind = YES
        assert operator.in_package == kind, operator.name


# The casts themselves.


class Apply(nn.Cell):
    """A function of one tensor."""

    def __init__(self, function: Callable) -> None:
        super().__init__()
        self.function = function

    def construct(self, x: Tensor) -> Tensor:
        return self.function(x)


def rounded(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).astype(np.float32)


X = np.random.default_rng(0).uniform(0.1, 2, (1, 2, 6, 6)).astype(np.float32)


def exp(x: Tensor) -> Tensor:
    return ops.Exp()(x)


def exp_and_more(x: Tensor) -> Tensor:
    """An operator that is rounded between two that are not."""
    return ops.Log()(ops.Exp()(ops.Sqrt()(x)))


def top(x: Tensor) -> tuple[Tensor, Tensor]:
    values, places = ops.TopK()(ops.Reshape()(x, (12, 6)), 2)
    return values, ops.Cast()(places, ms.float32)


def run_rounded(function: Callable, names: set[str] | None, version: int) -> list[np.ndarray]:
    graph = exported(Apply(function), Tensor(X))
    if version == 1:
        downgrade(graph)
    assert round_operators(graph, names) > 0
    found = runnable(graph)(Tensor(X))
    return [output.asnumpy() for output in (found if isinstance(found, tuple) else (found,))]


@pytest.mark.parametrize("version", [1, 3])
def test_only_the_named_operators_compute_in_float16(version: int):
    (found,) = run_rounded(exp, {"Exp"}, version)
    np.testing.assert_array_equal(found, rounded(found))
    np.testing.assert_allclose(found, np.exp(rounded(X)), rtol=2**-11)
    assert np.abs(found - rounded(np.exp(X))).max() > 0  # what goes in is rounded too

    (found,) = run_rounded(exp_and_more, {"Exp"}, version)
    inside = rounded(np.exp(rounded(np.sqrt(X))))
    np.testing.assert_allclose(found, np.log(inside), rtol=1e-6)
    assert np.abs(found - rounded(found)).max() > 0  # and is float32 again behind it


@pytest.mark.parametrize("version", [1, 3])
def test_an_operator_of_two_results_is_rounded_in_both_forms(version: int):
    values, places = run_rounded(top, {"TopK"}, version)
    rows = rounded(X).reshape(12, 6)
    expected = -np.sort(-rows, axis=1)[:, :2]
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(np.take_along_axis(rows, places.astype(int), 1), expected)


def test_all_operators_in_float16():
    (found,) = run_rounded(exp_and_more, None, 3)
    inside = rounded(np.sqrt(rounded(X)))
    expected = np.log(rounded(np.exp(inside)))
    np.testing.assert_allclose(found, expected, rtol=2**-11)
    np.testing.assert_array_equal(found, rounded(found))


# The decode, given heads.


def heads() -> list[np.ndarray]:
    """hm, wh and reg of two images and three classes; many peaks have a neighbour nearly as high.

    In float16 the two are equal: 1e-4 of a logit is less than half of the last bit of its sigmoid.
    """
    random = np.random.default_rng(5)
    hm = random.normal(-2, 1, (2, 3, 20, 24)).astype(np.float32)
    hm[:, :, 5::5, 5::5] = random.uniform(1, 2, (2, 3, 3, 4))
    hm[:, :, 5::5, 6::5] = hm[:, :, 5::5, 5::5] - np.float32(1e-4)
    sizes = random.normal((4, 0.5), 0.3, (20, 24, 2, 2, 2)).astype(np.float32)
    wh, reg = sizes.transpose(4, 2, 3, 0, 1)
    return [hm, np.ascontiguousarray(wh), np.ascontiguousarray(reg)]


@pytest.mark.parametrize("chip", CHIPS)
def test_decode_keeps_the_peaks_of_float32(chip: str):
    inputs = [Tensor(values) for values in heads()]
    graph = exported(Decode(ResNetConfig(), 3, 60), *inputs)
    expected = runnable(graph)(*inputs).asnumpy()
    round_operators(graph, float16_operators(chip))
    found = runnable(graph)(*inputs).asnumpy()
    for ours, theirs in zip(found, expected, strict=True):
        # What ties with the last kept may be another one.
        ours, theirs = (rows[rows[:, 4] > theirs[-1, 4] + 1e-3] for rows in (ours, theirs))
        assert len(theirs) > 36  # those with a neighbour nearly as high, and others
        ours, theirs = (rows[np.lexsort(rows[:, [0, 1, 5]].T)] for rows in (ours, theirs))
        boxes, score = [0, 1, 2, 3, 5], 4
        np.testing.assert_array_equal(ours[:, boxes], theirs[:, boxes])
        np.testing.assert_allclose(ours[:, score], theirs[:, score], rtol=2**-11)


def corner_maps() -> list[np.ndarray]:
    """Maps of corners, as above, with the ends of 24 boxes of each of two images planted."""
    random = np.random.default_rng(6)
    tl_heat, br_heat = random.normal(-6, 1, (2, 2, 3, 40, 48)).astype(np.float32)
    tl_emb, br_emb = random.normal(0, 9, (2, 2, 1, 40, 48)).astype(np.float32)
    offsets = random.uniform(0, 1, (2, 2, 2, 40, 48)).astype(np.float32)
    for number in range(24):
        y, x = 1 + 6 * (number // 6), 1 + 6 * (number % 6)
        bottom, right = (y + 5 + number % 9, x + 5 + number % 7)
        class_index = number % 3
        for heat, emb, (row, column) in (
            (tl_heat, tl_emb, (y, x)),
            (br_heat, br_emb, (bottom, right)),
        ):
            heat[:, class_index, row, column] = random.uniform(1, 2, 2)
            heat[:, class_index, row, column - 1] = heat[:, class_index, row, column] - 1e-4
            emb[:, 0, row, column] = number
    return [tl_heat, br_heat, tl_emb, br_emb, *offsets]


@pytest.mark.parametrize("chip", CHIPS)
def test_decode_of_corners_finds_the_pairs_of_float32(chip: str):
    inputs = [Tensor(values) for values in corner_maps()]
    net = ResNetConfig(corners=CornersConfig(candidates=40, pairs=100))
    graph = exported(corners.Decode(net, 3, 100), *inputs)
    expected = runnable(graph)(*inputs).asnumpy()
    round_operators(graph, float16_operators(chip))
    found = runnable(graph)(*inputs).asnumpy()
    for ours, theirs in zip(found, expected, strict=True):
        ours, theirs = (rows[rows[:, 4] > 0.5] for rows in (ours, theirs))
        assert len(theirs) >= 24
        ours, theirs = (rows[np.lexsort(rows[:, [0, 1, 2, 5]].T)] for rows in (ours, theirs))
        boxes, score = [0, 1, 2, 3, 5], 4
        np.testing.assert_array_equal(ours[:, boxes], theirs[:, boxes])
        np.testing.assert_allclose(ours[:, score], theirs[:, score], rtol=2**-9)


# A trained network.


@dataclass(frozen=True)
class Trained:
    """A small network that has learned some pictures: graphs, and what they give in float32."""

    config: Config
    graphs: dict[str, ModelProto]
    numbers: dict[str, dict[str, float]]
    boxes: dict[str, Boxes]


SIDE, IMAGES, BATCH, STEPS = 96, 24, 8, 100


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    synthetic.generate(folder, train_images=1, val_images=IMAGES, seed=5)
    used = config(
        *("--config_path", str(QUICKSTART), "--data_dir", str(folder)),
        *("--net_config.block_class", "[1, 1]", "--net_config.stage_channels", "[16, 32]"),
        *("--net_config.up_channels", "[16]", "--net_config.head_conv", "16"),
        *("--net_config.deformable", "gather"),
        *("--dataset_config.input_res_test", f"[{SIDE}, {SIDE}]"),
        *("--dataset_config.input_res_train", f"[{SIDE}, {SIDE}]"),
    )
    network = learned(used)
    colour = normalisation(colour_statistics(used.dataset_config))
    image = Tensor(np.zeros((BATCH, 3, SIDE, SIDE), np.uint8))
    evaluated = with_decode(network, used, colour)
    graphs = {"evaluation": exported(evaluated, image)}
    path = folder / "model.mindir"
    plain = with_decode(network, used, None)
    write_mindir(plain, (1, 3, SIDE, SIDE), "float32", path, version=1, tolerance=1e-3)
    graphs["MINDIR"] = read(path)
    scored = {name: evaluate(used, graph, ())[1:] for name, graph in graphs.items()}
    numbers, boxes = ({name: both[i] for name, both in scored.items()} for i in (0, 1))
    return Trained(used, graphs, numbers, boxes)


def learned(used: Config) -> Network:
    """The configured network after some steps on the pictures that it will be evaluated on."""
    dataset, grid = used.dataset_config, (SIDE // 4, SIDE // 4)
    records = read_evaluation_set(dataset, Path(used.data_dir), "val", -1, "fail").records
    place = InputGeometry(False, 0, (SIDE, SIDE))
    placed = [place(read_image(record.path, decoder("cv2")), 1.0) for record in records]
    images = np.stack([image.transpose(1, 2, 0) for image, _ in placed])
    # A corner (x, y) moves to A · (x, y) + b, and is four times as near on the grid.
    boxes = [
        ((record.boxes.reshape(-1, 2) @ affine[:, :2].T + affine[:, 2]) / 4).reshape(-1, 4)
        for record, (_, affine) in zip(records, placed, strict=True)
    ]
    colours = np.tile(normalisation(colour_statistics(dataset)), (BATCH, 1, 1))
    batches = []
    for i in range(0, IMAGES, BATCH):
        rows = slice(i, i + BATCH)
        of_image = np.repeat(np.arange(BATCH), [len(found) for found in boxes[rows]])
        classes = np.concatenate([record.classes for record in records[rows]])
        tables = object_tables(
            np.concatenate(boxes[rows]), classes, of_image, images=BATCH, grid_size=grid, max_objs=8
        )
        batches.append([Tensor(values) for values in (images[rows], colours, tables)])

    ms.set_seed(1)
    network = create_network(used)
    loss = with_loss(network, used)
    rates = np.interp(np.arange(STEPS), [0, 10, STEPS], [0, 1e-2, 2e-4]).astype(np.float32)
    optimizer = create_optimizer(used.train_config, loss, rates)
    step = TrainStep(loss, optimizer, StepOptions(1.0, False)).set_train()
    for i in range(STEPS):
        step(*batches[i % len(batches)])
    return network.set_train(False)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("graph", ["evaluation", "MINDIR"])
def test_a_trained_network_keeps_its_accuracy(graph: str, chip: str, trained: Trained):
    count, numbers, boxes = evaluate(trained.config, trained.graphs[graph], float16_operators(chip))
    # Fourteen convolutions, a matrix product, a pool; and two TopK.
    assert count == (16 if chip == "310P" else 18)
    assert trained.numbers[graph]["AP"] > 0.3
    assert abs(numbers["AP"] - trained.numbers[graph]["AP"]) < 0.01
    compared = compare(trained.boxes[graph], boxes)
    assert compared["found"] == compared["boxes"] > 50


# The benchmark.


@pytest.mark.slow
def test_the_quick_starts_network_keeps_its_accuracy(program: Program, tmp_path: Path):
    synthetic.generate(tmp_path / "shapes")
    options = ("--config_path", QUICKSTART, "--mindrecord_dir", "mindrecord")
    for script, *others in (
        ("src/dataset.py", "--coco_data_dir", "shapes"),
        ("train.py", "--device_target", "CPU"),
    ):
        done = program(script, *options, *others, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    (checkpoint,) = (tmp_path / "ckpt_0").glob("*.ckpt")
    file = tmp_path / "numbers.json"
    done = benchmark(
        *("float16_emulation", "--config_path", QUICKSTART, "--json", file),
        *("--load_checkpoint_path", checkpoint, "--data_dir", tmp_path / "shapes"),
    )
    assert done.returncode == 0, done.stderr
    numbers = json.loads(file.read_text())
    assert numbers["ap_float32"] > 0.5
    for name in ("ap_910a", "ap_310p", "ap_310", "ap_enforce_fp16"):
        assert abs(numbers[name] - numbers["ap_float32"]) < 0.01, name


def test_the_benchmark_asks_for_what_it_needs():
    assert_refused(benchmark("float16_emulation", "--json", "x.json"), "--load_checkpoint_path")
