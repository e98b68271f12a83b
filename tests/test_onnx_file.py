# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""ONNX files detect in ONNX Runtime what the network does in MindSpore."""

import json
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import onnx
import onnxruntime
import pytest
from mindspore import Tensor, nn, ops

import export
from benchmarks.atc_operators import problems
from src.deploy.onnx_file import mend, write_onnx
from src.deploy.onnx_session import read_onnx, start
from src.model_utils.errors import UserError
from src.model_utils.facts import exported_facts, with_exported_facts, write_facts
from src.model_utils.files import sha256
from src.models.layers import Twice
from src.tasks.columns import NO_OBJECT
from tests.helpers import config
from tests.test_mindir_v1 import (
    HALF,
    SEVEN,
    Apply,
    X,
    filled,
    large_image_of,
    networks,
    padded,
    seeded_model,
    stack,
    whole,
)


@pytest.fixture(autouse=True)
def graph_mode():
    ms.set_context(mode=ms.GRAPH_MODE)


def check_agreement(model: nn.Cell, path: Path, batch: int) -> None:
    """Boxes to 1e-4 pixels of the input and scores to 1e-6, order of equal scores aside.

    Networks of random weights may make more of rounding. Then it is at most four times what the
    network's own boxes and scores move by where each weight is rounded to a number beside it.
    Of the operators ATC lists each.
    """
    image = large_image_of(batch)
    write_onnx(model, image.shape, "uint8", path, facts="{}", tolerance=1e-3)
    assert problems(onnx.load(path)) == []
    expected = model(Tensor(image)).asnumpy()
    scores = expected[:, :, 4]
    for of_image in scores:
        of_image = of_image[of_image > NO_OBJECT]
        assert of_image[0] > of_image[-1] + 0.01  # which boxes are found says something
    found = start(read_onnx(path), "CPU")(image)
    random = np.random.default_rng(0)
    for weight in model.get_parameters():
        towards = random.choice([-np.inf, np.inf], weight.shape).astype(np.float32)
        weight.set_data(Tensor(np.nextafter(weight.asnumpy(), towards)))
    moved = model(Tensor(image)).asnumpy()
    allowed = max(1e-6, 4 * np.abs(moved[:, :, 4] - scores).max())
    assert np.abs(found[:, :, 4] - scores).max() < allowed
    allowed = max(1e-4, 4 * pixels_apart(moved, expected))
    assert max(pixels_apart(found, expected), pixels_apart(expected, found)) < allowed


def pixels_apart(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest distance, in the input, of a box or point from the nearest one of its class.

    Which of those are kept that tie with the last one is open.
    """
    largest = 0.0
    numbers = [n for n in range(found.shape[2]) if n != 4]
    for ours, theirs in zip(found, expected, strict=True):
        kept = ours[ours[:, 4] > ours[-1, 4] + 1e-5][:, None, numbers]
        largest = max(largest, 4 * np.abs(kept - theirs[:, numbers]).max(2).min(1).max(initial=0))
    return largest


@pytest.mark.parametrize("network", networks("uint8", "pose"))
def test_every_network_gives_the_same_in_both_runtimes(tmp_path, network):
    check_agreement(seeded_model(network), tmp_path / "net.onnx", 1)


def test_plain_resnet_and_several_images_do_so_too(tmp_path):
    check_agreement(seeded_model("uint8", deformable="none"), tmp_path / "net.onnx", 2)


# What the exporter gets wrong, or writes as ATC does not take it, and what it becomes.
MENDED = {
    "same": (
        filled(nn.Conv2dTranspose(4, 6, 3, 2, pad_mode="same", has_bias=True)),
        "ConvTranspose",
    ),
    "even": (filled(nn.Conv2dTranspose(4, 6, 4, 2, pad_mode="same")), "ConvTranspose"),
    "valid": (filled(nn.Conv2dTranspose(4, 6, 3, 2, pad_mode="valid")), "ConvTranspose"),
    "padded": (padded(nn.Conv2dTranspose, 4, 6, 4, 2), "ConvTranspose"),
    "longer": (padded(nn.Conv2dTranspose, 4, 6, 3, 2, output_padding=1), "ConvTranspose"),
    "twice": (Twice(), "Resize"),
    "stack": (Apply(stack), "Concat"),
    "integers": (Apply(ops.FloorDiv(), SEVEN, view=whole), "Div"),
    "floats": (Apply(ops.FloorDiv(), HALF), "Floor"),
}


@pytest.mark.parametrize("name", MENDED)
def test_mended_operators_give_the_same_in_both_runtimes(tmp_path, name):
    net, operator = MENDED[name]
    path = tmp_path / "net.onnx"
    ms.export(net, Tensor(X), file_name=str(path), file_format="ONNX")
    model = onnx.load(path)
    mend(model.graph)
    onnx.checker.check_model(model, full_check=True)
    assert operator in {node.op_type for node in model.graph.node}
    for word in ("output_shape", "auto_pad", "asymmetric", "Sequence", "_floor_"):
        assert word not in str(model.graph)
    expected = net(Tensor(X))
    expected = expected if isinstance(expected, tuple) else (expected,)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for got, want in zip(session.run(None, {"x": X}), expected, strict=True):
        np.testing.assert_allclose(got, want.asnumpy(), rtol=1e-5, atol=1e-5)


class Sampled(nn.Cell):
    def construct(self, x):
        return ops.grid_sample(x, Tensor(np.zeros((1, 3, 3, 2), np.float32)))


def test_an_operator_that_mindspore_does_not_write_is_named(tmp_path):
    with pytest.raises(UserError, match=r"net\.onnx: .* GridSampler2D .*deformable gather"):
        write_onnx(Sampled(), (1, 3, 8, 8), "float32", tmp_path / "net.onnx", facts="", tolerance=1)
    assert not list(tmp_path.iterdir())


class AsRows(nn.Cell):
    """Images (1,3,8,6) as 24 detections."""

    def construct(self, x):
        return ops.Reshape()(x + x, (1, 24, 6))


def test_a_file_appears_whole_with_names_and_facts_or_not_at_all(tmp_path):
    path = tmp_path / "net.onnx"
    given = {"image_shape": (1, 3, 8, 6), "dtype": "float32", "path": path, "facts": "of it"}
    with pytest.raises(RuntimeError, match=r"net\.onnx: the exported model's boxes differ"):
        write_onnx(AsRows(), **given, tolerance=-1)
    assert not list(tmp_path.iterdir())
    assert write_onnx(AsRows(), **given, tolerance=0) == 0
    assert list(tmp_path.iterdir()) == [path]
    graph = onnx.load(path).graph
    assert [value.name for value in [*graph.input, *graph.output]] == ["images", "detections"]
    assert read_onnx(path).facts == "of it"


def test_without_its_packages_a_sentence_says_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "src.deploy.onnx_file")
    used = config("--export_format", "ONNX")
    with pytest.raises(UserError, match=r"ONNX.*pip install -r requirements/onnx\.txt"):
        export.write(AsRows(), (1, 3, 8, 6), tmp_path / "net.onnx", used, tolerance=1)


def test_mindir_and_onnx_of_one_model_share_its_json(tmp_path):
    used, other = config(), config("--eval_config.K", "7")
    mindir, onnx_file = tmp_path / "net.mindir", tmp_path / "net.onnx"
    mindir.write_bytes(b"one")
    onnx_file.write_bytes(b"other")
    write_facts(mindir, used)
    with pytest.raises(UserError, match=r"net\.json: belongs to another net\.onnx"):
        with_exported_facts(used, onnx_file)
    write_facts(onnx_file, used)
    taken = with_exported_facts(used, mindir)
    assert with_exported_facts(used, onnx_file) == taken
    write_facts(onnx_file, other)
    assert with_exported_facts(config(), onnx_file).eval_config.K == 7
    with pytest.raises(UserError, match=r"net\.json: belongs to another net\.mindir"):
        with_exported_facts(used, mindir)
    (tmp_path / "net.json").write_text(  # as written before there was ONNX
        json.dumps({**exported_facts(used), "sha256": sha256(mindir)})
    )
    assert with_exported_facts(used, mindir) == taken
