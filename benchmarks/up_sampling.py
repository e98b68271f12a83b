# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""CPU time of DLA's depthwise up-sampling beside transposed convolutions with a group a channel.

python -m benchmarks.up_sampling [--batch 1 8] [--factor 2 4 8] [--repeat 5] [--json FILE]
    [--torch_python PATH]

The layers are those of the necks of DLA-34 and ResNet-50-vd at 512×512 input that have a shape of
their own. MindSpore's nn.Conv2dTranspose and PyTorch's, where there is one, get the same input and
kernels; "off" is the largest difference of their outputs. Forward, and the sum of squares with its
gradients of input and kernels; on one thread, processor time of the fastest run, so that other work
on the machine does not count.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Layer(NamedTuple):
    """An up-sampling: network, channels, side of its input map, factor."""

    network: str
    channels: int
    side: int
    factor: int


LAYERS = (
    *(Layer("DLA-34", *layer) for layer in ((256, 16, 2), (128, 32, 2), (64, 64, 2), (64, 32, 4))),
    *(
        Layer("ResNet-50-vd", *layer)
        for layer in ((1024, 16, 2), (512, 32, 2), (256, 64, 2), (256, 32, 4), (256, 16, 8))
    ),
)
OURS, MINDSPORE, PYTORCH = "DepthwiseUpSampling", "nn.Conv2dTranspose", "PyTorch"


def inputs(layer: Layer, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Map (B,C,h,w) and kernels (C,1,2f,2f), seeded, float32."""
    random, kernel = np.random.default_rng(0), 2 * layer.factor
    shapes = (batch, layer.channels, layer.side, layer.side), (layer.channels, 1, kernel, kernel)
    image, kernels = (random.normal(size=shape).astype(np.float32) for shape in shapes)
    return image, kernels


def fastest(run: Callable[[], Any], repeat: int) -> float:
    """Processor seconds of the fastest run, after one that compiles."""
    run()
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return min(seconds)


def measure(layer: Layer, batch: int, repeat: int) -> tuple[dict[str, list[float]], np.ndarray]:
    """Seconds (forward, with gradients) of both of MindSpore's, and the output of the second."""
    import mindspore as ms
    from mindspore import Tensor, nn

    from src.models.layers import DepthwiseUpSampling

    class SumOfSquares(nn.Cell):
        def __init__(self, cell: nn.Cell) -> None:
            super().__init__()
            self.cell = cell

        def construct(self, x: Tensor) -> Tensor:
            return self.cell(x).square().sum()

    image, kernels = inputs(layer, batch)
    channels, factor = layer.channels, layer.factor
    cells = {
        OURS: DepthwiseUpSampling(channels, factor),
        MINDSPORE: nn.Conv2dTranspose(
            channels, channels, 2 * factor, factor, "pad", factor // 2, group=channels
        ),
    }
    found, outputs = {}, []
    for name, cell in cells.items():
        cell.weight.set_data(Tensor(kernels))
        gradients = ms.value_and_grad(SumOfSquares(cell), 0, [cell.weight])
        x = Tensor(image)
        found[name] = [
            fastest(lambda cell=cell, x=x: cell(x).asnumpy(), repeat),
            fastest(lambda f=gradients, x=x: f(x)[1][0].asnumpy(), repeat),
        ]
        outputs.append(cell(x).asnumpy())
    found["off"] = float(np.abs(outputs[0] - outputs[1]).max())
    return found, outputs[1]


def measure_pytorch(layer: Layer, batch: int, repeat: int) -> tuple[list[float], np.ndarray]:
    """Seconds (forward, with gradients) of PyTorch, and its output."""
    import torch

    torch.set_num_threads(1)
    x, kernels = (torch.from_numpy(array) for array in inputs(layer, batch))
    parameters = x.clone().requires_grad_(), kernels.clone().requires_grad_()

    def up(x: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        factor = layer.factor
        return torch.nn.functional.conv_transpose2d(
            x, kernels, stride=factor, padding=factor // 2, groups=layer.channels
        )

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return up(x, kernels)

    def with_gradients() -> None:
        torch.autograd.grad(up(*parameters).square().sum(), parameters)

    return [fastest(forward, repeat), fastest(with_gradients, repeat)], forward().numpy()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8], help="images")
    parser.add_argument("--factor", type=int, nargs="+", default=[2, 4, 8], help="some alone")
    parser.add_argument("--repeat", type=int, default=5, help="runs, of which the fastest counts")
    parser.add_argument(
        "--torch_python", default=sys.executable, help="Python interpreter that has PyTorch"
    )
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--pytorch", nargs=2, type=int, help=argparse.SUPPRESS)  # row, batch
    options = parser.parse_args(arguments)
    if options.pytorch:
        row, batch = options.pytorch
        seconds, output = measure_pytorch(LAYERS[row], batch, options.repeat)
        print(json.dumps({"seconds": seconds}))
        np.save(options.json, output)
        return

    from src.model_utils.config import load_config
    from src.model_utils.device_adapter import set_up_device

    os.environ["OMP_NUM_THREADS"] = "1"
    set_up_device(load_config("", ["--device_target", "CPU"]))
    check = [options.torch_python, "-c", "import torch"]
    has_torch = subprocess.run(check, capture_output=True, check=False).returncode == 0
    if not has_torch:
        print(f"PyTorch is left out: {options.torch_python} has none; --torch_python names one")
    rows = []
    print(f"ms, forward / with gradients; of: times {OURS}")
    for number, layer in enumerate(LAYERS):
        for batch in options.batch if layer.factor in options.factor else ():
            found, output = measure(layer, batch, options.repeat)
            if has_torch:
                with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
                    command = [options.torch_python, "-m", "benchmarks.up_sampling"]
                    command += ["--repeat", str(options.repeat), "--json", f"{folder}/output.npy"]
                    done = subprocess.run(
                        [*command, "--pytorch", str(number), str(batch)],
                        cwd=Path(__file__).resolve().parents[1],
                        stdout=subprocess.PIPE, text=True, check=True,
                    )  # fmt: skip
                    found[PYTORCH] = json.loads(done.stdout)["seconds"]
                    difference = np.abs(np.load(f"{folder}/output.npy") - output).max()
                    found["off"] = max(found["off"], float(difference))
            rows.append({**layer._asdict(), "batch": batch, **found})
            print(
                f"{layer.network:>12} {layer.channels:>4}x{layer.side}x{layer.side} "
                f"factor {layer.factor} batch {batch}: {described(found)}, off {found['off']:.1e}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps({"layers": rows}), encoding="utf-8")


def described(found: dict[str, Any]) -> str:
    """Times of each, and the others' as multiples of ours."""
    ours, parts = found[OURS], []
    for name in (OURS, MINDSPORE, PYTORCH):
        if name in found:
            forward, gradients = found[name]
            parts.append(f"{name} {forward * 1e3:.2f} / {gradients * 1e3:.2f}")
            if name != OURS:
                parts[-1] += f" (of {forward / ours[0]:.2f} / {gradients / ours[1]:.2f})"
    return ", ".join(parts)


if __name__ == "__main__":
    main()
