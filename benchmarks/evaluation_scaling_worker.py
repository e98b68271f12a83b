# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""One of the processes of `benchmarks.evaluation_scaling`, which starts it alone or by msrun."""

import argparse
import hashlib
import json
import time
from pathlib import Path

from src.data.synthetic import CATEGORIES
from src.model_utils.config import load_config
from src.model_utils.device_adapter import set_up_device
from src.model_utils.files import write_json

EVALUATIONS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config_path")
    parser.add_argument("data_dir", help="drawn images in COCO layout")
    parser.add_argument("side", help="height and width of an image")
    parser.add_argument("batch_size")
    parser.add_argument("folder", type=Path, help="for RANK.json")
    options = parser.parse_args()
    config = load_config(
        "",
        [
            *("--config_path", options.config_path, "--device_target", "CPU"),
            *("--data_dir", options.data_dir, "--eval_config.keep_res", "false"),
            *("--dataset_config.coco_classes", json.dumps(list(CATEGORIES.values()))),
            *("--dataset_config.input_res_test", f"[{options.side}, {options.side}]"),
            *("--eval_config.batch_size", options.batch_size),
        ],
    )
    device = set_up_device(config, may_distribute=True)

    import mindspore as ms

    from src.evaluation.run import Evaluation
    from src.models.network import create_network

    ms.set_seed(1)
    place = {"rank": device.rank, "rank_size": device.rank_size}
    evaluation = Evaluation(config, create_network(config), "val", **place)
    seconds = []
    for _ in range(1 + EVALUATIONS):
        start = time.perf_counter()
        results = evaluation.detect()
        seconds.append(time.perf_counter() - start)
    numbers = {
        "processes": device.rank_size,
        "seconds": seconds[1:],  # the first one compiles
        "digest": hashlib.sha256(json.dumps(results).encode()).hexdigest(),
    }
    write_json(options.folder / f"{device.rank}.json", numbers)


if __name__ == "__main__":
    main()
