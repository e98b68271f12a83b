# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Files for DLA-34 and ResNet-50-vd: ImageNet's backbones, and the original's there and back.

Names are those of the lists of the family; the networks are narrow, and the values seeded.
"""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from src.model_utils.errors import UserError
from src.models.network import Network, create_network
from src.weights import checkpoints
from src.weights.__main__ import main
from src.weights.files import Stored
from src.weights.load import configured_to_train, load, load_for_fine_tuning, read_weights
from src.weights.translate import translate
from tests.conftest import FAMILY, QUICKSTART, Program
from tests.helpers import config
from tests.test_dla import NARROW, network_of
from tests.test_family_networks import needs_oracles, stored_names

pytestmark = needs_oracles
State = dict[str, np.ndarray]
SMALL = {
    "dla": NARROW["dla"],
    # Of four stages, as the last one is deformable there.
    "resnet_vd": (
        *("--net_config.block_class", "[1, 1, 1, 1]"),
        *("--net_config.stage_channels", "[8, 8, 12, 12]"),
    ),
}
CLASSIFIERS = {"dla": {"fc.weight": (1000, 512, 1, 1), "fc.bias": (1000,)},
               "resnet_vd": {"out.weight": (2048, 1000), "out.bias": (1000,)}}  # fmt: skip
# Of a list of names: what backbones stand below there, the layout of one alone, and ours.
BACKBONES = {
    "original_dla34_ctdet": ("base.", "ImageNet's DLA-34, original PyTorch", "dla"),
    "paddle_dla34": ("backbone.", "ImageNet's DLA-34, PaddleDetection", "dla"),
    "paddle_r50": ("backbone.", "ImageNet's ResNet-vd, PaddleDetection", "resnet_vd"),
}


def of_imagenet(state: State, names: str) -> State:
    """What ImageNet's file has of a detector's: the backbone alone, nothing deformable."""
    prefix, _, network = BACKBONES[names]
    backbone = {
        name.removeprefix(prefix): value
        for name, value in state.items()
        if name.startswith(prefix) and "conv_offset" not in name
    }
    classifier = {n: np.ones(shape, np.float32) for n, shape in CLASSIFIERS[network].items()}
    return backbone | classifier


def narrow(network: str) -> tuple[str, ...]:
    """Flags of a narrow network with heads as wide as the published ones."""
    return (
        *("--config_path", str(QUICKSTART), "--net_config.network", network, *SMALL[network]),
        *("--net_config.head_conv", "256", "--net_config.deformable", "gather"),
    )


def state_of(names: str, network: Network) -> State:
    """A file with the names of a list as far as `network` goes, and values that all differ."""
    stored = stored_names(FAMILY / f"names_{names}.txt")
    found, random = translate(stored), np.random.default_rng(1)
    shapes = {name: value.shape for name, value in network.parameters_and_names()}
    return {
        theirs: random.uniform(0.5, 1.5, shapes[ours]).astype(np.float32)
        for ours, theirs in found.sources.items()
        if ours in shapes
    }


@pytest.mark.parametrize("names", BACKBONES)
def test_every_name_of_a_backbone_has_its_place(names: str):
    whole = stored_names(FAMILY / f"names_{names}.txt")
    stored = Stored(Path("m"), of_imagenet(whole.tensors, names), [])
    found = translate(stored)
    parameters = [name for name, _ in network_of(names).parameters_and_names()]
    assert found.layout.name == BACKBONES[names][1]
    assert set(found.arrays) == {
        name
        for name in parameters
        if name.startswith("features.backbone.") and "conv_offset" not in name
    }
    of_detector = translate(whole)
    prefix, _, network = BACKBONES[names]
    for name, source in found.sources.items():
        assert of_detector.sources[name] == prefix + source
    reasons = [found.ignored[name] for name in CLASSIFIERS[network]]
    assert reasons == ["ImageNet's classifier"] * 2
    assert len(found.arrays) + len(found.ignored) == len(stored.tensors)


@pytest.mark.parametrize(
    ("names", "classifier"),
    [
        ("paddle_mbv1", {"fc.weight"}),
        ("paddle_mbv3_large", {"last_second_conv.bn._mean", "last_conv.weight", "out.bias"}),
        ("paddle_mbv3_small", {"last_second_conv.conv.weight", "last_conv.weight", "out.weight"}),
        ("paddle_shufflenetv2", {"_last_conv._conv.weight", "_fc.weight"}),
    ],
)
def test_every_name_of_a_small_backbone_has_its_place(names: str, classifier: set[str]):
    whole = stored_names(FAMILY / f"names_{names}.txt")
    tensors = {
        name.removeprefix("backbone."): value
        for name, value in whole.tensors.items()
        if name.startswith("backbone.")
    }
    tensors |= {name: np.ones(3, np.float32) for name in classifier}
    found, detector = translate(Stored(Path("m"), tensors, [])), translate(whole)
    assert set(found.ignored) == classifier
    assert found.sources == {
        name: source.removeprefix("backbone.")
        for name, source in detector.sources.items()
        if name.startswith("features.backbone.")
    }
    assert found.facts["net_config.network"] == detector.facts["net_config.network"]
    assert found.facts.get("net_config.variant") == detector.facts.get("net_config.variant")


@pytest.mark.parametrize("names", BACKBONES)
def test_a_training_starts_from_a_backbone(
    names: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    used = config(*narrow(BACKBONES[names][2]))
    network = create_network(used)
    initial = {name: value.asnumpy().copy() for name, value in network.parameters_and_names()}
    detector = state_of(names, network)
    sources = {ours: theirs for theirs, ours in ours_of(detector)}
    state = of_imagenet(detector, names)
    path = write(tmp_path, state, "pdparams" if names.startswith("paddle") else "safetensors")
    weights = read_weights(path)
    used = configured_to_train(used, weights.facts, path)
    assert used.dataset_config.channel_order == "RGB"
    load_for_fine_tuning(network, weights)
    assert re.search(r"ignored +2  ImageNet's classifier \((fc|out)", capsys.readouterr().out)
    prefix = BACKBONES[names][0]
    taken = 0
    for name, value in network.parameters_and_names():
        theirs = sources[name].removeprefix(prefix)
        taken += theirs in state
        np.testing.assert_array_equal(value.asnumpy(), state.get(theirs, initial[name]))
        if name.endswith("conv_offset.weight"):
            assert not value.asnumpy().any()
    assert taken == len(state) - 2


def ours_of(state: State) -> list[tuple[str, str]]:
    """Names of a file, and ours of them."""
    found = translate(Stored(Path("m"), state, []))
    return [(theirs, ours) for ours, theirs in found.sources.items()]


def write(folder: Path, state: State, ending: str) -> Path:
    """Writes a state dict as the project does whose ending it is."""
    path = folder / f"m.{ending}"
    if ending == "pdparams":
        names = {name: f"parameter_{i}" for i, name in enumerate(state)}
        path.write_bytes(pickle.dumps(state | {"StructuredToParameterName@@": names}, 4))
    elif ending == "safetensors":
        save_file(state, path)
    else:
        torch = pytest.importorskip("torch", reason="PyTorch writes and reads such files")
        tensors = {f"module.{name}": torch.from_numpy(value) for name, value in state.items()}
        content = {"epoch": 230, "state_dict": tensors}
        torch.save(content, path, _use_new_zipfile_serialization=ending == "zip.pth")
    return path


@pytest.mark.parametrize("ending", ["safetensors", "zip.pth", "old.pth"])
def test_the_originals_dla_comes_back_as_it_was(
    ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    used = narrow("dla")
    state = state_of("original_dla34_ctdet", create_network(config(*used)))
    dead = {
        "base.fc.bias": np.ones(1000, np.float32),
        "base.level3.project.0.weight": np.ones((2, 2, 1, 1), np.float32),
        "base.level3.project.1.running_var": np.ones(2, np.float32),
        "base.base_layer.1.num_batches_tracked": np.array(7),
    }
    source = write(tmp_path, state | dead, ending)
    ours, back = tmp_path / "ours.ckpt", tmp_path / "back.safetensors"
    main(["--source", str(source), "--output", str(ours), *used])
    table = capsys.readouterr().out
    for row in (
        r"permuted +\d+  offsets y, x of each tap to nine x, nine y",
        r"ignored +1  a counter of PyTorch's BatchNorm",
        r"ignored +2  of a tree of two levels, which never uses it \(.*base\.level3\.project",
        r"ignored +1  ImageNet's classifier",
        r"left at initial values +0 ",
    ):
        assert re.search(row, table), row
    main(["--source", str(ours), "--output", str(back), "--to", "original", *used])
    found = load_file(back)
    assert found.keys() == state.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("names", ["paddle_dla34", "paddle_r50"])
def test_paddles_file_is_converted_whole(
    names: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    used = narrow(BACKBONES[names][2])
    network = create_network(config(*used))
    state = state_of(names, network)
    path = write(tmp_path, state, "pdparams")
    main(["--source", str(path), "--output", str(tmp_path / "m.ckpt"), *used])
    table = capsys.readouterr().out
    assert re.search(r"left at initial values +0 ", table)
    assert "What is no array (StructuredToParameterName@@; 1 in the file) is left out." in table
    load(network, read_weights(tmp_path / "m.ckpt"))
    values = {name: value.asnumpy() for name, value in network.parameters_and_names()}
    for theirs, ours in ours_of(state):
        expected = state[theirs]
        if "conv_offset" in ours:  # y, x of nine taps, then masks
            expected = np.concatenate([expected[1:18:2], expected[:18:2], expected[18:]])
        np.testing.assert_array_equal(values[ours], expected, err_msg=ours)
    if names == "paddle_r50":
        with pytest.raises(UserError, match="the original has no net_config"):
            options = ("--to", "original", *used)
            main(["--source", str(path), "--output", str(tmp_path / "m.pth"), *options])


@pytest.mark.slow
@pytest.mark.parametrize("names", BACKBONES)
def test_eval_gives_the_same_boxes_of_such_files(
    names: str, shapes: Path, program: Program, tmp_path: Path
):
    used = narrow(BACKBONES[names][2])
    network = create_network(config(*used))
    checkpoints.save(network.parameters_and_names(), tmp_path / "m.ckpt")
    values = {name: value.asnumpy() for name, value in network.parameters_and_names()}
    # Offsets are zeros in a new network, in any order.
    state = {theirs: values[ours] for theirs, ours in ours_of(state_of(names, network))}
    ending = "pdparams" if names.startswith("paddle") else "safetensors"
    boxes = []
    for path in (tmp_path / "m.ckpt", write(tmp_path, state, ending)):
        folder = tmp_path / path.suffix
        done = program(
            "eval.py",
            *(*used, "--device_target", "CPU", "--data_dir", shapes),
            *("--load_checkpoint_path", path, "--eval_config.num_images", 2),
            # PaddleDetection's are given with fewer digits.
            *("--dataset_config.mean", "[0.4, 0.4, 0.5]"),
            *("--dataset_config.std", "[0.3, 0.3, 0.3]", "--save_result_dir", folder),
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        boxes.append((folder / "results_val.json").read_text())
    assert boxes[0] == boxes[1] and len(boxes[0]) > 1000
