# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The references themselves, against numbers worked by hand, OpenCV and stored PyTorch values."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import reference

ORACLES = Path(__file__).parent / "oracles"


# --- targets ---------------------------------------------------------------------------------


def test_radius_of_a_ten_by_ten_box():
    # 1: (20 + sqrt(400 - 4*100*0.3/1.7)) / 2   = (20 + 18.1497) / 2  = 19.07
    # 2: (40 + sqrt(1600 - 16*30)) / 2          = (40 + 33.4664) / 2  = 36.73
    # 3: (-28 + sqrt(784 + 4*2.8*30)) / 2       = (-28 + 33.4664) / 2 = 2.7332
    assert reference.gaussian_radius(10, 10) == pytest.approx(2.73320, abs=1e-5)


def test_radius_of_a_flat_box_does_not_depend_on_its_direction():
    # 3: (-0.7*2*24 + sqrt(33.6² + 4*2.8*0.3*80)) / 2 = (-33.6 + sqrt(1397.76)) / 2 = 1.8933
    assert reference.gaussian_radius(4, 20) == pytest.approx(1.89332, abs=1e-4)
    assert reference.gaussian_radius(20, 4) == reference.gaussian_radius(4, 20)


def test_peak_of_radius_two():
    # Radius int(2.73) = 2, sigma 5/6, 2 sigma² = 25/18: exp(-0.72 d²).
    targets = reference.draw_targets([(1, 6.25, 5.75, 10, 10)], 2, 12, 14)
    peak = np.exp(-0.72 * np.array([4, 1, 0, 1, 4]))
    expected = np.zeros((2, 12, 14))
    expected[1, 3:8, 4:9] = np.outer(peak, peak)
    np.testing.assert_allclose(targets.hm, expected, rtol=1e-12)
    assert targets.hm[1, 5, 7] == pytest.approx(0.486752, abs=1e-6)
    assert targets.hm[1, 3, 4] == pytest.approx(0.003151, abs=1e-6)
    np.testing.assert_array_equal(targets.wh, [[10, 10]])
    np.testing.assert_array_equal(targets.reg, [[0.25, 0.75]])
    np.testing.assert_array_equal(targets.centre, [[6, 5]])
    np.testing.assert_array_equal(targets.radius, [2])


def test_radius_is_taken_from_sides_rounded_up():
    # 9.2 by 9.01 counts as 10 by 10.
    targets = reference.draw_targets([(0, 6, 6, 9.2, 9.01)], 1, 12, 12)
    assert targets.radius[0] == 2
    # ceil(1) = 1: (-2.8 + sqrt(7.84 + 3.36)) / 2 = 0.27, so radius 0 and a single one.
    targets = reference.draw_targets([(0, 3.9, 2.0, 0.7, 1.0)], 1, 4, 4)
    assert targets.hm.sum() == 1 and targets.hm[0, 2, 3] == 1


def test_overlapping_peaks_keep_the_maximum_and_borders_cut():
    objects = [(0, 0, 0, 10, 10), (0, 2, 0, 10, 10), (1, 1, 0, 10, 10)]
    hm = reference.draw_targets(objects, 2, 3, 4).hm
    e = np.exp(-0.72)
    # Row 0: centres at 0 and 2; column 1 is one away from both, column 3 one away from the second.
    np.testing.assert_allclose(hm[0, 0], [1, e, 1, e], rtol=1e-12)
    np.testing.assert_allclose(hm[1, 0], [e, 1, e, e**4], rtol=1e-12)
    np.testing.assert_allclose(hm[0, 2], e**4 * np.array([1, e, 1, e]), rtol=1e-12)


def test_msra_peak_of_radius_one_reaches_three_cells():
    # Sigma 1: exp(-d²/2), cut at 3, corner exp(-9).
    drawn = reference.peak(4, 3, 1, 8, 10, "msra")
    line = np.exp(-0.5 * np.array([9, 4, 1, 0, 1, 4, 9]))
    expected = np.zeros((8, 10))
    expected[0:7, 1:8] = np.outer(line, line)
    np.testing.assert_allclose(drawn, expected, rtol=1e-12)
    assert drawn[0, 1] == pytest.approx(1.234e-4, abs=1e-7)


def test_msra_peak_of_radius_zero_is_a_single_one():
    drawn = reference.peak(2, 1, 0, 3, 4, "msra")
    assert drawn[1, 2] == 1 and drawn.sum() == 1


def test_sizes_around_and_by_class():
    # 10x10 has radius 2, 1x1 radius 0; both of one row, three cells apart, and a last 9.2x9.5 with
    # radius 2 in the first one's cell.
    objects = [(0, 2.5, 1, 10, 10), (1, 5, 1, 1, 1), (1, 2, 1.5, 9.2, 9.5)]
    targets = reference.draw_targets(objects, 2, 2, 7)
    # Columns 0..4 are the last one's, as of equal peaks the last stays; 5 is the small one's.
    np.testing.assert_array_equal(targets.dense_wh[0, 1], [9.2] * 5 + [1, 0])
    np.testing.assert_array_equal(targets.dense_wh[1, 1], [9.5] * 5 + [1, 0])
    e = np.exp(-0.72)
    np.testing.assert_allclose(targets.dense_wh_mask[1], [e**4, e, 1, e, e**4, 1, 0], rtol=1e-12)
    np.testing.assert_array_equal(
        targets.cat_spec_wh, [[10, 10, 0, 0], [0, 0, 1, 1], [0, 0, 9.2, 9.5]]
    )
    np.testing.assert_array_equal(targets.cat_spec_mask, [[1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])


def test_centre_outside_is_refused():
    with pytest.raises(ValueError, match="outside"):
        reference.draw_targets([(0, 4.0, 1.0, 2, 2)], 1, 4, 4)


# --- losses ----------------------------------------------------------------------------------


def test_focal_loss_at_even_odds():
    # p = 1/2 everywhere; ln(1/2)/4 = -0.1732868 for the peak and for target 0,
    # times (1/2)^4 for target 1/2. One peak: 0.1732868 * (1 + 1 + 1/16).
    loss = reference.focal_loss(np.zeros(3), np.array([1.0, 0.0, 0.5]))
    assert loss == pytest.approx(0.1732868 * 2.0625, abs=1e-6)
    # Two peaks halve the sum of twice the terms and one of target 0: (2 + 1) / 2.
    loss = reference.focal_loss(np.zeros(3), np.array([1.0, 1.0, 0.0]))
    assert loss == pytest.approx(0.1732868 * 1.5, abs=1e-6)


def test_focal_loss_without_peaks_is_not_divided():
    loss = reference.focal_loss(np.zeros(8), np.zeros(8))
    assert loss == pytest.approx(8 * 0.1732868, abs=1e-6)


def test_focal_loss_is_clipped():
    # p = 0.9999 for any large logit: -0.9999² ln(0.0001) = 0.99980001 * 9.2103404.
    loss = reference.focal_loss(np.array([40.0]), np.array([0.0]))
    assert loss == pytest.approx(9.2084985, abs=1e-6)


def test_regression_losses():
    prediction = np.zeros((2, 2, 3, 4))
    prediction[0, :, 1, 2] = (3.0, 1.0)
    prediction[1, :, 2, 0] = (-1.0, 0.25)
    objects = [(0, 2, 1, 1.0, 1.5), (1, 0, 2, -1.0, 0.0)]
    # Errors 2, 0.5, 0, 0.25: sum 2.75. Smooth: 1.5, 0.125, 0, 0.03125: sum 1.65625.
    assert reference.l1_loss(prediction, objects) == pytest.approx(2.75 / 2.0001)
    assert reference.l1_loss(prediction, objects, "coordinate") == pytest.approx(2.75 / 4.0001)
    assert reference.smooth_l1_loss(prediction, objects) == pytest.approx(1.65625 / 2.0001)
    assert reference.smooth_l1_loss(prediction, objects, "coordinate") == pytest.approx(
        1.65625 / 4.0001
    )
    assert reference.l1_loss(prediction, []) == 0


def test_losses_agree_with_pytorch():
    with np.load(ORACLES / "losses.npz", allow_pickle=False) as stored:
        for case in ("usual", "empty", "saturated"):
            loss = reference.focal_loss(
                stored[f"focal_{case}_logits"], stored[f"focal_{case}_target"]
            )
            assert loss == pytest.approx(float(stored[f"focal_{case}_loss"]), rel=1e-6)
        objects = [
            (b, x, y, *goal)
            for (b, y, x), goal in zip(
                stored["regression_index"], stored["regression_target"], strict=True
            )
        ]
        for kind, function in (("l1", reference.l1_loss), ("sl1", reference.smooth_l1_loss)):
            for per in ("object", "coordinate"):
                loss = function(stored["regression_prediction"], objects, per)
                assert loss == pytest.approx(float(stored[f"{kind}_{per}_loss"]), rel=1e-6)


# --- detections ------------------------------------------------------------------------------


def test_decode_of_two_classes():
    hm = np.zeros((2, 3, 4))
    hm[0, 1, 1], hm[0, 1, 2], hm[0, 0, 3] = 0.9, 0.8, 0.3  # 0.8 lies beside 0.9; 0.3 beside 0.8
    hm[1, 2, 3], hm[1, 0, 0] = 0.85, 0.2
    wh, reg = np.full((2, 3, 4), 2.0), np.zeros((2, 3, 4))
    wh[1] = 4.0
    reg[:, 2, 3] = (0.5, 0.25)
    result = reference.decode(hm, wh, reg, 3)
    expected = [
        (0, -1, 2, 3, 0.9, 0),  # centre 1, 1, size 2 by 4
        (2.5, 0.25, 4.5, 4.25, 0.85, 1),  # centre 3.5, 2.25
        (-1, -2, 1, 2, 0.2, 1),  # centre 0, 0
    ]
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12)


def test_decode_keeps_every_cell_of_a_plateau_and_fills_up():
    hm = np.zeros((1, 2, 5))
    hm[0, 0, :2] = 0.5
    result = reference.decode(hm, np.zeros((2, 2, 5)), np.zeros((2, 2, 5)), 100)
    assert result.shape == (10, 6)
    np.testing.assert_array_equal(result[:, 4], [0.5, 0.5] + [0] * 8)
    np.testing.assert_array_equal(result[:2, 0], [0, 1])


def test_soft_nms_with_and_without_plus_one():
    boxes = np.array([[5, 0, 14, 9, 0.5], [0, 0, 9, 9, 0.9], [40, 40, 49, 49, 0.0005]])
    # +1: 5x10 of 100 + 100 - 50, IoU 1/3, exp(-(1/9)/0.5) = 0.800737.
    kept = reference.soft_nms(boxes)
    np.testing.assert_allclose(kept[:, 4], [0.9, 0.5 * 0.800737, 0.0005], atol=1e-6)
    np.testing.assert_array_equal(kept[:, 0], [0, 5, 40])
    # Continuous: 4x9 of 81 + 81 - 36, IoU 2/7, exp(-(4/49)/0.5) = 0.849365.
    kept = reference.soft_nms(boxes, plus_one=False)
    np.testing.assert_allclose(kept[:, 4], [0.9, 0.5 * 0.849365, 0.0005], atol=1e-6)


def test_soft_nms_rescores_repeatedly_and_drops():
    # Equal boxes: each taken box multiplies the rest by exp(-2) = 0.135335.
    boxes = np.array([[0, 0, 9, 9, score] for score in (0.8, 0.4, 0.2, 0.005)])
    kept = reference.soft_nms(boxes)
    # 0.005 * 0.1353 = 0.00068 < 0.001 goes in the first round; 0.2 is hit twice.
    np.testing.assert_allclose(kept[:, 4], [0.8, 0.4 * 0.135335, 0.2 * 0.0183156], atol=1e-6)
    assert boxes[3, 4] == 0.005  # the input is left alone
    assert reference.soft_nms(np.zeros((0, 5))).shape == (0, 5)


# --- geometry --------------------------------------------------------------------------------


def test_affine_without_rotation():
    # 100 pixels become 20; (50, 40) becomes (10, 10), whatever the height in scale.
    expected = [[0.2, 0, 0], [0, 0.2, 2]]
    matrix = reference.affine((50, 40), 100, 0, (20, 20))
    np.testing.assert_allclose(matrix, expected, atol=1e-12)
    matrix = reference.affine((50, 40), (100, 7), 0, (20, 20))
    np.testing.assert_allclose(matrix, expected, atol=1e-12)
    back = reference.affine((50, 40), 100, 0, (20, 20), inverse=True)
    np.testing.assert_allclose(back, [[5, 0, 0], [0, 5, -10]], atol=1e-12)


def test_affine_quarter_turn():
    # The point 50 above the centre turns to 50 right of it, (100, 40), and goes to the top middle
    # (10, 0); so x' = 0.2 y + 2, y' = 20 - 0.2 x.
    matrix = reference.affine((50, 40), 100, 90, (20, 20))
    np.testing.assert_allclose(matrix, [[0, 0.2, 2], [-0.2, 0, 20]], atol=1e-12)


def test_warp_by_half_a_pixel():
    image = np.array([[10.0, 20.0, 40.0]])
    result = reference.warp_bilinear(image, np.array([[1, 0, 0.5], [0, 1, 0]]), (4, 1))
    # Output u looks at u - 0.5: half of 0 and 10, of 10 and 20, of 20 and 40, of 40 and 0.
    np.testing.assert_allclose(result, [[5, 15, 30, 20]], atol=1e-12)


def test_warp_agrees_with_opencv():
    rows, columns = np.mgrid[:40, :60]
    waves = [np.sin(rows / 5 + phase) + np.cos(columns / 7 - phase) for phase in range(3)]
    image = np.rint(127 + 60 * np.stack(waves, axis=-1)).astype(np.uint8)
    matrix = reference.affine((28.3, 21.9), 47.0, 20.0, (32, 24))
    ours = reference.warp_bilinear(image, matrix, (32, 24))
    theirs = cv2.warpAffine(image, matrix, (32, 24), flags=cv2.INTER_LINEAR).astype(np.float64)
    # Places rounded to 1/32 pixel: a slope of 20 a pixel moves a value by 0.3 or less, and there is
    # the rounding to bytes. At the zero border the slope is the value itself.
    difference = np.abs(ours - theirs)
    assert np.median(difference) < 0.5
    assert np.percentile(difference, 99) < 1.5
    assert difference.max() < 6


# --- layers ----------------------------------------------------------------------------------


def test_deformable_conv_tap_order_and_border():
    x = np.arange(12.0).reshape(1, 3, 4)
    zero, one = np.zeros((9, 3, 4)), np.ones((9, 3, 4))
    weight = np.zeros((1, 1, 3, 3))
    weight[0, 0, 0, 2] = 2.0  # reads one row up, one column right
    result = reference.modulated_deformable_conv(x, zero, zero, one, weight, np.array([0.5]))
    expected = [[0.5, 0.5, 0.5, 0.5], [2.5, 4.5, 6.5, 0.5], [10.5, 12.5, 14.5, 0.5]]
    np.testing.assert_allclose(result[0], expected)


def test_deformable_conv_offsets_and_mask():
    x = np.arange(12.0).reshape(1, 3, 4)
    offset_x, offset_y, mask = np.zeros((9, 3, 4)), np.zeros((9, 3, 4)), np.ones((9, 3, 4))
    weight = np.zeros((1, 1, 3, 3))
    weight[0, 0, 1, 1] = 1.0
    offset_x[4, 1, 1] = 0.5  # between 5 and 6
    offset_y[4, 1, 2] = -0.25  # 0.75 * 6 + 0.25 * 2
    offset_x[4, 1, 3] = 0.5  # between 7 and nothing
    offset_y[4, 2, 0] = 1.0  # wholly outside
    mask[4, 0, 1] = 0.25  # a quarter of 1
    result = reference.modulated_deformable_conv(x, offset_x, offset_y, mask, weight, np.zeros(1))
    expected = [[0, 0.25, 2, 3], [4, 5.5, 5, 3.5], [0, 9, 10, 11]]
    np.testing.assert_allclose(result[0], expected)


def test_deformable_conv_agrees_with_pytorch():
    with np.load(ORACLES / "resnet18_forward.npz", allow_pickle=False) as stored:
        result = reference.modulated_deformable_conv(
            stored["dcn_x"],
            stored["dcn_offset"][1::2],
            stored["dcn_offset"][0::2],
            stored["dcn_mask"],
            stored["dcn_weight"],
            stored["dcn_bias"],
        )
        np.testing.assert_allclose(result, stored["dcn_y"], rtol=1e-5, atol=1e-5)


# --- schedules -------------------------------------------------------------------------------


def test_multi_decay():
    def rate(step):
        return reference.multi_decay(step, 0.8, 4, 10, (3, 5), 10)

    # Warm-up 1/4 to 4/4; drops with the first step of epochs 3 and 5 (counted from 0).
    rates = [rate(step) for step in (0, 1, 3, 4, 29, 30, 49, 50)]
    np.testing.assert_allclose(rates, [0.2, 0.4, 0.8, 0.8, 0.8, 0.08, 0.08, 0.008])


def test_poly_decay():
    def rate(step):
        return reference.poly_decay(step, 1.1, 0.1, 2, 4, 10)

    # 0: (1 + 0.1)/4; 1: (0.81 + 0.1)/2; 5: 0.25 + 0.1; 10 and after: 0.1.
    rates = [rate(step) for step in (0, 1, 5, 10, 12)]
    np.testing.assert_allclose(rates, [0.275, 0.455, 0.35, 0.1, 0.1])
    assert reference.poly_decay(0, 1.1, 0.1, 2, 0, 10) == pytest.approx(1.1)


# --- colour ----------------------------------------------------------------------------------


def test_colour_jitter_step_by_step():
    # Blue 1 and black: gray 0.114 and 0, mean 0.057.
    image = np.array([[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    identity = {"lighting": (0, 0, 0), "mean": (0, 0, 0), "std": (1, 1, 1)}
    order = ("brightness", "contrast", "saturation")
    result = reference.colour_jitter(image, 0.5, 0.8, 1.2, order, **identity)
    # Blue pixel: B 1 -> 0.5 -> 0.4 + 0.2*0.057 = 0.4114 -> 0.49368 - 0.2*0.114 = 0.47088
    #             G 0 -> 0   -> 0.0114            -> 0.01368 - 0.0228 = -0.00912
    # Black pixel: 0 -> 0 -> 0.0114 -> 0.01368 - 0
    expected = [[[0.47088, -0.00912, -0.00912], [0.01368, 0.01368, 0.01368]]]
    np.testing.assert_allclose(result, expected, atol=1e-12)
    # Brightness last scales what contrast added: B (0.8 + 0.0114) * 1.2 - 0.0228, halved.
    order = ("contrast", "saturation", "brightness")
    result = reference.colour_jitter(image, 0.5, 0.8, 1.2, order, **identity)
    assert result[0, 0, 0] == pytest.approx((0.8114 * 1.2 - 0.0228) / 2)


def test_lighting_and_normalisation():
    # First eigenvector times 0.2141788 * 0.1; then (x - mean) / std.
    shift = reference.lighting_shift((0.1, 0, 0))
    np.testing.assert_allclose(shift, [-0.0125836, -0.0124925, -0.0120131], atol=1e-7)
    result = reference.colour_jitter(
        np.full((1, 1, 3), 0.5), 1, 1, 1, (), shift, (0.5, 0.4, 0.3), (0.1, 0.2, 0.5)
    )
    np.testing.assert_allclose(
        result[0, 0], [-0.125836, (0.1 - 0.0124925) / 0.2, (0.2 - 0.0120131) / 0.5], atol=1e-5
    )
