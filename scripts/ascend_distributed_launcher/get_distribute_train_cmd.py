# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Writes the shell commands that start a process of a program for each device of this server.

python get_distribute_train_cmd.py --run_script train.py --hyper_parameter_config F.ini
    --hccl_config rank_table.json --cmd_file distributed_cmd.sh -- [OPTIONS OF train.py]

eval.py is started likewise, without an ini file.

On Ascend the processes find each other by the rank table. Elsewhere there is no HCCL: as many
processes as the table has devices join through MindSpore's scheduler, which the server of rank 0
starts.
"""

import argparse
import configparser
import os
import shlex
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a script, started by its path

from rank_table import Server, read_rank_table, this_server

from scripts.supervise import own
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import read_text

SUPERVISE = Path(__file__).resolve().parents[1] / "supervise.py"
LOCK = ".launcher.lock"
SCHEDULER_PORT = 8118  # msrun's default, for servers that cannot agree on a free one


def log_names(program: Path) -> tuple[str, str]:
    """Of a process's log and the launcher's: an evaluation leaves those of a training alone."""
    if program.name == "eval.py":
        return "eval_log.txt", "eval_launcher.log"
    return "training_log.txt", "launcher.log"


@dataclass(frozen=True)
class Start:
    """A process: its name in messages, its log, and a line for bash that becomes it."""

    name: str
    log: Path
    command: str


def main() -> None:
    arguments = _parse_arguments()
    table = Path(arguments.hccl_config).resolve()
    servers = read_rank_table(table)
    server = this_server(table, servers, arguments.server_id, Path(arguments.hccn_conf))
    ini = arguments.hyper_parameter_config
    options = read_options(Path(ini)) if ini else []
    options += [*arguments.options, f"--device_target={arguments.device_target}"]
    command = [sys.executable, str(Path(arguments.run_script).resolve()), *options]
    if arguments.device_target == "Ascend":
        starts = starts_of(server, command, hccl_environment(servers, table))
    else:
        starts = starts_of(server, command, scheduler_environment(servers))
    if arguments.dry_run:
        print("\n".join(f"({start.command}) &" for start in starts))
    else:
        with own(LOCK):  # so that none runs by the file that is there
            _, log = log_names(Path(arguments.run_script))
            Path(arguments.cmd_file).write_text(command_file(starts, log), encoding="utf-8")


def read_options(path: Path) -> list[str]:
    """The parameters in section [config] of an ini file, as options of train.py.

    Raises:
        UserError: the file is not such an ini file.
        OSError: it cannot be read.
    """
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # names keep their case
    try:
        parser.read_string(read_text(path), str(path))
        return [f"--{name}={value}" for name, value in parser["config"].items()]
    except (configparser.Error, KeyError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: is not an ini file with a section [config] ({reason}); see the project's own."
        ) from None


def hccl_environment(servers: list[Server], table: Path) -> dict[str, str]:
    """What joins all devices' processes by HCCL and the rank table."""
    return {
        "RANK_TABLE_FILE": str(table),
        "RANK_SIZE": _device_count(servers),
        # Seconds. HCCL's own 120 are fewer than servers may differ in compiling the network.
        "HCCL_CONNECT_TIMEOUT": os.environ.get("HCCL_CONNECT_TIMEOUT", "1200"),
    }


def scheduler_environment(servers: list[Server]) -> dict[str, str]:
    """What joins them by MindSpore's scheduler, on the server of rank 0.

    MASTER_ADDR and MASTER_PORT of the environment win over rank 0's server_id and 8118, or
    127.0.0.1 and a free port where there is one server.
    """
    host, port = "127.0.0.1", ""
    if len(servers) > 1:
        (host,) = (server.server_id for server in servers if _has_first_rank(server))
        port = str(SCHEDULER_PORT)
    return {
        "RANK_SIZE": _device_count(servers),
        "MS_WORKER_NUM": _device_count(servers),
        "MS_SCHED_HOST": os.environ.get("MASTER_ADDR") or host,
        "MS_SCHED_PORT": os.environ.get("MASTER_PORT") or port or str(_free_port()),
    }


def starts_of(server: Server, command: list[str], shared: dict[str, str]) -> list[Start]:
    """A process for each device of a server, before them the scheduler where there is one."""
    has_scheduler = "MS_SCHED_HOST" in shared
    starts = []
    if has_scheduler and _has_first_rank(server):
        environment = {**shared, "MS_ROLE": "MS_SCHED"}
        starts.append(_start("scheduler", command, "LOG_scheduler", environment, []))
    cores = core_shares(sorted(os.sched_getaffinity(0)), len(server.devices))
    for device, own_cores in zip(server.devices, cores, strict=True):
        environment = {**shared, "RANK_ID": str(device.rank), "DEVICE_ID": str(device.device_id)}
        if has_scheduler:
            environment |= {"MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(device.rank)}
        own = [*command, f"--device_id={device.device_id}"]
        folder_name = f"LOG{device.device_id}"
        starts.append(_start(f"rank {device.rank}", own, folder_name, environment, own_cores))
    return starts


def _device_count(servers: list[Server]) -> str:
    return str(sum(len(server.devices) for server in servers))


def _has_first_rank(server: Server) -> bool:
    return any(device.rank == 0 for device in server.devices)


def command_file(starts: list[Start], log: str) -> str:
    """A shell script that starts the processes and waits for them; options are supervise.py's.

    log: that of supervise.py in the background.
    """
    head = ["#!/usr/bin/env bash", "# Written by get_distribute_train_cmd.py."]
    paths = [str(Path(name).absolute()) for name in (log, LOCK)]
    lines = [shlex.join(["exec", sys.executable, str(SUPERVISE)]) + ' "$@"']
    lines.append(shlex.join(["--log", paths[0], "--lock", paths[1]]))
    for start in starts:
        lines.append(shlex.join(["--child", start.name, str(start.log), start.command]))
    return "\n".join([*head, " \\\n    ".join(lines), ""])


def core_shares(cores: list[int], parts: int) -> list[list[int]]:
    """Divides cores into neighbouring, nearly equal parts; none where there are too few."""
    if len(cores) < parts:
        return [[] for _ in range(parts)]
    bounds = [i * len(cores) // parts for i in range(parts + 1)]
    return [cores[bounds[i] : bounds[i + 1]] for i in range(parts)]


def core_ranges(cores: list[int]) -> str:
    """Sorted cores as taskset takes them, like 0-23 or 0-3,8-11."""
    ranges: list[list[int]] = []
    for core in cores:
        if ranges and core == ranges[-1][1] + 1:
            ranges[-1][1] = core
        else:
            ranges.append([core, core])
    return ",".join(f"{a}-{b}" if a < b else f"{a}" for a, b in ranges)


def _start(
    name: str,
    command: list[str],
    folder_name: str,
    environment: dict[str, str],
    cores: list[int],
) -> Start:
    """A process in a folder of its own, to be started from any."""
    folder = Path.cwd() / folder_name
    settings = {**environment, "GLOG_log_dir": "ms_log", "GLOG_logtostderr": "0"}
    words = ["env", *(f"{name}={value}" for name, value in settings.items())]
    if cores:
        words += ["taskset", "-c", core_ranges(cores)]
    words += command
    log, _ = log_names(Path(command[1]))
    # nohup for who starts it from a terminal, by what --dry_run prints.
    command = (
        f"mkdir -p {shlex.quote(str(folder / 'ms_log'))} && cd {shlex.quote(str(folder))} && "
        f"exec nohup {shlex.join(words)} > {log} 2>&1 < /dev/null"
    )
    return Start(name, folder / log, command)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run_script", required=True, help="train.py or eval.py")
    parser.add_argument("--hyper_parameter_config", default="", help="ini file")
    parser.add_argument("--hccl_config", required=True, help="rank table")
    parser.add_argument(
        "--server_id", default=os.environ.get("SERVER_ID", ""), help="this server in the rank table"
    )
    parser.add_argument("--hccn_conf", default="/etc/hccn.conf", help="this server's devices")
    parser.add_argument("--device_target", default="Ascend", choices=["Ascend", "GPU", "CPU"])
    parser.add_argument("--cmd_file", default="distributed_cmd.sh", help="script to write")
    parser.add_argument(
        "--dry_run", action="store_true", help="print the commands instead of writing them"
    )
    parser.add_argument("options", nargs="*", help="options of the program, after --")
    return parser.parse_args()


if __name__ == "__main__":
    run_program(main)
