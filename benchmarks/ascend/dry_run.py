# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Runs a command on a simulated Ascend: python -m benchmarks.ascend.dry_run CHIP COMMAND ...

    python -m benchmarks.ascend.dry_run 910B python train.py --device_target Ascend ...

Graphs are compiled and "run" by MindSpore's Ascend back end, and every result is 0. MindSpore
leaves folders where it runs (rank_0, execute_order, offload), and says that CANN's Python package
te is missing.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ascend import stand_in
from benchmarks.common import PROJECT
from src.model_utils.errors import UserError, run_program


@dataclass(frozen=True)
class Chip:
    """A chip by CANN's name, and MindSpore's version of it."""

    name: str
    version: str


# Not 310: MindSpore compiles nothing for it; MindSpore Lite does, another runtime.
CHIPS = {
    "910A": Chip("Ascend910A", "ascend910"),
    "910B": Chip("Ascend910B1", "ascend910b"),
    "910C": Chip("Ascend910_9391", "ascend910_93"),
    "310P": Chip("Ascend310P3", "ascend310p"),
}


def environment(chip: str) -> dict[str, str]:
    """The environment that makes a child see MindSpore with a chip of `CHIPS`.

    For that child alone: to MindSpore it is an installed CANN. The stand-in is built if need be.

    Raises:
        UserError: as `stand_in.built`.
    """
    home = stand_in.built()
    return dict(
        os.environ,
        MS_SIMULATION_LEVEL="1",
        DRY_RUN_CHIP=CHIPS[chip].name,
        DRY_RUN_CHIP_VERSION=CHIPS[chip].version,
        ASCEND_HOME_PATH=str(home),
        ASCEND_OPP_PATH=str(home / "opp"),
        LD_LIBRARY_PATH=_path(home / "lib64", os.environ.get("LD_LIBRARY_PATH")),
        # First of all, since some of MindSpore's libraries name none of CANN's that they call.
        LD_PRELOAD=str(home / "lib64" / "libascendcl.so"),
        PYTHONPATH=_path(PROJECT, stand_in.python_folder(home), os.environ.get("PYTHONPATH")),
    )


def _path(*folders: Path | str | None) -> str:
    return os.pathsep.join(str(folder) for folder in folders if folder)


def main() -> None:
    chip, *command = sys.argv[1:] or [""]
    if chip not in CHIPS or not command:
        raise UserError(
            f"command line: give a chip ({', '.join(CHIPS)}) and the command to run on it."
        )
    if shutil.which(command[0]) is None:
        raise UserError(f"command line: {command[0]} is no program.")
    os.execvpe(command[0], command, environment(chip))


if __name__ == "__main__":
    run_program(main)
