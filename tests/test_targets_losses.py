# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Heat maps drawn on the device, and the losses, against NumPy and PyTorch's stored values."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from src.data.augment import normalisation, normalise
from src.models.layers import RowsAt
from src.models.losses import CenterNetLoss, FocalLoss, LossOptions, RegressionLoss
from src.models.targets import DenseSizes, Gaussians, HeatMap
from tests import reference
from tests.helpers import GivenHeads, object_rows, oracle, run, run_with_gradients, statistics

CLASSES, HEIGHT, WIDTH, ROWS = 4, 20, 28, 12


# --- targets ---------------------------------------------------------------------------------


class Drawn(nn.Cell):
    """A table's heat map, and its dense sizes with their weights."""

    def __init__(self) -> None:
        super().__init__()
        self.gaussians, self.heat_map = Gaussians((HEIGHT, WIDTH)), HeatMap(CLASSES)
        self.dense_sizes = DenseSizes()

    def construct(self, objects: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gaussians = self.gaussians(objects)
        sizes, weight = self.dense_sizes(gaussians, objects)
        return self.heat_map(gaussians, objects), sizes, weight


def random_objects(seed: int, count: int) -> list[tuple[float, ...]]:
    random = np.random.default_rng(seed)
    return [
        (random.integers(CLASSES), random.uniform(0, WIDTH), random.uniform(0, HEIGHT),
         *random.uniform(0.5, 26, 2))
        for _ in range(count)
    ]  # fmt: skip


CORNERS = [(c, x, y, 12, 15) for c, (x, y) in enumerate([(0, 0), (27, 0), (0, 19), (27, 19)])]
TABLES = {
    "none": [],
    "full": random_objects(0, ROWS),
    "some": random_objects(1, 5),
    "corners": CORNERS,
    "equal centres of a class, the smaller last": [(1, 9.5, 8.5, 20, 22), (1, 9.2, 8.7, 6, 5)],
    "equal centres of two classes": [(1, 9.5, 8.5, 20, 22), (2, 9.2, 8.7, 6, 5)],
    "neighbours of a class": [(3, 9, 8, 20, 22), (3, 10, 8, 20, 22), (3, 12, 11, 9, 9)],
    "radius 0": [(0, 3.9, 2.0, 0.7, 1.0), (0, 4.0, 2.0, 1.0, 1.0)],
}


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[np.ndarray, ...]]:
    """hm, dense sizes and their weights of each table, drawn as one batch."""
    batch = np.stack([object_rows(objects, ROWS) for objects in TABLES.values()])
    return dict(zip(TABLES, zip(*run(Drawn(), batch), strict=True), strict=True))


@pytest.mark.parametrize("name", TABLES)
def test_heat_maps_are_the_originals_and_exactly_one_at_centres(drawn, name):
    targets = reference.draw_targets(TABLES[name], CLASSES, HEIGHT, WIDTH)
    hm = drawn[name][0]
    np.testing.assert_allclose(hm, targets.hm, atol=1e-5)
    np.testing.assert_array_equal(hm == 1, targets.hm == 1)
    np.testing.assert_array_equal(hm == 0, targets.hm < 1e-30)


def test_radius_two_by_hand():
    # Radius 2, sigma 5/6, 2 sigma² = 25/18: exp(-0.72 d²), cut at 2.
    objects = np.array([[[6, 5, 0.25, 0.75, 10, 10, 2, 1]]], np.float32)
    (found,) = run(Gaussians((HEIGHT, WIDTH)), objects)
    peak = np.exp(-0.72 * np.array([4, 1, 0, 1, 4]))
    expected = np.zeros((HEIGHT, WIDTH))
    expected[3:8, 4:9] = np.outer(peak, peak)
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["none", "full", "corners", "equal centres of two classes"])
def test_dense_sizes_are_of_the_largest_gaussian_of_any_class(drawn, name):
    objects = TABLES[name]
    _, sizes, weight = drawn[name]
    gaussians = [
        reference.draw_targets([row], CLASSES, HEIGHT, WIDTH).hm.max(axis=0) for row in objects
    ]
    gaussians = np.array(gaussians).reshape(-1, HEIGHT, WIDTH)
    best = gaussians.max(axis=0, initial=0)
    np.testing.assert_allclose(weight[0], best, atol=1e-5)
    checked = 0
    for y, x in np.argwhere(best > 0.01):
        values = np.sort(gaussians[:, y, x])
        if len(values) > 1 and values[-1] - values[-2] < 1e-4:
            continue  # either of two is right
        checked += 1
        winner = objects[int(gaussians[:, y, x].argmax())]
        np.testing.assert_allclose(sizes[:, y, x], winner[3:5], rtol=1e-6)
    assert checked > 20 or name == "none"


# --- single losses ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["usual", "empty", "saturated"])
def test_focal_loss_and_gradient_are_pytorchs(name):
    case = {key[len(f"focal_{name}_") :]: value for key, value in oracle("losses").items()
            if key.startswith(f"focal_{name}_")}  # fmt: skip
    (loss,), (gradient,) = run_with_gradients(Alone(FocalLoss()), case["logits"], case["target"])
    np.testing.assert_allclose(loss, case["loss"], rtol=1e-4)
    np.testing.assert_allclose(gradient, case["gradient"], atol=2e-5)


def test_cells_beside_the_centre_of_a_large_object_are_no_centres():
    target = reference.draw_targets([(0, 14, 10, 90, 100)], 1, HEIGHT, WIDTH).hm[None]
    assert target[0, 0, 10, 15] > 0.99
    logits = np.random.default_rng(0).normal(0, 1, target.shape).astype(np.float32)
    (loss,) = run(FocalLoss(), logits, target.astype(np.float32))
    np.testing.assert_allclose(loss, reference.focal_loss(logits, target), rtol=1e-4)


class Alone(nn.Cell):
    """A loss as the only member of a tuple."""

    def __init__(self, loss: nn.Cell) -> None:
        super().__init__()
        self.loss = loss

    def construct(self, prediction: Tensor, target: Tensor) -> tuple[Tensor]:
        return (self.loss(prediction, target),)


class LossAtCells(nn.Cell):
    """A regression loss of a map (B,2,h,w) at cells, as `CenterNetLoss` reads it."""

    def __init__(self, kind: str, norm: str) -> None:
        super().__init__()
        self.rows_at, self.loss = RowsAt(), RegressionLoss(kind, norm)

    def construct(
        self, values: Tensor, cell: Tensor, target: Tensor, weight: Tensor
    ) -> tuple[Tensor]:
        return (self.loss(self.rows_at(values, cell, cell), target, weight),)


@pytest.mark.parametrize("norm", ["object", "coordinate"])
@pytest.mark.parametrize("kind", ["l1", "sl1"])
def test_regression_loss_and_gradient_are_pytorchs(kind, norm):
    arrays = oracle("losses")
    loss_cell = LossAtCells(kind, norm)
    cell, target = np.zeros((2, 4), np.int32), np.full((2, 4, 2), 9.0, np.float32)
    weight = np.zeros((2, 4, 1), np.float32)
    width = arrays["regression_prediction"].shape[3]
    used = [0, 0]
    for (b, y, x), goal in zip(
        arrays["regression_index"], arrays["regression_target"], strict=True
    ):
        cell[b, used[b]], target[b, used[b]], weight[b, used[b]] = y * width + x, goal, 1
        used[b] += 1
    for suffix, weights in (("", weight), ("_empty", np.zeros_like(weight))):
        (loss,), (gradient,) = run_with_gradients(
            loss_cell, arrays["regression_prediction"], cell, target, weights
        )
        stored = f"{kind}_{norm}{suffix}"
        np.testing.assert_allclose(loss, arrays[f"{stored}_loss"], rtol=1e-5)
        np.testing.assert_allclose(gradient, arrays[f"{stored}_gradient"], atol=1e-6)


# --- the whole loss --------------------------------------------------------------------------

OPTIONS = LossOptions(1.0, 0.1, 1.0, False, "l1", "object", False, False)


def losses(
    options: LossOptions, heads: tuple[np.ndarray, ...], tables: list[np.ndarray]
) -> list[np.ndarray]:
    """total, hm, wh and off of `CenterNetLoss` over given heads."""
    batch, classes, height, width = heads[0].shape
    cell = CenterNetLoss(GivenHeads(*heads), classes, (height, width), options)
    image = np.zeros((batch, 4 * height, 4 * width, 3), np.uint8)
    colour = np.tile(normalisation(statistics()), (batch, 1, 1))
    return run(cell, image, colour, np.stack(tables))


def changed(**changes: object) -> LossOptions:
    return LossOptions(**{**vars(OPTIONS), **changes})


@pytest.mark.parametrize(
    ("options", "has_reg"),
    [
        (OPTIONS, True),
        (changed(hm_weight=0.5, wh_weight=2.0, off_weight=3.0), True),
        (OPTIONS, False),
        (changed(reg_norm="coordinate"), True),
        (changed(reg_loss="sl1"), True),
        (changed(mse_loss=True), True),
        (changed(cat_spec_wh=True), True),
        (changed(dense_wh=True), True),
        (changed(dense_wh=True, reg_norm="coordinate"), False),
    ],
    ids=["recipe", "weights", "no reg", "coordinate", "sl1", "mse", "cat_spec_wh", "dense_wh",
         "dense_wh coordinate"],
)  # fmt: skip
def test_each_variant_of_the_loss_is_the_plain_sum_of_its_parts(options, has_reg):
    random = np.random.default_rng(5)
    objects = [TABLES["some"], TABLES["corners"]]
    targets = [reference.draw_targets(rows, CLASSES, HEIGHT, WIDTH) for rows in objects]
    hm = random.normal(-2, 1.5, (2, CLASSES, HEIGHT, WIDTH)).astype(np.float32)
    wh_channels = 2 * CLASSES if options.cat_spec_wh else 2
    wh = random.uniform(0, 25, (2, wh_channels, HEIGHT, WIDTH)).astype(np.float32)
    reg = random.normal(0.5, 1.0, (2, 2, HEIGHT, WIDTH)).astype(np.float32)

    target = np.stack([image.hm for image in targets])
    hm_loss = np.mean((hm - target) ** 2) if options.mse_loss else reference.focal_loss(hm, target)
    wh_rows, reg_rows, wh_read = [], [], wh.copy()
    for b, (rows, image) in enumerate(zip(objects, targets, strict=True)):
        for row, (x, y), size, offset in zip(rows, image.centre, image.wh, image.reg, strict=True):
            wh_rows.append((b, x, y, *size))
            reg_rows.append((b, x, y, *offset))
            if options.cat_spec_wh:  # this object's class where `reference` looks
                wh_read[b, :2, y, x] = wh[b, 2 * row[0] : 2 * row[0] + 2, y, x]
    loss = reference.smooth_l1_loss if options.reg_loss == "sl1" else reference.l1_loss
    if options.dense_wh:
        wh_loss = dense_l1(wh, objects, options.reg_norm)
    else:
        wh_loss = loss(wh_read[:, :2], wh_rows, options.reg_norm)
    off_loss = loss(reg, reg_rows, options.reg_norm) if has_reg else 0.0
    total = options.hm_weight * hm_loss + options.wh_weight * wh_loss
    total += options.off_weight * off_loss

    heads = (hm, wh, reg) if has_reg else (hm, wh)
    tables = [object_rows(rows, ROWS) for rows in objects]
    found = losses(options, heads, tables)
    np.testing.assert_allclose(found, [total, hm_loss, wh_loss, off_loss], rtol=1e-4)


def dense_l1(wh: np.ndarray, objects: list[list[tuple[float, ...]]], norm: str) -> float:
    """The original's dense_wh: L1 of every cell, weighted by the largest Gaussian over it."""
    total, weights = 0.0, 0.0
    for b, rows in enumerate(objects):
        gaussians = np.stack(
            [reference.draw_targets([row], CLASSES, HEIGHT, WIDTH).hm.max(axis=0) for row in rows]
        )
        weight = gaussians.max(axis=0)
        sizes = np.array([row[3:5] for row in rows])[gaussians.argmax(axis=0)]
        error = np.abs(wh[b].transpose(1, 2, 0) - sizes).sum(axis=2)
        total, weights = total + (error * weight).sum(), weights + weight.sum()
    return total / (weights * {"object": 1, "coordinate": 2}[norm] + 1e-4)


def test_the_loss_of_stored_heads_is_pytorchs():
    arrays = oracle("resnet18_forward")
    heads = tuple(arrays[f"plain_{name}"] for name in ("hm", "wh", "reg"))
    found = losses(OPTIONS, heads, [object_rows(arrays["loss_objects"].tolist(), 8)])
    expected = [arrays[f"loss_{name}"] for name in ("total", "hm", "wh", "reg")]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_batch_without_objects_has_no_regression_loss():
    random = np.random.default_rng(6)
    heads = [random.normal(-2, 1, (1, c, 8, 8)).astype(np.float32) for c in (CLASSES, 2, 2)]
    found = losses(OPTIONS, tuple(heads), [object_rows([], 3)])
    hm_loss = reference.focal_loss(heads[0], np.zeros((1, CLASSES, 8, 8)))
    np.testing.assert_allclose(found, [hm_loss, hm_loss, 0, 0], rtol=1e-4)


class ImageAsSizes(nn.Cell):
    """A network whose wh is what it sees of blue and green at every fourth pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.hm = Tensor(np.zeros((2, 1, 4, 6)), ms.float32)

    def construct(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.hm, image[:, :2, ::4, ::4]


def test_the_network_sees_each_image_normalised_by_its_own_colour_and_channels_first():
    random = np.random.default_rng(7)
    image = random.integers(0, 256, (2, 16, 24, 3), np.uint8)
    colour = random.normal(0, 0.01, (2, 3, 4)).astype(np.float32)
    tables = [object_rows([(0, 5.5, 2.5, 3, 4)], 2), object_rows([(0, 1.5, 3.5, 7, 2)], 2)]
    cell = CenterNetLoss(ImageAsSizes(), 1, (4, 6), OPTIONS)
    found = run(cell, image, colour, np.stack(tables))[2]
    seen = np.stack(
        [normalise(image[b].transpose(2, 0, 1).copy(), colour[b])[:2, ::4, ::4] for b in range(2)]
    )
    expected = reference.l1_loss(seen, [(0, 5, 2, 3, 4), (1, 1, 3, 7, 2)])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
