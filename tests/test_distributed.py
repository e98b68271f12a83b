# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Two processes that train together, by MindSpore's own launcher and CPU collectives."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.distributed_worker import normalise_halves, train_on_halves
from tests.helpers import graph_mode


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs and weights of one run of tests/distributed_worker.py, in two processes."""
    folder = tmp_path_factory.mktemp("distributed")
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
