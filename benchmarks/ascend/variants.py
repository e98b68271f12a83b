# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The graphs of training, evaluation and export, compiled and run once on a simulated Ascend.

    python -m benchmarks.ascend.variants VARIANT[,VARIANT...] [--section.key value ...]

does it in the environment of `dry_run`.
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.train_step import create_step, random_batch
from src.data.augment import colour_statistics, normalisation
from src.model_utils.config import load_config
from src.model_utils.device_adapter import Device, set_up_device
from src.model_utils.parameters import Config

# Of each network as little as there can be, with every kind of layer that the configured ones have.
_SIZES = (
    *("--dataset_config.input_res_train", "[128, 128]", "--dataset_config.output_res", "[32, 32]"),
    *("--dataset_config.input_res_test", "[128, 128]", "--eval_config.pad", "31"),
    *("--train_config.batch_size", "2", "--eval_config.batch_size", "2"),
    *("--net_config.head_conv", "32"),
)
_LIKE_TENSORFLOW = (
    *("--net_config.cut_gaussians", "false", "--net_config.divide_by", "objects"),
    *("--net_config.clip_boxes", "true"),
)
# Three points, two of them a pair, of one of the classes or of all.
_POINTS = (
    "--task pose --net_config.pose.keypoints [left_hand,right_hand,head] "
    "--net_config.pose.skeleton [[1,3]] --net_config.pose.sigmas [0.1,0.1,0.1]"
)
_POINTS_LIKE_TENSORFLOW = (
    f"{_POINTS} --net_config.pose.classes [person] --net_config.dense_hp false "
    "--net_config.pose.peak_radius 1 --net_config.pose.offset_per_point true "
    "--net_config.pose.gaussian_scales [0.5,0.5,1] --net_config.pose.mask_unlabelled true "
    "--net_config.pose.box_scale 1.2 --net_config.cut_gaussians false "
    "--net_config.divide_by objects --net_config.clip_boxes true"
)
_STAGES = ("--net_config.block_class", "[1, 1]", "--net_config.stage_channels", "[32, 64]")
SMALL = {
    "resnet": (
        *("--net_config.block", "basic", *_STAGES, "--net_config.up_channels", "[32]"),
        *_SIZES,
    ),
    "mobilenet_v2": (
        *("--net_config.network", "mobilenet_v2", "--net_config.width_multiplier", "0.1"),
        *("--net_config.deformable", "none", *_SIZES),
    ),
    "mobilenet_v2_fpn": (
        *("--net_config.network", "mobilenet_v2_fpn", "--net_config.width_multiplier", "0.1"),
        *("--net_config.separable_heads", "true", *_SIZES, *_LIKE_TENSORFLOW),
    ),
    "resnet_v1_fpn": (
        *("--net_config.network", "resnet_v1_fpn", *_STAGES, "--net_config.up_channels", "[32]"),
        *(*_SIZES, *_LIKE_TENSORFLOW),
    ),
    "resnet_v2": (
        *("--net_config.network", "resnet_v2", *_STAGES, "--net_config.up_channels", "[32]"),
        *(*_SIZES, *_LIKE_TENSORFLOW),
    ),
    "hourglass": (
        *("--net_config.network", "hourglass", "--net_config.stem_channels", "16"),
        *("--net_config.dims", "[32, 48]", "--net_config.blocks", "[2, 1]"),
        *(*_SIZES, *_LIKE_TENSORFLOW),
    ),
    "dla": (
        *("--net_config.network", "dla", "--net_config.level_depths", "[1, 1, 1, 2, 1]"),
        *("--net_config.level_channels", "[16, 16, 32, 32, 48]", *_SIZES),
    ),
    "resnet_vd": (
        *("--net_config.network", "resnet_vd", "--net_config.block_class", "[1, 1, 1, 1]"),
        *("--net_config.stage_channels", "[16, 16, 32, 32]", *_SIZES),
    ),
    "mobilenet_v1": (
        *("--net_config.network", "mobilenet_v1", "--net_config.width_multiplier", "0.1", *_SIZES),
    ),
    "mobilenet_v3": (
        *("--net_config.network", "mobilenet_v3", "--net_config.variant", "small"),
        *("--net_config.width_multiplier", "0.1", *_SIZES),
    ),
    "shufflenet_v2": (
        *("--net_config.network", "shufflenet_v2", "--net_config.stage_units", "[1, 2, 1]"),
        *("--net_config.stage_channels", "[16, 32, 48]", *_SIZES),
    ),
}


@dataclass(frozen=True)
class Variant:
    """A graph: `kind` is train, evaluate or export, `options` are of the configuration.

    environment: what a launcher sets.
    network: of `SMALL`, or "" for the one that is asked for.
    """

    kind: str
    options: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    network: str = ""


_RANKS = {"RANK_SIZE": "8", "RANK_ID": "0", "DEVICE_ID": "0"}
VARIANTS = {
    **{
        f"train_{form}_{level}": Variant(
            "train", f"--net_config.deformable {form} --train_config.amp_level {level}"
        )
        for form in ("gather", "grid_sample", "operator")
        for level in ("O0", "O2")
    },
    "train_O0": Variant("train", "--train_config.amp_level O0"),
    "train_O2": Variant("train", "--train_config.amp_level O2"),
    "train_dynamic": Variant(
        "train",
        "--train_config.loss_scale dynamic --train_config.accumulate_steps 2 "
        "--train_config.clip_norm 1.0 --train_config.ema_decay 0.99 "
        "--train_config.ema_kind threshold",
    ),
    "train_unscaled": Variant("train", "--enable_lossscale false"),
    "train_8_ranks": Variant("train", "--distribute true --train_config.sync_norm true", _RANKS),
    "train_losses": Variant(
        "train",
        "--net_config.mse_loss true --net_config.dense_wh true --net_config.reg_loss sl1 "
        "--net_config.divide_by cells",
    ),
    "train_losses_by_class": Variant(
        "train", "--net_config.cat_spec_wh true --net_config.reg_norm coordinate"
    ),
    "evaluate_fixed": Variant("evaluate", "--eval_config.keep_res false"),
    "evaluate_keep_res": Variant("evaluate", "--eval_config.keep_res true"),
    "evaluate_flip": Variant("evaluate", "--eval_config.flip_test true"),
    "export_uint8": Variant("export", "--export_config.input_dtype uint8"),
    "export_float32": Variant("export", "--export_config.input_dtype float32"),
    **{
        name: Variant(kind, options, network="resnet")
        for name, kind, options in (
            ("train_pose", "train", f"{_POINTS} --net_config.pose.boxes_without_points false"),
            ("train_pose_like_tensorflow", "train", _POINTS_LIKE_TENSORFLOW),
            ("evaluate_pose_flip", "evaluate", f"{_POINTS} --eval_config.flip_test true"),
            ("export_pose", "export", _POINTS_LIKE_TENSORFLOW),
        )
    },
    **{
        name: Variant(kind, f"--task corners {options}", network="hourglass")
        for name, kind, options in (
            ("train_corners", "train", ""),
            ("evaluate_corners_flip", "evaluate", "--eval_config.flip_test true"),
            ("export_corners", "export", ""),
        )
    },
    **{
        f"{kind}_{network}": Variant(kind, network=network)
        for network in SMALL
        for kind in ("train", "evaluate", "export")
        if network != "resnet"
    },
}


def arguments_of(name: str, parameters: Sequence[str]) -> list[str]:
    """The command line of a variant: its options, and `parameters` over them.

    The network is a small one if `parameters` name no --config_path.
    """
    variant = VARIANTS[name]
    small = () if "--config_path" in parameters else SMALL[variant.network or "resnet"]
    return ["--device_target", "Ascend", *variant.options.split(), *small, *parameters]


def run(names: Sequence[str], parameters: Sequence[str]) -> None:
    """Compiles variants, which start from one environment, and runs each once."""
    device = None
    for name in names:
        config = load_config("", arguments_of(name, parameters))
        device = device or set_up_device(config, may_distribute=True)
        graphs = {"train": _train, "evaluate": _evaluate, "export": _export}
        graphs[VARIANTS[name].kind](config, device)


def _train(config: Config, device: Device) -> None:
    from mindspore import Tensor

    step = create_step(config, device, steps=10 * config.train_config.accumulate_steps)
    step(*(Tensor(array) for array in random_batch(config, config.train_config.batch_size)))


def _evaluate(config: Config, device: Device) -> None:
    from src.evaluation.models import create_detector
    from src.models.network import create_network

    network = create_network(config)
    image = np.zeros((61, 93, 3), np.uint8)
    list(create_detector(config, network).detect([image]))


def _export(config: Config, device: Device) -> None:
    from src.deploy.mindir import write_mindir
    from src.models.network import create_network, with_decode

    dataset, options = config.dataset_config, config.export_config
    network = create_network(config, options.deformable)
    colour = normalisation(colour_statistics(dataset)) if options.input_dtype == "uint8" else None
    model = with_decode(network, config, colour)
    shape = (options.batch_size, 3, *dataset.input_res_test)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.mindir")
        write_mindir(
            model,
            shape,
            options.input_dtype,
            path,
            version=config.mindir_version,
            tolerance=1.0,
        )


if __name__ == "__main__":
    run(sys.argv[1].split(","), sys.argv[2:])
