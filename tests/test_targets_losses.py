# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Targets drawn on the device, and the losses, against NumPy and PyTorch's stored values."""

from collections.abc import Sequence

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from src.data.augment import normalisation, normalise
from src.data.objects import object_tables
from src.model_utils.networks import ResNetConfig
from src.models.gaussians import Gaussians
from src.models.layers import RowsAt
from src.models.losses import FocalLoss, RegressionLoss
from src.models.network import WithLoss
from src.models.tasks.boxes import Loss, Targets
from tests import reference
from tests.helpers import (
    GivenHeads,
    graph_mode,
    object_rows,
    oracle,
    run,
    run_with_gradients,
    statistics,
    tensorflow_maps,
    tensorflow_stored,
)

CLASSES, HEIGHT, WIDTH, ROWS = 4, 20, 28, 12


# --- targets ---------------------------------------------------------------------------------


Objects = list[tuple[float, ...]]  # rows (class, cx, cy, w, h) on the output grid


def random_objects(random: np.random.Generator, count: int) -> Objects:
    return [
        (random.integers(CLASSES), random.uniform(0, WIDTH), random.uniform(0, HEIGHT),
         *random.uniform(0.5, 26, 2))
        for _ in range(count)
    ]  # fmt: skip


CORNERS = [(c, x, y, 12, 15) for c, (x, y) in enumerate([(0, 0), (27, 0), (0, 19), (27, 19)])]
SOME = random_objects(np.random.default_rng(1), 5)


def random_table(random: np.random.Generator) -> Objects:
    """Objects of one image: from none to a full table, every second one a special case."""
    objects = random_objects(random, random.choice([0, ROWS, random.integers(1, ROWS)]))
    for i, (label, cx, cy, w, h) in enumerate(objects):
        other = objects[random.integers(i)] if i else None
        match random.integers(10):
            case 0:  # in a corner
                cx, cy = random.choice([0.0, WIDTH - 1]), random.choice([0.0, HEIGHT - 1])
            case 1:  # radius 0
                w, h = random.uniform(0.1, 2, 2)
            case 2 if other:  # the centre of another of its class
                label, cx, cy = other[:3]
            case 3 if other:  # the centre of another class
                label, cx, cy = (other[0] + 1) % CLASSES, other[1], other[2]
            case 4 if other:  # the peak of another
                cx, cy, w, h = int(other[1]), int(other[2]), *np.ceil(other[3:])
        objects[i] = (label, cx, cy, w, h)
    return objects


@pytest.fixture(scope="module")
def tables() -> list[Objects]:
    random = np.random.default_rng(2026)
    tables = [random_table(random) for _ in range(1000)]
    # That the special cases are there: at least this many tables have each.
    counts = dict.fromkeys(
        ["none", "full", "corner", "radius 0", "centre of its class", "centre of another class",
         "equal peak, other size"], 0,
    )  # fmt: skip
    for objects in tables:
        cells = [(int(cx), int(cy)) for _, cx, cy, _, _ in objects]
        radii = [reference.gaussian_radius(np.ceil(h), np.ceil(w)) for *_, w, h in objects]
        pairs = [(i, j) for i in range(len(objects)) for j in range(i) if cells[i] == cells[j]]
        same_class = [objects[i][0] == objects[j][0] for i, j in pairs]
        corners = {(x, y) for x in (0, WIDTH - 1) for y in (0, HEIGHT - 1)}
        counts["none"] += not objects
        counts["full"] += len(objects) == ROWS
        counts["corner"] += bool(corners & set(cells))
        counts["radius 0"] += any(radius < 1 for radius in radii)
        counts["centre of its class"] += any(same_class)
        counts["centre of another class"] += not all(same_class)
        counts["equal peak, other size"] += any(
            int(radii[i]) == int(radii[j]) and objects[i][3:] != objects[j][3:] for i, j in pairs
        )
    assert all(count >= 100 for count in counts.values()), counts
    return tables


@pytest.mark.parametrize("variant", ["plain", "dense_wh", "cat_spec_wh"])
@pytest.mark.parametrize("kind", ["umich", "msra"])
def test_targets_of_a_thousand_random_tables_are_those_of_plain_numpy(tables, kind, variant):
    drawn = run(
        Targets(variant_of(variant, kind == "msra"), CLASSES, (HEIGHT, WIDTH)),
        np.stack([object_rows(objects, ROWS) for objects in tables]),
    )
    for objects, hm, cell, mask, reg, wh, weight in zip(tables, *drawn, strict=True):
        expected = reference.draw_targets(objects, CLASSES, HEIGHT, WIDTH, kind)
        np.testing.assert_allclose(hm, expected.hm, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(hm == 1, expected.hm == 1)
        np.testing.assert_array_equal(hm == 0, expected.hm == 0)
        count = len(objects)
        np.testing.assert_array_equal(cell[:count], expected.centre @ [1, WIDTH])
        np.testing.assert_array_equal(mask[:, 0], np.arange(ROWS) < count)
        np.testing.assert_allclose(reg[:count], expected.reg, atol=1e-5)
        for padding in (cell[count:], reg[count:]):
            assert not padding.any()
        if variant == "dense_wh":
            np.testing.assert_allclose(weight[0], expected.dense_wh_mask, rtol=0, atol=1e-5)
            check_dense_sizes(wh, objects, expected, kind)
        elif variant == "cat_spec_wh":
            np.testing.assert_allclose(wh[:count], expected.cat_spec_wh, atol=1e-5)
            np.testing.assert_array_equal(weight[:count], expected.cat_spec_mask)
            assert not wh[count:].any() and not weight[count:].any()
        else:
            np.testing.assert_allclose(wh[:count], expected.wh, atol=1e-5)
            np.testing.assert_array_equal(weight, mask)
            assert not wh[count:].any()


def variant_of(name: str, msra: bool = False) -> ResNetConfig:
    return ResNetConfig(
        mse_loss=msra, dense_wh=name == "dense_wh", cat_spec_wh=name == "cat_spec_wh"
    )


def check_dense_sizes(
    sizes: np.ndarray, objects: Objects, expected: reference.Targets, kind: str
) -> None:
    """Holds dense sizes (2,h,w) against `expected`, where the largest peak is one object's.

    Where peaks of two centres are equal but for rounding, either's size will do. Peaks of one
    centre and radius are equal to the last bit, and the last object's size is the right one.
    """
    peaks = {}
    for (x, y), radius, size in zip(expected.centre, expected.radius, expected.wh, strict=True):
        peaks[x, y, radius] = reference.peak(x, y, radius, HEIGHT, WIDTH, kind), size
    best = expected.dense_wh_mask
    either = np.zeros((HEIGHT, WIDTH), bool)
    near = np.zeros((HEIGHT, WIDTH), int)
    for peak, size in peaks.values():
        is_near = (peak > 0) & (peak >= best * (1 - 1e-5))
        near += is_near
        either |= is_near & np.isclose(sizes, size[:, None, None], atol=1e-5).all(axis=0)
    np.testing.assert_array_equal(either, best > 0)
    clear = near <= 1
    np.testing.assert_allclose(sizes[:, clear], expected.dense_wh[:, clear], rtol=0, atol=1e-5)
    assert clear.mean() > 0.7


@pytest.mark.parametrize("msra", [False, True])
def test_a_table_of_the_recipes_size(msra):
    random = np.random.default_rng(8)
    objects = [
        (random.integers(80), *random.uniform(0, 128, 2), *np.exp(random.uniform(0, 4.85, 2)))
        for _ in range(128)
    ]
    drawn = run(Targets(variant_of("plain", msra), 80, (128, 128)), object_rows(objects, 128)[None])
    expected = reference.draw_targets(objects, 80, 128, 128, "msra" if msra else "umich")
    np.testing.assert_allclose(drawn[0][0], expected.hm, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(drawn[0][0] == 1, expected.hm == 1)
    np.testing.assert_array_equal(drawn[1][0], expected.centre @ [1, 128])


@pytest.mark.parametrize("variant", ["plain", "dense_wh", "cat_spec_wh"])
def test_one_object_of_one_class_in_one_image(variant):
    # Where batch, classes and rows are all 1, MindSpore's shared one-element constants would show.
    drawn = run(
        Targets(variant_of(variant), 1, (3, 4)),
        np.array([[[2, 1, 0.5, 0.25, 1.5, 0.75, 0, 0]]], np.float32),
    )
    single = np.zeros((1, 1, 3, 4))
    single[0, 0, 1, 2] = 1
    size = np.array([1.5, 0.75])
    wh, weight = {
        "plain": (size[None, None], [[[1]]]),
        "dense_wh": (single * size[None, :, None, None], single),
        "cat_spec_wh": (size[None, None], [[[1, 1]]]),
    }[variant]
    expected = (single, [[6]], [[[1]]], [[[0.5, 0.25]]], wh, weight)
    for found, value in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(found, value)


def test_radius_two_by_hand():
    # Radius 2, sigma 5/6, 2 sigma² = 25/18: exp(-0.72 d²), cut at 2.
    objects = np.array([[[6, 5, 0.25, 0.75, 10, 10, 2, 1]]], np.float32)
    (found,) = run(Gaussians((HEIGHT, WIDTH), msra=False), objects)
    peak = np.exp(-0.72 * np.array([4, 1, 0, 1, 4]))
    expected = np.zeros((HEIGHT, WIDTH))
    expected[3:8, 4:9] = np.outer(peak, peak)
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-5)


def test_msra_radius_one_by_hand_at_the_border():
    # Sigma 1: exp(-d²/2), cut at 3. Row 1 has one row above it, column 27 none to its right.
    objects = np.array([[[27, 1, 0, 0, 5, 5, 1, 0]]], np.float32)
    (found,) = run(Gaussians((HEIGHT, WIDTH), msra=True), objects)
    line = [np.exp(-4.5), np.exp(-2), np.exp(-0.5), 1]
    expected = np.zeros((HEIGHT, WIDTH))
    expected[:5, 24:] = np.outer([line[2], 1, line[2], line[1], line[0]], line)
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-6)


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
    """A regression loss of a map (B,2,h,w) at cells, as `Loss` reads it."""

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

OPTIONS = ResNetConfig()


def losses(
    options: ResNetConfig, heads: Sequence[np.ndarray], tables: list[np.ndarray]
) -> list[np.ndarray]:
    """total, hm, wh and off of `Loss` over given heads, and the total's gradients."""
    batch, classes, height, width = heads[0].shape
    cell = WithLoss(GivenHeads(*heads), Loss(options, classes, (height, width)))
    image = np.zeros((batch, 4 * height, 4 * width, 3), np.uint8)
    colour = np.tile(normalisation(statistics()), (batch, 1, 1))
    inputs = [Tensor(value) for value in (image, colour, np.stack(tables))]
    with graph_mode():

        def total(*inputs: Tensor) -> tuple[Tensor, Tensor]:
            found = cell(*inputs)
            return found[0], found

        function = ops.value_and_grad(total, None, list(cell.trainable_params()), has_aux=True)
        (_, found), gradients = function(*inputs)
        return [*found.asnumpy(), *(gradient.asnumpy() for gradient in gradients)]


def changed(**changes: object) -> ResNetConfig:
    return OPTIONS.model_copy(update=changes)


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
        (changed(cat_spec_wh=True, reg_norm="coordinate"), True),
        (changed(dense_wh=True), True),
        (changed(dense_wh=True, reg_norm="coordinate"), False),
        (changed(dense_wh=True, mse_loss=True), True),
    ],
    ids=["recipe", "weights", "no reg", "coordinate", "sl1", "mse", "cat_spec_wh",
         "cat_spec_wh coordinate", "dense_wh", "dense_wh coordinate", "dense_wh mse"],
)  # fmt: skip
def test_each_variant_of_the_loss_is_the_plain_sum_of_its_parts(options, has_reg):
    random = np.random.default_rng(5)
    objects = [SOME, CORNERS]
    wh_channels = 2 * CLASSES if options.cat_spec_wh else 2
    heads = [
        random.normal(-2, 1.5, (2, CLASSES, HEIGHT, WIDTH)),
        random.uniform(0, 25, (2, wh_channels, HEIGHT, WIDTH)),
        random.normal(0.5, 1.0, (2, 2, HEIGHT, WIDTH)),
    ][: 3 if has_reg else 2]
    heads = [head.astype(np.float32) for head in heads]
    tables = [object_rows(rows, ROWS) for rows in objects]
    results = losses(options, heads, tables)
    found, gradients = results[:4], results[4:]
    np.testing.assert_allclose(found, plain_losses(options, heads, objects), rtol=1e-4)

    for i, gradient in enumerate(gradients):
        # How fast the total grows along a direction, from float64 differences.
        direction, step = random.normal(size=gradient.shape), 1e-6
        ahead, behind = (
            plain_losses(options, [*heads[:i], heads[i] + move, *heads[i + 1 :]], objects)[0]
            for move in (step * direction, -step * direction)
        )
        slope = (ahead - behind) / (2 * step)
        np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=1e-3)


def plain_losses(
    options: ResNetConfig, heads: Sequence[np.ndarray], objects: list[Objects]
) -> list[float]:
    """total, hm, wh and off, from the references."""
    hm, wh = heads[0], heads[1]
    kind = "msra" if options.mse_loss else "umich"
    targets = [reference.draw_targets(rows, CLASSES, HEIGHT, WIDTH, kind) for rows in objects]
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
        wh_loss = dense_l1(wh, targets, options.reg_norm)
    else:
        wh_loss = loss(wh_read[:, :2], wh_rows, options.reg_norm)
    off_loss = loss(heads[2], reg_rows, options.reg_norm) if len(heads) == 3 else 0.0
    total = options.hm_weight * hm_loss + options.wh_weight * wh_loss
    total += options.off_weight * off_loss
    return [total, hm_loss, wh_loss, off_loss]


def dense_l1(wh: np.ndarray, targets: list[reference.Targets], norm: str) -> float:
    """The original's dense_wh: L1 of every cell, weighted by the largest Gaussian over it."""
    error = np.abs(wh - np.stack([image.dense_wh for image in targets])).sum(axis=1)
    weight = np.stack([image.dense_wh_mask for image in targets])
    divisor = weight.sum() * {"object": 1, "coordinate": 2}[norm] + 1e-4
    return (error * weight).sum() / divisor


def test_the_loss_of_stored_heads_is_pytorchs():
    arrays = oracle("resnet18_forward")
    heads = tuple(arrays[f"plain_{name}"] for name in ("hm", "wh", "reg"))
    found = losses(OPTIONS, heads, [object_rows(arrays["loss_objects"].tolist(), 8)])[:4]
    expected = [arrays[f"loss_{name}"] for name in ("total", "hm", "wh", "reg")]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_batch_without_objects_has_no_regression_loss():
    random = np.random.default_rng(6)
    heads = [random.normal(-2, 1, (1, c, 8, 8)).astype(np.float32) for c in (CLASSES, 2, 2)]
    found = losses(OPTIONS, heads, [object_rows([], 3)])[:4]
    hm_loss = reference.focal_loss(heads[0], np.zeros((1, CLASSES, 8, 8)))
    np.testing.assert_allclose(found, [hm_loss, hm_loss, 0, 0], rtol=1e-4)


class ImageAsSizes(nn.Cell):
    """A network whose wh is what it sees of blue and green at every fourth pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.hm = Tensor(np.zeros((2, 1, 4, 6)), ms.float32)

    def all_maps(self, image: Tensor) -> tuple[tuple[Tensor, Tensor]]:
        return ((self.hm, image[:, :2, ::4, ::4]),)


def test_the_network_sees_each_image_normalised_by_its_own_colour_and_channels_first():
    random = np.random.default_rng(7)
    image = random.integers(0, 256, (2, 16, 24, 3), np.uint8)
    colour = random.normal(0, 0.01, (2, 3, 4)).astype(np.float32)
    tables = [object_rows([(0, 5.5, 2.5, 3, 4)], 2), object_rows([(0, 1.5, 3.5, 7, 2)], 2)]
    cell = WithLoss(ImageAsSizes(), Loss(OPTIONS, 1, (4, 6)))
    found = run(cell, image, colour, np.stack(tables))[0][2]
    seen = np.stack(
        [normalise(image[b].transpose(2, 0, 1).copy(), colour[b])[:2, ::4, ::4] for b in range(2)]
    )
    expected = reference.l1_loss(seen, [(0, 5, 2, 3, 4), (1, 1, 3, 7, 2)])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


# --- TensorFlow's ------------------------------------------------------------------------------

TENSORFLOW = ResNetConfig(cut_gaussians=False, divide_by="objects")
LOSS_PARTS = ("object_center", "box/scale", "box/offset")


def tensorflow_tables(stored: dict[str, np.ndarray], case: str) -> np.ndarray:
    """Object tables of the stored ground truths, whose boxes are parts of the padded square."""
    image, row = np.nonzero(stored["gt/weights"])
    boxes = stored["gt/boxes"][image, row][:, [1, 0, 3, 2]] * np.float32(64)
    classes = stored[f"gt/{case}/classes"][image, row]
    return object_tables(
        boxes, classes, image, images=3, grid_size=(64, 64), max_objs=10, exact_sides=True
    )


@pytest.mark.parametrize(("case", "classes"), [("c90", 90), ("c1", 1)])
def test_targets_are_tensorflows(case, classes):
    stored = tensorflow_stored("loss")
    target = {name: stored[f"{case}/target/box/{name}"] for name in ("index", "scale", "offset")}
    used = stored[f"{case}/target/box/weight"] > 0
    objects = tensorflow_tables(stored, case)
    drawn = run(Targets(TENSORFLOW, classes, (64, 64)), objects)
    hm, cell, mask, reg, wh, _ = drawn
    expected = stored[f"{case}/target/object_center/maps"].transpose(0, 3, 1, 2)
    some = stored[f"{case}/target/object_center/classes"]
    np.testing.assert_allclose(hm[:, some], expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(hm[:, some] == 1, expected == 1)
    assert not np.delete(hm, some, axis=1).any()
    image, row = np.nonzero(mask[:, :, 0])
    np.testing.assert_array_equal(image, target["index"][used][:, 0])
    np.testing.assert_array_equal(cell[image, row], target["index"][used][:, 1:] @ [64, 1])
    np.testing.assert_allclose(wh[image, row], target["scale"][used][:, ::-1], rtol=0, atol=1e-5)
    np.testing.assert_allclose(reg[image, row], target["offset"][used][:, ::-1], rtol=0, atol=1e-5)
    # They are others than the original's.
    assert np.abs(run(Targets(OPTIONS, classes, (64, 64)), objects)[0] - hm).max() > 0.005


@pytest.mark.parametrize(("case", "classes"), [("c90", 90), ("c1", 1), ("two", 90)])
def test_losses_and_gradients_are_tensorflows(case, classes):
    stored = tensorflow_stored("loss")
    objects = tensorflow_tables(stored, "c90" if case == "two" else case)
    numbers = zip(LOSS_PARTS, (classes, 2, 2), (-2.5, 8, 0.5), (1.5, 4, 0.3), strict=True)
    outputs = 2 if case == "two" else 1
    found = np.zeros(4)
    made = [
        [tensorflow_maps(f"loss/{case}/{head}/{i}", *of_head) for i in range(outputs)]
        for head, *of_head in numbers
    ]
    for i in range(outputs):
        heads = [made[0][i], *(np.ascontiguousarray(maps[i][:, ::-1]) for maps in made[1:])]
        # TensorFlow leaves out the cells of the padding; here they are as good as sure.
        for hm, (height, width, _) in zip(heads[0], stored["gt/true_shapes"], strict=True):
            hm[:, -(-height // 4) :], hm[:, :, -(-width // 4) :] = -100, -100
        *parts, of_hm, of_wh, of_reg = losses(TENSORFLOW, heads, list(objects))
        found += np.array(parts) / outputs
        for head, gradient in zip(
            LOSS_PARTS, (of_hm, of_wh[:, ::-1], of_reg[:, ::-1]), strict=True
        ):
            largest = np.abs(gradient / outputs).sum(axis=(0, 2, 3), dtype=np.float64)
            expected = stored[f"{case}/grad_l1/{head}/{i}"]
            np.testing.assert_allclose(largest, expected, rtol=1e-4, err_msg=head)
    weighted = [stored[f"{case}/loss/Loss/{head}"] for head in LOSS_PARTS]
    np.testing.assert_allclose(found[1:] * [1, 0.1, 1], weighted, rtol=1e-5)
    np.testing.assert_allclose(found[0], sum(weighted), rtol=1e-5)


def test_dividing_by_objects_is_for_losses_at_centres():
    for name in ("dense_wh", "mse_loss"):
        with pytest.raises(ValueError, match="divide_by objects is for losses at centres"):
            ResNetConfig(divide_by="objects", **{name: True})
