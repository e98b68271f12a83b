# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Images a second of an evaluation by one process of one thread and by several, on a CPU.

python -m benchmarks.evaluation_scaling [--config_path FILE] [--processes 2] [--json FILE]

Without --config_path the network is that of configs/modelzoo/resnet101_plain.yaml, with random
weights. The images are drawn, at a fixed resolution. The several processes are started as
scripts/run_distributed_eval_msrun.sh does it; each has one core, and so one thread, as the one
process has. The two take turns for some rounds. An evaluation is what `Evaluation.detect` does,
after one that compiles, until the first process has the boxes of all images; the fastest of all
rounds counts. Their results have to be the same.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import PLAIN_RESNET101, PROJECT, count
from benchmarks.scaling import run_together, several
from src.data import synthetic
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import make_writable, write_json

WORKER = PROJECT / "benchmarks" / "evaluation_scaling_worker.py"


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse_options(arguments)
    cores = len(os.sched_getaffinity(0))
    if options.processes > cores:
        raise UserError(f"--processes {options.processes} is more than {cores} cores; lower it.")
    if options.json:
        make_writable(options.json.parent)  # before the minutes of measuring
    seconds: dict[int, list[float]] = {1: [], options.processes: []}
    digests = set()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        synthetic.generate(Path(name), train_images=1, val_images=options.images, seed=1)
        worker = [WORKER, Path(options.config_path).resolve(), name]
        worker += [options.input, options.batch_size]
        for _ in range(options.rounds):
            for processes, times in seconds.items():
                first, *_ = run_together(worker, processes, bound=True)
                times += first["seconds"]
                digests.add(first["digest"])
    if len(digests) != 1:
        raise UserError("the evaluations gave different results.")
    speed = {processes: options.images / min(times) for processes, times in seconds.items()}
    several_over_one = speed[options.processes] / speed[1]
    print(
        f"{options.images} images of {options.input}x{options.input}, batch {options.batch_size}; "
        f"fastest evaluation of {options.rounds} rounds"
    )
    for processes, images_a_second in speed.items():
        print(f"{processes} process(es) of one thread: {images_a_second:.3f} images/s")
    print(f"several / one: {several_over_one:.2f}")
    if options.json:
        numbers = {
            "images_per_second": speed,
            "several_over_one": several_over_one,
            "seconds": seconds,
            "images": options.images,
            "input": options.input,
            "batch_size": options.batch_size,
        }
        write_json(options.json, numbers)


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config_path", default=str(PLAIN_RESNET101), help="the model")
    parser.add_argument("--images", type=count, default=32, help="of an evaluation")
    parser.add_argument("--input", type=count, default=512, help="height and width of an image")
    parser.add_argument("--batch_size", type=count, default=1, help="images to the network at once")
    parser.add_argument("--processes", type=several, default=2, help="that share the images")
    parser.add_argument("--rounds", type=count, default=3, help="runs of each kind")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_program(main)
