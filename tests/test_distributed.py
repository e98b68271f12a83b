# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Two processes that train together, by MindSpore's own launcher and CPU collectives."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def test_gradients_are_averaged_and_an_overflow_on_one_device_is_skipped_on_all(tmp_path: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bin_dir = Path(sys.executable).parent
    command = [
        *(bin_dir / "msrun", "--worker_num=2", "--local_worker_num=2", "--join=True"),
        *("--master_addr=127.0.0.1", f"--master_port={port}", f"--log_dir={tmp_path}"),
        Path(__file__).parent / "distributed_worker.py",
    ]
    done = subprocess.run(
        list(map(str, command)),
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{bin_dir}:{os.environ['PATH']}"},  # msrun starts `python`
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    logs = "".join(path.read_text() for path in tmp_path.glob("worker_*.log"))
    assert done.returncode == 0, done.stderr + logs
    lines = sorted(line for line in logs.splitlines() if line.startswith("rank"))
    # The mean of (1, 10) and (2, 20), taken once; the second step is left out by both.
    assert lines == [
        "rank 0 [-1.5, -15.0] False",
        "rank 0 [-1.5, -15.0] True",
        "rank 1 [-1.5, -15.0] False",
        "rank 1 [-1.5, -15.0] True",
    ]
