# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The pipeline benchmark runs, and its plain pipeline does the same work as the training loader."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.plain_pipeline import create_plain_dataset, normalised_image
from src.data.augment import normalise
from src.data.loader import create_train_dataset
from src.model_utils.networks import ResNetConfig
from src.models.tasks.boxes import Targets
from src.tasks.boxes import TASK
from tests.conftest import QUICKSTART
from tests.helpers import benchmark, config, graph_mode, random_colour, statistics

# What a scaling document reads; each in images/s, ms, bytes, MB or a ratio.
NUMBERS = [
    *("images_per_second", "cpu_ms_per_image", "peak_rss_mb"),
    *("decode_only_images_per_second", "decode_only_cpu_ms_per_image", "decode_only_peak_rss_mb"),
    *("plain_images_per_second", "plain_cpu_ms_per_image", "plain_peak_rss_mb"),
    *("speed_over_decode_only", "speed_over_plain", "target_drawing_ms_per_image"),
    *("conversion_images_per_second", "decode_files_images_per_second"),
    *("conversion_over_decode_files", "mindrecord_bytes_per_image", "image_file_bytes_per_image"),
]


@pytest.mark.slow
def test_the_benchmark_measures_all_pipelines(shapes: Path, tmp_path: Path):
    file = tmp_path / "numbers.json"
    done = benchmark(
        *("pipeline", "--coco_data_dir", shapes, "--config_path", QUICKSTART, "--repeat", 2),
        *("--workers", 1, "--batch_size", 8, "--rounds", 1, "--json", file),
    )
    assert done.returncode == 0, done.stderr
    numbers = json.loads(file.read_text(encoding="utf-8"))
    assert {name: numbers[name] for name in NUMBERS if not numbers[name] > 0} == {}
    assert (numbers["workers"], numbers["batch_size"], numbers["images"]) == (1, 8, 64)
    # uint8 128×128×3, float32 3×4, float32 8 objects × 8
    assert numbers["bytes_per_image"] == 49152 + 48 + 256
    # float32: 3×128×128, 5 classes × 32×32, wh and reg 8×2; int32 ind and float32 mask of 8
    assert numbers["plain_bytes_per_image"] == 196608 + 20480 + 128 + 64
    for name in ("loader", "decode_only", "plain"):
        assert f"\n{name:>12} " in done.stdout


def test_a_missing_folder_ends_in_one_sentence(tmp_path: Path):
    file = tmp_path / "numbers.json"
    done = benchmark("pipeline", "--coco_data_dir", tmp_path / "nowhere", "--json", file)
    assert done.returncode == 2
    assert str(tmp_path / "nowhere") in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not file.exists()


def test_plain_targets_are_those_drawn_on_the_device(mindrecord: Path):
    options = ("rand_crop", "false", "shift", "0", "scale", "0", "flip_prop", "0")
    pairs = zip(options[::2], options[1::2], strict=True)
    dataset = config(
        *("--config_path", str(QUICKSTART), "--dataset_config.num_workers", "1"),
        *(text for name, value in pairs for text in (f"--dataset_config.{name}", value)),
    ).dataset_config
    place, how = (mindrecord, "coco_det.train.mind"), {"batch_size": 8, "shuffle": False, "seed": 1}
    ours = next(
        create_train_dataset(dataset, TASK, *place, down_ratio=4, **how).create_dict_iterator(
            num_epochs=1
        )
    )
    plain = next(
        create_plain_dataset(dataset, *place, **how).create_dict_iterator(
            num_epochs=1, output_numpy=True
        )
    )
    with graph_mode():
        objects = ours["objects"]
        hm = Targets(ResNetConfig(), 5, (32, 32))(objects)[0].asnumpy()
    table = objects.asnumpy()
    there = table[:, :, 7] >= 0
    assert np.count_nonzero(there) > 8
    np.testing.assert_allclose(plain["hm"], hm, atol=1e-5)
    np.testing.assert_array_equal(plain["mask"], there)
    np.testing.assert_allclose(plain["wh"][there], table[there][:, 4:6], atol=1e-5)
    np.testing.assert_allclose(plain["reg"][there], table[there][:, 2:4], atol=1e-5)
    np.testing.assert_array_equal(plain["ind"][there], table[there][:, 1] * 32 + table[there][:, 0])


def test_plain_jitter_step_by_step_is_the_loaders_affine():
    warped = np.random.default_rng(3).integers(0, 256, (24, 32, 3), np.uint8)
    for seed in range(6):  # several orders of the steps
        found = normalised_image(np.random.default_rng(seed), warped, config().dataset_config)
        means = warped.mean(axis=(0, 1))
        affine = random_colour(np.random.default_rng(seed), means, statistics())
        expected = normalise(np.ascontiguousarray(warped.transpose(2, 0, 1)), affine)
        np.testing.assert_allclose(found, expected, atol=1e-4)
