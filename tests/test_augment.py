# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Random geometry and colour of training samples."""

import itertools

import numpy as np
import pytest

from src.data import geometry
from src.data.augment import normalisation, normalise
from src.model_utils.parameters import DatasetConfig
from src.models.layers import ApplyColour
from tests import reference
from tests.helpers import random_affine, random_colour, run, statistics


def augmentation(*values: float) -> DatasetConfig:
    names = ("rand_crop", "shift", "scale", "aug_rot", "rotate", "flip_prop")
    return DatasetConfig(**dict(zip(names, values, strict=True)))


STEPS = ("brightness", "contrast", "saturation")
STILL = augmentation(False, 0.0, 0.0, 0.0, 0.0, 0.0)
CROP = augmentation(True, 0.1, 0.4, 0.0, 0.0, 0.0)


def test_statistics_are_those_of_coco():
    np.testing.assert_array_equal(statistics().eig_vec, reference.LIGHTING_EIGENVECTORS)
    np.testing.assert_array_equal(statistics().eig_val, reference.LIGHTING_EIGENVALUES)
    np.testing.assert_array_equal(statistics().mean, [0.40789654, 0.44719302, 0.47026115])
    np.testing.assert_array_equal(statistics().std, [0.28863828, 0.27408164, 0.27809835])


def test_one_affine_is_jitter_step_by_step_and_normalisation():
    colours_of_coco = statistics()
    images, colours, expected, orders, factors_seen, lightings = [], [], [], [], [], []
    for seed in range(300):
        random = np.random.default_rng((1, seed))
        # From dark to bright pictures, with the black border of a warp, which the mean includes.
        image = random.integers(0, random.integers(2, 257), (9, 11, 3), np.uint8)
        image[:, : random.integers(0, 8)] = 0
        colour = random_colour(
            np.random.default_rng(seed), image.mean(axis=(0, 1)), colours_of_coco
        )
        assert colour.dtype == np.float32 and colour.shape == (3, 4)

        again = np.random.default_rng(seed)
        order = tuple(STEPS[step] for step in again.permuted([[0, 1, 2]], axis=1)[0])
        factors = dict(zip(order, again.uniform(0.6, 1.4, 3), strict=True))
        coefficients = again.normal(0, 0.1, 3)
        images.append(image.transpose(2, 0, 1))
        colours.append(colour)
        orders.append(order)
        factors_seen.append([factors[step] for step in STEPS])
        lightings.append(coefficients)
        expected.append(
            reference.colour_jitter(
                image / 255, *factors_seen[-1], order, reference.lighting_shift(coefficients),
                colours_of_coco.mean, colours_of_coco.std,
            ).transpose(2, 0, 1)
        )  # fmt: skip
    # Every order was drawn, each factor over its whole range, and lighting is on.
    assert set(orders) == set(itertools.permutations(STEPS))
    assert (np.min(factors_seen, axis=0) < 0.65).all() and (
        np.max(factors_seen, axis=0) > 1.35
    ).all()
    assert (np.std(lightings, axis=0) > 0.08).all()
    on_host = [normalise(image, colour) for image, colour in zip(images, colours, strict=True)]
    np.testing.assert_allclose(on_host, expected, rtol=0, atol=1e-5)
    (in_graph,) = run(ApplyColour(), np.stack(images), np.stack(colours))
    np.testing.assert_allclose(in_graph, expected, rtol=0, atol=1e-5)


def test_normalisation_maps_mean_to_zero_and_one_deviation_to_one():
    image = np.random.default_rng(1).integers(0, 256, (3, 5, 7), np.uint8)
    mean, std = statistics().mean[:, None, None], statistics().std[:, None, None]
    found = normalise(image, normalisation(statistics()))
    assert found.dtype == np.float32 and found.shape == image.shape
    np.testing.assert_allclose(found, (image / 255 - mean) / std, atol=1e-6)


@pytest.mark.parametrize("size", [(480, 640), (200, 100)])
def test_without_randomness_an_image_is_fitted_to_fixed_resolution(size):
    affine = random_affine(np.random.default_rng(0), size, (512, 512), STILL)
    np.testing.assert_allclose(affine, geometry.fixed_resolution(size, (512, 512)), atol=1e-9)


def test_a_certain_flip_mirrors_the_fitted_image():
    image = np.random.default_rng(3).integers(0, 256, (61, 81, 3), np.uint8)
    flip = DatasetConfig(
        rand_crop=False, shift=0.0, scale=0.0, aug_rot=0.0, rotate=0.0, flip_prop=1.0
    )
    affine = random_affine(np.random.default_rng(0), (61, 81), (81, 81), flip)
    # At its own scale; the middle 40.5 is 39.5 after the flip, so all moves one pixel right.
    np.testing.assert_allclose(affine, [[-1, 0, 81], [0, 1, 10]], atol=1e-9)
    moved = geometry.warp(image, affine, (81, 81))
    np.testing.assert_array_equal(moved[10:71, 1:], image[:, :0:-1])


def test_the_same_seed_draws_the_same_and_another_seed_something_else():
    def draw(seed):
        random = np.random.default_rng(seed)
        affine = random_affine(random, (480, 640), (512, 512), CROP)
        return affine, random_colour(random, np.full(3, 90.0), statistics())

    for first, again, other in zip(draw(5), draw(5), draw(6), strict=True):
        np.testing.assert_array_equal(first, again)
        assert not np.allclose(first, other)


@pytest.mark.parametrize(
    ("size", "borders"),
    [
        ((480, 640), (128, 128)),
        ((200, 300), (64, 128)),  # 200 - 128 < 128 <= 300 - 128
        ((256, 257), (64, 128)),  # 256 - 128 is not more than 128
        ((20, 33), (8, 16)),
    ],
)
def test_crops_stay_a_border_from_the_edges_and_use_every_scale(size, borders):
    random = np.random.default_rng(7)
    centres, sides = [], []
    for _ in range(1500):
        affine = random_affine(random, size, (512, 512), CROP)
        centres.append(geometry.inverted(affine) @ [256, 256, 1])
        sides.append(512 / affine[0, 0])
    centres = np.array(centres)
    np.testing.assert_allclose(centres, np.round(centres), atol=1e-6)
    for axis, (side, border) in enumerate(zip(size[::-1], borders[::-1], strict=True)):
        positions = np.unique(np.round(centres[:, axis]))
        assert positions.min() >= border and positions.max() <= side - border - 1
        # 1,500 draws out of at most 384 positions come close to both ends.
        assert positions.min() <= border + 3 and positions.max() >= side - border - 4
    np.testing.assert_allclose(
        np.unique(np.round(np.array(sides) / max(size), 6)),
        [0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3],
    )


def test_a_flipped_crop_is_the_mirrored_image_cropped_around_the_mirrored_centre():
    size, output_size = (300, 401), (128, 128)
    flip = DatasetConfig(
        rand_crop=True, shift=0.1, scale=0.4, aug_rot=0.0, rotate=0.0, flip_prop=1.0
    )
    for seed in range(10):
        plain = random_affine(np.random.default_rng(seed), size, output_size, CROP)
        flipped = random_affine(np.random.default_rng(seed), size, output_size, flip)
        x, y = geometry.inverted(plain) @ [64, 64, 1]
        around = reference.affine((400 - x, y), 128 / plain[0, 0], 0, output_size)
        for point in ((0, 0), (400, 299), (123, 45)):
            np.testing.assert_allclose(
                flipped @ (*point, 1), around @ (400 - point[0], point[1], 1), atol=1e-6
            )


def test_shift_scale_and_rotation_are_clipped_normals():
    size, output_size = (300, 400), (128, 128)
    augmentation = DatasetConfig(
        rand_crop=False, shift=0.1, scale=0.4, aug_rot=1.0, rotate=20.0, flip_prop=0.0
    )
    clipped = 0
    for seed in range(60):
        affine = random_affine(np.random.default_rng(seed), size, output_size, augmentation)
        again = np.random.default_rng(seed)
        drift, growth = again.normal(0, 0.1, 2), again.normal(0, 0.4)
        degrees = again.normal(0, 20.0)  # rotated always
        clipped += (abs(drift) > 0.2).any() + (abs(growth) > 0.4) + (abs(degrees) > 40)
        centre = np.array([200, 150]) + 400 * np.clip(drift, -0.2, 0.2)
        side = 400 * (1 + np.clip(growth, -0.4, 0.4))
        expected = reference.affine(centre, side, np.clip(degrees, -40, 40), output_size)
        np.testing.assert_allclose(affine, expected, atol=1e-6)
    assert clipped > 10


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_flips_are_as_frequent_as_configured(probability):
    random = np.random.default_rng(9)
    flip = DatasetConfig(
        rand_crop=True, shift=0.0, scale=0.0, aug_rot=0.0, rotate=0.0, flip_prop=probability
    )
    flips = [random_affine(random, (99, 99), (64, 64), flip)[0, 0] < 0 for _ in range(800)]
    assert np.mean(flips) == pytest.approx(probability, abs=0.05)
