# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""A model carries what it was made with, and programs take it from there."""

import json
from pathlib import Path

import mindspore as ms
import pytest
from safetensors.numpy import save_file

from src.model_utils import facts
from src.model_utils.config import load_config
from src.model_utils.errors import UserError
from src.model_utils.parameters import Config
from src.models.network import create_network
from src.weights import checkpoints
from src.weights.load import configured, load, read_weights
from tests.conftest import QUICKSTART, Program, assert_refused
from tests.helpers import config

SMALL = ("--net_config.head_conv", "8", "--dataset_config.mean", "[0.5, 0.25, 0.125]")


def made(*options: str) -> Config:
    return config("--config_path", str(QUICKSTART), *options)


def write_checkpoint(path: Path, used: Config, **texts: str) -> Path:
    texts = {checkpoints.MODEL: json.dumps(facts.facts_of(used))} | texts
    checkpoints.save(create_network(used).parameters_and_names(), path, texts)
    return path


def test_a_checkpoint_needs_no_configuration(tmp_path: Path):
    path = write_checkpoint(tmp_path / "m.ckpt", made(*SMALL))
    weights = read_weights(path)
    used = configured(config("--eval_config.K", "7"), weights)
    of_training = {"wh_weight": 0.1}  # which is no fact of the model
    assert used.net_config == made(*SMALL).net_config.model_copy(update=of_training)
    assert used.dataset_config.coco_classes == made().dataset_config.coco_classes
    assert used.dataset_config.mean == [0.5, 0.25, 0.125]
    assert used.dataset_config.output_res == [128, 128]  # of its own input_res_train
    assert used.dataset_config.input_res_test == [160, 160] and not used.eval_config.keep_res
    assert used.eval_config.K == 7
    load(create_network(used), weights)


def test_a_configuration_that_contradicts_the_model_is_refused_with_its_place(tmp_path: Path):
    path = write_checkpoint(tmp_path / "m.ckpt", made(*SMALL))
    overlay = tmp_path / "own.yaml"
    overlay.write_text("dataset_config: {mean: [0.1, 0.1, 0.1]}\n")
    weights = read_weights(path)
    same = config(*SMALL)
    assert configured(same, weights).net_config.head_conv == 8
    with pytest.raises(UserError) as error:
        configured(config("--config_path", str(overlay)), weights)
    assert str(error.value) == (
        f"{path}: was made with dataset_config.mean [0.5, 0.25, 0.125], but {overlay} says "
        "[0.1, 0.1, 0.1]; leave it out there."
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[", "does not say what its model was made with"),
        ("[1]", "does not say what its model was made with"),
        ('{"net_config.network": ["a"]}', "made with net_config.network"),
        ('{"net_config.blocks": 1}', "made with net_config.blocks 1, which this version"),
        ('{"net_config.head_conv": "8"}', "net_config.head_conv is '8': input should be"),
        ('{"net_config.head_conv": 1e999}', "net_config.head_conv is inf: input should be"),
        ('{"dataset_config.coco_classes": []}', ""),
    ],
)
def test_damaged_facts_end_in_a_sentence(text: str, sentence: str, tmp_path: Path):
    path = write_checkpoint(tmp_path / "m.ckpt", made(), **{checkpoints.MODEL: text})
    if not sentence:
        assert configured(config(), read_weights(path)).dataset_config.coco_classes == []
        return
    with pytest.raises(UserError) as error:
        configured(config(), read_weights(path))
    assert str(error.value).startswith(f"{path}: ") and sentence in str(error.value)


def test_names_of_before_are_those_of_now():
    now = "training.optimizer.moment1.network.features.backbone.conv1.weight"
    before = now.replace("features.", "")
    assert checkpoints.present_name(before) == checkpoints.present_name(now) == now
    assert checkpoints.present_name("neck.a") == "features.neck.a"
    assert checkpoints.present_name("heads.hm.0.bias") == "heads.hm.0.bias"


def test_a_checkpoint_of_before_is_read_with_the_configuration_as_before(tmp_path: Path):
    used = made()
    network = create_network(used)
    old = {name.removeprefix("features."): p for name, p in network.parameters_and_names()}
    checkpoints.save(old.items(), tmp_path / "old.ckpt")
    weights = read_weights(tmp_path / "old.ckpt")
    assert configured(used, weights) == used
    other = create_network(used)
    load(other, weights)
    for ours, theirs in zip(network.get_parameters(), other.get_parameters(), strict=True):
        assert (ours.asnumpy() == theirs.asnumpy()).all()


def test_programs_take_them_from_the_model(program: Program, tmp_path: Path):
    """Nothing but the model is given: it names its own classes."""
    ms.set_seed(3)
    write_checkpoint(tmp_path / "m.ckpt", made(*SMALL))
    cpu = ("--device_target", "CPU")
    done = program("export.py", *cpu, "--export_load_ckpt", "m.ckpt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "images (1,3,160,160) to detections (1,100,6)" in done.stdout
    written = json.loads((tmp_path / "centernet.json").read_text())
    assert written["settings"]["dataset_config.coco_classes"][0] == "circle"
    (tmp_path / "in").mkdir()
    picture = b"P6 60 50 255\n" + bytes(range(250)) * 36
    (tmp_path / "in" / "a.ppm").write_bytes(picture)
    options = (*cpu, "--input", "in", "--output", "out", "--score_thresh", "0")
    mindir = ("--load_mindir_path", "centernet.mindir")
    done = program("predict.py", *options, *mindir, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "out" / "a.ppm.json").read_text())
    assert "circle" in json.dumps(said)
    with (tmp_path / "centernet.mindir").open("ab") as file:
        file.write(b"\0")
    done = program("predict.py", *options, *mindir, cwd=tmp_path)
    assert_refused(done, "centernet.json", "belongs to another centernet.mindir")
    (tmp_path / "centernet.json").write_text('{"images": []}')
    done = program("export.py", *cpu, "--export_load_ckpt", "m.ckpt", cwd=tmp_path)
    assert_refused(done, "centernet.json", "is not what export.py writes beside a model")
    assert (tmp_path / "centernet.json").read_text() == '{"images": []}'


def test_an_overlay_may_lie_on_another(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("seed: 1\ntrain_config: {batch_size: 4}\n")
    (tmp_path / "b.yaml").write_text("base: a.yaml\nseed: 2\n")
    used = load_config("t", ["--config_path", str(tmp_path / "b.yaml")])
    assert (used.seed, used.train_config.batch_size) == (2, 4)
    (tmp_path / "a.yaml").write_text("base: b.yaml\n")
    with pytest.raises(UserError, match=r"a\.yaml: base is b\.yaml, which lies on this file"):
        load_config("t", ["--config_path", str(tmp_path / "b.yaml")])
    (tmp_path / "a.yaml").write_text("base: [1]\n")
    with pytest.raises(UserError, match=r"a\.yaml: base is \[1\]; give the name of a file"):
        load_config("t", ["--config_path", str(tmp_path / "b.yaml")])


def test_a_training_takes_its_colours_from_its_first_weights_and_goes_on_with_them(
    mindrecord: Path, program: Program, tmp_path: Path
):
    """Weights of torchvision say RGB; the stopped training's checkpoint says so again."""
    last = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
    state = {
        f"{cell}.{last.get(name, name.replace('moving_variance', 'running_var'))}": p.asnumpy()
        for cell, _, name, p in (
            (*full.removeprefix("features.backbone.").rpartition("."), p)
            for full, p in create_network(made()).parameters_and_names()
            if full.startswith("features.backbone.")
        )
    }
    save_file(state, tmp_path / "resnet.safetensors")
    train = (
        *("train.py", "--config_path", QUICKSTART, "--device_target", "CPU"),
        *("--mindrecord_dir", mindrecord, "--train_config.batch_size", 4),
    )
    first = ("--train_steps", 2, "--load_checkpoint_path", "resnet.safetensors")
    for options in (first, ("--train_steps", 4, "--resume")):
        done = program(*train, *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "dataset_config.channel_order 'RGB', dataset_config.mean [0.485, " in done.stdout
        (path,) = (tmp_path / "ckpt_0").glob("*.ckpt")
        written = read_weights(path).facts
        assert written["dataset_config.channel_order"] == "RGB"
        assert written["dataset_config.std"] == [0.229, 0.224, 0.225]
    assert "settings changed" not in done.stdout.replace("settings changed: train_steps", "")
