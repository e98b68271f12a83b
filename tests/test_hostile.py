# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Files that lie: every reader ends in a result or in the project's own error."""

import binascii
import copy
import json
import math
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import mindspore as ms
import numpy as np
import pytest
import safetensors.numpy
from mindspore.train.checkpoint_pb2 import Checkpoint
from pydantic import ValidationError

from src.data import coco
from src.data.images import decoder
from src.data.loader import create_train_dataset
from src.data.mindrecord import check_content, load_manifest
from src.deploy.mindir import write_mindir
from src.evaluation.detector import detector_of
from src.evaluation.models import create_detector
from src.evaluation.predict import Predictor, find_sources, predict_all
from src.model_utils.config import leaves
from src.model_utils.device_adapter import Device
from src.model_utils.errors import UserError
from src.model_utils.parameters import Config
from src.models.network import Network, create_network, with_decode
from src.tasks.boxes import TASK
from src.training import resume
from src.training.counting import Plan
from src.training.metrics import read_records
from src.training.optimizer import learning_rates
from src.training.saving import CheckpointKeeper, EndTogether, Saver
from src.training.step import TrainStep, step_options
from src.visual import curves
from src.weights import checkpoints, files
from src.weights import load as weights_of
from tests import hostile
from tests.conftest import PROJECT, QUICKSTART, Program, assert_refused
from tests.helpers import config


def checkpoint_bytes(*tensors: tuple[str, str, list[int], bytes], has_sum: bool = True) -> bytes:
    """A checkpoint as MindSpore's own protobuf classes write it: name, type, dims, content."""
    message = Checkpoint()
    for name, kind, dims, content in tensors:
        value = message.value.add()
        value.tag = name
        value.tensor.tensor_type = kind
        value.tensor.dims.extend(dims)
        value.tensor.tensor_content = content
    content = message.SerializeToString()
    end = b"crc_num" + binascii.crc32(content).to_bytes(10, "big")
    return content + end if has_sum else content


def test_checkpoints_are_read_as_mindspore_writes_them(tmp_path: Path):
    path = tmp_path / "a.ckpt"
    halves = np.arange(6, dtype="<f4").reshape(2, 3)
    path.write_bytes(
        checkpoint_bytes(
            ("a", "Float32", [2, 3], halves[:1].tobytes()),
            ("a", "Float32", [2, 3], halves[1:].tobytes()),  # a large tensor comes in parts
            ("b", "BFloat16", [2], np.array([0x3F80, 0xC000], "<u2").tobytes()),
            ("c", "Int32", [0], np.int32(7).tobytes()),  # how MindSpore writes a scalar
            ("d", "str", [1], "ä\udcff".encode("utf-32-le", "surrogatepass")),
            has_sum=False,
        )
    )
    found = checkpoints.read(path)
    np.testing.assert_array_equal(found["a"].asnumpy(), halves)
    assert found["b"].float().asnumpy().tolist() == [1, -2]
    assert found["c"].shape == () and found["c"].asnumpy() == 7
    assert found["d"] == "ä\udcff"


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        (
            [("a", "Float32", [1], bytes(4_000_000))],
            r"a is Float32 of shape \(1,\) but has 4000000",
        ),
        ([("a", "Float32", [1_000_000], bytes(16))], "but has 16 bytes"),
        ([("a", "Float32", [2**62, 4], b"")], "but has 0 bytes"),
        ([("a", "Float32", [-1, -1], bytes(4))], "but has 4 bytes"),
        ([("a", "Float33", [1], bytes(4))], "of type 'Float33'"),
        ([("a", "Int4", [1], bytes(1))], "of type 'Int4'"),
        ([("a", "Int8", [1] * 9, bytes(1))], "the tensor of a has other fields"),
        ([("a", "str", [1], bytes(3))], "the text a has 3 bytes"),
        ([("a", "str", [1], b"\xff" * 4)], "can't decode"),
        ([("", "Int8", [1], bytes(1))], "a name has 0 bytes"),
        ([("a", "Int8", [1], bytes(1)), ("a", "Int16", [1], bytes(2))], "a stands twice"),
        ([], "it is empty"),
    ],
)
@pytest.mark.parametrize("has_sum", [True, False])
def test_lengths_and_types_of_checkpoints_are_compared_first(
    tensors: list[tuple[str, str, list[int], bytes]], reason: str, has_sum: bool, tmp_path: Path
):
    path = tmp_path / "a.ckpt"
    path.write_bytes(checkpoint_bytes(*tensors, has_sum=has_sum))
    with pytest.raises(UserError, match=reason):
        checkpoints.read(path)


# --- not a number ------------------------------------------------------------------------------


def training(at: int, weight: float, **changes: object) -> bytes:
    """A checkpoint of a training, with one weight."""
    counts = {"step": at, "steps_per_epoch": 8, "batch_size": 1, "rank_size": 1}
    fact = json.dumps({**counts, "accumulate_steps": 1, "config": {}, **changes})
    return checkpoint_bytes(
        ("w", "Float32", [2], np.array([1, weight], "<f4").tobytes()),
        ("training.accumulated.w", "Float32", [1], np.array([np.inf], "<f4").tobytes()),
        (resume.PROGRESS, "str", [len(fact)], fact.encode("utf-32-le")),
    )


@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_resume_passes_over_weights_that_are_not_finite(
    weight: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "centernet-1_4.ckpt").write_bytes(training(4, 2.0))
    bad = tmp_path / "centernet-1_8.ckpt"
    bad.write_bytes(training(8, weight))
    assert resume.find(resume.NEWEST, tmp_path).progress.step == 4
    said = capsys.readouterr().out
    assert f"{bad}: 1 of 1 tensors hold numbers that are not finite (w)" in said
    with pytest.raises(UserError, match="not finite"):
        resume.find(str(bad), tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"step": 2**31}, {"step": 10**400}, {"steps_per_epoch": 0}, {"batch_size": True},
        {"config": []}, {"step": None},
    ],
)  # fmt: skip
def test_resume_passes_over_progress_texts_that_say_nothing(
    changes: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "centernet-1_4.ckpt").write_bytes(training(4, 2.0))
    (tmp_path / "centernet-1_8.ckpt").write_bytes(training(8, 2.0, **changes))
    assert resume.find(resume.NEWEST, tmp_path).progress.step == 4
    assert "centernet-1_8.ckpt: another version of this project wrote" in capsys.readouterr().out


def test_a_configuration_of_any_form_in_a_checkpoint_is_compared(tmp_path: Path):
    deep = json.loads('{"train_config":' * 900 + "{}" + "}" * 900)
    path = tmp_path / "centernet-1_4.ckpt"
    path.write_bytes(training(4, 2.0, config={"seed": "x" * 10**6, "train_config": deep}))
    stopped = resume.find(str(path), tmp_path)
    assert len(resume.changed_settings(stopped.config, config())) < 20_000


def test_a_training_that_diverged_keeps_the_last_finite_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    network = ms.nn.Dense(2, 2)
    step = TrainStep(network, ms.nn.SGD(network.trainable_params()), step_options(config()))
    start = resume.Progress(0, 8, 1, 1, 1)
    saver = Saver(config("--save_checkpoint_path", str(tmp_path)), network, step, start)
    keeper = CheckpointKeeper({resume.NAME: saver.save}, saver.folder, Plan(8, 8, 1, 1), 2, 1)
    keeper.save(2)
    weight = network.weight.asnumpy().copy()
    weight[1, 1] = np.nan
    network.weight.set_data(ms.Tensor(weight))
    keeper.save(4)
    assert "1 of" in (said := capsys.readouterr().out) and "the training has diverged" in said
    keeper.on_train_step_end(SimpleNamespace(original_args=lambda: SimpleNamespace(cur_step_num=8)))
    with pytest.raises(UserError, match="the training has diverged"):  # exit code 2
        EndTogether(keeper, Device("CPU", 0, 1)).on_train_end(None)
    assert [path.name for path in saver.folder.iterdir()] == ["centernet-1_2.ckpt"]
    saver.save_bad(8)  # to look at
    assert (saver.folder / "bad.ckpt").exists()


def test_one_weight_that_is_not_finite_is_refused(tmp_path: Path):
    options = config("--config_path", str(QUICKSTART))
    network = create_network(options)
    weights = {name: p.asnumpy().copy() for name, p in network.parameters_and_names()}
    weights["heads.hm.2.bias"][0] = np.nan
    path = tmp_path / "one.safetensors"
    path.write_bytes(safetensors.numpy.save(weights))
    with pytest.raises(UserError, match=r"1 of \d+ tensors .* \(heads.hm.2.bias\)"):
        weights_of.read_weights(path)


def test_a_score_that_is_not_finite_is_refused():
    detector = detector_of(config(), lambda images: rows, keep_res=True)
    rows = np.zeros((1, config().eval_config.K, 6), np.float32)
    rows[0, :, 2:4], rows[0, :, 4] = 4, 0.5
    assert len(detector(np.zeros((64, 64, 3), np.uint8)))
    rows[0, 7, 4] = np.nan
    with pytest.raises(UserError, match="not finite"):
        detector(np.zeros((64, 64, 3), np.uint8))


def overflowing(head: str, *options: str) -> tuple[Config, Network]:
    """A configuration, and its network with finite weights, by which one head overflows."""
    values = config("--config_path", str(QUICKSTART), *options)
    network = create_network(values)
    parameters = dict(network.parameters_and_names())
    for name in (f"heads.{head}.0.weight", f"heads.{head}.2.weight"):
        large = np.full(parameters[name].shape, 3e38, np.float32)
        parameters[name].set_data(ms.Tensor(large))
    return values, network


@pytest.mark.parametrize(
    ("head", "options"),
    [
        ("hm", ()),
        ("hm", ("--eval_config.flip_test", "true")),
        ("hm", ("--eval_config.multi_scales", "[1,1.5]")),
        ("reg", ("--eval_config.SOFT_NMS", "true")),
        ("wh", ("--eval_config.keep_res", "false")),
    ],
)
def test_finite_weights_whose_heads_overflow_have_no_boxes(
    head: str, options: tuple[str, ...], tmp_path: Path
):
    values, network = overflowing(head, *options)
    detector = create_detector(values, network)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    with pytest.raises(UserError, match="the network's boxes are not finite"):
        detector(image)
    (tmp_path / "a.mp4").write_bytes(hostile.sound("video"))
    cv2.imwrite(str(tmp_path / "a.png"), image)
    predictor = Predictor(detector.detect, values.dataset_config.coco_classes, 0.3)
    for name in ("a.png", "a.mp4"):
        sources = find_sources(str(tmp_path / name), tmp_path / "out")
        with pytest.raises(UserError, match="the network's boxes are not finite"):
            predict_all(sources, predictor, decoder("cv2"))
        assert not [path for path in tmp_path.glob("out/*") if path.is_file()]


def test_a_model_whose_heads_overflow_is_not_exported(tmp_path: Path):
    values, network = overflowing("hm")
    model = with_decode(network, values, None)
    with pytest.raises(UserError, match="the network's boxes are not finite"):
        write_mindir(
            model, (1, 3, 32, 32), "float32", tmp_path / "a.mindir", version=1, tolerance=1e-3
        )
    assert not list(tmp_path.iterdir())


# --- messages ----------------------------------------------------------------------------------


def test_messages_hold_no_control_characters_and_are_short():
    said = str(UserError("a\x1b[2J\nerror: all is well\u202e\udcff\r\x9b/ä 漢　字: x."))
    assert said == "a\\x1b[2J\\nerror: all is well\\u202e\\udcff\\r\\x9b/ä 漢　字: x."
    said = str(UserError("x" * 10**6 + "; the remedy."))
    assert len(said) == 1200 and said.endswith("; the remedy.")


def test_names_inside_files_cannot_write_to_the_terminal(tmp_path: Path, program: Program):
    (tmp_path / "d" / "annotations").mkdir(parents=True)
    (tmp_path / "d" / "val2017").mkdir()
    image = {"id": 1, "file_name": "\x1b[31mä\nerror: fine.jpg", "width": 9, "height": 9}
    content = {"images": [image], "annotations": [], "categories": [{"id": 1, "name": "circle"}]}
    (tmp_path / "d" / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    done = program(
        "preprocess.py",
        *("--config_path", QUICKSTART, "--val_data_dir", "d", "--predict_dir", "p"),
        cwd=tmp_path,
        PYTHONIOENCODING="ascii",
    )
    assert_refused(done, "\\x1b[31m\\xe4\\nerror: fine.jpg")
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["é" * 300, "%2e" * 300, "a\\" * 3000, "\0ä", "\udcff%"])
def test_a_name_that_no_file_can_have_costs_its_image_alone(name: str, tmp_path: Path):
    content = json.loads(hostile.sound("annotations"))
    content["images"][1]["file_name"] = name
    path, options = tmp_path / "a.json", config("--config_path", str(QUICKSTART)).dataset_config
    path.write_text(json.dumps(content))
    bad = coco.BadRecords("skip")
    content = coco.read_annotation_file(path)
    records = coco.read_records(content, path, tmp_path, options, bad)
    assert {0, 2, 3} <= {record.image_id for record in records}


# --- MindRecord sets ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["coco_det.train.mind0", "coco_det.train.mind0.db"])
def test_training_does_not_open_changed_mindrecord_files(
    name: str, mindrecord: Path, tmp_path: Path
):
    copy = Path(shutil.copytree(mindrecord, tmp_path / "copy"))
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).chmod(0o600)
    (copy / name).write_bytes(content)
    options = config("--config_path", str(QUICKSTART)).dataset_config
    with pytest.raises(UserError, match=f"{name}: its content is not what was written"):
        create_train_dataset(
            options,
            TASK,
            copy,
            "coco_det.train.mind",
            down_ratio=4,
            batch_size=4,
            shuffle=False,
            seed=1,
        )
    # Each of two processes looks at one half of the files.
    found = []
    for part in range(2):
        manifest = load_manifest(copy, "coco_det.train.mind")
        try:
            check_content(copy, manifest, 1, part, 2)
        except UserError:
            found.append(part)
    assert len(found) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"images": -5}, {"images": 2**70}, {"images": True}, {"files": {"../x": 1}},
        {"files": {"../x": {"size": 1, "sha256": ""}}}, {"files": []}, {"class_names": [1]},
    ],
)  # fmt: skip
def test_manifests_that_lie_are_refused(
    changes: dict[str, object], mindrecord: Path, tmp_path: Path
):
    manifest = json.loads((mindrecord / "coco_det.train.mind.json").read_bytes())
    (tmp_path / "a.json").write_text(json.dumps({**manifest, **changes}))
    with pytest.raises(UserError, match=r"a\.json: is not a manifest"):
        load_manifest(tmp_path, "a")


# --- all readers -------------------------------------------------------------------------------


def assert_reads_or_refuses(reader: str, first: int, count: int, folder: Path) -> None:
    """Gives a reader inputs in a process of its own, see tests/hostile.py."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile", reader, str(first), str(count), str(folder)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=60 + count,
    )
    said = done.stdout.splitlines()
    seeds = [line for line in said if line.isdigit()]
    found = [line for line in said if not line.startswith("[") and not line.isdigit()]
    problem = "\n".join([*found[:40], *seeds[-1:], done.stderr[-2000:]])
    assert done.returncode == 0 and str(first + count - 1) in seeds, problem


@pytest.mark.parametrize("reader", hostile.NAMES)
def test_a_hundred_inputs_that_lie_end_in_a_result_or_a_sentence(reader: str, tmp_path: Path):
    if reader == "pth":
        pytest.importorskip("torch", reason="files of PyTorch are read by PyTorch")
    assert_reads_or_refuses(reader, 0, 100, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("reader", hostile.NAMES)
def test_two_thousand_inputs_that_lie_end_in_a_result_or_a_sentence(reader: str, tmp_path: Path):
    if reader == "pth":
        pytest.importorskip("torch", reason="files of PyTorch are read by PyTorch")
    assert_reads_or_refuses(reader, 1_000_000, 2000, tmp_path)


@pytest.mark.parametrize("value", [1e30, -1.0, None, True, 10**400, 1e308, "x", [1], math.nan])
@pytest.mark.parametrize("name", ["step", "loss", "lr", "overflow", "AP"])
def test_curves_are_drawn_of_any_metrics_file(name: str, value: object, tmp_path: Path):
    sound = hostile.sound("metrics").decode().splitlines()
    odd = json.dumps({**json.loads(sound[0]), name: value})
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join([*sound, odd, '{"step": 9}', '{"step": 9, "AP": 0.5}', "{}"]))
    assert curves.training_curves(read_records(path)).axes


# --- values ------------------------------------------------------------------------------------

EXTREMES = [
    1e308, -1e308, 1e-320, 0, -1, 2**31, 2**63, 10**400, math.nan, math.inf, [],
    [1e308, 1e308, 1e308], [[1e308] * 3] * 3, [2**40, 2**40], ["", "\0"],
]  # fmt: skip


DEFAULTS = config().model_dump()


def changed_values(name: str, value: object) -> dict[str, object]:
    """The default configuration with another value."""
    values = copy.deepcopy(DEFAULTS)
    *sections, last = name.split(".")
    group = values
    for section in sections:
        group = group[section]
    group[last] = value
    return values


def test_every_number_has_bounds():
    """What is taken stays a number in int32 (a seed: uint32) and in float32."""
    for name, _ in leaves(DEFAULTS):
        for value in EXTREMES:
            try:
                taken = Config.model_validate(changed_values(name, value)).model_dump()
            except ValidationError:
                continue
            for number in np.ravel(np.array(dict(leaves(taken))[name])).tolist():
                if isinstance(number, str):
                    continue
                assert type(number) is float or number < 2**31 or name == "seed", (name, value)
                assert math.isfinite(np.float32(number)), (name, value)
                if np.float32(number) == 0:
                    Config.model_validate(changed_values(name, type(value)(0)))  # as good as 0


def test_trainings_without_end_and_rates_that_are_not_finite_are_refused():
    recipe = config().train_config
    with pytest.raises(UserError, match="would have 10,000,000,000 steps"):
        learning_rates(recipe, 10**10, 100_000)
    options = ("--train_config.lr_schedule", "MultiDecay", "--train_config.MultiDecay.factor")
    with pytest.raises(UserError, match="of update 4 is not finite"):
        learning_rates(
            config(*options, "1e-30", "--train_config.MultiDecay.multi_epochs", "[3, 3, 3]")
            .train_config, 8, 1
        )  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        "seed: 2024-01-32", "seed: 2024-13-01", "seed: 2024-01-01", "seed: " + "9" * 5000,
        "seed: 0x" + "f" * 5000, "seed: 1" + ":59" * 2000, "seed: &a [*a]", "seed: &a {b: *a}",
        "train_config: &a {Adam: *a}", "dataset_config: &a {mean: [*a, *a, *a]}",
        "net_config: &a {block_class: &b [*a, *b]}", "seed: 1e", "seed: 1e+", "seed: 0b",
        "seed: 0o9", "seed: .", "seed: +", "seed: *a", "seed: !!binary x", "seed: !!set {a, b}",
        "seed: !!omap [a: 1]", "seed: !!timestamp x", "seed: !!int x", "seed: !!float x",
        "<<: 1", "<<: [1]", "<<: &a {<<: *a}", "? [a]\n: 1", "? {a: 1}\n: 1", "? !!null\n: 1",
        "seed: \x01", "\ufeffseed: 1\n---\nseed: 1", "%YAML 9.9\n---\nseed: x", "seed: 1\n...\nx",
        "1: 2", "null: 1", ".nan: 1", "a.b: 1", "seed.x: 1", '"": 1', "train_config: {1: 2}",
        "data_url: '\\0'", 'data_url: "\\0"', 'data_url: "\\ud800"', "dataset_config: {mean: .inf}",
        "eval_config: {multi_scales: [.nan]}", "dataset_config: {coco_classes: [[a], {b: c}]}",
        "train_config: {loss_scale: [1]}", "train_config: {loss_scale: {}}", "resume: {a: 1}",
    ],
)  # fmt: skip
def test_a_yaml_of_any_kind_ends_in_a_value_or_a_sentence(content: str, tmp_path: Path):
    path = tmp_path / "a.yaml"
    path.write_text(content)
    try:
        config("--config_path", str(path))
    except UserError as error:
        assert str(error).isprintable() and len(str(error)) <= 1200


@pytest.mark.parametrize("how", ["packed", "cut", "larger"])
def test_archives_that_lie_are_not_given_to_pytorch(how: str, tmp_path: Path):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        kind = zipfile.ZIP_DEFLATED if how == "packed" else zipfile.ZIP_STORED
        archive.writestr("archive/data.pkl", bytes(100_000), kind)
    content = bytearray(path.read_bytes())
    if how == "cut":
        del content[-30:]
    elif how == "larger":  # its size in the archive's list, twice
        at = content.rindex(b"PK\x01\x02")
        content[at + 20 : at + 28] = (2**31 - 1).to_bytes(4, "little") * 2
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged or truncated file of PyTorch"):
        files.read(path)
