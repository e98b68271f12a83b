# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Time and memory of a training step, beside PyTorch; compile time without and with graph cache.

python -m benchmarks.train_step [--config_path FILE] [--torch_python PATH] [--json FILE]

Without --config_path the network is that of configs/modelzoo/resnet101_plain.yaml. The step is the
training's (src.training.step), with a random batch of the loader's shapes; PyTorch trains the same
network from the same weights on the same batch (benchmarks.torch_centernet), in its default layout
and in channels_last, of which the faster counts. Every measurement is a new process, and they take
turns for some rounds. The fastest step of all rounds counts, since other work on the machine only
slows one down.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.common import (
    PLAIN_RESNET101,
    PROJECT,
    benchmark_config,
    count,
    in_new_process,
)
from src.data.augment import colour_statistics, normalisation
from src.data.objects import object_tables
from src.model_utils.device_adapter import Device, set_up_device
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import make_writable, write_json
from src.model_utils.parameters import Config

if TYPE_CHECKING:
    from src.training.step import TrainStep

OBJECTS_PER_IMAGE = 7  # COCO's mean
MB = 1e6


@dataclass(frozen=True)
class Measurement:
    """One process that trains.

    compile_seconds: of the first step, less the fastest of the others: what a user waits for. It
        holds the compilation and the first touch of all memory.
    step_seconds: of each further step, until its loss is in Python.
    peak_rss_mb: the largest resident size of the process.
    losses: of all steps.
    """

    compile_seconds: float
    step_seconds: list[float]
    peak_rss_mb: float
    losses: list[float]


# --- what is measured; MindSpore is imported late, as set_up_device has to come before it -------


def random_batch(config: Config, images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, colour and objects as the loader makes them, seeded: noise, any boxes and points."""
    random, dataset = np.random.default_rng(config.seed), config.dataset_config
    image = random.integers(0, 256, (images, *dataset.input_res_train, 3), np.uint8)
    colour = np.tile(normalisation(colour_statistics(dataset)), (images, 1, 1))
    count = images * OBJECTS_PER_IMAGE
    height, width = dataset.output_res
    corners = random.uniform(0, [width, height], (2, count, 2))
    boxes = np.concatenate([corners.min(axis=0), corners.max(axis=0)], axis=1)
    points = random.uniform(0, [width, height, 1.5], (count, config.task_facts.points, 3)).round()
    objects = object_tables(
        boxes.astype(np.float32), random.integers(0, dataset.num_classes, count),
        np.repeat(np.arange(images), OBJECTS_PER_IMAGE),
        images=images, grid_size=(height, width), max_objs=dataset.max_objs,
        task=config.task_facts, points=points,
    )  # fmt: skip
    return image, colour, objects


def create_step(config: Config, device: Device, steps: int) -> "TrainStep":
    """The configured training step of `steps` steps, as train.py builds it."""
    import mindspore as ms

    from src.models.network import create_network, with_loss
    from src.training.mixed_precision import set_precision
    from src.training.optimizer import create_optimizer, fix_parameters, learning_rates
    from src.training.step import TrainStep, step_options
    from src.training.sync_norm import synchronise

    ms.set_seed(config.seed)
    network = create_network(config)
    set_precision(network, config.train_config.amp_level, device.target)
    if config.train_config.sync_norm and device.rank_size > 1:
        synchronise(network, device.rank_size)
    fix_parameters(network, config.train_config.fixed_parameters, is_first=False)
    loss = with_loss(network, config)
    rates = learning_rates(config.train_config, steps, steps, device.rank_size)
    optimizer = create_optimizer(config.train_config, loss, rates)
    return TrainStep(loss, optimizer, step_options(config), device.rank_size).set_train()


def measure_step(config: Config, steps: int, cache_dir: str) -> Measurement:
    """Trains for `steps` steps after the first, with the graph cache in `cache_dir` if given."""
    if cache_dir:
        os.environ |= {"MS_COMPILER_CACHE_ENABLE": "1", "MS_COMPILER_CACHE_PATH": cache_dir}
    device = set_up_device(config)

    from mindspore import Tensor

    step = create_step(config, device, steps + 1)
    batch = [Tensor(array) for array in random_batch(config, config.train_config.batch_size)]
    seconds, losses = [], []
    for _ in range(steps + 1):
        start = time.perf_counter()
        losses.append(step(*batch)[0].asnumpy()[0].item())  # waits
        seconds.append(time.perf_counter() - start)
    compiling = seconds[0] - min(seconds[1:])
    return Measurement(compiling, seconds[1:], peak_memory() / MB, losses)


def peak_memory() -> float:
    """The largest resident size of this process so far in bytes."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


# --- PyTorch, in another interpreter if need be -------------------------------------------------


def pytorch_layouts(config: Config, python: str, trains: bool = True) -> list[str]:
    """The memory layouts to measure PyTorch in: none, and why, if it cannot be compared."""
    net, recipe = config.net_config, config.train_config
    if net.network not in ("resnet", "hourglass"):
        print(f"PyTorch is left out: benchmarks.torch_centernet has no {net.network}")
        return []
    plain = {"deformable": "none", "separable_heads": False}
    plain |= {"cat_spec_wh": False, "reg_offset": True}
    plain_steps = {}
    if trains:
        plain |= {"dense_wh": False, "mse_loss": False, "reg_loss": "l1", "reg_norm": "object"}
        plain |= {"divide_by": "cells", "cut_gaussians": True}
        plain_steps = {"accumulate_steps": 1, "clip_norm": 0.0, "ema_decay": 0.0, "amp_level": "O0"}
    others = [
        name
        for section, wanted in ((net, plain), (recipe, plain_steps))
        for name, value in wanted.items()
        if getattr(section, name, value) != value
    ]
    if others:
        print(f"PyTorch is left out: benchmarks.torch_centernet has no other {', '.join(others)}")
        return []
    try:
        found = subprocess.run(
            [python, "-c", "import torch"], capture_output=True, check=False
        ).returncode
    except OSError:
        raise UserError(f"--torch_python {python}: cannot be started; give a Python.") from None
    if found != 0:
        print(f"PyTorch is left out: {python} has none; --torch_python names one that has")
        return []
    return ["contiguous", "channels_last"]


def write_pytorch_inputs(config: Config, steps: int, folder: Path) -> None:
    """Weights, batch and settings of the step for `benchmarks.torch_centernet`."""
    device = set_up_device(config)

    from src.training.optimizer import learning_rates

    last_names = {"gamma": "weight", "beta": "bias"}
    last_names |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    network = create_step(config, device, steps + 1).network.network
    weights = {}
    for name, parameter in network.parameters_and_names():
        *cells, last = name.split(".")
        weights[".".join([*cells, last_names.get(last, last)])] = parameter.asnumpy()
    np.savez(folder / "weights.npz", **weights)
    image, colour, objects = random_batch(config, config.train_config.batch_size)
    np.savez(folder / "batch.npz", image=image, colour=colour, objects=objects)
    net, recipe = config.net_config, config.train_config
    settings = net.model_dump() | {"num_classes": config.dataset_config.num_classes}
    settings["eps"] = getattr(recipe, recipe.lr_schedule).eps
    settings["rates"] = learning_rates(recipe, steps + 1, steps + 1).tolist()
    (folder / "network.json").write_text(json.dumps(settings), encoding="utf-8")


def measure_pytorch(python: str, folder: Path, layout: str) -> Measurement:
    done = subprocess.run(
        [python, "-m", "benchmarks.torch_centernet", str(folder), "--layout", layout],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Measurement(**json.loads(done.stdout.splitlines()[-1]))


# --- the program -------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse_options(arguments)
    if options.json:
        make_writable(options.json.parent)  # before the minutes of measuring
    cores = bind_to_cores(options.threads)
    config = benchmark_config(options.config_path, options.batch_size, options.input)
    layouts = pytorch_layouts(config, options.torch_python)
    runs: dict[str, list[Measurement]] = {name: [] for name in ("mindspore", *layouts)}
    starts: list[tuple[Measurement, Measurement]] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        if layouts:
            in_new_process(write_pytorch_inputs, config, options.steps, folder)
        for number in range(options.rounds):
            runs["mindspore"].append(in_new_process(measure_step, config, options.steps, ""))
            for layout in layouts:
                runs[layout].append(measure_pytorch(options.torch_python, folder, layout))
            cache = folder / f"graphs-{number}"
            first, second = (in_new_process(measure_step, config, 1, str(cache)) for _ in range(2))
            starts.append((first, second))
    check_losses(runs)
    numbers = numbers_of(config, runs, starts) | {
        "threads": cores, "rounds": options.rounds, "steps": options.steps,
    }  # fmt: skip
    print_table(numbers)
    if options.json:
        write_json(options.json, numbers)


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config_path", default=str(PLAIN_RESNET101), help="the model")
    parser.add_argument("--batch_size", type=count, default=2, help="images of a step")
    parser.add_argument("--input", type=count, default=512, help="height and width of an image")
    parser.add_argument("--steps", type=count, default=5, help="measured in a process")
    parser.add_argument("--rounds", type=count, default=3, help="processes of each kind")
    parser.add_argument("--threads", type=int, default=0, help="cores of a process; 0: all")
    parser.add_argument(
        "--torch_python", default=sys.executable, help="Python interpreter that has PyTorch"
    )
    parser.add_argument("--json", type=Path, help="file for the numbers")
    return parser.parse_args(arguments)


def bind_to_cores(threads: int) -> int:
    """Leaves this process and those it starts so many cores, a thread each; 0 leaves them all.

    Raises:
        UserError: there are not so many.
    """
    cores = sorted(os.sched_getaffinity(0))
    if not 0 <= threads <= len(cores):
        raise UserError(f"--threads {threads}: this process has {len(cores)} core(s); lower it.")
    os.sched_setaffinity(0, cores[: threads or len(cores)])
    return threads or len(cores)


def check_losses(runs: dict[str, list[Measurement]]) -> None:
    """Shows that all trained the same network on the same batch.

    Raises:
        UserError: they did not.
    """
    for name, each in runs.items():
        expected, found = runs["mindspore"][0].losses, each[0].losses
        if not np.allclose(found, expected, rtol=1e-3):
            raise UserError(f"losses of {name}, {found}, are not MindSpore's, {expected}.")


def numbers_of(
    config: Config,
    runs: dict[str, list[Measurement]],
    starts: list[tuple[Measurement, Measurement]],
) -> dict[str, Any]:
    """The results: seconds, MB, and ratios of MindSpore over PyTorch and second over first start.

    The first start is the one without a graph cache; writing the cache makes it longer.
    """
    seconds = {name: min(min(run.step_seconds) for run in each) for name, each in runs.items()}
    pytorch = [name for name in runs if name != "mindspore"]
    layout = min(pytorch, key=lambda name: seconds[name]) if pytorch else None
    compiling = min(run.compile_seconds for run in runs["mindspore"])
    second = min(run.compile_seconds for _, run in starts)
    peak_rss = max(run.peak_rss_mb for run in runs["mindspore"])
    return {
        "step_seconds": seconds["mindspore"],
        "torch_step_seconds": seconds[layout] if layout else None,
        "step_over_torch": seconds["mindspore"] / seconds[layout] if layout else None,
        "torch_layout": layout,
        "compile_seconds": compiling,
        "cache_writing_compile_seconds": min(run.compile_seconds for run, _ in starts),
        "second_compile_seconds": second,
        "second_over_first_compile": second / compiling,
        "peak_rss_mb": peak_rss,
        "torch_peak_rss_mb": max(run.peak_rss_mb for run in runs[layout]) if layout else None,
        "losses": runs["mindspore"][0].losses,
        "cached_losses": starts[0][1].losses,
        "torch_losses": runs[layout][0].losses if layout else None,
        "batch_size": config.train_config.batch_size,
        "input": config.dataset_config.input_res_train,
        "cores": os.cpu_count(),
        "step_seconds_of_each_round": {
            name: [run.step_seconds for run in each] for name, each in runs.items()
        },
        "compile_seconds_of_each_round": {
            "no_cache": [run.compile_seconds for run in runs["mindspore"]],
            "cache_written": [run.compile_seconds for run, _ in starts],
            "cache_read": [run.compile_seconds for _, run in starts],
        },
    }


def print_table(numbers: dict[str, Any]) -> None:
    print(
        f"batch {numbers['batch_size']}, input {numbers['input']}, {numbers['threads']} threads; "
        f"fastest of {numbers['rounds']} rounds of {numbers['steps']} steps"
    )
    print(f"{'':>24} {'s a step':>10} {'peak MB':>9}")
    print(f"{'MindSpore':>24} {numbers['step_seconds']:>10.3f} {numbers['peak_rss_mb']:>9.0f}")
    if numbers["torch_layout"]:
        name = f"PyTorch, {numbers['torch_layout']}"
        print(
            f"{name:>24} {numbers['torch_step_seconds']:>10.3f} "
            f"{numbers['torch_peak_rss_mb']:>9.0f}"
        )
        print(f"MindSpore / PyTorch: {numbers['step_over_torch']:.2f}")
    print(
        f"compilation: {numbers['compile_seconds']:.1f} s; "
        f"{numbers['cache_writing_compile_seconds']:.1f} s writing a graph cache, "
        f"{numbers['second_compile_seconds']:.1f} s reading it: "
        f"{numbers['second_over_first_compile']:.2f} of the first"
    )


if __name__ == "__main__":
    run_program(main)
