# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Training ResNet-18-DCN follows PyTorch's stored steps (tests/oracles/adam_steps.py)."""

import numpy as np
import pytest
from mindspore import Tensor, nn

from src.models.network import create_network, with_loss
from src.training.optimizer import create_optimizer
from src.training.step import StepOptions, TrainStep
from tests.helpers import (
    X_THEN_Y,
    changed,
    config,
    object_rows,
    oracle,
    pytorch_name,
    run,
    set_seeded_parameters,
)
from tests.oracles.seeded import (
    ADAM_BATCH,
    ADAM_CLASSES,
    ADAM_EPS,
    ADAM_RATE,
    ADAM_SIZE,
    ADAM_STEPS,
    ADAM_TRAINING_BATCH,
    PIXEL_SCALE,
    sample,
    seeded_batch,
    with_calm_offsets,
)

# Where batch norm takes out the mean, a bias has no gradient but rounding.
BIASES_BEFORE_NORM = tuple(f"deconv_layers.{place}.bias" for place in (0, 6, 12))

Arrays = dict[str, np.ndarray]


def train(batches: list[int], fixed_statistics: bool) -> tuple[np.ndarray, Arrays, Arrays]:
    """Losses of each step, gradients of the first, and how far all steps moved the weights."""
    sizes = config("--dataset_config.input_res_train", f"[{ADAM_SIZE}, {ADAM_SIZE}]")
    used = changed(
        sizes, ADAM_CLASSES, block="basic", block_class=[2, 2, 2, 2], deformable="gather"
    )
    network = set_seeded_parameters(create_network(used))
    for name, parameter in network.parameters_and_names():
        parameter.set_data(Tensor(with_calm_offsets(name, parameter.asnumpy())))
    loss = with_loss(network, used)
    recipe = config("--train_config.MultiDecay.eps", str(ADAM_EPS)).train_config
    optimizer = create_optimizer(recipe, loss, np.full(ADAM_STEPS, ADAM_RATE, np.float32))
    step = TrainStep(loss, optimizer, StepOptions(1024.0, True)).set_train()
    for _, cell in network.cells_and_names():
        if isinstance(cell, nn.BatchNorm2d):
            cell.set_train(not fixed_statistics)
    names = {id(p): name for name, p in network.parameters_and_names()}
    weights = {names[id(p)]: p for p in optimizer.parameters}
    start = {name: p.asnumpy().copy() for name, p in weights.items()}

    colour = np.eye(3, 4, dtype=np.float32) * np.float32(PIXEL_SCALE)
    colour[:, 3] = -1
    losses, gradients = [], {}
    for batch in batches:
        images, objects = seeded_batch(batch, ADAM_BATCH, ADAM_SIZE, ADAM_CLASSES)
        tables = np.stack([object_rows(rows, 4) for rows in objects])
        losses.append(run(step, images, np.tile(colour, (ADAM_BATCH, 1, 1)), tables)[0])
        if not gradients:  # after one step Adam's first moment is a tenth of the gradient
            moments = zip(weights, optimizer.moment1, strict=True)
            gradients = {name: moment.asnumpy() * 10 for name, moment in moments}
    moved = {name: p.asnumpy() - start[name] for name, p in weights.items()}
    return np.array(losses), in_pytorchs_form(gradients), in_pytorchs_form(moved)


def in_pytorchs_form(arrays: Arrays) -> Arrays:
    """PyTorch's names, and its order of offsets."""
    found = {}
    for name, value in arrays.items():
        if "conv_offset" in name:
            value = value[np.argsort([*X_THEN_Y, *range(18, 27)])]
        found[pytorch_name(name)] = value
    return found


def assert_gradients_are_pytorchs(found: Arrays, stored: Arrays, kind: str) -> None:
    """To 1e-4 of the largest of each tensor, in a sample and in the norm of the whole."""
    assert {f"{kind}/{name}" for name in found} == {k for k in stored if k.startswith(f"{kind}/")}
    for name, gradient in found.items():
        norm, largest = stored[f"{kind}_extent/{name}"]
        if kind == "batch_gradient" and name in BIASES_BEFORE_NORM:
            assert largest < 1e-12 and np.abs(gradient).max() < 1e-5, name
            continue
        difference = np.abs(sample(gradient) - stored[f"{kind}/{name}"]).max()
        assert difference < 1e-4 * largest, name
        assert abs(np.linalg.norm(gradient) / norm - 1) < 1e-4, name


def test_gradients_through_batch_norm_in_training_mode_are_pytorchs():
    stored = oracle("adam_steps")
    losses, gradients, _ = train([ADAM_TRAINING_BATCH], fixed_statistics=False)
    np.testing.assert_allclose(losses[0], stored["batch_losses"], rtol=1e-5)
    assert_gradients_are_pytorchs(gradients, stored, "batch_gradient")


@pytest.mark.slow
def test_twenty_steps_of_adam_follow_pytorch():
    stored = oracle("adam_steps")
    losses, gradients, moved = train(list(range(1, ADAM_STEPS + 1)), fixed_statistics=True)
    assert_gradients_are_pytorchs(gradients, stored, "gradient")
    # Adam moves a weight by the rate at first, however small its gradient, so that the offsets
    # move by pixels within some steps. From then on now and then a sample lies so close to a whole
    # pixel, or a ReLU's input to zero, that float32 takes the other side of a kink than the stored
    # float64. PyTorch's own float32 leaves it in the same way: 3.5e-3 at step 20, ours 3.4e-3; up
    # to step 10 ours differs by 1.2e-6.
    np.testing.assert_allclose(losses[:10], stored["losses"][:10], rtol=1e-5)
    np.testing.assert_allclose(losses, stored["losses"], rtol=0.02)
    for name, movement in moved.items():
        # Likewise each tensor's movement: measured 1 % for its length, 7 % for all of it, 6 % for
        # PyTorch's float32.
        expected, (norm, _) = stored[f"moved/{name}"], stored[f"moved_extent/{name}"]
        assert abs(np.linalg.norm(movement) / norm - 1) < 0.03, name
        difference = np.linalg.norm(sample(movement) - expected)
        assert difference < 0.15 * np.linalg.norm(expected), name
