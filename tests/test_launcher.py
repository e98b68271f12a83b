# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The commands that the distributed launcher writes."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import PROJECT, Program

LAUNCHER = PROJECT / "scripts" / "ascend_distributed_launcher"


def rank_table(folder: Path, servers: int = 1, devices: int = 8) -> Path:
    server_list = [
        {
            "server_id": f"10.0.0.{server + 1}",
            "device": [
                {
                    "device_id": str(device),
                    "device_ip": f"192.98.{server}.{device}",
                    "rank_id": str(server * devices + device),
                }
                for device in range(devices)
            ],
            "host_nic_ip": "reserve",
        }
        for server in range(servers)
    ]
    path = folder / "hccl.json"
    path.write_text(
        json.dumps(
            {
                "version": "1.0",
                "server_count": str(servers),
                "server_list": server_list,
                "status": "completed",
            }
        )
    )
    return path


def write_commands(folder: Path, table: Path, *options: str, **environment: str):
    return subprocess.run(
        [
            *(sys.executable, LAUNCHER / "get_distribute_train_cmd.py"),
            *("--run_script", PROJECT / "train.py", "--hccl_config", table),
            *("--hyper_parameter_config", LAUNCHER / "hyper_parameter_config.ini", *options),
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def starts(folder: Path) -> list[str]:
    lines = (folder / "distributed_cmd.sh").read_text().splitlines()
    return [line for line in lines if " exec nohup env " in line]


def test_each_device_gets_its_rank_its_folder_and_its_id(tmp_path: Path):
    done = write_commands(tmp_path, rank_table(tmp_path))
    assert done.returncode == 0, done.stderr
    found = starts(tmp_path)
    assert len(found) == 8
    for device, line in enumerate(found):
        assert line.startswith(f"(cd LOG{device} && ")
        assert f" RANK_TABLE_FILE={tmp_path}/hccl.json RANK_SIZE=8 RANK_ID={device} " in line
        assert f" DEVICE_ID={device} " in line
        assert f" --device_id={device} " in line
        assert " --distribute=true " in line
        assert "MS_ROLE" not in line


def test_the_second_of_two_servers_starts_its_own_ranks(tmp_path: Path):
    table = rank_table(tmp_path, servers=2)
    assert write_commands(tmp_path, table, SERVER_ID="10.0.0.2").returncode == 0
    assert [f"RANK_ID={rank} " in line for rank, line in enumerate(starts(tmp_path), 8)] == [
        True
    ] * 8
    done = write_commands(tmp_path, table)
    assert done.returncode == 2
    assert "set SERVER_ID" in done.stderr


def test_names_keep_their_case_and_values_their_blanks(tmp_path: Path):
    ini = tmp_path / "own.ini"
    ini.write_text(
        "[config]\ntrain_config.MultiDecay.learning_rate = 1e-3\nprofiler_path = a b%c\n"
    )
    options = ("--hyper_parameter_config", str(ini))
    assert write_commands(tmp_path, rank_table(tmp_path), *options).returncode == 0
    assert " --train_config.MultiDecay.learning_rate=1e-3 " in starts(tmp_path)[0]
    assert " '--profiler_path=a b%c' " in starts(tmp_path)[0]


@pytest.mark.parametrize("content", ["{", "[]", '{"server_list": []}', '{"server_list": [{}]}'])
def test_a_file_that_is_no_rank_table_is_refused(content: str, tmp_path: Path):
    (tmp_path / "hccl.json").write_text(content)
    done = write_commands(tmp_path, tmp_path / "hccl.json")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}/hccl.json: is not a usable rank table")
    assert not (tmp_path / "distributed_cmd.sh").exists()


@pytest.mark.parametrize("content", ["distribute = true", "[other]\n"])
def test_an_ini_without_its_section_is_refused(content: str, tmp_path: Path):
    (tmp_path / "own.ini").write_text(content)
    options = ("--hyper_parameter_config", str(tmp_path / "own.ini"))
    done = write_commands(tmp_path, rank_table(tmp_path), *options)
    assert done.returncode == 2
    assert "section [config]" in done.stderr


@pytest.mark.parametrize("config", ["", "configs/resnet18.yaml"])
def test_a_config_brings_its_own_recipe(config: str, program: Program, tmp_path: Path):
    table = rank_table(tmp_path)
    environment = {"CONFIG_PATH": str(PROJECT / config)} if config else {}
    done = program(
        "scripts/run_distributed_train_ascend.sh",
        *("absent", table, "--config_pth", "x"),  # so that no process trains
        cwd=tmp_path,
        FOREGROUND="1",
        **environment,
    )
    assert done.returncode == 2  # the first process's code
    assert "did you mean config_path?" in done.stderr or "unknown parameter" in done.stderr
    assert all(("--epoch_size 330" in line) == (config == "") for line in starts(tmp_path))


def test_the_printed_process_ids_are_the_programs(tmp_path: Path):
    (tmp_path / "sleeper.py").write_text("import time\ntime.sleep(60)\n")
    options = ("--run_script", str(tmp_path / "sleeper.py"))
    assert write_commands(tmp_path, rank_table(tmp_path, devices=2), *options).returncode == 0
    done = subprocess.run(
        ["bash", "distributed_cmd.sh"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("processes: ")]
    for process in line.split()[1:]:
        command_line = Path(f"/proc/{process}/cmdline")
        until = time.monotonic() + 10
        while b"sleeper.py" not in command_line.read_bytes() and time.monotonic() < until:
            time.sleep(0.05)  # between fork and exec
        is_program = b"sleeper.py" in command_line.read_bytes()
        subprocess.run(["kill", process], check=True)
        assert is_program
