# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Layers and whole networks, against NumPy and PyTorch's stored values."""

import numpy as np
import pytest
from mindspore import Tensor, nn

from src.data.augment import normalisation, normalise
from src.models.deformable import FORMS, DeformableConv
from src.models.features.up_sampling import UpSampling
from src.models.layers import ApplyColour, RowsAt, StemPool
from src.models.network import Network, create_network
from tests import reference
from tests.conftest import QUICKSTART
from tests.helpers import (
    X_THEN_Y,
    changed,
    config,
    oracle,
    run,
    run_with_gradients,
    set_seeded_parameters,
    statistics,
)
from tests.oracles.seeded import seeded_image

RESNETS = {18: ("basic", [2, 2, 2, 2]), 50: ("bottleneck", [3, 4, 6, 3])}
RESNETS[101] = ("bottleneck", [3, 4, 23, 3])


# --- deformable convolution ------------------------------------------------------------------


class WithOffsets:
    """A `DeformableConv` that reads its offsets and masks from 27 more channels of its input."""

    def __init__(self, form: str, weight: np.ndarray, bias: np.ndarray) -> None:
        out_channels, self.channels = weight.shape[:2]
        self.cell = DeformableConv(self.channels + 27, out_channels, form)
        kernel = np.zeros(self.cell.weight.shape, np.float32)
        kernel[:, : self.channels] = weight
        self.cell.weight.set_data(Tensor(kernel))
        self.cell.bias.set_data(Tensor(bias))
        copy = np.zeros(self.cell.conv_offset.weight.shape, np.float32)
        copy[np.arange(27), self.channels + np.arange(27), 1, 1] = 1
        self.cell.conv_offset.weight.set_data(Tensor(copy))

    def inputs(self, x: np.ndarray, offset: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Batches x, offsets (x, then y) and masks in 0..1 as one input."""
        return np.concatenate([x, offset, np.log(mask / (1 - mask))], axis=1, dtype=np.float32)


@pytest.fixture(scope="module")
def deformable_case() -> dict[str, np.ndarray]:
    """The stored case twice: as it is, and with everything but weight and bias turned over."""
    case = {name[4:]: value for name, value in oracle("resnet18_forward").items() if "dcn_" in name}
    offset = case["offset"][X_THEN_Y]
    x = np.stack([case["x"], case["x"][::-1, ::-1]])
    offsets, masks = np.stack([offset, offset[::-1]]), np.stack([case["mask"], case["mask"][::-1]])
    offsets[1, ::2, 2, 3], offsets[1, 1::2, 4, 5] = 1e4, -1e4  # far outside
    second = reference.modulated_deformable_conv(
        x[1], offsets[1, :9], offsets[1, 9:], masks[1], case["weight"], case["bias"]
    )
    return case | {"x": x, "offset": offsets, "mask": masks, "y": np.stack([case["y"], second])}


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("form", FORMS)
def test_deformable_convolution_gives_pytorchs_values(deformable_case, form, batch):
    conv = WithOffsets(form, deformable_case["weight"], deformable_case["bias"])
    arrays = (deformable_case[name][:batch] for name in ("x", "offset", "mask"))
    (found,) = run(conv.cell, conv.inputs(*arrays))
    np.testing.assert_allclose(found, deformable_case["y"][:batch], atol=2e-5)


@pytest.mark.parametrize("batch", [1, 2])
def test_all_forms_of_deformable_convolution_have_the_same_gradients(batch):
    random = np.random.default_rng(11)
    weight, bias = random.normal(size=(3, 2, 3, 3)), random.normal(size=3)
    gradients = {}
    inputs = None
    for form in FORMS:
        conv = WithOffsets(form, weight.astype(np.float32), bias.astype(np.float32))
        if inputs is None:
            x, offset = random.normal(size=(batch, 2, 6, 5)), random.normal(size=(batch, 18, 6, 5))
            inputs = conv.inputs(x, 1.5 * offset, random.uniform(0.1, 0.9, (batch, 9, 6, 5)))
            goal = random.normal(size=(batch, 3, 6, 5)).astype(np.float32)
        _, gradients[form] = run_with_gradients(
            SumOfProducts(conv.cell), inputs, goal, parameters=conv.cell.trainable_params()
        )
    operator = gradients.pop("operator")
    for form, found in gradients.items():
        for ours, theirs in zip(found, operator, strict=True):
            assert np.abs(theirs).max() > 0.1
            np.testing.assert_allclose(ours, theirs, atol=1e-4, err_msg=form)


class SumOfProducts(nn.Cell):
    """A scalar to differentiate: Σ cell(x) · goal."""

    def __init__(self, cell: nn.Cell) -> None:
        super().__init__()
        self.cell = cell

    def construct(self, x: Tensor, goal: Tensor) -> Tensor:
        return (self.cell(x) * goal).sum()


def test_a_new_deformable_convolution_is_half_a_plain_one():
    cell = DeformableConv(2, 3, "gather")
    x = np.random.default_rng(0).normal(size=(1, 2, 4, 5)).astype(np.float32)
    zeros = np.zeros((9, 4, 5))
    expected = reference.modulated_deformable_conv(
        x[0], zeros, zeros, zeros + 0.5, cell.weight.asnumpy(), np.zeros(3)
    )
    np.testing.assert_allclose(run(cell, x)[0][0], expected, atol=1e-5)


# --- whole networks --------------------------------------------------------------------------


def seeded_network(depth: int, deformable: str) -> Network:
    """The network whose outputs are stored, with the same parameters; 20 classes."""
    return set_seeded_parameters(resnet(depth, deformable, 20)).set_train(False)


def resnet(depth: int, deformable: str, num_classes: int) -> Network:
    block, block_class = RESNETS[depth]
    used = changed(
        config(), num_classes, block=block, block_class=block_class, deformable=deformable
    )
    return create_network(used)


@pytest.mark.parametrize(
    ("depth", "deformable", "stored"),
    [
        (18, "none", "plain"),
        (18, "gather", "deformable"),
        (18, "operator", "deformable"),
        (18, "grid_sample", "deformable"),
        (50, "none", "resnet50_plain"),
    ],
)
def test_a_whole_network_gives_pytorchs_heads(depth, deformable, stored):
    arrays = oracle("resnet18_forward")
    heads = run(seeded_network(depth, deformable), seeded_image())
    for name, found in zip(("hm", "wh", "reg"), heads, strict=True):
        np.testing.assert_allclose(found, arrays[f"{stored}_{name}"], atol=2e-4, err_msg=name)


def test_training_mode_uses_and_averages_the_statistics_of_the_batch_as_pytorch():
    arrays = oracle("resnet18_forward")
    network = seeded_network(18, "none").set_train(True)
    heads = run(network, seeded_image((2, 3, 64, 96), "batch"))
    for name, found in zip(("hm", "wh", "reg"), heads, strict=True):
        np.testing.assert_allclose(found, arrays[f"train_{name}"], atol=2e-4, err_msg=name)
    norm = network.features.backbone.bn1
    np.testing.assert_allclose(
        norm.moving_mean.asnumpy(), arrays["train_bn1_running_mean"], atol=1e-5
    )
    np.testing.assert_allclose(
        norm.moving_variance.asnumpy(), arrays["train_bn1_running_var"], atol=1e-4
    )


@pytest.mark.parametrize(
    ("depth", "deformable", "millions"),
    [(18, "none", None), (18, "gather", None), (101, "none", 51.66), (101, "operator", 49.67)],
)
def test_networks_have_as_many_parameters_as_published(depth, deformable, millions):
    count = sum(parameter.size for parameter in resnet(depth, deformable, 80).trainable_params())
    variant = "plain" if deformable == "none" else "deformable"
    assert count == oracle("resnet18_forward")[f"parameters_resnet{depth}_{variant}"]
    assert millions is None or round(count / 1e6, 2) == millions


def test_mobilenet_v2_has_as_many_parameters_as_published():
    """torchvision's 3,504,872 less the 1,281,000 of ImageNet's classifier."""
    network = create_network(config("--net_config.network", "mobilenet_v2"))
    count = sum(parameter.size for parameter in network.features.backbone.trainable_params())
    assert count == oracle("mobilenet_v2_forward")["parameters"] == 3_504_872 - 1_281_000


def test_the_exported_form_of_a_plain_network_stays_plain():
    plain = config("--net_config.deformable", "none")
    small = changed(plain, 2, block="basic", block_class=[1, 1, 1, 1])
    names = [p.name for p in create_network(small, "gather").get_parameters()]
    assert names and not any("conv_offset" in name for name in names)


@pytest.mark.parametrize("size", [(511, 511), (100, 60), (33, 65)])
def test_maps_have_the_grid_that_the_network_says_of_any_input(size: tuple[int, int]):
    used = config("--config_path", str(QUICKSTART))
    maps = create_network(used).set_train(False)(Tensor(np.zeros((1, 3, *size), np.float32)))
    assert {heads.shape[2:] for heads in maps} == {used.net_config.grid_size(size)}
    assert used.net_config.grid_size((511, 511)) == (128, 128)


def test_a_new_heat_map_expects_an_object_in_a_tenth_of_the_cells():
    network = resnet(18, "none", 3)
    bias = {p.name: p.asnumpy() for p in network.get_parameters() if p.name.endswith("2.bias")}
    assert 1 / (1 + np.exp(-bias["heads.hm.2.bias"])) == pytest.approx(0.1, abs=1e-3)
    assert not bias["heads.wh.2.bias"].any() and not bias["heads.reg.2.bias"].any()


def test_options_of_the_heads_change_their_number_and_channels():
    without_offsets = config("--net_config.reg_offset", "false")
    small = {"block": "basic", "block_class": [1, 1, 1, 1], "stage_channels": [4, 4, 4, 4]}
    small |= {"up_channels": [4, 4, 4], "head_conv": 4, "deformable": "none", "cat_spec_wh": True}
    network = create_network(changed(without_offsets, 5, **small)).set_train(False)
    heads = run(network, np.zeros((1, 3, 64, 32), np.float32))
    assert [head.shape for head in heads] == [(1, 5, 16, 8), (1, 10, 16, 8)]


# --- layers ----------------------------------------------------------------------------------


def test_a_new_up_sampling_stage_interpolates_a_ramp_bilinearly():
    neck = UpSampling(2, [2], "none").set_train(False)
    rows, columns = np.mgrid[0:5, 0:6].astype(np.float32)
    (found,) = run(neck, np.stack([3 * columns + rows + 1, 20 - 2 * rows])[None])
    # Output pixel o lies at input (o + 0.5) / 2 - 0.5; the outermost ring mixes with the padding.
    rows, columns = (np.mgrid[0:10, 0:12] + 0.5) / 2 - 0.5
    expected = np.stack([3 * columns + rows + 1, 20 - 2 * rows])
    assert found.shape == (1, 2, 10, 12)
    np.testing.assert_allclose(found[0, :, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], rtol=1e-5)


def test_a_new_up_sampling_stage_averages_the_channels_that_share_an_output():
    neck = UpSampling(4, [2], "none").set_train(False)
    levels = np.array([1.0, 2.0, 5.0, 8.0], np.float32).reshape(1, 4, 1, 1)
    (found,) = run(neck, np.broadcast_to(levels, (1, 4, 3, 3)).copy())
    # Channels 0 and 2 meet in output 0, 1 and 3 in output 1.
    np.testing.assert_allclose(found[0, 0, 1:-1, 1:-1], 3.0, rtol=1e-5)
    np.testing.assert_allclose(found[0, 1, 1:-1, 1:-1], 5.0, rtol=1e-5)


@pytest.mark.parametrize(("groups", "batch"), [(1, 1), (1, 2), (3, 1), (3, 2)])
def test_rows_at_reads_the_pair_of_each_cell_and_group(groups, batch):
    random = np.random.default_rng(0)
    values = random.normal(size=(batch, 2 * groups, 4, 5)).astype(np.float32)
    cell = random.integers(0, 20, (batch, 7), np.int32)
    group = random.integers(0, groups, (batch, 7), np.int32)
    (found,) = run(RowsAt(groups), values, cell, group)
    for b in range(batch):
        for k in range(7):
            y, x = divmod(cell[b, k], 5)
            first = 2 * group[b, k]
            np.testing.assert_array_equal(found[b, k], values[b, first : first + 2, y, x])


def test_rows_at_without_groups_reads_all_channels():
    random = np.random.default_rng(1)
    values = random.normal(size=(2, 6, 4, 5)).astype(np.float32)
    cell = random.integers(0, 20, (2, 7), np.int32)
    (found,) = run(RowsAt(), values, cell)
    for b in range(2):
        expected = [values[b, :, place // 5, place % 5] for place in cell[b]]
        np.testing.assert_array_equal(found[b], expected)


@pytest.mark.parametrize("shared", [True, False])
def test_apply_colour_in_the_graph_is_normalise_on_the_host(shared):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2, 3, 6, 7), np.uint8)
    colours = normalisation(statistics())[None]
    if not shared:
        colours = np.concatenate([colours, random.normal(0, 0.01, (1, 3, 4)).astype(np.float32)])
    (found,) = run(ApplyColour(), images, colours)
    for i in range(2):
        # Not `normalise` alone: a plain sum over channels says what both should give.
        colour = colours[0 if shared else i].astype(np.float64)
        expected = np.einsum("ij,jhw->ihw", colour[:, :3], images[i]) + colour[:, 3:, None]
        np.testing.assert_allclose(found[i], expected, atol=1e-5)
        np.testing.assert_allclose(
            normalise(images[i], colour.astype(np.float32)), expected, atol=1e-5
        )


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (1, 5)])
def test_stem_pool_is_max_pooling_padded_with_minus_infinity(size):
    height, width = size
    any_sign = np.random.default_rng(0).normal(size=(2, 3, height, width)).astype(np.float32)
    lowest = StemPool(float(np.finfo(np.float16).min))
    for x, cell in ((any_sign.clip(0), StemPool()), (any_sign - 2, lowest)):
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
        np.testing.assert_array_equal(run(cell, x)[0], pooled(padded, height, width))


@pytest.mark.parametrize("size", [(64, 96), (62, 70)])
def test_stem_pool_same_pads_even_sides_at_the_end_alone(size):
    """As ModelZoo's stem: of the rows 0, 1, 2, 3 the first window has 0 to 2, the last 2 and 3."""
    same = config("--net_config.stem_pool", "same")
    small = {"block": "basic", "block_class": [1, 1, 1, 1], "stage_channels": [4, 4, 4, 4]}
    backbone = create_network(changed(same, 2, **small)).features.backbone
    height, width = (side // 2 for side in size)
    x = np.random.default_rng(0).normal(size=(2, 3, height, width)).astype(np.float32).clip(0)
    before = ((0, 0), (0, 0), (height % 2, 1), (width % 2, 1))
    padded = np.pad(x, before, constant_values=-np.inf)
    (found,) = run(backbone.maxpool, x)
    np.testing.assert_array_equal(found, pooled(padded, height, width))


def pooled(padded: np.ndarray, height: int, width: int) -> np.ndarray:
    """Maxima of 3×3 windows, two apart."""
    maxima = np.array(
        [
            [padded[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(2, 3))
             for j in range((width + 1) // 2)]
            for i in range((height + 1) // 2)
        ]
    )  # fmt: skip
    return maxima.transpose(2, 3, 0, 1)
