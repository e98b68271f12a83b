# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Checks what a device computes, for the first person with a card; scripts/check_ascend.sh.

python -m benchmarks.check_ascend [--device_target Ascend|CPU] [--device_id N] [--output FILE]
python -m benchmarks.check_ascend --write_expected

The first writes a report, and ends with 1 if a check failed. The second computes on a CPU what the
others are compared with, benchmarks/check_ascend/expected.json, which is committed.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.check_ascend import report
from benchmarks.check_ascend.report import FAILED, NOT_COMPARED, Chip, Row
from src.model_utils.config import load_config
from src.model_utils.device_adapter import ascend_chip, disarm_onednn_trap, set_up_device
from src.model_utils.errors import run_program
from src.model_utils.files import whole_file, write_json

_TARGETS = ["Ascend", "CPU"]


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parse(arguments)
    if options.write_expected:
        _write_expected()
        return
    disarm_onednn_trap()
    card = report.card(report.npu_smi(), options.device_id)
    facts = report.versions(options.device_id)
    with tempfile.TemporaryDirectory() as folder:
        rows = _rows(options.device_target, options.device_id, card, Path(folder), facts)
    text = report.markdown(facts, rows)
    with whole_file(options.output) as partial:
        partial.write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten to {options.output.resolve()}")
    if any(row.result == FAILED for row in rows):
        sys.exit(1)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device_target", default="Ascend", choices=_TARGETS)
    parser.add_argument("--device_id", type=int, default=0, help="which of the machine's cards")
    parser.add_argument("--output", type=Path, default=Path("ascend_report.md"), help="the report")
    parser.add_argument("--write_expected", action="store_true", help="see above; on a CPU")
    return parser.parse_args(arguments)


def _rows(
    target: str, device_id: int, card: str, folder: Path, facts: list[tuple[str, str]]
) -> list[Row]:
    """The rows of all checks for a device; its facts are added to `facts`."""
    import mindspore as ms

    is_310 = target == "Ascend" and card.startswith("310")
    # Of the 310s MindSpore knows the 310P, or none: they infer by MindSpore Lite.
    by_lite_alone = is_310 and not ms.hal.is_available("Ascend")
    computes_on = "CPU" if by_lite_alone else target
    set_up_device(load_config("", ["--device_target", computes_on, "--device_id", str(device_id)]))

    from benchmarks.check_ascend import checks
    from src.models.deformable import chosen_form

    chip = Chip(computes_on, ascend_chip(), report.is_simulated(), device_id)
    facts.append(("MindSpore", f"{ms.__version__} on {chip.name or chip.target}"))
    if chip.is_simulated:
        facts.append(("simulated", "MS_SIMULATION_LEVEL is set: all is run, nothing is compared"))
    expected = json.loads(checks.EXPECTED.read_text(encoding="utf-8"))
    if by_lite_alone:
        listed = []
        missing = [Row("what MindSpore computes", NOT_COMPARED, remark="it finds no Ascend here")]
    else:
        listed, missing = checks.all_checks(chip, chosen_form("auto"), folder, expected), []
    if is_310 or (target == "CPU" and not chip.is_simulated):
        name = "C++ application"

        def application() -> Row:
            limits = checks.HALF if is_310 else checks.FLOAT32
            return checks.check_application(
                name, checks.detector("gather"), expected["detections"], folder,
                (target, device_id), limits,
            )  # fmt: skip

        listed.append((name, application))
    return missing + report.run_checks(listed)


def _write_expected() -> None:
    set_up_device(load_config("", ["--device_target", "CPU"]))

    from benchmarks.check_ascend import checks

    write_json(checks.EXPECTED, checks.expected_values())
    print(f"written to {checks.EXPECTED}")


if __name__ == "__main__":
    run_program(main)
