# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""HCCL rank tables: which devices of which servers train together, and under which rank.

The format is CANN's, "Rank Table Configuration (Atlas training product)", template 1, version 1.0,
as MindSpore's "rank table Startup" shows it. Numbers in it are strings. Ascend 910C (A3) wants
version 1.2, which says where in a SuperPoD a device sits: it is read, but not written here.
"""

import ipaddress
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.model_utils.errors import UserError
from src.model_utils.files import read_text

_VERSION = "1.0"


@dataclass(frozen=True)
class Device:
    """An NPU: its number on its server, the address of its network port, its rank of all."""

    device_id: int
    device_ip: str
    rank: int


@dataclass(frozen=True)
class Server:
    """A server of the table, in the table's order of devices."""

    server_id: str
    devices: list[Device]


def read_rank_table(path: Path) -> list[Server]:
    """The servers of a rank table file.

    Raises:
        UserError: the file is no rank table that HCCL could use.
        OSError: it cannot be read.
    """
    try:
        table = json.loads(read_text(path))
        return _checked_servers(table)
    except (ValueError, RecursionError) as error:  # of the text, the json, or the content
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: is not a usable rank table ({reason}); make_rank_table.py writes one."
        ) from None


def refuse_super_pods(path: Path) -> None:
    """Raises UserError if a rank table, as `read_rank_table` reads it, holds more than version 1.0.

    Raises:
        OSError: it cannot be read.
    """
    version = json.loads(read_text(path))["version"]
    if version != _VERSION:
        raise UserError(
            f"{path}: is of version {version}, whose SuperPoDs a joined table would lose; start "
            "with scripts/run_distributed_train_msrun.sh, which needs none."
        )


def rank_table(servers: list[Server]) -> dict[str, Any]:
    """The content of a rank table file.

    Raises:
        ValueError: two servers have one name, or two devices one address.
    """
    table = {
        "version": _VERSION,
        "server_count": str(len(servers)),
        "server_list": [
            {
                "server_id": server.server_id,
                "device": [
                    {
                        "device_id": str(device.device_id),
                        "device_ip": device.device_ip,
                        "rank_id": str(device.rank),
                    }
                    for device in server.devices
                ],
                "host_nic_ip": "reserve",
            }
            for server in servers
        ],
        "status": "completed",
    }
    _checked_servers(table)
    return table


def this_server(path: Path, servers: list[Server], server_id: str, hccn_conf: Path) -> Server:
    """The server of the table that this machine is.

    Args:
        path: the table's file, for messages.
        servers: all of the table.
        server_id: the one to take; if empty, the table's only server, or the one whose server_id is
            an address or the name of this machine, or whose devices' addresses this machine has.
        hccn_conf: where this machine's device addresses are written, if it has devices.

    Raises:
        UserError: none of them is, or more than one.
    """
    names = ", ".join(server.server_id for server in servers)
    if server_id:
        found = [server for server in servers if server.server_id == server_id]
        if not found:
            raise UserError(
                f"{path}: has no server {server_id}; --server_id or SERVER_ID is one of {names}."
            )
        return found[0]
    if len(servers) == 1:
        return servers[0]
    own_ips = set(read_hccn_conf(hccn_conf).values()) if hccn_conf.exists() else set()
    found = [
        server
        for server in servers
        if _is_own_address(server.server_id)
        or any(device.device_ip in own_ips for device in server.devices)
    ]
    if len(found) != 1:
        count = "no server" if not found else "more than one server"
        raise UserError(
            f"{path}: {count} in it is this machine; set SERVER_ID to this one's of {names}."
        )
    return found[0]


def read_hccn_conf(path: Path) -> dict[int, str]:
    """Address of each device, from the lines `address_<device>=<ip>` of Huawei's hccn.conf.

    Raises:
        UserError: there are none, or a device or an address stands there twice.
        OSError: the file cannot be read.
    """
    addresses: dict[int, str] = {}
    try:
        for number, line in enumerate(read_text(path).splitlines(), 1):
            key, _, value = (part.strip() for part in line.partition("="))
            if not key.startswith("address_"):  # netmask, gateway, a comment
                continue
            where = f"line {number}"
            device = _number(key.removeprefix("address_"), f"{where}: the device of {key}")
            ip = _ip(value, where)
            if device in addresses or ip in addresses.values():
                raise ValueError(f"{where}: {key}={value} repeats a device or an address")
            addresses[device] = ip
        if not addresses:
            raise ValueError("it has no line address_0=...")
    except ValueError as error:
        raise UserError(
            f"{path}: is not a usable hccn.conf ({error}); hccn_tool sets the devices' addresses."
        ) from None
    return addresses


def _checked_servers(table: Any) -> list[Server]:
    """Raises ValueError with the reason if HCCL could not use the table."""
    for name in ("version", "server_count", "server_list", "status"):
        _field(table, name, "it")
    if table["status"] != "completed":
        raise ValueError(f"its status is {table['status']}, not completed")
    if not isinstance(table["server_list"], list) or not table["server_list"]:
        raise ValueError("its server_list is empty")
    servers = [_server(entry) for entry in table["server_list"]]
    if str(table["server_count"]) != str(len(servers)):
        raise ValueError(f"server_count is {table['server_count']}, but it has {len(servers)}")
    devices = [device for server in servers for device in server.devices]
    _refuse_repeated("server_id", [server.server_id for server in servers])
    _refuse_repeated("rank_id", [device.rank for device in devices])
    _refuse_repeated("device_ip", [device.device_ip for device in devices if device.device_ip])
    if {device.rank for device in devices} != set(range(len(devices))):
        raise ValueError(f"its rank_ids are not 0 to {len(devices) - 1}")
    if len(servers) > 1 and not all(device.device_ip for device in devices):
        raise ValueError("a device has no device_ip, which several servers need")
    return servers


def _server(entry: Any) -> Server:
    server_id = str(_field(entry, "server_id", "a server"))
    where = f"server {server_id}"
    entries = _field(entry, "device", where)
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{where} has no devices")
    devices = []
    for device in entries:
        device_id = _number(_field(device, "device_id", f"a device of {where}"), "device_id")
        rank = _number(_field(device, "rank_id", f"device {device_id} of {where}"), "rank_id")
        ip = device.get("device_ip", "")  # which one server alone can do without
        devices.append(Device(device_id, _ip(ip, where) if ip else "", rank))
    _refuse_repeated(f"device_id of {where}", [device.device_id for device in devices])
    return Server(server_id, devices)


def _field(entry: Any, name: str, where: str) -> Any:
    if not isinstance(entry, dict) or name not in entry:
        raise ValueError(f"{where} has no {name}")
    return entry[name]


def _number(value: Any, what: str) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{what} is {value!r}, not a number")
    return int(text)


def _ip(value: Any, where: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(f"{where}: {value!r} is not an IP address") from None


def _refuse_repeated(name: str, values: list[Any]) -> None:
    repeated = {value for value in values if values.count(value) > 1}
    if repeated:
        raise ValueError(f"{name} {min(repeated)} stands twice")


def _is_own_address(server_id: str) -> bool:
    """Whether it is this machine's name or an address that a socket here can have."""
    if server_id in (socket.gethostname(), socket.getfqdn()):
        return True
    try:
        version = ipaddress.ip_address(server_id).version
        with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET) as probe:
            probe.bind((server_id, 0))
    except (ValueError, OSError):
        return False
    return True
