# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Images a second of one process on all cores and of several that share them, on a CPU.

python -m benchmarks.scaling [--config_path FILE] [--processes 2] [--json FILE]

Without --config_path the network is that of configs/modelzoo/resnet101_plain.yaml. Both train with
the same global batch, random but of the loader's shapes. The several processes are started as
scripts/run_distributed_train_msrun.sh does it, bound to cores, and average their gradients over the
loopback interface; their weights are compared afterwards. The two take turns for some rounds. A
step takes as long as in the slowest process; the fastest step of all rounds counts, since other
work on the machine only slows one down.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import PLAIN_RESNET101, PROJECT, benchmark_config, count
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import make_writable, write_json

WORKER = PROJECT / "benchmarks" / "scaling_worker.py"


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse_options(arguments)
    if options.images % options.processes:
        raise UserError(f"--images {options.images} is no multiple of --processes; change one.")
    cores = len(os.sched_getaffinity(0))
    if cores % options.processes:
        raise UserError(f"--processes {options.processes} does not divide {cores} cores; lower it.")
    benchmark_config(options.config_path, options.images, options.input)  # its errors, said once
    if options.json:
        make_writable(options.json.parent)  # before the minutes of measuring
    rounds: dict[int, list[list[float]]] = {1: [], options.processes: []}
    for _ in range(options.rounds):
        for processes, seconds in rounds.items():
            seconds.append(measure(options, processes))
    speed = {
        processes: options.images / min(min(steps) for steps in seconds)
        for processes, seconds in rounds.items()
    }
    numbers = {
        "images_per_second_one_process": speed[1],
        "images_per_second_several_processes": speed[options.processes],
        "several_over_one": speed[options.processes] / speed[1],
        "processes": options.processes,
        "threads_of_one_process": cores,
        "threads_of_each_of_several": cores // options.processes,
        "images": options.images,
        "input": options.input,
        "rounds": options.rounds,
        "step_seconds_of_each_round": {
            "one_process": rounds[1],
            "several_processes": rounds[options.processes],
        },
    }
    print(
        f"{options.images} images of {options.input}x{options.input} a step; fastest of "
        f"{options.rounds} rounds of {options.steps} steps"
    )
    for processes in rounds:
        print(
            f"{processes} process(es), {cores // processes} thread(s) each: "
            f"{speed[processes]:.3f} images/s"
        )
    print(f"several / one: {numbers['several_over_one']:.2f}")
    if options.json:
        write_json(options.json, numbers)


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config_path", default=str(PLAIN_RESNET101), help="the model")
    parser.add_argument("--images", type=count, default=4, help="of a step on all processes")
    parser.add_argument("--input", type=count, default=512, help="height and width of an image")
    parser.add_argument("--processes", type=several, default=2, help="that share the cores")
    parser.add_argument("--steps", type=count, default=5, help="measured in a run")
    parser.add_argument("--rounds", type=count, default=3, help="runs of each kind")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    return parser.parse_args(arguments)


def several(text: str) -> int:
    """A whole number from 2, as argparse's `type`."""
    if int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text} is less than 2")
    return int(text)


def measure(options: argparse.Namespace, processes: int) -> list[float]:
    """Seconds of each step after the first, in the slowest of the processes.

    Raises:
        UserError: a process failed, or they did not train together.
    """
    worker = [WORKER, Path(options.config_path).resolve(), options.images, options.input]
    runs = run_together([*worker, processes, options.steps], processes)
    if len({run["weights"] for run in runs}) != 1:
        raise UserError("the processes ended in different weights: gradients were not averaged.")
    return [max(step) for step in zip(*(run["step_seconds"] for run in runs), strict=True)]


def run_together(
    command: Sequence[object], processes: int, bound: bool = False
) -> list[dict[str, Any]]:
    """Runs a program, which gets a folder as its last argument; what each process writes there.

    Args:
        command: its file and arguments. Each process writes RANK.json, with `processes` as it sees
            them.
        processes: that msrun starts, bound to cores; one is started by itself.
        bound: whether that one is bound to one core.

    Raises:
        UserError: a process failed, or they did not join.
    """
    bin_dir = Path(sys.executable).parent
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        core = ["taskset", "-c", str(min(os.sched_getaffinity(0)))] if bound else []
        launcher = [*core, sys.executable]
        if processes > 1:
            launcher = [
                *(str(bin_dir / "msrun"), f"--worker_num={processes}"),
                *(f"--local_worker_num={processes}", "--master_addr=127.0.0.1"),
                *(f"--master_port={free_port()}", "--bind_core=True", "--join=True"),
                *(f"--log_dir={folder}", "python3"),  # the one of PATH
            ]
        done = subprocess.run(
            [*launcher, *map(str, [*command, folder])],
            cwd=folder,
            env=os.environ
            | {"PATH": f"{bin_dir}:{os.environ['PATH']}", "PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
            check=False,
        )
        runs = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.json"))]
        logs = "".join(p.read_text(encoding="utf-8") for p in folder.glob("worker_*.log"))
    if done.returncode != 0:
        print(done.stderr + logs, file=sys.stderr)
        raise UserError(f"a run of {processes} process(es) failed; see what it said above.")
    if [run["processes"] for run in runs] != [processes] * processes:
        raise UserError(f"{processes} process(es) were started but did not join.")
    return runs


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    run_program(main)
