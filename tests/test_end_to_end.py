# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The whole path on small data: converter, training, evaluation, export, C++ application."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import mindspore as ms
import numpy as np
import pytest
from pycocotools.coco import COCO

from src.deploy.comparison import largest_difference
from src.model_utils.parameters import Config
from src.tasks.boxes import TASK
from src.training.metrics import read_records
from tests.conftest import PROJECT, QUICKSTART, Program, assert_refused
from tests.helpers import assert_same

CPU = ("--config_path", QUICKSTART, "--device_target", "CPU")


def test_manifest_states_what_was_converted(mindrecord: Path, shapes: Path):
    manifest = json.loads((mindrecord / "coco_det.train.mind.json").read_text())
    truth = json.loads((shapes / "annotations" / "instances_train2017.json").read_text())
    assert manifest["images"] == 32
    assert manifest["boxes"] == len(truth["annotations"])
    assert manifest["class_names"] == ["circle", "square", "triangle", "star", "ring"]
    files = {path.name: path.stat().st_size for path in mindrecord.iterdir()}
    del files["coco_det.train.mind.json"]
    assert {name: entry["size"] for name, entry in manifest["files"].items()} == files


def test_training_batches_hold_the_images_of_the_set(mindrecord: Path, shapes: Path):
    from src.data.loader import create_train_dataset
    from src.model_utils.config import load_config

    config = load_config("test", ["--config_path", str(QUICKSTART)])
    place = (config.dataset_config, TASK, mindrecord, config.mindrecord_prefix)
    how = {"down_ratio": 4, "batch_size": 5, "shuffle": False, "seed": 3}
    dataset = create_train_dataset(*place, **how)
    batches = list(dataset.create_dict_iterator(num_epochs=1, output_numpy=True))
    assert len(batches) == 6  # 32 images, the last two dropped
    assert batches[0]["image"].shape == (5, 128, 128, 3)
    assert batches[0]["image"].dtype == np.uint8
    assert batches[0]["colour"].shape == (5, 3, 4)
    assert batches[0]["objects"].shape == (5, 8, 8)
    classes = np.concatenate([batch["objects"][:, :, 7].ravel() for batch in batches])
    assert set(classes[classes >= 0]) == {0, 1, 2, 3, 4}
    again = create_train_dataset(*place, **how)
    first = next(again.create_dict_iterator(num_epochs=1, output_numpy=True))
    assert all(np.array_equal(first[name], batches[0][name]) for name in first)


def test_a_training_without_finite_losses_ends_with_a_checkpoint_and_one_sentence(
    mindrecord: Path, program: Program, tmp_path: Path
):
    rate = [f"--train_config.{name}.learning_rate=1e30" for name in ("PolyDecay", "MultiDecay")]
    done = program(
        "train.py",
        *CPU,
        *("--mindrecord_dir", mindrecord, "--train_steps", 40, *rate),
        *("--train_config.PolyDecay.warmup_steps", 0, "--train_config.MultiDecay.warmup_steps", 0),
        *("--train_config.max_bad_steps", 3, "--save_checkpoint_steps", 1000),
        cwd=tmp_path,
    )
    assert_refused(done, "3 batches in a row had a loss that was not finite", "learning rate")
    (path,) = (tmp_path / "ckpt_0").glob("*.ckpt")  # not one that --resume would take
    assert f"checkpoint of the bad state: {path.relative_to(tmp_path)}" in done.stdout
    assert path.name == "bad.ckpt"


def test_averaged_weights_are_written_beside_and_load_like_others(
    mindrecord: Path, program: Program, tmp_path: Path
):
    done = program(
        "train.py",
        *CPU,
        *("--mindrecord_dir", mindrecord, "--train_steps", 3, "--save_checkpoint_steps", 1),
        *("--train_config.ema_decay", 0.5, "--save_checkpoint_num", 2),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "ckpt_0"
    assert sorted(path.name for path in folder.glob("*.ckpt")) == [
        *("centernet-1_2.ckpt", "centernet-2_3.ckpt"),
        *("centernet_ema-1_2.ckpt", "centernet_ema-2_3.ckpt"),
    ]
    name = "features.backbone.conv1.weight"
    before, after = (
        [ms.load_checkpoint(str(folder / f"{kind}-{end}.ckpt"))[name].asnumpy()
         for kind in ("centernet", "centernet_ema")]
        for end in ("1_2", "2_3")
    )  # fmt: skip
    # average + (1 - 0.5) * (weight - average), of the weights after the step.
    np.testing.assert_allclose(after[1], (before[1] + after[0]) / 2, rtol=1e-5, atol=1e-8)
    assert np.abs(after[1] - after[0]).max() > 0


@pytest.mark.parametrize("sink", [("false", 1, 6), ("true", 3, 2), ("true", -1, 3)])
def test_training_prints_the_documented_lines(
    sink: tuple, mindrecord: Path, program: Program, tmp_path: Path
):
    enabled, steps, lines = sink
    done = program(
        "train.py",
        *CPU,
        *("--mindrecord_dir", mindrecord, "--train_steps", 6, "--save_checkpoint_steps", 4),
        *("--enable_data_sink", enabled, "--data_sink_steps", steps),
        *("--save_checkpoint_num", 2),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    number = r"[-+.e\d]+"
    pattern = (
        rf"epoch: (\d+), current epoch percent: ({number}), step: (\d+), loss: {number}, "
        rf"hm_loss: {number}, wh_loss: {number}, off_loss: {number}, lr: {number}, "
        r"overflow: False, scale: 1024, images/s: .*, time left: .*"
    )
    found = re.findall(pattern, done.stdout)
    assert len(found) == lines
    assert found[-1] == ("3", "1.000", "6")  # two steps of 16 images an epoch
    assert (
        len(re.findall(rf"epoch time: {number} ms, per step time: {number} ms", done.stdout)) == 3
    )
    names = sorted(path.name for path in (tmp_path / "ckpt_0").iterdir())
    assert names == ["centernet-2_4.ckpt", "centernet-3_6.ckpt", "metrics.jsonl", "training.png"]
    records = read_records(tmp_path / "ckpt_0" / "metrics.jsonl")
    printed = re.findall(r"step: (\d+), loss: (\S+),", done.stdout)
    assert [(str(record["step"]), f"{record['loss']:.5f}") for record in records] == printed


def test_training_repeats_itself_and_a_seed_changes_it(
    mindrecord: Path, program: Program, tmp_path: Path
):
    losses = {}
    for run, seed, workers in (("a", 1, 1), ("b", 1, 2), ("c", 2, 1)):
        done = program(
            "train.py",
            *CPU,
            *("--mindrecord_dir", mindrecord, "--train_steps", 2, "--enable_save_ckpt", "false"),
            *("--seed", seed, "--dataset_config.num_workers", workers),
            *("--enable_data_sink", "false"),
            cwd=tmp_path,
        )
        losses[run] = re.findall(r" loss: (\S+),", done.stdout)
    assert len(losses["a"]) == 2
    assert losses["a"] == losses["b"] != losses["c"]
    assert not list(tmp_path.glob("ckpt*"))


def test_training_starts_from_a_checkpoint(
    checkpoint: Path, mindrecord: Path, program: Program, tmp_path: Path
):
    done = program(
        "train.py",
        *CPU,
        *("--mindrecord_dir", mindrecord, "--train_steps", 1, "--enable_save_ckpt", "false"),
        *("--load_checkpoint_path", checkpoint),
        cwd=tmp_path,
    )
    loss = float(re.search(r" loss: (\S+),", done.stdout)[1])
    records = read_records(checkpoint.parent / "metrics.jsonl")
    assert records[0]["step"] == 1  # from random weights, on the same batch
    assert loss < records[0]["loss"]


def test_evaluating_does_not_change_the_training_and_keeps_the_best(
    checkpoint: Path, mindrecord: Path, shapes: Path, program: Program, tmp_path: Path
):
    done = program(  # as the fixture `checkpoint`, and evaluated
        "train.py",
        *CPU,
        *("--mindrecord_dir", mindrecord, "--train_steps", 4),
        *("--eval_interval", 1, "--data_dir", shapes),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "ckpt_0"
    assert_same(folder / checkpoint.name, checkpoint)
    records = read_records(folder / "metrics.jsonl")
    evaluations = [record for record in records if "AP" in record]
    assert [(record["epoch"], record["step"]) for record in evaluations] == [(1, 2), (2, 4)]
    assert all(set(TASK.numbers) < set(record) for record in evaluations)
    printed = re.findall(r"^evaluation: .*step: (\d+), AP: (\S+), AP50", done.stdout, re.MULTILINE)
    assert printed == [(str(record["step"]), f"{record['AP']:.4f}") for record in evaluations]
    best = max(evaluations, key=lambda record: record["AP"])  # the first of equals
    held = ms.load_checkpoint(str(folder / "best.ckpt"))
    assert json.loads(held["training.progress"])["step"] == best["step"]
    if best["step"] == 4:
        assert_same(folder / "best.ckpt", checkpoint)
    assert cv2.imread(str(folder / "training.png")) is not None


def test_averages_are_evaluated_where_they_are_kept(
    mindrecord: Path, shapes: Path, program: Program, tmp_path: Path
):
    data = ("--data_dir", shapes, "--eval_config.num_images", 4)
    done = program(
        "train.py",
        *(*CPU, *data, "--mindrecord_dir", mindrecord, "--train_steps", 4, "--eval_interval", 1),
        *("--train_config.ema_decay", 0.5, "--train_config.ema_kind", "threshold"),
        *("--save_checkpoint_steps", 2, "--save_checkpoint_num", 2),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "ckpt_0"
    evaluations = [record for record in read_records(folder / "metrics.jsonl") if "AP" in record]
    assert [record["of_averages"] for record in evaluations] == [True, True]
    assert len(re.findall(r"^evaluation: .*, weights: averaged$", done.stdout, re.MULTILINE)) == 2
    assert "best checkpoint so far: ckpt_0/best.ckpt, averaged weights" in done.stdout
    best = max(evaluations, key=lambda record: record["AP"])
    assert_same(folder / "best.ckpt", folder / f"centernet_ema-{best['epoch']}_{best['step']}.ckpt")
    options = ("--load_checkpoint_path", "ckpt_0/best.ckpt", "--save_result_dir", "best")
    done = program("eval.py", *CPU, *data, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    numbers = json.loads((tmp_path / "best" / "eval.json").read_text())["numbers"]
    assert numbers == {name: best[name] for name in numbers}


def test_a_log_that_nobody_takes_does_not_end_a_training(mindrecord: Path, tmp_path: Path):
    options = (*CPU, "--mindrecord_dir", mindrecord, "--train_steps", 2)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            list(map(str, [sys.executable, PROJECT / "train.py", *options])),
            cwd=tmp_path, stdout=full, stderr=full, timeout=600, check=False,
        )  # fmt: skip
    assert done.returncode == 0
    assert [entry["step"] for entry in read_records(tmp_path / "ckpt_0" / "metrics.jsonl")] == [2]
    ms.load_checkpoint(str(tmp_path / "ckpt_0" / "centernet-1_2.ckpt"))


def test_profiler_and_pictures_of_the_training_are_written_when_asked(
    mindrecord: Path, program: Program, tmp_path: Path
):
    done = program(
        "train.py",
        *CPU,
        *("--mindrecord_dir", mindrecord, "--train_steps", 2, "--enable_save_ckpt", "false"),
        *("--need_profiler", "true", "--profiler_path", "profile"),
        *("--visual_image", "true", "--save_result_dir", "pictures"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "profile").rglob("*cpu_op_type_info*"))
    (tmp_path / "plain").touch()
    usual = (tmp_path / "plain").stat().st_mode
    assert all(path.stat().st_mode == usual for path in tmp_path.rglob("*") if path.is_file())
    (timeline,) = (tmp_path / "profile").rglob("trace_view.json")
    names = {event["name"] for event in json.loads(timeline.read_text())}
    assert any("Conv2D" in name for name in names)
    assert len(list((tmp_path / "pictures").glob("*.jpg"))) == 16


@pytest.mark.parametrize("script", ["train.py", "eval.py", "export.py"])
def test_no_program_runs_onednns_reference_convolution(
    script: str, checkpoint: Path, mindrecord: Path, shapes: Path, program: Program, tmp_path: Path
):
    options = {
        "train.py": ("--mindrecord_dir", mindrecord, "--train_steps", 1),
        "eval.py": ("--load_checkpoint_path", checkpoint, "--data_dir", shapes),
        "export.py": ("--export_load_ckpt", checkpoint),
    }[script]
    done = program(script, *CPU, *options, cwd=tmp_path, ONEDNN_VERBOSE="1")
    assert done.returncode == 0, done.stderr
    convolutions = [line for line in done.stdout.splitlines() if ",convolution," in line]
    assert convolutions
    assert not [line for line in convolutions if "ref:any" in line]


def test_evaluation_writes_results_pictures_and_numbers(
    checkpoint: Path, shapes: Path, program: Program, tmp_path: Path
):
    data = Path(shutil.copytree(shapes, tmp_path / "data"))
    path = data / "annotations" / "instances_val2017.json"
    truth = json.loads(path.read_text())
    for number, image in enumerate(truth["images"][:2], 1):  # of one name in two folders
        folder = data / "val2017" / f"cam{number}"
        folder.mkdir()
        (data / "val2017" / image["file_name"]).rename(folder / "0001.jpg")
        image["file_name"] = f"cam{number}/0001.jpg"
    path.write_text(json.dumps(truth))
    done = program(
        "eval.py",
        *CPU,
        *("--load_checkpoint_path", checkpoint, "--data_dir", data, "--visual_image", "true"),
        *("--eval_config.num_images", 3, "--eval_config.multi_scales", "[0.75, 1.0]"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results_val.json").read_text())
    assert {entry["image_id"] for entry in results} == {1000001, 1000002, 1000003}
    assert {entry["category_id"] for entry in results} <= {1, 2, 4, 7, 9}
    names = [image["file_name"] for image in truth["images"][:3]]
    pictures = (tmp_path / "pictures").rglob("*.jpg")
    assert {str(file.relative_to(tmp_path / "pictures")) for file in pictures} == set(names)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    shown = re.findall("<figcaption><b>([^<]*)", page)
    assert shown and set(shown) <= set(names)
    assert f"overall performance on {path}, 3 of its 8 images\n" in done.stdout

    report = json.loads((tmp_path / "eval.json").read_text())
    assert tuple(report["numbers"]) == TASK.numbers
    printed = re.findall(r"^ Average .* = (\S+)$", done.stdout, re.MULTILINE)
    assert printed == [f"{number:.3f}" for number in report["numbers"].values()]
    for category in truth["categories"]:
        own = [
            entry["image_id"]
            for entry in truth["annotations"]
            if entry["category_id"] == category["id"] and entry["image_id"] <= 1000003
        ]
        found = report["classes"].pop(category["name"])
        assert (found["images"], found["objects"]) == (len(set(own)), len(own))
        row = rf"^{category['name']} +{found['images']} +{found['objects']} "
        assert re.search(row, done.stdout, re.MULTILINE)
    assert not report["classes"]
    assert (report["images"], report["boxes"]) == (3, len(results))
    assert report["seconds"]["detection"] > 0 and report["seconds"]["scoring"] > 0
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert report["checkpoint"] == {"path": str(checkpoint), "sha256": digest}
    assert report["config"]["eval_config"]["multi_scales"] == [0.75, 1.0]
    assert Config.model_validate(report["config"]).data_dir == str(data)


def test_evaluation_says_what_the_data_set_lacks(
    checkpoint: Path, shapes: Path, program: Program, tmp_path: Path
):
    data = Path(shutil.copytree(shapes, tmp_path / "data"))
    path = data / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text())
    assert content["categories"].pop()["id"] == 9
    path.write_text(json.dumps({**content, "annotations": []}))
    options = ("--load_checkpoint_path", checkpoint, "--data_dir", data)
    done = program("eval.py", *CPU, *options, "--eval_config.num_images", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "boxes of 1 class(es) that the data set lacks are left out" in done.stdout
    assert "these images hold no object" in done.stdout
    report = json.loads((tmp_path / "eval.json").read_text())
    assert set(report["numbers"].values()) == {-1}
    nothing = {"AP": None, "AP50": None, "images": 0, "objects": 0}
    assert set(map(str, report["classes"].values())) == {str(nothing)}


def test_evaluation_leaves_unreadable_images_out_or_ends_if_all_are(
    checkpoint: Path, shapes: Path, program: Program, tmp_path: Path
):
    data = Path(shutil.copytree(shapes, tmp_path / "data"))
    first, second = sorted((data / "val2017").iterdir())[:2]
    first.write_bytes(b"no image")
    options = ("--load_checkpoint_path", checkpoint, "--data_dir", data, "--on_bad_record", "skip")
    options += ("--eval_config.num_images", 2)
    done = program("eval.py", *CPU, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{first}: image 1000001 does not decode" in done.stderr
    report = json.loads((tmp_path / "eval.json").read_text())
    assert (report["images"], report["unreadable"]) == (1, 1)
    second.unlink()
    done = program("eval.py", *CPU, *options, cwd=tmp_path)
    assert_refused(done, "instances_val2017.json: none of its images can be read")


def test_run_mode_test_writes_what_cocos_server_takes(
    checkpoint: Path, shapes: Path, program: Program, tmp_path: Path
):
    data = Path(shutil.copytree(shapes, tmp_path / "data"))
    content = json.loads((data / "annotations" / "instances_val2017.json").read_text())
    del content["annotations"]
    image_list = data / "annotations" / "image_info_test-dev2017.json"
    image_list.write_text(json.dumps(content))
    (data / "val2017").rename(data / "test2017")
    options = ("--load_checkpoint_path", checkpoint, "--data_dir", data, "--run_mode", "test")
    done = program("eval.py", *CPU, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Average Precision" not in done.stdout
    path = tmp_path / "detections_test-dev2017_centernet_results.json"
    assert f"to upload: zip {path.name}" in done.stdout
    assert "https://cocodataset.org/#upload" in done.stdout
    entries = json.loads(path.read_text())
    assert json.loads((tmp_path / "results_test.json").read_text()) == entries
    loaded = COCO(str(image_list)).loadRes(str(path))  # as the server does
    assert len(loaded.anns) == len(entries) > 0
    for entry in entries:
        assert set(entry) == {"image_id", "category_id", "bbox", "score"}
        assert {type(entry["image_id"]), type(entry["category_id"])} == {int}
        assert entry["category_id"] in {1, 2, 4, 7, 9}
        assert len(entry["bbox"]) == 4 and np.isfinite([*entry["bbox"], entry["score"]]).all()
    report = json.loads((tmp_path / "eval.json").read_text())
    assert report["numbers"] is report["classes"] is None


# The other two of the four are those of tests/test_infer_310.py.
@pytest.mark.parametrize(("deformable", "dtype"), [("gather", "float32"), ("none", "uint8")])
def test_the_application_gives_the_boxes_of_python(
    dtype: str,
    deformable: str,
    shapes: Path,
    infer_app: Path,
    program: Program,
    tmp_path: Path,
):
    network = ("--net_config.deformable", deformable, "--export_config.input_dtype", dtype)
    checkpoint = tmp_path / "seeded.ckpt"
    write_seeded_checkpoint(checkpoint, (*CPU, *network))
    done = program(
        "export.py",
        *CPU,
        *network,
        *("--export_load_ckpt", checkpoint, "--export_name", "tiny", "--mindir_version", 1),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    done = program(
        "scripts/run_infer_310.sh",
        *("tiny.mindir", shapes, "y"),
        cwd=tmp_path,
        DEVICE_TARGET="CPU",
    )
    assert done.returncode == 0, done.stderr
    assert "8 images, 310 infer result" in (tmp_path / "acc.log").read_text()
    assert "of infer_count 8" in (tmp_path / "time_Result" / "test_perform_static.txt").read_text()
    assert worst_difference(tmp_path, checkpoint, (*CPU, *network)) < 1e-3


def write_seeded_checkpoint(path: Path, options: tuple) -> None:
    """Weights that all matter: offsets of pixels, BatchNorm statistics, scores that differ.

    Last layers and offsets are a tenth of what tests/oracles/seeded.py makes them: with those an
    input changed by 1e-7 of its value moves the logits by 2e-3, and no two runtimes can agree.
    """
    from src.model_utils.config import load_config
    from src.models.network import create_network
    from src.weights import checkpoints
    from tests.helpers import set_seeded_parameters

    config = load_config("test", [str(option) for option in options])
    network = create_network(config)
    set_seeded_parameters(network)
    for name, parameter in network.parameters_and_names():
        if name.endswith((".2.weight", "conv_offset.weight")):
            parameter.set_data(parameter * 0.1)
    checkpoints.save(network.parameters_and_names(), path)


def worst_difference(folder: Path, checkpoint: Path, options: tuple) -> float:
    """Largest difference between the application's result files and the network in Python."""
    import mindspore as ms

    from src.data.augment import colour_statistics, normalisation
    from src.model_utils.config import load_config
    from src.models.network import create_network, with_decode
    from src.weights import checkpoints

    config = load_config("test", [str(option) for option in options])
    dataset = config.dataset_config
    uint8 = config.export_config.input_dtype == "uint8"
    colour = normalisation(colour_statistics(dataset)) if uint8 else None
    network = create_network(config)
    checkpoints.fill(network, checkpoints.read(checkpoint), checkpoint)
    model = with_decode(network, config, colour)
    worst = 0.0
    inputs = sorted((folder / "preprocess" / "data").glob("*.bin"))
    assert inputs
    for path in inputs:
        image = np.fromfile(path, np.uint8 if uint8 else np.float32)
        image = image.reshape(1, 3, *dataset.input_res_test)
        expected = model(ms.Tensor(image)).asnumpy()
        found = np.fromfile(folder / "result_Files" / f"{path.stem}_0.bin", np.float32)
        assert (expected[0, :, 4] > expected[0, -1, 4] + 1e-4).sum() > 20  # something to compare
        worst = max(worst, largest_difference(found.reshape(expected.shape), expected))
    return worst


def test_a_mindir_that_does_not_fit_the_inputs_is_refused(
    checkpoint: Path, shapes: Path, infer_app: Path, program: Program, tmp_path: Path
):
    export = ("--export_load_ckpt", checkpoint, "--mindir_version", 1)
    done = program("export.py", *CPU, *export, "--export_config.input_dtype", "uint8", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "centernet.json").unlink()  # as of a version that wrote none
    done = program(  # float32 inputs, by the config's default
        "scripts/run_infer_310.sh",
        *("centernet.mindir", shapes, "y"),
        cwd=tmp_path,
        CONFIG_PATH=str(QUICKSTART),
        DEVICE_TARGET="CPU",
    )
    assert done.returncode == 2
    assert "holds 307200 bytes instead of 76800" in done.stderr
    assert not (tmp_path / "acc.log").exists()


def test_two_processes_train_together_from_a_rank_table_and_share_the_evaluations(
    mindrecord: Path, shapes: Path, program: Program, tmp_path: Path
):
    devices = [
        {"device_id": str(i), "device_ip": f"192.168.100.{i}", "rank_id": str(i)} for i in (0, 1)
    ]
    server = {"server_id": "127.0.0.1", "device": devices, "host_nic_ip": "reserve"}
    table = {"version": "1.0", "server_count": "1", "server_list": [server], "status": "completed"}
    (tmp_path / "rank_table.json").write_text(json.dumps(table))
    done = program(
        "scripts/run_distributed_train_ascend.sh",
        *(mindrecord, "rank_table.json", "--train_steps", 5, "--train_config.batch_size", 4),
        *("--eval_interval", 1, "--data_dir", shapes, "--eval_config.batch_size", 2),
        cwd=tmp_path,
        CONFIG_PATH=str(QUICKSTART),
        DEVICE_TARGET="CPU",
        FOREGROUND="1",
    )
    assert done.returncode == 0, done.stderr
    logs = [(tmp_path / f"LOG{i}" / "training_log.txt").read_text() for i in (0, 1)]
    assert all("4 an epoch, batch 4 on each of 2 CPU device(s)" in log for log in logs)
    assert all("epoch: 2, current epoch percent: 0.250, step: 5, " in log for log in logs)
    assert ["evaluation: epoch: 1, step: 4, AP: " in log for log in logs] == [True, False]
    shares = [re.findall(r"detect: 100%\|.*\| (\S+) \[", log)[-1] for log in logs]
    assert shares == ["4/4", "4/4"]  # of the 8 images
    names = sorted(path.name for path in (tmp_path / "LOG0" / "ckpt_0").iterdir())
    assert names == ["best.ckpt", "centernet-2_5.ckpt", "metrics.jsonl", "training.png"]
    assert not list((tmp_path / "LOG1").glob("ckpt*"))


@pytest.mark.parametrize(
    "script",
    [
        "convert_dataset_to_mindrecord",
        "run_standalone_train_ascend",
        "run_distributed_train_ascend",
        "run_standalone_eval_ascend",
        "run_distributed_eval_ascend",
        "run_distributed_eval_msrun",
        "run_infer_310",
    ],
)
def test_scripts_print_their_usage_on_wrong_arguments(
    script: str, program: Program, tmp_path: Path
):
    done = program(f"scripts/{script}.sh", "1", cwd=tmp_path)
    assert done.returncode == 2
    assert f"usage: bash {script}.sh " in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_script_in_the_background_says_its_log_and_process(
    shapes: Path, program: Program, tmp_path: Path
):
    done = program(
        "scripts/convert_dataset_to_mindrecord.sh",
        *(shapes, "out folder"),
        cwd=tmp_path,
        CONFIG_PATH=str(QUICKSTART),
    )
    assert done.returncode == 0
    assert f"log: {tmp_path}/create_dataset.log" in done.stdout
    assert re.search(r"process: \d+", done.stdout)


def test_a_script_in_the_foreground_has_its_programs_exit_code(program: Program, tmp_path: Path):
    script = "scripts/convert_dataset_to_mindrecord.sh"
    done = program(script, "absent", "out", cwd=tmp_path, FOREGROUND="1")
    assert done.returncode == 2
    assert "annotation file not found" in (tmp_path / "create_dataset.log").read_text()
