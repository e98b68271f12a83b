# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The benchmarks of training step, several processes and inference measure what they say."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.common import benchmark_config
from benchmarks.runtimes import NETWORKS
from benchmarks.train_step import random_batch
from src.model_utils.config import load_config
from src.models.network import FEATURES
from src.tasks import TASKS
from tests.conftest import PROJECT, QUICKSTART, assert_refused
from tests.helpers import benchmark

SMALL = ("--config_path", QUICKSTART)
has_torch = importlib.util.find_spec("torch") is not None


@pytest.mark.slow
def test_the_step_benchmark_measures_steps_memory_and_compilation(tmp_path: Path):
    file = tmp_path / "numbers.json"
    done = benchmark(
        "train_step",
        *(*SMALL, "--input", 64, "--steps", 2, "--rounds", 1, "--threads", 1, "--json", file),
    )
    assert done.returncode == 0, done.stderr
    numbers = json.loads(file.read_text(encoding="utf-8"))
    names = ("step_seconds", "compile_seconds", "second_compile_seconds", "peak_rss_mb")
    assert {name: numbers[name] for name in names if not numbers[name] > 0} == {}
    assert numbers["step_seconds"] == min(numbers["step_seconds_of_each_round"]["mindspore"][0])
    ratio = numbers["second_compile_seconds"] / numbers["compile_seconds"]
    assert numbers["second_over_first_compile"] == pytest.approx(ratio)
    assert (numbers["threads"], numbers["batch_size"], numbers["input"]) == (1, 2, [64, 64])
    losses = numbers["losses"]
    assert len(losses) == 3 and losses[2] < losses[0]  # it trains
    assert numbers["cached_losses"] == losses[:2]
    assert (numbers["torch_step_seconds"] is None) == (not has_torch)
    if has_torch:
        np.testing.assert_allclose(numbers["torch_losses"], losses, rtol=1e-3)
        ratio = numbers["step_seconds"] / numbers["torch_step_seconds"]
        assert numbers["step_over_torch"] == pytest.approx(ratio)
    else:
        assert "PyTorch is left out" in done.stdout


def test_random_batches_are_of_the_loaders_kind():
    config = benchmark_config(str(QUICKSTART), 2, 128)
    image, colour, objects = random_batch(config, 2)
    assert (image.shape, image.dtype) == ((2, 128, 128, 3), np.uint8)
    assert (colour.shape, colour.dtype) == ((2, 3, 4), np.float32)
    assert (objects.shape, objects.dtype) == ((2, 8, 8), np.float32)
    assert (np.count_nonzero(objects[:, :, 7] >= 0, axis=1) > 4).all()
    for first, second in zip((image, colour, objects), random_batch(config, 2), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_the_inference_benchmark_measures_each_stage_and_all(tmp_path: Path):
    file = tmp_path / "numbers.json"
    done = benchmark("inference", *SMALL, *("--input", 96, "--count", 6, "--json", file))
    assert done.returncode == 0, done.stderr
    ways = json.loads(file.read_text(encoding="utf-8"))["ways"]
    found = [(way["way"], way["batch_size"], way["shapes"]) for way in ways]
    assert found == [
        ("keep resolution", 1, 4),
        ("fixed resolution", 1, 1),
        ("fixed resolution", 8, 1),
    ]
    for way in ways:
        assert way["images_per_second"] == pytest.approx(1e3 / way["whole_ms"])
        assert way["whole_over_network"] == pytest.approx(way["whole_ms"] / way["network_ms"])
        assert way["prepare_ms"] > 0 and way["finish_ms"] > 0


@pytest.mark.slow
def test_the_table_of_all_runtimes_measures_each(infer_app: Path, tmp_path: Path):
    file = tmp_path / "numbers.json"
    done = benchmark(
        "inference", "--every_network", *SMALL,
        *("--input", 128, "--count", 3, "--rounds", 1, "--json", file),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    numbers = json.loads(file.read_text(encoding="utf-8"))
    assert (numbers["rounds"], numbers["count"]) == (1, 3)
    (found,) = numbers["networks"].values()
    runtimes = ["mindspore", "onnxruntime", "app", *(["pytorch"] if has_torch else [])]
    assert min(found[f"{name}_ms"] for name in runtimes) > 0
    ratio = found["onnxruntime_ms"] / found["mindspore_ms"]
    assert found["onnxruntime_over_mindspore"] == pytest.approx(ratio)
    assert (found["app_over_pytorch"] is None) == (not has_torch)


def test_the_table_of_all_runtimes_has_every_network_and_task():
    configs = [
        load_config("", ["--config_path", str(PROJECT / "configs" / path)])
        for path in NETWORKS.values()
    ]
    assert {config.net_config.network for config in configs} == set(FEATURES)
    assert {config.task for config in configs} == set(TASKS)


@pytest.mark.slow
def test_the_scaling_benchmark_measures_one_process_and_two(tmp_path: Path):
    file = tmp_path / "numbers.json"
    done = benchmark(
        "scaling", *SMALL, *("--input", 64, "--steps", 2, "--rounds", 1, "--json", file)
    )
    assert done.returncode == 0, done.stderr
    numbers = json.loads(file.read_text(encoding="utf-8"))
    speeds = [numbers[f"images_per_second_{name}"] for name in ("one_process", "several_processes")]
    for name, speed in zip(("one_process", "several_processes"), speeds, strict=True):
        (steps,) = numbers["step_seconds_of_each_round"][name]
        assert len(steps) == 2
        assert speed == pytest.approx(4 / min(steps))
    assert numbers["several_over_one"] == pytest.approx(speeds[1] / speeds[0])
    assert numbers["threads_of_one_process"] == 2 * numbers["threads_of_each_of_several"]


def test_wrong_options_end_in_one_sentence(tmp_path: Path):
    assert_refused(benchmark("train_step", *SMALL, "--threads", 1000), "--threads", "lower it")
    assert_refused(benchmark("scaling", *SMALL, "--images", 3), "--images 3")
    no_python = ("--torch_python", tmp_path / "nowhere")
    assert_refused(benchmark("train_step", *SMALL, *no_python), "--torch_python", "nowhere")


@pytest.mark.slow
def test_the_up_sampling_benchmark_compares_the_same_values(tmp_path: Path):
    file = tmp_path / "numbers.json"
    options = ("--batch", 1, "--factor", 8, "--repeat", 1, "--json", file)
    done = benchmark("up_sampling", *options)
    assert done.returncode == 0, done.stderr
    (layer,) = json.loads(file.read_text(encoding="utf-8"))["layers"]
    assert (layer["channels"], layer["side"], layer["factor"]) == (256, 16, 8)
    assert 0 < layer["off"] < 1e-4
    assert min(layer["DepthwiseUpSampling"] + layer["nn.Conv2dTranspose"]) > 0
    assert ("PyTorch" in layer) == has_torch
