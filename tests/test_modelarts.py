# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""ModelArts jobs, with a stand-in for `moxing` whose buckets are folders.

What only ModelArts can show (OBS itself, its launcher) is not tested here.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from src.model_utils import local_adapter, moxing_adapter
from src.model_utils.config import load_config
from src.model_utils.errors import UserError
from tests.conftest import PROJECT

# s3://BUCKET/KEY is $STORE/BUCKET/KEY. Like moxing, it refuses a source without files. Each call is
# noted in $STORE/copies, and takes $COPY_SECONDS.
STAND_IN = """
import os, shutil, time
from pathlib import Path

store = Path(os.environ["STORE"])

def local(url):
    return store / url.removeprefix("s3://") if url.startswith("s3://") else Path(url)

def note(source, target):
    with open(store / "copies", "a") as notes:
        notes.write(f"{source} {target}\\n")

def copy_parallel(source, target):
    if not any(path.is_file() for path in local(source).rglob("*")):
        raise Exception(f"No files to copy\\nin {source}")
    note(source, target)
    time.sleep(float(os.environ.get("COPY_SECONDS", "0")))
    shutil.copytree(local(source), local(target), dirs_exist_ok=True)

def copy(source, target):
    note(source, target)
    local(target).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(local(source), local(target))
"""

# What a program does around its work, without MindSpore.
WORKER = """
import sys
sys.path.insert(0, {project!r})
from pathlib import Path
from src.model_utils import moxing_adapter
from src.model_utils.config import load_config
from src.model_utils.errors import run_program

def main():
    config = load_config("")
    with moxing_adapter.job(config, outputs=["save_result_dir"], data="data_dir") as config:
        rank = config.device_id
        print("rank", rank, len(list(Path(config.data_dir).iterdir())), "files", flush=True)
        Path(config.save_result_dir, f"rank_{{rank}}").write_text("result")

run_program(main)
"""


class ModelArts:
    """A job: programs run in a folder of their own; /cache is a folder below `root`."""

    def __init__(self, root: Path) -> None:
        self.store, self.cache = root / "store", root / "cache"
        self.folder = root / "elsewhere"  # not the code's
        package = root / "packages" / "moxing"
        for folder in (self.store, self.folder, package):
            folder.mkdir(parents=True)
        (package / "__init__.py").write_text("from moxing import file\n")
        (package / "file.py").write_text(STAND_IN)
        (root / "worker.py").write_text(WORKER.format(project=str(PROJECT)))
        self.worker = root / "worker.py"
        self.environment = {"STORE": str(self.store), "PYTHONPATH": str(package.parent)}

    def start(self, script: str | Path, *options: object, **environment: str):
        """Starts a program as ModelArts does, with the options that it adds itself."""
        command = [
            *(sys.executable, PROJECT / script, "--enable_modelarts=True", *options),
            *("--config_path", "configs/quickstart.yaml", "--device_target=CPU"),
            f"--data_path={self.cache / 'data'}",
            f"--output_path={self.cache / 'train'}",
            f"--load_path={self.cache / 'checkpoint_path'}",
            *("--num_gpus=1", "--init_method", "tcp://10.0.0.1:6666", "--rank", "0"),
            *("--world_size", "1", "--num_gpus=1", "--preemptible"),
        ]
        return subprocess.Popen(
            list(map(str, command)),
            cwd=self.folder,
            env={**os.environ, **self.environment, "RANK_SIZE": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str | Path, *options: object, **environment: str):
        process = self.start(script, *options, **environment)
        out, err = process.communicate(timeout=300)
        return SimpleNamespace(code=process.returncode, out=out, err=err)

    def copies(self) -> list[str]:
        """What was copied, `SOURCE TARGET`, with the local folders as /cache."""
        notes = self.store / "copies"
        lines = notes.read_text().splitlines() if notes.exists() else []
        return [line.replace(str(self.cache), "/cache") for line in lines]


@pytest.fixture
def modelarts(tmp_path: Path) -> ModelArts:
    return ModelArts(tmp_path)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_convert_train_evaluate_export_by_urls_alone(modelarts: ModelArts, shapes: Path):
    """Each job's train_url is the next one's data_url or checkpoint_url."""
    store = modelarts.store
    shutil.copytree(shapes, store / "b" / "coco")

    def job(script: str, *options: object):
        done = modelarts.run(script, *options)
        assert done.code == 0, done.err
        shutil.rmtree(modelarts.cache)  # the next job is another container
        return done

    done = job("src/dataset.py", "--data_url=s3://b/coco", "--train_url=s3://b/mindrecord")
    assert "coco_det.train.mind.json" in names(store / "b" / "mindrecord")
    assert (
        "ignored what ModelArts adds to the command line: --num_gpus=1 --init_method "
        "tcp://10.0.0.1:6666 --rank 0 --world_size 1 --num_gpus=1 --preemptible\n"
    ) in done.out

    urls = ("--data_url=s3://b/mindrecord", "--train_url=s3://b/train/")
    job("train.py", *urls, "--train_steps=1", "--save_checkpoint_path=./checkpoints")
    checkpoint = store / "b" / "train" / "checkpoints" / "ckpt_0" / "centernet-1_1.ckpt"
    assert checkpoint.is_file()

    urls = ("--data_url=s3://b/coco", "--train_url=s3://b/eval", "--checkpoint_url=s3://b/train")
    done = job("eval.py", *urls, "--eval_config.num_images=2")
    assert "overall performance" in done.out
    assert names(store / "b" / "eval") == ["eval.json", "results_val.json"]

    urls = ("--data_url=s3://b/coco", "--train_url=s3://b/model", "--checkpoint_url=s3://b/train")
    name = ("--export_load_ckpt=checkpoints/ckpt_0/centernet-1_1.ckpt", "--export_name=shapes")
    job("export.py", *urls, *name, "--export_format=ONNX")
    assert names(store / "b" / "model") == ["shapes.json", "shapes.onnx"]
    assert modelarts.copies() == [
        "s3://b/coco /cache/data",
        "/cache/train s3://b/mindrecord",
        "s3://b/mindrecord /cache/data",
        "/cache/train s3://b/train",
        "s3://b/coco /cache/data",
        "s3://b/train /cache/checkpoint_path",
        "/cache/train s3://b/eval",
        "s3://b/train /cache/checkpoint_path",  # a data set is not needed, so not copied
        "/cache/train s3://b/model",
    ]
    assert not list(modelarts.folder.iterdir())


def test_a_training_that_fails_half_way_copies_its_checkpoints_out(
    modelarts: ModelArts, mindrecord: Path
):
    shutil.copytree(mindrecord, modelarts.store / "b" / "mindrecord")
    urls = ("--data_url=s3://b/mindrecord", "--train_url=s3://b/train")
    steps = ("--train_steps=40", "--save_checkpoint_steps=1", "--save_checkpoint_num=2")
    rates = ("--train_config.PolyDecay.learning_rate=1e30", "--train_config.max_bad_steps=3")
    done = modelarts.run("train.py", *urls, *steps, *rates)
    assert done.code == 2
    assert "3 batches in a row had a loss that was not finite" in done.err.splitlines()[-1]
    copied = [n for n in names(modelarts.store / "b" / "train") if n.endswith(".ckpt")]
    assert copied == [
        "bad.ckpt",
        "centernet-1_1.ckpt",
    ]  # what it ended with, and the last finite one


def test_sigterm_ends_a_training_with_its_checkpoints_copied_out(
    modelarts: ModelArts, mindrecord: Path
):
    shutil.copytree(mindrecord, modelarts.store / "b" / "mindrecord")
    process = modelarts.start(
        "train.py",
        *("--data_url=s3://b/mindrecord", "--train_url=s3://b/train"),
        *("--train_steps=100000", "--save_checkpoint_steps=2", "--data_sink_steps=1"),
    )
    assert any(line.startswith("checkpoint: ") for line in process.stdout)
    process.terminate()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "stopped by SIGTERM" in out
    (copied,) = (n for n in names(modelarts.store / "b" / "train") if n.endswith(".ckpt"))
    assert copied.endswith(".ckpt")


def test_a_copy_out_that_fails_does_not_hide_why_the_work_failed(
    modelarts: ModelArts, shapes: Path
):
    shutil.copytree(shapes, modelarts.store / "b" / "coco")
    (modelarts.store / "full").write_text("a file, so that nothing can be copied below it")
    (modelarts.cache / "train").mkdir(parents=True)
    (modelarts.cache / "train" / "log.txt").write_text("something to copy")
    urls = ("--data_url=s3://b/coco", "--train_url=s3://full/out")
    done = modelarts.run("src/dataset.py", *urls, "--dataset_config.train_images=absent")
    assert done.code == 2
    copy, work = (line for line in done.err.splitlines() if line.startswith("error: "))
    assert copy.startswith(f"error: ModelArts: {modelarts.cache / 'train'} could not be copied to ")
    assert "s3://full/out" in copy
    assert "absent" in work


def test_a_copy_out_that_fails_after_the_work_is_an_error(modelarts: ModelArts):
    (modelarts.store / "full").write_text("a file, so that nothing can be copied below it")
    (modelarts.cache / "data").mkdir(parents=True)
    done = modelarts.run(modelarts.worker, "--train_url=s3://full/out")
    assert done.code == 2
    (sentence,) = done.err.splitlines()
    assert f"{modelarts.cache / 'train'} could not be copied to s3://full/out" in sentence


def test_a_copy_in_that_fails_is_one_sentence_naming_both_ends(modelarts: ModelArts):
    done = modelarts.run("train.py", "--data_url=s3://b/absent", "--train_url=s3://b/train")
    assert done.code == 2
    assert done.err == (
        f"error: ModelArts: s3://b/absent could not be copied to {modelarts.cache / 'data'} (No "
        "files to copy in s3://b/absent); check that the first exists, that the job may write to "
        "the second, and its free space.\n"
    )
    assert not (modelarts.store / "b").exists()  # nothing to copy out


def test_without_moxing_a_job_ends_in_one_sentence(modelarts: ModelArts):
    done = modelarts.run("export.py", PYTHONPATH="")
    assert done.code == 2
    (sentence,) = done.err.splitlines()
    assert "moxing is not here" in sentence


# Several processes on one server.


def test_processes_of_one_server_copy_in_once_and_out_once_when_all_have_ended(
    modelarts: ModelArts, shapes: Path
):
    shutil.copytree(shapes, modelarts.store / "b" / "coco")
    options = ("--data_url=s3://b/coco", "--train_url=s3://b/out")
    inputs = f"s3://b/coco to {modelarts.cache / 'data'}"
    modelarts.cache.mkdir()  # an earlier job's file, as it stands when all went well
    (modelarts.cache / ".train.lock").write_text(inputs)
    processes = [
        modelarts.start(modelarts.worker, *options, "--device_id", rank, COPY_SECONDS="1")
        for rank in range(3)
    ]
    results = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], results
    entries = len(list(shapes.iterdir()))
    for rank, (out, _) in enumerate(results):
        assert f"rank {rank} {entries} files" in out
    assert modelarts.copies() == ["s3://b/coco /cache/data", "/cache/train s3://b/out"]
    assert names(modelarts.store / "b" / "out") == ["rank_0", "rank_1", "rank_2"]


def test_when_the_process_that_copies_in_is_killed_another_takes_over(
    modelarts: ModelArts, shapes: Path
):
    shutil.copytree(shapes, modelarts.store / "b" / "coco")
    options = (modelarts.worker, "--data_url=s3://b/coco")
    first = modelarts.start(*options, COPY_SECONDS="600")
    while not modelarts.copies():
        time.sleep(0.05)
    second = modelarts.start(*options, "--device_id=1")
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(timeout=2)  # it waits for the first
    first.kill()
    first.communicate()
    out, err = second.communicate(timeout=300)
    assert second.returncode == 0, err
    assert "rank 1" in out
    assert len(modelarts.copies()) == 2


@pytest.fixture
def held_lock(tmp_path: Path) -> Iterator[Path]:
    """A lock file that another process holds, as one does that copies in."""
    path = tmp_path / "lock"
    hold = (
        "import fcntl, sys\nfile = open(sys.argv[1], 'w')\nfcntl.lockf(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\ninput()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", hold, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield path
    process.communicate("\n")


def test_waiting_for_another_processs_copy_has_an_end(held_lock: Path):
    with held_lock.open("a+") as lock, pytest.raises(UserError) as error:
        moxing_adapter._is_first(lock, "s3://b/coco to /cache/data", seconds=0.5)
    assert "s3://b/coco to /cache/data was not copied within 0.5 seconds" in str(error.value)


def test_the_scheduler_copies_nothing_and_needs_no_moxing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MS_ROLE", "MS_SCHED")
    config = load_config("", ["--enable_modelarts=True", "--data_url=s3://b/absent"])
    with moxing_adapter.job(config, outputs=["save_checkpoint_path"], data="mindrecord_dir") as own:
        assert own.mindrecord_dir == "/cache/data"
        assert own.save_checkpoint_path == "/cache/train"


# Paths.


@pytest.fixture
def fake_moxing(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """moxing in this process, where copies leave the inputs as the test made them."""
    nothing = SimpleNamespace(copy_parallel=lambda source, target: None, copy=None)
    moxing = SimpleNamespace(file=nothing)
    monkeypatch.setitem(sys.modules, "moxing", moxing)
    return moxing


def checkpoint_path(tmp_path: Path, *options: str) -> str:
    paths = ("--output_path", str(tmp_path / "out"), "--load_path", str(tmp_path / "load"))
    config = load_config("", ["--enable_modelarts=true", *paths, *options])
    with moxing_adapter.job(config, outputs=[], checkpoint="load_checkpoint_path") as config:
        return config.load_checkpoint_path


@pytest.mark.usefixtures("fake_moxing")
def test_a_checkpoint_is_found_in_the_copied_folder_else_beside_the_code(tmp_path: Path):
    folder = tmp_path / "load" / "ckpt_0"
    folder.mkdir(parents=True)
    (folder / "a.ckpt").touch()
    url = "--checkpoint_url=s3://b/train"
    assert checkpoint_path(tmp_path, url) == str(folder / "a.ckpt")
    named = "--load_checkpoint_path=ckpt_0/a.ckpt"
    assert checkpoint_path(tmp_path, url, named) == str(folder / "a.ckpt")
    absolute = f"--load_checkpoint_path={folder / 'a.ckpt'}"
    assert checkpoint_path(tmp_path, url, absolute) == str(folder / "a.ckpt")
    beside = "--load_checkpoint_path=README.md"
    assert checkpoint_path(tmp_path, url, beside) == str(PROJECT / "README.md")
    assert checkpoint_path(tmp_path, named) == str(PROJECT / "ckpt_0" / "a.ckpt")
    assert checkpoint_path(tmp_path) == ""  # a training from the start


@pytest.mark.usefixtures("fake_moxing")
def test_several_checkpoints_are_not_guessed_among(tmp_path: Path):
    (tmp_path / "load").mkdir()
    for name in ("a.ckpt", "b.ckpt"):
        (tmp_path / "load" / name).touch()
    with pytest.raises(UserError) as error:
        checkpoint_path(tmp_path, "--checkpoint_url=s3://b/train")
    assert "holds 2 files *.ckpt (a.ckpt, b.ckpt)" in str(error.value)


@pytest.mark.parametrize("path", ["/elsewhere", "../beside"])
def test_results_that_would_not_be_copied_out_are_refused(path: str):
    config = load_config("", ["--enable_modelarts=True", f"--save_result_dir={path}"])
    with (
        pytest.raises(UserError) as error,
        moxing_adapter.job(config, outputs=["save_result_dir"]),
    ):
        pass
    assert "is not below output_path /cache/train" in str(error.value)


def test_checkpoints_are_copied_out_while_the_training_goes_on(tmp_path: Path):
    (tmp_path / "ckpt_0").mkdir()
    (tmp_path / "ckpt_0" / "1.ckpt").write_text("first")
    partial = tmp_path / "ckpt_0" / ".partial-x"
    partial.mkdir()
    (partial / "2.ckpt").write_text("half")
    copied, done = [], threading.Event()

    def copy(source: str, target: str) -> None:
        copied.append((Path(source).name, target))
        if len(copied) == 1:
            raise ConnectionError("OBS does not answer")  # tried again at the next turn
        if len(copied) == 2:
            (partial / "2.ckpt").rename(tmp_path / "ckpt_0" / "2.ckpt")
        if len(copied) == 3:
            done.set()

    moxing = SimpleNamespace(file=SimpleNamespace(copy=copy))
    moxing_adapter._copy_new_files(moxing, tmp_path, "s3://b/out", done, seconds=0.01)
    assert copied == [
        ("1.ckpt", "s3://b/out/ckpt_0/1.ckpt"),
        ("1.ckpt", "s3://b/out/ckpt_0/1.ckpt"),
        ("2.ckpt", "s3://b/out/ckpt_0/2.ckpt"),
    ]


# The environment.


def test_the_device_is_the_one_that_modelarts_or_a_launcher_names(monkeypatch: pytest.MonkeyPatch):
    for name in ("ASCEND_DEVICE_ID", "DEVICE_ID", "RANK_SIZE", "MS_WORKER_NUM"):
        monkeypatch.delenv(name, raising=False)
    assert moxing_adapter.device_id(5) == local_adapter.device_id(5) == 5
    assert local_adapter.process_count() == 1
    monkeypatch.setenv("DEVICE_ID", "3")
    assert moxing_adapter.device_id(5) == local_adapter.device_id(5) == 3
    monkeypatch.setenv("ASCEND_DEVICE_ID", "0")
    assert (moxing_adapter.device_id(5), local_adapter.device_id(5)) == (0, 3)
    monkeypatch.setenv("MS_WORKER_NUM", "4")
    assert local_adapter.process_count() == 4
    monkeypatch.setenv("RANK_SIZE", "8")
    assert local_adapter.process_count() == 8
