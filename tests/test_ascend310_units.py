# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The unit tests of the Ascend 310 application's parts, without MindSpore Lite."""

import os
import subprocess
from pathlib import Path

import pytest

from src.deploy.bin_files import read_meta
from src.model_utils.errors import UserError
from tests.conftest import PROJECT
from tests.test_ascend310_detections import GOOD

SOURCES = PROJECT / "ascend310_infer"


def test_every_part_does_what_its_own_test_says(tmp_path: Path):
    build = ["cmake", "-S", str(SOURCES), "-B", str(tmp_path), "-DUNIT_TESTS=ON"]
    for command in (
        [*build, "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0"],
        ["cmake", "--build", str(tmp_path), "--parallel", str(os.cpu_count())],
        ["ctest", "--test-dir", str(tmp_path), "--output-on-failure"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    of_parts = list((SOURCES / "tests").glob("*_test.cc"))
    assert f"0 tests failed out of {len(of_parts)}" in done.stdout


def test_both_sides_take_the_same_meta_files(tmp_path: Path):
    """Python's share; tests/meta_test.cc has the application's."""
    meta = tmp_path / "meta.txt"
    for entry in (SOURCES / "tests" / "meta_lines.txt").read_text().splitlines():
        quality, line = entry.split(" ", 1)
        for letter, character in zip("nrts", "\n\r\t ", strict=True):
            line = line.replace(f"\\{letter}", character)
        start = line.split(" ")[0]
        lines = [line if old.startswith(start) else old for old in GOOD.split("\n")]
        meta.write_bytes("\n".join(lines).encode())
        if quality == "good":
            read_meta(meta)
        else:
            with pytest.raises(UserError, match=r"meta\.txt: line"):
                read_meta(meta)
                pytest.fail(entry)
