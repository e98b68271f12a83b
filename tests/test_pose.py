# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Poses against the original's and TensorFlow's stored values: targets, losses, decode."""

import importlib.util
import json
from collections.abc import Sequence

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from src.data.objects import object_tables
from src.model_utils.config import load_config
from src.model_utils.errors import UserError
from src.model_utils.facts import facts_of
from src.model_utils.networks import NetConfig
from src.models.network import create_network, with_loss
from src.models.tasks.pose import Decode, DensePoints, Loss, PointMaps, Points, heads
from src.tasks import pose as facts
from src.tasks.columns import POINTS_OF_OBJECT
from src.training.optimizer import create_optimizer
from src.training.step import StepOptions, TrainStep
from src.weights import checkpoints
from src.weights.files import Stored
from src.weights.layouts.original import ORIGINAL
from src.weights.load import (
    configured,
    configured_to_train,
    load,
    load_for_fine_tuning,
    read_weights,
)
from src.weights.translate import in_layout, translate
from tests.conftest import FAMILY, PROJECT
from tests.helpers import (
    config,
    run,
    run_with_gradients,
    tensorflow_maps,
    tensorflow_stored,
)

J = len(facts.NAMES)
POSE = ("--task", "pose", "--dataset_config.coco_classes", "[person]")
# The maps in the task's order, and TensorFlow's names; those of pairs are y, x there.
MAPS = {
    "hm": "object_center",
    "wh": "box/scale",
    "reg": "box/offset",
    "hps": "human_pose/keypoint/regression",
    "hm_hp": "human_pose/keypoint/heatmap",
    "hp_offset": "human_pose/keypoint/offset",
}


def original(*more: str) -> NetConfig:
    path = PROJECT / "configs" / "original" / "multi_pose_hourglass104.yaml"
    return load_config("tests", ("--config_path", str(path), *more)).net_config


def tensorflow(classes: int) -> NetConfig:
    path = PROJECT / "configs" / "tensorflow" / "resnet50_v1_fpn_keypoints.yaml"
    names = ", ".join(["person", *(f"class {i}" for i in range(1, classes))])
    options = ("--config_path", str(path), "--dataset_config.coco_classes", f"[{names}]")
    return load_config("tests", options).net_config


class OfMaps(nn.Cell):
    """A loss of its maps and objects one by one, so that gradients of each are taken."""

    def __init__(self, net: NetConfig, classes: int = 1) -> None:
        super().__init__()
        self.loss = Loss(net, classes, (64, 64))

    def construct(self, *inputs: Tensor) -> Tensor:
        return self.loss(inputs[:-1], inputs[-1])


class AllTargets(nn.Cell):
    def __init__(self, net: NetConfig) -> None:
        super().__init__()
        self.points, self.maps = Points(net, (64, 64)), PointMaps(net, (64, 64))
        self.mask_unlabelled = net.pose.mask_unlabelled

    def construct(self, objects: Tensor) -> tuple[Tensor, ...]:
        points, seen = self.points(objects)
        hm_hp, weight = self.maps(objects, points, seen)
        found = (
            *self.points.around_centres(objects, points, seen),
            *self.points.around_points(points, seen),
            *(self.points.labelled(objects), seen, hm_hp),
        )
        return (*found, weight) if self.mask_unlabelled else found


# --- the original's ----------------------------------------------------------------------------


def original_stored(name: str) -> dict[str, np.ndarray]:
    path = FAMILY / f"{name}_original_multi_pose.npz"
    if not path.is_file():
        pytest.skip("the values of the original are not beside the project")
    with np.load(path) as arrays:
        return dict(arrays)


def original_maps(kind: str) -> list[np.ndarray]:
    """Maps in the task's order by the rule of the stored values."""
    spec = importlib.util.spec_from_file_location("seeded", FAMILY / "seeded_weights.py")
    seeded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(seeded)
    pack = json.loads((FAMILY / "pack.json").read_text())
    found = []
    for head in MAPS:
        name = kind.format("original_multi_pose") + f"/{head}"
        entry = pack["normal_maps"][name]
        shape, mean, std = (entry[key] for key in ("shape", "mean", "std"))
        found.append(seeded.normal_map(pack["seed"], name, shape, mean, std))
    return found


def original_tables(stored: dict[str, np.ndarray]) -> np.ndarray:
    """Object tables (2,32,8+3J) of the stored persons, in the stored crops of a 320 wide image."""
    tables = []
    for centre, scale, is_flipped in zip(
        stored["center"], stored["scale"], stored["flipped"], strict=True
    ):
        boxes, points = stored["gt_xywh"].copy(), stored["gt_keypoints"].copy()
        boxes[:, 2:] += boxes[:, :2]
        if is_flipped:
            boxes[:, [0, 2]] = 320 - boxes[:, [2, 0]] - 1
            points[:, :, 0] = 320 - points[:, :, 0] - 1
            points = points[:, facts.TASK.mirrored]
        boxes = (boxes - np.tile(centre, 2)) * 64 / scale + 32
        points[:, :, :2] = (points[:, :, :2] - centre) * 64 / scale + 32
        labels = np.zeros(len(boxes), int)
        tables.append(
            object_tables(
                *(boxes, labels, labels), images=1, grid_size=(64, 64), max_objs=32, points=points
            )[0]
        )
    return np.stack(tables)


def test_targets_are_the_originals():
    stored = original_stored("targets")
    objects = original_tables(stored)
    cell, hps, weight, hp_cell, _, offset, offset_weight, labelled, _, hm_hp = run(
        AllTargets(original()), objects
    )
    np.testing.assert_allclose(hm_hp, stored["hm_hp"], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(hm_hp == 1, stored["hm_hp"] == 1)
    # Objects that fall away with the crop leave an empty row there, here they leave none.
    slots = (2, 32, J)
    for image in range(2):
        theirs = np.flatnonzero((stored["ind"][image] > 0) | (stored["hps_mask"][image].any(1)))
        ours = np.arange(len(theirs))
        np.testing.assert_array_equal(cell[image, ours], stored["ind"][image, theirs])
        np.testing.assert_array_equal(weight[image, ours], stored["hps_mask"][image, theirs])
        assert not weight[image, len(ours) :].any()
        np.testing.assert_allclose(
            *(hps[image, ours] * weight[image, ours], stored["hps"][image, theirs]),
            **{"rtol": 0, "atol": 1e-5},
        )
        np.testing.assert_array_equal(labelled[image, ours, 0], stored["reg_mask"][image, theirs])
        used = stored["hp_mask"].reshape(slots)[image, theirs]
        np.testing.assert_array_equal(offset_weight.reshape(slots)[image, ours], used)
        np.testing.assert_array_equal(
            hp_cell.reshape(slots)[image, ours] * used,
            stored["hp_ind"].reshape(slots)[image, theirs],
        )
        np.testing.assert_allclose(
            offset.reshape(*slots, 2)[image, ours] * used[:, :, None],
            stored["hp_offset"].reshape(*slots, 2)[image, theirs],
            **{"rtol": 0, "atol": 1e-5},
        )
    assert 0 < stored["reg_mask"].sum() < (stored["ind"] > 0).sum()  # one person has no points


class Total(nn.Cell):
    """The weighted total of maps that stand behind each other (B,59,h,w), and the losses."""

    def __init__(self, net: NetConfig) -> None:
        super().__init__()
        self.loss = Loss(net, 1, (64, 64))
        self.weights = Tensor(np.array(self.loss.weights, np.float32))
        self.channels = [head.channels for head in heads(net, 1)]

    def construct(self, maps: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
        first, found = 0, ()
        for count in self.channels:
            found += (maps[:, first : first + count],)
            first += count
        losses = self.loss(found, objects)
        return (losses * self.weights).sum(), losses


def test_losses_and_gradients_are_the_originals():
    stored = original_stored("targets")
    objects = original_tables(stored)
    total = Total(original())
    assert total.loss.weights == (1, 0.1, 1, 1, 1, 1)
    names = ("loss", "hm_loss", "wh_loss", "off_loss", "hp_loss", "hm_hp_loss", "hp_offset_loss")
    found = []
    for stack in range(2):
        maps = np.concatenate(original_maps(f"loss/{{}}/{stack}"), axis=1)
        (weighted, losses), (gradient,) = run_with_gradients(total, maps, objects)
        found.append(np.array([weighted, *losses]))
        of_heads = np.split(gradient.astype(np.float64), np.cumsum(total.channels)[:-1], axis=1)
        for head, of_head in zip(MAPS, of_heads, strict=True):
            norm = np.linalg.norm(of_head) / 2
            expected = stored[f"gradnorm_stacks2_s{stack}_{head}"]
            np.testing.assert_allclose(norm, expected, rtol=1e-4, err_msg=head)
    for stacks in (1, 2):
        expected = [stored[f"loss64_stacks{stacks}_{name}"] for name in names]
        np.testing.assert_allclose(np.mean(found[:stacks], axis=0), expected, rtol=1e-5)


@pytest.mark.parametrize("flip_test", [False, True])
def test_points_as_the_original_decodes_them(flip_test):
    stored = original_stored("decode")["dets_flip" if flip_test else "dets"]
    maps = original_maps("decode/{}/plain")
    if flip_test:
        mirrored = original_maps("decode/{}/mirrored")
        maps = [np.concatenate(both) for both in zip(maps, mirrored, strict=True)]
    (found,) = run(Decode(original(), 1, 100, flip_test, pools=not flip_test), *maps)
    assert found.shape == (1, 100, 6 + 3 * J)
    np.testing.assert_allclose(found[0, :, :4] * 4, stored[:, :4] * 4, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found[0, :, 4], stored[:, 4], rtol=0, atol=1e-6)
    points = found[0, :, 6:].reshape(100, J, 3)
    expected = stored[:, 5:39].reshape(100, J, 2)
    np.testing.assert_allclose(points[:, :, :2] * 4, expected * 4, rtol=0, atol=1e-3)
    assert 0.3 < (points[:, :, 2] > 0.1).mean() < 0.7  # some have moved to a peak


# --- TensorFlow's ------------------------------------------------------------------------------


def turned(pairs: np.ndarray) -> np.ndarray:
    """Channels y, x, y, x, ... (B,2n,h,w) as x, y, x, y, ..."""
    batch, channels, *size = pairs.shape
    return pairs.reshape(batch, channels // 2, 2, *size)[:, :, ::-1].reshape(pairs.shape).copy()


def made_maps(kind: str, case: str, ending: str = "") -> list[np.ndarray]:
    """Maps in the task's order, with pairs as x, y, by the rule of TensorFlow's stored values."""
    pack = json.loads((FAMILY / "tf_pack.json").read_text())[kind][case]
    found = []
    for head in MAPS.values():
        numbers = (pack[head][key] for key in ("channels", "mean", "std"))
        found.append(tensorflow_maps(f"{kind}/{case}/{head}{ending}", *numbers))
    return found


def with_pairs_turned(maps: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [
        values if name.startswith("hm") else turned(values)
        for name, values in zip(MAPS, maps, strict=True)
    ]


def tensorflow_objects(stored: dict[str, np.ndarray], case: str) -> np.ndarray:
    """Object tables of the stored persons and other things, which have no points."""
    image, row = np.nonzero(stored["gt/weights"])
    boxes = stored["gt/boxes"][image, row][:, [1, 0, 3, 2]] * np.float32(64)
    classes = stored[f"gt/{case}/classes"][image, row]
    points = stored["gt/keypoints"][image, row][:, :, ::-1] * np.float32(64)
    points = np.concatenate([points, np.isfinite(points[:, :, :1])], axis=2)
    points[classes != 0] = 0
    return object_tables(
        *(boxes, classes, image), images=3, grid_size=(64, 64), max_objs=10, exact_sides=True,
        points=np.nan_to_num(points),
    )  # fmt: skip


@pytest.mark.parametrize(("case", "classes"), [("c90", 90), ("c1", 1)])
def test_targets_of_points_are_tensorflows(case, classes):
    stored = tensorflow_stored("loss")
    objects = tensorflow_objects(stored, case)
    found = run(AllTargets(tensorflow(classes)), objects)
    cell, hps, hps_weight, hp_cell, kind, offset, offset_weight, _, seen, hm_hp, weight = found
    target = {name.removeprefix("c90/target/"): value for name, value in stored.items()}
    expected = target["keypoint/heatmap"].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(hm_hp, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(hm_hp == 1, expected == 1)
    np.testing.assert_array_equal(seen.sum(axis=1), stored[f"{case}/target/keypoint/number"])
    shape = stored[f"{case}/target/keypoint/mask_shape"]
    mask = np.unpackbits(stored[f"{case}/target/keypoint/mask_bits"])[: np.prod(shape)]
    np.testing.assert_array_equal(weight, mask.reshape(shape).transpose(0, 3, 1, 2))
    assert 0.5 < weight.mean() < 0.95

    # Rows of what is asked for: image, place, point, and x, y from there.
    at = np.nonzero(hps_weight.reshape(*hps_weight.shape[:2], J, 2)[..., 0])
    ours = [at[0], cell[at[:2]], at[2], *hps.reshape(*hps.shape[:2], J, 2)[at].T]
    check_rows(ours, "keypoint_regression", target)
    at = np.nonzero(offset_weight[..., 0])
    check_rows([at[0], hp_cell[at], kind[at], *offset[at].T], "keypoint_offset", target)


def check_rows(ours: list[np.ndarray], name: str, target: dict[str, np.ndarray]) -> None:
    used = target[f"{name}/weight"] > 0
    image, y, x, kind = target[f"{name}/index"][used].T
    theirs = [image, y * 64 + x, kind, *target[f"{name}/value"][used][:, ::-1].T]
    ours, theirs = (np.array(rows, np.float64) for rows in (ours, theirs))
    assert ours.shape == theirs.shape and ours.shape[1] > 1000
    # By place, where there are several by value, which lie a float's rounding apart.
    ours, theirs = (rows[:, np.lexsort(rows.round(3)[::-1])] for rows in (ours, theirs))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("case", "classes"), [("c1", 1), ("two", 90)])
def test_losses_of_points_are_tensorflows(case, classes):
    stored = tensorflow_stored("loss")
    objects = tensorflow_objects(stored, "c90" if case == "two" else case)
    loss = OfMaps(tensorflow(classes), classes)
    stacks = 2 if case == "two" else 1
    found = np.zeros(6)
    for stack in range(stacks):
        maps = with_pairs_turned(made_maps("loss", case, f"/{stack}"))
        # TensorFlow leaves out the cells of the padding; here they are as good as sure.
        for heat in (maps[0], maps[4]):
            for image, (height, width, _) in zip(heat, stored["gt/true_shapes"], strict=True):
                image[:, -(-height // 4) :], image[:, :, -(-width // 4) :] = -100, -100
        found += run(loss, *maps, objects)[0] / stacks
    expected = [stored[f"{case}/loss/Loss/{head}"] for head in MAPS.values()]
    np.testing.assert_allclose(found * loss.loss.weights, expected, rtol=1e-5)


@pytest.mark.parametrize(("case", "classes", "rows"), [("c90", 90, 100), ("c1", 1, 20)])
def test_points_as_tensorflow_decodes_them(case, classes, rows):
    stored = tensorflow_stored("decode")
    maps = made_maps("decode", case)
    for head, values in zip(MAPS.values(), maps, strict=True):
        image, y, x, channel = stored[f"{case}/edit/{head}/index"].T
        values[image, channel, y, x] = stored[f"{case}/edit/{head}/value"]
    maps = with_pairs_turned(maps)
    for hm, (height, width, _) in zip(maps[0], stored["true_shapes"], strict=True):
        hm[:, height:], hm[:, :, width:] = -100, -100  # TensorFlow's mask, by pixels, not cells
    (found,) = run(Decode(tensorflow(classes), classes, rows), *maps)
    det = {name.removeprefix(f"{case}/det/"): value for name, value in stored.items()}
    in_cells = stored["true_shapes"][:, [1, 0]].reshape(3, 1, 1, 2) / 4
    keypoints = det["detection_keypoints"][..., ::-1] * in_cells
    moved = 0
    for image in range(3):
        for row in range(rows):
            # Of equal scores TensorFlow takes the first cell first, here it is the first class.
            box = det["detection_boxes_strided"][image, row][[1, 0, 3, 2]]
            is_same = np.abs(found[image, :, 4] - det["detection_scores"][image, row]) < 1e-6
            is_same &= found[image, :, 5] == det["detection_classes"][image, row]
            same = found[image][is_same]
            same = same[np.abs(same[:, :4] - box).max(axis=1).argmin()]
            np.testing.assert_allclose(same[:4] * 4, box * 4, rtol=0, atol=1e-4)
            points = same[6:].reshape(J, 3)
            np.testing.assert_allclose(
                points[:, :2] * 4, keypoints[image, row] * 4, rtol=0, atol=1e-3
            )
            scores = det["detection_keypoint_scores"][image, row]
            np.testing.assert_allclose(points[:, 2], scores, rtol=0, atol=1e-6)
            moved += (scores > 0.1).sum()
            if case == "c90":
                assert bool(scores.any()) == (same[5] == 0)  # other classes have no points
    assert moved > 200


# --- without stored values ---------------------------------------------------------------------


def plain_dense(objects: np.ndarray, count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """`dense_hp` of one image by plain loops: x, y from each cell, and weights, (side²,2·count)."""
    target, weight = np.zeros((2, side * side, 2 * count))
    for cell in range(side * side):
        y, x = divmod(cell, side)
        best = -1.0
        for row in objects[objects[:, 7] >= 0]:
            across, down, radius = x - row[0], y - row[1], row[6]
            sigma = (2 * radius + 1) / 6
            near = max(abs(across), abs(down)) <= radius
            heat = np.exp(-(across**2 + down**2) / (2 * sigma**2)) * near
            if heat < best:
                continue
            best = heat
            for j, (px, py, label) in enumerate(row[POINTS_OF_OBJECT:].reshape(count, 3)):
                seen = label > 0 and 0 <= px < side and 0 <= py < side
                target[cell, 2 * j : 2 * j + 2] = px - x, py - y
                weight[cell, 2 * j : 2 * j + 2] = heat * seen
    return target, weight


def small_tables(batch: int, rows: int, side: int, count: int) -> np.ndarray:
    random = np.random.default_rng(4)
    tables = np.zeros((batch, rows, 8 + 3 * count), np.float32)
    tables[:, :, :2] = random.integers(0, side, (batch, rows, 2))
    tables[:, :, 2:4] = random.random((batch, rows, 2))
    tables[:, :, 4:6] = random.uniform(2, 9, (batch, rows, 2))
    tables[:, :, 6] = random.integers(0, 5, (batch, rows))
    points = random.uniform(-2, side + 2, (batch, rows, count, 3))
    points[..., 2] = random.random((batch, rows, count)) < 0.7
    tables[:, :, POINTS_OF_OBJECT:] = points.reshape(batch, rows, -1)
    tables[:, -2:, 7] = -1
    return tables


SMALL = (
    *("--net_config.pose.keypoints", "[left_hand, right_hand, head]"),
    *("--net_config.pose.skeleton", "[[1, 3]]", "--net_config.pose.sigmas", "[0.1, 0.1, 0.1]"),
)


class Dense(nn.Cell):
    def __init__(self, net: NetConfig, side: int) -> None:
        super().__init__()
        self.points, self.dense = Points(net, (side, side)), DensePoints(net, (side, side))

    def construct(self, objects: Tensor) -> tuple[Tensor, Tensor]:
        return self.dense(objects, *self.points(objects))


@pytest.mark.parametrize("batch", [1, 2])
def test_dense_points_are_those_of_the_object_whose_gaussian_is_largest(batch):
    objects = small_tables(batch, 7, 12, 3)
    target, weight = run(Dense(config(*POSE, *SMALL).net_config, 12), objects)
    for image in range(batch):
        expected, expected_weight = plain_dense(objects[image], 3, 12)
        np.testing.assert_allclose(weight[image], expected_weight, rtol=0, atol=1e-5)
        used = weight[image] > 0
        assert used.sum() > 10
        np.testing.assert_allclose(target[image][used], expected[used], rtol=0, atol=1e-5)


@pytest.mark.parametrize("dense", ["true", "false"])
def test_the_hps_loss_is_the_mean_error_of_the_points_that_are_seen(dense):
    net = config(*POSE, *SMALL, "--net_config.dense_hp", dense).net_config
    objects = np.zeros((1, 2, 17), np.float32)
    objects[0, 0, :8] = (5, 4, 0.5, 0.5, 3, 3, 0, 0)  # of radius 0: its own cell alone
    objects[0, 0, 8:] = (7, 9, 1, 3, 2, 0, 70, 4, 1)  # the second is not labelled, the third away
    objects[0, 1, 7] = -1
    maps = [np.zeros((1, head.channels, 64, 64), np.float32) for head in heads(net, 1)]
    maps[3][0, :2, 4, 5] = (1.5, 7)  # 0.5 and 2 beside the first
    (found,) = run(OfMaps(net), *maps, objects)
    np.testing.assert_allclose(found[3], 2.5, rtol=1e-3)


def small_maps(net: NetConfig, batch: int) -> list[np.ndarray]:
    random = np.random.default_rng(5)
    return [
        random.normal(-1 if head.is_heat else 2, 1, (batch, head.channels, 8, 9)).astype(np.float32)
        for head in heads(net, 1)
    ]


@pytest.mark.parametrize("flip_test", [False, True])
def test_a_number_that_is_not_finite_in_the_maps_of_points_leaves_no_score(flip_test):
    net = config(*POSE, *SMALL).net_config
    decode = Decode(net, 1, 5, flip_test)
    sound = small_maps(net, 4)
    for place in (3, 4, 5):
        odd = [values.copy() for values in sound]
        odd[place][1, -1, 0, 0] = np.inf
        (found,) = run(decode, *odd)
        assert np.isnan(found[1, :, 4]).all()
        assert np.isfinite(np.delete(found, 1, axis=0)).all()


def test_fewer_candidates_are_the_best_ones():
    """Also fewer than a 310's TopK takes, see `src.models.peaks`."""
    net = config(*POSE, *SMALL, "--net_config.pose.candidates", "1").net_config
    maps = small_maps(net, 1)
    maps[1][:] = 30  # boxes as large as the map
    maps[3][:] = 0
    maps[4][:], maps[5][:] = -9, 0
    maps[4][0, :, 2, 3], maps[4][0, :, 5, 6] = 0, 1  # two peaks each: the second is better
    (found,) = run(Decode(net, 1, 6), *maps)
    points = found[0, :, 6:].reshape(6, 3, 3)
    assert points[:, :, 2].max() > 0.7
    moved = points[points[:, :, 2] > 0.5]
    np.testing.assert_allclose(moved[:, :2], np.broadcast_to([6, 5], (len(moved), 2)), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--net_config.pose.classes", "[dog]"), "names 'dog', which dataset_config.coco_classes"),
        (("--net_config.pose.peak_radius", "3"), "two ways to regress points around the centre"),
        (
            (
                *("--net_config.pose.mask_unlabelled", "true"),
                *("--net_config.mse_loss", "true"),
            ),
            "mask_unlabelled is for focal loss",
        ),
        (
            (
                *("--net_config.pose.boxes_without_points", "false"),
                *("--net_config.dense_wh", "true"),
            ),
            "set dense_wh to false",
        ),
    ],
)
def test_variants_that_cannot_be_are_refused_in_a_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        config(*POSE, *options)


SMALL_NETWORK = (
    *("--net_config.block", "basic", "--net_config.block_class", "[1, 1]"),
    *("--net_config.stage_channels", "[8, 8]", "--net_config.up_channels", "[8]"),
    *("--net_config.head_conv", "8", "--net_config.deformable", "none"),
)


def test_weights_of_boxes_are_refused_for_poses_but_start_a_training_of_them(tmp_path, capsys):
    boxes = config(*SMALL_NETWORK, "--dataset_config.coco_classes", "[person]")
    pose = config(*SMALL_NETWORK, *POSE)
    trained = create_network(boxes)
    path = tmp_path / "boxes.ckpt"
    parameters = list(trained.parameters_and_names())
    facts_text = {checkpoints.MODEL: json.dumps(facts_of(boxes))}
    checkpoints.save(parameters, path, facts_text)
    with pytest.raises(UserError, match=r"boxes\.ckpt.*task"):
        configured(pose, read_weights(path))

    # Another project's, which say nothing of a task.
    arrays = {name: parameter.asnumpy() for name, parameter in parameters}
    theirs = translate(Stored(path, in_layout(ORIGINAL, arrays), []))
    network = create_network(pose)
    with pytest.raises(UserError, match=r"lacks 12 parameters \(heads.hps, heads.hm_hp, heads.hp_"):
        load(network, theirs)
    capsys.readouterr()
    for found in (read_weights(path), theirs):
        network = create_network(configured_to_train(pose, found.facts, path))
        load_for_fine_tuning(network, found)
        assert "missing there, trained anew: heads.hps.0.weight" in capsys.readouterr().out
        for name, parameter in network.parameters_and_names():
            if name in arrays:
                np.testing.assert_array_equal(parameter.asnumpy(), arrays[name])


@pytest.mark.parametrize(
    "options",
    [
        (),
        (
            *("--net_config.dense_hp", "false", "--net_config.pose.peak_radius", "2"),
            *("--net_config.pose.offset_per_point", "true", "--net_config.divide_by", "objects"),
            *("--net_config.pose.gaussian_scales", "[0.5, 0.5, 1]"),
            *("--net_config.pose.mask_unlabelled", "true"),
        ),
    ],
    ids=["original", "tensorflow"],
)
def test_a_narrow_network_learns_the_points_of_two_images(options):
    used = config(
        *(*SMALL_NETWORK, *POSE, *SMALL, *options, "--dataset_config.input_res_train", "[64, 64]"),
        *("--dataset_config.input_res_test", "[64, 64]"),
    )
    ms.set_seed(1)
    loss = with_loss(create_network(used), used)
    optimizer = create_optimizer(used.train_config, loss, np.full(40, 5e-3, np.float32))
    step = TrainStep(loss, optimizer, StepOptions()).set_train()
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    colour = np.tile(np.eye(3, 4, dtype=np.float32) / 128, (2, 1, 1))
    objects = small_tables(2, 3, used.dataset_config.output_res[0], 3)
    before = {name: p.asnumpy().copy() for name, p in loss.parameters_and_names()}
    losses = np.array([run(step, image, colour, objects)[0] for _ in range(40)])
    assert losses.shape == (40, 7) and np.isfinite(losses).all()
    assert losses[-1, 0] < 0.6 * losses[0, 0]
    assert (losses[-1, 4:] < losses[0, 4:]).all()
    still = [n for n, p in loss.parameters_and_names() if np.array_equal(p.asnumpy(), before[n])]
    assert not still
