# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What came out of run_infer_310.sh, which calls this at its end, in one json file."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from src.model_utils.errors import UserError, run_program
from src.model_utils.files import sha256, write_json


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=Path, required=True, help="the script's notes, see steps()")
    parser.add_argument("--scores", type=Path, required=True, help="postprocess.py's eval_310.json")
    parser.add_argument("--times", type=Path, required=True, help="the application's times.json")
    parser.add_argument("--mindir", type=Path, required=True, help="the model")
    parser.add_argument("--device", required=True, help="what it ran on")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    options = parser.parse_args(arguments)
    scores, times = _read(options.scores), _read(options.times)
    done = steps(options.steps.read_text(encoding="utf-8", errors="surrogateescape"))
    summary = {
        "images": scores["images"],
        "failed": times["failed"],
        "numbers": scores["numbers"],
        "images_per_second": times["images_per_second"],
        "device": options.device,
        "mindir": str(options.mindir),
        "mindir_sha256": sha256(options.mindir),
        "steps": done,
        "skipped": [step["name"] for step in done if step["seconds"] is None],
    }
    write_json(options.output, summary)


def steps(notes: str) -> list[dict[str, Any]]:
    """The steps of a run: name, seconds (None for one that was not repeated) and command.

    Args:
        notes: for each a line NAME, START, END, COMMAND with tabs between; times in seconds, empty
            for one that was not repeated.
    """
    found = []
    for line in notes.split("\n")[:-1]:
        name, start, end, command = line.split("\t")
        seconds = float(end) - float(start) if end else None
        found.append({"name": name, "seconds": seconds, "command": command})
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); pass --fresh to repeat it.") from None


if __name__ == "__main__":
    run_program(main)
