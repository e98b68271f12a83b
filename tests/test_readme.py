# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The README says what the programs do, and what it says can be read and works."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from src.model_utils.config import DEFAULT_CONFIG_PATH
from tests.conftest import PROJECT

README = (DEFAULT_CONFIG_PATH.parent / "README.md").read_text(encoding="utf-8")
FAULTS = PROJECT / "docs" / "faults.md"
# Not those of libraries in third_party and of what is written here.
DOCUMENTS = [
    path
    for pattern in ("*.md", "docs/**/*.md", "configs/**/*.md", "tests/**/*.md", "benchmarks/*.md")
    for path in sorted(PROJECT.glob(pattern))
]


def test_every_file_that_the_readme_links_to_exists():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert all((DEFAULT_CONFIG_PATH.parent / link).exists() for link in links)


def test_every_script_is_described_in_the_readme():
    scripts = Path(DEFAULT_CONFIG_PATH.parent / "scripts").glob("*.sh")
    public = {path.name for path in scripts} - {"common.sh", "distributed.sh", "environment.sh"}
    assert all(name in README for name in public)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_row_of_a_table_has_its_cells(document: Path):
    """GitHub shows a | as the end of a cell, in `code` too, if no backslash stands before it."""
    columns = None
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), 1):
        if not line.lstrip().startswith("|"):
            columns = None
            continue
        found = len(re.findall(r"(?<!\\)\|", line))
        columns = columns or found
        assert found == columns, f"{document.name}, line {number}: {line}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documented_commands_work_from_any_folder(document: Path):
    text = document.read_text(encoding="utf-8")
    modules = re.findall(r"(PYTHONPATH=\S+ )?python -m ((?:src|benchmarks)\S*)", text)
    assert [module for path, module in modules if not path] == []


@pytest.mark.parametrize("program", ["src/dataset.py", "src/weights"])
def test_programs_below_src_start_from_any_folder(program: str, tmp_path: Path):
    command = [sys.executable, PROJECT / program, "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_pip_says_in_one_sentence_that_this_is_no_package(tmp_path: Path):
    command = ("pip", "wheel", "--no-deps", "--wheel-dir", tmp_path, PROJECT)
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert (
        "[1 lines of output]\n      error: CenterNet for MindSpore is no package; " in done.stderr
    )
    assert "pip install -r requirements.txt" in done.stderr
    assert not list(tmp_path.iterdir())


def test_every_promise_of_the_page_of_faults_has_its_test():
    rows = re.findall(r"`(tests/\w+\.py)::(\w+)` \|$", FAULTS.read_text("utf-8"), re.MULTILINE)
    assert len(rows) > 40
    for path, name in rows:
        assert f"def {name}(" in (PROJECT / path).read_text("utf-8"), name
