# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The training step: Adam under a scaled loss, and steps that overflow."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn

from src.training.optimizer import create_optimizer
from src.training.step import TrainStep
from tests.helpers import config, run

START = np.array([0.5, -1.0, 2.0], np.float32)
RATES = np.array([0.1, 0.03, 0.01], np.float32)
NO_COLOUR, NO_OBJECTS = np.zeros(1, np.float32), np.zeros(1, np.float32)
GOOD = [np.array(values, np.float32) for values in ([1, -3, 0.01], [0.5, 2, -0.4], [2, 1, 1])]
OVERFLOWING = np.array([1.0, np.inf, 1.0], np.float32)


class Weighted(nn.Cell):
    """A loss Σ image · w², of gradient 2 · image · w."""

    def __init__(self) -> None:
        super().__init__()
        self.w = Parameter(Tensor(START), name="w")

    def construct(
        self, image: Tensor, colour: Tensor, objects: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        loss = (image * self.w * self.w).sum()
        return loss, loss * 2.0, loss * 3.0, (colour + objects).sum()


def make_step(loss_scale: float, skip_overflow: bool) -> TrainStep:
    network = Weighted()
    optimizer = create_optimizer(config().train_config, network, RATES)
    return TrainStep(network, optimizer, loss_scale, skip_overflow, rank_size=1).set_train()


def state(step: TrainStep) -> dict[str, np.ndarray]:
    """Everything a step may change: weights, moments, powers of beta, the step counter."""
    return {p.name: p.asnumpy().copy() for p in step.get_parameters()}


def adam(images: list[np.ndarray]) -> np.ndarray:
    """Adam (Kingma and Ba, 2015, the efficient order of section 2), eps 1e-7, for `Weighted`."""
    w, m, v = START.astype(np.float64), np.zeros(3), np.zeros(3)
    for t, (image, rate) in enumerate(zip(images, RATES, strict=False), start=1):
        gradient = 2 * image * w
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        w = w - rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)
    return w


def take(step: TrainStep, image: np.ndarray) -> list[np.ndarray]:
    return run(step, image, NO_COLOUR, NO_OBJECTS)


@pytest.mark.parametrize("skip_overflow", [True, False])
@pytest.mark.parametrize("loss_scale", [1.0, 1024.0])
def test_steps_are_adam_by_hand_whatever_the_loss_scale(loss_scale, skip_overflow):
    step = make_step(loss_scale, skip_overflow)
    for count, image in enumerate(GOOD, start=1):
        w = step.network.w.asnumpy().copy()  # it shares memory
        loss, hm_loss, wh_loss, off_loss, overflow, scale = take(step, image)
        expected = (image * w**2).sum()
        np.testing.assert_allclose([loss, hm_loss, wh_loss], expected * np.arange(1, 4), rtol=1e-5)
        assert off_loss == 0 and not overflow and scale == loss_scale
        np.testing.assert_allclose(step.network.w.asnumpy(), adam(GOOD[:count]), rtol=2e-5)


def test_epsilon_of_the_recipe_damps_steps_of_tiny_gradients():
    step = make_step(1024.0, True)
    image = np.array([1e-6, 1e-7, 1.0], np.float32)  # eps is a part of 3 to 100 of √v here
    take(step, image)
    moved = step.network.w.asnumpy() - START
    np.testing.assert_allclose(moved, adam([image]) - START, rtol=1e-3)
    assert abs(moved[1]) < 0.9 * abs(moved[2])


@pytest.mark.parametrize(
    ("image", "is_finite"),
    [(OVERFLOWING, False), (np.array([1, 1e36, 1], np.float32), True)],
    ids=["infinite", "infinite once scaled"],
)
def test_a_step_that_overflows_changes_nothing_is_reported_and_the_next_proceeds(image, is_finite):
    step = make_step(1024.0, True)
    take(step, GOOD[0])
    before = state(step)
    loss, *_, overflow, scale = take(step, image)
    assert overflow and scale == 1024.0
    assert np.isfinite(loss) == is_finite
    for name, value in state(step).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    overflow = take(step, GOOD[1])[4]
    assert not overflow
    np.testing.assert_allclose(step.network.w.asnumpy(), adam(GOOD[:2]), rtol=2e-5)


def test_a_gradient_that_is_no_number_counts_as_overflow():
    step = make_step(1.0, True)
    assert take(step, np.array([1.0, np.nan, 1.0], np.float32))[4]
    np.testing.assert_array_equal(step.network.w.asnumpy(), START)


def test_without_skip_overflow_the_update_is_applied():
    step = make_step(1.0, False)
    overflow = take(step, OVERFLOWING)[4]
    assert not overflow
    found = step.network.w.asnumpy()
    np.testing.assert_allclose(found[[0, 2]], adam([GOOD[0] * 0 + 1])[[0, 2]], rtol=2e-5)
    assert not np.isfinite(found[1])


def test_only_what_the_optimizer_holds_is_trained_and_checkpoints_stay_free_of_the_scale():
    step = make_step(1024.0, True)
    assert [p.name for p in step.optimizer.parameters] == [step.network.w.name]
    assert [name for name, _ in step.network.parameters_and_names()] == ["w"]
    assert step.scale.dtype == ms.float32 and not step.scale.requires_grad
