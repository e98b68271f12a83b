# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The Ascend 310 application and its build script, on a CPU."""

import os
import re
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from src.deploy.mindir_v1 import write_version_1

SOURCES = Path(__file__).parents[1] / "ascend310_infer"
SHAPE = (2, 3, 4, 5)


class TwoOutputs(nn.Cell):
    def construct(self, x):
        x = ops.Cast()(x, ms.float32)
        return ops.ReduceSum()(x, 1), ops.Sqrt()(x)


@pytest.fixture(scope="module", params=["uint8", "float32"])
def image_type(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def mindir(image_type, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp(image_type)
    ms.set_context(mode=ms.GRAPH_MODE)
    blank = Tensor(np.zeros(SHAPE, image_type))
    ms.export(TwoOutputs(), blank, file_name=str(folder / "v3"), file_format="MINDIR")
    write_version_1(folder / "v3.mindir", folder / "v1.mindir")
    return folder / "v1.mindir"


class Workspace:
    """Images and a command line that runs the application over them."""

    def __init__(self, app: Path, mindir: Path, image_type: str, folder: Path):
        self.folder = folder
        self.flags = {
            "--mindir_path": mindir,
            "--input_path": folder / "in",
            "--result_path": folder / "out",
            "--time_path": folder / "time",
            "--device_target": "CPU",
        }
        self.app = app
        rng = np.random.default_rng(0)
        self.images = {
            name: rng.integers(0, 256, SHAPE).astype(image_type) for name in ("b", "a.jpg", "c")
        }
        (folder / "in").mkdir()
        for name, image in self.images.items():
            image.tofile(folder / "in" / f"{name}.bin")

    def run(self, *extra: str, **options) -> subprocess.CompletedProcess:
        command = [self.app, *(str(part) for flag in self.flags.items() for part in flag), *extra]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, **options
        )

    def refuses(self, *words: str, extra: tuple[str, ...] = (), **options) -> None:
        """Fails with exit code 2 and one sentence that has all words; writes nothing."""
        result = self.run(*extra, **options)
        assert result.returncode == 2, result.stderr
        assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
        for word in words:
            assert word in result.stderr
        assert not [path for path in self.folder.glob("[ot]*/**/*") if path.is_file()]


@pytest.fixture
def workspace(infer_app, mindir, image_type, tmp_path) -> Workspace:
    return Workspace(infer_app, mindir, image_type, tmp_path)


def test_every_output_of_every_file_is_written(workspace):
    (workspace.folder / "in" / "notes.txt").write_text("not an input")
    (workspace.folder / "in" / "folder.bin").mkdir()
    result = workspace.run("--num_threads=1")
    assert result.returncode == 0, result.stderr
    written = {path.name for path in (workspace.folder / "out").iterdir()}
    assert written == {f"{name}_{i}.bin" for name in workspace.images for i in (0, 1)}
    for name, image in workspace.images.items():
        total, root = (
            np.fromfile(workspace.folder / "out" / f"{name}_{i}.bin", np.float32) for i in (0, 1)
        )
        np.testing.assert_allclose(total, image.sum(1, dtype=np.float32).ravel(), rtol=1e-6)
        np.testing.assert_allclose(root, np.sqrt(image.astype(np.float32)).ravel(), rtol=1e-6)


def test_it_tells_tensors_progress_and_time(workspace, image_type):
    result = workspace.run()
    lines = result.stdout.splitlines()
    assert re.fullmatch(rf"input \S+: {image_type} \(2, 3, 4, 5\)", lines[0])
    assert re.fullmatch(r"output \S+: float32 \(2, 4, 5\)", lines[1])
    assert re.fullmatch(r"output \S+: float32 \(2, 3, 4, 5\)", lines[2])
    assert re.fullmatch(r"6 of 6 images, \d+\.\d\d images/s, 0 s left", lines[3])
    (report,) = (workspace.folder / "time").iterdir()
    assert report.name == "test_perform_static.txt"
    assert report.read_text() == lines[4] + "\n"
    assert re.fullmatch(r"NN inference cost average time: \d+\.\d{3} ms of infer_count 3", lines[4])


def test_a_second_run_replaces_the_results(workspace):
    workspace.run()
    (workspace.folder / "out" / "b_0.bin").write_bytes(b"old")
    assert workspace.run().returncode == 0
    assert (workspace.folder / "out" / "b_0.bin").stat().st_size == 2 * 4 * 5 * 4


def test_help_needs_nothing_else(infer_app):
    result = subprocess.run([infer_app, "--help"], capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert "--mindir_path" in result.stdout and "--device_target" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (("--batch", "3"), ("--batch", "unknown")),
        (("--num_threads", "two"), ("--num_threads", '"two"')),
        (("--num_threads=0",), ("--num_threads", "from 1")),
        (("--device_id=-1",), ("--device_id", '"-1"')),
        (("--device_id=99999999999",), ("--device_id", "99999999999")),
        (("--device_id",), ("--device_id", "needs a value")),
        (("--device_target=CPU",), ("--device_target", "twice")),
        (("images",), ("images", "unknown")),
    ],
)
def test_bad_flags(workspace, extra, words):
    workspace.refuses(*words, extra=extra)


def test_bad_values_of_flags(workspace):
    workspace.flags["--device_target"] = "GPU"
    workspace.refuses("--device_target", '"GPU"', "Ascend or CPU")


@pytest.mark.parametrize("flag", ["--mindir_path", "--input_path"])
def test_missing_flags(workspace, flag):
    del workspace.flags[flag]
    workspace.refuses(flag, "missing")


def test_missing_mindir(workspace):
    workspace.flags["--mindir_path"] = workspace.folder / "none.mindir"
    workspace.refuses("none.mindir", "export.py")


def test_mindir_of_a_version_that_lite_cannot_read(workspace, mindir):
    workspace.flags["--mindir_path"] = mindir.with_name("v3.mindir")
    workspace.refuses("v3.mindir", "export.py", "version 1")


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(range(256)) * 40])
def test_file_that_is_no_mindir(workspace, content):
    broken = workspace.folder / "broken.mindir"
    broken.write_bytes(content)
    workspace.flags["--mindir_path"] = broken
    workspace.refuses("broken.mindir", "export.py")


def test_truncated_mindir(workspace, mindir):
    broken = workspace.folder / "broken.mindir"
    broken.write_bytes(mindir.read_bytes()[:-300])
    workspace.flags["--mindir_path"] = broken
    workspace.refuses("broken.mindir", "export.py")


@pytest.mark.skipif(Path("/dev/davinci0").exists(), reason="this machine has an Ascend device")
def test_no_ascend_device(workspace):
    workspace.flags["--device_target"] = "Ascend"
    workspace.refuses("Ascend 0", "--device_target CPU")


def test_empty_input_folder(workspace):
    workspace.flags["--input_path"] = workspace.folder / "in" / "empty"
    (workspace.folder / "in" / "empty").mkdir()
    workspace.refuses("empty", "preprocess.py")


def test_missing_input_folder(workspace):
    workspace.flags["--input_path"] = workspace.folder / "none"
    workspace.refuses("none", "preprocess.py")


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_of_another_size_stops_the_run_before_it_starts(workspace, image_type, change):
    size = workspace.images["c"].nbytes
    (workspace.folder / "in" / "z.bin").write_bytes(bytes(size + change))
    workspace.refuses(
        "z.bin",
        f"{size + change} bytes",
        f"takes {size} ",
        f"{image_type} (2, 3, 4, 5)",
        "run preprocess.py with the same config as export.py",
    )
    assert not (workspace.folder / "out").exists()


@pytest.mark.parametrize("flag", ["--result_path", "--time_path"])
def test_folder_that_cannot_be_made(workspace, flag):
    (workspace.folder / "file").write_text("")
    workspace.flags[flag] = workspace.folder / "file" / "out"
    workspace.refuses("file/out", "writable folder")


def full_disk() -> None:
    """No file may pass ten bytes, and writing more is an error instead of the end."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))


def test_nothing_is_half_written_when_the_disk_is_full(workspace):
    workspace.refuses("a.jpg_0.bin", "free some space", preexec_fn=full_disk)


def build(folder: Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["/bin/bash", folder / "build.sh"],
        env={**os.environ, **environment},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def sources(tmp_path) -> Path:
    """A copy of the application's sources, in a folder whose name has a space."""
    ignored = shutil.ignore_patterns("build", "out", "third_party")
    return shutil.copytree(SOURCES, tmp_path / "my app", ignore=ignored)


def test_a_second_build_compiles_nothing(infer_app):
    before = infer_app.stat().st_mtime_ns
    assert build(SOURCES).returncode == 0
    assert infer_app.stat().st_mtime_ns == before


def test_build_with_the_layout_of_the_ascend_tarball(infer_app, sources, tmp_path):
    cache = (SOURCES / "build" / "CMakeCache.txt").read_text()
    wheel = Path(re.search(r"^MSLITE_ROOT:PATH=(.*)$", cache, re.MULTILINE)[1])
    runtime = tmp_path / "mindspore-lite-2.0.0-linux-x64" / "runtime"
    (runtime / "lib").mkdir(parents=True)
    (runtime / "include").symlink_to(wheel / "include")
    for library in (wheel / "lib").iterdir():
        (runtime / "lib" / library.name).symlink_to(library)
    (runtime / "lib" / "libmindspore-lite.so").symlink_to(
        wheel / "lib" / "libmindspore-extendrt_python.so"
    )
    built = build(sources, MSLITE_PATH=str(runtime.parent))
    assert built.returncode == 0, built.stderr
    assert "libmindspore-lite.so" in (sources / "build" / "CMakeCache.txt").read_text()
    app = sources / "out" / "main"
    assert subprocess.run([app, "--help"], capture_output=True, check=False).returncode == 0


def refuses_to_build(folder: Path, *words: str, **environment: str) -> None:
    built = build(folder, **environment)
    assert built.returncode == 2
    assert built.stderr.splitlines()[-1].startswith("error: ")
    assert all(word in built.stderr.splitlines()[-1] for word in words)
    assert not (folder / "out").exists()


def test_mslite_path_without_mindspore_lite(sources, tmp_path):
    refuses_to_build(sources, "MSLITE_PATH", str(tmp_path), MSLITE_PATH=str(tmp_path))


@pytest.mark.parametrize(("missing", "package"), [("cmake", "cmake"), ("c++", "g++")])
def test_missing_tools_are_named_with_their_package(sources, tmp_path, missing, package):
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in {"cmake", "c++", "make", "dirname"} - {missing}:
        (tools / tool).symlink_to(shutil.which(tool))
    refuses_to_build(sources, f"package {package}", PATH=str(tools), CXX="c++")


def test_failed_download_says_how_to_go_on_and_leaves_nothing(sources, tmp_path):
    no_pip = tmp_path / "python"
    no_pip.write_text("#!/bin/sh\nexit 1\n")
    no_pip.chmod(0o755)
    refuses_to_build(sources, "set MSLITE_PATH", PYTHON=str(no_pip), MSLITE_PATH="")
    assert not any((sources / "third_party").iterdir())
