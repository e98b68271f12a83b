# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The Ascend 310 application and its build script, on a CPU."""

import json
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
from mindspore.train.mind_ir_pb2 import AttributeProto, ModelProto, TensorProto

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
            name: rng.integers(0, 256, SHAPE[1:]).astype(image_type) for name in ("b", "a.jpg", "c")
        }
        (folder / "in").mkdir()
        for name, image in self.images.items():
            image.tofile(folder / "in" / f"{name}.bin")

    @property
    def command(self) -> list[str]:
        return [str(self.app), *(str(part) for flag in self.flags.items() for part in flag)]

    def run(self, *extra: str, **options) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*self.command, *extra],
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=60,
            check=False,
            **options,
        )

    def refuses(self, *words: str, extra: tuple[str, ...] = (), **options) -> None:
        """Fails with exit code 2 and one sentence that has all words; writes nothing."""
        result = self.run(*extra, **options)
        assert result.returncode == 2, result.stderr
        assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
        for word in words:
            assert word in result.stderr
        assert not [path for path in self.folder.glob("[ot]*/**/*") if path.is_file()]

    def fails_for(self, result: subprocess.CompletedProcess, **causes: str) -> None:
        """Some inputs failed, each named with its cause, and the others have their results."""
        assert result.returncode == 1, result.stderr
        *faults, count = result.stderr.splitlines()
        assert len(faults) == len(causes)
        for line, (name, cause) in zip(faults, sorted(causes.items()), strict=True):
            assert line.startswith(f"failed: {self.folder}/in/{name}.bin: ") and cause in line
        total = len(causes) + len(self.images)
        assert count == f"{len(causes)} of {total} inputs failed, {len(self.images)} are done"
        self.has_results(*self.images)

    def has_results(self, *names: str) -> None:
        """The results of these images are there, and right, and no others."""
        out = self.folder / "out"
        assert {path.name for path in out.iterdir()} == {
            f"{n}_{i}.bin" for n in names for i in (0, 1)
        }
        for name in names:
            total, root = (np.fromfile(out / f"{name}_{i}.bin", np.float32) for i in (0, 1))
            image = self.images[name].astype(np.float32)
            np.testing.assert_allclose(total, image.sum(0).ravel(), rtol=1e-6)
            np.testing.assert_allclose(root, np.sqrt(image).ravel(), rtol=1e-6)


@pytest.fixture
def workspace(infer_app, mindir, image_type, tmp_path) -> Workspace:
    return Workspace(infer_app, mindir, image_type, tmp_path)


def test_every_output_of_every_file_is_written(workspace):
    (workspace.folder / "in" / "notes.txt").write_text("not an input")
    result = workspace.run("--num_threads=1")
    assert (result.returncode, result.stderr) == (0, "")
    workspace.has_results(*workspace.images)


def test_it_tells_tensors_progress_and_time(workspace, image_type):
    result = workspace.run()
    lines = result.stdout.splitlines()
    assert re.fullmatch(r"MindSpore Lite (\S+ )?on CPU", lines.pop(0))
    assert lines.pop(0) == f"model {workspace.flags['--mindir_path']}: MINDIR"
    assert re.fullmatch(rf"input \S+: {image_type} \(2, 3, 4, 5\)", lines[0])
    assert re.fullmatch(r"output \S+: float32 \(2, 4, 5\)", lines[1])
    assert re.fullmatch(r"output \S+: float32 \(2, 3, 4, 5\)", lines[2])
    assert re.fullmatch(r"3 of 3 images, \d+\.\d\d images/s, 0 s left", lines[3])
    time = workspace.folder / "time"
    assert {report.name for report in time.iterdir()} == {"test_perform_static.txt", "times.json"}
    assert (time / "test_perform_static.txt").read_text() == lines[4] + "\n"
    assert re.fullmatch(r"NN inference cost average time: \d+\.\d{3} ms of infer_count 2", lines[4])
    times = json.loads((time / "times.json").read_text())
    assert (times["images"], times["failed"], times["batch_size"]) == (3, 0, 2)
    assert times["images_per_second"] == pytest.approx(3 / times["seconds"], rel=0.01)
    assert times["load_ms"] > 0 and times["warm_up_ms"] > 0
    assert list(times["stages"]) == ["read", "network", "write"]
    for stage in times["stages"].values():
        assert 0 <= stage["p50_ms"] <= stage["p90_ms"] <= stage["p99_ms"] <= stage["max_ms"]
        assert 0 < stage["mean_ms"] <= stage["max_ms"]
    assert f"average time: {times['stages']['network']['mean_ms']:.3f} ms" in lines[4]


def test_a_second_run_replaces_the_results(workspace):
    workspace.run()
    (workspace.folder / "out" / "b_0.bin").write_bytes(b"old")
    assert workspace.run().returncode == 0
    workspace.has_results(*workspace.images)


def test_the_number_of_threads_changes_neither_results_nor_messages(workspace):
    rng = np.random.default_rng(1)
    for number in range(60):
        image = rng.integers(0, 256, SHAPE[1:]).astype(workspace.images["b"].dtype)
        image = image if number % 7 else image[:, :, :-1]
        image.tofile(workspace.folder / "in" / f"{number}.bin")
    found = []
    for threads in ("1", "4"):
        workspace.flags["--result_path"] = out = workspace.folder / f"out{threads}"
        result = workspace.run("--readers", threads, "--writers", threads)
        assert result.returncode == 1
        found.append((result.stderr, {path.name: path.read_bytes() for path in out.iterdir()}))
    assert found[0] == found[1]
    assert len(found[0][1]) == 2 * (63 - 9)
    assert found[0][0].count("failed: ") == 9


def test_inputs_of_another_size_or_kind_are_named_and_the_others_are_done(workspace):
    folder = workspace.folder / "in"
    size = workspace.images["b"].nbytes
    (folder / "a.bin").write_bytes(b"")
    (folder / "bb.bin").write_bytes(bytes(size - 1))
    (folder / "d.bin").write_bytes(bytes(size + 1))
    (folder / "e.bin").mkdir()
    os.mkfifo(folder / "f.bin")
    (folder / "g.bin").symlink_to("nothing.bin")
    workspace.fails_for(
        workspace.run(),
        a=f"holds 0 bytes instead of {size}",
        bb=f"holds {size - 1} bytes",
        d=f"holds {size + 1} bytes",
        e="is a folder",
        f="is a folder, a pipe",
        g="No such file",
    )


def test_links_to_files_are_inputs(workspace):
    folder = workspace.folder / "in"
    (folder / "c.bin").rename(workspace.folder / "moved")
    (folder / "c.bin").symlink_to("../moved")
    assert workspace.run().returncode == 0
    workspace.has_results(*workspace.images)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_are_named(workspace):
    (workspace.folder / "in" / "a.bin").write_bytes(b"")
    (workspace.folder / "in" / "a.bin").chmod(0)
    workspace.fails_for(workspace.run(), a="Permission denied")


def test_fail_fast_stops_at_the_first_failure(workspace):
    for number in range(100):
        (workspace.folder / "in" / f"b{number}.bin").write_bytes(b"")
    result = workspace.run("--fail_fast")
    assert result.returncode == 1
    *faults, last = result.stderr.splitlines()
    assert all(line.startswith("failed: ") for line in faults)
    stopped = re.fullmatch(r"stopped: (\d+) of 103 inputs are done, (\d+) failed", last)
    assert 1 <= len(faults) == int(stopped[2]) < 100
    assert len(list((workspace.folder / "out").iterdir())) == 2 * int(stopped[1]) > 0


def test_a_run_in_which_all_failed_ends_with_2(workspace):
    for name in workspace.images:
        (workspace.folder / "in" / f"{name}.bin").write_bytes(b"")
    result = workspace.run()
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("error: none of 3 inputs could be done")
    assert result.stderr.count("failed: ") == 3
    assert not list((workspace.folder / "out").iterdir())


NAMES = [
    "with space",
    'it\'s "quoted"',
    "new\nline",
    "größe",
    "\udcff\udcfe",
    "$(touch x)",
    "-dash",
]


def test_names_of_any_bytes(workspace):
    folder = workspace.folder / "in"
    for name in NAMES:
        workspace.images[name] = workspace.images["b"]
        workspace.images[name].tofile(folder / f"{name}.bin")
    (folder / "bad\nname.bin").write_bytes(b"")
    result = workspace.run()
    assert result.returncode == 1
    assert "in/bad\\nname.bin: holds 0 bytes" in result.stderr
    workspace.has_results(*workspace.images)


@pytest.mark.parametrize("end", ["\n", "\0"])
def test_a_file_may_list_the_inputs(workspace, end):
    if end == "\0":
        workspace.images["new\nline"] = workspace.images["b"]
        workspace.images["b"].tofile(workspace.folder / "in" / "new\nline.bin")
    paths = [f"{workspace.folder}/in/{name}.bin" for name in workspace.images if name != "c"]
    paths.append("in/c.bin")  # from the current folder
    (workspace.folder / "list").write_text("".join(path + end for path in paths))
    workspace.flags["--input_path"] = "list"
    assert workspace.run(cwd=workspace.folder).returncode == 0
    workspace.has_results(*workspace.images)


def test_two_inputs_of_one_name_are_refused(workspace):
    path = f"{workspace.folder}/in/c.bin"
    other = f"{workspace.folder}/other/c.bin"
    (workspace.folder / "list").write_text(f"{path}\n{other}\n")
    workspace.flags["--input_path"] = workspace.folder / "list"
    workspace.refuses(f"{other}: its results would replace those of {path}; rename")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_whole_results(workspace, number):
    folder = workspace.folder / "in"
    for copy in range(20_000):
        os.link(folder / "b.bin", folder / f"b{copy}.bin")
        workspace.images[f"b{copy}"] = workspace.images["b"]
    app = subprocess.Popen(
        workspace.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    out = workspace.folder / "out"
    while not out.exists() or sum(1 for _ in out.iterdir()) < 100:
        assert app.poll() is None
    app.send_signal(number)
    _, errors = app.communicate(timeout=60)
    assert app.returncode == 128 + number
    (done,) = re.findall(
        r"^stopped: (\d+) of 20003 inputs are done, 0 failed$", errors, re.MULTILINE
    )
    assert 50 <= int(done) < 20_003
    names = {path.name[:-6] for path in out.iterdir()}
    assert len(names) == int(done)
    workspace.has_results(*names)


@pytest.mark.slow
def test_a_hundred_thousand_inputs_in_memory_that_stays_the_same(workspace):
    folder = workspace.folder / "in"
    most = {}
    for total in (1_000, 100_000):
        for copy in range(total):
            if not (folder / f"b{copy}.bin").exists():
                os.link(folder / "b.bin", folder / f"b{copy}.bin")
        result = subprocess.run(
            ["/usr/bin/env", "python3", "-c", MEASURE, *workspace.command],
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        )
        most[total] = int(result.stdout.splitlines()[-1])
    assert len(list((workspace.folder / "out").iterdir())) == 2 * 100_003
    # Kilobytes: what grows is the list of names, two of about 100 bytes each.
    assert most[100_000] - most[1_000] < 40_000


MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_help_needs_nothing_else(infer_app):
    result = subprocess.run([infer_app, "--help"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "--mindir_path" in result.stdout


def test_bad_flags(workspace):
    workspace.refuses("--num_threads", '"two"', extra=("--num_threads", "two"))


def test_missing_mindir(workspace):
    workspace.flags["--mindir_path"] = workspace.folder / "none.mindir"
    workspace.refuses("none.mindir: cannot be read (No such file")


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


class TwoInputs(nn.Cell):
    def construct(self, x, y):
        return x + y


class OneRow(nn.Cell):
    def construct(self, x):
        return ops.ReduceSum()(x, 0)


@pytest.mark.parametrize(
    ("cell", "blanks", "words"),
    [
        (TwoInputs(), [np.float32, np.float32], ("has 2 inputs instead of one image",)),
        (OneRow(), [np.float32], ("its output", "(3, 4, 5) and has no row for each of 2 images")),
        (TwoOutputs(), [np.int32], ("its input is int32 (2, 3, 4, 5) instead of",)),
    ],
)
def test_models_of_another_kind(workspace, cell, blanks, words):
    tensors = [Tensor(np.zeros(SHAPE, dtype)) for dtype in blanks]
    ms.export(cell, *tensors, file_name=str(workspace.folder / "v3"), file_format="MINDIR")
    write_version_1(workspace.folder / "v3.mindir", workspace.folder / "v1.mindir")
    workspace.flags["--mindir_path"] = workspace.folder / "v1.mindir"
    workspace.refuses("v1.mindir: ", *words, "export.py")


def converted_model(input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> bytes:
    """What converter_lite of Lite 2.0.0 leaves for Ascend: one operator, which holds CANN's model.

    The content here is none: only a chip's CANN makes one. Both are float32.
    """
    model = ModelProto(mind_ir_version=1)
    model.graph.name = "graph"
    for name, put, shape in (
        ("image", model.graph.input, input_shape),
        ("boxes", model.graph.output, output_shape),
    ):
        tensor = put.add(name=f"graph:{name}").tensor.add(name=name, data_type=TensorProto.FLOAT)
        tensor.dims.extend(shape)
    data = model.graph.parameter.add(name="graph:om", data_type=TensorProto.UINT8)
    data.dims.append(1000)
    data.raw_data = bytes(1000)
    primitive = model.primitives.add(name="Custom:2", op_type="Custom")
    for name, text in (("func_type", "acl_build"), ("uniq_name", "CustomAscend"), ("type", "ACL")):
        primitive.attribute.add(name=name, type=AttributeProto.STRING, s=text.encode())
    inputs, outputs = ("graph:image", "graph:om"), ["graph:boxes"]
    node = model.graph.node.add(
        name="graph:boxes", op_type="REF::Custom:2", input=inputs, output=outputs
    )
    shape = node.attribute.add(name="shape", type=AttributeProto.TENSORS)
    shape.tensors.add().CopyFrom(model.graph.output[0].tensor[0])
    model.graph.attribute.add(name="isOptimized", type=AttributeProto.BOOL, i=1)
    return model.SerializeToString()


@pytest.fixture
def converted(workspace) -> Path:
    path = workspace.folder / "converted.mindir"
    path.write_bytes(converted_model(SHAPE, SHAPE))
    workspace.flags["--mindir_path"] = path
    return path


def test_a_converted_model_is_refused_on_a_cpu(workspace, converted):
    workspace.refuses(f"{converted}: is converted for Ascend", "--device_target CPU", "export.py")


def test_the_kind_of_model_is_told_before_it_is_loaded(workspace, converted, mindir):
    """Here without CANN, so that loading fails; what it gives, only a card can show."""
    workspace.flags["--device_target"] = "Ascend"
    result = workspace.run("--precision_mode", "enforce_fp16")
    assert result.returncode == 2
    assert result.stdout.splitlines()[1] == f"model {converted}: converted for Ascend"
    warning, error = result.stderr.splitlines()
    assert warning.startswith(f"warning: --precision_mode is ignored: {converted} is converted")
    assert f"{converted}: MindSpore Lite cannot load it on Ascend 0" in error
    assert len(workspace.run().stderr.splitlines()) == 1  # the default is no reason to warn

    workspace.flags["--mindir_path"] = mindir
    result = workspace.run("--precision_mode", "enforce_fp16")
    assert result.returncode == 2
    assert result.stdout.splitlines()[1].startswith(f"model {mindir}: MINDIR, compiled now")
    assert len(result.stderr.splitlines()) == 1


def test_modes_of_ascend_are_ignored_with_a_warning_on_a_cpu(workspace):
    result = workspace.run("--precision_mode", "enforce_fp32")
    assert result.returncode == 0
    assert result.stderr == "warning: --precision_mode is ignored: it is of Ascend\n"
    workspace.has_results(*workspace.images)


def test_damaged_mindirs_are_refused_or_run(workspace, mindir):
    random = np.random.default_rng(0)
    whole = np.frombuffer(mindir.read_bytes(), np.uint8)
    codes = set()
    for _ in range(10):
        damaged = whole.copy()
        damaged[random.integers(0, len(whole), 4)] = random.integers(0, 256, 4)
        workspace.flags["--mindir_path"] = workspace.folder / "damaged.mindir"
        damaged.tofile(workspace.folder / "damaged.mindir")
        codes.add(workspace.run().returncode)
    assert codes <= {0, 2}


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
    workspace.refuses("none: cannot be read (No such file", "check the path")


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
    workspace.refuses("_0.bin", "free some space", preexec_fn=full_disk)


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
