# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""One of the processes of `benchmarks.scaling`, which starts it alone or by msrun."""

import argparse
import hashlib
import time
from pathlib import Path

from benchmarks.common import benchmark_config
from benchmarks.train_step import create_step, random_batch
from src.model_utils.device_adapter import set_up_device
from src.model_utils.files import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config_path")
    parser.add_argument("images", type=int, help="of a step, of all processes together")
    parser.add_argument("side", type=int, help="height and width of an image")
    parser.add_argument("processes", type=int)
    parser.add_argument("steps", type=int)
    parser.add_argument("folder", type=Path, help="for RANK.json")
    options = parser.parse_args()
    batch_size = options.images // options.processes
    config = benchmark_config(options.config_path, batch_size, options.side)
    device = set_up_device(config, may_distribute=True)

    from mindspore import Tensor

    step = create_step(config, device, options.steps + 1)
    share = slice(device.rank * batch_size, (device.rank + 1) * batch_size)
    batch = [Tensor(array[share]) for array in random_batch(config, options.images)]
    seconds = []
    for _ in range(options.steps + 1):
        start = time.perf_counter()
        step(*batch)[0].asnumpy()  # waits
        seconds.append(time.perf_counter() - start)
    weights = hashlib.sha256()
    for parameter in step.optimizer.parameters:
        weights.update(parameter.asnumpy().tobytes())
    numbers = {
        "processes": device.rank_size,
        "step_seconds": seconds[1:],  # the first one compiles
        "weights": weights.hexdigest(),
    }
    write_json(options.folder / f"{device.rank}.json", numbers)


if __name__ == "__main__":
    main()
