# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The application on MindSpore Lite's own Ascend runtime, with libraries that stand in for CANN.

Lite 2.0.0 takes the MINDIR through its passes and adapters for Ascend, up to where CANN would
compile it, loads what CANN gives and copies inputs and outputs. Nothing of CANN is here, so that
no network is computed; tests/lite_stand_in.cc says what is.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from src.data.augment import normalisation
from src.deploy.mindir_v1 import write_version_1
from src.models.network import create_network, with_decode
from tests.conftest import QUICKSTART
from tests.helpers import config, graph_mode, statistics
from tests.test_ascend310_app import converted_model

SOURCE = Path(__file__).with_name("lite_stand_in.cc")
SIDE, ROWS = 64, 10
TYPES = {"float32": (0, 4), "float16": (1, 2), "uint8": (4, 1)}  # CANN's number, bytes


@pytest.fixture(scope="module")
def cann(infer_app: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the libraries that stand in for CANN."""
    stand_in = pytest.importorskip("benchmarks.ascend.stand_in")
    if reason := stand_in.hindrance():
        pytest.skip(reason)
    cache = (infer_app.parents[1] / "build" / "CMakeCache.txt").read_text()
    root = Path(re.search(r"^MSLITE_ROOT:PATH=(.*)$", cache, re.MULTILINE)[1])
    libraries = {path.name: path for path in (root / "lib").glob("*.so*")}
    if "libascend_kernel_plugin_python.so" not in libraries:
        pytest.skip(f"{root} is not the MindSpore Lite 2.0.0 of the package index")
    folder = tmp_path_factory.mktemp("cann")
    compile_ = ["g++", "-O1", "-fPIC", "-w", "-std=c++17", "-D_GLIBCXX_USE_CXX11_ABI=0", "-c"]
    objects = [folder / "stub.o", folder / "lite.o"]
    for source, compiled in zip((stand_in.STUB, SOURCE), objects, strict=True):
        subprocess.run([*compile_, source, "-o", compiled], check=True)
    symbols = [
        subprocess.check_output(["nm", "--defined-only", path], text=True) for path in objects
    ]
    defined = {line.split()[-1] for text in symbols for line in text.splitlines()}
    wanted = stand_in._undefined_symbols(libraries) - defined
    main = folder / "libascendcl.so"
    stand_in._link(main, stand_in._stubs(wanted), *objects)
    for library in libraries.values():
        needed = subprocess.check_output(["readelf", "-d", library], text=True)
        for name in re.findall(r"\(NEEDED\).*\[(.+\.so)\]", needed):
            if name not in libraries and not (folder / name).exists():
                stand_in._link(folder / name, "int stand_in;\n", main)
    return folder


@dataclass(frozen=True)
class Runner:
    """Runs the application on Ascend 0 over one input of a model."""

    app: Path
    cann: Path
    folder: Path

    def run(
        self, mindir: Path, image: np.ndarray, rows: int, *flags: str, output: str = "float32"
    ) -> "subprocess.CompletedProcess[str]":
        (self.folder / "in").mkdir(exist_ok=True)
        image[0].tofile(self.folder / "in" / "a.bin")
        tensors = {
            "LITE_INPUT": (*TYPES[str(image.dtype)], *image.shape),
            "LITE_OUTPUT": (*TYPES[output], len(image), rows, 6),
        }
        return subprocess.run(
            [
                *(self.app, "--mindir_path", mindir, "--input_path", self.folder / "in", *flags),
                *("--result_path", self.folder / "out", "--time_path", self.folder / "time"),
            ],
            env={
                **os.environ,
                **{name: " ".join(map(str, values)) for name, values in tensors.items()},
                "LD_LIBRARY_PATH": str(self.cann),
                "DRY_RUN_CHIP": "Ascend310P3",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def has_results(self, image: np.ndarray, rows: int) -> None:
        found = np.fromfile(self.folder / "out" / "a_0.bin", np.float32)
        total = int(image[0].copy().view(np.uint8).sum())
        np.testing.assert_array_equal(found, total + np.arange(rows * 6, dtype=np.float32))


@pytest.fixture
def runner(infer_app: Path, cann: Path, tmp_path: Path) -> Runner:
    return Runner(infer_app, cann, tmp_path)


def blank(batch: int, dtype: str) -> np.ndarray:
    """A batch whose first image is a pattern of small numbers, the others zero."""
    images = np.zeros((batch, 3, SIDE, SIDE), dtype)
    images[0] = np.arange(3 * SIDE * SIDE).reshape(3, SIDE, SIDE) % 7
    return images


def exported(folder: Path, image: np.ndarray, *options: str, flip: bool = False) -> Path:
    """A version-1 MINDIR of the quick start's network with decode."""
    settings = config("--config_path", str(QUICKSTART), "--eval_config.K", str(ROWS), *options)
    colour = normalisation(statistics()) if image.dtype == np.uint8 else None
    with graph_mode():
        network = create_network(settings, "gather")
        model = with_decode(network, settings, colour, flip)
        file = str(folder / "v3")
        ms.export(model.set_train(False), Tensor(image), file_name=file, file_format="MINDIR")
    write_version_1(folder / "v3.mindir", folder / "model.mindir")
    return folder / "model.mindir"


@pytest.mark.parametrize(
    ("batch", "dtype", "options", "flip"),
    [
        (1, "float32", (), False),
        (4, "uint8", ("--net_config.deformable", "gather"), False),
        (1, "float32", ("--net_config.cat_spec_wh", "true"), True),
    ],
    ids=["plain", "deformable, uint8, batch 4", "sizes by class, mirrored too"],
)
def test_lite_takes_an_exported_model_up_to_cann(runner, tmp_path, batch, dtype, options, flip):
    image = blank(batch, dtype)
    done = runner.run(exported(tmp_path, image, *options, flip=flip), image, ROWS)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == ["option: ge.exec.precision_mode=allow_fp32_to_fp16"]
    runner.has_results(image, ROWS)


def test_the_precision_mode_reaches_cann(runner, tmp_path):
    image = blank(1, "float32")
    flags = ("--precision_mode", "enforce_fp16")
    done = runner.run(exported(tmp_path, image), image, ROWS, *flags)
    assert done.stderr.splitlines() == ["option: ge.exec.precision_mode=force_fp16"]
    assert done.returncode == 0


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    path = tmp_path / "converted.mindir"
    path.write_bytes(converted_model((1, 3, SIDE, SIDE), (1, ROWS, 6)))
    return path


def test_a_converted_model_is_loaded_and_not_compiled(runner, converted):
    image = blank(1, "float32")
    done = runner.run(converted, image, ROWS, "--precision_mode", "enforce_fp16")
    assert done.returncode == 0, done.stderr
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("warning: --precision_mode is ignored")
    assert f"model {converted}: converted for Ascend" in done.stdout
    runner.has_results(image, ROWS)


def test_outputs_in_float16_are_refused(runner, converted):
    done = runner.run(converted, blank(1, "float32"), ROWS, output="float16")
    assert done.returncode == 2
    assert "is float16 instead of float32" in done.stderr and "output_type=FP32" in done.stderr
