# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Images a second and latency of evaluation, whole and by stage, beside PyTorch's forward pass.

python -m benchmarks.inference [--config_path FILE] [--input 512] [--image_dir DIR] [--count 32]
    [--batch_size N] [--json FILE] [--torch_python PATH]
python -m benchmarks.inference --every_network [--config_path FILE] [--rounds 3] ...

Without --config_path the network is that of configs/original/resnet18.yaml; its weights are random,
which changes no time. Without --image_dir the images are noise of COCO's usual sizes. Measured are
keep-resolution, and fixed resolution in batches of 1 and 8: each stage alone, one after the other,
and then `Detector.detect` over all images, where they overlap. The first batch of each shape is run
before and not counted. PyTorch runs a ResNet without deformable layers (net_config.deformable none)
or an hourglass, from images to maps, and none of the other networks (DLA's deformable convolutions
would want torchvision); the fastest batch of each counts in the ratio.

--every_network measures single images in MindSpore, ONNX Runtime, the C++ application and PyTorch
instead, of each network of the house, or of --config_path alone: see `benchmarks.runtimes`.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.app import build_application
from benchmarks.common import (
    PROJECT,
    RESNET18,
    benchmark_config,
    count,
    in_new_process,
    read_images,
)  # fmt: skip
from benchmarks.runtimes import measure_networks
from benchmarks.train_step import pytorch_layouts, write_pytorch_inputs
from src.model_utils.config import load_config
from src.model_utils.device_adapter import set_up_device
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import make_writable, write_json

KEEP, FIXED = "keep resolution", "fixed resolution"
WAYS = [(KEEP, 1), (FIXED, 1), (FIXED, 8)]


def measure(
    config_path: str, side: int, images: list[bytes], way: str, batch_size: int
) -> dict[str, Any]:
    """Milliseconds an image of each stage and of all; see the fields of the result."""
    config = load_config(
        "",
        [
            *("--config_path", config_path, "--device_target", "CPU"),
            *("--eval_config.keep_res", str(way == KEEP)),
            *("--eval_config.batch_size", str(batch_size)),
            *("--dataset_config.input_res_test", f"[{side}, {side}]"),
        ],
    )
    set_up_device(config)

    from src.evaluation.models import create_detector
    from src.models.network import create_network

    detector = create_detector(config, create_network(config))
    first = {}  # of each shape; compiled, and in caches
    for prepared in map(detector.prepare, images):
        first.setdefault(prepared.inputs[0].shape, prepared)
    for prepared in first.values():
        detector.run([prepared])

    start = time.perf_counter()
    prepared = [detector.prepare(image) for image in images]
    prepare = time.perf_counter() - start
    groups = [prepared[i : i + batch_size] for i in range(0, len(images), batch_size)]
    detections, seconds = [], []
    for group in groups:
        start = time.perf_counter()
        detections.append(detector.run(group))
        seconds.append(time.perf_counter() - start)
    network = sum(seconds)
    start = time.perf_counter()
    for found, image in zip(itertools.chain(*detections), prepared, strict=True):
        detector.finish(found, image)
    finish = time.perf_counter() - start
    start = time.perf_counter()
    boxes = list(detector.detect(images))
    whole = time.perf_counter() - start
    if any(isinstance(found, UserError) for found in boxes):
        raise UserError(str(next(found for found in boxes if isinstance(found, UserError))))
    latencies = []
    for image in images[:8]:
        start = time.perf_counter()
        detector(image)
        latencies.append(time.perf_counter() - start)
    return {
        "way": way,
        "batch_size": batch_size,
        "shapes": len(first),
        "prepare_ms": prepare * 1e3 / len(images),
        "network_ms": network * 1e3 / len(images),
        "fastest_network_ms": min(seconds) * 1e3 / batch_size,
        "finish_ms": finish * 1e3 / len(images),
        "whole_ms": whole * 1e3 / len(images),
        "images_per_second": len(images) / whole,
        "whole_over_network": whole / network,
        "latency_ms": float(np.median(latencies)) * 1e3 if batch_size == 1 else None,
    }


def measure_pytorch(config_path: str, side: int, python: str, batch_size: int) -> float | None:
    """Milliseconds an image of PyTorch's forward pass, in its faster memory layout."""
    config = benchmark_config(config_path, batch_size, side)
    seconds = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        for layout in pytorch_layouts(config, python, trains=False):
            if not seconds:
                in_new_process(write_pytorch_inputs, config, 1, Path(name))
            done = subprocess.run(
                [python, "-m", "benchmarks.torch_centernet", name, "--layout", layout, "--forward"],
                cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            seconds.append(min(json.loads(done.stdout.splitlines()[-1])["forward_seconds"]))
    return min(seconds) * 1e3 / batch_size if seconds else None


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse_options(arguments)
    if options.json:
        make_writable(options.json.parent)  # before the minutes of measuring
    if options.every_network:
        build_application()
        numbers = measure_networks(options)
        if options.json:
            write_json(options.json, numbers)
        return
    options.config_path = options.config_path or str(RESNET18)
    images = read_images(options.image_dir, options.count)
    ways = []
    for way, batch_size in [(FIXED, options.batch_size)] if options.batch_size else WAYS:
        numbers = in_new_process(
            measure, options.config_path, options.input, images, way, batch_size
        )
        if way == FIXED:
            numbers["torch_forward_ms"] = torch_ms = measure_pytorch(
                options.config_path, options.input, options.torch_python, batch_size
            )
            numbers["network_over_torch"] = torch_ms and numbers["fastest_network_ms"] / torch_ms
        ways.append(numbers)
    print(f"{len(images)} images; ms an image; latency is the median of a single image")
    print(
        f"{'':>16} {'batch':>6}{'read, warp':>12}{'network':>9}{'boxes':>7}{'all':>9}"
        f"{'images/s':>10}{'all/network':>13}{'latency':>9}{'PyTorch':>9}{'of PyTorch':>12}"
    )
    for n in ways:
        latency, torch_ms = n["latency_ms"], n.get("torch_forward_ms")
        over_torch = n.get("network_over_torch")
        print(
            f"{n['way']:>16} {n['batch_size']:>6}{n['prepare_ms']:>12.1f}{n['network_ms']:>9.1f}"
            f"{n['finish_ms']:>7.1f}{n['whole_ms']:>9.1f}{n['images_per_second']:>10.2f}"
            f"{n['whole_over_network']:>13.2f}{latency or float('nan'):>9.1f}"
            f"{torch_ms or float('nan'):>9.1f}{over_torch or float('nan'):>12.2f}"
        )
    if options.json:
        write_json(options.json, {"images": len(images), "ways": ways})


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config_path", help="the model")
    parser.add_argument(
        "--every_network", action="store_true", help="one table of all networks and runtimes"
    )
    parser.add_argument("--rounds", type=count, default=3, help="turns of each runtime")
    parser.add_argument("--input", type=count, default=512, help="height and width if fixed")
    parser.add_argument("--image_dir", type=Path, help="folder of JPEG images")
    parser.add_argument(
        "--batch_size", type=count, help="fixed resolution in these batches alone; else all ways"
    )
    parser.add_argument("--count", type=count, default=32, help="images; a folder's come again")
    parser.add_argument(
        "--torch_python", default=sys.executable, help="Python interpreter that has PyTorch"
    )
    parser.add_argument("--json", type=Path, help="file for the numbers")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_program(main)
