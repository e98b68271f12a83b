# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The bytes of a MindSpore checkpoint, read without MindSpore.

MindSpore copies the content of a tensor into memory of the size that its shape says, whatever the
length of the content is, so that a file could write anywhere. Here lengths, shapes and types are
compared before any number is made. The format is checkpoint.proto of MindSpore: values of a name
(1) and a tensor (2) of dims (1), type (2) and content (3), and at the end perhaps a check sum.
"""

import binascii
import math

import mindspore as ms
import numpy as np

from src.weights.protobuf import fields

_NUMBERS = {
    "Int8": "<i1", "UInt8": "<u1", "Int16": "<i2", "UInt16": "<u2", "Int32": "<i4",
    "UInt32": "<u4", "Int64": "<i8", "UInt64": "<u8", "Float16": "<f2", "Float32": "<f4",
    "Float64": "<f8", "Bool": "?", "BFloat16": "<u2",  # which NumPy has not
}  # fmt: skip
_TEXT = "str"  # UTF-32
_MOST_DIMS, _LONGEST_NAME = 8, 1000
_CHECK_SUM, _SUM_BYTES = b"crc_num", 10


def parse(content: bytes) -> dict[str, ms.Parameter | str]:
    """Everything that a checkpoint holds, by its name.

    Raises:
        ValueError: with the reason, if it is no checkpoint or a damaged one.
    """
    view = memoryview(content)
    end = len(view) - len(_CHECK_SUM) - _SUM_BYTES
    if end >= 0 and view[end : end + len(_CHECK_SUM)] == _CHECK_SUM:
        if binascii.crc32(view[:end]) != int.from_bytes(view[-_SUM_BYTES:], "big"):
            raise ValueError("its check sum is another")
        view = view[:end]
    parts: dict[str, list[memoryview]] = {}
    kinds: dict[str, tuple[str, tuple[int, ...]]] = {}
    last = ""
    for number, value in fields(view):
        if number != 1 or isinstance(value, int):
            raise ValueError("it has other fields")
        name, kind, dims, data = _value(value)
        if name not in parts:
            parts[name], kinds[name] = [data], (kind, dims)
        elif name == last and kinds[name] == (kind, dims):
            parts[name].append(data)  # of a large tensor
        else:
            raise ValueError(f"{name} stands twice")
        last = name
    if not parts:
        raise ValueError("it is empty")
    for name, (kind, dims) in kinds.items():
        _check_length(name, kind, dims, sum(map(len, parts[name])))
    return {name: _made(name, *kinds[name], parts[name]) for name in parts}


def _value(value: memoryview) -> tuple[str, str, tuple[int, ...], memoryview]:
    """Name, type, shape and content of a value."""
    found = dict(fields(value))
    if set(found) != {1, 2} or isinstance(found[1], int) or isinstance(found[2], int):
        raise ValueError("a value has no name or no tensor")
    if not 0 < len(found[1]) <= _LONGEST_NAME:
        raise ValueError(f"a name has {len(found[1])} bytes")
    name = str(found[1], "utf-8")
    dims: list[int] = []
    kind, data = "", memoryview(b"")
    for number, part in fields(found[2]):
        if number == 1 and isinstance(part, int) and len(dims) < _MOST_DIMS:
            dims.append(part)
        elif number == 2 and not isinstance(part, int) and len(part) <= max(map(len, _NUMBERS)):
            kind = str(part, "utf-8")
        elif number == 3 and not isinstance(part, int):
            data = part
        else:
            raise ValueError(f"the tensor of {name} has other fields")
    return name, kind, tuple(dims), data


def _check_length(name: str, kind: str, dims: tuple[int, ...], length: int) -> None:
    if kind == _TEXT:
        if length % 4:
            raise ValueError(f"the text {name} has {length} bytes")
        return
    if kind not in _NUMBERS:
        raise ValueError(f"{name} is of type {kind!r}")
    count = 1 if dims == (0,) else math.prod(dims)  # (0,) is a scalar
    if length != count * np.dtype(_NUMBERS[kind]).itemsize:
        raise ValueError(f"{name} is {kind} of shape {dims} but has {length} bytes")


def _made(
    name: str, kind: str, dims: tuple[int, ...], parts: list[memoryview]
) -> ms.Parameter | str:
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    if kind == _TEXT:
        return str(data, "utf-32-le", "surrogatepass").rstrip("\0")  # names of files are bytes
    values = np.frombuffer(data, _NUMBERS[kind]).reshape(() if dims == (0,) else dims)
    if kind == "BFloat16":  # the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
        return ms.Parameter(ms.Tensor(values, ms.bfloat16), name=name)
    return ms.Parameter(ms.Tensor(values), name=name)
