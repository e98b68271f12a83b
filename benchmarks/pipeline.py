# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Images a second, CPU time and memory of the training input, beside a floor and a plain pipeline.

python -m benchmarks.pipeline --coco_data_dir DIR [--repeat 16] [--workers 2] [--json FILE]

The images of DIR are converted to MindRecord files in a temporary folder, and three pipelines read
them: the training loader (src.data.loader), decoding alone by MindSpore's C++ operators, and the
usual CenterNet pipeline (benchmarks.plain_pipeline). Each runs in a new process, in turn, for some
rounds; the fastest round of each counts, since other work on the machine only slows one down.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import mindspore.dataset as ds
import psutil
from mindspore.dataset import vision

from benchmarks.common import count, in_new_process
from benchmarks.plain_pipeline import create_plain_dataset
from src.data import coco, conversion, mindrecord
from src.data.images import decoder
from src.data.loader import create_train_dataset
from src.data.notes import Notes
from src.model_utils.config import load_config
from src.model_utils.device_adapter import disarm_onednn_trap, set_up_device
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import make_writable, write_json
from src.model_utils.parameters import Config, DatasetConfig
from src.model_utils.workers import worker_count
from src.models.tasks.boxes import Targets
from src.tasks.boxes import TASK

PREFIX = "benchmark"
SEED = 1
DOWN_RATIO = 4
MB = 1e6

Pipeline = Callable[[DatasetConfig, Path, int], ds.Dataset]


@dataclass(frozen=True)
class Measurement:
    """One run of a pipeline; see `measure_pipeline`."""

    images_per_second: float
    cpu_ms_per_image: float
    bytes_per_image: float
    peak_rss_mb: float


# --- the three pipelines -----------------------------------------------------------------------


def loader(config: DatasetConfig, mindrecord_dir: Path, batch_size: int) -> ds.Dataset:
    return create_train_dataset(
        config,
        TASK,
        mindrecord_dir,
        PREFIX,
        down_ratio=DOWN_RATIO,
        batch_size=batch_size,
        shuffle=True,
        seed=SEED,
    )


def decode_only(config: DatasetConfig, mindrecord_dir: Path, batch_size: int) -> ds.Dataset:
    """Decoding alone, by MindSpore's C++ operators.

    Like the others it delivers what it makes to Python, without a copy: images, one by one, as they
    are of all sizes.
    """
    manifest = mindrecord.read_manifest(mindrecord_dir, PREFIX, config.coco_classes)
    ds.config.set_seed(SEED)
    dataset = ds.MindDataset(
        mindrecord.shard_files(mindrecord_dir, manifest),
        columns_list=["image"],
        shuffle=True,
        num_parallel_workers=config.num_workers,
    )
    return dataset.map(vision.Decode(), num_parallel_workers=config.num_workers)


def plain(config: DatasetConfig, mindrecord_dir: Path, batch_size: int) -> ds.Dataset:
    return create_plain_dataset(
        config, mindrecord_dir, PREFIX, batch_size=batch_size, shuffle=True, seed=SEED
    )


PIPELINES: dict[str, Pipeline] = {"loader": loader, "decode_only": decode_only, "plain": plain}


# --- measuring; each function runs in a process of its own -------------------------------------


def measure_pipeline(
    name: str, config: DatasetConfig, mindrecord_dir: Path, batch_size: int, seconds: float
) -> Measurement:
    """Takes images for some seconds from a pipeline that is already flowing.

    Before that go two batches, or one for each worker if those are more. The iterator is endless,
    so that as much work is under way at the end of the measurement as at its start; batches that
    are made side by side come together, so the time must be that of many batches.
    """
    dataset = PIPELINES[name](config, mindrecord_dir, batch_size)
    iterator = dataset.create_tuple_iterator(num_epochs=-1, output_numpy=True)
    rows = itertools.chain.from_iterable(itertools.repeat(iterator))
    per_row = 1 if name == "decode_only" else batch_size
    for _ in itertools.islice(rows, max(2, config.num_workers) * batch_size // per_row):
        pass
    cpu_start, start = cpu_seconds(), time.perf_counter()
    images = delivered = 0
    for row in rows:
        images += per_row
        delivered += sum(column.nbytes for column in row)
        elapsed = time.perf_counter() - start
        if elapsed >= seconds:
            break
    cpu = cpu_seconds() - cpu_start
    memory = peak_memory()
    iterator.stop()
    return Measurement(images / elapsed, cpu / images * 1e3, delivered / images, memory / MB)


def process_tree() -> list[psutil.Process]:
    this = psutil.Process()
    return [this, *this.children(recursive=True)]


def cpu_seconds() -> float:
    """User and system time of this process and its children, so far."""
    times = [process.cpu_times() for process in process_tree()]
    return sum(t.user + t.system for t in times)


def peak_memory() -> float:
    """The largest resident size so far in bytes, summed over this process and its children.

    Pages that processes share count in each of them.
    """
    total = 0
    for process in process_tree():
        for line in Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                total += int(line.split()[1]) * 1024
    return total


def measure_conversion(
    config: DatasetConfig, coco_data_dir: Path, repeat: int, mindrecord_dir: Path, rounds: int
) -> dict[str, Any]:
    """Leaves the MindRecord set in `mindrecord_dir`; the fastest conversion counts.

    Beside it stands the time to read and decode the same files, with as many threads. MindRecord
    files grow by pages of 16 MiB: the bytes an image are those of a large set only for a large set.
    """
    cv2.setNumThreads(1)
    decode = decoder(config.image_backend)
    annotation_path = coco_data_dir / config.train_annotation
    records = repeat * coco.read_records(
        coco.read_annotation_file(annotation_path),
        annotation_path,
        coco_data_dir / config.train_images,
        config,
        coco.BadRecords("fail"),
    )
    paths = [record.path for record in records]

    def convert() -> mindrecord.Manifest:
        return conversion.write_set(
            records, config, mindrecord_dir, PREFIX, "", coco.BadRecords("fail"), Notes()
        )

    def decode_file(path: Path) -> None:
        decode(path.read_bytes())

    def decode_files() -> None:
        with ThreadPoolExecutor(config.num_workers) as pool:
            for _ in pool.map(decode_file, paths):
                pass

    converting, decoding = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        manifest = convert()  # first: it says which file is missing
        converted = time.perf_counter()
        decode_files()
        converting.append(converted - start)
        decoding.append(time.perf_counter() - converted)
    written = sum(file.size for file in manifest.files.values())
    return {
        "images": manifest.images,
        "conversion_images_per_second": manifest.images / min(converting),
        "decode_files_images_per_second": manifest.images / min(decoding),
        "conversion_over_decode_files": min(converting) / min(decoding),
        "image_file_bytes_per_image": sum(path.stat().st_size for path in paths) / len(paths),
        "mindrecord_bytes_per_image": written / manifest.images,
    }


def measure_target_drawing(
    config: Config, mindrecord_dir: Path, batch_size: int, rounds: int
) -> float:
    """Median milliseconds an image for the heat maps of a batch, drawn on the device."""
    set_up_device(config)
    dataset = config.dataset_config
    batch = next(loader(dataset, mindrecord_dir, batch_size).create_dict_iterator(num_epochs=1))
    objects = batch["objects"]
    targets = Targets(config.net_config, dataset.num_classes, tuple(dataset.output_res))

    def run() -> float:
        start = time.perf_counter()
        targets(objects)[0].asnumpy()  # waits
        return time.perf_counter() - start

    run()  # compiles
    return statistics.median(run() for _ in range(5 * rounds)) / batch_size * 1e3


# --- the program -------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse_options(arguments)
    disarm_onednn_trap()  # the processes below inherit it
    if options.json:
        make_writable(options.json.parent)  # before the minutes of measuring
    workers = worker_count(options.workers)
    config = load_config(
        "", ["--config_path", options.config_path, "--dataset_config.num_workers", str(workers)]
    )
    dataset = config.dataset_config
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        mindrecord_dir = Path(folder)
        conversion = in_new_process(
            measure_conversion,
            *(dataset, options.coco_data_dir, options.repeat, mindrecord_dir, options.rounds),
        )
        if conversion["images"] < options.batch_size:
            raise UserError(
                f"{options.coco_data_dir}: {conversion['images']} images do not fill one batch of "
                f"{options.batch_size}; raise --repeat or lower --batch_size."
            )
        runs: dict[str, list[Measurement]] = {name: [] for name in PIPELINES}
        for _ in range(options.rounds):
            for name, measured in runs.items():
                measured.append(
                    in_new_process(
                        measure_pipeline,
                        *(name, dataset, mindrecord_dir, options.batch_size, options.seconds),
                    )
                )
        target_ms = in_new_process(
            measure_target_drawing, config, mindrecord_dir, options.batch_size, options.rounds
        )
    best = {name: fastest(measured) for name, measured in runs.items()}
    numbers = {
        **asdict(best["loader"]),
        **{f"decode_only_{key}": value for key, value in asdict(best["decode_only"]).items()},
        **{f"plain_{key}": value for key, value in asdict(best["plain"]).items()},
        "speed_over_decode_only": speed_ratio(best, "decode_only"),
        "speed_over_plain": speed_ratio(best, "plain"),
        "target_drawing_ms_per_image": target_ms,
        **conversion,
        "workers": workers,
        "cores": os.cpu_count(),
        "batch_size": options.batch_size,
        "images_per_second_of_each_round": {
            name: [run.images_per_second for run in measured] for name, measured in runs.items()
        },
    }
    print_table(best, numbers, options.rounds)
    if options.json:
        write_json(options.json, numbers)


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--coco_data_dir", type=Path, required=True, help="set in COCO layout")
    parser.add_argument("--config_path", default="", help="overlay on default_config.yaml")
    parser.add_argument("--repeat", type=count, default=1, help="times that each image is taken")
    parser.add_argument("--workers", type=int, default=0, help="threads or processes; 0: each core")
    parser.add_argument("--batch_size", type=count, default=32, help="images of a batch")
    parser.add_argument("--rounds", type=count, default=3, help="runs, of which the fastest counts")
    parser.add_argument("--seconds", type=float, default=10, help="of a pipeline in a round")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    return parser.parse_args(arguments)


def fastest(runs: Sequence[Measurement]) -> Measurement:
    return max(runs, key=lambda run: run.images_per_second)


def speed_ratio(best: dict[str, Measurement], peer: str) -> float:
    return best["loader"].images_per_second / best[peer].images_per_second


def print_table(best: dict[str, Measurement], numbers: dict[str, Any], rounds: int) -> None:
    print(
        f"{numbers['images']} images, batch {numbers['batch_size']}, {numbers['workers']} workers "
        f"on {numbers['cores']} cores; fastest of {rounds} rounds"
    )
    print(f"{'pipeline':>12} {'images/s':>10} {'CPU ms/image':>14} {'MB/image':>10} {'peak MB':>9}")
    for name, run in best.items():
        print(
            f"{name:>12} {run.images_per_second:>10.1f} {run.cpu_ms_per_image:>14.2f} "
            f"{run.bytes_per_image / MB:>10.3f} {run.peak_rss_mb:>9.0f}"
        )
    print(f"loader / decode_only: {numbers['speed_over_decode_only']:.2f}")
    print(f"loader / plain: {numbers['speed_over_plain']:.2f}")
    print(f"targets on the device: {numbers['target_drawing_ms_per_image']:.1f} ms an image")
    print(
        f"conversion: {numbers['conversion_images_per_second']:.1f} images/s, "
        f"{numbers['conversion_over_decode_files']:.2f} times as long as decoding the files "
        f"({numbers['decode_files_images_per_second']:.1f} images/s); "
        f"{numbers['mindrecord_bytes_per_image'] / MB:.3f} MB of MindRecord an image, "
        f"{numbers['image_file_bytes_per_image'] / MB:.3f} MB of image file"
    )


if __name__ == "__main__":
    run_program(main)
