# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Which cells compute in float16. A CPU runs such a network forward, if slowly."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn

from src.model_utils.errors import UserError
from src.model_utils.parameters import Config
from src.models.deformable import FORMS, DeformableConv
from src.models.layers import Twice
from src.models.network import Network, create_network, with_loss
from src.training.evaluating import evaluated_weights
from src.training.mixed_precision import set_precision
from src.training.step import StepOptions, TrainStep
from src.weights import checkpoints
from tests.helpers import changed, config, object_rows, run

SMALL = {
    "block": "basic", "block_class": [1, 1, 1, 1], "stage_channels": [8, 8, 8, 8],
    "up_channels": [8, 8, 8], "head_conv": 8,
}  # fmt: skip


def small_config(deformable: str) -> Config:
    sizes = config("--dataset_config.input_res_train", "[64, 64]")
    return changed(sizes, 3, **SMALL, deformable=deformable)


def small_network(deformable: str) -> Network:
    ms.set_seed(0)
    return create_network(small_config(deformable)).set_train()


@pytest.mark.parametrize("level", ["O2", "O3"])
def test_a_cpu_is_refused_in_one_sentence(level):
    with pytest.raises(UserError, match=rf"^train_config.amp_level {level}: .*use O0 there\.$"):
        set_precision(small_network("none"), level, "CPU")


def test_the_operator_in_float16_is_refused_on_an_ascend():
    with pytest.raises(UserError, match=r"^train_config.amp_level O3: .* operator; use another"):
        set_precision(small_network("operator"), "O3", "Ascend")


@pytest.mark.parametrize("target", ["CPU", "Ascend"])
def test_level_0_leaves_float32(target):
    network = small_network("none")
    set_precision(network, "O0", target)
    assert run(network, np.zeros((1, 3, 32, 32), np.float32))[0].dtype == np.float32


@pytest.mark.parametrize(
    ("level", "full_precision"),
    [("O2", (nn.BatchNorm2d, DeformableConv)), ("O3", (nn.BatchNorm2d,))],
)
def test_convolutions_are_cast_and_batch_norm_parameters_and_names_are_not(level, full_precision):
    network = small_network("gather")
    before = [(name, p.dtype) for name, p in network.parameters_and_names()]
    set_precision(network, level, "Ascend")
    assert [(name, p.dtype) for name, p in network.parameters_and_names()] == before
    assert {dtype for _, dtype in before} == {ms.float32}
    kept = [cell for _, cell in network.cells_and_names() if isinstance(cell, full_precision)]
    inside = {id(cell) for outer in kept for _, cell in outer.cells_and_names()}
    cast = [cell for _, cell in network.cells_and_names() if id(cell) not in inside]
    assert len(kept) >= 15 and any(isinstance(cell, nn.Conv2d) for cell in cast)
    # The flags that `Cell.to_float` sets and the compiler reads.
    assert all(cell.get_flags()["fp16"] and not cell.get_flags()["fp32"] for cell in cast)
    assert all(cell.get_flags()["fp32"] and not cell.get_flags()["fp16"] for cell in kept)


@pytest.mark.parametrize("level", ["O2", "O3"])
def test_enlarging_stays_in_float32_as_its_gradient_has_no_float16(level):
    net = ("--net_config.network", "hourglass", "--dataset_config.input_res_test", "[512, 512]")
    used = changed(config(*net), 3, head_conv=8, stem_channels=8, dims=[8, 8], blocks=[1, 1])
    network = create_network(used)
    set_precision(network, level, "Ascend")
    enlarging = [cell for _, cell in network.cells_and_names() if isinstance(cell, Twice)]
    assert len(enlarging) == 2
    assert all(cell.get_flags()["fp32"] and not cell.get_flags()["fp16"] for cell in enlarging)


@pytest.mark.parametrize("level", ["O2", "O3"])
@pytest.mark.parametrize("deformable", FORMS)
def test_the_network_computes_in_float16_and_its_losses_in_float32(level, deformable):
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (2, 64, 64, 3), np.uint8)
    colour = np.tile(np.eye(3, 4, dtype=np.float32) / 128, (2, 1, 1))
    objects = np.stack([object_rows([(1, 5.5, 6.5, 4.0, 5.0)], 4)] * 2)
    exact, network = small_network(deformable), small_network(deformable)
    set_precision(network, level, "GPU")
    heads = run(network, random.normal(size=(2, 3, 64, 64)).astype(np.float32))
    assert {head.dtype for head in heads} == {np.dtype(np.float16)}
    expected, found = (
        run(with_loss(cell, small_config(deformable)), image, colour, objects)
        for cell in (exact, network)
    )
    assert {loss.dtype for loss in found} == {np.dtype(np.float32)}
    np.testing.assert_allclose(found, expected, rtol=0.01)
    assert not np.array_equal(found, expected)


@pytest.mark.parametrize("level", ["O0", "O2", "O3"])
@pytest.mark.parametrize("ema_decay", [0.0, 0.5])
def test_what_a_training_evaluates_is_float32_and_its_averages(level, ema_decay):
    network = small_network("gather")
    set_precision(network, level, "Ascend")
    step = TrainStep(
        with_loss(network, small_config("gather")),
        nn.Adam(network.trainable_params()),
        StepOptions(ema_decay=ema_decay),
    )
    first = {name: p.asnumpy().copy() for name, p in network.parameters_and_names()}
    for parameter in network.get_parameters():
        parameter.set_data(parameter + 1.0)
    evaluated = small_network("gather")
    checkpoints.copy(evaluated_weights(network, step), evaluated)
    for parameter in network.get_parameters():
        parameter.set_data(parameter + 1.0)  # the training goes on
    for name, parameter in evaluated.parameters_and_names():
        expected = first[name] if ema_decay else first[name] + 1.0  # averages start as the weights
        np.testing.assert_array_equal(parameter.asnumpy(), expected, err_msg=name)
    heads = run(evaluated.set_train(False), np.ones((1, 3, 64, 64), np.float32))
    assert {head.dtype for head in heads} == {np.dtype(np.float32)}
    exact = small_network("gather").set_train(False)
    checkpoints.copy(evaluated.parameters_and_names(), exact)
    for head, expected in zip(heads, run(exact, np.ones((1, 3, 64, 64), np.float32)), strict=True):
        np.testing.assert_array_equal(head, expected)
