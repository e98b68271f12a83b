# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The configuration: what it reads, what it refuses."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from src.model_utils import describe
from src.model_utils.config import DEFAULT_CONFIG_PATH, load_config, parameters
from src.model_utils.errors import UserError
from src.model_utils.networks import NETWORKS

PROJECT = DEFAULT_CONFIG_PATH.parent


def load(*arguments: object):
    return load_config("test", [str(argument) for argument in arguments])


def names(group: dict, prefix: str = "") -> set[str]:
    found = set()
    for name, value in group.items():
        found |= names(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name}
    return found


def test_the_default_file_and_the_table_of_parameters_are_made_from_the_parameters():
    advice = "run PYTHONPATH=. python -m src.model_utils.describe"
    assert DEFAULT_CONFIG_PATH.read_text(encoding="utf-8") == describe.default_config(), advice
    assert describe.DOCUMENT_PATH.read_text(encoding="utf-8") == describe.parameter_table(), advice


def test_the_default_file_gives_nothing_that_is_not_so_anyway():
    values = yaml.safe_load(DEFAULT_CONFIG_PATH.read_text(encoding="utf-8"))
    assert names(values) == set(parameters("resnet"))
    assert load().origins == {}


def test_defaults_are_the_documents():
    config = load()
    assert config.train_config.MultiDecay.learning_rate == 4.8e-4
    assert config.train_config.loss_scale_value == 1024
    assert config.net_config.block_class == [3, 4, 23, 3]
    assert config.dataset_config.input_res_test == [680, 680]
    assert len(config.dataset_config.coco_classes) == 80


@pytest.mark.parametrize("overlay", sorted(PROJECT.glob("configs/*/*.yaml")), ids=lambda p: p.stem)
def test_every_overlay_loads_also_by_its_name_of_before(overlay: Path):
    used = load("--config_path", overlay)
    assert used != load()
    before = PROJECT / "configs" / overlay.name
    assert not before.exists() or load("--config_path", before) == used


def test_the_overlays_that_are_no_models_load():
    for name in ("quickstart", "own_small_set"):
        assert load("--config_path", PROJECT / "configs" / f"{name}.yaml") != load()


def test_command_line_wins_over_overlay_and_overlay_over_default(tmp_path: Path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("train_config: {batch_size: 4, loss_scale_value: 2}\n")
    config = load("--config_path", overlay, "--train_config.batch_size", 8)
    assert config.train_config.batch_size == 8
    assert config.train_config.loss_scale_value == 2
    assert config.train_config.optimizer == "Adam"


@pytest.mark.parametrize("text, value", [("true", True), ("True", True), ("False", False)])
def test_booleans_are_accepted_in_either_case(text: str, value: bool):
    assert load(f"--enable_data_sink={text}").enable_data_sink is value


def test_a_boolean_alone_is_true():
    assert load("--visual_image", "--epoch_size", 3).visual_image is True
    assert load("--visual_image", "--epoch_size", 3).epoch_size == 3
    assert load("--enable_eval", "false").enable_eval is False


def test_numbers_without_a_point_before_the_exponent_are_numbers():
    assert load("--train_config.MultiDecay.learning_rate", "1e-3").train_config.MultiDecay == (
        load("--train_config.MultiDecay.learning_rate", "0.001").train_config.MultiDecay
    )


def test_the_grid_of_a_training_is_what_the_network_says():
    assert load("--dataset_config.input_res_train", "[511, 300]").dataset_config.output_res == [
        *(128, 80)  # halved five times, rounding up, and doubled three times
    ]


def test_text_that_looks_like_a_number_stays_text():
    assert load("--mindrecord_prefix", "2017").mindrecord_prefix == "2017"


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--train_config.batch_siz", 4], "did you mean train_config.batch_size?"),
        (["--train_config.batch_size", "four"], "train_config.batch_size is 'four'"),
        (["--train_config.batch_size", 0], "greater than or equal to 1"),
        (["--train_config.batch_size", "true"], "train_config.batch_size is True"),
        (["--mindrecord_prefix", "a/b"], "mindrecord_prefix is 'a/b'"),
        (["--mindrecord_prefix", "what?"], "mindrecord_prefix is 'what?'"),  # MindRecord refuses it
        (["--enable_eval", "maybe"], "enable_eval is 'maybe'"),
        (["--device_target", "TPU"], "choose one of auto, Ascend, GPU, CPU"),
        (["--dataset_config.mean", "[1, 2]"], "dataset_config.mean"),
        (["--train_config.Adam.decay_filter", "lambda x: x"], "decay_filter"),
        (["--net_config.down_ratio", 8], "net_config.down_ratio is 8, but network resnet"),
        (["--dataset_config.num_classes", 3], "num_classes is 3, but dataset_config.coco_classes"),
        (["--dataset_config.output_res", "[64, 64]"], "makes it [128, 128]; leave out one"),
        (["--seed", 2**32], "seed is 4294967296: input should be less than 4294967296"),
        (["--train_steps", 0], "train_steps is 0: should be at least 1, or -1"),
        (["--train_steps", 2**62], "train_steps is 4611686018427387904"),
        (["--epoch_size", 2**40], "epoch_size is 1099511627776"),
        (["--dataset_config.shift", "1e308"], "dataset_config.shift is 1e+308"),
        (["--dataset_config.rotate", "1e308"], "dataset_config.rotate is 1e+308"),
        (["--dataset_config.input_res_test", "[100000000, 64]"], "input_res_test is 100000000"),
        (["--eval_config.pad", 2**64], "eval_config.pad is 18446744073709551616"),
        (["--eval_config.multi_scales", "[0.0001]"], "eval_config.multi_scales is 0.0001"),
        (["--eval_config.multi_scales", "[1, 1e308]"], "eval_config.multi_scales is 1e+308"),
        (["--eval_config.multi_scales", "[.nan]"], "eval_config.multi_scales is nan"),
        (["--eval_config.multi_scales", "[]"], "eval_config.multi_scales is []"),
        (["--eval_config.K", 10**7], "eval_config.K 10000000 is more than the 2478080 cells"),
        (
            ["--eval_config.keep_res", "false", "--eval_config.multi_scales", "[1, 14.0]"],
            "[680, 680] at scale 14 has a side of more than 8192 pixels; leave that scale out",
        ),
        (
            [
                *("--eval_config.keep_res", "false", "--eval_config.K", 30000),
                *("--eval_config.multi_scales", "[0.05]"),
            ],
            "K 30000 is more than the 20480 cells of the heat maps at dataset_config.input_res",
        ),
        (["stray"], "'stray' belongs to no --parameter"),
        (["--config_path", "absent.yaml"], "absent.yaml: cannot be read"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_sentence(arguments: list, sentence: str):
    with pytest.raises(UserError) as error:
        load(*arguments)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content, sentence",
    [
        ("epoch_sise: 3", "did you mean epoch_size?"),
        ("train_config: 3", "train_config is a section"),
        ("train_config: {batch_size: 1.5}", "train_config.batch_size is 1.5"),
        ("epoch_size: [", "is not YAML"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
        ("- 1", "should hold one YAML mapping"),
        ("seed: 1\nepoch_size: 2\nseed: 3", "seed stands twice in"),
        ("train_config: {batch_size: 1, batch_size: 2}", "batch_size stands twice in"),
        ("seed: " + 3000 * "[" + 3000 * "]", "is nested too deeply"),
        ("seed: " + 3000 * "{a: " + "1" + 3000 * "}", "is nested too deeply"),
        ("seed: 2001-99-99", "is not YAML (month must be"),
        ("seed: " + 5000 * "1", "is not YAML (Exceeds the limit"),
        ("1: 2", "unknown parameter 1"),
        ('export_name: "a\\0b"', r"export_name is 'a\x00b', which no file name or text can hold"),
    ],
)
def test_a_wrong_overlay_is_refused_by_name(tmp_path: Path, content: str, sentence: str):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(content + "\n")
    with pytest.raises(UserError) as error:
        load("--config_path", overlay)
    assert str(error.value).startswith(str(overlay))
    assert sentence in str(error.value)


def test_names_of_classes_are_text_as_they_stand_there(tmp_path: Path):
    names = ["0", "no", "1e3", "2026-01-01", "~", "a b", "7"]
    path = tmp_path / "names.yaml"
    path.write_text(
        "dataset_config:\n  num_classes: 7\n  coco_classes: [0, no, 1e3, 2026-01-01, ~, a b, '7']\n"
    )
    assert load_config("t", ["--config_path", str(path)]).dataset_config.coco_classes == names
    given = ["--dataset_config.num_classes", "2", "--dataset_config.coco_classes", "[on, 12]"]
    assert load_config("t", given).dataset_config.coco_classes == ["on", "12"]


def test_a_file_that_unfolds_to_any_size_is_refused_in_a_short_sentence(tmp_path: Path):
    overlay = tmp_path / "overlay.yaml"
    lists = ["[x, x, &a0 [x, x]]", *(f"&a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 64))]
    overlay.write_text("seed:\n" + "".join(f"- {entry}\n" for entry in lists))
    with pytest.raises(UserError) as error:
        load("--config_path", overlay)
    assert re.search(r"overlay.yaml: seed is \[.*\.\.\..*\]: input should", str(error.value))
    assert len(str(error.value)) < 5000


def test_merged_mappings_may_be_overridden(tmp_path: Path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(
        "train_config:\n  MultiDecay: &own {eps: 1e-8, warmup_steps: 7}\n"
        "  PolyDecay: {<<: *own, warmup_steps: 9}\n"
    )
    poly = load("--config_path", overlay).train_config.PolyDecay
    assert (poly.eps, poly.warmup_steps) == (1e-8, 9)


def test_what_modelarts_injects_is_ignored_only_in_its_jobs(capsys: pytest.CaptureFixture):
    load("--enable_modelarts=True", "--num_gpus=8")
    assert "--num_gpus=8" in capsys.readouterr().out
    with pytest.raises(UserError):
        load("--num_gpus=8")


@pytest.mark.parametrize(
    "script",
    [
        *("train.py", "eval.py", "predict.py", "export.py"),
        *("preprocess.py", "postprocess.py", "src/dataset.py"),
    ],
)
def test_help_lists_every_parameter_without_importing_mindspore(script: str):
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", str(PROJECT / script), "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0
    known = set().union(*map(parameters, NETWORKS))
    assert all(f"--{name} " in shown.stdout for name in known)
    assert " mindspore" not in shown.stderr  # the list of imports
