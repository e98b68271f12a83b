# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The detector against plain NumPy (tests/plain_detector.py), in every way it can be set."""

import itertools
import json
from pathlib import Path

import cv2
import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from src.evaluation.detector import detector_of
from src.evaluation.models import create_detector
from src.model_utils.errors import UserError
from src.model_utils.parameters import Config
from src.models.network import Network, create_network
from tests.conftest import COCO128, PROJECT
from tests.helpers import config, graph_mode, set_seeded_parameters
from tests.oracles.seeded import with_calm_offsets
from tests.plain_detector import plain_detect

RESNET18 = ("--config_path", str(PROJECT / "configs" / "resnet18.yaml"))
TIED = 1e-6
TOLERANCE = 1e-4

every_setting = pytest.mark.parametrize(
    ("keep_res", "scales", "soft_nms", "flip"),
    list(itertools.product((True, False), ([1.0], [0.75, 1.0, 1.5]), (False, True), (False, True))),
)


@pytest.fixture(scope="module")
def network() -> Network:
    """ResNet-18 with seeded weights: boxes large enough to overlap, scores well below 1.

    Random layers make of a rounding by 2e-7 in the input 1e-4 in the heads. Calm offsets of the
    deformable layers and small last layers keep that below what is compared.
    """
    made = create_network(config(*RESNET18))
    set_seeded_parameters(made)
    for name, parameter in made.parameters_and_names():
        values = with_calm_offsets(name, parameter.asnumpy())
        if name.startswith("heads.") and name.endswith(".2.weight"):
            values = values * np.float32(0.2)
        if name == "heads.wh.2.bias":
            values = values + np.float32(8)
        parameter.set_data(Tensor(values))
    return made.set_train(False)


Setting = tuple[bool, list[float], bool, bool]  # keep_res, scales, soft_nms, flip


def flags_of(setting: Setting, side: int) -> list[str]:
    """Flags for a setting, with square input of `side` pixels at fixed resolution."""
    keep_res, scales, soft_nms, flip = setting
    options = {
        "eval_config.keep_res": keep_res,
        "eval_config.multi_scales": scales,
        "eval_config.SOFT_NMS": soft_nms,
        "eval_config.flip_test": flip,
        "dataset_config.input_res_test": [side, side],
    }
    return [text for name, value in options.items() for text in (f"--{name}", str(value))]


def plain_boxes(
    network: Network, image: np.ndarray, setting: Setting, side: int, used: Config
) -> np.ndarray:
    """What the plain detector finds in an image by the network's heads."""
    keep_res, scales, soft_nms, flip = setting

    def heads(normalised: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(head.asnumpy() for head in network(Tensor(normalised)))

    return plain_detect(
        image,
        heads,
        scales=scales,
        flip=flip,
        keep_res=keep_res,
        pad=used.eval_config.pad,
        fixed_size=(side, side),
        soft_nms=soft_nms,
        k=100,
        down_ratio=4,
        mean=used.dataset_config.mean,
        std=used.dataset_config.std,
        num_classes=80,
    )


def assert_as_the_plain_detector(
    network: Network, images: list[np.ndarray], setting: Setting, side: int
) -> None:
    used = config(*RESNET18, *flags_of(setting, side))
    detect = create_detector(used, network)
    for image in images:
        found = detect(image)
        assert len(found) > 50
        assert_same_boxes(found, plain_boxes(network, image, setting, side, used))


def assert_same_boxes(found: np.ndarray, expected: np.ndarray) -> None:
    """Both hold the same rows, to 1e-4 pixels and of score, best first.

    Beside 1e-4 two roundings of float32 are let pass, 5e-5 at 400 pixels.

    Which rows are kept of those that tie with the last is open: they are compared by score alone.
    """
    assert found.shape == expected.shape
    np.testing.assert_allclose(found[:, 4], expected[:, 4], rtol=0, atol=TOLERANCE)
    assert np.all(np.diff(found[:, 4]) <= 0)
    left = expected
    for row in found[found[:, 4] > found[-1, 4] + TIED]:
        # Not the row of the same rank: scores that tie come in any order.
        difference = np.abs(left - row).max(axis=1)
        nearest = difference.argmin()
        allowed = TOLERANCE + np.abs(row).max() * np.finfo(np.float32).eps
        assert difference[nearest] <= allowed, f"no row of the plain detector is {row}"
        left = np.delete(left, nearest, axis=0)


@every_setting
def test_boxes_of_drawn_images_are_the_plain_detectors(
    keep_res: bool, scales: list[float], soft_nms: bool, flip: bool, network: Network
):
    # Not compiled: the three scales of sixteen settings would take minutes, and their boxes are the
    # same.
    before = ms.get_context("mode")
    ms.set_context(mode=ms.PYNATIVE_MODE)
    try:
        images = [drawn_image(131, 64) if soft_nms else drawn_image(90, 125)]
        setting = (keep_res, scales, soft_nms, flip)
        assert_as_the_plain_detector(network, images, setting, side=128)
    finally:
        ms.set_context(mode=before)


@pytest.mark.slow
@pytest.mark.skipif(not COCO128.is_dir(), reason=f"no COCO images at {COCO128}")
@every_setting
def test_boxes_of_photographs_are_the_plain_detectors(
    keep_res: bool, scales: list[float], soft_nms: bool, flip: bool, network: Network
):
    with graph_mode():
        setting = (keep_res, scales, soft_nms, flip)
        assert_as_the_plain_detector(network, photographs(2), setting, side=256)


def drawn_image(height: int, width: int) -> np.ndarray:
    """Coloured rectangles on noise."""
    random = np.random.default_rng(height)
    image = random.integers(0, 80, (height, width, 3), np.uint8)
    for _ in range(12):
        first, second = (tuple(map(int, random.integers(0, (width, height)))) for _ in range(2))
        cv2.rectangle(image, first, second, tuple(map(int, random.integers(0, 256, 3))), -1)
    return image


def photographs(count: int) -> list[np.ndarray]:
    """The first images of coco128, at half their size."""
    listed = json.loads((COCO128 / "annotations" / "instances_train2017.json").read_bytes())
    paths: list[Path] = [
        COCO128 / "train2017" / entry["file_name"] for entry in listed["images"][:count]
    ]
    return [cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_2) for path in paths]


def test_boxes_that_are_not_finite_end_the_work():
    detections = np.zeros((1, 100, 6), np.float32)
    detections[0, 3, 4] = np.nan
    used = config(*RESNET18, "--dataset_config.input_res_test", "[64, 64]")
    detector = detector_of(used, lambda images: detections, keep_res=False, batch_size=1)
    for boxes_of in (detector, lambda image: list(detector.detect([image]))):
        with pytest.raises(UserError, match=r"boxes are not finite: .*; give an earlier"):
            boxes_of(np.zeros((50, 60, 3), np.uint8))


def test_an_image_that_the_network_cannot_take_is_refused_before_it_sees_it():
    one_class = ("--dataset_config.num_classes", "1", "--dataset_config.coco_classes", "[a]")
    used = config(*RESNET18, *one_class, "--eval_config.pad", "31")
    detector = detector_of(used, pytest.fail, keep_res=True)
    with pytest.raises(UserError, match=r"20x10 pixels has 64 cells .* fewer than eval_config.K 1"):
        detector.prepare(np.zeros((10, 20, 3), np.uint8))
    assert detector.unfit(40, 20) == ""  # 2 x 64 cells
    used = config(*RESNET18, "--eval_config.multi_scales", "[1, 16]")
    detector = detector_of(used, pytest.fail, keep_res=True)
    assert "input of 15968x8032 at scale 16; leave that scale out" in detector.unfit(500, 996)
    assert detector.unfit(50, 5000) == ""
