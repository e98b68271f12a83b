# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""A training that takes its graph from the cache is the one that compiles it."""

import json
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest

from src.model_utils.device_adapter import Device
from src.training import graph_cache
from tests.conftest import QUICKSTART, Program, assert_refused
from tests.helpers import config

LOSSES = ("step", "loss", "hm_loss", "wh_loss", "off_loss")


@pytest.mark.slow
def test_a_changed_configuration_does_not_get_the_graph_of_another(
    mindrecord: Path, program: Program, tmp_path: Path
):
    cache = tmp_path / "cache"

    def train(name: str, *options: object) -> tuple[list[list[float]], str]:
        done = program(
            "train.py",
            *("--config_path", QUICKSTART, "--device_target", "CPU", "--mindrecord_dir"),
            *(mindrecord, "--train_steps", 3, "--data_sink_steps", 1),
            *("--save_checkpoint_path", tmp_path / name, *options),
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        lines = (tmp_path / name / "ckpt_0" / "metrics.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return [[record[key] for key in LOSSES] for record in records], done.stderr + done.stdout

    cached = ("--compile_cache_dir", cache)
    changed = ("--net_config.wh_weight", 2.0, "--train_config.clip_norm", 0.01)
    plain, _ = train("plain")
    first, _ = train("first", *cached)
    second, said = train("second", *cached)
    assert len(plain) == 3
    assert plain == first == second
    assert "Use the compilation cache" in said
    expected, _ = train("changed_plain", *changed)
    found, said = train("changed_cached", *cached, *changed)
    assert found == expected != plain
    assert "Use the compilation cache" not in said
    assert len(list(cache.iterdir())) == 2


def test_all_that_a_graph_is_made_from_has_a_cache_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source = tmp_path / "source.py"
    source.write_text("a = 1\n")
    monkeypatch.setattr(graph_cache, "_SOURCES", tmp_path)
    cpu, rates = Device("CPU", 0, 1), np.ones(5, np.float32)

    def digest(*options: str, device: Device = cpu, rates: np.ndarray = rates) -> str:
        return graph_cache._digest(config(*options), device, rates)

    same = digest()
    assert digest("--load_checkpoint_path", "other.ckpt", "--seed", "3") == same
    assert digest(device=Device("CPU", 1, 1)) == same  # MindSpore has a folder for each rank
    others = {
        digest("--net_config.head_conv", "32"),
        digest("--train_config.MultiDecay.eps", "1e-3"),
        digest("--train_config.batch_size", "3"),
        digest("--dataset_config.max_objs", "64"),
        digest("--enable_lossscale", "false"),
        digest("--data_sink_steps", "7"),
        digest(device=Device("Ascend", 0, 1)),
        digest(device=Device("CPU", 0, 2)),
        digest(rates=rates[1:]),
    }
    source.write_text("a = 2\n")
    others.add(digest())
    monkeypatch.setattr(ms, "__version__", "2.9.0")
    others.add(digest())
    assert len(others | {same}) == 12


def test_a_cache_is_refused_beside_evaluations(program: Program, tmp_path: Path):
    options = ("--mindrecord_dir", "m", "--compile_cache_dir", "c", "--eval_interval", 1)
    done = program("train.py", *options, "--data_dir", "d", cwd=tmp_path)
    assert_refused(done, "compile_cache_dir", "eval_interval")
