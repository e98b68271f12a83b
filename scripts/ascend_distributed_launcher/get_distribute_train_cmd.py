# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Writes the shell commands that start one training process for each device of this server.

python get_distribute_train_cmd.py --run_script train.py --hyper_parameter_config F.ini
    --hccl_config rank_table.json --cmd_file distributed_cmd.sh -- [OPTIONS OF train.py]

On Ascend the processes find each other by the rank table. Elsewhere there is no HCCL: as many
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


class LauncherError(Exception):
    """One sentence for the user: file, what is wrong, remedy."""


def main() -> int:
    arguments = _parse_arguments()
    try:
        devices, rank_size = read_rank_table(Path(arguments.hccl_config))
        options = read_options(Path(arguments.hyper_parameter_config))
        options += [*arguments.options, f"--device_target={arguments.device_target}"]
        command = [sys.executable, str(Path(arguments.run_script).resolve()), *options]
        commands = cluster_commands(
            command,
            devices,
            rank_size,
            arguments.device_target,
            Path(arguments.hccl_config).resolve(),
        )
        Path(arguments.cmd_file).write_text("\n".join(commands) + "\n", encoding="utf-8")
    except LauncherError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}; check the path.", file=sys.stderr)
        return 2
    return 0


def read_rank_table(path: Path) -> tuple[list[dict[str, str]], int]:
    """The devices of this server and the number of devices of all servers.

    Raises:
        LauncherError: the file is no rank table, or none of its servers is this machine.
    """
    try:
        servers = json.loads(path.read_text(encoding="utf-8"))["server_list"]
        devices = [device for server in servers for device in server["device"]]
        if not all({"device_id", "rank_id"} <= device.keys() for device in devices) or not devices:
            raise ValueError("it lists no devices with device_id and rank_id")
        return local_devices(path, servers), len(devices)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LauncherError(
            f"{path}: is not a usable rank table ({error!r}); write it with hccl_tools.py."
        ) from None


def read_options(path: Path) -> list[str]:
    """The parameters in section [config] of an ini file, as options of train.py.

    Raises:
        LauncherError: the file is not such an ini file.
    """
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # names keep their case
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
        return [f"--{name}={value}" for name, value in parser["config"].items()]
    except (configparser.Error, KeyError) as error:
        reason = " ".join(str(error).split())
        raise LauncherError(
            f"{path}: is not an ini file with a section [config] ({reason}); see the project's own."
        ) from None


def local_devices(path: Path, servers: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The devices of this server: the only one, or the one whose server_id is our address.

    Raises:
        LauncherError: no server of the table is this machine; SERVER_ID can name it.
    """
    if len(servers) == 1:
        return servers[0]["device"]
    addresses = {os.environ.get("SERVER_ID", "")}
    addresses |= {entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None)}
    for server in servers:
        if server["server_id"] in addresses:
            return server["device"]
    raise LauncherError(
        f"{path}: no server_id in it is this machine's address; set SERVER_ID to this server's."
    )


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
    uses_hccl = device_target == "Ascend"
    port = 0 if uses_hccl else _free_port()
    if not uses_hccl:
        lines.append(_start(command, "LOG_scheduler", _scheduled(rank_size, port, "MS_SCHED"), []))
    for i, device in enumerate(devices):
        if uses_hccl:
            environment = {
                "RANK_TABLE_FILE": str(rank_table),
                "RANK_SIZE": str(rank_size),
                "RANK_ID": device["rank_id"],
                "DEVICE_ID": device["device_id"],
            }
        else:
            environment = _scheduled(rank_size, port, "MS_WORKER")
            environment["MS_NODE_ID"] = device["rank_id"]
        own = [*command, f"--device_id={device['device_id']}"]
        bound = cores[i * share : (i + 1) * share]
        lines.append(_start(own, f"LOG{device['device_id']}", environment, bound))
    return [*lines, _WAIT]


# In the foreground: the first process that fails ends the others, and its code is the script's.
_WAIT = """\
echo "logs: $PWD/LOG*/training_log.txt"
echo "processes: ${processes[*]}"
[[ "${FOREGROUND:-0}" == 1 ]] || exit 0
trap 'kill "${processes[@]}" 2> /dev/null' INT TERM
code=0
running=("${processes[@]}")
while [[ ${#running[@]} -gt 0 && $code -eq 0 ]]; do
    sleep 1
    left=()
    for process in "${running[@]}"; do
        if kill -0 "$process" 2> /dev/null; then
            left+=("$process")
        else
            wait "$process" || code=$?
        fi
    done
    running=("${left[@]}")
done
if [[ $code -ne 0 ]]; then
    kill "${running[@]}" 2> /dev/null
    tail -n 5 LOG*/training_log.txt >&2
fi
exit "$code\""""


def _start(command: list[str], folder: str, environment: dict[str, str], cores: list[int]) -> str:
    settings = {**environment, "GLOG_log_dir": "ms_log", "GLOG_logtostderr": "0"}
    words = ["env", *(f"{name}={value}" for name, value in settings.items())]
    if cores:
        words += ["taskset", "-c", ",".join(map(str, cores))]
    words = [shlex.quote(word) for word in [*words, *command]]
    # exec, so that the process id that is printed is the program's; nohup, as it may outlive us.
    return (
        f"mkdir -p {folder}/ms_log\n"
        f"(cd {folder} && exec nohup {' '.join(words)} > training_log.txt 2>&1 < /dev/null) &\n"
        "processes+=($!)"
    )


def _scheduled(rank_size: int, port: int, role: str) -> dict[str, str]:
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
