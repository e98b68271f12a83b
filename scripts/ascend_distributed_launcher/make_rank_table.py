# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Writes the rank table of a server, or joins those of several servers.

On each server:
    python make_rank_table.py --server_id 10.0.0.1 --output hccl_1.json
then on one, for all:
    python make_rank_table.py --merge hccl_1.json hccl_2.json --output hccl.json

Ranks count from 0 in the order of device numbers. A merged table counts them anew: the files in the
order given, in each file its servers and their devices in the order they stand there.

Not for Ascend 910C (A3): start with run_distributed_train_msrun.sh there, which needs no table.
"""

import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a script, started by its path

from rank_table import (
    Device,
    Server,
    rank_table,
    read_hccn_conf,
    read_rank_table,
    refuse_super_pods,
)

from src.model_utils.errors import UserError, run_program
from src.model_utils.messages import say


def main() -> None:
    arguments = _parse_arguments()
    if arguments.merge:
        servers = merged([read_rank_table(Path(path)) for path in arguments.merge])
        for path in arguments.merge:
            refuse_super_pods(Path(path))
    else:
        addresses = read_hccn_conf(Path(arguments.hccn_conf))
        chosen = chosen_devices(arguments.devices, sorted(addresses), arguments.hccn_conf)
        devices = [Device(number, addresses[number], rank) for rank, number in enumerate(chosen)]
        servers = [Server(arguments.server_id, devices)]
    _write(Path(arguments.output), servers)
    count = sum(len(server.devices) for server in servers)
    say(f"{arguments.output}: {count} device(s) of {len(servers)} server(s)")


def merged(tables: list[list[Server]]) -> list[Server]:
    """The servers of all tables, in order, with ranks that count through."""
    servers: list[Server] = []
    rank = 0
    for server in (server for table in tables for server in table):
        devices = []
        for device in server.devices:
            devices.append(Device(device.device_id, device.device_ip, rank))
            rank += 1
        servers.append(Server(server.server_id, devices))
    return servers


def chosen_devices(text: str, present: list[int], hccn_conf: str) -> list[int]:
    """The device numbers in a list like 0-3,6; all that are present if it is empty.

    Raises:
        UserError: it is no such list, or names a device that is not present.
    """
    if not text:
        return present
    try:
        chosen: set[int] = set()
        for part in text.split(","):
            first, _, last = part.partition("-")
            chosen.update(range(int(first), int(last or first) + 1))
    except ValueError:
        raise UserError(f"--devices {text}: is not a list like 0-3,6.") from None
    absent = sorted(chosen - set(present))
    if absent or not chosen:
        raise UserError(
            f"--devices {text}: {hccn_conf} has {', '.join(map(str, present))}; choose among these."
        )
    return sorted(chosen)


def _write(path: Path, servers: list[Server]) -> None:
    try:
        table = rank_table(servers)
    except ValueError as error:
        raise UserError(f"{path}: is not written ({error}); check the tables.") from None
    # Whole or not at all: another server may be waiting for this file on a shared disk.
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(table, indent=4) + "\n", encoding="utf-8")
    os.replace(partial, path)  # noqa: PTH105 - its error names `path`


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--hccn_conf", default="/etc/hccn.conf", help="device addresses (%(default)s)"
    )
    parser.add_argument("--server_id", help="this server's address, which the others reach it by")
    parser.add_argument(
        "--devices",
        default="",
        help="device numbers, like 0-3,6; all if not given. Servers with Ascend 910s in two groups "
        "(0-3 and 4-7) train on 1, 2 or 4 devices of one group, or on all 8",
    )
    parser.add_argument("--merge", nargs="+", metavar="TABLE", help="rank tables to join")
    parser.add_argument("--output", default="hccl.json", help="file to write (%(default)s)")
    arguments = parser.parse_args()
    if bool(arguments.merge) == bool(arguments.server_id):
        parser.error("give --server_id, for this server's table, or --merge with tables")
    return arguments


if __name__ == "__main__":
    run_program(main)
