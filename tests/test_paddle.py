# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Targets, losses, evaluation and the training recipe against PaddleDetection's.

Rules and values are those of `test_family_networks`; the networks are in `test_dla`.
"""

import json
import zlib
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from src.data.objects import object_tables
from src.evaluation.detector import detector_of
from src.model_utils.config import load_config
from src.model_utils.errors import UserError
from src.model_utils.facts import facts_of
from src.model_utils.parameters import Config
from src.models.network import create_network, with_loss
from src.models.tasks.boxes import Decode, Loss, Targets
from src.training.optimizer import create_optimizer, fix_parameters
from src.training.step import StepOptions, TrainStep
from src.weights import checkpoints
from tests.conftest import FAMILY, PROJECT, Program
from tests.helpers import object_rows, run, run_with_gradients
from tests.test_dla import NARROW
from tests.test_family_networks import needs_oracles, rule

HEADS = ("heatmap", "size", "offset")


def paddle(name: str = "centernet_r50_140e", *options: str) -> Config:
    path = PROJECT / "configs" / "paddle" / f"{name}.yaml"
    return load_config("tests", ("--config_path", str(path), *options))


def made_maps(kind: str) -> list[np.ndarray]:
    """Stand-in predictions by the rule of the stored values."""
    seeded, pack = rule("seeded_weights"), json.loads((FAMILY / "pack.json").read_text())
    found = []
    for head in HEADS:
        entry = pack["normal_maps"][f"{kind}/{head}"]
        numbers = (entry[key] for key in ("shape", "mean", "std"))
        found.append(seeded.normal_map(pack["seed"], f"{kind}/{head}", *numbers))
        assert zlib.crc32(found[-1].tobytes()) == entry["crc32"]
    return found


def stored_objects(stored: dict[str, np.ndarray]) -> np.ndarray:
    """Object tables (2,128,8) of the stored boxes in the stored crops of a 320 wide image."""
    tables = []
    for centre, scale, is_flipped in zip(
        stored["center"], stored["scale"], stored["flipped"], strict=True
    ):
        boxes, one = stored["gt_xyxy"].copy(), np.zeros(len(stored["gt_class"]), int)
        if is_flipped:
            boxes[:, [0, 2]] = 320 - boxes[:, [2, 0]] - 1
        boxes = (boxes - np.tile(centre, 2)) * 64 / scale + 32
        tables.append(
            object_tables(
                *(boxes, stored["gt_class"], one), images=1, grid_size=(64, 64), max_objs=128
            )[0]
        )
    return np.stack(tables)


@needs_oracles
def test_targets_are_paddles():
    with np.load(FAMILY / "targets_paddle.npz") as arrays:
        stored = dict(arrays)
    hm, cell, mask, reg, wh, _ = run(
        Targets(paddle().net_config, 80, (64, 64)), stored_objects(stored)
    )
    np.testing.assert_allclose(hm, stored["heatmap"], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(hm == 1, stored["heatmap"] == 1)
    for image in range(2):
        # Objects that fall away with the crop leave an empty row there, here they leave none.
        theirs = np.flatnonzero(stored["index_mask"][image])
        ours = np.arange(len(theirs))
        np.testing.assert_array_equal(mask[image, :, 0], np.arange(128) < len(ours))
        np.testing.assert_array_equal(cell[image, ours], stored["index"][image, theirs])
        for found, name in ((wh, "size"), (reg, "offset")):
            np.testing.assert_allclose(
                found[image, ours], stored[name][image, theirs], rtol=0, atol=1e-5
            )
    assert stored["index_mask"].sum(axis=1).tolist() != [16, 16]  # some have fallen away


class Total(nn.Cell):
    """The weighted total of maps that stand behind each other (B,84,h,w), and the losses."""

    def __init__(self, used: Config) -> None:
        super().__init__()
        self.loss = Loss(used.net_config, 80, (64, 64))
        self.weights = Tensor(np.array(self.loss.weights, np.float32))

    def construct(self, maps: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
        losses = self.loss((maps[:, :80], maps[:, 80:82], maps[:, 82:]), objects)
        return (losses * self.weights).sum(), losses


@needs_oracles
def test_losses_and_gradients_are_paddles():
    with np.load(FAMILY / "targets_paddle.npz") as arrays:
        stored = dict(arrays)
    maps = np.concatenate(made_maps("loss/paddle/0"), axis=1)
    (total, losses), (gradient,) = run_with_gradients(Total(paddle()), maps, stored_objects(stored))
    expected = [stored[f"loss_{name}_loss"] for name in ("det", *HEADS)]
    np.testing.assert_allclose([total, *losses], expected, rtol=1e-5)
    for name, of_head in zip(HEADS, np.split(gradient, [80, 82], axis=1), strict=True):
        norm = np.linalg.norm(of_head.astype(np.float64))
        np.testing.assert_allclose(norm, stored[f"gradnorm_{name}"], rtol=1e-4, err_msg=name)


@needs_oracles
@pytest.mark.parametrize("exact_padding", [None, "true"])
def test_boxes_of_an_image_with_an_odd_side_are_paddles_or_half_a_pixel_better(exact_padding):
    options = ("--eval_config.exact_padding", exact_padding) if exact_padding else ()
    used = paddle("centernet_r50_140e", *options)
    (found,) = run(
        Decode(used.net_config, 80, used.eval_config.K), *made_maps("decode/paddle/plain")
    )
    detector = detector_of(used, lambda _: found, used.eval_config.keep_res)
    image = np.random.default_rng(0).integers(1, 256, (186, 243, 3)).astype(np.uint8)
    boxes = detector(image)
    with np.load(FAMILY / "decode_paddle.npz") as stored:
        label, score, *corners = stored["dets_image"].T
    corners = np.stack(corners, axis=1) - (np.array([0.5, 0, 0.5, 0]) if exact_padding else 0)
    np.testing.assert_array_equal(boxes[:, 5], label)
    np.testing.assert_allclose(boxes[:, 4], score, rtol=0, atol=1e-6)
    np.testing.assert_allclose(boxes[:, :4], corners, rtol=0, atol=1e-3)

    # The input itself is the image moved by whole pixels, from 192 // 2 - 186 // 2 and so on.
    expected = np.zeros((192, 256, 3), np.uint8)
    expected[3:189, 7:250] = image
    np.testing.assert_array_equal(detector.prepare(image).inputs[0].transpose(1, 2, 0), expected)


# --- the recipe, without stored values ---------------------------------------------------------


def test_the_recipe_is_paddles():
    used = paddle()
    data, recipe = used.dataset_config, used.train_config
    assert data.skip_crowd and not data.keep_empty_images and data.max_objs == 128
    assert (data.input_res_train, data.rand_crop, data.flip_prop) == ([512, 512], True, 0.5)
    assert data.channel_order == "BGR" and data.color_aug
    multi = recipe.MultiDecay
    assert (multi.learning_rate, multi.eps, multi.warmup_steps) == (5e-4, 1e-8, 0)
    assert (used.epoch_size, multi.multi_epochs, multi.factor) == (140, [90, 120], 10)
    assert (recipe.batch_size * 8, recipe.Adam.weight_decay, recipe.clip_norm) == (128, 0, 0)
    assert (recipe.ema_decay, recipe.ema_kind) == (0.9998, "threshold")
    evaluation = used.eval_config
    assert evaluation.keep_res and evaluation.pad == 31 and not evaluation.SOFT_NMS
    finetune = paddle("centernet_r50_140e_finetune").train_config
    assert finetune.MultiDecay.learning_rate == 5e-5 and finetune.fixed_parameters
    dla = paddle("dla34_140e").train_config
    assert dla.ema_decay == 0 and not dla.fixed_parameters


SMALL = (
    *("--net_config.head_conv", "16", *NARROW["resnet_vd"]),
    *("--dataset_config.coco_classes", "[one, other]"),
    *(
        "--dataset_config.input_res_train",
        "[64, 64]",
        "--dataset_config.input_res_test",
        "[64, 64]",
    ),
)


def test_factors_and_shifts_of_the_backbone_stay_as_they_are(capsys: pytest.CaptureFixture[str]):
    used = paddle("centernet_r50_140e", *SMALL)
    ms.set_seed(1)
    network = create_network(used)
    capsys.readouterr()
    fix_parameters(network, used.train_config.fixed_parameters, is_first=True)
    norms = {n for n, _ in network.parameters_and_names() if n.endswith((".gamma", ".beta"))}
    fixed = {name for name in norms if name.startswith("features.backbone.")}
    assert 0 < len(fixed) < len(norms)
    said = capsys.readouterr().out
    assert said.startswith(f"fixed: {len(fixed)} of ") and said.count("\n") == 1
    loss = with_loss(network, used)
    optimizer = create_optimizer(used.train_config, loss, np.full(3, 1e-3, np.float32))
    step = TrainStep(loss, optimizer, StepOptions(ema_decay=0.9998, ema_kind="threshold"))
    assert len(optimizer.parameters) == len(network.trainable_params())
    step.set_train()
    before = {name: p.asnumpy().copy() for name, p in network.parameters_and_names()}
    image = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    colour = np.tile(np.eye(3, 4, dtype=np.float32) / 128, (2, 1, 1))
    objects = np.tile(object_rows([(0, 4.3, 5.6, 6, 4)], 3, 2), (2, 1, 1))
    for _ in range(3):
        run(step, image, colour, objects)
    still = {
        name
        for name, p in network.parameters_and_names()
        if np.array_equal(p.asnumpy(), before[name])
    }
    assert still == fixed
    # Averages are of all parameters; the division is not exact for so few updates.
    averages = {name: p.asnumpy() for name, p in step.ema_weights(network)}
    assert set(averages) == set(before)
    for name in fixed:
        np.testing.assert_allclose(averages[name], before[name], rtol=0.02)


@pytest.mark.parametrize(
    ("patterns", "sentence"),
    [
        (
            ["*.gamma", "backbone.*"],
            r"'backbone\.\*' fits none of the \d+ parameters .*heads\.reg\.2",
        ),
        (["features.*.moving_mean"], "fits none of"),
        (["features.*", "heads.*"], "leaves nothing to train"),
    ],
)
def test_patterns_that_cannot_be_meant_are_refused_in_a_sentence(patterns, sentence):
    network = create_network(paddle("centernet_r50_140e", *SMALL))
    with pytest.raises(UserError, match=sentence):
        fix_parameters(network, patterns, is_first=True)
    assert all(p.requires_grad for n, p in network.parameters_and_names() if "moving" not in n)


@pytest.mark.slow
def test_the_fine_tuning_goes_on_from_a_checkpoint(shapes: Path, program: Program, tmp_path: Path):
    used = paddle("centernet_r50_140e", *SMALL)
    network = create_network(used)
    published = tmp_path / "published.ckpt"
    facts = {checkpoints.MODEL: json.dumps(facts_of(used))}
    checkpoints.save(network.parameters_and_names(), published, facts)
    options = (
        *("--config_path", PROJECT / "configs/paddle/centernet_r50_140e_finetune.yaml", *SMALL),
        *("--dataset_config.coco_classes", "[circle, square, triangle, star, ring]"),
        *("--device_target", "CPU", "--train_config.batch_size", 4),
        *("--train_config.scale_learning_rate", "true"),
    )
    made = ("--mindrecord_dir", tmp_path / "set")
    for script, more in (
        ("src/dataset.py", ("--coco_data_dir", shapes)),
        ("train.py", ("--load_checkpoint_path", published)),
    ):
        done = program(script, *options, *made, *more, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    count = len(list(network.get_parameters()))
    assert f"fine-tuning: {count - 2} of {count} parameters are from {published}" in done.stdout
    assert "heads.hm.2.weight, heads.hm.2.bias\nfixed: 30 of 94 parameters" in done.stdout
    assert "lr: 1.562e-06" in done.stdout  # 5e-5 · 4 / 128
    found = checkpoints.read(tmp_path / "ckpt_0" / "centernet-3_24.ckpt")
    averages = checkpoints.read(tmp_path / "ckpt_0" / "centernet_ema-3_24.ckpt")
    for name, parameter in network.parameters_and_names():
        if name.startswith("features.backbone.") and name.endswith((".gamma", ".beta")):
            np.testing.assert_array_equal(found[name].asnumpy(), parameter.asnumpy())
            np.testing.assert_allclose(averages[name].asnumpy(), parameter.asnumpy(), rtol=1e-2)
