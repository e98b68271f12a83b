# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The kernel that MindSpore chooses for each operator of a graph on a simulated Ascend; memory.

Kinds are MindSpore's: aclnn (CANN's interface of single operators), aclop (compiled from an
operator of the graph engine), hccl (communication), and cpu or host where it falls back to the
host's processor. On 910A the graph goes to the graph engine as a whole: its operators are listed,
as ge. Whether an operator runs on AI Core or on AICPU is decided by CANN and not seen here.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ascend.dry_run import environment
from benchmarks.ascend.variants import VARIANTS

_SELECTED = re.compile(r"CollectOpSelectedType\] (\w+) select (\w+) kernel")
_FALLEN_BACK = re.compile(r"TryBackoffCpu\] .* node:\S*?([A-Za-z]\w*)-op\d+")
_GE = re.compile(r"^GE operator (\w+)", re.MULTILINE)
_NO_GRAPH_ENGINE = "Can not found GraphRunner"  # which would take a graph, built, to compile it
_PEAK = re.compile(r"Actual peak memory usage \(with fragments\): (\d+)M")
_ERROR = re.compile(r"^[\w.]*(?:Error|Exception): .*|^error: .*", re.MULTILINE)
# MindSpore logs all that in these.
_LOGGING = {
    "GLOG_v": "2", "MS_SUBMODULE_LOG_v": "{DEVICE:1}", "GLOG_logtostderr": "1",
    "DRY_RUN_PRINT_GE": "1",
}  # fmt: skip
_ON_CHIP = {"aclnn", "aclop", "hccl", "internal", "atb", "ge"}


@dataclass(frozen=True)
class Compiled:
    """What a process compiled.

    kernels: kind of kernel of each operator; several are joined by "+".
    peak_mb: peak of MindSpore's memory pool in MiB, without the workspaces of CANN's kernels; None
        where MindSpore does not run the graph (910A) or it failed.
    error: why it failed, or "".
    """

    kernels: dict[str, str]
    peak_mb: int | None
    error: str = ""

    @property
    def without_kernel(self) -> list[str]:
        """Operators that the chip has no kernel for, somewhere in the graph."""
        return [name for name, kind in self.kernels.items() if set(kind.split("+")) - _ON_CHIP]


def compile_variants(chip: str, names: Sequence[str], parameters: Sequence[str]) -> Compiled:
    """Compiles variants that share their launcher's environment, one after another in a process.

    Args:
        chip: of `dry_run.CHIPS`.
        names: of `variants.VARIANTS`; one where its first graph ends the process (910A).
        parameters: of the configuration, as on a command line.
    """
    command = ["-m", "benchmarks.ascend.variants", ",".join(names), *parameters]
    return compiled(chip, command, VARIANTS[names[0]].environment)


def compiled(
    chip: str,
    arguments: Sequence[str],
    variables: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> Compiled:
    """Runs Python with `arguments` on a simulated chip and reads its log.

    Args:
        chip: of `dry_run.CHIPS`.
        arguments: of the interpreter.
        variables: further environment.
        cwd: where it runs, and MindSpore leaves files; None for a folder that is removed.
    """
    with tempfile.TemporaryDirectory(prefix="dry-run-") as folder:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd or folder,
            env={**environment(chip), **_LOGGING, **(variables or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return read_log(done.stdout.decode(errors="replace"), done.returncode)


def read_log(log: str, exit_code: int) -> Compiled:
    """What a process with `_LOGGING` compiled, by its log."""
    found = set(_SELECTED.findall(log))
    found |= {(operator, "cpu") for operator in _FALLEN_BACK.findall(log)}
    peak = _PEAK.search(log)
    if _NO_GRAPH_ENGINE in log:
        found |= {(operator, "ge") for operator in _GE.findall(log)}
        exit_code, peak = 0, None
    kinds: dict[str, set[str]] = {}
    for operator, kind in found:
        kinds.setdefault(operator, set()).add(kind)
    error = ""
    if exit_code != 0:
        lines = _ERROR.findall(log) or log.splitlines() or [""]
        error = f"exit code {exit_code}: {lines[-1]}"
    elif not found:
        error = "MindSpore's log names no kernel"
    return Compiled(
        {name: "+".join(sorted(kinds[name])) for name in sorted(kinds)},
        int(peak[1]) if peak and not error else None,
        error,
    )
