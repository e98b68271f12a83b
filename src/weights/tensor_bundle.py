# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints of TensorFlow 2, read without TensorFlow.

PREFIX.index is a sorted table, as LevelDB's: blocks of keys and values, each with a check sum. The
values are messages of tensor_bundle.proto, which say where in PREFIX.data-SSSSS-of-NNNNN a tensor
is. Lengths, shapes and types are compared with the bytes that are there before any number is made.
"""

import math
import os
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from src.model_utils.errors import UserError
from src.model_utils.files import open_regular, read_regular
from src.weights.crc32c import crc32c
from src.weights.protobuf import fields, varint

_MAGIC = bytes.fromhex("57fb808b247547db")
_FOOTER, _BLOCK_END = 48, 5  # bytes; the latter are the compression and the check sum
_COMPRESSIONS = {1: "snappy", 2: "zlib"}
_BFLOAT16, _STRING = 14, 7
_NUMBERS = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?",
    _BFLOAT16: "<u2", 17: "<u2", 19: "<f2", 22: "<u4", 23: "<u8",
}  # fmt: skip
_MOST_DIMS, _LONGEST_KEY, _LARGEST_INDEX = 8, 1000, 100_000_000
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_OF_SAVED_MODEL = re.compile(r"(?:.*/)?(?:trainable_)?variables/\d+")
# Edges that Keras adds in a SavedModel, to what its layers have besides.
_OF_KERAS = {
    "variables", "trainable_variables", "non_trainable_variables", "regularization_losses",
    "keras_api",
}  # fmt: skip
_DEEPEST = 64  # edges to a variable; an hourglass has 16
_STATE = re.compile(r"(?:optimizer|save_counter|step|global_step)/.*|.*/\.OPTIMIZER_SLOT/.*")


@dataclass
class Bundle:
    """A checkpoint.

    tensors: by their keys without `/.ATTRIBUTES/VARIABLE_VALUE`; bfloat16 as float32.
    keras_names: what Keras calls them, such as conv2_block1_1_conv/kernel, by the same keys.
    kinds: NumPy's names of their types in the file, or bfloat16.
    left_out: keys of a training's state.
    """

    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    keras_names: dict[str, str] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Entry:
    """Where a tensor is: its type's number, shape, data file, place in it, and check sum."""

    kind: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    sum: int


def index_of(path: Path) -> Path | None:
    """The .index of a checkpoint given by that, a data file, its folder or the text `checkpoint`.

    Or of a SavedModel given by its folder or saved_model.pb. None if it is none of these.
    """
    if path.name == "saved_model.pb":
        path = path.parent
    if (path / "saved_model.pb").is_file():
        return path / "variables" / "variables.index"
    if path.is_dir():
        path /= "checkpoint"
    if path.name == "checkpoint" and path.is_file():
        with os.fdopen(open_regular(path), "rb") as file:
            named = re.match(rb'model_checkpoint_path: "([^"\n]+)"', file.read(4096))
        if named:  # it may lie elsewhere than where it was written
            return path.with_name(Path(os.fsdecode(named[1])).name + ".index")
    of_data = re.fullmatch(r"(.+)\.data-\d+-of-\d+", path.name)
    if of_data:
        return path.with_name(of_data[1] + ".index")
    return path if path.suffix == ".index" else None


def read(path: Path) -> Bundle:
    """Reads a checkpoint by its .index.

    Raises:
        UserError: it is none, damaged or of a kind that is not read here, or a data file is missing
            or damaged.
    """
    if path.stat().st_size > _LARGEST_INDEX:
        raise UserError(f"{path}: is too large for an index of a TensorFlow checkpoint.")
    try:
        shards, entries = _entries(memoryview(read_regular(path)))
        return _read(path, shards, entries)
    except ValueError as error:
        raise UserError(
            f"{path}: is not a checkpoint of TensorFlow 2 that can be read here ({error}); fetch "
            "it and its data files again."
        ) from None


def _entries(content: memoryview) -> tuple[int, dict[str, _Entry]]:
    """The number of data files, and the tensors by key, of an index."""
    if content[-len(_MAGIC) :] != _MAGIC or len(content) < _FOOTER:
        raise ValueError("its end is not that of an index")
    footer, position = content[-_FOOTER:], 0
    handles = []
    for _ in range(4):  # offset and size of the block of meta data, which is empty, and the index
        value, position = varint(footer, position)
        handles.append(value)
    left = len(content) - _FOOTER
    messages: dict[str, memoryview] = {}
    for _, handle in _pairs(_block(content, *handles[2:])):
        offset, position = varint(handle, 0)
        size, _ = varint(handle, position)
        left -= size
        if left < 0:
            raise ValueError("its blocks overlap")
        for key, message in _pairs(_block(content, offset, size)):
            if key in messages:
                raise ValueError(f"{key} stands twice")
            messages[key] = message
    if "" not in messages:
        raise ValueError("it has no header")
    header = {1: 1, 2: 0} | dict(fields(messages.pop("")))
    if header[2] != 0:
        raise ValueError("its numbers are big-endian")
    if not isinstance(header[1], int):
        raise ValueError("its header is another")
    return header[1], {key: _entry(key, message) for key, message in messages.items()}


def _block(content: memoryview, offset: int, size: int) -> memoryview:
    end = offset + size
    if end + _BLOCK_END > len(content) - _FOOTER:
        raise ValueError("a block reaches beyond its end")
    if content[end]:
        kind = _COMPRESSIONS.get(content[end], f"kind {content[end]}")
        raise ValueError(f"a block is compressed ({kind}), which TensorFlow does not do")
    if _masked(crc32c(content[offset : end + 1])) != int.from_bytes(
        content[end + 1 : end + _BLOCK_END], "little"
    ):
        raise ValueError("the check sum of a block is another")
    return content[offset:end]


def _pairs(block: memoryview) -> Iterator[tuple[str, memoryview]]:
    """Keys and values of a block; a key is what it shares with the one before, and the rest."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    position, key = 0, b""
    if end < 0:
        raise ValueError("a block is too short")
    while position < end:
        shared, position = varint(block[:end], position)
        unshared, position = varint(block[:end], position)
        length, position = varint(block[:end], position)
        value = position + unshared
        if shared > len(key) or shared + unshared > _LONGEST_KEY or value + length > end:
            raise ValueError("an entry is longer than its block")
        key = key[:shared] + bytes(block[position:value])
        position = value + length
        yield key.decode(errors="backslashreplace"), block[value:position]


def _entry(key: str, message: memoryview) -> _Entry:
    values = dict.fromkeys(range(1, 7), 0) | {2: memoryview(b"")}
    for number, value in fields(message):
        if number == 7:
            raise ValueError(f"{key} is partitioned")
        if number in values and isinstance(value, int) != (number != 2):
            raise ValueError(f"the entry of {key} has other fields")
        values[number] = value
    shape = []
    for number, dim in fields(values[2]):
        if number == 3 and dim:
            raise ValueError(f"{key} has an unknown shape")
        if number == 2 and not isinstance(dim, int) and len(shape) < _MOST_DIMS:
            size = dict(fields(dim)).get(1, 0)
            if not isinstance(size, int):
                raise ValueError(f"the shape of {key} is none")
            shape.append(size)
        elif number == 2:
            raise ValueError(f"the shape of {key} is none")
    return _Entry(values[1], tuple(shape), *(values[number] for number in range(3, 7)))


def _read(path: Path, shards: int, entries: dict[str, _Entry]) -> Bundle:
    graph = entries.get(_GRAPH)
    if graph is None or graph.kind != _STRING or graph.shape:
        raise ValueError(
            "it has no graph of objects: one of TensorFlow 1 or of names alone has other names"
        )
    bundle, kept, by_shard = Bundle(), {}, defaultdict(list)
    for key, entry in entries.items():
        name = key.removesuffix(_VALUE)
        if key != _GRAPH and (name == key or _STATE.fullmatch(key)):
            bundle.left_out.append(name)
            continue
        if key != _GRAPH:
            _check_size(name, entry)
            kept[name] = entry
        by_shard[entry.shard].append((name, entry))
    if not kept:
        raise ValueError("it holds no variables of a model")
    of_layers: dict[str, str] = {}
    for shard, wanted in sorted(by_shard.items()):
        if shard >= shards:
            raise ValueError(f"its data file {shard} is one of {shards}")
        data = path.with_name(f"{path.stem}.data-{shard:05d}-of-{shards:05d}")
        if not data.is_file():
            raise UserError(f"{data}: is missing, and {path.name} needs it; put it beside that.")
        with os.fdopen(open_regular(data), "rb") as file:
            left = data.stat().st_size
            for _, entry in wanted:
                left -= entry.size
                if left < 0 or entry.offset + entry.size > data.stat().st_size:
                    raise UserError(
                        f"{data}: is cut off, its tensors have more bytes than it; fetch it again."
                    )
            for name, entry in wanted:
                if name == _GRAPH:
                    content = _graph(_at(file, entry))
                    bundle.keras_names = _keras_names(content)
                    if any(map(_OF_SAVED_MODEL.fullmatch, kept)):
                        of_layers = _names_by_layers(content)
                else:
                    bundle.tensors[name] = _made(data, name, entry, _at(file, entry))
    names = {name: of_layers.get(name, name) for name in kept}  # in the order of the index
    bundle.tensors = {name: bundle.tensors[stored] for stored, name in names.items()}
    bundle.keras_names = {names[n]: k for n, k in bundle.keras_names.items() if n in kept}
    bundle.kinds = [_kind(entry) for entry in kept.values()]
    return bundle


def _check_size(key: str, entry: _Entry) -> None:
    if entry.kind not in _NUMBERS:
        raise ValueError(f"{key} is of type {entry.kind}, which holds no numbers")
    if entry.size != math.prod(entry.shape) * np.dtype(_NUMBERS[entry.kind]).itemsize:
        raise ValueError(f"{key} is {_kind(entry)} {entry.shape} but has {entry.size} bytes")


def _kind(entry: _Entry) -> str:
    return "bfloat16" if entry.kind == _BFLOAT16 else np.dtype(_NUMBERS[entry.kind]).name


def _at(file: BinaryIO, entry: _Entry) -> bytes:
    file.seek(entry.offset)
    return file.read(entry.size)


def _made(path: Path, name: str, entry: _Entry, content: bytes) -> np.ndarray:
    if _masked(crc32c(content)) != entry.sum:
        raise UserError(f"{path}: the check sum of {name} is another; fetch it again.")
    values = np.frombuffer(content, _NUMBERS[entry.kind]).reshape(entry.shape)
    if entry.kind == _BFLOAT16:  # the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values


def _masked(check_sum: int) -> int:
    """As it is stored: a check sum of what holds check sums would be weak."""
    return ((check_sum >> 15 | check_sum << 17) + 0xA282EAD8) % 2**32


def _graph(content: bytes) -> memoryview:
    """The graph of objects, which stands behind its length and a check sum."""
    length, position = varint(memoryview(content), 0)
    message = memoryview(content)[position + 4 :]
    if length != len(message):
        raise ValueError("its graph of objects is cut off")
    return message


def _keras_names(graph: memoryview) -> dict[str, str]:
    """Names of variables by key."""
    names = {}
    for attribute in _inside(_inside([graph], 1), 2):  # of nodes
        key = _text(attribute, 3).removesuffix(_VALUE)
        names[key] = _text(attribute, 2)
    return names


def _names_by_layers(graph: memoryview) -> dict[str, str]:
    """For keys of a SavedModel those that its variables have in a checkpoint.

    Keys are shortest ways from the root. In a SavedModel they lead over lists of variables that
    Keras adds; without these they are the checkpoint's, with `_model` in place of `model`.
    """
    nodes = list(_inside([graph], 1))
    ways: dict[int, tuple[str, ...]] = {0: ()}
    waiting, names = deque(ways), {}
    while waiting:
        way = ways[waiting[0]]
        node = nodes[waiting.popleft()]
        for attribute in _inside([node], 2):
            key = _text(attribute, 3).removesuffix(_VALUE)
            names[key] = "/".join(way).removeprefix("_")
        for edge in _inside([node], 1):
            child, name = dict(fields(edge)).get(1, 0), _text(edge, 2)
            if not isinstance(child, int) or child >= len(nodes):
                raise ValueError("its graph of objects has an edge to none")
            if child not in ways and name not in _OF_KERAS and len(way) < _DEEPEST:
                ways[child] = (*way, name.replace(".", "..").replace("/", ".S"))
                waiting.append(child)
    return names


def _text(message: memoryview, number: int) -> str:
    """A field of a message as a text, empty where it is none."""
    value = dict(fields(message)).get(number, b"")
    return "" if isinstance(value, int) else bytes(value).decode(errors="backslashreplace")


def _inside(messages: Iterable[memoryview], number: int) -> Iterator[memoryview]:
    """The messages of one number in others."""
    for message in messages:
        for found, value in fields(message):
            if found == number and not isinstance(value, int):
                yield value
