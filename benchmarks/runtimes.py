# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""One image through a whole detector in each runtime, for `benchmarks.inference --every_network`.

MindSpore, ONNX Runtime and the C++ application (MindSpore Lite) go from an uint8 image to its
detections, the application from the file of one to that of the other; PyTorch goes from a float
image to maps. Batch 1, weights by chance. Each runtime has a process of its own, all have the same
cores, and they take turns, so that whatever else the machine does falls on all of them.
"""

import argparse
import json
import math
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.app import export_model, linked, run_application
from benchmarks.common import PROJECT, benchmark_config, in_new_process
from benchmarks.train_step import pytorch_layouts, write_pytorch_inputs
from src.model_utils.config import DEFAULT_CONFIG_PATH, load_config
from src.model_utils.device_adapter import set_up_device

# A configuration of each network and task, below configs/.
NETWORKS = {
    "ResNet-18, deformable": "original/resnet18.yaml",
    "ResNet-101": "modelzoo/resnet101_plain.yaml",
    "ResNet-101, deformable": "original/resnet101.yaml",
    "DLA-34, deformable": "original/dla34_1x.yaml",
    "Hourglass-104": "original/hourglass104.yaml",
    "ResNet-50-v1-FPN": "tensorflow/resnet50_v1_fpn.yaml",
    "ResNet-50-v2": "tensorflow/resnet50_v2.yaml",
    "MobileNetV2-FPN": "tensorflow/mobilenet_v2_fpn.yaml",
    "MobileNetV2": "mobilenet_v2/plain.yaml",
    "ResNet-50-vd, deformable": "paddle/centernet_r50_140e.yaml",
    "MobileNetV1": "paddle/mobilenet_v1_140e.yaml",
    "MobileNetV3, large": "paddle/mobilenet_v3_large_140e.yaml",
    "MobileNetV3, small": "paddle/mobilenet_v3_small_140e.yaml",
    "ShuffleNetV2": "paddle/shufflenet_v2_140e.yaml",
    "DLA-34, poses": "original/multi_pose_dla34.yaml",
    "CornerNet": "cornernet/hourglass104_8x6.yaml",
}
RUNTIMES = {
    "mindspore": "MindSpore", "onnxruntime": "ONNX Runtime", "app": "application",
    "pytorch": "PyTorch, maps",
}  # fmt: skip
RATIOS = [("onnxruntime", "mindspore"), ("onnxruntime", "pytorch"), ("app", "pytorch")]


def measure_network(options: argparse.Namespace, config_path: Path) -> dict[str, Any]:
    """Milliseconds of each runtime, medians over all rounds, None where one is left out."""
    config = load_config("", ["--config_path", str(config_path), "--device_target", "CPU"])
    side = options.input - 1 if config.task_facts.stretched else options.input
    seconds: dict[str, list[float]] = {name: [] for name in RUNTIMES}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        mindir, onnx_file, weights = (folder / f"model.{n}" for n in ("mindir", "onnx", "pytorch"))
        for path in (mindir, onnx_file):
            in_new_process(export_model, str(config_path), side, 1, path, math.inf)
        image = folder / "image.bin"
        images_of(side).tofile(image)
        inputs = linked([image], options.count, folder / "inputs")
        for number in range(options.rounds):
            seconds["mindspore"] += in_new_process(
                measure_mindspore, str(config_path), side, options.count
            )
            seconds["onnxruntime"] += in_new_process(
                measure_onnxruntime, onnx_file, side, options.count
            )
            run_application(options, mindir, inputs, folder / "app")
            times = json.loads((folder / "app" / "times.json").read_text(encoding="utf-8"))
            seconds["app"].append(1 / times["images_per_second"])
            if number == 0:
                torch_config = benchmark_config(str(config_path), 1, side)
                has_torch = config.task == "boxes" and bool(
                    pytorch_layouts(torch_config, options.torch_python, trains=False)
                )
                if has_torch:
                    weights.mkdir()
                    in_new_process(write_pytorch_inputs, torch_config, 1, weights)
            if has_torch:
                seconds["pytorch"] += measure_pytorch(options.torch_python, weights)
    ms = {name: float(np.median(each)) * 1e3 if each else None for name, each in seconds.items()}
    ratios = {f"{a}_over_{b}": ms[a] / ms[b] if ms[b] else None for a, b in RATIOS}
    return {"input": side, **{f"{name}_ms": each for name, each in ms.items()}, **ratios}


def images_of(side: int) -> np.ndarray:
    """An image of noise, uint8 (1,3,side,side)."""
    return np.random.default_rng(0).integers(0, 256, (1, 3, side, side), np.uint8)


def measure_mindspore(config_path: str, side: int, count: int) -> list[float]:
    """Seconds of `count` images, after a first."""
    config = load_config("", ["--config_path", config_path, "--device_target", "CPU"])
    set_up_device(config)

    from src.data.augment import colour_statistics, normalisation
    from src.models.network import create_network, with_decode
    from src.models.on_arrays import OnArrays

    colour = normalisation(colour_statistics(config.dataset_config))
    return seconds_of(OnArrays(with_decode(create_network(config), config, colour)), side, count)


def measure_onnxruntime(path: Path, side: int, count: int) -> list[float]:
    """As `measure_mindspore`, of a file of `export_model`."""
    from src.deploy.onnx_session import read_onnx, start

    return seconds_of(start(read_onnx(path), "CPU"), side, count)


def seconds_of(model: Any, side: int, count: int) -> list[float]:
    images = images_of(side)
    model(images)
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        model(images)
        seconds.append(time.perf_counter() - start)
    return seconds


def measure_pytorch(python: str, folder: Path) -> list[float]:
    """Seconds of some forward passes in channels_last, after a first."""
    command = [python, "-m", "benchmarks.torch_centernet", str(folder), "--forward"]
    done = subprocess.run(
        [*command, "--layout", "channels_last"],
        cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])["forward_seconds"]


def measure_networks(options: argparse.Namespace) -> dict[str, Any]:
    """`measure_network` of each of `NETWORKS` that is asked for, with a table.

    Args:
        options: of `benchmarks.inference`; config_path instead of all of `NETWORKS` if it is given.
    """
    cores = len(os.sched_getaffinity(0))
    options.threads, options.input_format = cores, "bin"  # as `run_application` reads them
    folder = DEFAULT_CONFIG_PATH.parent / "configs"
    chosen = {name: folder / path for name, path in NETWORKS.items()}
    if options.config_path:
        chosen = {Path(options.config_path).stem: Path(options.config_path)}
    print(
        f"ms an image of {options.input}x{options.input}, batch 1, {cores} thread(s); "
        f"medians of {options.rounds} rounds of {options.count} images"
    )
    titles = [*RUNTIMES.values(), *(f"{a} / {b}" for a, b in (("ONNX", "MindSpore"),
        ("ONNX", "PyTorch"), ("app", "PyTorch")))]  # fmt: skip
    print(f"{'':>26}" + "".join(f"{title:>17}" for title in titles))
    found = {}
    for name, path in chosen.items():
        numbers = found[name] = measure_network(options, path)
        cells = [f"{numbers[f'{runtime}_ms'] or math.nan:>17.1f}" for runtime in RUNTIMES]
        cells += [f"{numbers[f'{a}_over_{b}'] or math.nan:>17.2f}" for a, b in RATIOS]
        print(f"{name:>26}" + "".join(cells), flush=True)
    return {"threads": cores, "rounds": options.rounds, "count": options.count, "networks": found}
