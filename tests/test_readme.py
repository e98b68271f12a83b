# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The README says what the programs do."""

import re
from pathlib import Path

import yaml

from src.model_utils.config import DEFAULT_CONFIG_PATH, leaves, shown

README = (DEFAULT_CONFIG_PATH.parent / "README.md").read_text(encoding="utf-8")


def test_every_parameter_stands_in_the_readme_with_its_default():
    values, _, _ = yaml.safe_load_all(DEFAULT_CONFIG_PATH.read_text(encoding="utf-8"))
    rows = dict(re.findall(r"^\| `--([\w.]+)` \| `([^|]*)` \|", README, flags=re.MULTILINE))
    expected = {name: shown(value) for name, value in leaves(values)}
    assert rows == expected


def test_every_file_that_the_readme_links_to_exists():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert all((DEFAULT_CONFIG_PATH.parent / link).exists() for link in links)


def test_every_script_is_described_in_the_readme():
    scripts = Path(DEFAULT_CONFIG_PATH.parent / "scripts").glob("*.sh")
    public = {path.name for path in scripts} - {"common.sh", "environment.sh"}
    assert all(name in README for name in public)
