# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Bad input ends every program in one clear sentence and exit code 2, with nothing half-written."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.model_utils.errors import run_program
from tests.conftest import QUICKSTART, Program, assert_refused

CPU = ("--config_path", QUICKSTART, "--device_target", "CPU")


@pytest.fixture
def broken(shapes: Path, tmp_path: Path) -> Path:
    """A copy of the data set for a test to break."""
    return Path(shutil.copytree(shapes, tmp_path / "broken"))


def train(program: Program, folder: Path, *options: object):
    return program("train.py", *CPU, "--mindrecord_dir", folder, *options, cwd=folder)


def test_training_refuses_a_folder_without_a_finished_set(program: Program, tmp_path: Path):
    assert_refused(train(program, tmp_path), tmp_path, "no finished MindRecord set")


def test_training_refuses_a_set_that_lost_a_file(
    mindrecord: Path, program: Program, tmp_path: Path
):
    copy = Path(shutil.copytree(mindrecord, tmp_path / "copy"))
    (copy / "coco_det.train.mind3").unlink()
    assert_refused(train(program, copy), copy / "coco_det.train.mind3", "missing")


def test_training_refuses_a_set_of_other_categories(mindrecord: Path, program: Program):
    names = ("--dataset_config.coco_classes", "[a, b, c, d, e]")
    assert_refused(train(program, mindrecord, *names), "circle, square, triangle")


def test_training_refuses_a_batch_larger_than_the_set(mindrecord: Path, program: Program):
    batch = ("--train_config.batch_size", 33)
    assert_refused(train(program, mindrecord, *batch), "32 images do not fill one batch of 33")


def test_training_refuses_a_missing_checkpoint(mindrecord: Path, program: Program):
    absent = ("--load_checkpoint_path", "absent.ckpt")
    assert_refused(train(program, mindrecord, *absent), "absent.ckpt: checkpoint not found")


def test_training_refuses_several_devices_without_a_launcher(mindrecord: Path, program: Program):
    assert_refused(train(program, mindrecord, "--device_num", 8), "run_distributed_train_ascend.sh")


def test_evaluating_while_training_needs_a_data_set(
    mindrecord: Path, program: Program, tmp_path: Path
):
    interval = ("--eval_interval", 1)
    assert_refused(train(program, mindrecord, *interval), "--data_dir", "--eval_interval")
    done = train(program, mindrecord, *interval, "--data_dir", tmp_path)
    assert_refused(done, tmp_path / "annotations", "annotation file not found")
    assert "epoch: 1" not in done.stdout


def test_a_device_that_is_not_there_is_refused(mindrecord: Path, program: Program):
    done = train(program, mindrecord, "--device_target", "Ascend")
    assert_refused(done, "device_target Ascend", "--device_target CPU")


def test_modelarts_elsewhere_is_refused(mindrecord: Path, program: Program):
    assert_refused(train(program, mindrecord, "--enable_modelarts", "true"), "moxing")


@pytest.mark.parametrize("script", ["eval.py", "export.py"])
def test_a_foreign_checkpoint_is_refused_with_the_first_mismatches(
    script: str, checkpoint: Path, shapes: Path, program: Program, tmp_path: Path
):
    options = ("--load_checkpoint_path", checkpoint, "--data_dir", shapes)
    if script == "export.py":
        options = ("--export_load_ckpt", checkpoint)
    wide = ("--net_config.stage_channels", "[32, 64, 128]")
    done = program(script, *CPU, *options, *wide, cwd=tmp_path)
    assert_refused(
        done,
        checkpoint,
        "was made with net_config.stage_channels [32, 64, 96], but command line says "
        "[32, 64, 128]; leave it out there",
    )
    assert not list(tmp_path.iterdir())


def test_memory_that_is_full_ends_a_program_in_one_sentence(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        run_program(lambda: np.zeros(2**60, np.uint8))
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: memory is full (Unable to allocate 1.00 EiB")
    assert said.endswith("; lower batch sizes or the sizes of images.\n")


@pytest.mark.parametrize("script", ["eval.py", "export.py"])
def test_a_file_that_is_no_checkpoint_is_refused(
    script: str, shapes: Path, program: Program, tmp_path: Path
):
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    options = ("--load_checkpoint_path", "text.ckpt", "--data_dir", shapes)
    if script == "export.py":
        options = ("--export_load_ckpt", "text.ckpt")
    done = program(script, *CPU, *options, cwd=tmp_path)
    assert_refused(done, "text.ckpt: is not a MindSpore checkpoint")


def test_evaluation_refuses_a_broken_image(
    checkpoint: Path, broken: Path, program: Program, tmp_path: Path
):
    (broken / "val2017" / "000001000003.jpg").write_bytes(b"")
    options = ("--load_checkpoint_path", checkpoint, "--data_dir", broken)
    done = program("eval.py", *CPU, *options, "--save_result_dir", "out", cwd=tmp_path)
    assert_refused(done, "000001000003.jpg", "image 1000003 does not decode")
    assert not (tmp_path / "out").exists()  # nothing has begun


def test_evaluation_names_an_image_too_small_for_k_before_the_first_is_run(
    checkpoint: Path, broken: Path, program: Program, tmp_path: Path
):
    image = broken / "val2017" / "000001000003.jpg"
    cv2.imwrite(str(image), np.zeros((20, 20, 3), np.uint8))
    annotations = broken / "annotations" / "instances_val2017.json"
    content = json.loads(annotations.read_text())
    content["images"][2] |= {"width": 20, "height": 20}
    content["annotations"] = []
    annotations.write_text(json.dumps(content))
    options = ("--load_checkpoint_path", checkpoint, "--data_dir", broken)
    dense = ("--eval_config.keep_res", "true", "--eval_config.pad", 31, "--eval_config.K", 500)
    done = program("eval.py", *CPU, *options, *dense, cwd=tmp_path)
    assert_refused(done, image, "320 cells", "eval_config.K 500")
    assert "detect" not in done.stderr


def test_evaluation_refuses_an_absent_library_before_the_work(
    checkpoint: Path, shapes: Path, program: Program, tmp_path: Path
):
    absent = tmp_path / "absent" / "faster_coco_eval.py"  # found first, where it is installed
    absent.parent.mkdir()
    absent.write_text("raise ImportError('as if it were not there')")
    options = ("--load_checkpoint_path", checkpoint, "--data_dir", shapes)
    done = program(
        "eval.py",
        *(*CPU, *options, "--save_result_dir", "out"),
        *("--eval_config.coco_backend", "faster-coco-eval"),
        cwd=tmp_path,
        PYTHONPATH=str(absent.parent),
    )
    assert_refused(done, "pip install -r requirements/faster-coco-eval.txt")
    assert not (tmp_path / "out").exists()


def test_preprocess_refuses_a_folder_that_is_no_data_set(program: Program, tmp_path: Path):
    done = program("preprocess.py", "--val_data_dir", tmp_path, "--predict_dir", "p", cwd=tmp_path)
    assert_refused(done, tmp_path / "annotations", "annotation file not found")


def test_postprocess_refuses_missing_and_foreign_results(
    shapes: Path, program: Program, tmp_path: Path
):
    quick = ("--config_path", QUICKSTART)
    label = shapes / "annotations" / "instances_val2017.json"
    options = ("--result_path", "r", "--label_path", label, "--meta_path", "p/meta")
    assert_refused(
        program("postprocess.py", *quick, *options, cwd=tmp_path),
        "p/meta: meta file cannot be read",
    )
    done = program(
        "preprocess.py", *quick, "--val_data_dir", shapes, "--predict_dir", "p", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    done = program("postprocess.py", *quick, *options, cwd=tmp_path)
    assert_refused(done, "r/eval2017_image_1000001_0.bin: cannot be read")
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "eval2017_image_1000001_0.bin").write_bytes(bytes(40))
    assert_refused(program("postprocess.py", *quick, *options, cwd=tmp_path), "has 40 bytes")


def test_an_unwritable_result_folder_is_named(
    checkpoint: Path, shapes: Path, program: Program, tmp_path: Path
):
    (tmp_path / "file").write_text("in the way")
    options = ("--load_checkpoint_path", checkpoint, "--data_dir", shapes)
    done = program("eval.py", *CPU, *options, "--save_result_dir", "file", cwd=tmp_path)
    assert_refused(done, "file")
