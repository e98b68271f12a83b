# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The training step: Adam under a scaled loss, and steps that overflow."""

from collections.abc import Callable

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn, ops

from src.training import step as step_module
from src.training.optimizer import create_optimizer
from src.training.step import StepOptions, TrainStep, step_options
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

    def construct(self, image: Tensor, colour: Tensor, objects: Tensor) -> Tensor:
        loss = (image * self.w * self.w).sum()
        return ops.stack((loss, loss * 2.0, loss * 3.0, (colour + objects).sum()))


def make_step(loss_scale: float, skip_overflow: bool, **options: float) -> TrainStep:
    network = Weighted()
    optimizer = create_optimizer(config().train_config, network, RATES)
    options = StepOptions(loss_scale, skip_overflow, **options)
    return TrainStep(network, optimizer, options).set_train()


def state(step: TrainStep) -> dict[str, np.ndarray]:
    """Everything a step may change, by its name."""
    return {name: p.asnumpy().copy() for name, p in step.parameters_and_names()}


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
    """The losses, whether the update was left out, and the scale."""
    losses, overflow, scale = run(step, image, NO_COLOUR, NO_OBJECTS)
    return [*losses, overflow, scale]


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
        if name not in ("overflows", "bad_steps"):
            np.testing.assert_array_equal(value, before[name], err_msg=name)
    assert step.overflows.asnumpy() == 1 and step.bad_steps.asnumpy() == 1
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


# --- dynamic loss scale ------------------------------------------------------------------------


def counters(step: TrainStep) -> tuple[float, int, int]:
    """The scale, the updates left out and the bad batches in a row."""
    return tuple(p.asnumpy().item() for p in (step.scale, step.overflows, step.bad_steps))


def test_a_dynamic_scale_halves_at_overflows_and_doubles_after_good_updates():
    step = make_step(1024.0, True, is_dynamic=True, scale_window=2)
    found = [
        (*take(step, image)[4:], *counters(step))
        for image in (OVERFLOWING, GOOD[0], OVERFLOWING, GOOD[1], GOOD[2], OVERFLOWING)
    ]
    # Overflow, the scale of the step, that of the next, overflows so far, bad batches in a row
    # (their losses are infinite). A good step before an overflow does not count after it.
    assert [tuple(map(float, row)) for row in found] == [
        (1, 1024, 512, 1, 1),
        (0, 512, 512, 1, 0),
        (1, 512, 256, 2, 1),
        (0, 256, 256, 2, 0),
        (0, 256, 512, 2, 0),
        (1, 512, 256, 3, 1),
    ]


def test_an_overflow_at_a_dynamic_scale_changes_no_weights_and_the_next_step_proceeds():
    step = make_step(2.0**24, True, is_dynamic=True)
    take(step, GOOD[0])
    before = state(step)
    image = np.array([1, 1e31, 1], np.float32)  # finite until it is scaled
    assert take(step, image)[4]
    after = state(step)
    changed = {name for name in after if not np.array_equal(after[name], before[name])}
    assert changed == {"scale", "overflows", "good_updates"}
    assert counters(step) == (2.0**23, 1, 0)  # not bad: the scale can still be lowered
    assert not take(step, GOOD[1])[4]
    np.testing.assert_allclose(step.network.w.asnumpy(), adam(GOOD[:2]), rtol=2e-5)


def test_a_dynamic_scale_stays_between_1_and_2_to_the_24():
    step = make_step(2.0, True, is_dynamic=True, scale_window=1)
    nearly = np.array([1, 1e38, 1], np.float32)  # its loss is finite, 2e38 · w is not
    step.network.w.set_data(Tensor(np.array([1.0, 1.0, 3.0], np.float32)))
    found = []
    for _ in range(3):
        take(step, nearly * 2)
        found.append(counters(step))
    # At 1 it cannot be lowered, so from there on overflows are bad.
    assert found == [(1.0, 1, 0), (1.0, 2, 1), (1.0, 3, 2)]
    step = make_step(2.0**23, True, is_dynamic=True, scale_window=1)
    for image in GOOD:
        take(step, image)
    assert counters(step) == (2.0**24, 0, 0)


def test_a_loss_that_is_not_finite_is_counted_without_loss_scale():
    step = make_step(1.0, False)
    take(step, GOOD[0])
    assert counters(step) == (1.0, 0, 0)
    take(step, OVERFLOWING)
    take(step, GOOD[0])  # by now a weight is no number
    assert counters(step) == (1.0, 0, 2)


# --- devices that saturate ---------------------------------------------------------------------


class SaturatingWeighted(Weighted):
    """`Weighted` on an Ascend 910A: values too large become the largest, and raise a flag."""

    def __init__(self) -> None:
        super().__init__()
        self.flag = Parameter(Tensor(0.0, ms.float32), name="flag", requires_grad=False)

    def construct(self, image: Tensor, colour: Tensor, objects: Tensor) -> Tensor:
        largest = ops.abs(image).max()
        ops.assign(self.flag, ops.maximum(self.flag, ops.cast(largest > 1e30, ms.float32)))
        loss = (ops.clip_by_value(image, -1e3, 1e3) * self.w * self.w).sum()
        return ops.stack((loss, loss, loss, loss))


class SaturatingStep(TrainStep):
    """The step with that flag in place of the chip's register."""

    def _clear_overflow_flag(self, image: Tensor) -> Tensor:
        ops.assign(self.network.flag, Tensor(0.0, ms.float32))
        return image

    def _are_finite(self, gradients: tuple[Tensor, ...]) -> Tensor:
        is_down = self.network.flag * 1.0 == 0.0
        ops.assign(self.network.flag, Tensor(0.0, ms.float32))
        return is_down


@pytest.fixture
def make_saturating_step(monkeypatch: pytest.MonkeyPatch) -> Callable[..., TrainStep]:
    monkeypatch.setattr(step_module, "saturates_on_overflow", lambda: True)

    def make(loss_scale: float, skip_overflow: bool, **options: float) -> TrainStep:
        network = SaturatingWeighted()
        optimizer = create_optimizer(config().train_config, network, RATES)
        return SaturatingStep(
            network, optimizer, StepOptions(loss_scale, skip_overflow, **options)
        ).set_train()

    return make


def test_a_flag_that_an_evaluation_left_up_costs_no_update(make_saturating_step):
    step = make_saturating_step(1024.0, True)
    step.network.flag.set_data(Tensor(1.0, ms.float32))
    assert not take(step, GOOD[0])[4]
    np.testing.assert_allclose(step.network.w.asnumpy(), adam(GOOD[:1]), rtol=2e-5)
    assert counters(step) == (1024.0, 0, 0)


def test_a_saturated_batch_is_left_out(make_saturating_step):
    step = make_saturating_step(1024.0, True)
    loss, *_, overflow, _ = take(step, OVERFLOWING)
    assert np.isfinite(loss) and overflow
    np.testing.assert_array_equal(step.network.w.asnumpy(), START)
    assert counters(step) == (1024.0, 1, 1)


def test_saturated_batches_are_counted_without_loss_scale(make_saturating_step):
    step = make_saturating_step(1.0, False)
    found = []
    for image in (OVERFLOWING, OVERFLOWING, GOOD[0]):
        assert not take(step, image)[4]  # the update is applied all the same
        found.append(counters(step))
    assert found == [(1.0, 0, 1), (1.0, 0, 2), (1.0, 0, 0)]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_one_saturated_batch_of_an_update_leaves_it_out(make_saturating_step, position):
    step = make_saturating_step(1024.0, True, accumulate_steps=3, is_dynamic=True)
    batches = [GOOD[0]] * 3
    batches[position] = OVERFLOWING
    assert [bool(take(step, batch)[4]) for batch in batches] == [False, False, True]
    np.testing.assert_array_equal(step.network.w.asnumpy(), START)
    assert counters(step) == (512.0, 1, 0)  # not bad: the scale can still be lowered
    assert not any(take(step, GOOD[0])[4] for _ in range(3))
    np.testing.assert_allclose(step.network.w.asnumpy(), adam(GOOD[:1]), rtol=2e-5)


# --- accumulation ------------------------------------------------------------------------------


def test_an_update_is_taken_at_every_third_batch_with_the_mean_gradient():
    step = make_step(1024.0, True, accumulate_steps=3)
    batches = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    means = list(batches.reshape(3, 3, 3).mean(axis=1, dtype=np.float64))
    for count, batch in enumerate(batches, start=1):
        w = step.network.w.asnumpy().copy()
        loss = take(step, batch)[0]
        np.testing.assert_allclose(loss, (batch * w**2).sum(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            step.network.w.asnumpy(), adam(means[: count // 3]), rtol=2e-5, err_msg=str(count)
        )
        assert step.optimizer.global_step.asnumpy() == count // 3  # so do RATES


@pytest.mark.parametrize("position", [0, 1, 2])
def test_an_overflow_in_any_batch_leaves_the_whole_update_out(position):
    step = make_step(1024.0, True, accumulate_steps=3, is_dynamic=True, ema_decay=0.5)
    before = state(step)
    batches = [GOOD[0]] * 3
    batches[position] = OVERFLOWING
    assert [bool(take(step, batch)[4]) for batch in batches] == [False, False, True]
    after = state(step)
    changed = {name for name in after if not np.array_equal(after[name], before[name])}
    assert changed == {"scale", "overflows", "bad_steps"}
    assert counters(step) == (512.0, 1, 3)
    for _ in range(3):
        take(step, GOOD[0])
    np.testing.assert_allclose(step.network.w.asnumpy(), adam(GOOD[:1]), rtol=2e-5)
    assert counters(step) == (512.0, 1, 0)


# --- clipping and averages ---------------------------------------------------------------------


class SteepestDescent(nn.SGD):
    """Weights minus gradients, so that a step shows its gradient."""

    def __init__(self, network: nn.Cell) -> None:
        super().__init__(network.trainable_params(), learning_rate=1.0)


@pytest.mark.parametrize(("clip_norm", "accumulate_steps"), [(0.5, 1), (100.0, 1), (0.5, 2)])
def test_gradients_are_clipped_to_a_norm_after_the_scale_is_taken_out(clip_norm, accumulate_steps):
    network = Weighted()
    options = StepOptions(1024.0, True, clip_norm=clip_norm, accumulate_steps=accumulate_steps)
    step = TrainStep(network, SteepestDescent(network), options).set_train()
    for _ in range(accumulate_steps):
        take(step, GOOD[0])
    gradient = 2 * GOOD[0].astype(np.float64) * START
    norm = np.sqrt((gradient**2).sum())
    assert 0.5 < norm < 100
    expected = gradient * min(1.0, clip_norm / norm)
    np.testing.assert_allclose(START - step.network.w.asnumpy(), expected, rtol=1e-5)


class WithNorm(nn.Cell):
    """The mean of a batch-normalised image: with statistics that no gradient moves."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2)

    def construct(
        self, image: Tensor, colour: Tensor, objects: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        loss = (self.norm(image) * colour).mean()
        return ops.stack((loss, loss, loss, loss))


def test_averages_follow_weights_and_statistics_at_good_updates_only():
    network = WithNorm()
    options = StepOptions(1024.0, True, ema_decay=0.75)
    step = TrainStep(network, SteepestDescent(network), options).set_train()
    random = np.random.default_rng(0)
    names = [name for name, _ in network.parameters_and_names()]
    assert set(names) == {"norm.gamma", "norm.beta", "norm.moving_mean", "norm.moving_variance"}
    expected = {name: p.asnumpy().copy() for name, p in network.parameters_and_names()}
    for count in range(5):
        image = random.normal(1.0, 2.0, (2, 2, 3, 3)).astype(np.float32)
        colour = np.array(np.inf if count == 2 else 1.0, np.float32)
        overflow = run(step, image, colour, NO_OBJECTS)[1]
        assert overflow == (count == 2)
        for name, parameter in network.parameters_and_names():
            if not overflow:
                expected[name] = 0.75 * expected[name] + 0.25 * parameter.asnumpy()
        found = dict(step.ema_weights(network))
        assert list(found) == names
        for name, average in found.items():
            np.testing.assert_allclose(average.asnumpy(), expected[name], rtol=1e-5, err_msg=name)
    assert {name for name, _ in step.ema_weights(network.norm)} == {n[5:] for n in names}


class PaddlesAverage:
    """PaddleDetection's ModelEMA of the kind "threshold" in plain NumPy."""

    def __init__(self, decay: float) -> None:
        self.decay, self.last, self.step = decay, 0.0, 0
        self.sums: dict[str, np.ndarray | float] = {}

    def update(self, network: nn.Cell) -> None:
        self.last = min(self.decay, (1 + self.step) / (10 + self.step))
        for name, p in network.parameters_and_names():
            old = self.last * self.sums.get(name, 0.0)
            self.sums[name] = old + (1 - self.last) * p.asnumpy().astype(np.float64)
        self.step += 1

    def check(self, step: TrainStep, network: nn.Cell) -> None:
        found = dict(step.ema_weights(network))
        assert list(found) == [name for name, _ in network.parameters_and_names()]
        for name, average in found.items():
            expected = self.sums[name] / (1 - self.last**self.step)
            np.testing.assert_allclose(average.asnumpy(), expected, rtol=1e-6, err_msg=name)


def test_averages_with_a_threshold_are_paddles_also_behind_a_resume():
    options = StepOptions(1024.0, True, ema_decay=0.8, ema_kind="threshold")  # from update 36 on
    expected = PaddlesAverage(options.ema_decay)
    random = np.random.default_rng(0)
    network = WithNorm()
    step = TrainStep(network, SteepestDescent(network), options).set_train()
    for (name, weight), (_, average) in zip(
        network.parameters_and_names(), step.ema_weights(network), strict=True
    ):  # before the first update
        np.testing.assert_array_equal(average.asnumpy(), weight.asnumpy(), err_msg=name)
    for count in range(52):
        if count == 20:
            stored = state(step)
            network = WithNorm()
            step = TrainStep(network, SteepestDescent(network), options).set_train()
            for name, parameter in step.parameters_and_names():
                parameter.set_data(Tensor(stored[name]))
        image = random.normal(1.0, 2.0, (2, 2, 3, 3)).astype(np.float32)
        colour = np.array(np.inf if count in (7, 30) else 1.0, np.float32)
        if not run(step, image, colour, NO_OBJECTS)[1]:
            expected.update(network)
        if count in (0, 1, 20, 30):
            expected.check(step, network)
    assert expected.step == 50 and expected.last == 0.8
    expected.check(step, network)
    assert len(set(expected.sums)) == 4  # statistics too


# --- the whole state ---------------------------------------------------------------------------

FULL = {"is_dynamic": True, "accumulate_steps": 2, "clip_norm": 3.0, "ema_decay": 0.9}


def test_a_step_with_the_state_of_another_goes_on_bit_for_bit():
    batches = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    batches[3, 0] = np.inf
    whole, first, second = (make_step(64.0, True, scale_window=1, **FULL) for _ in range(3))
    for batch in batches:
        take(whole, batch)
    for batch in batches[:3]:  # in the middle of an update
        take(first, batch)
    stored = state(first)
    for name, parameter in second.parameters_and_names():
        parameter.set_data(Tensor(stored[name]))
    for batch in batches[3:]:
        take(second, batch)
    expected = state(whole)
    for name, value in state(second).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_names_of_the_state_are_unique_and_only_options_in_use_add_to_it():
    plain, full = make_step(1024.0, True), make_step(1024.0, True, **FULL)
    names = [name for name, _ in plain.parameters_and_names()]
    assert len(names) == len(set(names))
    added = [name for name, _ in full.parameters_and_names() if name not in names]
    assert len(added) == len(set(added)) == 5
    assert {"good_updates", "batches", "bad_losses"} < set(added)
    assert "network.w" in names and {"scale", "overflows", "bad_steps"} < set(names)


def test_options_come_from_the_configuration():
    assert step_options(config()) == StepOptions(1024.0, True)
    unscaled = config("--enable_lossscale", "false", "--train_config.loss_scale", "dynamic")
    assert step_options(unscaled) == StepOptions()
    names = ("loss_scale", "scale_window", "accumulate_steps", "clip_norm", "ema_decay", "ema_kind")
    values = ("dynamic", "7", "8", "35.5", "0.99", "threshold")
    pairs = [f"--train_config.{name}" for name in names]
    found = step_options(config(*(x for pair in zip(pairs, values, strict=True) for x in pair)))
    assert found == StepOptions(1024.0, True, True, 7, 8, 35.5, 0.99, "threshold")
