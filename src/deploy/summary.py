# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What came out of run_infer_310.sh, which calls this at its end, in one json file."""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from src.model_utils.errors import UserError, run_program
from src.model_utils.files import read_regular, read_text, sha256, write_json


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--steps", type=Path, required=True, help="the script's notes, see read_steps()"
    )
    parser.add_argument("--scores", type=Path, required=True, help="postprocess.py's eval_310.json")
    parser.add_argument("--times", type=Path, required=True, help="the application's times.json")
    parser.add_argument("--mindir", type=Path, required=True, help="the model")
    parser.add_argument("--device", required=True, help="what it ran on")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    options = parser.parse_args(arguments)
    scores = read(options.scores, "images", "numbers")
    times = read(options.times, "failed", "images_per_second")
    done = read_steps(options.steps)
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


def read_steps(path: Path) -> list[dict[str, Any]]:
    """The steps of a run: name, seconds (None for one that was not repeated) and command.

    Args:
        path: for each a line NAME, START, END, COMMAND with tabs between; times in seconds, empty
            for one that was not repeated.

    Raises:
        UserError: it cannot be read or has other lines.
    """
    found = []
    try:
        for line in read_text(path, errors="surrogateescape").split("\n")[:-1]:
            name, start, end, command = line.split("\t")
            seconds = float(end) - float(start) if end else None
            if seconds is not None and not math.isfinite(seconds):
                raise ValueError(f"a step takes {seconds} seconds")
            found.append({"name": name, "seconds": seconds, "command": command})
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from None
    return found


def read(path: Path, *names: str) -> dict[str, Any]:
    """What stands under some names in a json.

    Raises:
        UserError: it cannot be read or lacks one of them.
    """
    try:
        content = json.loads(read_regular(path))
        return {name: content[name] for name in names}
    except KeyError as error:
        raise _unusable(path, f"it has no {error}") from None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, reason: object) -> UserError:
    reason = getattr(reason, "strerror", None) or reason
    return UserError(f"{path}: cannot be read ({reason}); pass --fresh to repeat it.")


if __name__ == "__main__":
    run_program(main)
