# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What a check found, and the report that is made of it."""

import os
import platform
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PASSED, FAILED, NOT_COMPARED = "passed", "failed", "not compared"
SIMULATED = "simulated: there are no numbers"


@dataclass(frozen=True)
class Row:
    """One check: `measured` and `allowed` as they are to be read, with their units."""

    name: str
    result: str
    measured: str = ""
    allowed: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Chip:
    """What is checked: device target, MindSpore's name of an Ascend, whether it is a dry run."""

    target: str
    name: str
    is_simulated: bool
    device_id: int = 0


def is_simulated() -> bool:
    """Whether MindSpore computes nothing here, in its dry run."""
    return bool(os.environ.get("MS_SIMULATION_LEVEL"))


def row(
    chip: Chip, name: str, difference: float, allowed: float, unit: str = "", remark: str = ""
) -> Row:
    """A row of a difference that may be as large as `allowed`; what is no number has failed."""
    if chip.is_simulated:
        return Row(name, NOT_COMPARED, "", f"{allowed:.1g}{unit}", SIMULATED)
    result = PASSED if difference <= allowed else FAILED
    return Row(name, result, f"{difference:.1e}{unit}", f"{allowed:.1e}{unit}", remark)


def run_checks(checks: Sequence[tuple[str, Callable[[], Row]]]) -> list[Row]:
    """The rows of all checks; one that raises has failed, and the others are run all the same."""
    rows = []
    for name, check in checks:
        try:
            found = check()
        except Exception as error:  # what a kernel raises is not known
            message = str(error).strip().split("\n")[0]
            found = Row(name, FAILED, remark=f"{type(error).__name__}: {message[:300]}")
        print(f"{found.name}: {found.result} {found.measured} {found.remark}".rstrip(), flush=True)
        rows.append(found)
    return rows


def markdown(facts: Sequence[tuple[str, str]], rows: Sequence[Row]) -> str:
    """The report, fit to be pasted into an issue."""
    failed = sum(found.result == FAILED for found in rows)
    verdict = f"{failed} of {len(rows)} checks failed" if failed else "no check failed"
    lines = ["# Check of a device", "", *(f"- {name}: {fact}" for name, fact in facts), ""]
    lines += [f"**{verdict}**", "", "| check | result | off by | allowed | remark |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for found in rows:
        cells = (found.name, found.result, found.measured, found.allowed, found.remark)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def versions(device_id: int) -> list[tuple[str, str]]:
    """Versions of driver and CANN, and the card, as far as this machine tells."""
    found = npu_smi()
    version = re.search(r"Version:\s*([^\s|]+)", found)
    return [
        ("system", f"{platform.machine()}, Python {platform.python_version()}"),
        ("driver", version[1] if version else "no npu-smi"),
        ("card", card(found, device_id) or "not found"),
        ("CANN", _cann_version() or "not found"),
    ]


def npu_smi() -> str:
    """What `npu-smi info` prints; nothing where it is not."""
    try:
        done = subprocess.run(
            ["npu-smi", "info"], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def card(npu_smi_info: str, device_id: int) -> str:
    """The name of a card in npu-smi's table, as 910B2 or 310P3; empty if it is not there."""
    cards = re.findall(r"^\|\s*\d+\s+(?:Ascend)?(\d\w+)\s*\|", npu_smi_info, re.MULTILINE)
    return cards[device_id] if device_id < len(cards) else ""


def _cann_version() -> str:
    home = os.environ.get("ASCEND_HOME_PATH") or os.environ.get("ASCEND_TOOLKIT_HOME")
    for name in ("compiler/version.info", "opp/version.info", "version.cfg"):
        file = Path(home or "/usr/local/Ascend/ascend-toolkit/latest") / name
        if file.is_file():
            version = re.search(r"[Vv]ersion=\[?(?:[\d.]+:)?([\w.]+)", file.read_text())
            if version:
                return version[1]
    return ""
