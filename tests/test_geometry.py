# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The warp between images and network input."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from src.data import geometry
from tests import reference
from tests.helpers import tensorflow_stored

IDENTITY = np.eye(2, 3)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def test_centred_affine_is_the_originals_three_point_affine():
    random = np.random.default_rng(0)
    for _ in range(50):
        centre = tuple(random.uniform(0, 600, 2))
        side, degrees = random.uniform(50, 900), random.uniform(-180, 180)
        height, width = (int(value) for value in random.integers(64, 700, 2))
        expected = reference.affine(centre, side, degrees, (width, height))
        affine = geometry.centred_affine(centre, width / side, (height, width), degrees)
        np.testing.assert_allclose(affine, expected, atol=1e-8)


def test_inverted_affine_maps_output_to_image():
    affine = geometry.centred_affine((120.5, 77.0), 0.4, (96, 128), 30.0)
    expected = reference.affine((120.5, 77.0), 128 / 0.4, 30.0, (128, 96), inverse=True)
    np.testing.assert_allclose(geometry.inverted(affine), expected, atol=1e-9)


@pytest.mark.parametrize("width", [4, 5])
def test_mirrored_swaps_corner_pixels_of_even_and_odd_widths(width):
    image = noise(3, width)
    affine = geometry.mirrored(IDENTITY, width)
    np.testing.assert_array_equal(affine @ [0, 0, 1], [width - 1, 0])
    np.testing.assert_array_equal(affine @ [width - 1, 2, 1], [0, 2])
    np.testing.assert_array_equal(geometry.warp(image, affine, (3, width)), image[:, ::-1])


def test_mirrored_comes_before_the_affine():
    # A 10 wide image enlarged 3 times and moved by 5: pixel 2 is 7 after the flip, 3 * 7 + 5.
    affine = geometry.mirrored(np.array([[3.0, 0, 5], [0, 3.0, 0]]), 10)
    np.testing.assert_allclose(affine @ [2, 1, 1], [26, 3])


@pytest.mark.parametrize(
    ("size", "output_size"), [((480, 640), (512, 512)), ((333, 200), (96, 96))]
)
def test_fixed_resolution_is_the_originals(size, output_size):
    height, width = size
    expected = reference.affine((width / 2, height / 2), max(size), 0, output_size[::-1])
    np.testing.assert_allclose(geometry.fixed_resolution(size, output_size), expected, atol=1e-9)


def test_fixed_resolution_fits_an_image_into_a_flat_output():
    # 100x200 (height x width) into 64x256: 64/200 of its size, its middle in the middle.
    affine = geometry.fixed_resolution((100, 200), (64, 256))
    np.testing.assert_allclose(affine, [[0.32, 0, 128 - 32], [0, 0.32, 32 - 16]])


@pytest.mark.parametrize(
    ("size", "fitted"),  # the latter by TensorFlow's resizer; the last here alone
    [
        ((427, 640), (342, 512)), ((500, 333), (512, 341)), ((1000, 100), (512, 51)),
        ((1024, 101), (512, 50)), ((2000, 1), (512, 1)),
    ],
)  # fmt: skip
def test_in_the_corner_sides_are_whole_pixels(size, fitted):
    affine = geometry.fixed_resolution(size, (512, 512), "corner")
    np.testing.assert_allclose(affine @ [size[1], size[0], 1], fitted[::-1], atol=1e-9)
    np.testing.assert_array_equal(affine @ [0, 0, 1], [0, 0])


@pytest.mark.parametrize("placement", ["corner", "corner_half_pixel"])
def test_an_image_in_the_corner_is_followed_by_black(placement):
    image = np.full((10, 20, 3), 200, np.uint8)
    warped, _ = geometry.InputGeometry(False, 127, (32, 32), placement)(image)
    assert (warped[:, :16] == 200).all() and not warped[:, 16:].any()


@pytest.mark.parametrize("size", [(50, 77), (211, 150), (1, 40)])
def test_half_pixel_is_what_opencv_takes(size):
    image = noise(*size)
    warped, affine = geometry.InputGeometry(False, 127, (128, 128), "corner_half_pixel")(image)
    width, height = np.rint(affine @ [size[1], size[0], 1]).astype(int)
    expected = cv2.resize(image.astype(np.float32), (int(width), int(height)))
    np.testing.assert_allclose(warped[:, :height, :width], expected.transpose(2, 0, 1), atol=0.501)


@pytest.mark.parametrize("kind", ["down", "up"])
def test_in_the_corner_pixels_are_tensorflows(kind):
    stored = tensorflow_stored("preprocess")
    image = np.ascontiguousarray(stored[f"{kind}/image_rgb"][:, :, ::-1])
    warped, _ = geometry.InputGeometry(False, 127, (128, 128), "corner")(image)
    expected = stored[f"{kind}/resized_padded"][:, :, ::-1].transpose(2, 0, 1)
    np.testing.assert_allclose(warped, expected, rtol=0, atol=0.501)
    assert np.abs(expected[:, 1:] - expected[:, :-1]).max() > 50
    height, width, _ = stored[f"{kind}/true_shape"]
    assert not warped[:, height:].any() and not warped[:, :, width:].any()


@pytest.mark.parametrize("side", [512, 1024])
def test_in_the_corner_sizes_are_tensorflows(side):
    stored = tensorflow_stored("preprocess")
    for size, fitted in zip(stored["sizes/input"], stored[f"sizes/{side}"], strict=True):
        affine = geometry.fixed_resolution(tuple(size), (side, side), "corner")
        np.testing.assert_allclose(affine @ [*size[::-1], 1], fitted[::-1], rtol=1e-12)


@pytest.mark.parametrize(
    ("size", "pad", "padded", "left_top"),
    [
        ((480, 640), 127, (512, 768), (64, 16)),  # 640 is whole 128s already and still grows
        ((480, 640), 31, (512, 672), (16, 16)),
        ((427, 639), 127, (512, 640), (1, 43)),  # 320 - 639 // 2, 256 - 427 // 2
        ((1, 1), 127, (128, 128), (64, 64)),
    ],
)
def test_keep_resolution_pads_each_side_and_moves_by_whole_pixels(size, pad, padded, left_top):
    affine, output_size = geometry.keep_resolution(size, 1.0, pad)
    assert output_size == padded
    np.testing.assert_array_equal(affine, [[1, 0, left_top[0]], [0, 1, left_top[1]]])
    image = noise(*size)
    expected = np.zeros((*padded, 3), np.uint8)
    expected[left_top[1] : left_top[1] + size[0], left_top[0] : left_top[0] + size[1]] = image
    np.testing.assert_array_equal(geometry.warp(image, affine, output_size), expected)


def test_keep_resolution_scales_before_it_pads():
    # 480x640 times 0.75 is 360x480: 384x512 with pad 127, the scaled image in its middle.
    affine, output_size = geometry.keep_resolution((480, 640), 0.75, 127)
    assert output_size == (384, 512)
    np.testing.assert_array_equal(affine, [[0.75, 0, 16], [0, 0.75, 12]])


@pytest.mark.parametrize(
    "affine",
    [
        [[2.0, 0, 3.5], [0, 2.0, -7.0]],
        [[0.5, 0, 2.25], [0, 0.5, 1.5]],
        [[0.0, 1.0, -2.0], [-1.0, 0, 25.0]],
    ],
)
def test_warp_is_bilinear_and_black_outside(affine):
    # These look up places on OpenCV's grid of 1/32 pixel, so that only rounding remains.
    image = noise(21, 30)
    warped = geometry.warp(image, np.array(affine), (24, 40))
    expected = reference.warp_bilinear(image, np.array(affine), (40, 24))
    assert warped.dtype == np.uint8
    np.testing.assert_allclose(warped, expected, atol=0.5001)
    assert (expected == 0).any() and (expected > 0).any()


def test_warp_gives_the_pixels_of_one_call_of_opencv_wherever_the_image_lands():
    random = np.random.default_rng(8)
    kinds = {"outside": 0, "over the edge": 0, "inside": 0}
    for trial in range(600):
        image = noise(*random.integers(1, 120, 2)) if trial % 3 else noise(96, 128)
        output_size = tuple(int(side) for side in random.integers(1, 160, 2))
        height, width = image.shape[:2]
        if trial % 3:
            centre, scale = random.uniform(-0.5, 1.5, 2) * [width, height], random.uniform(0.1, 4)
        else:  # as crops are drawn: OpenCV's fixed point has whole steps
            centre = random.integers(0, [width, height]).astype(float)
            scale = output_size[1] / (128 * random.choice([0.6, 0.8, 1.0, 1.3]))
        degrees = random.uniform(-180, 180) if trial % 5 == 0 else 0.0
        affine = geometry.centred_affine(centre, scale, output_size, degrees)
        if trial % 2:
            affine = geometry.mirrored(affine, width)
        expected = cv2.warpAffine(image, affine, output_size[::-1], flags=cv2.INTER_LINEAR)
        out = np.full((*output_size, 3), 77, np.uint8)
        assert geometry.warp(image, affine, output_size, out) is out
        np.testing.assert_array_equal(out, expected)
        black = (expected == 0).all(axis=2).mean()
        kinds["outside" if black == 1 else "over the edge" if black > 0.02 else "inside"] += 1
    assert min(kinds.values()) > 20


def test_the_exact_warp_is_true_bilinear_interpolation_in_its_thread_alone():
    if not cv2.ipp.getIppVersion():
        pytest.skip("this OpenCV comes without Intel's kernels")
    random = np.random.default_rng(12)
    image = noise(61, 83)
    with ThreadPoolExecutor(1, initializer=geometry.use_exact_warp) as pool:
        for trial in range(60):
            centre = random.uniform(0, 1, 2) * [83, 61]
            degrees = random.uniform(-30, 30) if trial % 2 else 0.0
            affine = geometry.centred_affine(centre, random.uniform(0.4, 2), (50, 70), degrees)
            if trial % 3 == 0:
                affine = geometry.mirrored(affine, 83)
            expected = reference.warp_bilinear(image, affine, (70, 50))
            exact = pool.submit(geometry.warp, image, affine, (50, 70)).result()
            np.testing.assert_allclose(exact, expected, rtol=0, atol=0.502)
            # Here, as everywhere else, OpenCV's own kernel with weights in steps of 1/32.
            here = geometry.warp(image, affine, (50, 70))
            np.testing.assert_allclose(here, expected, rtol=0, atol=8.5)
            opencv = cv2.warpAffine(image, affine, (70, 50), flags=cv2.INTER_LINEAR)
            np.testing.assert_array_equal(here, opencv)


def test_warp_of_a_smooth_image_by_any_affine():
    rows, columns = np.mgrid[0:60, 0:80]
    image = np.stack([2 * rows, 3 * columns, 255 - rows - columns], axis=2).astype(np.uint8)
    affine = geometry.centred_affine((37.3, 31.9), 0.83, (48, 48), 21.0)
    warped = geometry.warp(image, affine, (48, 48)).astype(float)
    expected = reference.warp_bilinear(image, affine, (48, 48))
    inside = reference.warp_bilinear(np.ones((60, 80)), affine, (48, 48)) > 0.999
    assert inside.mean() > 0.5
    np.testing.assert_allclose(warped[inside], expected[inside], atol=0.7)


def test_transform_boxes_of_a_quarter_turn_are_upright_again():
    # (x, y) to (10 - y, x): corners (1, 2) and (4, 8) become (8, 1) and (2, 4).
    affine = np.array([[0.0, -1.0, 10.0], [1.0, 0.0, 0.0]])
    boxes = np.array([[1.0, 2, 4, 8], [0, 0, 10, 1]])
    np.testing.assert_allclose(
        geometry.transform_boxes(boxes, affine), [[2, 1, 8, 4], [9, 0, 10, 10]]
    )


def test_transform_boxes_encloses_turned_corners():
    random = np.random.default_rng(2)
    affine = geometry.centred_affine((50, 60), 1.7, (128, 160), 33.0)
    low = random.uniform(0, 50, (20, 2))
    boxes = np.concatenate([low, low + random.uniform(1, 60, (20, 2))], axis=1)
    for box, moved in zip(boxes, geometry.transform_boxes(boxes, affine), strict=True):
        corners = [affine @ (x, y, 1) for x in box[[0, 2]] for y in box[[1, 3]]]
        np.testing.assert_allclose(moved[:2], np.min(corners, axis=0))
        np.testing.assert_allclose(moved[2:], np.max(corners, axis=0))


def test_transform_boxes_of_a_flip_keeps_left_before_right():
    moved = geometry.transform_boxes(np.array([[2.0, 1, 5, 3]]), geometry.mirrored(IDENTITY, 11))
    np.testing.assert_array_equal(moved, [[5, 1, 8, 3]])


def test_boxes_of_a_flipped_crop_by_hand():
    # A 100 wide image, mirrored (x is 99 - x), then the 40 by 20 around (59, 50) enlarged twice to
    # 80 by 40: (x, y) goes to 2 * (99 - x - 59) + 40 = 120 - 2x and 2 * (y - 50) + 20 = 2y - 80.
    affine = geometry.mirrored(geometry.centred_affine((59, 50), 2.0, (40, 80)), 100)
    np.testing.assert_allclose(affine, [[-2, 0, 120], [0, 2, -80]], atol=1e-12)
    boxes = [[30, 42, 50, 55], [0, 0, 99, 100]]
    np.testing.assert_allclose(
        geometry.transform_boxes(np.array(boxes, float), affine),
        [[20, 4, 60, 30], [-78, -80, 120, 120]],
    )


def test_transform_boxes_of_an_image_without_boxes():
    assert geometry.transform_boxes(np.zeros((0, 4), np.float32), IDENTITY).shape == (0, 4)


def test_input_geometry_keeps_pixels_and_puts_channels_first():
    image = noise(100, 120)
    warped, affine = geometry.InputGeometry(True, 127, (32, 32))(image)
    assert warped.shape == (3, 128, 128) and warped.dtype == np.uint8
    np.testing.assert_array_equal(affine, [[1, 0, 4], [0, 1, 14]])
    np.testing.assert_array_equal(warped[:, 14:114, 4:124], image.transpose(2, 0, 1))
    assert not warped[:, :14].any() and not warped[:, 114:].any()


def test_input_geometry_of_fixed_size_scales_the_size():
    warped, affine = geometry.InputGeometry(False, 127, (64, 64))(noise(50, 100), 1.5)
    assert warped.shape == (3, 96, 96)
    np.testing.assert_allclose(affine, [[0.96, 0, 0], [0, 0.96, 24]])


@pytest.mark.parametrize(
    ("size", "padded", "border"),  # border: top, bottom, left and right of the image, MMDetection's
    [
        ((480, 640), (511, 767), (15, 495, 63, 703)),
        ((375, 500), (383, 511), (4, 379, 5, 505)),
        ((250, 243), (255, 255), (2, 252, 6, 249)),
    ],
)
def test_sides_padded_to_odd_ones_as_mmdetection_does(size, padded, border):
    image, colour = noise(*size), (104, 116, 124)
    pads_to_odd = geometry.InputGeometry(True, 127, (32, 32), pad_to="odd", border=colour)
    warped, affine = pads_to_odd(image)
    assert warped.shape == (3, *padded) and pads_to_odd.input_size(size) == padded
    top, bottom, left, right = border
    np.testing.assert_array_equal(affine, [[1, 0, left], [0, 1, top]])
    expected = np.tile(np.uint8(colour), (*padded, 1))
    expected[top:bottom, left:right] = image
    np.testing.assert_array_equal(warped.transpose(1, 2, 0), expected)


@pytest.mark.parametrize("degrees", [0.0, 30.0])
def test_a_border_has_its_colour_wherever_opencv_puts_it(degrees):
    image, colour = noise(40, 60), (104, 0, 255)
    affine = geometry.centred_affine((30, 10), 0.8, (70, 90), degrees)
    expected = cv2.warpAffine(image, affine, (90, 70), flags=cv2.INTER_LINEAR, borderValue=colour)
    found = geometry.warp(image, affine, (70, 90), border=colour)
    np.testing.assert_array_equal(found, expected)
    with ThreadPoolExecutor(1, initializer=geometry.use_exact_warp) as pool:  # as in training
        again = pool.submit(geometry.warp, image, affine, (70, 90), border=colour).result()
        is_as_before = pool.submit(cv2.ipp.useIPP_NotExact).result()
    np.testing.assert_array_equal(again, expected)
    assert is_as_before or not cv2.ipp.getIppVersion()
    small, _ = geometry.InputGeometry(False, 0, (30, 30), "corner", border=colour)(image)
    assert (small[:, 20:] == np.reshape(colour, (3, 1, 1))).all() and small[2, :20].min() < 200


def test_places_of_pixels_are_half_a_pixel_from_their_areas():
    image = noise(20, 30)
    affine = np.array([[3.0, 0, 0], [0, 2.0, 0]])  # the area 30 by 20 becomes 90 by 40
    found = geometry.warp(image, geometry.of_pixel_centres(affine), (40, 90))
    expected = cv2.resize(image, (90, 40), interpolation=cv2.INTER_LINEAR)
    apart = np.abs(found.astype(int) - expected)[2:-2, 3:-3]  # black is mixed in at the border
    assert apart.max() <= 8  # of weights in steps of 1/32
    mirrored = geometry.of_pixel_centres(np.array([[[-1.0, 0, 30], [0, 1, 0]]]))
    np.testing.assert_array_equal(geometry.warp(image, mirrored[0], (20, 30)), image[:, ::-1])
