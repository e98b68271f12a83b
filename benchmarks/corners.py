# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Time and memory of what CornerNet has of its own: corner pooling, and the decode of pairs.

python -m benchmarks.corners [--side 511] [--classes 80] [--repeat 20] [--json FILE]

Pooling of 128 channels, forward and with its gradient, beside a plain running maximum: NumPy's, and
MindSpore's cummax, which has no gradient on a CPU. The decode of pairs beside that of boxes, and
beside what would be left of it in the graph if pairs were made behind it, each in a process of its
own.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import count, in_new_process
from benchmarks.train_step import MB, peak_memory
from src.model_utils.config import load_config
from src.model_utils.device_adapter import set_up_device
from src.model_utils.errors import run_program
from src.model_utils.files import make_writable, write_json
from src.model_utils.parameters import Config

CHANNELS = 128  # that are pooled


def median_ms(function: Callable[[], Any], repeat: int) -> float:
    def run() -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    run()  # compiles
    return 1000 * statistics.median(run() for _ in range(repeat))


def configured(side: int, classes: int) -> Config:
    names = "[" + ", ".join(f"class {i}" for i in range(classes)) + "]"
    return load_config(
        "",
        [
            *("--device_target", "CPU", "--net_config.network", "hourglass"),
            *("--dataset_config.input_res_train", f"[{side}, {side}]"),
            *("--dataset_config.input_res_test", f"[{side}, {side}]"),
            *("--dataset_config.coco_classes", names),
        ],
    )


def measure_pooling(side: int, repeat: int) -> dict[str, float]:
    """Milliseconds of one direction."""
    config = configured(side, 1)
    set_up_device(config)

    import mindspore as ms
    from mindspore import nn, ops

    from src.models.corner_pooling import CornerPool

    class Plain(nn.Cell):
        def construct(self, x: ms.Tensor) -> ms.Tensor:
            return ops.flip(ops.cummax(ops.flip(x, (2,)), 2)[0], (2,))

    size = config.dataset_config.output_res
    values = np.random.default_rng(0).normal(size=(1, CHANNELS, *size)).astype(np.float32)
    image, found = ms.Tensor(values), {}
    found["NumPy's running maximum"] = median_ms(
        lambda: np.maximum.accumulate(values[:, :, ::-1], 2), repeat
    )
    for name, cell in (("cummax", Plain()), ("CornerPool", CornerPool("top"))):
        found[name] = median_ms(lambda cell=cell: cell(image).asnumpy(), repeat)
    gradient = ms.grad(CornerPool("top"))
    found["CornerPool, with its gradient"] = median_ms(lambda: gradient(image).asnumpy(), repeat)
    return found


def measure_decode(kind: str, side: int, classes: int, repeat: int) -> dict[str, float]:
    """Milliseconds, and MB above what the maps take, of the decode of an image.

    Args:
        kind: "boxes", "pairs", or "corners": the best of both kinds, without pairs.
        side, classes, repeat: as the options.
    """
    config = configured(side, classes)
    set_up_device(config)

    import mindspore as ms
    from mindspore import nn

    from src.models.tasks import boxes, corners

    class Corners(corners.Decode):
        """The graph's part, if pairs were made by post-processing."""

        def construct(self, *maps: ms.Tensor) -> tuple[ms.Tensor, ms.Tensor]:
            return self._corners(*maps[::2]), self._corners(*maps[1::2])

    net, k = config.net_config, config.eval_config.K
    cells: dict[str, nn.Cell] = {
        "boxes": boxes.Decode(net, classes, k),
        "pairs": corners.Decode(net, classes, net.corners.pairs),
        "corners": Corners(net, classes, net.corners.pairs),
    }
    task = boxes if kind == "boxes" else corners
    random, size = np.random.default_rng(0), config.dataset_config.output_res
    maps = [
        ms.Tensor(random.normal(size=(1, head.channels, *size)).astype(np.float32))
        for head in task.heads(net, classes)
    ]
    before = peak_memory()
    decode = cells[kind]

    def run() -> None:
        found = decode(*maps)
        for part in found if isinstance(found, tuple) else (found,):
            part.asnumpy()

    return {"ms": median_ms(run, repeat), "mb": (peak_memory() - before) / MB}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=count, default=511, help="pixels of the input")
    parser.add_argument("--classes", type=count, default=80)
    parser.add_argument("--repeat", type=count, default=20, help="runs, of which the median counts")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    if options.json:
        make_writable(options.json.parent)
    pooling = in_new_process(measure_pooling, options.side, options.repeat)
    decode = {
        kind: in_new_process(measure_decode, kind, options.side, options.classes, options.repeat)
        for kind in ("boxes", "corners", "pairs")
    }
    print(f"| pooling of {CHANNELS} channels | ms |\n| --- | --- |")
    for name, milliseconds in pooling.items():
        print(f"| {name} | {milliseconds:.1f} |")
    print("\n| decode of | ms | MB |\n| --- | --- | --- |")
    for name, found in decode.items():
        print(f"| {name} | {found['ms']:.1f} | {found['mb']:.0f} |")
    if options.json:
        write_json(options.json, {"pooling_ms": pooling, "decode": decode})


if __name__ == "__main__":
    run_program(main)
