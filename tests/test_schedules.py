# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Learning rate schedules and the optimizer's groups."""

import numpy as np
import pytest
from mindspore import Tensor, nn

from src.model_utils.errors import UserError
from src.training.optimizer import (
    cosine_decay,
    create_optimizer,
    learning_rates,
    multi_decay,
    poly_decay,
)
from src.training.schedule_check import schedule_problems
from tests import reference
from tests.conftest import PROJECT
from tests.helpers import config, graph_mode


def test_multi_decay_by_hand():
    # Two warm-up steps; four steps an epoch; a tenth after one epoch, a hundredth after three.
    rates = multi_decay(16, 4, 0.1, 2, [1, 3], 10)
    assert rates.dtype == np.float32
    np.testing.assert_allclose(rates, [0.05] + [0.1] * 3 + [0.01] * 8 + [0.001] * 4, rtol=1e-6)


def test_a_warm_up_can_begin_above_nothing():
    # mmengine's LinearLR from a third over four updates: 1/3, 5/9, 7/9, 1.
    rates = multi_decay(6, 10, 0.9, 4, [], 10, warmup_learning_rate=0.3)
    np.testing.assert_allclose(rates, [0.3, 0.5, 0.7, 0.9, 0.9, 0.9], rtol=1e-6)
    assert multi_decay(3, 10, 0.9, 0, [], 10, warmup_learning_rate=0.3)[0] == np.float32(0.9)


def test_poly_decay_by_hand():
    # (1.1 - 0.1) (1 - step/4)² + 0.1, the first of it halved by two steps of warm-up.
    rates = poly_decay(4, 1.1, 0.1, 2.0, 2)
    assert rates.dtype == np.float32
    np.testing.assert_allclose(rates, [0.55, 0.6625, 0.35, 0.1625], rtol=1e-6)


def test_schedules_of_the_recipe_at_chosen_steps():
    steps_per_epoch, total = 458, 458 * 330
    configured = config("--train_config.lr_schedule", "MultiDecay").train_config
    rates = learning_rates(configured, total, steps_per_epoch)
    drops = [290 * 458, 320 * 458]
    chosen = [0, 1, 1998, 1999, 2000, *(drop + i for drop in drops for i in (-1, 0)), total - 1]
    expected = [
        reference.multi_decay(step, 4.8e-4, 2000, steps_per_epoch, [290, 320]) for step in chosen
    ]
    assert len(rates) == total
    np.testing.assert_allclose(rates[chosen], expected, rtol=1e-6)
    np.testing.assert_allclose(
        rates[[0, 1999, *drops]], [2.4e-7, 4.8e-4, 4.8e-5, 4.8e-6], rtol=1e-6
    )

    configured = config("--train_config.lr_schedule", "PolyDecay").train_config
    rates = learning_rates(configured, total, steps_per_epoch)
    expected = [reference.poly_decay(step, 5e-4, 5e-7, 5.0, 2000, total) for step in chosen]
    np.testing.assert_allclose(rates[chosen], expected, rtol=1e-6)


def test_cosine_decay_is_tensorflows_formula():
    total, warm, base, start = 250_000, 5000, 1e-3, 2.5e-4
    settings = ("--train_config.lr_schedule", "CosineDecay")
    rates = learning_rates(config(*settings).train_config, total, 1000)
    assert rates.dtype == np.float32 and len(rates) == total
    # Rising, at the top, halfway down, and the last.
    chosen = [0, 2500, 4999, 5000, 127_500, total - 1]
    expected = [2.5e-4, 6.25e-4, start + (base - start) * 4999 / 5000, base, base / 2]
    expected.append(0.5 * base * (1 + np.cos(np.pi * (total - 1 - warm) / (total - warm))))
    np.testing.assert_allclose(rates[chosen], expected, rtol=1e-6, atol=1e-12)
    assert (np.diff(rates[:warm]) > 0).all() and (np.diff(rates[warm:]) <= 0).all()
    # Without warm-up it starts at the top; one that is too long never gets there.
    np.testing.assert_allclose(cosine_decay(2, 0.5, 0, 0.1), [0.5, 0.25])
    np.testing.assert_allclose(cosine_decay(2, 0.5, 4, 0.1), [0.1, 0.2])


def test_a_rate_can_be_divided_after_steps():
    recipe = config(
        "--train_config.MultiDecay.multi_steps", "[90000, 120000]",
        "--train_config.MultiDecay.learning_rate", "1e-3",
        "--train_config.MultiDecay.warmup_steps", "0", "--train_config.accumulate_steps", "2",
    ).train_config  # fmt: skip
    rates = learning_rates(recipe, 280_000, 7)
    chosen = [0, 89_999, 90_000, 119_999, 120_000, 139_999]
    np.testing.assert_allclose(rates[chosen], [1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5], rtol=1e-6)


@pytest.mark.parametrize("eps", [1e-8, 1e-3])
def test_adam_is_the_formula_with_its_epsilon_beside_the_root(eps):
    # As Keras has it: θ - α √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε).
    network = nn.Dense(3, 1, weight_init="ones", has_bias=False)
    settings = ("--train_config.lr_schedule", "CosineDecay")
    recipe = config(*settings, "--train_config.CosineDecay.eps", str(eps)).train_config
    rates = np.array([0.1, 0.05, 0.02], np.float32)
    optimizer = create_optimizer(recipe, network, rates)
    theta, m, v = np.ones((1, 3)), 0.0, 0.0
    for t, (rate, scale) in enumerate(zip(rates, [1, -0.5, 2], strict=True), 1):
        gradient = np.array([[1e-4, 1e-2, 1.0]]) * scale
        with graph_mode():
            optimizer((Tensor(gradient.astype(np.float32)),))
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        corrected = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        theta = theta - corrected * m / (np.sqrt(v) + eps)
        np.testing.assert_allclose(network.weight.asnumpy(), theta, rtol=1e-5)


def test_accumulated_batches_make_one_step_of_the_schedule():
    # 21 batches, 3 to an update: 7 updates. Two of warm-up; epochs of 4 batches begin in updates
    # 0, 2 (batch 6), 3 (9), 4 (12), 6 (18): the tenth after one epoch starts with update 2.
    changed = config(
        "--train_config.accumulate_steps", "3", "--train_config.MultiDecay.multi_epochs", "[1, 3]",
        "--train_config.MultiDecay.learning_rate", "0.1",
        "--train_config.MultiDecay.warmup_steps", "2",
    ).train_config  # fmt: skip
    rates = learning_rates(changed, 23, 4)
    np.testing.assert_allclose(rates, [0.05, 0.1, 0.01, 0.01, 0.001, 0.001, 0.001], rtol=1e-6)
    one_card = config("--train_config.accumulate_steps", "8").train_config
    eight_cards = config().train_config
    np.testing.assert_allclose(
        learning_rates(one_card, 8 * 458 * 330, 8 * 458),
        learning_rates(eight_cards, 458 * 330, 458),
    )
    with pytest.raises(UserError, match="accumulate_steps is 8, more than the 7 step"):
        learning_rates(one_card, 7, 100)


@pytest.mark.parametrize(
    ("devices", "batch", "accumulate", "reference_batch", "expected"),
    [
        (8, 32, 1, 256, 4.8e-4),
        (1, 32, 1, 256, 6e-5),
        (1, 32, 8, 256, 4.8e-4),
        (2, 16, 4, 64, 9.6e-4),
    ],
)
def test_the_rate_follows_the_global_batch_if_asked(
    devices, batch, accumulate, reference_batch, expected
):
    values = {"batch_size": batch, "accumulate_steps": accumulate}
    values |= {"reference_batch_size": reference_batch, "MultiDecay.warmup_steps": 0}
    arguments = [x for k, v in values.items() for x in (f"--train_config.{k}", str(v))]
    asked = config(*arguments, "--train_config.scale_learning_rate", "true").train_config
    rates = learning_rates(asked, 16, 16, devices)
    assert rates.dtype == np.float32
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
    np.testing.assert_allclose(
        learning_rates(config(*arguments).train_config, 16, 16, devices), 4.8e-4, rtol=1e-6
    )


@pytest.mark.parametrize("warmup", [0, 1])
def test_no_warm_up_starts_at_the_full_rate(warmup):
    assert multi_decay(3, 1, 0.5, warmup, [], 10)[0] == 0.5
    assert poly_decay(3, 0.5, 0.0, 1.0, warmup)[0] == 0.5


@pytest.mark.parametrize("schedule", ["MultiDecay", "PolyDecay"])
def test_weight_decay_spares_biases_and_batch_norm(schedule):
    network = nn.SequentialCell(nn.Conv2d(3, 4, 3, has_bias=True), nn.BatchNorm2d(4))
    for parameter in network.trainable_params():
        parameter.set_data(Tensor(np.ones(parameter.shape, np.float32)))
    settings = config(
        "--train_config.Adam.weight_decay", "0.25", "--train_config.lr_schedule", schedule,
    ).train_config  # fmt: skip
    optimizer = create_optimizer(settings, network, np.full(3, 0.1, np.float32))
    with graph_mode():
        optimizer(tuple(Tensor(np.zeros(p.shape, np.float32)) for p in optimizer.parameters))
    for parameter in network.trainable_params():
        # Adam's first step is the learning rate, however small the penalty's gradient.
        expected = 0.9 if parameter.name == "0.weight" else 1.0
        np.testing.assert_allclose(parameter.asnumpy(), expected, rtol=1e-5, err_msg=parameter.name)


def problems(
    epochs: float, steps_per_epoch: int, *changes: str, devices: int = 1, by_epochs: bool = True
) -> list[str]:
    """What is said of a training of the default recipe with changes, `name value` each."""
    options = [part for change in changes for part in f"--train_config.{change}".split(" ", 1)]
    recipe = config(*options).train_config
    return schedule_problems(
        recipe, round(epochs * steps_per_epoch), steps_per_epoch, devices, by_epochs
    )


@pytest.mark.parametrize(
    ("path", "images", "devices"),
    [
        ("default_config.yaml", 117_266, 8),
        ("configs/modelzoo/resnet101_plain.yaml", 117_266, 8),
        ("configs/modelzoo/resnet101_modelzoo.yaml", 117_266, 8),
        ("configs/original/resnet101.yaml", 117_266, 8),
        ("configs/original/resnet18.yaml", 117_266, 4),
        ("configs/original/pascal_resnet18.yaml", 16_551, 1),
        ("configs/original/pascal_resnet101.yaml", 16_551, 1),
        ("configs/original/dla34_1x.yaml", 117_266, 8),
        ("configs/original/dla34_2x.yaml", 117_266, 8),
        ("configs/original/multi_pose_dla34.yaml", 64_115, 8),
        ("configs/original/pascal_dla34.yaml", 16_551, 1),
        ("configs/original/pascal_dla34_512.yaml", 16_551, 2),
        ("configs/paddle/centernet_r50_140e.yaml", 117_266, 8),
        ("configs/paddle/centernet_r50_140e_finetune.yaml", 117_266, 8),
        ("configs/paddle/dla34_140e.yaml", 117_266, 8),
        ("configs/quickstart.yaml", 300, 1),
    ],
)
def test_nothing_is_said_of_the_recipes_as_they_are_meant(path: str, images: int, devices: int):
    overlay = () if path == "default_config.yaml" else ("--config_path", str(PROJECT / path))
    settings = config(*overlay)
    epochs = settings.epoch_size if overlay else 330  # the scripts'
    epoch = images // devices // settings.train_config.batch_size
    recipe = settings.train_config
    assert schedule_problems(recipe, epoch * epochs, epoch, devices, by_epochs=True) == []


def test_the_default_recipe_on_a_hundred_images_and_one_device_is_told_what_would_fit():
    # 100 images, batch 32: 3 steps an epoch, one epoch.
    few, drops, warm_up, batch = problems(1, 3)
    assert few == (
        "epoch_size 1 makes 3 update(s) of the weights on this set, and a detector needs "
        "thousands; --epoch_size 1000 makes 3000"
    )
    assert drops == (
        "train_config.MultiDecay.multi_epochs [290, 320]: the training ends after 1 epoch(s), so "
        "the learning rate is not divided after 290 and 320; --train_config.lr_schedule PolyDecay "
        "would fit"
    )
    assert warm_up == (
        "train_config.MultiDecay.warmup_steps 2000: the learning rate never gets to 0.00048, as "
        "the end comes after 3 update(s); --train_config.MultiDecay.warmup_steps 0 would fit"
    )
    assert batch == (
        "the learning rate is written for 256 images an update "
        "(train_config.reference_batch_size), and here are 32; --train_config.accumulate_steps 8 "
        "or --train_config.scale_learning_rate true would fit"
    )


ALONE = ("reference_batch_size 32",)


@pytest.mark.parametrize(
    ("epochs", "steps_per_epoch", "changes", "said"),
    [
        # As long as the training, or up to the first division, it gets there.
        (4, 500, ("MultiDecay.multi_epochs []",), ""),
        (3.996, 500, ("MultiDecay.multi_epochs []",),
         "comes after 1998 update(s); --train_config.MultiDecay.warmup_steps 199 "),
        (10, 500, ("MultiDecay.multi_epochs [4, 8]",), ""),
        (10, 500, ("MultiDecay.multi_epochs [8, 3]",), "first division comes after 1500 update(s)"),
        (10, 500, ("MultiDecay.multi_epochs [7]", "accumulate_steps 2", "batch_size 16"),
         "its first division comes after 1750 update(s)"),
        (3.996, 500, ("lr_schedule PolyDecay",), "PolyDecay.warmup_steps 2000: the learning rate "
         "never gets to 0.0005,"),
        (140, 100, ("MultiDecay.multi_epochs [90, 140]",), "not divided after 140; "
         "--train_config.MultiDecay.multi_epochs '[90, 120]' would fit"),
        (140.01, 100, ("MultiDecay.multi_epochs [90, 140]",), ""),
        (2, 2000, ("MultiDecay.multi_epochs [3]",), "not divided after 3; "
         "--train_config.MultiDecay.multi_epochs '[1]' would fit"),
    ],
)  # fmt: skip
def test_a_schedule_that_ends_too_soon_is_told(epochs, steps_per_epoch, changes, said):
    found = problems(epochs, steps_per_epoch, *ALONE, *changes)
    assert len(found) == bool(said)
    assert all(said in problem for problem in found)


@pytest.mark.parametrize(
    ("changes", "devices", "remedy"),
    [
        (("reference_batch_size 128",), 1, ""),
        (
            ("reference_batch_size 129",),
            1,
            "accumulate_steps 4 or --train_config.scale_learning_ra",
        ),
        (("reference_batch_size 129", "accumulate_steps 2"), 1, ""),
        (("reference_batch_size 256", "scale_learning_rate true"), 1, ""),
        ((), 8, ""),
        ((), 32, ""),
        ((), 33, "here are 1056; --train_config.scale_learning_rate true would fit"),
    ],
)
def test_a_learning_rate_for_another_batch_is_told(changes, devices, remedy):
    found = problems(330, 458, *changes, devices=devices)
    assert len(found) == bool(remedy)
    assert all(remedy in problem for problem in found)


def test_divisions_after_steps_that_never_come_are_told():
    changes = (*ALONE, "MultiDecay.multi_steps [900,1200]", "MultiDecay.warmup_steps 0")
    (late,) = problems(10, 100, *changes)
    assert "multi_steps [900, 1200]: the training ends after 1000 update(s)" in late
    assert "--train_config.MultiDecay.multi_steps '[640, 860]' would fit" in late


def test_a_given_number_of_steps_is_not_told_to_be_small():
    changes = (*ALONE, "MultiDecay.multi_epochs []", "MultiDecay.warmup_steps 0")
    assert problems(1, 3, *changes, by_epochs=False) == []
    (few,) = problems(100, 9, *changes, "accumulate_steps 2", "batch_size 16")
    assert "epoch_size 100 makes 450 update(s)" in few and "--epoch_size 667 makes 3001" in few
