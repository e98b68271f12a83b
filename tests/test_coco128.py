# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Real images: 128 of COCO train2017, in COCO128_DIR or beside the project, where they are."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest

from src.evaluation.coco_results import score, to_results
from src.evaluation.models import create_detector
from src.evaluation.run import Evaluation
from src.models.network import create_network
from src.training.metrics import read_records
from src.weights import checkpoints
from tests.conftest import COCO128, PROJECT, Program
from tests.helpers import config, graph_mode
from tests.test_detector_reference import assert_same_boxes, every_setting, flags_of, plain_boxes
from tests.test_end_to_end import worst_difference, write_seeded_checkpoint
from tests.test_infer_310 import Exported, evaluated, export, numbers_of_every_way

CPU = ("--device_target", "CPU")
# Eight of the training images: the set's val2017 stands for the same.
SOME = ("--eval_config.num_images", 8, "--dataset_config.val_images", "train2017")

pytestmark = pytest.mark.skipif(
    not COCO128.is_dir(), reason=f"no COCO images at {COCO128}; COCO128_DIR can name their folder"
)


@pytest.fixture(scope="module")
def coco_mindrecord(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coco128")
    options = ("--coco_data_dir", COCO128, "--mindrecord_dir", folder)
    done = program("src/dataset.py", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "126 images with 939 boxes of 128 images" in done.stdout
    return folder


def test_coco128_converts_whole(coco_mindrecord: Path):
    assert (coco_mindrecord / "coco_det.train.mind.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("overlay", ["default_config.yaml", "configs/original/resnet18.yaml"])
def test_the_whole_path_runs_on_real_images(
    overlay: str, coco_mindrecord: Path, infer_app: Path, program: Program, tmp_path: Path
):
    config = () if overlay == "default_config.yaml" else ("--config_path", PROJECT / overlay)
    batch = ("--train_config.batch_size", 2)
    done = program(
        "train.py",
        *(*config, *CPU, *batch, "--mindrecord_dir", coco_mindrecord, "--train_steps", 3),
        *("--data_sink_steps", 1),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"step: \d, loss: [\d.]+, ", done.stdout)) == 3
    (checkpoint,) = (tmp_path / "ckpt_0").glob("*.ckpt")
    done = program(
        "eval.py",
        *(*config, *CPU, *SOME, "--load_checkpoint_path", checkpoint, "--data_dir", COCO128),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "Average Precision" in done.stdout
    done = program(
        "export.py",
        *(*config, *CPU, "--export_load_ckpt", checkpoint, "--mindir_version", 1),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    done = infer(program, tmp_path, config)
    assert done.returncode == 0, done.stderr
    assert "Average Precision" in (tmp_path / "acc.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("overlay", ["default_config.yaml", "configs/original/resnet18.yaml"])
def test_the_application_gives_pythons_boxes_of_real_images(
    overlay: str, infer_app: Path, program: Program, tmp_path: Path
):
    config = () if overlay == "default_config.yaml" else ("--config_path", PROJECT / overlay)
    checkpoint = tmp_path / "seeded.ckpt"
    write_seeded_checkpoint(checkpoint, config)
    export = ("--export_load_ckpt", checkpoint, "--mindir_version", 1)
    done = program("export.py", *config, *CPU, *export, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = infer(program, tmp_path, config)
    assert done.returncode == 0, done.stderr
    gather = ("--net_config.deformable", "gather")
    assert worst_difference(tmp_path, checkpoint, (*config, *gather)) < 1e-3


def infer(program: Program, folder: Path, config: tuple):
    environment = {"CONFIG_PATH": str(config[1])} if config else {}
    return program(
        "scripts/run_infer_310.sh",
        *("centernet.mindir", COCO128, "y", 0, *SOME),
        cwd=folder,
        DEVICE_TARGET="CPU",
        **environment,
    )


# Images as they are, always at the same place: to be learned by heart.
BY_HEART = (
    *(*CPU, "--dataset_config.num_shards", 1, "--dataset_config.rand_crop", "false"),
    *("--dataset_config.shift", 0, "--dataset_config.scale", 0, "--dataset_config.flip_prop", 0),
    *("--dataset_config.color_aug", "false", "--eval_config.placement", "centred"),
)


def sides(pixels: int) -> tuple:
    options = ("input_res_train", "input_res_test")
    return tuple(x for o in options for x in (f"--dataset_config.{o}", f"[{pixels}, {pixels}]"))


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of the first eight images without boxes below 12 pixels at 256×256."""
    data = tmp_path_factory.mktemp("eight")
    content = json.loads((COCO128 / "annotations" / "instances_train2017.json").read_text())
    longer = {entry["id"]: max(entry["width"], entry["height"]) for entry in content["images"]}
    smallest: dict[int, float] = {}  # shorter side of an image's smallest box
    for entry in content["annotations"]:
        image_id = entry["image_id"]
        side = min(entry["bbox"][2:]) * 256 / longer[image_id]
        smallest[image_id] = min(side, smallest.get(image_id, side))
    kept = sorted(image_id for image_id, side in smallest.items() if side >= 12)[:8]
    assert len(kept) == 8
    write_part(data, kept)
    return data


def write_part(data: Path, kept: list[int]) -> None:
    """Writes a data set of some of the images, for training and for evaluation."""
    (data / "annotations").mkdir(parents=True)
    content = json.loads((COCO128 / "annotations" / "instances_train2017.json").read_text())
    content["images"] = [entry for entry in content["images"] if entry["id"] in kept]
    content["annotations"] = [e for e in content["annotations"] if e["image_id"] in kept]
    for split in ("train", "val"):
        path = data / "annotations" / f"instances_{split}2017.json"
        path.write_text(json.dumps(content))
        (data / f"{split}2017").symlink_to(COCO128 / "train2017")


def learn(program: Program, data: Path, config: tuple, folder: Path, *options: object) -> None:
    """Converts a data set and trains on it."""
    done = program(
        "src/dataset.py", *config, "--coco_data_dir", data, "--mindrecord_dir", "mr", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    done = program("train.py", *config, "--mindrecord_dir", "mr", *options, cwd=folder)
    assert done.returncode == 0, done.stderr


def overfit(
    program: Program, data: Path, config: tuple, learning_rate: str, steps: int, folder: Path
) -> Path:
    """Trains on eight images at once, and gives the last checkpoint."""
    recipe = (
        *("--train_config.batch_size", 8, "--train_config.accumulate_steps", 1),
        *("--train_config.lr_schedule", "PolyDecay", "--train_config.PolyDecay.power", 1),
        *("--train_config.PolyDecay.learning_rate", learning_rate),
        *("--train_config.PolyDecay.warmup_steps", 20, "--train_steps", steps),
    )
    learn(program, data, config, folder, *recipe)
    (checkpoint,) = (folder / "ckpt_0").glob("*.ckpt")
    return checkpoint


def average_precision(
    program: Program, data: Path, config: tuple, checkpoint: Path, folder: Path
) -> float:
    """AP50 of a checkpoint, by eval.py."""
    done = program(
        "eval.py",
        *(*config, "--eval_config.keep_res", "false", "--data_dir", data),
        *("--load_checkpoint_path", checkpoint),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    pattern = r"IoU=0.50      \| area=   all \| maxDets=100 \] = (\S+)"
    return float(re.search(pattern, done.stdout)[1])


@dataclass(frozen=True)
class Overfitted:
    """A ResNet-18 that has learned eight images by heart: their data set, flags and checkpoint."""

    data: Path
    config: tuple
    checkpoint: Path


@pytest.fixture(scope="module")
def overfitted(
    eight: Path, program: Program, tmp_path_factory: pytest.TempPathFactory
) -> Overfitted:
    folder = tmp_path_factory.mktemp("overfitted")
    config = (
        *("--config_path", PROJECT / "configs" / "resnet18.yaml", *BY_HEART, *sides(256)),
        *("--net_config.deformable", "gather", "--dataset_config.output_res", "[64, 64]"),
    )
    checkpoint = overfit(program, eight, config, "1e-3", 250, folder)
    return Overfitted(eight, config, checkpoint)


@pytest.mark.slow
def test_resnet18_overfits_eight_images(overfitted: Overfitted, program: Program, tmp_path: Path):
    """AP50 above 0.9 on the images it was trained on."""
    found = average_precision(
        program, overfitted.data, overfitted.config, overfitted.checkpoint, tmp_path
    )
    assert found > 0.9


# BatchNorm keeps 0.9 of its statistics: with TensorFlow's 0.99 and 0.9997 they are those of the
# first steps when a training of 200 ends.
SHORT = ("--net_config.norm_momentum", 0.9)
RESNET = (
    *("--net_config.block_class", "[1, 1, 1, 1]", "--net_config.stage_channels"),
    *("[16, 24, 32, 48]", "--net_config.up_channels", "[64, 48, 32]", *SHORT),
)
HOURGLASS = (
    *("--net_config.stem_channels", 16, "--net_config.dims", "[24, 32, 48]"),
    *("--net_config.blocks", "[1, 1, 1]"),
)
CORNERS = ("--net_config.corners.pool_channels", 16)
QUARTER = ("--net_config.width_multiplier", 0.25)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "narrow"),
    [
        ("original/hourglass104", HOURGLASS),
        # Its grid is stretched over 127 pixels.
        ("cornernet/hourglass104_8x6", (*HOURGLASS, *CORNERS, *sides(127))),
        ("tensorflow/resnet50_v1_fpn", RESNET),
        ("tensorflow/resnet50_v2", RESNET),
        ("mobilenet_v2/plain", (*QUARTER, "--net_config.up_channels", "[64, 48, 32]")),
        ("tensorflow/mobilenet_v2_fpn", (*QUARTER, *SHORT)),
        ("original/dla34_1x", ("--net_config.level_channels", "[8, 16, 24, 32, 48, 64]")),
        (
            "paddle/centernet_r50_140e",
            (
                *("--net_config.block_class", "[1, 1, 1, 1]", "--net_config.stage_channels"),
                *("[16, 24, 32, 48]", "--train_config.ema_decay", 0),
            ),
        ),
    ],
)
def test_narrow_networks_overfit_eight_images(
    path: str, narrow: tuple, eight: Path, program: Program, tmp_path: Path
):
    """AP50 above 0.8 on the images it was trained on."""
    config = (
        *("--config_path", PROJECT / "configs" / f"{path}.yaml", *BY_HEART, *sides(128)),
        *("--net_config.head_conv", 32, *narrow),
    )
    checkpoint = overfit(program, eight, config, "2e-3", 200, tmp_path)
    assert average_precision(program, eight, config, checkpoint, tmp_path) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["original/hourglass104", "original/dla34_1x", "paddle/centernet_r50_140e"]
)
def test_a_large_network_learns_and_goes_on_from_its_checkpoint(
    path: str, program: Program, tmp_path: Path
):
    """Three steps of one image, and the third again; an hourglass: 7 GB of memory and of files."""
    content = json.loads((COCO128 / "annotations" / "instances_train2017.json").read_text())
    data = tmp_path / "one"
    write_part(data, [min(entry["image_id"] for entry in content["annotations"])])
    config = (
        *("--config_path", PROJECT / "configs" / f"{path}.yaml", *BY_HEART, *sides(256)),
        *("--train_config.batch_size", 1, "--train_steps", 3, "--data_sink_steps", 1),
    )
    two_files = ("--save_checkpoint_steps", 2, "--save_checkpoint_num", 2)
    unbroken, resumed = tmp_path / "ckpt_0", tmp_path / "resumed"
    try:
        learn(program, data, config, tmp_path, *two_files)
        first = unbroken / "centernet-2_2.ckpt"
        resumed.mkdir()
        again = ("--mindrecord_dir", tmp_path / "mr", "--resume", first)
        done = program("train.py", *config, *again, cwd=resumed)
        assert done.returncode == 0, done.stderr
        assert "centernet-2_2.ckpt, after step 2 (epoch 2.00)" in done.stdout
        losses, of_resumed = (
            {record["step"]: record["loss"] for record in read_records(folder / "metrics.jsonl")}
            for folder in (unbroken, resumed / "ckpt_0")
        )
        assert list(losses) == [1, 2, 3]
        assert math.isfinite(losses[1])
        assert losses[1] > losses[2] > losses[3]
        assert of_resumed == {3: losses[3]}
    finally:  # 2.3 GB each of an hourglass
        for checkpoint in tmp_path.rglob("*.ckpt"):
            checkpoint.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_the_application_scores_a_trained_network_as_eval_py_does(
    dtype: str,
    batch_size: int,
    overfitted: Overfitted,
    infer_app: Path,
    program: Program,
    tmp_path: Path,
):
    checkpoint = tmp_path / "overfitted.ckpt"
    checkpoint.symlink_to(overfitted.checkpoint)
    options = (*overfitted.config, "--export_config.input_dtype", dtype)
    results = evaluated(program, checkpoint, options, overfitted.data, tmp_path)
    annotations = overfitted.data / "annotations" / "instances_val2017.json"
    ids = [image["id"] for image in json.loads(annotations.read_text())["images"]]
    numbers = score(annotations, results, ids, config().dataset_config.coco_classes).numbers
    assert numbers["AP50"] > 0.5
    mindir = export(program, checkpoint, (*options, "--export_config.batch_size", batch_size))
    exported = Exported(mindir, options, overfitted.data, numbers)
    for found in numbers_of_every_way(program, infer_app, exported, tmp_path).values():
        assert found == pytest.approx(numbers, abs=1e-4)


@pytest.mark.slow
@every_setting
def test_a_trained_network_finds_what_the_plain_detector_does_and_scores_the_same(
    keep_res: bool, scales: list[float], soft_nms: bool, flip: bool, overfitted: Overfitted
):
    pad = 31
    if keep_res:  # photographs of 640 pixels as the network knows them: 255, in 256×256
        scales, pad = [scale * 255 / 640 for scale in scales], 127
    setting = (keep_res, scales, soft_nms, flip)
    flags = (*map(str, overfitted.config), *flags_of(setting, 256), "--eval_config.pad", str(pad))
    used = config(*flags, "--data_dir", str(overfitted.data))
    network = create_network(used)
    checkpoints.fill(network, checkpoints.read(overfitted.checkpoint), overfitted.checkpoint)
    with graph_mode():
        evaluation = Evaluation(used, create_detector(used, network), "val")
        results = evaluation.detect()
        expected = []
        for record in evaluation.set.records:
            boxes = plain_boxes(network, cv2.imread(str(record.path)), setting, 256, used)
            assert_same_boxes(evaluation.detected[record.image_id].predicted, boxes)
            expected += to_results(record.image_id, boxes, evaluation.set.category_ids)
    found, plain = (evaluation.score(each).numbers for each in (results, expected))
    assert found["AP50"] > 0.1, found["AP50"]  # mirrored images are new to the network
    assert found == pytest.approx(plain, abs=1e-6)
