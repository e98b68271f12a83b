# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Two processes that train together, by MindSpore's own launcher and CPU collectives."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from src.data import synthetic
from tests.distributed_worker import evaluate, normalise_halves, train_on_halves
from tests.helpers import graph_mode


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs and weights of one run of tests/distributed_worker.py, in two processes."""
    folder = tmp_path_factory.mktemp("distributed")
    synthetic.generate(folder / "shapes", train_images=1, val_images=8, seed=1)
    damaged = sorted((folder / "shapes" / "val2017").iterdir())[4]
    damaged.write_bytes(damaged.read_bytes()[:-600])  # its header is sound
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bin_dir = Path(sys.executable).parent
    command = [
        *(bin_dir / "msrun", "--worker_num=2", "--local_worker_num=2", "--join=True"),
        *("--master_addr=127.0.0.1", f"--master_port={port}", f"--log_dir={folder}"),
        *(Path(__file__).parent / "distributed_worker.py", folder),
    ]
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**os.environ, "PATH": f"{bin_dir}:{os.environ['PATH']}"},  # msrun starts `python`
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    logs = "".join(path.read_text() for path in folder.glob("worker_*.log"))
    assert done.returncode == 0, done.stderr + logs
    return folder


def test_gradients_are_averaged_and_an_overflow_on_one_device_is_skipped_on_all(folder: Path):
    logs = "".join(path.read_text() for path in folder.glob("worker_*.log"))
    lines = sorted(line for line in logs.splitlines() if line.startswith("rank"))
    # The mean of (1, 10) and (2, 20), taken once; the second step is left out by both, which agree
    # on the scale, the number of overflows and the bad steps in a row.
    assert lines == [
        "rank 0 [-1.5, -15.0] False [1024.0, 0, 0]",
        "rank 0 [-1.5, -15.0] True [512.0, 1, 1]",
        "rank 1 [-1.5, -15.0] False [1024.0, 0, 0]",
        "rank 1 [-1.5, -15.0] True [512.0, 1, 1]",
    ]


def test_two_processes_end_in_the_weights_of_one_that_accumulates_their_batches(folder: Path):
    ranks = [dict(np.load(folder / f"{rank}.npz")) for rank in range(2)]
    with graph_mode():
        alone = train_on_halves([0, 1], rank_size=1)
        single_half = train_on_halves([0], rank_size=1)
    assert list(ranks[0]) == list(ranks[1]) == list(alone)
    differences = []
    for name, expected in alone.items():
        np.testing.assert_array_equal(ranks[0][name], ranks[1][name], err_msg=name)
        largest = np.abs(expected).max()
        np.testing.assert_allclose(
            ranks[0][name], expected, rtol=0, atol=1e-5 * largest, err_msg=name
        )
        differences.append(np.abs(single_half[name] - expected).max())
    assert max(differences) > 1e-3  # the other half mattered: that is one step of Adam


def test_two_processes_normalise_by_the_statistics_of_both(folder: Path):
    ranks = [dict(np.load(folder / f"normalised_{rank}.npz")) for rank in range(2)]
    with graph_mode():
        alone = normalise_halves([0, 1], rank_size=1)
        single_half = normalise_halves([0], rank_size=1)
    assert list(ranks[0]) == list(ranks[1]) == list(alone)
    for name, expected in alone.items():
        np.testing.assert_array_equal(ranks[0][name], ranks[1][name], err_msg=name)
        np.testing.assert_allclose(ranks[0][name], expected, rtol=0, atol=2e-6, err_msg=name)
        assert np.abs(single_half[name] - expected).max() > 1e-3, name


def worker_logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("worker_*.log"))


def lines_of(folder: Path, begin: str) -> list[str]:
    logs = "".join(path.read_text() for path in worker_logs(folder))
    return [line for line in logs.splitlines() if line.startswith(begin)]


def test_what_happens_to_the_work_of_one_process_happens_to_all(folder: Path):
    failed = "pictures/1.jpg: No space left on device"
    assert lines_of(folder, "meets") == [
        "meets 0 ['', 'xxxxx']",
        "meets 0 True True",  # it had nothing to do, and has waited for the other
        f"meets 0 UserError rank 1: {failed}.",
        "meets 0 False",
        "meets 0 True [5]",
        "meets 1 ['', 'xxxxx']",
        "meets 1 True True",
        "meets 1 OSError [Errno 28] No space left on device: 'pictures/1.jpg'",
        "meets 1 False",
        "meets 1 True []",
    ]


def test_two_processes_evaluate_as_one_to_the_last_bit_by_the_weights_of_the_first(folder: Path):
    with graph_mode():
        evaluate(folder, 0, 1)
    alone, first, second = (
        json.loads((folder / name).read_text()) for name in ("0.1.json", "0.2.json", "1.2.json")
    )
    assert first == alone
    sound = {*range(1000001, 1000009)} - {1000005}
    assert {entry["image_id"] for entry in alone["results"]} == sound
    assert second == {"results": [], "numbers": {}}
    # A batch is 3 of the 8 images. The first process names what cannot be read, the second nothing.
    done = [re.search(r" (\d+)/\1 \[", line) for line in lines_of(folder, "detect: 100%")]
    assert {found[1] for found in done} == {"5", "3"}
    said = [path.read_text().count("image cannot be read: 1") for path in worker_logs(folder)]
    assert said == [2, 0]
