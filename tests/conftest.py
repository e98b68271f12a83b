# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Fixtures that build and run the Ascend 310 application."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Before MindSpore is imported: keeps its CPU convolutions off a very slow kernel.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")

BUILD_SCRIPT = Path(__file__).parents[1] / "ascend310_infer" / "build.sh"


@pytest.fixture(scope="session")
def infer_app() -> Path:
    """The application, built by its own script."""
    built = subprocess.run(
        [BUILD_SCRIPT],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    if "set MSLITE_PATH" in built.stderr:
        pytest.skip(f"no MindSpore Lite here: {built.stderr.splitlines()[-1]}")
    assert built.returncode == 0, built.stderr
    return BUILD_SCRIPT.parent / "out" / "main"
