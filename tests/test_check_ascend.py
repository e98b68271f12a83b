# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The check of a device: all passes on a CPU, and what a broken kernel gives is reported."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from benchmarks.check_ascend import checks, report, seeded
from benchmarks.check_ascend.report import FAILED, NOT_COMPARED, PASSED, Chip, Row
from src.model_utils.errors import UserError
from src.model_utils.networks import ResNetConfig
from src.models.deformable import DeformableConv
from src.models.tasks.boxes import Decode
from tests.conftest import PROJECT, Program, assert_refused
from tests.helpers import graph_mode

CPU = Chip("CPU", "", is_simulated=False)
ASCEND = Chip("Ascend", "ascend910", is_simulated=False)
SIMULATED = Chip("Ascend", "ascend910b", is_simulated=True)
EXPECTED = json.loads(checks.EXPECTED.read_text())


@pytest.fixture(autouse=True)
def compiled():
    with graph_mode():
        yield


def table(text: str) -> dict[str, list[str]]:
    """The cells of a report's rows, by their first."""
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    return {name: rest for name, *rest in (line[2:-2].split(" | ") for line in lines)}


def test_the_script_passes_on_a_cpu(program: Program, infer_app: Path, tmp_path: Path):
    done = program("scripts/check_ascend.sh", cwd=tmp_path, DEVICE_TARGET="CPU")
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "ascend_report.md").read_text()
    rows = table(text)
    compared = [name for name, (result, *_) in rows.items() if result == PASSED]
    assert {name: rows[name][0] for name in rows if name not in compared} == {
        "memory": NOT_COMPARED
    }
    assert compared == [
        *("heads, plain", "heads, deformable (operator)", "decode, 80x176x176"),
        *("training, 20 steps", "overflow", "deformable layer, operator"),
        *("deformable layer, gather", "deformable layer, grid_sample", "export"),
        "C++ application",
    ]
    assert "**no check failed**" in text and f"MindSpore: {ms.__version__} on CPU" in text
    assert text in done.stdout


BROKEN = """
import sys
from mindspore import nn, ops, float16, float32
from benchmarks.check_ascend import __main__, checks
from src.models.tasks import boxes

class HalfPrecisionPool(nn.Cell):
    def __init__(self):
        super().__init__()
        self.pool = ops.MaxPool(3, 1, "same")

    def construct(self, x):
        return ops.cast(self.pool(ops.cast(ops.cast(x, float16), float32)), float32)

boxes.Largest3x3 = HalfPrecisionPool
everything = checks.all_checks
checks.all_checks = lambda *arguments: everything(*arguments)[2:3]  # decode, to be quick
__main__.main(sys.argv[1:])
"""


def test_a_kernel_that_is_broken_ends_the_program_with_1(tmp_path: Path):
    """Max-pooling of a 910A, as the decode once had it: nothing is found."""
    (tmp_path / "broken.py").write_text(BROKEN)
    done = subprocess.run(
        [sys.executable, "broken.py", "--device_target", "CPU", "--output", "found.md"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    text = (tmp_path / "found.md").read_text()
    assert "**1 of 2 checks failed**" in text
    assert table(text)["decode, 80x176x176"][:3] == [FAILED, "inf px", "1.0e-04 px"]


class Wrapped(nn.Cell):
    """A cell with another computation of the same inputs behind it."""

    def __init__(self, cell: nn.Cell, change) -> None:
        super().__init__()
        self.cell, self.change = cell, change

    def construct(self, *inputs):
        return self.change(self.cell(*inputs))


def a_bit_more(outputs):
    return (outputs[0], outputs[1] * 1.01, outputs[2])


def test_heads_that_are_off_are_reported():
    found = checks.check_heads(
        "heads", Wrapped(seeded.network("none"), a_bit_more), EXPECTED["heads"]["plain"], ASCEND
    )
    assert found.result == FAILED
    assert float(found.measured) > 5e-3


class InHalfPrecision(nn.Cell):
    """3×3 maximum that also rounds what it is compared with: neighbours become peaks."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = ops.MaxPool(3, 1, "same")

    def construct(self, x):
        x = ops.cast(ops.cast(x, ms.float16), ms.float32)
        return self.pool(x)


def decode() -> Decode:
    return Decode(ResNetConfig(), checks.MAP_CLASSES, checks.MAP_ROWS)


def test_peaks_are_compared_in_one_type_or_it_is_reported():
    broken = decode()
    broken.largest = InHalfPrecision()
    found = checks.check_decode("decode", broken, ASCEND)
    assert (found.result, found.measured) == (FAILED, "inf px")


def test_boxes_are_found_by_class_and_score_and_missing_ones_are_infinitely_far():
    expected = np.array([[0, 0, 4, 4, 0.9, 1], [10, 0, 14, 4, 0.5, 1], [0, 0, 1, 1, 0.1, 0]])
    found = expected[[0, 1, 2]].copy()
    found[1, 3] += 0.25
    found[2, :4] += 9  # ties with the last row may be others
    assert checks.boxes_difference(found, expected, 1e-3) == 0.25
    found[1, 4] += 2e-3
    assert checks.boxes_difference(found, expected, 1e-3) == math.inf
    assert checks.boxes_difference(np.full((3, 6), np.nan), expected, 1e-3) == math.inf


class Unmoved(DeformableConv):
    """A deformable layer whose offsets are lost."""

    def __init__(self) -> None:
        super().__init__(seeded.LAYER_CHANNELS, seeded.LAYER_CHANNELS, "gather")
        seeded.set_parameters(self)
        self.conv_offset.bias.set_data(ops.zeros_like(self.conv_offset.bias))


def test_a_deformable_layer_that_is_off_is_reported():
    found = checks.check_deformable("layer", Unmoved(), EXPECTED["layer"], True, ASCEND)
    assert found.result == FAILED


class Missing(nn.Cell):
    def construct(self, x):
        raise ValueError("no kernel\nmore text")


def test_a_form_that_is_absent_fails_where_it_is_the_device_s_own():
    def check(is_default: bool):
        return checks.check_deformable("layer", Missing(), EXPECTED["layer"], is_default, CPU)

    assert check(False).result == NOT_COMPARED
    assert "no kernel" in check(False).remark
    (found,) = report.run_checks([("layer", lambda: check(True))])
    assert found.result == FAILED
    assert found.remark.startswith("ValueError: ") and "no kernel" in found.remark


def test_losses_and_overflows_that_are_off_are_reported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seeded, "LEARNING_RATE", 0.0)
    step = seeded.training_step("gather")
    step._are_finite = lambda gradients: Tensor(True, ms.bool_)  # an overflow that is not seen
    found = checks.check_training("training", step, EXPECTED["losses"][:3], ASCEND)
    assert found.result == FAILED
    found = checks.check_overflow("overflow", step, ASCEND)
    assert found.result == FAILED
    assert "it was not told" in found.remark and "the scale became" in found.remark


def test_nothing_is_compared_in_a_dry_run():
    found = report.row(SIMULATED, "heads", math.inf, 0.1)
    assert (found.result, found.remark) == (NOT_COMPARED, report.SIMULATED)


def test_all_checks_are_run_and_a_report_fits_an_issue():
    def fail() -> Row:
        raise RuntimeError("a | b\n\nand where")

    rows = report.run_checks([("one", fail), ("two", lambda: Row("two", PASSED))])
    text = report.markdown([("driver", "23.0")], rows)
    assert "- driver: 23.0" in text and "**1 of 2 checks failed**" in text
    assert "| one | failed |  |  | RuntimeError: a \\| b |" in text
    assert "| two | passed |  |  |  |" in text


NPU_SMI = """
+------------------------------------------------------------------------------------------+
| npu-smi 23.0.rc2                 Version: 23.0.rc2                                       |
+----------------------+---------------+---------------------------------------------------+
| NPU   Name           | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                 | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+======================+===============+===================================================+
| 0     910B2          | OK            | 93.6        40                0    / 0             |
| 0                    | 0000:C1:00.0  | 0           0    / 0          3350 / 65536         |
| 1     310P3          | OK            | 93.6        40                0    / 0             |
"""


def test_cards_are_told_by_npu_smi():
    assert [report.card(NPU_SMI, number) for number in range(3)] == ["910B2", "310P3", ""]


def test_of_a_310_the_application_alone_is_checked(
    program: Program, infer_app: Path, tmp_path: Path
):
    """MindSpore finds no Ascend there, and exports on the CPU; here there is no card either."""
    (tmp_path / "npu-smi").write_text(f"#!/bin/sh\ncat << END\n{NPU_SMI}END\n")
    (tmp_path / "npu-smi").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = program("scripts/check_ascend.sh", "1", cwd=tmp_path, PATH=path)
    assert done.returncode == 1, done.stdout + done.stderr
    text = (tmp_path / "ascend_report.md").read_text()
    assert "- driver: 23.0.rc2" in text and "- card: 310P3" in text
    rows = table(text)
    assert {name: result for name, (result, *_) in rows.items()} == {
        "what MindSpore computes": NOT_COMPARED,
        "C++ application": FAILED,
    }
    assert "MindSpore Lite cannot load it on Ascend 1" in rows["C++ application"][-1]


@pytest.mark.parametrize("arguments", [("first",), ("0", "1"), ("-1",)])
def test_wrong_use_ends_with_2(program: Program, tmp_path: Path, arguments: tuple[str, ...]):
    done = program("scripts/check_ascend.sh", *arguments, cwd=tmp_path, DEVICE_TARGET="CPU")
    assert done.returncode == 2
    assert done.stdout.startswith("usage: ") or "usage: " in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_not_there_is_refused(program: Program, tmp_path: Path):
    done = program("scripts/check_ascend.sh", cwd=tmp_path)
    assert_refused(done, "device_target Ascend", "finds no such device")
    assert not (tmp_path / "ascend_report.md").exists()


def test_on_a_simulated_chip_all_is_run_and_nothing_is_compared(tmp_path: Path):
    stand_in = pytest.importorskip("benchmarks.ascend.stand_in")
    try:
        stand_in.built()
    except UserError as error:
        pytest.skip(str(error))
    script = ("bash", PROJECT / "scripts" / "check_ascend.sh")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ascend.dry_run", "910B", *script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "ascend_report.md").read_text()
    assert f"MindSpore: {ms.__version__} on ascend910b" in text
    rows = table(text)
    assert "heads, deformable (grid_sample)" in rows and len(rows) == 10
    assert {result for result, *_ in rows.values()} == {NOT_COMPARED}
    assert {remark for *_, remark in rows.values()} - {report.SIMULATED} == {
        "simulated: without what CANN's kernels take"
    }
