# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Writes the shell commands that start one training process for each device of this server.

python get_distribute_train_cmd.py --run_script train.py --hyper_parameter_config F.ini
    --hccl_config rank_table.json --cmd_file distributed_cmd.sh -- [OPTIONS OF train.py]

On Ascend the processes find each other by the rank table. On a CPU there is no HCCL: as many
processes as the table has devices join through MindSpore's scheduler on this machine.
"""

import argparse
import configparser
import json
import os
import shlex
import socket
import sys
from pathlib import Path
from typing import Any


def main() -> int:
    arguments = _parse_arguments()
    try:
        table = json.loads(Path(arguments.hccl_config).read_text(encoding="utf-8"))
        devices = local_devices(table)
        rank_size = sum(len(server["device"]) for server in table["server_list"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(
            f"error: {arguments.hccl_config}: is not a usable rank table ({error}); write it with "
            "hccl_tools.py.",
            file=sys.stderr,
        )
        return 2
    parameters = configparser.ConfigParser()
    if not parameters.read(arguments.hyper_parameter_config):
        print(f"error: {arguments.hyper_parameter_config}: cannot be read.", file=sys.stderr)
        return 2
    options = [f"--{name}={value}" for name, value in parameters["config"].items()]
    options += [*arguments.options, f"--device_target={arguments.device_target}"]
    command = [sys.executable, str(Path(arguments.run_script).resolve()), *options]
    commands = cluster_commands(
        command, devices, rank_size, arguments.device_target, Path(arguments.hccl_config).resolve()
    )
    Path(arguments.cmd_file).write_text("\n".join(commands) + "\n", encoding="utf-8")
    return 0


def local_devices(table: dict[str, Any]) -> list[dict[str, str]]:
    """The devices of this server: the only one, or the one whose server_id is our address.

    Raises:
        ValueError: no server of the table is this machine; SERVER_ID can name it.
    """
    servers = table["server_list"]
    if len(servers) == 1:
        return servers[0]["device"]
    addresses = {os.environ.get("SERVER_ID", "")}
    addresses |= {entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None)}
    for server in servers:
        if server["server_id"] in addresses:
            return server["device"]
    raise ValueError("no server_id in it is this machine's address; set SERVER_ID to the right one")


def cluster_commands(
    command: list[str],
    devices: list[dict[str, str]],
    rank_size: int,
    device_target: str,
    rank_table: Path,
) -> list[str]:
    """The lines of the shell script: one process a device, logs in LOG<i>/training_log.txt."""
    lines = ["#!/usr/bin/env bash", "# Written by get_distribute_train_cmd.py.", "processes=()"]
    cores = sorted(os.sched_getaffinity(0))
    share = len(cores) // len(devices)
    port = _free_port() if device_target == "CPU" else 0
    if device_target == "CPU":
        environment = _cpu_environment(rank_size, port, "MS_SCHED")
        lines.append(_start(command, "LOG_scheduler", environment, []))
    for i, device in enumerate(devices):
        if device_target == "CPU":
            environment = _cpu_environment(rank_size, port, "MS_WORKER")
            environment["MS_NODE_ID"] = device["rank_id"]
        else:
            environment = {
                "RANK_TABLE_FILE": str(rank_table),
                "RANK_SIZE": str(rank_size),
                "RANK_ID": device["rank_id"],
                "DEVICE_ID": device["device_id"],
            }
        bound = cores[i * share : (i + 1) * share]
        lines.append(_start(command, f"LOG{device['device_id']}", environment, bound))
    lines += [
        'echo "logs: $PWD/LOG*/training_log.txt"',
        'echo "processes: ${processes[*]}"',
        '[[ "${FOREGROUND:-0}" == 1 ]] || exit 0',
        "code=0",
        'for process in "${processes[@]}"; do wait "$process" || code=$?; done',
        "if [[ $code -ne 0 ]]; then tail -n 5 LOG*/training_log.txt >&2; fi",
        'exit "$code"',
    ]
    return lines


def _start(command: list[str], folder: str, environment: dict[str, str], cores: list[int]) -> str:
    settings = {**environment, "GLOG_log_dir": "ms_log", "GLOG_logtostderr": "0"}
    words = ["env", *(f"{name}={value}" for name, value in settings.items())]
    if cores:
        words += ["taskset", "-c", ",".join(map(str, cores))]
    words = [shlex.quote(word) for word in [*words, *command]]
    return (
        f"mkdir -p {folder}/ms_log && (cd {folder} && exec {' '.join(words)} "
        "> training_log.txt 2>&1 < /dev/null) &\nprocesses+=($!)"
    )


def _cpu_environment(rank_size: int, port: int, role: str) -> dict[str, str]:
    return {
        "MS_WORKER_NUM": str(rank_size),
        "MS_SCHED_HOST": "127.0.0.1",
        "MS_SCHED_PORT": str(port),
        "MS_ROLE": role,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run_script", required=True, help="train.py")
    parser.add_argument("--hyper_parameter_config", required=True, help="ini file")
    parser.add_argument("--hccl_config", required=True, help="rank table")
    parser.add_argument("--device_target", default="Ascend", choices=["Ascend", "GPU", "CPU"])
    parser.add_argument("--cmd_file", default="distributed_cmd.sh", help="script to write")
    parser.add_argument("options", nargs="*", help="options of train.py, after --")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
