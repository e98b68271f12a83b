# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Images a second of the C++ application on a CPU, beside the bare runtime and a serial loop.

python -m benchmarks.app [--config_path FILE] [--input 512] [--image_dir DIR] [--count 64]
    [--batch_size 1] [--threads N] [--input_format bin|image] [--rounds 3] [--memory [5000]]
    [--json FILE]

Without --config_path the network is that of configs/original/resnet18.yaml, exported for uint8
images; its weights are random, which changes no time. Without --image_dir the images are noise of
COCO's usual sizes. app_peers.cc, compiled for this against the same MindSpore Lite, is what the
application is held against: `predict` runs the model alone on one filled input, `serial` reads (and
with images decodes and warps) a batch, runs it, writes its results, then takes the next. The three
take turns; start-up, loading and a first run are not counted, and of the rounds the fastest counts.

--memory also takes the application's largest resident size over so many inputs (links to those
above) and over a fiftieth of them.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import PROJECT, RESNET18, count, in_new_process, read_images
from src.data.geometry import InputGeometry
from src.data.images import decode_with_cv2, decoded
from src.model_utils.config import load_config
from src.model_utils.device_adapter import set_up_device
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import make_writable, write_json

APP_DIR = PROJECT / "ascend310_infer"
FEWER = 50  # times fewer inputs in the run that --memory compares with
MB = 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse_options(arguments)
    if options.json:
        make_writable(options.json.parent)  # before the minutes of measuring
    if options.input_format == "image" and not has_opencv():
        print("images are left out: OpenCV's C++ development files are not here")
        return
    images = read_images(options.image_dir, min(options.count, 256))
    build_application()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        peers = build_peers(folder)
        mindir = folder / "model.mindir"
        in_new_process(export_model, options.config_path, options.input, options.batch_size, mindir)
        files = write_files(images, options.input_format, options.input, folder / "files")
        numbers = measure_speed(options, peers, mindir, files, folder)
        if options.memory:
            numbers |= measure_memory(options, mindir, files, folder)
    print_table(numbers)
    if options.json:
        write_json(options.json, numbers)


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config_path", default=str(RESNET18), help="the model")
    parser.add_argument("--input", type=count, default=512, help="height and width of its input")
    parser.add_argument("--image_dir", type=Path, help="folder of JPEG images")
    parser.add_argument("--count", type=count, default=64, help="inputs; a folder's come again")
    parser.add_argument("--batch_size", type=count, default=1, help="of the model")
    parser.add_argument("--threads", type=count, default=cores, help="of the model")
    parser.add_argument("--input_format", choices=["bin", "image"], default="bin")
    parser.add_argument("--rounds", type=count, default=3, help="runs of each kind")
    parser.add_argument(
        "--memory", type=count, nargs="?", const=5000, help="inputs of the run for memory"
    )
    parser.add_argument("--json", type=Path, help="file for the numbers")
    return parser.parse_args(arguments)


# --- what is measured ---------------------------------------------------------------------------


def build_application() -> None:
    """Builds the application by its own script; raises UserError if that fails."""
    command = ["bash", str(APP_DIR / "build.sh")]
    environment = {**os.environ, "PYTHON": sys.executable}
    run_or_refuse(command, "build.sh", env=environment)


def build_peers(folder: Path) -> Path:
    """Compiles app_peers.cc against the application's MindSpore Lite, with OpenCV if it is here."""
    cache = (APP_DIR / "build" / "CMakeCache.txt").read_text(encoding="utf-8")
    root = re.search(r"^MSLITE_ROOT:PATH=(.*)$", cache, re.MULTILINE)[1]
    library = re.search(r"^MSLITE_LIBRARY:FILEPATH=(.*)$", cache, re.MULTILINE)[1]
    flags = ["-I", root, "-I", f"{root}/include"]
    libraries = [library, "-Wl,--disable-new-dtags", "-Wl,--allow-shlib-undefined"]
    libraries.append(f"-Wl,-rpath,{root}/lib")
    if has_opencv():
        flags += ["-DWITH_OPENCV", *opencv_flags("--cflags")]
        libraries += [*opencv_flags("--libs-only-L"), "-lopencv_imgcodecs", "-lopencv_imgproc"]
        libraries.append("-lopencv_core")
    peers, source = folder / "app_peers", PROJECT / "benchmarks" / "app_peers.cc"
    compiler = [os.environ.get("CXX", "c++"), "-O2", "-std=c++17"]
    run_or_refuse([*compiler, *flags, str(source), "-o", str(peers), *libraries], "the compiler")
    return peers


def has_opencv() -> bool:
    """Whether OpenCV's C++ development files are here."""
    return bool(shutil.which("pkg-config")) and (
        subprocess.run(["pkg-config", "--exists", "opencv4"], check=False).returncode == 0
    )


def opencv_flags(kind: str) -> list[str]:
    command = ["pkg-config", kind, "opencv4"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def export_model(
    config_path: str, side: int, batch_size: int, path: Path, tolerance: float = 1e-3
) -> None:
    """Writes the network of random weights for uint8 images: .mindir, version 1, or .onnx."""
    config = load_config(
        "",
        [
            *("--config_path", config_path, "--device_target", "CPU"),
            *("--dataset_config.input_res_test", f"[{side}, {side}]"),
        ],
    )
    set_up_device(config)

    from src.data.augment import colour_statistics, normalisation
    from src.models.network import create_network, with_decode

    network = create_network(config, config.export_config.deformable)
    colour = normalisation(colour_statistics(config.dataset_config))
    model = with_decode(network, config, colour)
    shape = (batch_size, 3, side, side)
    if path.suffix == ".onnx":
        from src.deploy.onnx_file import write_onnx

        write_onnx(model, shape, "uint8", path, facts="", tolerance=tolerance)
    else:
        from src.deploy.mindir import write_mindir

        write_mindir(model, shape, "uint8", path, version=1, tolerance=tolerance)


def write_files(images: Sequence[bytes], input_format: str, side: int, folder: Path) -> list[Path]:
    """The images as the application reads them: .jpg, or warped to uint8 .bin."""
    folder.mkdir()
    warp = InputGeometry(keep_res=False, pad=31, fixed_size=(side, side))
    paths = []
    for number, encoded in enumerate(images):
        path = folder / f"{number}.{'jpg' if input_format == 'image' else 'bin'}"
        if input_format == "image":
            path.write_bytes(encoded)
        else:
            warp(decoded(encoded, decode_with_cv2, path.name))[0].tofile(path)
        paths.append(path)
    return paths


def linked(files: Sequence[Path], wanted: int, folder: Path) -> Path:
    """A list of so many inputs with names of their own, links to the files in turn."""
    folder.mkdir()
    names = []
    for number in range(wanted):
        source = files[number % len(files)]
        names.append(folder / f"{number:06}{source.suffix}")
        names[-1].symlink_to(source)
    path = folder / "inputs.txt"
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return path


def measure_speed(
    options: argparse.Namespace, peers: Path, mindir: Path, files: Sequence[Path], folder: Path
) -> dict[str, Any]:
    """Images a second of the application and its peers over `options.count` inputs."""
    inputs = linked(files, options.count, folder / "inputs")
    rounds: dict[str, list[float]] = {"app": [], "predict_only": [], "serial": []}
    (folder / "serial").mkdir()
    quiet = {**os.environ, "GLOG_v": "4"}
    of_peers = [str(mindir), str(options.threads), str(inputs)]
    for _ in range(options.rounds):
        run_application(options, mindir, inputs, folder / "app")
        times = json.loads((folder / "app" / "times.json").read_text(encoding="utf-8"))
        if times["images"] != options.count:
            raise UserError(f"ascend310_infer: {times['failed']} inputs failed; mend them first.")
        rounds["app"].append(times["images_per_second"])
        for name, command in (
            ("predict_only", [str(peers), "predict", *of_peers]),
            ("serial", [str(peers), "serial", *of_peers, str(folder / "serial")]),
        ):
            done, seconds = run_or_refuse(command, "app_peers", env=quiet).split()
            rounds[name].append(int(done) / float(seconds))
    best = {name: max(speeds) for name, speeds in rounds.items()}
    return {
        "app_images_per_second": best["app"],
        "predict_only_images_per_second": best["predict_only"],
        "serial_images_per_second": best["serial"],
        "app_over_predict_only": best["app"] / best["predict_only"],
        "app_over_serial": best["app"] / best["serial"],
        "images": options.count,
        "input": options.input,
        "input_format": options.input_format,
        "batch_size": options.batch_size,
        "threads": options.threads,
        "rounds": options.rounds,
        "images_per_second_of_each_round": rounds,
        "stages": times["stages"],
    }


def measure_memory(
    options: argparse.Namespace, mindir: Path, files: Sequence[Path], folder: Path
) -> dict[str, Any]:
    """Largest resident size of the application over many inputs and over few."""
    sizes = {}
    for wanted in (max(1, options.memory // FEWER), options.memory):
        inputs = linked(files, wanted, folder / f"inputs_{wanted}")
        sizes[wanted] = run_application(options, mindir, inputs, folder / f"app_{wanted}")
    few, many = sizes.values()
    return {
        "peak_memory_mb": {str(wanted): size / MB for wanted, size in sizes.items()},
        "memory_growth": many / few,
    }


def run_application(options: argparse.Namespace, mindir: Path, inputs: Path, folder: Path) -> int:
    """Runs the application over a list of inputs; returns its largest resident size in bytes.

    Raises:
        UserError: it failed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    log = folder / "log"
    command = [
        *(str(APP_DIR / "out" / "main"), "--mindir_path", str(mindir), "--device_target", "CPU"),
        *("--input_path", str(inputs), "--input_format", options.input_format),
        *("--result_path", str(folder / "results"), "--time_path", str(folder)),
        *("--num_threads", str(options.threads)),
    ]
    largest = 0
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        # Not by getrusage, which counts this process's own memory at the start of the other.
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
            found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)  # none at its end
            largest = max(largest, int(found[1]) * 1024 if found else 0)
            time.sleep(0.05)
    if process.returncode != 0:
        print(log.read_text(encoding="utf-8", errors="replace"), file=sys.stderr)
        raise UserError(f"ascend310_infer: exit code {process.returncode}; see its words above.")
    return largest


def run_or_refuse(command: Sequence[str], name: str, **options: Any) -> str:
    """What a command prints; raises UserError if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        print(done.stdout + done.stderr, file=sys.stderr)
        raise UserError(f"{name}: exit code {done.returncode}; see its words above.")
    return done.stdout


def print_table(numbers: dict[str, Any]) -> None:
    print(
        f"{numbers['images']} inputs ({numbers['input_format']}) of {numbers['input']}x"
        f"{numbers['input']}, batch {numbers['batch_size']}, {numbers['threads']} thread(s); "
        f"fastest of {numbers['rounds']} rounds"
    )
    for name in ("app", "predict_only", "serial"):
        print(f"{name.replace('_', ' '):>14} {numbers[f'{name}_images_per_second']:9.2f} images/s")
    print(f"app / predict only: {numbers['app_over_predict_only']:.3f}")
    print(f"app / serial: {numbers['app_over_serial']:.3f}")
    for inputs, size in numbers.get("peak_memory_mb", {}).items():
        print(f"largest resident size over {inputs} inputs: {size:.0f} MB")


if __name__ == "__main__":
    run_program(main)
