# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What the benchmarks share."""

import argparse
import itertools
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from src.model_utils.config import DEFAULT_CONFIG_PATH, load_config
from src.model_utils.errors import UserError
from src.model_utils.parameters import Config

PROJECT = Path(__file__).resolve().parents[1]
RESNET18 = DEFAULT_CONFIG_PATH.parent / "configs" / "resnet18.yaml"
PLAIN_RESNET101 = DEFAULT_CONFIG_PATH.parent / "configs" / "resnet101_plain.yaml"

SIZES = [(480, 640), (427, 640), (640, 480), (375, 500), (640, 640)]  # of noise; height, width


def benchmark_config(config_path: str, batch_size: int, side: int) -> Config:
    """The configuration of a file for square images of `side` pixels, on a CPU."""
    arguments = ["--config_path", config_path, "--device_target", "CPU"]
    ratio = load_config("", arguments).net_config.down_ratio
    return load_config(
        "",
        [
            *(*arguments, "--train_config.batch_size", str(batch_size)),
            *("--dataset_config.input_res_train", f"[{side}, {side}]"),
            *("--dataset_config.output_res", f"[{side // ratio}, {side // ratio}]"),
        ],
    )


def count(text: str) -> int:
    """A whole number from 1, as argparse's `type`."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return int(text)


def in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def read_images(folder: Path | None, wanted: int) -> list[bytes]:
    """Encoded images: those of the folder, or noise.

    Raises:
        UserError: the folder has none.
    """
    if folder is None:
        random = np.random.default_rng(1)
        noise = (random.integers(0, 256, (*size, 3), np.uint8) for size in SIZES)
        files = [cv2.imencode(".jpg", image)[1].tobytes() for image in noise]
    else:
        files = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    if not files:
        raise UserError(f"{folder}: has no .jpg; give a folder of images by --image_dir.")
    return list(itertools.islice(itertools.cycle(files), wanted))
