# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""DLA-34 and others with DLA's neck against what the original and PaddleDetection compute.

Rules and values are those of `test_family_networks`.
"""

import json
import re
import zlib
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor
from mindspore.nn.utils import no_init_parameters

from src.model_utils.config import leaves
from src.model_utils.errors import UserError
from src.models.deformable import FORMS, DeformableConv
from src.models.layers import AlignedTwice, DepthwiseUpSampling
from src.models.network import Network, create_network, with_loss
from src.training.optimizer import create_optimizer
from src.training.step import StepOptions, TrainStep
from src.weights.__main__ import main as convert_weights
from src.weights.layouts.original import ORIGINAL_DLA
from src.weights.load import configured, load, read_weights
from src.weights.translate import in_layout, translate
from tests.conftest import FAMILY
from tests.helpers import changed, config, graph_mode, object_rows, run
from tests.test_family_networks import allowed, maps_of, needs_oracles, rule, slow, stored_names

SIZES = ("--net_config.head_conv", "256", "--dataset_config.input_res_test", "[512, 512]")
DLA = ("--net_config.network", "dla", *SIZES)
RESNET_VD = ("--net_config.network", "resnet_vd", *SIZES)
MOBILENET_V1 = ("--net_config.network", "mobilenet_v1", *SIZES)
MOBILENET_V3 = ("--net_config.network", "mobilenet_v3", *SIZES)
SMALL_MOBILENET_V3 = (*MOBILENET_V3, "--net_config.variant", "small")
SHUFFLENET_V2 = ("--net_config.network", "shufflenet_v2", *SIZES)
POSE = ("--task", "pose", "--net_config.dense_hp", "false")
# Of each list of the pack the configuration, the classes, and how many tensors are ignored:
# counters, and what two projects of trees hold.
NETWORKS = {
    "original_dla34_ctdet": (DLA, 80, 55 + 10),
    "original_dla34_multi_pose": ((*DLA, *POSE), 1, 55 + 10),
    "paddle_dla34": (DLA, 80, 10),
    "paddle_r50": (RESNET_VD, 80, 0),
    "paddle_mbv1": (MOBILENET_V1, 80, 0),
    "paddle_mbv3_large": (MOBILENET_V3, 80, 0),
    "paddle_mbv3_small": (SMALL_MOBILENET_V3, 80, 0),
    "paddle_shufflenetv2": (SHUFFLENET_V2, 80, 0),
}
PADDLES_HEADS = {"hm": "heatmap", "wh": "size", "reg": "offset"}


def network_of(name: str) -> Network:
    options, classes, _ = NETWORKS[name]
    with no_init_parameters():
        return create_network(changed(config(*options), classes))


def image_of(name: str) -> np.ndarray:
    seeded, pack = rule("seeded_weights"), json.loads((FAMILY / "pack.json").read_text())
    entry = pack["networks"][name]
    normalise = entry["normalise"]
    image = seeded.image(pack["seed"], *entry["input"])
    image = seeded.tensor(image, normalise["mean"], normalise["std"], 1 / 255, normalise["rgb"])
    assert zlib.crc32(image.tobytes()) == entry["image_tensor_crc32"]
    return image


def assert_maps_are_stored(name: str, maps: dict[str, np.ndarray]) -> None:
    entry = json.loads((FAMILY / "pack.json").read_text())["networks"][name]
    largest = {}
    with np.load(FAMILY / f"{name}.npz") as stored:
        for head, found in maps.items():
            key = PADDLES_HEADS[head] if name.startswith("paddle") else head
            if key == "heatmap":
                found = 1 / (1 + np.exp(-found.astype(np.float64)))
            rounding = entry["float32_minus_float64"][key]["max"]
            if (name, key) == ("paddle_dla34", "heatmap"):
                # Both sides round: our three forms of deformable convolutions differ by 3.7e-5.
                rounding *= 2
            if f"{key}_every8" in stored:
                found, wanted = found[:, ::8], stored[f"{key}_every8"]
            else:
                wanted = stored[key]
            assert found.shape == wanted.shape
            largest[key] = np.abs(found - wanted).max() / allowed(rounding, wanted.std())
    assert max(largest.values()) < 1, largest


@needs_oracles
@pytest.mark.parametrize(
    "name",
    [
        "original_dla34_ctdet",
        *map(slow, ("original_dla34_multi_pose", "paddle_dla34", "paddle_r50")),
        *map(slow, ("paddle_mbv1", "paddle_mbv3_large", "paddle_shufflenetv2")),
    ],
)
def test_networks_give_the_maps_of_their_projects(name: str):
    weights = rule("seeded_weights").network(FAMILY / "pack.json", name)
    (maps,) = maps_of(network_of(name), weights, image_of(name))
    assert_maps_are_stored(name, maps)


@needs_oracles
def test_a_file_of_paddledetection_converts_and_gives_its_maps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    name, written = "paddle_mbv3_small", tmp_path / "ours.ckpt"
    source = str(FAMILY / f"{name}.pdparams")
    convert_weights(["--source", source, "--output", str(written), *SIZES])
    said = capsys.readouterr().out
    assert re.search(r"matched +273  as they are\n", said)
    assert re.search(r"left at initial values +0 ", said) and not re.search(r"ignored +[1-9]", said)
    weights = read_weights(written)
    used = configured(config(*SIZES), weights)
    assert (used.net_config.network, used.net_config.variant) == ("mobilenet_v3", "small")
    with no_init_parameters():
        network = create_network(used)
    load(network, weights)
    with graph_mode():
        maps = network.set_train(False)(Tensor(image_of(name)))
    heads = dict(zip(PADDLES_HEADS, (found.asnumpy() for found in maps), strict=True))
    assert_maps_are_stored(name, heads)


@needs_oracles
@pytest.mark.parametrize("name", NETWORKS)
def test_every_name_of_a_file_has_its_place_and_only_dead_tensors_are_ignored(name: str):
    stored = stored_names(FAMILY / f"names_{name}.txt")
    found, network = translate(stored), network_of(name)
    assert set(found.arrays) == {name for name, _ in network.parameters_and_names()}
    assert len(found.ignored) == NETWORKS[name][2]
    settings = dict(leaves(config(*NETWORKS[name][0]).model_dump()))
    for key, value in found.facts.items():
        numbers = key.endswith((".mean", ".std"))
        assert settings[key] == (pytest.approx(value, abs=1e-7) if numbers else value), key
    dead = 2 * 128 + 2 * 256 + 64 * 128 + 128 * 256 if "dla" in name else 0
    published = json.loads((FAMILY / "pack.json").read_text())["networks"][name]["parameters"]
    assert sum(p.size for p in network.trainable_params()) == published - dead
    if name.startswith("original"):
        back = in_layout(ORIGINAL_DLA, found.arrays)
        assert set(back) == set(stored.tensors) - set(found.ignored)
        for key, array in back.items():
            np.testing.assert_array_equal(array, stored.tensors[key])


@needs_oracles
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stride", [1, 2])
def test_deformable_convolution_gives_paddles_values(form: str, stride: int):
    seeded, pack = rule("seeded_weights"), json.loads((FAMILY / "pack.json").read_text())
    case = {
        key.rpartition("/")[2]: seeded.normal_map(
            pack["seed"], key, entry["shape"], entry["mean"], entry["std"]
        )
        for key, entry in pack["normal_maps"].items()
        if key.startswith(f"dcn/stride{stride}/")
    }
    weight = case["weight"]
    cell = DeformableConv(weight.shape[1], weight.shape[0], form, stride)
    cell.weight.set_data(Tensor(weight))
    cell.bias.set_data(Tensor(case["bias"]))
    offset = case["offset"]
    offset = np.concatenate([offset[:, 1::2], offset[:, ::2], case["mask_logit"]], axis=1)
    cell.conv_offset = Given(offset.astype(np.float32))
    with np.load(FAMILY / "dcn.npz") as stored:
        wanted = stored[f"stride{stride}"]
    np.testing.assert_allclose(run(cell, case["x"])[0], wanted, atol=3e-5)


class Given(ms.nn.Cell):
    """Puts out one tensor."""

    def __init__(self, value: np.ndarray) -> None:
        super().__init__()
        self.value = Tensor(value)

    def construct(self, _: Tensor) -> Tensor:
        return self.value


# --- without stored values ---------------------------------------------------------------------


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("batch", [1, 2])
def test_depthwise_up_sampling_is_a_transposed_convolution(factor: int, batch: int):
    random = np.random.default_rng(factor)
    x = random.normal(size=(batch, 3, 4, 5)).astype(np.float32)
    cell = DepthwiseUpSampling(3, factor)
    kernel = random.normal(size=cell.weight.shape).astype(np.float32)
    cell.weight.set_data(Tensor(kernel))
    wanted = np.zeros((batch, 3, 5 * factor, 6 * factor))
    for row, column in np.ndindex(4, 5):
        rows, columns = (slice(factor * i, factor * (i + 2)) for i in (row, column))
        wanted[:, :, rows, columns] += x[:, :, row, column, None, None] * kernel[:, 0]
    inside = slice(factor // 2, -(factor // 2))
    np.testing.assert_allclose(run(cell, x)[0], wanted[:, :, inside, inside], atol=1e-5)


def test_depthwise_up_sampling_starts_as_bilinear_interpolation():
    ramp = np.tile(np.arange(8, dtype=np.float32), (1, 2, 8, 1))
    (found,) = run(DepthwiseUpSampling(2, 4), ramp)
    line = (np.arange(32) + 0.5) / 4 - 0.5
    np.testing.assert_allclose(found[0, 1, 4:-4, 4:-4], np.tile(line[4:-4], (24, 1)), atol=1e-5)


def test_aligned_twice_interpolates_from_corner_to_corner():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    wanted = np.zeros((2, 3, 8, 10))
    for image, channel in np.ndindex(2, 3):
        rows = [np.interp(np.linspace(0, 4, 10), range(5), row) for row in x[image, channel]]
        columns = [np.interp(np.linspace(0, 3, 8), range(4), column) for column in np.array(rows).T]
        wanted[image, channel] = np.array(columns).T
    np.testing.assert_allclose(run(AlignedTwice(), x)[0], wanted, atol=1e-6)


NARROW = {
    "dla": (
        *("--net_config.level_depths", "[1, 1, 1, 2]"),
        *("--net_config.level_channels", "[8, 8, 16, 24]", "--net_config.last_level", "4"),
    ),
    "resnet_vd": (
        *("--net_config.block_class", "[1, 1, 1]", "--net_config.stage_channels", "[8, 8, 12]"),
        *("--net_config.last_level", "3"),
    ),
    "mobilenet_v1": ("--net_config.width_multiplier", "0.1"),
    "mobilenet_v3": ("--net_config.width_multiplier", "0.1"),
    "mobilenet_v3 small": (
        *("--net_config.variant", "small", "--net_config.width_multiplier", "0.1"),
    ),
    "shufflenet_v2": (
        *("--net_config.stage_units", "[1, 2, 1]", "--net_config.stage_channels", "[8, 8, 12]"),
    ),
}


@pytest.mark.parametrize("network", ["dla", "resnet_vd", *map(slow, list(NARROW)[2:])])
def test_a_narrow_network_learns_two_images_and_every_parameter_moves(network: str):
    used = config(
        *("--net_config.network", network.split()[0], *NARROW[network]),
        *("--net_config.head_conv", "16"),
        *("--dataset_config.coco_classes", "[one, other]"),
        *("--dataset_config.input_res_train", "[64, 64]"),
        *("--dataset_config.input_res_test", "[64, 64]"),
    )
    ms.set_seed(2)  # with 1 all of the few units of a squeeze-and-excite are off
    loss = with_loss(create_network(used), used)
    optimizer = create_optimizer(used.train_config, loss, np.full(40, 2e-3, np.float32))
    step = TrainStep(loss, optimizer, StepOptions()).set_train()
    image = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    colour = np.tile(np.eye(3, 4, dtype=np.float32) / 128, (2, 1, 1))
    objects = np.stack(
        [
            object_rows([(0, 4.3, 5.6, 6, 4)], 3, 2),
            object_rows([(1, 10.5, 9.2, 4, 8), (0, 3.1, 12.4, 5, 5)], 3, 2),
        ]
    )
    before = {name: p.asnumpy().copy() for name, p in loss.parameters_and_names()}
    losses = [run(step, image, colour, objects)[0][0] for _ in range(40)]
    assert not [n for n, p in loss.parameters_and_names() if np.array_equal(p.asnumpy(), before[n])]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((*DLA, "--net_config.last_level", "7"), "last_level 7, of 6"),
        ((*RESNET_VD, "--net_config.first_level", "3"), "first_level 3 to before last_level 4"),
        ((*DLA, "--net_config.level_depths", "[1, 1, 1]"), "level_depths has 3 levels but"),
        ((*RESNET_VD, "--net_config.block_class", "[1, 1]"), "block_class has 2 stages but"),
        ((*SHUFFLENET_V2, "--net_config.stage_channels", "[24, 48]"), "stage_channels"),
        ((*SHUFFLENET_V2, "--net_config.stage_channels", "[24, 47, 96]"), "stage_channels"),
        ((*DLA, "--dataset_config.input_res_train", "[500, 512]"), "a multiple of 32 pixels"),
    ],
)
def test_networks_that_cannot_be_are_refused_in_a_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        config(*options)
