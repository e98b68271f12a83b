# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Weights of other projects: read, converted, refused.

The files are made here, under the names that PyTorch's state dicts have (tests/oracles), with
seeded parameters of which all matter.
"""

import importlib.util
import json
import pickle
import re
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from src.data.augment import colour_statistics, normalisation, normalise
from src.model_utils.errors import UserError
from src.model_utils.parameters import Config
from src.models.network import Network, create_network
from src.weights import checkpoints, files
from src.weights.__main__ import main
from src.weights.layouts import LAYOUTS
from src.weights.layouts.changes import TAPS_FROM_YX
from src.weights.layouts.layout import Colours, Layout, Rule
from src.weights.load import (
    configured,
    configured_to_train,
    load,
    load_for_fine_tuning,
    read_weights,
)
from src.weights.translate import translate
from tests.conftest import COCO128, PROJECT, QUICKSTART, Program, assert_refused
from tests.helpers import PYTORCH_NAMES, config, oracle, run
from tests.oracles.seeded import sample, seeded_array, seeded_image, weights_array

State = dict[str, np.ndarray]
RESNET18, RESNET101, MODELZOO, MOBILENET_V2 = (
    ("--config_path", str(PROJECT / "configs" / f"{name}.yaml"))
    for name in ("resnet18", "resnet101", "resnet101_modelzoo", "mobilenet_v2/plain")
)
DEPTHS = {"resnet18_dcn": 18, "resnet101_dcn": 101, "resnet101_modelzoo": 101}
HEADS = ("hm", "wh", "reg")
TOLERANCE = 1e-3
GATHER = ("--net_config.deformable", "gather")
# 1024 classes, as of no data set: the classifier has to go whatever its width.
CLASSIFIER = {"fc.weight": (1024, 512), "fc.bias": (1024,)}

has_torch = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not has_torch, reason="PyTorch is not installed")


@pytest.fixture(scope="module")
def stored() -> State:
    return oracle("weights_forward")


def pytorch_shapes(stored: State, name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a PyTorch network's state dict."""
    shapes = (tuple(int(side) for side in row if side) for row in stored[f"{name}_shapes"])
    return dict(zip(map(str, stored[f"{name}_names"]), shapes, strict=True))


def pytorch_state(stored: State, name: str) -> State:
    """Its state dict, with the counters that PyTorch's BatchNorm has."""
    return {
        key: np.array(7) if key.endswith("tracked") else weights_array(key, shape, DEPTHS[name])
        for key, shape in pytorch_shapes(stored, name).items()
    }


def mindspore_names(state: State, rename: Callable[[str], str]) -> State:
    """A state dict under MindSpore's names of BatchNorm's parameters, changed by `rename`."""
    norms = {key.removesuffix(".running_mean") for key in state if key.endswith("running_mean")}
    found = {}
    for key, value in state.items():
        cell, _, last = key.rpartition(".")
        if last == "num_batches_tracked":
            continue
        if cell in norms:
            back = {theirs: ours for ours, theirs in PYTORCH_NAMES.items()}
            last = back[last]
        found[rename(f"{cell}.{last}")] = value
    return found


def write_ckpt(path: Path, state: State) -> Path:
    """As other projects write it: without our check sum."""
    entries = [{"name": name, "data": ms.Tensor(value)} for name, value in state.items()]
    ms.save_checkpoint(entries, str(path))
    return path


def write_safetensors(path: Path, state: State) -> Path:
    save_file(state, path)
    return path


def convert(source: Path, output: Path, *options: object) -> None:
    main(["--source", str(source), "--output", str(output), *map(str, options)])


def tensors_of(path: Path) -> State:
    """What a checkpoint holds, without its texts."""
    stored = checkpoints.read(path)
    return {n: value.asnumpy() for n, value in stored.items() if not isinstance(value, str)}


def network_of(used: Config) -> Network:
    return create_network(used).set_train(False)


def assert_heads_are_pytorchs(network: Network, stored: State, name: str) -> None:
    heads = run(network, seeded_image((1, 3, 512, 512), "weights"))
    for head, values in zip(HEADS, heads, strict=True):
        expected = stored[f"{name}_{head}"]
        assert np.abs(expected).max() > 1
        found = sample(values, len(expected))
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE, err_msg=head)


# --- the original's and ModelZoo's CenterNets --------------------------------------------------


def test_the_original_resnet18_dcn_converted_gives_pytorchs_heads(
    stored: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    state = pytorch_state(stored, "resnet18_dcn")
    wrapped = {f"module.{name}": value for name, value in state.items()}
    source = write_safetensors(tmp_path / "ctdet_coco_resdcn18.safetensors", wrapped)
    convert(source, tmp_path / "model.ckpt", *RESNET18)
    table = capsys.readouterr().out
    for row in (
        r"matched +145 ",
        r"permuted +6  offsets y, x of each tap to nine x, nine y",
        r"transposed +0 ",
        r"ignored +26  a counter of PyTorch's BatchNorm \(module\.bn1\.num_batches_tracked, ",
        r"left at initial values +0 ",
    ):
        assert re.search(row, table), row
    used = config(*RESNET18, *GATHER)
    network = network_of(used)
    load(network, read_weights(tmp_path / "model.ckpt"))
    assert_heads_are_pytorchs(network, stored, "resnet18_dcn")


@pytest.mark.slow
def test_the_original_resnet101_dcn_read_directly_gives_pytorchs_heads(
    stored: State, tmp_path: Path
):
    path = write_safetensors(tmp_path / "model.safetensors", pytorch_state(stored, "resnet101_dcn"))
    used = config(*RESNET101)
    network = network_of(used)
    load(network, read_weights(path))
    assert_heads_are_pytorchs(network, stored, "resnet101_dcn")


def modelzoo_state(stored: State, wrapper: str = "network.") -> State:
    """A training's checkpoint of ModelZoo's centernet_resnet101, with Adam's moments.

    Its parameters are named by the cells around the network: none, the loss, the training step.
    """

    def rename(name: str) -> str:
        head, _, rest = name.partition(".")
        part = f"{head}_fn.{rest}" if head in HEADS else f"resnet101.{name}"
        return wrapper + part

    state = mindspore_names(pytorch_state(stored, "resnet101_modelzoo"), rename)
    moments = {f"moment{i}.{name}": state[name] for i in (1, 2) for name in list(state)[:5]}
    counts = {"global_step": np.array([3], np.int32), "scale_sense": np.array([1024], np.float32)}
    return state | moments | counts


def test_modelzoos_checkpoint_gives_the_heads_of_pytorch_with_its_padding(
    stored: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = write_ckpt(tmp_path / "modelzoo.ckpt", modelzoo_state(stored))
    used = config(*MODELZOO)
    network = network_of(used)
    load(network, read_weights(path))
    assert re.search(r"ignored +12  the training's state", capsys.readouterr().out)
    assert_heads_are_pytorchs(network, stored, "resnet101_modelzoo")


def test_modelzoos_checkpoint_is_known_whatever_cells_stood_around_it(stored: State):
    names = []
    for wrapper in ("network.", "", "train_on_step.network.network."):
        made = files.Stored(Path("modelzoo.ckpt"), modelzoo_state(stored, wrapper), [])
        names.append(sorted(translate(made).arrays))
    assert len(names[0]) == 547
    assert names[0] == names[1] == names[2]
    made.tensors[f"{wrapper}rpn.weight"] = np.ones(3, np.float32)
    with pytest.raises(
        UserError, match=r"holds 1 tensors \(.*rpn\.weight\) that a network of the l"
    ):
        translate(made)


def test_modelzoos_checkpoint_is_refused_by_a_network_that_pools_otherwise(
    stored: State, tmp_path: Path
):
    path = write_ckpt(tmp_path / "modelzoo.ckpt", modelzoo_state(stored))
    weights = read_weights(path)
    assert configured(config(), weights).net_config.stem_pool == "same"
    used = config("--net_config.stem_pool", "symmetric")
    with pytest.raises(
        UserError, match=r"with net_config\.stem_pool 'same', but command line says"
    ):
        configured(used, weights)


# --- ImageNet's networks -----------------------------------------------------------------------


def imagenet_state(stored: State) -> State:
    """torchvision's ResNet-18."""
    shapes = pytorch_shapes(stored, "resnet18_dcn")
    state = {
        name: np.array(7) if name.endswith("tracked") else seeded_array(name, shape)
        for name, shape in shapes.items()
        if name.startswith(("conv1", "bn1", "layer"))
    }
    classifier = {name: np.ones(shape, np.float32) for name, shape in CLASSIFIER.items()}
    return state | classifier


def mindcv_name(name: str) -> str:
    return name.replace("downsample", "down_sample").replace("fc.", "classifier.")


def modelzoo_imagenet_name(name: str) -> str:
    name = re.sub(r"(layer.*\.bn\d)\.", r"\1d.", name)
    return name.replace("downsample", "down_sample_layer").replace("fc.", "end_point.")


@pytest.mark.parametrize("layout", ["torchvision", "mindcv", "modelzoo"])
def test_a_backbones_first_layer_stays_and_its_colours_are_told(
    layout: str, stored: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    state = imagenet_state(stored)
    if layout == "torchvision":
        path = write_safetensors(tmp_path / "resnet18.safetensors", state)
    else:
        rename = {"mindcv": mindcv_name, "modelzoo": modelzoo_imagenet_name}[layout]
        path = write_ckpt(tmp_path / "resnet18.ckpt", mindspore_names(state, rename))
    weights = read_weights(path)
    used = configured_to_train(config(*RESNET18), weights.facts, path)
    assert (
        f"taken from {path}: dataset_config.channel_order 'RGB', dataset_config.mean "
        "[0.485, 0.456, 0.406], dataset_config.std [0.229, 0.224, 0.225]\n"
    ) in capsys.readouterr().out
    # What torchvision gives its networks, at every place of the picture.
    image = np.random.default_rng(0).integers(0, 256, (3, 5, 7), np.uint8)  # BGR
    mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    expected = (image[::-1] / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    found = normalise(image, normalisation(colour_statistics(used.dataset_config)))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    own = config(*RESNET18, "--dataset_config.mean", "[0.5, 0.5, 0.5]")
    own = configured_to_train(own, weights.facts, path).dataset_config
    assert (own.mean, own.channel_order) == ([0.5, 0.5, 0.5], "BGR")  # of B, G, R

    network = network_of(used)
    load_for_fine_tuning(network, weights)
    backbone = network.features.backbone
    for ours, theirs in (
        (backbone.conv1.weight, "conv1.weight"),
        (backbone.bn1.moving_mean, "bn1.running_mean"),
    ):
        np.testing.assert_array_equal(ours.asnumpy(), state[theirs])


def modelzoo_bottlenecks(counts: tuple[int, int, int, int]) -> State:
    """The BatchNorms of a bottleneck ResNet of ModelZoo with these numbers of blocks."""
    blocks = [f"layer{i}.{j}" for i, count in enumerate(counts, 1) for j in range(count)]
    cells = ["bn1", *(f"{block}.bn{k}" for block in blocks for k in (1, 2, 3))]
    cells += [f"layer{i}.0.down_sample_layer.1" for i in (1, 2, 3, 4)]
    return {f"{cell}.{last}": np.ones(8, np.float32) for cell in cells for last in PYTORCH_NAMES}


@pytest.mark.parametrize(
    ("counts", "mean"),
    [((3, 4, 6, 3), 0.485), ((3, 4, 23, 3), 0.475), ((3, 8, 36, 3), 0.485)],
)
def test_modelzoos_resnet101_has_colours_and_all_its_bottlenecks_an_epsilon_of_their_own(
    counts: tuple[int, int, int, int], mean: float
):
    found = translate(files.Stored(Path("m.ckpt"), modelzoo_bottlenecks(counts), []))
    assert found.layout.name == "ImageNet, ModelZoo"
    assert found.facts["dataset_config.channel_order"] == "RGB"
    assert found.facts["dataset_config.mean"][0] == mean
    variances = [array for name, array in found.arrays.items() if name.endswith("variance")]
    assert len(variances) == 1 + 3 * sum(counts) + 4
    assert all(np.allclose(array, 1.00009, atol=1e-7) for array in variances)


def test_a_backbone_gives_pytorchs_features(tmp_path: Path, stored: State):
    path = write_safetensors(tmp_path / "resnet18.safetensors", imagenet_state(stored))
    used = config(*RESNET18)
    network = network_of(used)
    load_for_fine_tuning(network, read_weights(path))
    *_, found = run(network.features.backbone.set_train(False), seeded_image())
    np.testing.assert_allclose(found, oracle("resnet18_forward")["plain_layer4"], atol=2e-4)


def mobilenet_v2_state() -> State:
    """torchvision's MobileNetV2, with its classifier."""
    shapes = pytorch_shapes(oracle("mobilenet_v2_forward"), "mobilenet_v2")
    return {
        name: np.ones(shape, np.float32)
        if name.startswith("classifier") or name.endswith("tracked")
        else seeded_array(name, shape)
        for name, shape in shapes.items()
    }


def test_torchvisions_mobilenet_v2_gives_its_maps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = write_safetensors(tmp_path / "m.safetensors", mobilenet_v2_state())
    used = config(*MOBILENET_V2)
    network = network_of(used)
    load_for_fine_tuning(network, read_weights(path))
    assert re.search(r"ignored +2  ImageNet's classifier", capsys.readouterr().out)
    backbone = network.features.backbone
    maps = run(backbone.set_train(False), seeded_image())
    assert backbone.channels == [found.shape[1] for found in maps]
    assert [64 // found.shape[2] for found in maps] == [2, 4, 8, 16, 16, 32, 32, 32]
    stored = oracle("mobilenet_v2_forward")
    for place, found in enumerate(maps):
        expected = stored[f"map{place}"]
        assert expected.std() > 1
        np.testing.assert_allclose(sample(found, len(expected)), expected, rtol=0, atol=TOLERANCE)


def test_a_small_set_of_ones_own_starts_from_a_backbone_or_a_whole_detector(
    stored: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    used = config("--config_path", str(PROJECT / "configs" / "own_small_set.yaml"))
    network = network_of(used)
    names = [name for name, _ in network.parameters_and_names()]
    own = {"heads.hm.2.weight", "heads.hm.2.bias"}  # of other classes
    for state, taken in (
        (imagenet_state(stored), {name for name in names if name.startswith("features.backbone.")}),
        (pytorch_state(stored, "resnet18_dcn"), set(names) - own),
    ):
        path = write_safetensors(tmp_path / "weights.safetensors", state)
        load_for_fine_tuning(network, read_weights(path))
        said = f"fine-tuning: {len(taken)} of {len(names)} parameters are from {path}"
        assert said in capsys.readouterr().out


def test_modelzoos_epsilon_of_the_blocks_is_in_the_variances(stored: State, tmp_path: Path):
    """1e-4 there, 1e-5 here and in its stem and shortcuts."""
    state = imagenet_state(stored)
    renamed = mindspore_names(state, modelzoo_imagenet_name)
    found = translate(files.read(write_ckpt(tmp_path / "m.ckpt", renamed))).arrays
    for ours, theirs, added in (
        ("layer2.0.bn2.moving_variance", "layer2.0.bn2.running_var", 9e-5),
        ("layer2.0.downsample.1.moving_variance", "layer2.0.downsample.1.running_var", 0),
        ("bn1.moving_variance", "bn1.running_var", 0),
    ):
        difference = found[f"features.backbone.{ours}"].astype(np.float64) - state[theirs]
        np.testing.assert_allclose(difference, added, atol=2e-7, err_msg=ours)


def test_a_backbone_alone_is_converted_only_when_that_is_said(
    stored: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    source = write_safetensors(tmp_path / "resnet18.safetensors", imagenet_state(stored))
    output = tmp_path / "backbone.ckpt"
    with pytest.raises(UserError, match=r"lacks 51 parameters \(features.neck, heads.hm, heads.w"):
        convert(source, output, *RESNET18)
    assert not output.exists()
    convert(source, output, *RESNET18, "--allow_missing")
    assert "left at initial values      51  not in the file" in capsys.readouterr().out
    written = tensors_of(output)
    assert len(written) == 100 and all(name.startswith("features.backbone.") for name in written)
    with pytest.raises(UserError, match=r"another model, 51 parameters do not fit"):
        load(network_of(config(*RESNET18)), read_weights(output))


# --- there and back ----------------------------------------------------------------------------


def assert_equal(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_weights_survive_every_way_there_and_back(stored: State, tmp_path: Path):
    state = {
        name: value
        for name, value in pytorch_state(stored, "resnet18_dcn").items()
        if not name.endswith("tracked")
    }
    original = write_safetensors(tmp_path / "original.safetensors", state)
    convert(original, tmp_path / "ours.ckpt", *RESNET18)
    convert(tmp_path / "ours.ckpt", tmp_path / "ours.safetensors", *RESNET18)
    convert(tmp_path / "ours.safetensors", tmp_path / "again.ckpt", *RESNET18)
    convert(tmp_path / "again.ckpt", tmp_path / "back.safetensors", *RESNET18, "--to", "original")
    assert_equal(load_file(tmp_path / "back.safetensors"), state)
    ours = tensors_of(tmp_path / "ours.ckpt")
    assert_equal(load_file(tmp_path / "ours.safetensors"), ours)
    assert ours["heads.hm.2.bias"].dtype == np.float32


def test_the_original_cannot_take_a_network_that_pools_otherwise(
    small: tuple[str, ...], tmp_path: Path
):
    same = ("--net_config.stem_pool", "same")
    checkpoints.save(network_of(config(*small)).parameters_and_names(), tmp_path / "m.ckpt")
    with pytest.raises(UserError, match=r"the original has no net_config\.stem_pool same"):
        convert(tmp_path / "m.ckpt", tmp_path / "o.pth", *small, *same, "--to", "original")


@pytest.mark.parametrize("ending", ["ckpt", "safetensors"])
def test_converted_weights_remember_how_their_network_pools(
    ending: str, small: tuple[str, ...], tmp_path: Path
):
    path, same = tmp_path / f"same.{ending}", ("--net_config.stem_pool", "same")
    checkpoints.save(network_of(config(*small)).parameters_and_names(), tmp_path / "m.ckpt")
    convert(tmp_path / "m.ckpt", path, *small, *same)
    load(network_of(config(*small, *same)), read_weights(path))
    weights = read_weights(path)
    assert configured(config(*small), weights).net_config.stem_pool == "same"
    with pytest.raises(UserError, match=r"stem_pool 'same', but command line says 'symmetric'; "):
        configured(config(*small, "--net_config.stem_pool", "symmetric"), weights)


def test_a_checkpoint_of_ours_may_hold_more_than_the_network(
    small: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    used = config(*small)
    stored = dict(network_of(used).parameters_and_names())
    for name in ("training.batches", "other.count"):
        stored[name] = ms.Parameter(ms.Tensor([1], ms.int32), name=name)
    checkpoints.save(stored.items(), tmp_path / "more.ckpt")
    load(network_of(used), read_weights(tmp_path / "more.ckpt"))
    load_for_fine_tuning(network_of(used), read_weights(tmp_path / "more.ckpt"))
    assert capsys.readouterr().out.endswith("  only there, ignored: other.count\n")
    with pytest.raises(UserError, match=r"the configured network has no other\.count"):
        convert(tmp_path / "more.ckpt", tmp_path / "m.ckpt", *small)


# --- types, tied and missing tensors -----------------------------------------------------------


@pytest.fixture(scope="module")
def small() -> tuple[str, ...]:
    """Flags of a network of few parameters."""
    return ("--config_path", str(QUICKSTART))


@pytest.fixture(scope="module")
def small_state(small: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> State:
    """Its weights in the original's layout."""
    folder = tmp_path_factory.mktemp("small")
    checkpoints.save(network_of(config(*small)).parameters_and_names(), folder / "ours.ckpt")
    convert(folder / "ours.ckpt", folder / "original.safetensors", *small, "--to", "original")
    return load_file(folder / "original.safetensors")


def raw_safetensors(path: Path, tensors: dict[str, tuple[str, tuple[int, ...], bytes]]) -> Path:
    """A file by the format's definition: length of the header, header, data."""
    header, data = {}, b""
    for name, (kind, shape, content) in tensors.items():
        span = [len(data), len(data) + len(content)]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": span}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_half_precision_is_widened_and_said(
    small: tuple[str, ...], small_state: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    halves = {name: value.astype(np.float16) for name, value in small_state.items()}
    convert(write_safetensors(tmp_path / "h.safetensors", halves), tmp_path / "h.ckpt", *small)
    assert (
        f"Tensors of float16 ({len(halves)} in the file) become float32." in capsys.readouterr().out
    )
    # bfloat16 is a float32 without its lower half; those of the file round towards zero.
    upper = {name: value.view(np.uint32) >> 16 for name, value in small_state.items()}
    entries = {n: ("BF16", v.shape, v.astype("<u2").tobytes()) for n, v in upper.items()}
    source = raw_safetensors(tmp_path / "b.safetensors", entries)
    convert(source, tmp_path / "b.ckpt", *small)
    assert "Tensors of bfloat16 (67 in the file) become float32." in capsys.readouterr().out
    name, theirs = "features.backbone.layer1.0.conv1.weight", "layer1.0.conv1.weight"
    found = checkpoints.read(tmp_path / "h.ckpt")[name].asnumpy()
    np.testing.assert_array_equal(found, halves[theirs].astype(np.float32))
    found = checkpoints.read(tmp_path / "b.ckpt")[name].asnumpy()
    np.testing.assert_allclose(found, small_state[theirs], rtol=2**-7)
    assert not np.array_equal(found, small_state[theirs])


@pytest.mark.parametrize("kind", [ms.float16, ms.bfloat16])
def test_half_precision_checkpoints_are_widened_too(
    kind: ms.Type, small: tuple[str, ...], tmp_path: Path
):
    used = config(*small)
    values = dict(network_of(used).parameters_and_names())
    halves = {name: value.astype(kind) for name, value in values.items()}
    checkpoints.save([(n, ms.Parameter(v, name=n)) for n, v in halves.items()], tmp_path / "h.ckpt")
    network = network_of(used)
    load(network, read_weights(tmp_path / "h.ckpt"))
    for name, parameter in network.parameters_and_names():
        assert parameter.dtype == ms.float32
        np.testing.assert_array_equal(
            parameter.asnumpy(), halves[name].astype(ms.float32).asnumpy()
        )


def test_a_safetensors_file_whose_length_begins_as_a_pickle_is_one(tmp_path: Path):
    path = tmp_path / "m.safetensors"
    for width in range(0, 256, 8):
        save_file({"w": np.ones(3, np.float32)}, path, metadata={"note": "x" * width})
        if path.read_bytes()[0] == 0x80:
            break
    assert path.read_bytes()[0] == 0x80
    assert files.read(path).tensors["w"].tolist() == [1, 1, 1]


def test_a_type_that_no_one_trains_in_is_refused(tmp_path: Path):
    source = raw_safetensors(tmp_path / "f.safetensors", {"conv1.weight": ("F8_E4M3", (2,), b"ab")})
    with pytest.raises(UserError, match=r"conv1\.weight is of type F8_E4M3; save it as float32\.$"):
        files.read(source)


def test_a_tied_head_gets_its_own_copy(
    small: tuple[str, ...], small_state: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """PyTorch's save_model leaves out a tensor of two names and says so in the metadata."""
    state = {name: value for name, value in small_state.items() if name != "reg.0.weight"}
    save_file(state, tmp_path / "tied.safetensors", metadata={"reg.0.weight": "wh.0.weight"})
    convert(tmp_path / "tied.safetensors", tmp_path / "tied.ckpt", *small)
    sentence = "reg.0.weight and wh.0.weight are one tensor in the file; here each has its own copy"
    assert sentence in capsys.readouterr().out
    found = checkpoints.read(tmp_path / "tied.ckpt")["heads.reg.0.weight"].asnumpy()
    np.testing.assert_array_equal(found, small_state["wh.0.weight"])


def test_a_missing_head_is_named(small: tuple[str, ...], small_state: State, tmp_path: Path):
    state = {name: value for name, value in small_state.items() if not name.startswith("reg.")}
    source = write_safetensors(tmp_path / "headless.safetensors", state)
    with pytest.raises(UserError, match=r"lacks 4 parameters \(heads\.reg\) of the configured net"):
        convert(source, tmp_path / "m.ckpt", *small)
    with pytest.raises(UserError, match=r"lacks 4 parameters \(heads\.reg\) of the configured net"):
        load(network_of(config(*small)), read_weights(source))
    convert(source, tmp_path / "m.ckpt", *small, "--net_config.reg_offset", "false")


def test_a_head_that_is_not_configured_is_left_out_and_named(
    small: tuple[str, ...], small_state: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    source = write_safetensors(tmp_path / "m.safetensors", small_state)
    convert(source, tmp_path / "m.ckpt", *small, "--net_config.reg_offset", "false")
    assert re.search(r"ignored +4  the configured network has no head reg", capsys.readouterr().out)


# --- refused -----------------------------------------------------------------------------------


def test_another_network_is_named(stored: State, tmp_path: Path):
    source = write_safetensors(tmp_path / "m.safetensors", pytorch_state(stored, "resnet18_dcn"))
    for options, sentence in (
        (RESNET101, "holds ResNet-18 with deformable layers, but the configured .* is ResNet-101"),
        ((*RESNET18, "--net_config.deformable", "none"), "is ResNet-18 without deformable layers"),
        (("--config_path", str(PROJECT / "configs" / "pascal_resnet18.yaml")),
         r"heads\.hm\.2\.weight is \(80, 64, 1, 1\) instead of \(20, 64, 1, 1\)"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=sentence):
            convert(source, tmp_path / "m.ckpt", *options)
    assert not (tmp_path / "m.ckpt").exists()
    for state, options, sentence in (
        (imagenet_state(stored), MOBILENET_V2, "of the network resnet, but .* is mobilenet_v2; "),
        (mobilenet_v2_state(), RESNET18, "of the network mobilenet_v2, but the .* is resnet; "),
    ):
        weights = read_weights(write_safetensors(source, state))
        with pytest.raises(UserError, match=sentence):
            load_for_fine_tuning(network_of(config(*options)), weights)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"patch_embed.weight": (16, 3, 7, 7), "conv1.weight": None}, "of no layout that is"),
        (
            {"layer1.0.se.conv_reduce.weight": (8, 64, 1, 1)},
            r"holds 1 tensors \(layer1\.0\.se\.conv",
        ),
    ],
)
def test_a_network_that_is_none_of_these_is_refused(
    changes: dict, sentence: str, stored: State, tmp_path: Path
):
    state = imagenet_state(stored)
    for name, shape in changes.items():
        state.pop(name, None)
        if shape:
            state[name] = np.ones(shape, np.float32)
    source = write_safetensors(tmp_path / "m.safetensors", state)
    with pytest.raises(UserError, match=sentence):
        convert(source, tmp_path / "m.ckpt", *RESNET18, "--allow_missing")


def test_one_layout_names_all_tensors_of_a_file(stored: State, tmp_path: Path):
    """Whichever of them stands first: none is chosen among several."""
    resnet = imagenet_state(stored)
    whole = pytorch_state(stored, "resnet18_dcn")
    for expected, state in (
        ("CenterNet, original PyTorch", whole),
        ("CenterNet, original PyTorch", pytorch_state(stored, "resnet101_modelzoo")),
        ("CenterNet, ModelZoo", modelzoo_state(stored)),
        ("ImageNet, torchvision or timm", resnet),
        ("ImageNet, torchvision or timm", {n: v for n, v in resnet.items() if n[:2] != "fc"}),
        ("ImageNet, MindCV", mindspore_names(resnet, mindcv_name)),
        ("ImageNet, ModelZoo", mindspore_names(resnet, modelzoo_imagenet_name)),
        ("this project's", translate(files.Stored(Path("m"), whole, [])).arrays),
    ):
        for layouts in (LAYOUTS, LAYOUTS[::-1]):
            found = translate(files.Stored(Path("m"), state, []), layouts)
            assert found.layout.name == expected


def test_a_file_of_two_layouts_is_refused(stored: State):
    other = Layout("another", r"conv1\.weight", (Rule(r"(.+)", r"backbone.\1"),))
    made = files.Stored(Path("m.pth"), imagenet_state(stored), [])
    with pytest.raises(UserError, match=r"of the layouts 'ImageNet, torchvision or timm' and 'an"):
        translate(made, (*LAYOUTS, other))


def test_two_tensors_for_one_of_ours_are_refused(stored: State):
    state = imagenet_state(stored)
    state["module.bn1.weight"] = state["bn1.weight"]
    with pytest.raises(UserError, match=r"holds 1 tensors \(module\.bn1\.weight\)"):
        translate(files.Stored(Path("m.pth"), state, []))


def test_a_layout_is_a_table():
    """One of a project that keeps other names, offsets y, x and a counter."""
    layout = Layout(
        name="a table",
        mark=r"net/stem/kernel",
        rules=(
            Rule(r"net/stem/kernel", "backbone.conv1.weight"),
            Rule(r"net/(\w+)/(\d)/taps", r"neck.\1.\2.conv_offset.bias", change=TAPS_FROM_YX),
            Rule(r"step", ignored="a counter"),
        ),
        prefix=r"(?:model/)?",
        facts={"net_config.stem_pool": "same"},
        colours=Colours("BGR", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    )
    tensors = {
        "model/net/stem/kernel": np.ones(3, np.float32),
        "model/net/up/2/taps": np.arange(27, dtype=np.float32),
        "model/net/up/3/taps": np.float32(5),  # fits nowhere, which is said by its shape
        "step": np.array(3),
    }
    found = translate(files.Stored(Path("m"), tensors, []), (layout,))
    taps = ["neck.up.2.conv_offset.bias", "neck.up.3.conv_offset.bias"]
    assert list(found.arrays) == ["backbone.conv1.weight", *taps]
    x_then_y = [*range(1, 18, 2), *range(0, 18, 2), *range(18, 27)]
    assert found.arrays[taps[0]].tolist() == x_then_y
    assert found.ignored == {"step": "a counter"}
    assert found.facts["net_config.stem_pool"] == "same"
    assert found.facts["dataset_config.channel_order"] == "BGR"


def test_whole_numbers_for_weights_are_refused(
    small: tuple[str, ...], small_state: State, tmp_path: Path
):
    state = small_state | {"hm.0.bias": small_state["hm.0.bias"].astype(np.int64)}
    source = write_safetensors(tmp_path / "m.safetensors", state)
    with pytest.raises(UserError, match=r"hm\.0\.bias is int64; save it as float32\.$"):
        convert(source, tmp_path / "m.ckpt", *small)


def test_a_truncated_file_is_refused_in_one_sentence(
    small: tuple[str, ...], small_state: State, tmp_path: Path
):
    write_safetensors(tmp_path / "whole.safetensors", small_state)
    write_ckpt(tmp_path / "whole.ckpt", small_state)
    for name, sentence in (
        ("whole.safetensors", "is a damaged or truncated .safetensors file"),
        ("whole.ckpt", "is not a MindSpore checkpoint, or a damaged one"),
    ):
        content = (tmp_path / name).read_bytes()
        for length in (len(content) // 2, 40):
            cut = tmp_path / f"cut_{length}{Path(name).suffix}"
            cut.write_bytes(content[:length])
            with pytest.raises(UserError, match=sentence):
                convert(cut, tmp_path / "m.ckpt", *small)


class Caller:
    """Pickled, a call that leaves a mark when it is made."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("kind", ["pickle", "zip"])
def test_a_file_that_asks_for_a_call_does_not_get_it(kind: str, tmp_path: Path):
    mark, path = tmp_path / "called", tmp_path / "m.pth"
    if kind == "zip":
        torch = pytest.importorskip("torch")
        torch.save({"state_dict": Caller(mark)}, path)
    else:
        path.write_bytes(pickle.dumps({"state_dict": Caller(mark)}, protocol=2))
    with pytest.raises(UserError, match=r"damaged|asks for .* to be called"):
        files.read(path)
    assert not mark.exists()


def test_without_pytorch_one_sentence_says_how_to_convert_elsewhere(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it then fails
    with zipfile.ZipFile(tmp_path / "m.pth", "w") as archive:
        archive.writestr("m/data.pkl", pickle.dumps({}))
    with pytest.raises(UserError, match=r"pip install torch, or run python -c \"import torch, "):
        files.read(tmp_path / "m.pth")
    with pytest.raises(UserError, match=r"writing \.pth needs PyTorch"):
        files.write(tmp_path / "out.pth", {}, {})


def test_the_command_line_refuses_in_one_sentence_with_exit_code_2(tmp_path: Path):
    done = subprocess.run(
        [
            sys.executable,
            PROJECT / "src" / "weights",
            "--source",
            "absent.pth",
            "--output",
            "m.ckpt",
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert_refused(done, "absent.pth: checkpoint not found; check the path.")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("output", "to", "sentence"),
    [
        ("m.onnx", "ours", r"m\.onnx: --to ours writes \.ckpt or \.safetensors; choose such a na"),
        ("m.pth", "ours", r"m\.pth: --to ours writes \.ckpt or \.safetensors; choose such a name"),
        ("m.ckpt", "original", r"m\.ckpt: --to original writes \.pth or \.safetensors; choose "),
    ],
)
def test_an_ending_that_does_not_go_with_the_layout_is_refused(output: str, to: str, sentence: str):
    with pytest.raises(UserError, match=sentence):
        convert(Path("a.ckpt"), Path(output), "--to", to)


# --- the programs ------------------------------------------------------------------------------


def test_eval_takes_such_files_directly(
    checkpoint: Path, shapes: Path, program: Program, small: tuple[str, ...], tmp_path: Path
):
    original = tmp_path / "original.safetensors"
    convert(checkpoint, original, *small, "--to", "original")
    boxes = []
    for path in (checkpoint, original):
        done = program(
            "eval.py",
            *(*small, "--device_target", "CPU", "--data_dir", shapes),
            *("--load_checkpoint_path", path, "--eval_config.num_images", 2),
            *("--eval_config.keep_res", "false", "--save_result_dir", tmp_path / path.suffix),
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        boxes.append((tmp_path / path.suffix / "results_val.json").read_text())
    assert boxes[0] == boxes[1]
    assert "original.safetensors: CenterNet, original PyTorch" in done.stdout


@pytest.mark.slow
def test_train_starts_from_such_files_directly(
    mindrecord: Path, program: Program, small: tuple[str, ...], small_state: State, tmp_path: Path
):
    original = write_safetensors(tmp_path / "original.safetensors", small_state)
    done = program(
        "train.py",
        *(*small, "--device_target", "CPU", "--mindrecord_dir", mindrecord, "--train_steps", 1),
        *("--load_checkpoint_path", original, "--enable_save_ckpt", "false"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "original.safetensors: CenterNet, original PyTorch" in done.stdout
    assert re.search(r"fine-tuning: (\d+) of \1 parameters are from .*original", done.stdout)


# --- with PyTorch ------------------------------------------------------------------------------


@needs_torch
def test_what_pytorch_writes_is_read(small_state: State, tmp_path: Path):
    """Zip and older files, a wrapper, parameters, half precision and tied tensors."""
    import torch

    state = {f"module.{name}": torch.from_numpy(v.copy()) for name, v in small_state.items()}
    state["module.conv1.weight"] = torch.nn.Parameter(state["module.conv1.weight"])
    state["module.wh.0.bias"] = state["module.reg.0.bias"]
    state["module.hm.0.bias"] = state["module.hm.0.bias"].to(torch.bfloat16)
    wrapped = {"epoch": 1, "state_dict": state, "optimizer": {"state": {}, "param_groups": []}}
    for is_zip in (True, False):
        path = tmp_path / f"{is_zip}.pth"
        torch.save(wrapped, path, _use_new_zipfile_serialization=is_zip)
        found = files.read(path)
        assert list(found.tensors) == list(state)
        for name, value in state.items():
            expected = value.detach().float().numpy()
            np.testing.assert_array_equal(found.tensors[name], expected, err_msg=name)
        widened, tied = found.remarks
        assert widened == "Tensors of bfloat16 (1 in the file) become float32."
        assert re.match(r"module\.(wh|reg)\.0\.bias and module\.(reg|wh)\.0\.bias are one", tied)


@needs_torch
def test_a_pytorch_that_files_can_make_run_code_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import torch

    torch.save({"w": torch.ones(3)}, tmp_path / "m.pth")
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.raises(UserError, match=r"can make PyTorch 2\.9\.1\+cpu run code"):
        files.read(tmp_path / "m.pth")


@needs_torch
def test_a_truncated_file_of_pytorch_is_refused_in_one_sentence(tmp_path: Path):
    import torch

    for is_zip in (True, False):
        path = tmp_path / "m.pth"
        torch.save({"w": torch.ones(1000)}, path, _use_new_zipfile_serialization=is_zip)
        content = path.read_bytes()
        for length in (20, len(content) // 2, len(content) - 30):
            path.write_bytes(content[:length])
            with pytest.raises(UserError, match="is a damaged or truncated file of PyTorch"):
                files.read(path)


@pytest.mark.slow
@needs_torch
@pytest.mark.parametrize("name", list(DEPTHS))
def test_every_cell_of_the_heads_is_pytorchs(name: str, stored: State, tmp_path: Path):
    import torch

    from tests.oracles.weights_forward import weights_heads, weights_network

    theirs = weights_network(name)
    if name == "resnet101_modelzoo":
        path = write_ckpt(tmp_path / "modelzoo.ckpt", modelzoo_state(stored))
    else:
        path = tmp_path / "original.pth"
        state = {f"module.{key}": value for key, value in theirs.state_dict().items()}
        torch.save({"epoch": 140, "state_dict": state, "optimizer": {}}, path)
    options = {"resnet18_dcn": RESNET18, "resnet101_dcn": RESNET101}.get(name, MODELZOO)
    expected = weights_heads(theirs)
    for form in ("none",) if name == "resnet101_modelzoo" else ("gather", "operator"):
        used = config(*options, "--net_config.deformable", form)
        network = network_of(used)
        load(network, read_weights(path))
        heads = run(network, seeded_image((1, 3, 512, 512), "weights"))
        for head, values in zip(HEADS, heads, strict=True):
            difference = np.abs(values - expected[head]).max()
            spread = expected[head].std()
            print(f"{name} {form} {head}: largest difference {difference:.1e}, spread {spread:.1f}")
            assert difference < TOLERANCE


@pytest.mark.slow
@needs_torch
def test_the_original_loads_what_is_written_for_it(stored: State, tmp_path: Path):
    """PyTorch's network, strictly, from the .pth, gives what it was made from."""
    import torch

    from tests.oracles.weights_forward import weights_network

    theirs = weights_network("resnet18_dcn")
    state = theirs.state_dict()
    source = write_safetensors(tmp_path / "m.safetensors", pytorch_state(stored, "resnet18_dcn"))
    convert(source, tmp_path / "ours.ckpt", *RESNET18)
    convert(tmp_path / "ours.ckpt", tmp_path / "back.pth", *RESNET18, "--to", "original")
    written = torch.load(tmp_path / "back.pth", weights_only=True)["state_dict"]
    theirs.load_state_dict(written)
    for name, value in written.items():
        assert torch.equal(value, state[name]), name


@pytest.mark.slow
@needs_torch
@pytest.mark.skipif(not COCO128.is_dir(), reason=f"no COCO images at {COCO128}")
def test_a_network_trained_in_pytorch_has_the_same_ap_here(program: Program, tmp_path: Path):
    data = tmp_path / "trained"
    trained = subprocess.run(
        [sys.executable, "-m", "tests.oracles.train_resnet18", str(COCO128), str(data)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert trained.returncode == 0, trained.stderr
    expected = json.loads((data / "plain.json").read_text())
    assert expected["AP"] > 0.1
    options = (*RESNET18, *GATHER, "--device_target", "CPU")
    main(["--source", str(data / "trained.pth"), "--output", str(data / "trained.ckpt"), *RESNET18])
    for path in (data / "trained.ckpt", data / "trained.pth"):
        done = program(
            "eval.py",
            *(*options, "--load_checkpoint_path", path, "--data_dir", data),
            *("--eval_config.keep_res", "false"),
            *("--dataset_config.input_res_test", "[192, 192]"),
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads((tmp_path / "eval.json").read_text())["numbers"]
        print(f"{path.name}: {found['AP']} here, {expected['AP']} in PyTorch")
        for number, value in expected.items():
            assert found[number] == pytest.approx(value, abs=0.001)
