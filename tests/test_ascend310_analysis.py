# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The Ascend 310 application under sanitizers, clang-tidy and fuzzers."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import PROJECT

SOURCES = PROJECT / "ascend310_infer"
# The tests of the build script need no sanitizer.
RUNS = "not build and not mslite_path and not tools and not download and not thousand"
FUZZ_SECONDS = 200  # for each of four fuzzers


def cmake(folder: Path, *options: str) -> None:
    for command in (
        ["cmake", "-S", str(SOURCES), "-B", str(folder), *options],
        ["cmake", "--build", str(folder)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_clang_tidy_finds_nothing(infer_app: Path):
    tidy = str(Path(sys.executable).with_name("clang-tidy"))
    command = [tidy, "--quiet", "-p", str(SOURCES / "build")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(
            lambda path: subprocess.run(
                [*command, str(path)], capture_output=True, text=True, check=False
            ),
            sorted(SOURCES.glob("src/*.cc")),
        )
        found = [result.stdout for result in done if result.returncode]
    assert infer_app.exists() and not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_sanitizers_find_nothing(infer_app: Path, tmp_path: Path, sanitizers: str):
    cache = (SOURCES / "build" / "CMakeCache.txt").read_text()
    root = re.search(r"^MSLITE_ROOT:PATH=(.*)$", cache, re.MULTILINE)[1]
    folder = tmp_path / "build"
    cmake(folder, f"-DSANITIZE={sanitizers}", f"-DMSLITE_ROOT={root}", f"-DOUTPUT_FOLDER={folder}")
    selected = f"{RUNS} and not disk_is_full"  # ThreadSanitizer writes files of its own
    settings = {
        "TSAN_OPTIONS": f"suppressions={SOURCES}/sanitizers/thread.supp print_suppressions=0"
    }
    if sanitizers != "thread":
        library = subprocess.check_output(["gcc", "-print-file-name=libasan.so"], text=True)
        selected = f"{RUNS} and not header_that_lies"  # whose limit of memory has no room for it
        settings = {
            # Lite unloads its plugin, whose leaks would have no name then.
            "LD_PRELOAD": f"{library.strip()} {root}/lib/libmsplugin-ge-litert_python.so",
            "LD_LIBRARY_PATH": f"{root}/lib",
            "ASAN_OPTIONS": "fast_unwind_on_malloc=0",
            "LSAN_OPTIONS": f"suppressions={SOURCES}/sanitizers/leak.supp print_suppressions=0",
        }
    app = tmp_path / "app"
    given = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
    app.write_text(f'#!/bin/sh\nexec env {given} {shlex.quote(str(folder / "main"))} "$@"\n')
    app.chmod(0o755)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", selected),
            *(f"tests/test_ascend310_{name}.py" for name in ("app", "detections", "files")),
        ],
        cwd=PROJECT,
        env={**os.environ, "ASCEND310_APP": str(app)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 60


@pytest.fixture(scope="module")
def fuzzers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("clang++"):
        pytest.skip("clang++ is missing; install the Debian packages clang and libclang-rt-dev")
    folder = tmp_path_factory.mktemp("fuzzers")
    cmake(
        folder,
        *("-DFUZZ=ON", "-DSANITIZE=address,undefined", "-DWITH_OPENCV=OFF"),
        "-DCMAKE_CXX_COMPILER=clang++",
    )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("target", ["files", "image_header", "meta", "postprocess"])
def test_fuzzers_find_nothing(fuzzers: Path, tmp_path: Path, target: str):
    done = subprocess.run(
        [fuzzers / f"fuzz_{target}", f"-max_total_time={FUZZ_SECONDS}", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5_000:]
    assert int(re.search(r"Done (\d+) runs", done.stderr)[1]) > 100_000
