# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""ATC's list of ONNX operators has every operator of an exported model, as it is used there."""

from pathlib import Path

import mindspore as ms
import numpy as np
import onnx
import pytest
from mindspore import Tensor
from onnx import ModelProto, TensorProto, helper

from benchmarks.ascend.variants import VARIANTS, arguments_of
from benchmarks.atc_operators import OPERATORS, problems, table
from src.deploy.onnx_file import mend
from src.model_utils.config import load_config
from src.models.network import create_network, with_decode
from tests.conftest import PROJECT

EXPORTS = [name for name, variant in VARIANTS.items() if variant.kind == "export"]
# Beside the quick ones of test_onnx_file.py; it has a stack, which has to be mended.
QUICK = ["export_shufflenet_v2"]


def exported(name: str, folder: Path) -> ModelProto:
    """The model of a variant, small, as ONNX."""
    config = load_config("", [*arguments_of(name, ()), "--device_target", "CPU"])
    network = create_network(config, config.export_config.deformable)
    model = with_decode(network, config, np.eye(3, 4, dtype=np.float32))
    path = folder / "model.onnx"
    images = Tensor(np.zeros((1, 3, 128, 128), np.uint8))
    ms.export(model, images, file_name=str(path), file_format="ONNX")
    written = onnx.load(path)
    mend(written.graph)
    return written


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in EXPORTS],
)
def test_atc_lists_every_operator_of_exported_models(name: str, tmp_path: Path):
    assert problems(exported(name, tmp_path)) == []


def model_of(*nodes: onnx.NodeProto, dtype: int = TensorProto.FLOAT) -> ModelProto:
    """Nodes from `x`, (1,4,8,8), to `y`; `w` is a constant."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, (4, 4, 4, 4), [0.0] * 256)
    sizes = helper.make_tensor("sizes", TensorProto.INT64, (4,), [1, 4, 16, 16])
    values = [helper.make_tensor_value_info(name, dtype, None) for name in "xy"]
    values[0] = helper.make_tensor_value_info("x", dtype, (1, 4, 8, 8))
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [weight, sizes])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])


@pytest.mark.parametrize(
    ("node", "found"),
    [
        (helper.make_node("Hardmax", ["x"], ["y"]), "Hardmax is not listed"),
        (
            helper.make_node("Resize", ["x", "", "", "sizes"], ["y"]),
            "Resize has another nearest_mode than round_prefer_ceil",
        ),
        (
            helper.make_node("ConvTranspose", ["x", "w"], ["y"], auto_pad="SAME_UPPER"),
            "ConvTranspose has auto_pad",
        ),
        (helper.make_node("Conv", ["x", "w"], ["y"], strides=[64, 64]), "Conv has strides"),
        (helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[17, 17]), "MaxPool is too large"),
    ],
)
def test_settings_that_the_list_does_not_have_are_reported(node: onnx.NodeProto, found: str):
    assert any(what.startswith(found) for what in problems(model_of(node)))


def test_types_that_the_list_does_not_have_are_reported():
    model = model_of(helper.make_node("Sigmoid", ["x"], ["y"]), dtype=TensorProto.DOUBLE)
    assert problems(model) == ["Sigmoid is not known of another type"]


def test_an_opset_that_atc_does_not_take_is_reported():
    model = model_of(helper.make_node("Sigmoid", ["x"], ["y"]))
    model.opset_import[0].version = 20
    assert problems(model) == ["opset 20 is not of 11 to 18"]


def test_the_documented_table_is_of_these_operators():
    names = [operator.name for operator in OPERATORS]
    assert names == sorted(set(names))
    assert table() in (PROJECT / "docs" / "ascend.md").read_text(encoding="utf-8")
