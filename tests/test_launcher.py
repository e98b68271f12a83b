# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Launchers: rank tables, the commands for each device, and what becomes of the processes."""

import fcntl
import importlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.conftest import PROJECT, QUICKSTART, Program
from tests.test_supervise import wait_until

LAUNCHER = PROJECT / "scripts" / "ascend_distributed_launcher"


def rank_table(folder: Path, servers: int = 1, devices: int = 8, network: str = "10.0.0") -> Path:
    server_list = [
        {
            "server_id": f"{network}.{server + 1}",
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


def run(command: list[Any], folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def write_commands(folder: Path, table: Path, *options: object, **environment: str):
    return run(
        [
            *(sys.executable, LAUNCHER / "get_distribute_train_cmd.py"),
            *("--run_script", PROJECT / "train.py", "--hccl_config", table),
            *("--hyper_parameter_config", LAUNCHER / "hyper_parameter_config.ini"),
            *("--hccn_conf", folder / "hccn.conf", *options),
        ],
        folder,
        **environment,
    )


def make_rank_table(folder: Path, *options: object):
    return run([sys.executable, LAUNCHER / "make_rank_table.py", *options], folder)


def starts(text: str) -> list[str]:
    return [line for line in text.splitlines() if "exec nohup env " in line]


def parsed(line: str) -> tuple[Path, dict[str, str], str, list[str]]:
    """Working folder, environment, cores and program of a line that starts a process."""
    assert line.startswith("(mkdir -p ")
    assert line.endswith(" > training_log.txt 2>&1 < /dev/null) &")
    words = shlex.split(line.removesuffix(" > training_log.txt 2>&1 < /dev/null) &"))
    folder, words = words[words.index("cd") + 1], words[words.index("env") + 1 :]
    environment = {}
    while "=" in words[0]:
        name, _, environment[name] = words.pop(0).partition("=")
    cores = ""
    if words[0] == "taskset":
        assert words[1] == "-c"
        cores, words = words[2], words[3:]
    return Path(folder), environment, cores, words


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """get_distribute_train_cmd.py on a machine with 192 cores."""
    monkeypatch.syspath_prepend(str(LAUNCHER))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(192)))
    for name in ("SERVER_ID", "MASTER_ADDR", "MASTER_PORT", "HCCL_CONNECT_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    return importlib.import_module("get_distribute_train_cmd")


def dry_run(commands: ModuleType, monkeypatch, capsys, folder: Path, *options: object) -> list:
    monkeypatch.chdir(folder)
    arguments = [
        *("get_distribute_train_cmd.py", "--dry_run", "--run_script", PROJECT / "train.py"),
        *("--hyper_parameter_config", LAUNCHER / "hyper_parameter_config.ini", *options),
    ]
    monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
    commands.main()
    assert not (folder / "distributed_cmd.sh").exists()
    return [parsed(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(("servers", "this"), [(1, 0), (2, 0), (2, 1)])
def test_each_device_gets_its_rank_its_folder_and_its_cores(
    servers: int, this: int, commands: ModuleType, monkeypatch, capsys, tmp_path: Path
):
    table = rank_table(tmp_path, servers)
    options = ("--hccl_config", table, "--server_id", f"10.0.0.{this + 1}")
    found = dry_run(commands, monkeypatch, capsys, tmp_path, *options)
    assert [cores for *_, cores, _ in found] == [
        *("0-23", "24-47", "48-71", "72-95", "96-119", "120-143", "144-167", "168-191")
    ]
    for device, (folder, environment, _, program) in enumerate(found):
        assert folder == tmp_path / f"LOG{device}"
        assert environment == {
            "RANK_TABLE_FILE": str(table),
            "RANK_SIZE": str(8 * servers),
            "RANK_ID": str(8 * this + device),
            "DEVICE_ID": str(device),
            "HCCL_CONNECT_TIMEOUT": "1200",
            "GLOG_log_dir": "ms_log",
            "GLOG_logtostderr": "0",
        }
        assert program[:2] == [sys.executable, str(PROJECT / "train.py")]
        assert program[-2:] == ["--device_target=Ascend", f"--device_id={device}"]
        assert "--distribute=true" in program
    assert len(found) == 8


def test_without_hccl_the_server_of_rank_0_starts_a_scheduler(
    commands: ModuleType, monkeypatch, capsys, tmp_path: Path
):
    table = rank_table(tmp_path, servers=2, devices=1)
    cluster = {
        "RANK_SIZE": "2",
        "MS_WORKER_NUM": "2",
        "MS_SCHED_HOST": "10.0.0.1",
        "MS_SCHED_PORT": "8118",
        "GLOG_log_dir": "ms_log",
        "GLOG_logtostderr": "0",
    }
    for this in (0, 1):
        options = ("--hccl_config", table, "--device_target", "CPU")
        server = ("--server_id", f"10.0.0.{this + 1}")
        found = dry_run(commands, monkeypatch, capsys, tmp_path, *options, *server)
        if this == 0:
            folder, environment, cores, _ = found.pop(0)
            assert (folder.name, cores) == ("LOG_scheduler", "")
            assert environment == {**cluster, "MS_ROLE": "MS_SCHED"}
        ((folder, environment, cores, _),) = found
        assert (folder.name, cores) == ("LOG0", "0-191")
        worker = {"MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(this)}
        assert environment == {**cluster, **worker, "RANK_ID": str(this), "DEVICE_ID": "0"}


@pytest.mark.parametrize(("cores", "parts"), [(192, 8), (10, 4), (7, 3), (8, 8)])
def test_core_shares_are_disjoint_nearly_equal_and_cover_all(
    cores: int, parts: int, commands: ModuleType
):
    own = list(range(100, 100 + cores))
    shares = commands.core_shares(own, parts)
    assert sorted(core for share in shares for core in share) == own
    sizes = {len(share) for share in shares}
    assert max(sizes) - min(sizes) <= 1


def test_fewer_cores_than_devices_are_not_divided(commands: ModuleType):
    assert commands.core_shares([0, 1], 8) == [[]] * 8


def test_core_ranges_are_written_as_taskset_reads_them(commands: ModuleType):
    assert commands.core_ranges([0, 1, 2, 3, 8, 10, 11]) == "0-3,8,10-11"


def test_a_server_is_found_by_its_name_its_address_or_its_devices(tmp_path: Path):
    table = rank_table(tmp_path, servers=2)
    done = write_commands(tmp_path, table)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {table}: no server in it is this machine; set SERVER_ID")
    (tmp_path / "hccn.conf").write_text("address_0=192.98.1.0\n")  # a device of the second
    for options, environment, rank in (
        ((), {}, 8),
        (("--server_id", "10.0.0.1"), {}, 0),
        ((), {"SERVER_ID": "10.0.0.1"}, 0),
    ):
        done = write_commands(tmp_path, table, "--dry_run", *options, **environment)
        assert parsed(starts(done.stdout)[0])[1]["RANK_ID"] == str(rank)
    (tmp_path / "hccn.conf").unlink()
    table.write_text(table.read_text().replace("10.0.0.2", "127.0.0.1"))
    done = write_commands(tmp_path, table, "--dry_run")
    assert parsed(starts(done.stdout)[0])[1]["RANK_ID"] == "8"
    table.write_text(table.read_text().replace("10.0.0.1", "127.0.0.2"))
    assert "more than one server in it is this machine" in write_commands(tmp_path, table).stderr
    done = write_commands(tmp_path, table, "--server_id", "10.0.0.3")
    assert done.returncode == 2
    assert "has no server 10.0.0.3; --server_id or SERVER_ID is one of 127.0.0.2" in done.stderr


def test_names_keep_their_case_and_values_their_blanks(tmp_path: Path):
    ini = tmp_path / "own.ini"
    ini.write_text(
        "[config]\ntrain_config.MultiDecay.learning_rate = 1e-3\nprofiler_path = a b%c\n"
    )
    options = ("--hyper_parameter_config", ini, "--dry_run")
    done = write_commands(tmp_path, rank_table(tmp_path), *options)
    *_, program = parsed(starts(done.stdout)[0])
    assert "--train_config.MultiDecay.learning_rate=1e-3" in program
    assert "--profiler_path=a b%c" in program


def changed(**fields: object) -> str:
    """A sound table of two devices with other values in it; None takes a field away."""
    table: dict[str, Any] = {
        "version": "1.0",
        "server_count": "1",
        "server_list": [
            {
                "server_id": "10.0.0.1",
                "device": [
                    {"device_id": "0", "device_ip": "192.98.0.0", "rank_id": "0"},
                    {"device_id": "1", "device_ip": "192.98.0.1", "rank_id": "1"},
                ],
            }
        ],
        "status": "completed",
    }
    for path, value in fields.items():
        *keys, last = (int(key) if key.isdigit() else key for key in path.split("/"))
        place: Any = table
        for key in keys:
            place = place[key]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return json.dumps(table)


SECOND = "server_list/0/device/1"
BAD_TABLES = {
    3000 * "[": (
        "maximum recursion depth exceeded while decoding a JSON array from a unicode string"
    ),
    "{": "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    "[]": "it has no version",
    changed(server_list=None): "it has no server_list",
    changed(status=None): "it has no status",
    changed(status="initializing"): "its status is initializing, not completed",
    changed(server_list=[]): "its server_list is empty",
    changed(server_list=[{}]): "a server has no server_id",
    changed(server_count="2"): "server_count is 2, but it has 1",
    changed(**{"server_list/0/device": None}): "server 10.0.0.1 has no device",
    changed(**{"server_list/0/device": []}): "server 10.0.0.1 has no devices",
    changed(**{f"{SECOND}/device_id": None}): "a device of server 10.0.0.1 has no device_id",
    changed(**{f"{SECOND}/device_id": "0"}): "device_id of server 10.0.0.1 0 stands twice",
    changed(**{f"{SECOND}/rank_id": None}): "device 1 of server 10.0.0.1 has no rank_id",
    changed(**{f"{SECOND}/rank_id": "0"}): "rank_id 0 stands twice",
    changed(**{f"{SECOND}/rank_id": "2"}): "its rank_ids are not 0 to 1",
    changed(**{f"{SECOND}/rank_id": "-1"}): "rank_id is '-1', not a number",
    changed(**{f"{SECOND}/device_ip": "192.98.0.0"}): "device_ip 192.98.0.0 stands twice",
    changed(**{f"{SECOND}/device_ip": "x"}): "server 10.0.0.1: 'x' is not an IP address",
}


@pytest.mark.parametrize(("content", "reason"), BAD_TABLES.items(), ids=BAD_TABLES.values())
def test_a_table_that_hccl_could_not_use_is_refused(content: str, reason: str, tmp_path: Path):
    (tmp_path / "hccl.json").write_text(content)
    done = write_commands(tmp_path, tmp_path / "hccl.json")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {tmp_path}/hccl.json: is not a usable rank table ({reason}); "
        "make_rank_table.py writes one.\n"
    )
    assert not (tmp_path / "distributed_cmd.sh").exists()


def test_one_server_needs_no_device_addresses_and_takes_plain_numbers(tmp_path: Path):
    fields = {f"{SECOND}/device_ip": None, f"{SECOND}/rank_id": 1, "server_count": 1}
    (tmp_path / "hccl.json").write_text(changed(**fields))
    assert write_commands(tmp_path, tmp_path / "hccl.json").returncode == 0


def test_a_missing_table_is_named(tmp_path: Path):
    done = write_commands(tmp_path, tmp_path / "absent.json")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {tmp_path}/absent.json: No such file or directory; "
        "check the path, its permissions and the free space.\n"
    )


@pytest.mark.parametrize("content", ["distribute = true", "[other]\n"])
def test_an_ini_without_its_section_is_refused(content: str, tmp_path: Path):
    (tmp_path / "own.ini").write_text(content)
    options = ("--hyper_parameter_config", tmp_path / "own.ini")
    done = write_commands(tmp_path, rank_table(tmp_path), *options)
    assert done.returncode == 2
    assert "section [config]" in done.stderr


HCCN_CONF = """\
# written by hccn_tool
address_1=192.168.101.101
netmask_1=255.255.255.0
address_0=192.168.100.101
 address_10 = 192.168.102.101\t
gateway_0=192.168.100.1
"""


def table_device(device: int, ip: str, rank: int) -> dict[str, str]:
    return {"device_id": str(device), "device_ip": ip, "rank_id": str(rank)}


def test_a_rank_table_is_made_from_hccn_conf(tmp_path: Path):
    (tmp_path / "hccn.conf").write_text(HCCN_CONF)
    done = make_rank_table(
        tmp_path, "--hccn_conf", "hccn.conf", "--server_id", "10.0.0.7", "--output", "a table.json"
    )
    assert (done.returncode, done.stdout) == (0, "a table.json: 3 device(s) of 1 server(s)\n")
    assert json.loads((tmp_path / "a table.json").read_text()) == {
        "version": "1.0",
        "server_count": "1",
        "server_list": [
            {
                "server_id": "10.0.0.7",
                "device": [  # 10 after 1: numbers, not texts
                    table_device(0, "192.168.100.101", 0),
                    table_device(1, "192.168.101.101", 1),
                    table_device(10, "192.168.102.101", 2),
                ],
                "host_nic_ip": "reserve",
            }
        ],
        "status": "completed",
    }
    assert write_commands(tmp_path, tmp_path / "a table.json").returncode == 0


def test_only_the_chosen_devices_stand_in_the_table(tmp_path: Path):
    (tmp_path / "hccn.conf").write_text("".join(f"address_{i}=10.1.1.{i}\n" for i in range(8)))
    options = ("--hccn_conf", "hccn.conf", "--server_id", "10.0.0.7", "--devices")
    assert make_rank_table(tmp_path, *options, "4-5,7").returncode == 0
    (server,) = json.loads((tmp_path / "hccl.json").read_text())["server_list"]
    assert server["device"] == [
        table_device(4, "10.1.1.4", 0),
        table_device(5, "10.1.1.5", 1),
        table_device(7, "10.1.1.7", 2),
    ]
    for devices, reason in (("7-8", "has 0, 1, 2, 3, 4, 5, 6, 7"), ("a", "is not a list")):
        done = make_rank_table(tmp_path, *options, devices)
        assert done.returncode == 2
        assert reason in done.stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("netmask_0=255.255.255.0\n", "it has no line address_0=..."),
        ("address_0=192.168.1\n", "line 1: '192.168.1' is not an IP address"),
        ("\naddress_x=10.0.0.1\n", "line 2: the device of address_x is 'x', not a number"),
        ("address_0=10.0.0.1\naddress_0=10.0.0.2\n", "line 2: address_0=10.0.0.2 repeats"),
        ("address_0=10.0.0.1\naddress_1=10.0.0.1\n", "line 2: address_1=10.0.0.1 repeats"),
    ],
)
def test_an_hccn_conf_without_sound_addresses_is_refused(content: str, reason: str, tmp_path: Path):
    (tmp_path / "hccn.conf").write_text(content)
    done = make_rank_table(tmp_path, "--hccn_conf", "hccn.conf", "--server_id", "10.0.0.7")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: hccn.conf: is not a usable hccn.conf ({reason}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "hccl.json").exists()


def test_merged_tables_count_their_ranks_through_in_the_order_given(tmp_path: Path):
    for server in (1, 2):
        (tmp_path / "hccn.conf").write_text(
            f"address_0=192.168.{server}.0\naddress_1=192.168.{server}.1\n"
        )
        options = ("--server_id", f"10.0.0.{server}", "--output", f"{server}.json")
        assert make_rank_table(tmp_path, "--hccn_conf", "hccn.conf", *options).returncode == 0
    done = make_rank_table(tmp_path, "--merge", "2.json", "1.json")
    assert (done.returncode, done.stdout) == (0, "hccl.json: 4 device(s) of 2 server(s)\n")
    assert json.loads((tmp_path / "hccl.json").read_text()) == {
        "version": "1.0",
        "server_count": "2",
        "server_list": [
            {
                "server_id": "10.0.0.2",
                "device": [table_device(0, "192.168.2.0", 0), table_device(1, "192.168.2.1", 1)],
                "host_nic_ip": "reserve",
            },
            {
                "server_id": "10.0.0.1",
                "device": [table_device(0, "192.168.1.0", 2), table_device(1, "192.168.1.1", 3)],
                "host_nic_ip": "reserve",
            },
        ],
        "status": "completed",
    }
    content = (tmp_path / "1.json").read_text()
    (tmp_path / "pod.json").write_text(content.replace('"1.0"', '"1.2"'))
    done = make_rank_table(tmp_path, "--merge", "2.json", "pod.json", "--output", "pods.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: pod.json: is of version 1.2, whose SuperPoDs")
    assert not (tmp_path / "pods.json").exists()
    done = make_rank_table(tmp_path, "--merge", "1.json", "1.json", "--output", "twice.json")
    assert done.returncode == 2
    assert "server_id 10.0.0.1 stands twice" in done.stderr
    assert not (tmp_path / "twice.json").exists()


# The scripts, from a folder and for a project with blanks in their names.


@pytest.fixture
def blank_project(tmp_path: Path) -> Path:
    project = tmp_path / "my project"
    project.symlink_to(PROJECT)
    return project


def launch(project: Path, script: str, *arguments: object, cwd: Path, **environment: str):
    command = ["bash", project / "scripts" / script, *arguments]
    environment.setdefault("PYTHON", sys.executable)
    return run(command, cwd, **environment)


RECIPE = [
    *("--epoch_size", "330", "--data_sink_steps", "-1"),
    *("--save_checkpoint_steps", "3664", "--save_checkpoint_num", "5"),
]


def test_dry_run_of_one_device(blank_project: Path, tmp_path: Path):
    folder = tmp_path / "work here"
    folder.mkdir()
    done = launch(
        *(blank_project, "run_standalone_train_ascend.sh", 3, "my data", "my.ckpt"),
        *("--dry-run", "--train_steps", 5),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert shlex.split(done.stdout) == [
        *(sys.executable, f"{blank_project}/train.py", "--device_target", "Ascend"),
        *("--distribute", "false", "--device_id", "3", "--mindrecord_dir", "my data"),
        *("--load_checkpoint_path", "my.ckpt", *RECIPE, "--train_steps", "5"),
        *(">", "training_log.txt", "2>&1"),
    ]
    assert not list(folder.iterdir())


def test_dry_run_of_a_rank_table(blank_project: Path, tmp_path: Path):
    folder = tmp_path / "work here"
    folder.mkdir()
    table = rank_table(folder, servers=2)
    done = launch(
        *(blank_project, "run_distributed_train_ascend.sh", "my data", table, "my.ckpt"),
        *("--train_steps", 5, "--server_id", "10.0.0.2", "--dry-run"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    found = [parsed(line) for line in done.stdout.splitlines()]
    assert [environment["RANK_ID"] for _, environment, *_ in found] == list(map(str, range(8, 16)))
    for *_, program in found:
        assert program[0] == sys.executable
        assert program[program.index("--epoch_size") : -2] == [
            *(*RECIPE, "--mindrecord_dir", f"{folder}/my data"),
            *("--load_checkpoint_path", f"{folder}/my.ckpt", "--train_steps", "5"),
        ]
    assert list(folder.iterdir()) == [table]


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        ((), {}, ["--worker_num=8", "--master_addr=127.0.0.1", "--master_port=8118"]),
        (
            ("--node_num", 2, "--node_rank=1", "--master_addr", "10.0.0.1"),
            {},
            ["--worker_num=16", "--node_rank=1", "--master_addr=10.0.0.1", "--master_port=8118"],
        ),
        (
            (),
            {"NODE_NUM": "2", "NODE_RANK": "0", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "9000"},
            ["--worker_num=16", "--node_rank=0", "--master_addr=10.0.0.1", "--master_port=9000"],
        ),
        (  # nodes with unequal numbers of devices
            (),
            {"WORKER_NUM": "12", "MASTER_ADDR": "10.0.0.1"},
            ["--worker_num=12", "--master_addr=10.0.0.1", "--master_port=8118"],
        ),
    ],
    ids=["one node", "options", "environment", "unequal nodes"],
)
def test_dry_run_of_msrun(
    options: tuple, environment: dict, expected: list, blank_project: Path, tmp_path: Path
):
    folder = tmp_path / "work here"
    folder.mkdir()
    done = launch(
        *(blank_project, "run_distributed_train_msrun.sh", "my data", 8, "my.ckpt"),
        *("--train_steps", 5, *options, "--dry-run"),
        cwd=folder,
        **environment,
    )
    assert done.returncode == 0, done.stderr
    words = shlex.split(done.stdout.strip().removesuffix(")"))
    log_dir = f"{folder}/LOG_msrun"
    bin_dir = Path(sys.executable).parent
    assert words == [
        *("mkdir", "-p", log_dir, "&&", "(cd", log_dir, "&&", f"PATH={bin_dir}:$PATH"),
        *("HCCL_CONNECT_TIMEOUT=1200", "msrun", expected[0], "--local_worker_num=8"),
        *(*expected[1:], "--bind_core=True", f"--log_dir={log_dir}"),
        *("python3", f"{blank_project}/train.py", "--device_target", "Ascend"),
        *("--distribute", "true", *RECIPE, "--mindrecord_dir", f"{folder}/my data"),
        *("--load_checkpoint_path", f"{folder}/my.ckpt", "--train_steps", "5"),
    ]
    assert not list(folder.iterdir())


@pytest.mark.parametrize("kind", ["ascend", "msrun"])
def test_dry_run_of_an_evaluation_on_several_devices(
    kind: str, blank_project: Path, tmp_path: Path
):
    folder = tmp_path / "work here"
    folder.mkdir()
    place = rank_table(folder, devices=8) if kind == "ascend" else 8
    before = list(folder.iterdir())
    done = launch(
        *(blank_project, f"run_distributed_eval_{kind}.sh", place, "val", "my data", "my.ckpt"),
        *("--save_result_dir=found", "--eval_config.K", 50, "--dry-run"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    lines = [shlex.split(line.strip().removesuffix(")")) for line in done.stdout.splitlines()]
    assert len(lines) == (8 if kind == "ascend" else 1)
    for words in lines:  # each in a folder of its own, so that paths are absolute
        (program,) = (place for place, word in enumerate(words) if word.endswith("/eval.py"))
        options = " ".join(words[program + 1 :])
        assert "--distribute true " in options
        assert (
            f"--run_mode val --data_dir {folder}/my data --load_checkpoint_path {folder}/my.ckpt "
            f"--save_result_dir {folder}/found --eval_config.K 50"
        ) in options
        assert "--epoch_size" not in options
    assert list(folder.iterdir()) == before


def test_dry_run_of_the_310_path_removes_nothing(blank_project: Path, tmp_path: Path):
    for name in ("net.mindir", "acc.log"):
        (tmp_path / name).write_text("kept")
    options = ("net.mindir", "my data", "y", "--dry-run")
    done = launch(blank_project, "run_infer_310.sh", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [shlex.split(line)[-2] for line in done.stdout.splitlines()] == [
        *("preprocess.log", "build.log", "infer.log", "acc.log")
    ]
    assert (tmp_path / "acc.log").read_text() == "kept"


def test_the_readmes_commands_for_several_devices_are_right(tmp_path: Path):
    (tmp_path / "scripts").symlink_to(PROJECT / "scripts")
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("\n## Training on several devices\n")[2].partition("\n## ")[0]
    lines = [
        shlex.split(line, comments=True)
        for block in re.findall("```shell\n(.*?)```", section, flags=re.DOTALL)
        for line in block.splitlines()
        if not line.startswith("export ")
    ]
    assert len(lines) > 8
    for words in lines:
        if words[0] == "python":  # without an /etc/hccn.conf of this machine
            server = "2" if "10.0.0.2" in words else "1"
            (tmp_path / "hccn.conf").write_text(f"address_0=192.98.{server}.0\n")
            source = [] if "--merge" in words else ["--hccn_conf", "hccn.conf"]
            done = run([sys.executable, *words[1:], *source], tmp_path)
        else:
            environment = {"PYTHON": sys.executable, "SERVER_ID": "10.0.0.1"}
            done = run([*words, "--dry-run"], tmp_path, **environment)
            assert f"/{'eval' if '_eval_' in words[1] else 'train'}.py" in done.stdout
        assert done.returncode == 0, (words, done.stderr)
    assert len(json.loads((tmp_path / "hccl.json").read_text())["server_list"]) == 2


WRONG_ARGUMENTS = [
    ("run_standalone_train_ascend.sh", ("first", "data"), "usage: "),
    ("run_standalone_train_ascend.sh", ("0",), "usage: "),
    ("run_distributed_train_ascend.sh", ("data",), "usage: "),
    ("run_distributed_train_ascend.sh", ("a", "b", "c", "d"), "usage: "),
    ("run_distributed_train_ascend.sh", ("a", "b", "--server_id"), "--server_id stands without"),
    ("run_distributed_train_msrun.sh", ("data",), "usage: "),
    ("run_distributed_train_msrun.sh", ("data", "0"), "usage: "),
    ("run_distributed_train_msrun.sh", ("data", "8x"), "usage: "),
    ("run_distributed_train_msrun.sh", ("d", "8", "--node_num", "x"), "node_num is 'x', not a"),
    ("run_distributed_train_msrun.sh", ("d", "8", "--worker_num=4"), "worker_num is 4, less than"),
    ("run_distributed_train_msrun.sh", ("d", "8", "--master_port=80"), "not in 1024 to 65535"),
    ("run_distributed_train_msrun.sh", ("d", "8", "--node_num=2"), "need --master_addr"),
    ("run_distributed_eval_ascend.sh", ("a", "val", "c"), "usage: "),
    ("run_distributed_eval_msrun.sh", ("a", "val", "c", "d"), "usage: "),
    (
        "run_distributed_train_msrun.sh",
        ("d", "8", "--node_num=2", "--master_addr=10.0.0.1"),
        "set --node_rank to 0 to 1",
    ),
    (
        "run_distributed_train_msrun.sh",
        ("d", "8", "--node_num=2", "--master_addr=10.0.0.1", "--node_rank=2"),
        "node_rank is '2'; set --node_rank to 0 to 1",
    ),
    (
        "run_distributed_train_msrun.sh",
        ("d", "8", "--worker_num=12", "--master_addr=10.0.0.1", "--node_rank=1"),
        "node_rank needs nodes with equally many devices",
    ),
]


@pytest.mark.parametrize(("script", "arguments", "message"), WRONG_ARGUMENTS)
def test_wrong_arguments_start_nothing(script: str, arguments: tuple, message: str, tmp_path: Path):
    done = launch(PROJECT, script, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in (done.stdout if message == "usage: " else done.stderr)
    assert not list(tmp_path.iterdir())


def test_a_bad_table_starts_nothing(tmp_path: Path):
    (tmp_path / "hccl.json").write_text("{}")
    done = launch(PROJECT, "run_distributed_train_ascend.sh", "data", "hccl.json", cwd=tmp_path)
    assert done.returncode == 2
    assert "is not a usable rank table (it has no version)" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["hccl.json"]


@pytest.mark.parametrize("config", ["", "configs/original/resnet18.yaml"])
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
    found = starts((tmp_path / "distributed_cmd.sh").read_text())
    assert len(found) == 8
    assert all(("--epoch_size 330" in line) == (config == "") for line in found)


# What the scripts leave to the supervisor (test_supervise.py).


@pytest.mark.parametrize(
    ("script", "options", "start"),
    [
        (
            "convert_dataset_to_mindrecord.sh coco mr",
            "--log create_dataset.log --child {project}/src/dataset.py create_dataset.log",
            "exec {python} {project}/src/dataset.py ",
        ),
        (
            "run_standalone_train_ascend.sh 0 mr",
            "--log training_log.txt --child {project}/train.py training_log.txt",
            "exec {python} {project}/train.py ",
        ),
        (
            "run_standalone_eval_ascend.sh 0 val coco a.ckpt",
            "--log eval_log.txt --child {project}/eval.py eval_log.txt",
            "exec {python} {project}/eval.py ",
        ),
        (
            "run_distributed_train_msrun.sh mr 3",
            "--log msrun.log --lock .lock --msrun 3 --child msrun {folder}/LOG_msrun/worker_*.log",
            "rm -f worker_*.log scheduler.log && exec msrun --worker_num=3 ",
        ),
        (
            "run_distributed_eval_msrun.sh 3 val coco a.ckpt",
            "--log msrun.log --lock .lock --msrun 3 "
            "--child msrun {folder}/LOG_msrun_eval/worker_*.log",
            "rm -f worker_*.log scheduler.log && exec msrun --worker_num=3 ",
        ),
    ],
)
def test_a_script_becomes_the_supervisor(script: str, options: str, start: str, tmp_path: Path):
    for name in ("python3", "msrun"):
        (tmp_path / name).write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
        (tmp_path / name).chmod(0o755)
    places = {"project": PROJECT, "folder": tmp_path, "python": tmp_path / "python3"}
    for foreground, first in (("1", []), ("0", ["--background"])):
        settings = {"PYTHON": str(tmp_path / "python3"), "FOREGROUND": foreground}
        done = launch(PROJECT, *script.split(" "), cwd=tmp_path, **settings)
        *words, command = done.stdout.splitlines()
        supervise = f"{PROJECT}/scripts/supervise.py"
        assert words == [supervise, *first, *options.format(**places).split(" ")]
        assert command.startswith(start.format(**places))
    done = launch(PROJECT, *script.split(" "), cwd=tmp_path, PYTHON="/no/python")
    assert done.returncode == 2
    assert "error: /no/python: " in done.stderr and "not found" in done.stderr


def test_the_command_file_becomes_the_supervisor_and_stays_that_of_a_run(tmp_path: Path):
    table = rank_table(tmp_path, devices=2)
    assert write_commands(tmp_path, table).returncode == 0
    text = (tmp_path / "distributed_cmd.sh").read_text()
    words = shlex.split(text.replace("\\\n", ""), comments=True)
    lock = tmp_path / ".launcher.lock"
    assert words[:8] == [
        *("exec", sys.executable, f"{PROJECT}/scripts/supervise.py", "$@"),
        *("--log", f"{tmp_path}/launcher.log", "--lock", str(lock)),
    ]
    for rank, start in enumerate((words[8:12], words[12:])):
        log = tmp_path / f"LOG{rank}" / "training_log.txt"
        assert start[:3] == ["--child", f"rank {rank}", str(log)]
        assert parsed(f"({start[3]}) &")[1]["RANK_ID"] == str(rank)
    lock.write_text("process 7 of somewhere\n")
    with lock.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        done = write_commands(tmp_path, table, "--", "--later")
    assert done.returncode == 2
    assert f"{lock}: is written by another run (process 7 of somewhere)" in done.stderr
    assert (tmp_path / "distributed_cmd.sh").read_text() == text


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_printed_commands_run_as_they_are(tmp_path: Path):
    folder = tmp_path / "it's here"
    folder.mkdir()
    program = "import os; print(f'rank {os.environ[\"RANK_ID\"]} works')"
    (folder / "worker.py").write_text(program)
    table = rank_table(folder, devices=3)
    options = ("--run_script", folder / "worker.py", "--dry_run")
    done = write_commands(folder, table, *options)
    assert len(done.stdout.splitlines()) == 3
    assert run(["bash", "-c", f"{done.stdout}\nwait"], Path("/")).returncode == 0
    logs = sorted(folder.glob("LOG*/training_log.txt"))
    assert [log.read_text() for log in logs] == [f"rank {i} works\n" for i in range(3)]


def test_an_interpreter_that_msrun_would_not_start_is_refused(tmp_path: Path):
    (tmp_path / "python3.99").symlink_to(sys.executable)  # and no python3 beside it
    interpreter = str(tmp_path / "python3.99")
    script = "run_distributed_train_msrun.sh"
    done = launch(PROJECT, script, "data", 2, cwd=tmp_path, PYTHON=interpreter)
    assert done.returncode == 2
    assert f"{tmp_path}/python3 is not {interpreter}, and msrun would start it" in done.stderr


# Real training processes.


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_two_servers_of_a_rank_table_average_their_gradients(tmp_path: Path):
    """Two launchers on this machine, 127.0.0.1 and 127.0.0.2, each with one CPU process."""
    table = rank_table(tmp_path, servers=2, devices=1, network="127.0.0")
    port = str(free_port())
    launchers = []
    for server in (1, 2):
        folder = tmp_path / f"server {server}"
        folder.mkdir()
        done = write_commands(
            *(folder, table, "--run_script", PROJECT / "tests" / "distributed_worker.py"),
            *("--device_target", "CPU", "--server_id", f"127.0.0.{server}"),
            MASTER_PORT=port,
        )
        assert done.returncode == 0, done.stderr
        launchers.append(
            subprocess.Popen(
                ["bash", "distributed_cmd.sh"],
                cwd=folder,
                env={**os.environ, "FOREGROUND": "1"},
                stdout=subprocess.DEVNULL,
            )
        )
    try:
        codes = [launcher.wait(180) for launcher in launchers]
    finally:
        for launcher in launchers:
            launcher.terminate()
            launcher.wait(30)
    logs = [(tmp_path / f"server {i}/LOG0/training_log.txt").read_text() for i in (1, 2)]
    assert codes == [0, 0], logs
    for rank, log in enumerate(logs):
        # The mean of (1, 10) and (2, 20), taken once; the second step is left out by both.
        first, second = (line for line in log.splitlines() if line.startswith("rank "))
        assert first.startswith(f"rank {rank} [-1.5, -15.0] False ")
        assert second.startswith(f"rank {rank} [-1.5, -15.0] True ")


@pytest.mark.parametrize("kind", ["ascend", pytest.param("msrun", marks=pytest.mark.slow)])
def test_an_evaluation_on_two_devices_writes_what_one_writes(
    kind: str, checkpoint: Path, shapes: Path, program: Program, tmp_path: Path
):
    options = ("val", shapes, checkpoint, "--eval_config.batch_size", 2)
    port = () if kind == "ascend" else ("--master_port", free_port())
    place = rank_table(tmp_path, devices=2) if kind == "ascend" else 2
    where = {"CONFIG_PATH": str(QUICKSTART), "DEVICE_TARGET": "CPU", "FOREGROUND": "1"}
    where |= {"OMP_NUM_THREADS": "1"}  # bits may differ between numbers of threads
    (tmp_path / "one").mkdir()
    for folder, script, device, more in (
        (tmp_path, f"run_distributed_eval_{kind}.sh", place, port),
        (tmp_path / "one", "run_standalone_eval_ascend.sh", 0, ()),
    ):
        done = program(f"scripts/{script}", device, *options, *more, cwd=folder, **where)
        assert done.returncode == 0, done.stderr
    found, expected = (
        (folder / "results_val.json").read_bytes() for folder in (tmp_path, tmp_path / "one")
    )
    assert found == expected
    shared, alone = (
        json.loads((folder / "eval.json").read_text()) for folder in (tmp_path, tmp_path / "one")
    )
    assert shared["numbers"] == alone["numbers"] and shared["images"] == 8
    log = tmp_path / "LOG1" / "eval_log.txt"
    if kind == "msrun":
        log = tmp_path / "LOG_msrun_eval" / "worker_1.log"
    assert " 4/4 [" in log.read_text() and "Average Precision" not in log.read_text()


@pytest.mark.parametrize("devices", [2, pytest.param(1, marks=pytest.mark.slow)])
def test_msrun_trains_on_a_cpu(devices: int, mindrecord: Path, tmp_path: Path):
    folder = tmp_path / "work here"
    folder.mkdir()
    done = launch(
        *(PROJECT, "run_distributed_train_msrun.sh", mindrecord, devices),
        *("--train_steps", 2, "--train_config.batch_size", 4, "--master_port", free_port()),
        cwd=folder,
        CONFIG_PATH=str(QUICKSTART),
        DEVICE_TARGET="CPU",
        FOREGROUND="1",
    )
    log_dir = folder / "LOG_msrun"
    logs = [log.read_text() for log in sorted(log_dir.glob("worker_*.log"))]
    assert done.returncode == 0, done.stderr
    assert len(logs) == devices
    said = f"{32 // 4 // devices} an epoch, batch 4 on each of {devices} CPU device(s)"
    assert all(said in log for log in logs)
    assert "an epoch" not in (log_dir / "scheduler.log").read_text()  # it does not train itself
    assert [path.name for path in (log_dir / "ckpt_0").glob("*.ckpt")] == ["centernet-1_2.ckpt"]
    assert [path.name for path in log_dir.glob("ckpt_*")] == ["ckpt_0"]


def real_training(kind: str, mindrecord: Path, folder: Path, *options: str) -> list[str]:
    """A launcher's command for two CPU processes of the quick start's training."""
    script = str(PROJECT / "scripts" / f"run_distributed_train_{kind}.sh")
    second = str(rank_table(folder, devices=2)) if kind == "ascend" else "2"
    port = ["--master_port", str(free_port())] if kind == "msrun" else []
    small = ["--train_config.batch_size", "4", *options]
    return ["bash", script, str(mindrecord), second, *port, *small]


CPU_TRAINING = {"PYTHON": sys.executable, "CONFIG_PATH": str(QUICKSTART), "DEVICE_TARGET": "CPU"}


def programs_below(folder: Path) -> dict[str, int]:
    """Processes of train.py that work below the folder, by their rank, and the scheduler."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = (process / "cwd").readlink().is_relative_to(folder)
            command = (process / "cmdline").read_text()
            variables = (process / "environ").read_text().split("\0")
        except OSError:
            continue
        environment = dict(v.partition("=")[::2] for v in variables)
        if here and "train.py" in command and "supervise.py" not in command:
            is_scheduler = environment.get("MS_ROLE") == "MS_SCHED"
            name = "scheduler" if is_scheduler else environment.get("RANK_ID", "not yet")
            found[name] = int(process.name)
    return found


def training_logs(folder: Path, rank: int) -> str:
    names = (f"LOG{rank}/training_log.txt", f"LOG_msrun/worker_{rank}.log")
    return "".join((folder / name).read_text() for name in names if (folder / name).exists())


@pytest.mark.slow
@pytest.mark.parametrize("foreground", [True, False], ids=["foreground", "background"])
@pytest.mark.parametrize("kind", ["ascend", "msrun"])
def test_training_ends_within_a_minute_of_a_ranks_death(
    kind: str, foreground: bool, mindrecord: Path, tmp_path: Path
):
    command = real_training(kind, mindrecord, tmp_path, "--epoch_size", "1000")
    environment = {**os.environ, **CPU_TRAINING, "FOREGROUND": str(int(foreground))}
    launcher = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert wait_until(lambda: ", loss: " in training_logs(tmp_path, 1), 180)
        rank_1 = programs_below(tmp_path)["1"]
        os.kill(rank_1, signal.SIGKILL)
        assert wait_until(lambda: not programs_below(tmp_path), 60)
        out, said = launcher.communicate(timeout=60)
        if foreground:
            assert launcher.returncode == 137
        else:
            (log,) = re.findall(r"^log: ([^,]*),", out, flags=re.MULTILINE)
            (supervisor,) = re.findall(r"^process: (\d+)$", out, flags=re.MULTILINE)
            assert wait_until(lambda: not is_alive(int(supervisor)))
            said = Path(log).read_text()
        assert f"error: rank 1 (process {rank_1}) ended with exit code 137 (SIGKILL)" in said
    finally:
        for process in programs_below(tmp_path).values():
            os.kill(process, signal.SIGKILL)
        launcher.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("kind", ["ascend", "msrun"])
def test_training_that_is_stopped_says_so_by_its_exit_code(
    kind: str, sent: signal.Signals, mindrecord: Path, tmp_path: Path
):
    command = real_training(kind, mindrecord, tmp_path, "--epoch_size", "1000")
    launcher = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, **CPU_TRAINING, "FOREGROUND": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert wait_until(lambda: ", loss: " in training_logs(tmp_path, 1), 180)
        launcher.send_signal(sent)
        _, said = launcher.communicate(timeout=180)
        assert launcher.returncode == 128 + sent, said
        assert "error: " not in said
        assert not programs_below(tmp_path)
        assert "--resume goes on" in training_logs(tmp_path, 1)
        assert len(list(tmp_path.rglob("ckpt_0/centernet-*.ckpt"))) == 1
    finally:
        for process in programs_below(tmp_path).values():
            os.kill(process, signal.SIGKILL)
        launcher.communicate(timeout=60)


# Two hosts: network namespaces that see each other, and nothing else, through one cable.


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[str]]:
    """Names of two namespaces, 10.203.0.1 and 10.203.0.2."""
    if not shutil.which("ip"):
        pytest.skip("network namespaces need the command ip (iproute2)")
    names = [f"centernet-{os.getpid()}-{number}" for number in (1, 2)]
    commands = [f"ip netns add {name}" for name in names]
    commands.append(
        "ip link add name cable netns {} type veth peer name cable netns {}".format(*names)
    )
    for number, name in enumerate(names, 1):
        commands += [
            f"ip -n {name} addr add 10.203.0.{number}/24 dev cable",
            f"ip -n {name} link set cable up",
            f"ip -n {name} link set lo up",
        ]
    try:
        for command in commands:
            done = run(command.split(), tmp_path)
            if done.returncode != 0:
                pytest.skip(f"no network namespaces here: {command}: {done.stderr.strip()}")
        yield names
    finally:
        for name in names:
            run(["ip", "netns", "delete", name], tmp_path)


# train.py, and then this rank's weights.
NOTING_TRAIN = """\
import os, runpy, sys
sys.path.insert(0, {project!r})
import mindspore, numpy
train = mindspore.Model.train

def train_and_note(self, *arguments, **options):
    train(self, *arguments, **options)
    weights = {{p.name: p.asnumpy() for p in self.train_network.trainable_params()}}
    numpy.savez("../weights.npz", **weights)

mindspore.Model.train = train_and_note
runpy.run_path({program!r}, run_name="__main__")
"""


@pytest.fixture
def host_commands(mindrecord: Path, tmp_path: Path) -> Callable[[str, list[str]], list[list[str]]]:
    """Gives the commands that start a training of NOTING_TRAIN on two hosts."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "scripts").symlink_to(PROJECT / "scripts")
    text = NOTING_TRAIN.format(project=str(PROJECT), program=str(PROJECT / "train.py"))
    (project / "train.py").write_text(text)
    table = rank_table(tmp_path, servers=2, devices=1, network="10.203.0")

    def commands(kind: str, options: list[str]) -> list[list[str]]:
        script = str(project / "scripts" / f"run_distributed_train_{kind}.sh")
        small = ["--train_config.batch_size", "4", *options]
        commands = []
        for host in (0, 1):
            server = [str(table), "--server_id", f"10.203.0.{host + 1}"]
            node = ["1", "--node_num", "2", "--node_rank", str(host), "--master_addr", "10.203.0.1"]
            place = server if kind == "ascend" else node
            commands.append(["bash", script, str(mindrecord), *place, *small])
        return commands

    return commands


def start_on_hosts(
    hosts: list[str], commands: list[list[str]], tmp_path: Path
) -> "list[subprocess.Popen[str]]":
    launchers = []
    for number, (host, command) in enumerate(zip(hosts, commands, strict=True)):
        folder = tmp_path / f"host {number}"
        folder.mkdir()
        launchers.append(
            subprocess.Popen(
                ["ip", "netns", "exec", host, *command],
                cwd=folder,
                env={**os.environ, **CPU_TRAINING, "FOREGROUND": "1"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return launchers


def end_all(launchers: "list[subprocess.Popen[str]]", folder: Path) -> None:
    for launcher in launchers:
        launcher.kill()
    for process in programs_below(folder).values():
        os.kill(process, signal.SIGKILL)
    for launcher in launchers:
        launcher.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ascend", "msrun"])
def test_two_hosts_train_together_and_end_in_the_same_weights(
    kind: str, hosts: list[str], host_commands, tmp_path: Path
):
    launchers = start_on_hosts(hosts, host_commands(kind, ["--train_steps", "6"]), tmp_path)
    try:
        said = [launcher.communicate(timeout=240)[1] for launcher in launchers]
    finally:
        end_all(launchers, tmp_path)
    assert [launcher.returncode for launcher in launchers] == [0, 0], said
    logs = [training_logs(tmp_path / f"host {rank}", 0) for rank in (0, 1)]
    logs[1] += training_logs(tmp_path / "host 1", 1)  # msrun's names tell the rank
    losses = [re.findall(r"step: (\d+), loss: ([\d.]+)", log) for log in logs]
    assert [step for step, _ in losses[0]] == [step for step, _ in losses[1]] == ["2", "4", "6"]
    assert losses[0] != losses[1]  # each has its own half of the data
    first, second = (dict(np.load(tmp_path / f"host {rank}" / "weights.npz")) for rank in (0, 1))
    assert list(first) == list(second)
    assert len(first) > 20
    for name, weights in first.items():
        np.testing.assert_array_equal(second[name], weights, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("dies", [0, 1])
@pytest.mark.parametrize("kind", ["ascend", "msrun"])
def test_a_rank_that_dies_on_one_host_ends_the_training_on_both(
    kind: str, dies: int, hosts: list[str], host_commands, tmp_path: Path
):
    launchers = start_on_hosts(hosts, host_commands(kind, ["--epoch_size", "1000"]), tmp_path)
    try:
        folder = tmp_path / "host 0"
        assert wait_until(lambda: ", loss: " in training_logs(folder, 0), 180)
        rank = programs_below(tmp_path / f"host {dies}")[str(dies)]
        os.kill(rank, signal.SIGKILL)
        said = [launcher.communicate(timeout=90)[1] for launcher in launchers]
        assert launchers[dies].returncode == 137
        assert launchers[1 - dies].returncode != 0
        assert f"error: rank {dies} (process {rank}) ended with exit code 137" in said[dies]
        assert re.search(rf"error: (rank {1 - dies}|scheduler) \(process \d+\)", said[1 - dies])
        assert not programs_below(tmp_path)
    finally:
        end_all(launchers, tmp_path)
