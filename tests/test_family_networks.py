# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Networks of other projects against what those compute, from weights that NumPy draws by a rule.

The rules and the values stand in ../shared/family/oracles, or in the folder FAMILY_DIR.
"""

import importlib.util
import json
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from mindspore import Tensor, nn
from mindspore.nn.utils import no_init_parameters

from src.model_utils.config import load_config
from src.model_utils.errors import UserError
from src.models.heads import Head, Heads
from src.models.network import FEATURES, Network, create_network, with_loss
from src.training.step import TrainStep
from src.weights.files import Stored
from src.weights.load import load
from src.weights.translate import translate
from tests.conftest import FAMILY, PROJECT
from tests.helpers import config, graph_mode, object_rows, run

needs_oracles = pytest.mark.skipif(
    not FAMILY.is_dir(), reason=f"no values at {FAMILY}; FAMILY_DIR can name their folder"
)
CONFIGS = {
    "hg104": "tensorflow/hourglass104_512",
    "r50v1fpn": "tensorflow/resnet50_v1_fpn",
    "r101v1fpn": "tensorflow/resnet101_v1_fpn",
    "r50v2": "tensorflow/resnet50_v2",
}
HEADS = {  # ours of theirs, with the sign of the channels' order in a pair: x, y of y, x
    "object_center": ("hm", False),
    "box/scale": ("wh", True),
    "box/offset": ("reg", True),
    "human_pose/keypoint/heatmap": ("hm_hp", False),
    "human_pose/keypoint/offset": ("hp_offset", True),
    "human_pose/keypoint/regression": ("hps", True),
}
# Of 90 channels those of the categories that COCO's annotations use.
USED = [i - 1 for i in range(1, 91) if i not in {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}]


def slow(*values: object):
    return pytest.param(*values, marks=pytest.mark.slow)


def rule(name: str) -> ModuleType:
    """A module of the folder with the values."""
    spec = importlib.util.spec_from_file_location(name, FAMILY / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def network_of(path: str, heads: list[Head] | None = None, classes: int = 80) -> Network:
    """The network of a file in configs/, without values; with other heads than the task's."""
    used = load_config("tests", ("--config_path", str(PROJECT / "configs" / f"{path}.yaml")))
    names = [f"class {i}" for i in range(classes)]
    dataset = used.dataset_config.model_copy(update={"coco_classes": names, "num_classes": classes})
    used = used.model_copy(update={"dataset_config": dataset})
    net = used.net_config
    with no_init_parameters():
        if heads is None:
            return create_network(used)
        features = FEATURES[net.network](net)
        cells = [
            Heads(features.channels, net.head_conv, heads, net.separable_heads)
            for _ in range(features.stacks)
        ]
        return Network(features, cells)


class AllMaps(nn.Cell):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network.set_train(False)

    def construct(self, image: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        return self.network.all_maps(image)


def maps_of(
    network: Network, weights: dict[str, np.ndarray], image: np.ndarray
) -> list[dict[str, np.ndarray]]:
    """The maps of every stack by the heads' names, of a network with another project's weights."""
    load(network, translate(Stored(Path("weights"), weights, [])))
    heads = list(network.heads.name_cells())
    with graph_mode():
        stacks = AllMaps(network)(Tensor(image))
    return [{n: m.asnumpy() for n, m in zip(heads, maps, strict=True)} for maps in stacks]


def tensorflow_maps(name: str) -> tuple[list[dict[str, np.ndarray]], dict]:
    """The maps of a network of TensorFlow's, and what the pack says of it."""
    seeded = rule("tf_seeded_weights")
    pack = json.loads((FAMILY / "tf_pack.json").read_text())
    entry = pack["networks"][name]
    image = seeded.tensor(pack["seed"], 256, 256, entry["input"]["std"])
    assert zlib.crc32(image.tobytes()) == entry["input"]["crc32"]
    heads = None
    if name.endswith("_kpts"):
        channels = {"hm": min(entry["num_classes"], 80), "wh": 2, "reg": 2, "hm_hp": 17}
        channels |= {"hp_offset": 34, "hps": 34}
        heads = [Head(head, count, head.startswith("hm")) for head, count in channels.items()]
    network = network_of(CONFIGS[name.removesuffix("_kpts")], heads)
    weights = seeded.variables(FAMILY / "tf_pack.json", name)
    return maps_of(network, weights, image.transpose(0, 3, 1, 2)), entry


@needs_oracles
@pytest.mark.parametrize(
    "name", ["r50v1fpn", "r50v2", slow("r101v1fpn"), slow("hg104"), slow("hg104_kpts")]
)
def test_tensorflow_networks_give_tensorflows_maps(name):
    stacks, entry = tensorflow_maps(name)
    y0, x0, step = entry["heads_step"]
    largest = {}
    with np.load(FAMILY / f"tf_{name}.npz") as stored:
        for key, facts in entry["heads"].items():
            head, stack = key.rsplit("/", 1)
            ours, is_turned = HEADS[head]
            found = stacks[int(stack)][ours].transpose(0, 2, 3, 1)[:, y0::step, x0::step]
            wanted = stored[f"heads/{key}"]
            if is_turned:
                wanted = wanted.reshape(*wanted.shape[:3], -1, 2)[..., ::-1].reshape(wanted.shape)
            elif head == "object_center" and wanted.shape[3] == 90:
                wanted = wanted[..., USED]
            assert found.shape == wanted.shape
            largest[key] = np.abs(found - wanted).max() / min(facts["tolerance"], 1e-3)
    assert max(largest.values()) < 1, largest
    print(name, {key: round(float(part), 3) for key, part in largest.items()})


@needs_oracles
@pytest.mark.slow
@pytest.mark.parametrize("task", ["ctdet", "multi_pose"])
def test_the_originals_hourglass_gives_the_originals_maps(task):
    name = f"original_hourglass104_{task}"
    seeded = rule("seeded_weights")
    pack = json.loads((FAMILY / "pack.json").read_text())
    entry = pack["networks"][name]
    normalise = entry["normalise"]
    image = seeded.image(pack["seed"], *entry["input"])
    image = seeded.tensor(image, normalise["mean"], normalise["std"], 1 / 255, normalise["rgb"])
    assert zlib.crc32(image.tobytes()) == entry["image_tensor_crc32"]
    heads = None
    if task == "multi_pose":
        channels = {"hm": 1, "wh": 2, "hps": 34, "reg": 2, "hm_hp": 17, "hp_offset": 2}
        heads = [Head(head, count, head.startswith("hm")) for head, count in channels.items()]
    network = network_of("original/hourglass104", heads)
    assert sum(p.size for p in network.trainable_params()) == entry["parameters"]
    stacks = maps_of(network, seeded.network(FAMILY / "pack.json", name), image)
    with np.load(FAMILY / f"{name}.npz") as stored:
        for prefix, maps in zip(("s0_", ""), stacks, strict=True):
            for head, found in maps.items():
                key = f"{prefix}{head}"
                wanted = stored[key if key in stored else f"{key}_every8"]
                found = found[:, :: 1 if key in stored else 8]
                floor = entry["float32_minus_float64"][key]["max"]
                np.testing.assert_allclose(found, wanted, rtol=0, atol=10 * floor, err_msg=key)
                print(key, np.abs(found - wanted).max() / floor)
