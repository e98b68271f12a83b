# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Networks of other projects against what those compute, from weights that NumPy draws by a rule.

The rules and the values stand in ../shared/family/oracles, or in the folder FAMILY_DIR.
"""

import importlib.util
import json
import re
import zlib
from pathlib import Path
from types import ModuleType

import cv2
import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn
from mindspore.nn.utils import no_init_parameters

from src.evaluation.detector import detector_of
from src.evaluation.models import create_detector
from src.model_utils.config import leaves, load_config
from src.model_utils.errors import UserError
from src.models.network import Network, create_network, with_decode, with_loss
from src.training.optimizer import create_optimizer
from src.training.step import StepOptions, TrainStep
from src.weights.__main__ import main as convert_weights
from src.weights.files import Stored
from src.weights.layouts.original import ORIGINAL_HOURGLASS
from src.weights.load import configured, load, read_weights
from src.weights.translate import in_layout, translate
from tests.conftest import FAMILY, PROJECT
from tests.helpers import changed, config, graph_mode, object_rows, run

needs_oracles = pytest.mark.skipif(
    not FAMILY.is_dir(), reason=f"no values at {FAMILY}; FAMILY_DIR can name their folder"
)
CONFIGS = {
    "hg104": "tensorflow/hourglass104_512",
    "r50v1fpn": "tensorflow/resnet50_v1_fpn",
    "r101v1fpn": "tensorflow/resnet101_v1_fpn",
    "r50v2": "tensorflow/resnet50_v2",
    "mbv2fpn": "tensorflow/mobilenet_v2_fpn",
    "hg104_kpts": "tensorflow/hourglass104_512_keypoints",
    "r50v1fpn_kpts": "tensorflow/resnet50_v1_fpn_keypoints",
    "r50v2_kpts": "tensorflow/resnet50_v2_keypoints",
    "mbv2fpn_kpts": "tensorflow/mobilenet_v2_fpn_keypoints",
}
# TensorFlow's heads: ours, and whether a pair of channels is y, x or height, width there.
HEADS = {
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


def network_of(path: str, classes: int = 80) -> Network:
    """The network of a file in configs/, for so many classes, without values."""
    used = load_config("tests", ("--config_path", str(PROJECT / "configs" / f"{path}.yaml")))
    with no_init_parameters():
        return create_network(changed(used, classes))


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
    heads = [name for name in network.heads.name_cells() if not name.endswith("_pool")]
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
    network = network_of(CONFIGS[name], min(entry["num_classes"], 80))
    weights = seeded.variables(FAMILY / "tf_pack.json", name)
    # As they stand in a checkpoint of a training.
    value = "/.ATTRIBUTES/VARIABLE_VALUE"
    slots = {f"{key}/.OPTIMIZER_SLOT/optimizer/m{value}": weights[key] for key in list(weights)[:3]}
    weights = {f"{key}{value}": array for key, array in weights.items()}
    weights |= slots | {f"save_counter{value}": np.zeros((), np.int64)}
    return maps_of(network, weights, image.transpose(0, 3, 1, 2)), entry


def allowed(rounding: float, deviation: float) -> float:
    """How far maps may be from the stored ones.

    Args:
        rounding: how far those are from the same in float64.
        deviation: theirs.
    """
    return min(1e-3, rounding + 1e-4 * deviation)


@needs_oracles
@pytest.mark.parametrize(
    "name",
    [
        *("r50v1fpn", "r50v2", "mbv2fpn", "mbv2fpn_kpts"),
        *map(slow, ("r101v1fpn", "hg104", "r50v1fpn_kpts", "r50v2_kpts", "hg104_kpts")),
    ],
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
            largest[key] = np.abs(found - wanted).max() / allowed(
                facts["float32_max_abs"], facts["std"]
            )
    assert max(largest.values()) < 1, largest


@needs_oracles
def test_a_checkpoint_of_tensorflow_converts_and_finds_tensorflows_boxes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    written = tmp_path / "ours.ckpt"
    options = ("--config_path", str(PROJECT / "configs" / f"{CONFIGS['mbv2fpn']}.yaml"))
    source = FAMILY / "tf_checkpoint_mbv2fpn" / "ckpt-0.index"
    convert_weights(["--source", str(source), "--output", str(written), *options])
    assert "304 tensors written" in capsys.readouterr().out

    # As eval.py does it, but for the image, whose numbers are no bytes: they take the place of what
    # the warp and the colours make of a black one.
    size = ("--dataset_config.input_res_test", "[256, 256]", "--eval_config.K", "100")
    weights = read_weights(written)
    used = configured(load_config("tests", (*options, *size)), weights)
    network = create_network(used)
    load(network, weights)
    seeded, pack = rule("tf_seeded_weights"), json.loads((FAMILY / "tf_pack.json").read_text())
    entry = pack["networks"]["mbv2fpn"]
    image = seeded.tensor(pack["seed"], 256, 256, entry["input"]["std"]).transpose(0, 3, 1, 2)
    model = with_decode(network, used, None)
    with graph_mode():
        detector = detector_of(used, lambda _: model(Tensor(image)).asnumpy(), keep_res=False)
        found = detector(np.zeros((256, 256, 3), np.uint8))

    with np.load(FAMILY / "tf_mbv2fpn.npz") as stored:
        classes = stored["det/detection_classes"][0].astype(int)
        scores, places = stored["det/detection_scores"][0], stored["det/detection_boxes"][0]
    is_used = np.isin(classes, USED)
    wanted = np.column_stack(
        [places[:, [1, 0, 3, 2]] * 256, scores, np.searchsorted(USED, classes)]
    )[is_used]
    assert len(wanted) > 80
    # Scores lie closer to one another than float32 rounds: by class and place, not by rank.
    far = np.abs(found[None, :, :4] - wanted[:, None, :4]).max(axis=2)
    far[found[None, :, 5] != wanted[:, None, 5]] = np.inf
    nearest = far.argmin(axis=1)
    assert far.min(axis=1).max() < 1e-4
    np.testing.assert_allclose(found[nearest, 4], wanted[:, 4], rtol=0, atol=2e-6)


@needs_oracles
def test_an_images_file_gives_the_boxes_of_the_pixels_that_tensorflow_makes_of_it(tmp_path: Path):
    """Reading, resize, padding and colours are TensorFlow's but for pixels being whole numbers."""
    size = ("--dataset_config.input_res_test", "[128, 128]")
    options = ("--config_path", str(PROJECT / "configs" / f"{CONFIGS['mbv2fpn']}.yaml"), *size)
    weights = read_weights(FAMILY / "tf_checkpoint_mbv2fpn")
    used = configured(load_config("tests", options), weights)
    network = create_network(used)
    load(network, weights)
    with np.load(FAMILY / "tf_preprocess.npz") as stored:
        image, resized = stored["down/image_rgb"], stored["down/resized_padded"]
        shape = stored["down/true_shape"]
    cv2.imwrite(str(tmp_path / "image.png"), image[:, :, ::-1])
    with graph_mode():
        detector = create_detector(used, network)
        pixels = detector.prepare(tmp_path / "image.png").inputs[0][::-1]  # RGB
        found = detector(tmp_path / "image.png")
    assert np.abs(pixels.transpose(1, 2, 0) - resized).max() <= 0.501
    tensor = (pixels[None] / 127.5 - 1).astype(np.float32)
    (wanted,) = run(with_decode(network, used, None), tensor)[0]
    wanted[:, :4] *= 4 * np.tile(np.divide(image.shape[1::-1], shape[1::-1]), 2)
    wanted[:, :4] = np.clip(wanted[:, :4], 0, [*image.shape[1::-1]] * 2)
    wanted = wanted[:90]  # the last may change places
    far = np.abs(found[None, :, :4] - wanted[:, None, :4]).max(axis=2)
    far[found[None, :, 5] != wanted[:, None, 5]] = np.inf
    assert far.min(axis=1).max() < 1e-4
    np.testing.assert_allclose(found[far.argmin(axis=1), 4], wanted[:, 4], rtol=0, atol=1e-5)


@needs_oracles
@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "path", "classes"),
    [("ctdet", "hourglass104", 80), ("multi_pose", "multi_pose_hourglass104", 1)],
)
def test_the_originals_hourglass_gives_the_originals_maps(task, path, classes):
    name = f"original_hourglass104_{task}"
    seeded = rule("seeded_weights")
    pack = json.loads((FAMILY / "pack.json").read_text())
    entry = pack["networks"][name]
    normalise = entry["normalise"]
    image = seeded.image(pack["seed"], *entry["input"])
    image = seeded.tensor(image, normalise["mean"], normalise["std"], 1 / 255, normalise["rgb"])
    assert zlib.crc32(image.tobytes()) == entry["image_tensor_crc32"]
    network = network_of(f"original/{path}", classes)
    assert sum(p.size for p in network.trainable_params()) == entry["parameters"]
    stacks = maps_of(network, seeded.network(FAMILY / "pack.json", name), image)
    with np.load(FAMILY / f"{name}.npz") as stored:
        for prefix, maps in zip(("s0_", ""), stacks, strict=True):
            for head, found in maps.items():
                key = f"{prefix}{head}"
                wanted = stored[key if key in stored else f"{key}_every8"]
                found = found[:, :: 1 if key in stored else 8]
                rounding = entry["float32_minus_float64"][key]["max"]
                bound = allowed(rounding, wanted.std())
                np.testing.assert_allclose(found, wanted, rtol=0, atol=bound, err_msg=key)


@needs_oracles
@pytest.mark.slow
def test_cornernet_gives_mmdetections_maps():
    name = "mmdet_cornernet_hg104"
    seeded = rule("seeded_weights")
    pack = json.loads((FAMILY / "pack.json").read_text())
    entry = pack["networks"][name]
    normalise = entry["normalise"]
    image = seeded.image(pack["seed"], *entry["input"])
    image = seeded.tensor(image, normalise["mean"], normalise["std"], 1.0, normalise["rgb"])
    assert zlib.crc32(image.tobytes()) == entry["image_tensor_crc32"]
    network = network_of("cornernet/hourglass104_8x6")
    stacks = maps_of(network, seeded.network(FAMILY / "pack.json", name), image)
    with np.load(FAMILY / f"{name}.npz") as stored:
        for prefix, maps in zip(("s0_", ""), stacks, strict=True):
            assert len(maps) == 6
            for head, found in maps.items():
                key = f"{prefix}{head}"
                bound = allowed(entry["float32_minus_float64"][key]["max"], stored[key].std())
                np.testing.assert_allclose(found, stored[key], rtol=0, atol=bound, err_msg=key)


def stored_names(path: Path) -> Stored:
    """A file with the names of a list of the pack, and hardly anything below them."""
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    shapes = {row[0]: row[2] if "/" in row[0] else row[1] for row in rows}
    arrays = {
        name: np.full((2 if name.endswith("bias") else 1,) * len(shape.split("x")), i, np.float32)
        for i, (name, shape) in enumerate(shapes.items())
    }
    return Stored(path, arrays, [], {row[0]: row[1] for row in rows if "/" in row[0]})


@needs_oracles
@pytest.mark.parametrize(
    ("names", "path", "ignored"),
    [
        ("tf_names_hg104", "tensorflow/hourglass104_512", 0),
        ("tf_names_r50v1fpn", "tensorflow/resnet50_v1_fpn", 0),
        ("tf_names_r101v1fpn", "tensorflow/resnet101_v1_fpn", 0),
        ("tf_names_r50v2", "tensorflow/resnet50_v2", 4),
        ("tf_names_mbv2fpn", "tensorflow/mobilenet_v2_fpn", 0),
        ("tf_names_hg104_kpts", "tensorflow/hourglass104_512_keypoints", 0),
        ("tf_names_r50v1fpn_kpts", "tensorflow/resnet50_v1_fpn_keypoints", 0),
        ("tf_names_r50v2_kpts", "tensorflow/resnet50_v2_keypoints", 4),
        ("tf_names_mbv2fpn_kpts", "tensorflow/mobilenet_v2_fpn_keypoints", 0),
        ("names_original_hourglass104_ctdet", "original/hourglass104", 160),
        ("names_original_hourglass104_multi_pose", "original/multi_pose_hourglass104", 160),
        ("names_mmdet_cornernet_hg104", "cornernet/hourglass104_8x6", 180),
    ],
)
def test_every_name_of_a_file_has_its_place_and_the_file_says_its_network(names, path, ignored):
    stored = stored_names(FAMILY / f"{names}.txt")
    found = translate(stored)
    network = network_of(path)
    assert set(found.arrays) == {name for name, _ in network.parameters_and_names()}
    assert len(found.ignored) == ignored
    used = load_config("tests", ("--config_path", str(PROJECT / "configs" / f"{path}.yaml")))
    settings = dict(leaves(used.model_dump()))
    for name, value in found.facts.items():
        numbers = name.endswith((".mean", ".std"))
        assert settings[name] == (pytest.approx(value, abs=1e-7) if numbers else value), name
    if path.startswith("original"):
        back = in_layout(ORIGINAL_HOURGLASS, found.arrays)
        assert set(back) == set(stored.tensors) - set(found.ignored)
        for name, array in back.items():
            np.testing.assert_array_equal(array, stored.tensors[name])


def name_in_cornernets_own_code(name: str) -> str:
    """What a tensor of MMDetection's CornerNet is called in the paper's project."""
    for pattern, theirs in (
        (r"backbone\.stem\.0\.", "pre.0."),
        (r"backbone\.stem\.1\.0\.", "pre.1."),
        (r"backbone\.hourglass_modules\.", "kps."),
        (r"backbone\.out_convs\.", "cnvs."),
        (r"backbone\.inters\.", "inters."),
        (r"backbone\.conv1x1s\.0\.conv\.", "inters_.0.0."),
        (r"backbone\.conv1x1s\.0\.bn\.", "inters_.0.1."),
        (r"backbone\.remap_convs\.0\.conv\.", "cnvs_.0.0."),
        (r"backbone\.remap_convs\.0\.bn\.", "cnvs_.0.1."),
        (r"bbox_head\.(..)_pool\.(\d)\.direction(\d)_conv\.", r"\1_cnvs.\2.p\3_conv1."),
        (r"bbox_head\.(..)_pool\.(\d)\.aftpool_conv\.(conv|bn)\.", r"\1_cnvs.\2.p_\g<3>1."),
        (r"bbox_head\.(..)_pool\.(\d)\.conv1\.(conv|bn)\.", r"\1_cnvs.\2.\g<3>1."),
        (r"bbox_head\.(..)_pool\.(\d)\.conv2\.", r"\1_cnvs.\2.conv2."),
        (r"bbox_head\.(..)_heat\.(\d)\.0\.conv\.", r"\1_heats.\2.0.conv."),
        (r"bbox_head\.(..)_heat\.(\d)\.1\.conv\.", r"\1_heats.\2.1."),
        (r"bbox_head\.(..)_emb\.(\d)\.0\.conv\.", r"\1_tags.\2.0.conv."),
        (r"bbox_head\.(..)_emb\.(\d)\.1\.conv\.", r"\1_tags.\2.1."),
        (r"bbox_head\.(..)_off\.(\d)\.0\.conv\.", r"\1_regrs.\2.0.conv."),
        (r"bbox_head\.(..)_off\.(\d)\.1\.conv\.", r"\1_regrs.\2.1."),
    ):
        name = re.sub(f"^{pattern}", theirs, name)
    return "module." + name.replace(".downsample.", ".skip.")


@needs_oracles
def test_the_papers_cornernet_is_mmdetections_under_other_names():
    theirs = stored_names(FAMILY / "names_mmdet_cornernet_hg104.txt")
    arrays = {name_in_cornernets_own_code(name): a for name, a in theirs.tensors.items()}
    papers = translate(Stored(Path("CornerNet_500000.pkl"), arrays, []))
    assert papers.layout.name == "CornerNet, the paper's PyTorch"
    assert papers.facts["dataset_config.channel_order"] == "BGR"
    expected = translate(theirs).arrays
    assert papers.arrays.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(papers.arrays[name], array, err_msg=name)


@needs_oracles
@pytest.mark.parametrize(
    ("names", "one", "other"),
    [
        ("r50v1fpn", "conv2_block1_0_conv", "conv2_block1_3_conv"),
        ("r50v2", "conv4_block6_1_bn", "conv4_block6_2_bn"),
        ("mbv2fpn", "block_2_expand_BN", "block_2_depthwise_BN"),
    ],
)
def test_layers_in_another_order_are_refused(names: str, one: str, other: str):
    stored = stored_names(FAMILY / f"tf_names_{names}.txt")
    swapped = {one: other, other: one}
    for key, name in stored.facts.items():
        layer, _, tensor = name.rpartition("/")
        stored.facts[key] = f"{swapped.get(layer, layer)}/{tensor}"
    with pytest.raises(UserError, match=f"is of the layer ({one}|{other}), .* another order"):
        translate(stored)


# --- without stored values ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "classes", "count"),
    [
        ("hourglass104_512", 90, 191_406_652),
        ("hourglass104_1024", 90, 191_406_652),
        ("resnet50_v1_fpn", 90, 25_330_846),
        ("resnet101_v1_fpn", 90, 44_401_310),
        # Without the BatchNorm behind the last block, 8,192, which TensorFlow makes and leaves out.
        ("resnet50_v2", 90, 29_897_950 - 8_192),
        ("mobilenet_v2_fpn", 90, 2_394_662),
        ("hourglass104_512_keypoints", 90, 194_990_822),
        ("hourglass104_1024_keypoints", 90, 194_990_822),
        ("resnet50_v1_fpn_keypoints", 90, 25_795_827),
        ("resnet50_v2_keypoints", 90, 30_362_931 - 8_192),
        ("mobilenet_v2_fpn_keypoints", 1, 2_413_482),
    ],
)
def test_tensorflow_networks_have_the_published_number_of_parameters(path, classes, count):
    network = network_of(f"tensorflow/{path}", classes)
    assert sum(parameter.size for parameter in network.get_parameters()) == count


def test_cornernet_has_the_published_number_of_parameters():
    network = network_of("cornernet/hourglass104_8x6")
    assert sum(parameter.size for parameter in network.trainable_params()) == 201_035_212


HOURGLASS = ("--net_config.network", "hourglass", "--dataset_config.input_res_test", "[512, 512]")
PYRAMID = ("--net_config.network", "resnet_v1_fpn", "--dataset_config.input_res_test", "[512, 512]")


def resolution(height: int, width: int) -> tuple[str, str]:
    return "--dataset_config.input_res_train", f"[{height}, {width}]"


@pytest.mark.parametrize(
    ("options", "sides", "grid"),
    [
        (HOURGLASS, (511, 511), [128, 128]),
        (HOURGLASS, (509, 640), [128, 160]),
        (
            (*HOURGLASS, "--net_config.dims", "[8, 8]", "--net_config.blocks", "[1, 1]"),
            (72, 40),
            [18, 10],
        ),
        (PYRAMID, (480, 349), [120, 88]),
    ],
)
def test_skips_take_sides_that_halve_to_the_same_grid(options, sides, grid):
    assert config(*options, *resolution(*sides)).dataset_config.output_res == grid


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            (*HOURGLASS, *resolution(508, 512)),
            r"dataset_config.input_res_train \[508, 512\]: network hourglass with its skips takes "
            "sides of a multiple of 128 pixels, or at most 3 fewer",
        ),
        (
            (*HOURGLASS, "--eval_config.pad", "31"),
            r"eval_config.pad 31, which makes \[32, 32\]: network hourglass",
        ),
        (
            (
                *HOURGLASS,
                "--eval_config.keep_res",
                "false",
                "--eval_config.multi_scales",
                "[1, 1.1]",
            ),
            "at scale 1.1: network hourglass",
        ),
        ((*PYRAMID, *resolution(500, 512)), "a multiple of 32 pixels"),
        ((*PYRAMID, "--net_config.up_channels", "[64, 32, 32, 16]"), "between strides 4 and 32"),
        ((*PYRAMID, "--net_config.up_channels", "[]"), "up_channels is empty"),
        ((*HOURGLASS, "--net_config.dims", "[8, 8]"), "dims has 2 sizes but blocks 6"),
    ],
)
def test_networks_that_cannot_be_are_refused_in_a_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        config(*options)


NARROW = {
    "hourglass": (
        *("--net_config.stem_channels", "8", "--net_config.dims", "[16, 24]"),
        *("--net_config.blocks", "[2, 1]"),
    ),
    "resnet_v1_fpn": (
        *("--net_config.block_class", "[1, 1, 1]", "--net_config.stage_channels", "[8, 12, 16]"),
        *("--net_config.up_channels", "[24, 16]", "--net_config.head_conv", "12"),
    ),
    "resnet_v2": (
        *("--net_config.block_class", "[1, 2, 1]", "--net_config.stage_channels", "[8, 12, 16]"),
        *("--net_config.up_channels", "[24, 16]"),
    ),
    "mobilenet_v2_fpn": (
        *("--net_config.width_multiplier", "0.25", "--net_config.separable_heads", "true"),
    ),
}


@pytest.mark.parametrize(
    "network", ["hourglass", *map(slow, ("resnet_v1_fpn", "resnet_v2", "mobilenet_v2_fpn"))]
)
def test_a_narrow_network_learns_two_images_and_every_parameter_moves(network):
    used = config(
        *("--net_config.network", network, "--net_config.head_conv", "16", *NARROW[network]),
        *("--dataset_config.coco_classes", "[one, other]"),
        *("--dataset_config.input_res_train", "[64, 64]"),
        *("--dataset_config.input_res_test", "[64, 64]"),
    )
    ms.set_seed(1)
    loss = with_loss(create_network(used), used)
    for stack in (loss.network.heads, *loss.network.auxiliary_heads):
        np.testing.assert_allclose(stack.hm[2].bias.asnumpy(), -2.19, rtol=1e-6)
        weight = stack.wh[2].weight.asnumpy()
        outputs, inputs = weight.shape[:2]
        # Uniform as PyTorch draws them, or Glorot's as Keras does.
        bound = inputs**-0.5 if network == "hourglass" else (6 / (inputs + outputs)) ** 0.5
        assert 0.8 * bound < np.abs(weight).max() <= bound
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
    losses = []
    for count in range(40):
        losses.append(run(step, image, colour, objects)[0][0])
        if count == 1:
            still = [
                name
                for name, p in loss.parameters_and_names()
                if np.array_equal(p.asnumpy(), before[name])
            ]
            assert not still
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.5 * losses[0]
