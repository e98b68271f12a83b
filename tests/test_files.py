# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Files that appear whole or not at all; MindRecord sets that share a folder."""

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest

from src.deploy.comparison import largest_difference
from src.model_utils.files import give_usual_modes, whole_file, write_json
from src.model_utils.workers import worker_count
from src.weights import checkpoints
from tests.conftest import PROJECT, QUICKSTART, Program, assert_refused


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path):
    path = tmp_path / "result.json"
    write_json(path, {"old": 1})
    with pytest.raises(ZeroDivisionError), whole_file(path) as partial:
        partial.write_text("half")
        partial.with_suffix(".tmp").write_text("a library's own temporary file")
        raise ZeroDivisionError
    assert json.loads(path.read_text()) == {"old": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_a_full_disk_is_reported_with_the_files_name(tmp_path: Path):
    path = tmp_path / "result.json"
    with pytest.raises(OSError) as error, whole_file(path) as partial:
        partial.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert error.value.filename == str(path)
    assert not list(tmp_path.iterdir())


def modes(folder: Path) -> set[int]:
    """The modes of all files below a folder."""
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def group_reads() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_files_have_the_modes_of_the_umask_whoever_writes_them(
    group_reads: None, shapes: Path, program: Program, tmp_path: Path
):
    write_json(tmp_path / "a.json", {})
    checkpoints.save([("w", ms.Parameter(np.zeros(2, np.float32)))], tmp_path / "a.ckpt")
    convert(program, shapes, tmp_path / "set", "coco", 2)
    assert len(list((tmp_path / "set").iterdir())) == 5
    left = tmp_path / "of a library"
    left.mkdir(0o700)
    (left / "trace.json").touch(0o600)
    give_usual_modes(left)
    assert modes(tmp_path) == {0o640}
    assert stat.S_IMODE(left.stat().st_mode) == 0o750


# What reads files, called with a file that may not be read.
READERS = {
    "overlay.yaml": "src.model_utils.config.load_config('', ['--config_path', str(path)])",
    "weights.ckpt": "src.weights.checkpoints.read(path)",
    "weights.safetensors": "src.weights.files.read(path)",
    "model.mindir": "src.deploy.mindir_reader.load_mindir(path, (64, 64), None)",
    "instances.json": "src.data.coco.read_annotation_file(path)",
    "image.jpg": "src.data.images.read_image(path, None)",
    "meta.txt": "src.deploy.bin_files.read_meta(path)",
}
# Root may read everything but where it has laid that right down.
WITHOUT_RIGHTS = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


def of_somebody_else(*command: object) -> list[str]:
    prefix = WITHOUT_RIGHTS if os.geteuid() == 0 else ()
    return [*prefix, sys.executable, *map(str, command)]


def test_a_file_that_may_not_be_read_is_named_whoever_reads_it(tmp_path: Path):
    text = "import pathlib\nfrom src.model_utils.errors import UserError\n"
    for name, call in READERS.items():
        (tmp_path / name).write_text("not for you")
        (tmp_path / name).chmod(0)
        module = call.partition("(")[0].rpartition(".")[0]
        text += f"path = pathlib.Path({name!r})\nimport {module}\n"
        text += f"try:\n    {call}\n"
        text += "except (UserError, OSError) as error:\n    print(error, flush=True)\n"
    done = subprocess.run(
        of_somebody_else("-c", text),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stdout.splitlines() if "Permission denied" in line]
    assert len(said) == len(READERS), done.stdout + done.stderr
    assert all(name in line for name, line in zip(READERS, said, strict=True))


def test_predict_names_a_folder_that_may_not_be_read_and_no_hidden_one(tmp_path: Path):
    for name in ("in/a", "in/closed", "in/.trash"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.jpg").touch()
    (tmp_path / "in" / "closed").chmod(0)
    (tmp_path / "in" / ".trash").chmod(0)
    text = "import pathlib, sys\nfrom src.evaluation import predict\n"
    text += "for given in sys.argv[1:]:\n    try:\n"
    text += "        for source in predict.find_sources(given, pathlib.Path('out')):\n"
    text += "            print(source.path)\n    except OSError as error:\n        print(error)\n"
    done = subprocess.run(
        of_somebody_else("-c", text, "in", "in/closed"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    named = ["in/a/1.jpg", "in/closed", "[Errno 13] Permission denied: 'in/closed'"]
    assert done.stdout.splitlines() == named, done.stderr


def test_training_names_a_file_of_the_set_that_may_not_be_read(mindrecord: Path, tmp_path: Path):
    copy = Path(shutil.copytree(mindrecord, tmp_path / "of a colleague"))
    (copy / "coco_det.train.mind3").chmod(0)
    options = ("--config_path", QUICKSTART, "--device_target", "CPU", "--mindrecord_dir", copy)
    done = subprocess.run(
        of_somebody_else(PROJECT / "train.py", *options),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert_refused(done, copy / "coco_det.train.mind3", "Permission denied")


def test_a_target_that_cannot_be_written_ends_in_one_sentence(
    shapes: Path, program: Program, tmp_path: Path
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "data").write_text("in the way")
    options = ("--config_path", QUICKSTART, "--val_data_dir", shapes, "--predict_dir", "out")
    done = program("preprocess.py", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert [line[:7] for line in done.stderr.splitlines() if "error" in line] == ["error: "]


def convert(program: Program, shapes: Path, folder: Path, prefix: str, shards: int) -> None:
    done = program(
        "src/dataset.py",
        *("--config_path", QUICKSTART, "--coco_data_dir", shapes, "--mindrecord_dir", folder),
        *("--mindrecord_prefix", prefix, "--dataset_config.num_shards", shards),
        cwd=shapes,
    )
    assert done.returncode == 0, done.stderr


def test_converting_again_replaces_a_set_and_leaves_its_neighbours(
    shapes: Path, program: Program, tmp_path: Path
):
    convert(program, shapes, tmp_path, "coco.train2017", 2)
    neighbour = sorted(path.name for path in tmp_path.iterdir())
    convert(program, shapes, tmp_path, "coco.train", 1)
    convert(program, shapes, tmp_path, "coco.train", 2)
    own = [f"coco.train{end}" for end in (".json", "0", "0.db", "1", "1.db")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*neighbour, *own])


def test_threads_are_the_cores_of_the_process_or_its_share(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 192)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(192)))
    assert worker_count(0) == 192
    assert worker_count(0, processes=8) == 24
    assert worker_count(6, processes=8) == 6
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(24)))  # bound by a launcher
    assert worker_count(0, processes=8) == 24
    assert worker_count(99, processes=8) == 24  # MindSpore takes no more than there are


def test_detections_are_compared_both_ways_and_never_equal_when_not_finite():
    expected = np.array([[[0, 0, 2, 2, 0.9, 1], [5, 5, 6, 6, 0.8, 0], [1, 1, 2, 2, 0.1, 0]]])
    assert largest_difference(expected, expected) == 0
    swapped = expected.copy()
    swapped[0, [0, 1], 4] = 0.85
    assert largest_difference(swapped[:, [1, 0, 2]], swapped) == 0  # order of equal scores
    moved = expected + np.array([0.25, 0, 0, 0, 0, 0])
    assert largest_difference(moved, expected) == pytest.approx(0.25)
    rescored = expected + np.array([0, 0, 0, 0, 1e-3, 0])
    assert largest_difference(rescored, expected) == pytest.approx(0.1)
    doubled = swapped.copy()
    doubled[0, 1] = doubled[0, 0]
    assert largest_difference(doubled, swapped) >= 5
    assert largest_difference(expected * np.nan, expected) == np.inf


def test_a_damaged_manifest_of_an_old_set_does_not_stop_a_conversion(
    mindrecord: Path, shapes: Path, program: Program, tmp_path: Path
):
    copy = Path(shutil.copytree(mindrecord, tmp_path / "copy"))
    (copy / "coco_det.train.mind.json").write_text("{")
    convert(program, shapes, copy, "coco_det.train.mind", 8)
    assert json.loads((copy / "coco_det.train.mind.json").read_text())["images"] == 32


def test_two_conversions_give_the_same_records_in_the_same_order(
    mindrecord: Path, shapes: Path, program: Program, tmp_path: Path
):
    import mindspore.dataset as ds

    convert(program, shapes, tmp_path, "again", 5)  # 32 images do not divide by 5
    convert(program, shapes, tmp_path, "twice", 5)
    image_ids = []
    for prefix in ("again", "twice"):
        files = [str(tmp_path / f"{prefix}{shard}") for shard in range(5)]
        records = ds.MindDataset(files, columns_list=["image_id"], shuffle=False)
        rows = records.create_tuple_iterator(num_epochs=1, output_numpy=True)
        image_ids.append([int(image_id) for (image_id,) in rows])
    assert image_ids[0] == image_ids[1]
    assert sorted(image_ids[0]) == list(range(1, 33))
