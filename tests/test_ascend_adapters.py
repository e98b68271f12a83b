# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""MindSpore's Ascend back end can hand every operator of an exported model to CANN's graph engine.

That takes an adapter: a class of the back end for each of CANN's operators. The classes are listed
in the library that every MindSpore package for x86-64 and aarch64 has, whether there is an Ascend
or not.
"""

import functools
import re
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops
from mindspore.train.mind_ir_pb2 import ModelProto

from benchmarks.ascend.variants import arguments_of
from benchmarks.ascend_types import OPERATORS
from benchmarks.float16_rounding import exported, operators
from src.model_utils.config import load_config
from src.models.network import create_network, with_decode
from tests.conftest import QUICKSTART
from tests.helpers import changed, config

LIBRARY = (
    Path(ms.__file__).parent / "lib" / "plugin" / "ascend" / "libmindspore_ascend_res_manager.so"
)
# Where CANN's operator is not called as MindSpore's (REG_ADPT_DESC in MindSpore's source).
CANN_NAMES = {
    "Gather": "GatherV2", "MatMul": "MatMulV2", "ReLU": "Relu", "ReLU6": "Relu6",
    "ResizeNearestNeighbor": "ResizeNearestNeighborV2", "Stack": "Pack",
}  # fmt: skip
# A new operator needs a row in the table of types.
TYPES_KNOWN = {operator.name for operator in OPERATORS}

pytestmark = pytest.mark.skipif(
    not LIBRARY.is_file(), reason=f"this MindSpore has no Ascend back end: {LIBRARY} is absent"
)


@functools.cache
def adapted() -> frozenset[str]:
    """CANN's operators that have an adapter: the classes OpAdapter<czNAME>, by their type names."""
    found = re.findall(rb"9OpAdapterINS1_\d+cz(\w+?)EE", LIBRARY.read_bytes())
    return frozenset(name.decode() for name in found)


def without_adapter(model: ModelProto) -> list[str]:
    """CANN's names of the operators in a graph that the graph engine cannot be given."""
    names = {CANN_NAMES.get(name, name) for name in operators(model)}
    return sorted(names - adapted())


SMALL = (
    *("--config_path", str(QUICKSTART)),
    *("--net_config.stage_channels", "[8, 8, 8]", "--net_config.up_channels", "[8, 8]"),
)
VARIANTS = {
    "plain": (),
    "gather": ("--net_config.deformable", "gather"),
    "grid_sample": ("--net_config.deformable", "grid_sample"),
    "size of each class, no offset": (
        *("--net_config.cat_spec_wh", "true", "--net_config.reg_offset", "false"),
    ),
    "mean squares, same padding": (
        *("--net_config.mse_loss", "true", "--net_config.stem_pool", "same"),
    ),
}


@pytest.mark.parametrize(("dtype", "batch"), [("float32", 1), ("uint8", 2)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_operator_of_exported_models_has_an_adapter(variant: str, dtype: str, batch: int):
    graph = exported_detector(VARIANTS[variant], dtype, batch)
    assert without_adapter(graph) == []
    assert set(operators(graph)) - TYPES_KNOWN == set()


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("hourglass", "ResizeNearestNeighbor"),
        ("mobilenet_v2_fpn", "ResizeNearestNeighbor"),
        ("mobilenet_v3", "ReLU6"),
        ("pose", "ArgMaxWithValue"),
        ("corners", "LessEqual"),
    ],
)
def test_every_operator_of_other_networks_and_tasks_has_an_adapter(name: str, own: str):
    used = load_config("", arguments_of(f"export_{name}", ()))
    model = with_decode(create_network(used), used, np.eye(3, 4, dtype=np.float32))
    graph = exported(model, Tensor(np.zeros((1, 3, 128, 128), np.uint8)))
    assert own in operators(graph)
    assert without_adapter(graph) == []
    assert set(operators(graph)) - TYPES_KNOWN == set()


def exported_detector(
    flags: tuple[str, ...], dtype: str, batch: int, flip: bool = False
) -> ModelProto:
    used = changed(config(*SMALL, "--eval_config.K", "10", *flags), 5)
    colour = np.eye(3, 4, dtype=np.float32) if dtype == "uint8" else None
    model = with_decode(create_network(used), used, colour, flip)
    return exported(model, Tensor(np.zeros((batch, 3, 64, 64), dtype)))


def test_every_operator_of_a_mirrored_evaluation_has_an_adapter():
    graph = exported_detector(VARIANTS["gather"], "uint8", 1, flip=True)
    assert {"ReverseV2", "Split"} <= set(operators(graph))
    assert without_adapter(graph) == []
    assert set(operators(graph)) - TYPES_KNOWN == set()


class Distance(nn.Cell):
    """Has an operator that the graph engine lacks."""

    def construct(self, x: Tensor) -> Tensor:
        return ops.hypot(ops.exp(x), x)


def test_an_operator_without_an_adapter_is_reported():
    graph = exported(Distance(), Tensor(np.ones((2, 3), np.float32)))
    assert without_adapter(graph) == ["Hypot"]
    graph.primitives[0].op_type = "NoSuchOperator"
    assert "NoSuchOperator" in without_adapter(graph)
