# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""CornerNet against MMDetection's stored values: pooling, targets, losses, decode."""

import importlib.util
import json

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from src.data.objects import object_tables
from src.model_utils.config import load_config
from src.model_utils.errors import UserError
from src.model_utils.networks import NetConfig
from src.model_utils.parameters import Config
from src.models.corner_pooling import CornerPool
from src.models.network import WithDecode, create_network, with_decode, with_loss
from src.models.tasks.corners import Decode, Loss, Targets, heads
from src.tasks.corners import TASK
from src.training.optimizer import create_optimizer
from src.training.step import StepOptions, TrainStep
from tests.conftest import FAMILY, PROJECT
from tests.helpers import benchmark, config, run, run_with_gradients

MAPS = ("tl_heat", "br_heat", "tl_emb", "br_emb", "tl_off", "br_off")


def published(*more: str) -> Config:
    path = PROJECT / "configs" / "cornernet" / "hourglass104_8x6.yaml"
    return load_config("tests", ("--config_path", str(path), *more))


def stored(name: str) -> dict[str, np.ndarray]:
    path = FAMILY / f"{name}.npz"
    if not path.is_file():
        pytest.skip("the values of MMDetection are not beside the project")
    with np.load(path) as arrays:
        return dict(arrays)


def made_maps(*names: str) -> list[np.ndarray]:
    """Maps by the rule of the stored values."""
    spec = importlib.util.spec_from_file_location("seeded", FAMILY / "seeded_weights.py")
    seeded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(seeded)
    pack = json.loads((FAMILY / "pack.json").read_text())
    entries = [pack["normal_maps"][name] for name in names]
    return [
        seeded.normal_map(pack["seed"], name, *(entry[key] for key in ("shape", "mean", "std")))
        for name, entry in zip(names, entries, strict=True)
    ]


# --- pooling -----------------------------------------------------------------------------------


def plain_pool(x: np.ndarray, corner: str) -> np.ndarray:
    """The running maximum, backwards for the first corner."""
    axis = 2 if corner in ("top", "bottom") else 3
    if corner in ("bottom", "right"):
        return np.maximum.accumulate(x, axis)
    return np.flip(np.maximum.accumulate(np.flip(x, axis), axis), axis)


@pytest.mark.parametrize("corner", ["top", "bottom", "left", "right"])
def test_pooling_is_mmdetections(corner):
    expected = stored("corner_pool")[corner]
    (found,) = run(CornerPool(corner), *made_maps("corner_pool/x"))
    np.testing.assert_array_equal(found, expected)


class Weighted(nn.Cell):
    def __init__(self, corner: str, weights: np.ndarray) -> None:
        super().__init__()
        self.pool, self.weights = CornerPool(corner), Tensor(weights)

    def construct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.pool(x)
        return (pooled * self.weights).sum(), pooled


@pytest.mark.parametrize("corner", ["top", "bottom", "left", "right"])
@pytest.mark.parametrize("size", [(1, 5), (8, 1), (13, 22), (16, 17)])
def test_pooling_and_its_gradient_are_those_of_a_running_maximum(corner, size):
    random = np.random.default_rng(0)
    x = random.permutation(np.arange(6 * size[0] * size[1], dtype=np.float32))
    x = x.reshape(2, 3, *size) - 20  # no two are equal
    weights = random.normal(size=x.shape).astype(np.float32)
    (_, pooled), (gradient,) = run_with_gradients(Weighted(corner, weights), x)
    expected = plain_pool(x, corner)
    np.testing.assert_array_equal(pooled, expected)
    # Each output's weight goes to the value that it is.
    place = np.empty(x.size, int)
    place[(x.ravel() + 20).astype(int)] = np.arange(x.size)
    of_values = np.zeros(x.size)
    np.add.at(of_values, place[(expected.ravel() + 20).astype(int)], weights.ravel())
    np.testing.assert_allclose(gradient.ravel(), of_values, rtol=0, atol=1e-5)


# --- targets and losses ------------------------------------------------------------------------


def stored_tables(targets: dict[str, np.ndarray]) -> np.ndarray:
    """Object tables (2,20,8) of the stored boxes, on the grid 64x64 of an input 255x255."""
    boxes = [targets[f"gt_xyxy_{image}"] * (64 / 255) for image in range(2)]
    classes = [targets[f"gt_class_{image}"] for image in range(2)]
    return object_tables(
        np.concatenate(boxes), np.concatenate(classes), np.repeat([0, 1], list(map(len, boxes))),
        images=2, grid_size=(64, 64), max_objs=20, task=TASK,
    )  # fmt: skip


class AllTargets(nn.Cell):
    def __init__(self) -> None:
        super().__init__()
        self.targets = Targets(80, (64, 64))

    def construct(self, objects: Tensor) -> tuple[Tensor, ...]:
        first, second = self.targets(objects)
        return (*first, *second)


def test_targets_are_mmdetections():
    targets = stored("targets_mmdet_cornernet")
    found = run(AllTargets(), stored_tables(targets))
    for corner, name in enumerate(("topleft", "bottomright")):
        heat, cell, offset, weight = found[4 * corner : 4 * corner + 4]
        expected = targets[f"{name}_heatmap"]
        np.testing.assert_allclose(heat, expected, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(heat == 1, expected == 1)
        np.testing.assert_array_equal(heat == 0, expected == 0)
        drawn = np.zeros((2, 64 * 64, 2))
        for image in range(2):
            pairs = targets[f"corner_embedding_{image}"][:, corner]
            count = len(pairs)
            np.testing.assert_array_equal(cell[image, :count], pairs @ [64, 1])
            is_used = weight[image, :, 0] == 1
            assert not is_used[count:].any()
            assert len(set(cell[image, is_used])) == is_used.sum() == len(set(cell[image, :count]))
            drawn[image, cell[image, is_used]] = offset[image, is_used]
        expected = targets[f"{name}_offset"].reshape(2, 2, -1).transpose(0, 2, 1)
        np.testing.assert_allclose(drawn, expected, rtol=0, atol=1e-5)


class Total(nn.Cell):
    """The weighted total of maps that stand behind each other (B,166,h,w), and the losses."""

    def __init__(self, net: NetConfig) -> None:
        super().__init__()
        self.loss = Loss(net, 80, (64, 64))
        self.weights = Tensor(np.array(self.loss.weights, np.float32))
        self.channels = [head.channels for head in heads(net, 80)]

    def construct(self, maps: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
        first, found = 0, ()
        for count in self.channels:
            found += (maps[:, first : first + count],)
            first += count
        losses = self.loss(found, objects)
        return (losses * self.weights).sum(), losses


def test_losses_and_gradients_are_mmdetections():
    targets = stored("targets_mmdet_cornernet")
    objects, net = stored_tables(targets), published().net_config
    total = Total(net)
    # MMDetection adds the losses of the stacks up, training here takes their mean.
    of_stack = np.divide(total.loss.weights, net.num_stacks)
    np.testing.assert_allclose(of_stack, (1, 0.1, 0.1, 1), rtol=1e-12)
    names = ("det_loss64", "pull_loss64", "push_loss64", "off_loss64")
    for stack in range(2):
        of_heads = made_maps(*(f"loss/mmdet_cornernet/{stack}/{name}" for name in MAPS))
        (_, losses), (gradient,) = run_with_gradients(
            total, np.concatenate(of_heads, axis=1), objects
        )
        expected = [targets[name][stack] for name in names]
        np.testing.assert_allclose(losses * of_stack, expected, rtol=1e-5)
        gradient = np.split(gradient.astype(np.float64), np.cumsum(total.channels)[:-1], axis=1)
        for head, of_head in zip(MAPS, gradient, strict=True):
            norm = np.linalg.norm(of_head) / net.num_stacks
            expected = targets[f"gradnorm_s{stack}_{head}"]
            np.testing.assert_allclose(norm, expected, rtol=1e-4, err_msg=head)


# --- decode ------------------------------------------------------------------------------------


def in_image(found: np.ndarray, border: np.ndarray) -> np.ndarray:
    """Pairs in the pixels of the image as MMDetection leaves them: see `border` of the values."""
    top, _, left, _ = border
    pairs = found[found[:, 4] > -0.1].astype(np.float64)
    pairs[:, :4] = np.maximum(pairs[:, :4] - [left, top, left, top], 0)
    return pairs[(pairs[:, :2] < pairs[:, 2:4]).all(axis=1)]


def assert_same_rows(found: np.ndarray, expected: np.ndarray) -> None:
    """Rows are the same but for their order, as scores lie closer together than they round."""
    assert len(found) == len(expected)
    far = np.abs(found[None] - expected[:, None])
    far = np.maximum(far[:, :, :4].max(axis=2) / 1e-3, far[:, :, 4] / 1e-5)
    far[found[None, :, 5] != expected[:, None, 5]] = np.inf
    nearest = far.argmin(axis=1)
    assert len(set(nearest)) == len(expected)
    assert far.min(axis=1).max() < 1


def planted(values: dict[str, np.ndarray], view: str) -> list[np.ndarray]:
    return [values[f"{view}_{name}"] for name in MAPS]


@pytest.mark.parametrize("pools", [False, True])
def test_pairs_are_those_that_mmdetection_decodes(pools):
    values, net = stored("decode_mmdet_cornernet"), published().net_config
    (found,) = run(Decode(net, 80, 1000, pools=pools), *planted(values, "plain"))
    assert found.shape == (1, 1000, 6)
    score = found[0, :, 4]
    assert (np.diff(score) <= 0).all() and (score[score < 0] == -1).all() and (score < 0).any()
    found[0, :, :4] *= 255 / 64
    assert_same_rows(in_image(found[0], values["border"]), values["plain_pairs"])


def test_pairs_of_mirrored_images_are_mirrored_back():
    values, net = stored("decode_mmdet_cornernet"), published().net_config
    maps = zip(planted(values, "plain"), planted(values, "mirrored"), strict=True)
    (found,) = run(Decode(net, 80, 1000, flip_test=True), *map(np.concatenate, maps))
    assert found.shape == (1, 2000, 6)
    found[0, :, :4] *= 255 / 64
    assert_same_rows(in_image(found[0, :1000], values["border"]), values["plain_pairs"])
    # Mirrored once more they are as in the mirrored image.
    second = found[0, 1000:].copy()
    second[:, [0, 2]] = 255 - second[:, [2, 0]]
    assert_same_rows(in_image(second, values["border"]), values["mirrored_pairs"])


class Given(nn.Cell):
    """A network that puts out given maps."""

    def __init__(self, maps: list[np.ndarray]) -> None:
        super().__init__()
        self.maps = tuple(Tensor(values) for values in maps)

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.maps


def small_maps(batch: int, classes: int = 2) -> list[np.ndarray]:
    random = np.random.default_rng(5)
    return [
        random.normal(0, std, (batch, channels, 8, 9)).astype(np.float32)
        for channels, std in ((classes, 1), (classes, 1), (1, 0.4), (1, 0.4), (2, 1), (2, 1))
    ]


def plain_pairs(maps: list[np.ndarray], count: int) -> np.ndarray:
    """All pairs of the best corners of one image's maps (·,h,w), by plain loops."""

    def corners(heat: np.ndarray, embedding: np.ndarray, offset: np.ndarray) -> list[tuple]:
        heat, found = 1 / (1 + np.exp(-heat.astype(np.float64))), []
        for c, y, x in np.ndindex(heat.shape):
            near = heat[c, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            if heat[c, y, x] == near.max():
                place = (x + offset[0, y, x], y + offset[1, y, x])
                found.append((heat[c, y, x], c, *place, embedding[0, y, x]))
        return sorted(found, reverse=True)[:count]

    rows = []
    for score1, c1, x1, y1, e1 in corners(maps[0], maps[2], maps[4]):
        for score2, c2, x2, y2, e2 in corners(maps[1], maps[3], maps[5]):
            if c1 == c2 and abs(e1 - e2) <= 0.5 and x1 < x2 and y1 < y2:
                rows.append((x1, y1, x2, y2, (score1 + score2) / 2, c1))
    return np.array(sorted(rows, key=lambda row: -row[4]))


def small_net(*more: str) -> NetConfig:
    return config("--task", "corners", "--net_config.corners.candidates", "12", *more).net_config


@pytest.mark.parametrize("rows", [5, 144])
def test_each_image_of_a_batch_has_the_pairs_of_plain_loops(rows):
    maps = small_maps(3)
    (found,) = run(Decode(small_net("--net_config.corners.pairs", "144"), 2, rows), *maps)
    assert found.shape == (3, rows, 6)
    for image in range(3):
        expected = plain_pairs([values[image] for values in maps], 12)
        assert 5 < len(expected) < 144
        kept = found[image, found[image, :, 4] >= 0]
        np.testing.assert_allclose(kept, expected[:rows], rtol=0, atol=1e-5)


def test_detections_of_a_stretched_grid_are_in_cells_of_down_ratio_pixels():
    """Inputs of 511 pixels have a grid of 128 cells, so that a cell is 3.992 pixels wide."""
    maps = small_maps(2)
    decode = Decode(small_net("--net_config.corners.pairs", "20"), 2, 20)
    (plain,) = run(decode, *maps)
    image = np.zeros((2, 3, 31, 36), np.float32)
    (found,) = run(WithDecode(Given(maps), decode, None, stretched_from=4), image)
    scale = np.array([36 / 9, 31 / 8, 36 / 9, 31 / 8, 4, 4]) / 4
    np.testing.assert_allclose(found, plain * scale, rtol=1e-6)


@pytest.mark.parametrize("flip_test", [False, True])
def test_a_number_that_is_not_finite_in_the_maps_leaves_no_score(flip_test):
    decode = Decode(small_net("--net_config.corners.pairs", "20"), 2, 20, flip_test)
    for place in range(6):
        odd = small_maps(4)
        odd[place][1, -1, 0, 0] = np.inf
        (found,) = run(decode, *odd)
        halves = found if not flip_test else np.concatenate([found[:, :20], found[:, 20:]])
        assert np.isnan(halves[1, :, 4]).all()
        assert np.isfinite(np.delete(halves, 1, axis=0)).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--net_config.mse_loss", "true"), "task corners has a focal loss alone"),
        (("--net_config.corners.pairs", "10001"), r"pairs 10001 is more than the 10000 pairs of"),
        (
            (
                *("--eval_config.keep_res", "false", "--dataset_config.coco_classes", "[one]"),
                *("--dataset_config.input_res_test", "[32, 32]"),
            ),
            "net_config.corners.candidates 100 is more than the 64 cells of the heat maps at",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        config("--task", "corners", *options)


def test_a_flip_test_takes_a_stretched_grid_at_a_fixed_size():
    used = published("--eval_config.flip_test", "true", "--eval_config.keep_res", "false")
    assert used.dataset_config.input_res_test == [511, 511]
    assert used.dataset_config.output_res == [128, 128]
    assert (used.rows, used.eval_config.K) == (1000, 100)


def test_the_benchmark_measures_pooling_and_decode(tmp_path):
    file = tmp_path / "numbers.json"
    options = ("--side", 127, "--classes", 2, "--repeat", 1, "--json", file)
    done = benchmark("corners", *options)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert set(found["decode"]) == {"boxes", "corners", "pairs"}
    assert all(milliseconds > 0 for milliseconds in found["pooling_ms"].values())
    assert f"| CornerPool | {found['pooling_ms']['CornerPool']:.1f} |" in done.stdout


# --- a narrow network --------------------------------------------------------------------------

NARROW = (
    *("--task", "corners", "--net_config.network", "hourglass", "--net_config.head_conv", "16"),
    *("--net_config.stem_channels", "8", "--net_config.dims", "[16, 24]"),
    *("--net_config.blocks", "[1, 1]", "--net_config.corners.pool_channels", "8"),
    *("--dataset_config.coco_classes", "[one, other]"),
    *(
        "--dataset_config.input_res_train",
        "[63, 63]",
        "--dataset_config.input_res_test",
        "[63, 63]",
    ),
)


def test_a_narrow_network_learns_two_images_and_every_parameter_moves():
    used = config(*NARROW)
    assert used.dataset_config.output_res == [16, 16]
    ms.set_seed(1)
    loss = with_loss(create_network(used), used)
    optimizer = create_optimizer(used.train_config, loss, np.full(60, 3e-3, np.float32))
    step = TrainStep(loss, optimizer, StepOptions()).set_train()
    image = np.random.default_rng(0).integers(0, 256, (2, 63, 63, 3)).astype(np.uint8)
    colour = np.tile(np.eye(3, 4, dtype=np.float32) / 128, (2, 1, 1))
    boxes = np.array([[2.5, 3.2, 9.1, 8.4], [1.0, 2.0, 6.5, 7.7], [5.3, 4.1, 14.2, 15.6]])
    objects = object_tables(
        boxes, np.array([0, 1, 1]), np.array([0, 1, 1]),
        images=2, grid_size=(16, 16), max_objs=3, task=TASK,
    )  # fmt: skip
    before = {name: p.asnumpy().copy() for name, p in loss.parameters_and_names()}
    losses = []
    for count in range(60):
        losses.append(run(step, image, colour, objects)[0])
        if count == 1:
            for name, parameter in loss.parameters_and_names():
                assert not np.array_equal(parameter.asnumpy(), before[name]), name
    losses = np.array(losses)
    assert losses.shape == (60, 5) and np.isfinite(losses).all()
    assert losses[-1, 0] < 0.2 * losses[0, 0]
    assert (losses[-1, [1, 3, 4]] < 0.5 * losses[0, [1, 3, 4]]).all()  # of one image there is push

    decode = with_decode(loss.network.set_train(False), used, colour[0])
    pixels = image.transpose(0, 3, 1, 2)
    decode.set_train()  # as BatchNorm's statistics have not come to rest after so few steps
    (found,) = run(decode, pixels)
    assert found.shape == (2, 1000, 6)
    for row, (box, label, place) in enumerate(zip(boxes, (0, 1, 1), (0, 1, 1), strict=True)):
        pairs = found[place][found[place, :, 4] > 0.3]
        assert len(pairs), row
        far = np.abs(pairs[:, :4] * 4 - box * 63 / 16).max(axis=1)
        far[pairs[:, 5] != label] = np.inf
        assert far.min() < 2, row
