# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Writes checkpoints as TensorFlow 2 does, with a check sum of its own: bit by bit."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
MAGIC = bytes.fromhex("57fb808b247547db")
KINDS = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "bool": 10, "float16": 19}
Pairs = Sequence[tuple[bytes, bytes]]


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def message(*fields: tuple[int, int | bytes]) -> bytes:
    """Fields of a protobuf: integers as varints, bytes with their length."""
    return b"".join(
        varint(number << 3) + varint(value)
        if isinstance(value, int)
        else varint(number << 3 | 2) + varint(len(value)) + value
        for number, value in fields
    )


def masked_sum(content: bytes) -> bytes:
    """The masked CRC-32C, a bit at a time."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


def entry(
    kind: int, shape: Sequence[int], offset: int, content: bytes, *more: tuple[int, int | bytes]
) -> bytes:
    """A BundleEntry of data file 0; other values of its fields, or others, are `more`."""
    dims = message(*[(2, message((1, side))) for side in shape])
    fields = message((1, kind), (2, dims), (4, offset), (5, len(content)), *more)
    return fields + varint(6 << 3 | 5) + masked_sum(content)


def block(pairs: Pairs) -> bytes:
    """A block; every second key leaves out what it has in common with the one before."""
    content, before = b"", b""
    for place, (key, value) in enumerate(pairs):
        shared = 0
        while place % 2 and shared < min(len(key), len(before)) and key[shared] == before[shared]:
            shared += 1
        lengths = varint(shared) + varint(len(key) - shared) + varint(len(value))
        content, before = content + lengths + key[shared:] + value, key
    return content + struct.pack("<II", 0, 1)


def index(blocks: Sequence[bytes], compression: int = 0) -> bytes:
    """The bytes of an .index of data blocks."""
    content, handles = b"", []
    for data in (*blocks, block([])):
        handles.append(varint(len(content)) + varint(len(data)))
        ending = bytes([compression])
        content += data + ending + masked_sum(data + ending)
    *of_data, of_meta = handles
    top = block([(b"%d" % place, handle) for place, handle in enumerate(of_data)])
    handle = varint(len(content)) + varint(len(top))
    content += top + b"\0" + masked_sum(top + b"\0")
    return content + (of_meta + handle).ljust(40, b"\0") + MAGIC


def graph(names: Mapping[str, str]) -> bytes:
    """The string of an object graph: Keras names by key."""
    nodes = [
        (1, message((2, message((1, b"VARIABLE_VALUE"), (2, keras.encode()), (3, key.encode())))))
        for key, keras in names.items()
    ]
    content = message((1, message((1, message((1, 1), (2, b"model"))))), *nodes)
    return varint(len(content)) + bytes(4) + content


def saved_model(names: Sequence[str]) -> tuple[dict[str, str], bytes]:
    """The keys of a SavedModel by those of a checkpoint (model/part/...), and its graph.

    As Keras does it each part of the model has a list of its variables, to which keys lead as it is
    the shorter way; the layers are there as well, each once more as layer-N behind all others.
    """
    keys: dict[str, str] = {}
    children: list[dict[str, int]] = [{}]
    of_variables: dict[int, str] = {}
    for name in names:
        node, part = 0, 0
        for depth, edge in enumerate(f"_{name}".split("/")):
            edge = edge.replace(".S", "/")
            if edge not in children[node]:
                children[node][edge] = len(children)
                children.append({})
            node = children[node][edge]
            part = node if depth == 1 else part
        if "variables" not in children[part]:
            children[part] = {"variables": len(children)} | children[part]
            children.append({})
        variables = children[children[part]["variables"]]
        keys[name] = f"{'/'.join(f'_{name}'.split('/')[:2])}/variables/{len(variables)}"
        variables[str(len(variables))] = node
        of_variables[node] = name
    for edges in children:
        layers = [node for edge, node in edges.items() if edge.startswith("layer_with_weights-")]
        edges |= {f"layer-{place}": node for place, node in enumerate(layers)}
    nodes = []
    for node, edges in enumerate(children):
        fields = [(1, message((1, n), (2, edge.encode()))) for edge, n in edges.items()]
        if node in of_variables:
            name = of_variables[node]
            texts = ((1, b"VARIABLE_VALUE"), (2, name.encode()), (3, (keys[name] + VALUE).encode()))
            fields.append((2, message(*texts)))
        nodes.append((1, message(*fields)))
    content = message(*nodes)
    return keys, varint(len(content)) + bytes(4) + content


def bundle(
    arrays: Mapping[str, np.ndarray],
    names: Mapping[str, str] | None = None,
    made: bytes | None = None,
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Keys and values of the index, and the data file, of arrays by their whole keys.

    The graph of objects is of names alone, or `made`.
    """
    data = made or graph(names or {key: key.removesuffix(VALUE) for key in arrays})
    pairs = [(b"", message((1, 1))), (GRAPH.encode(), entry(7, (), 0, data))]
    for key, array in sorted(arrays.items()):
        content = array.tobytes()
        of_array = entry(KINDS[array.dtype.name], array.shape, len(data), content)
        pairs.append((key.encode(), of_array))
        data += content
    return pairs, data


def write(folder: Path, prefix: str, pairs: Pairs, data: bytes) -> Path:
    """Writes a checkpoint of one data file and the text beside it; gives the .index."""
    folder.mkdir(exist_ok=True)
    half = len(pairs) // 2
    path = folder / f"{prefix}.index"
    path.write_bytes(index([block(pairs[:half]), block(pairs[half:])]))
    (folder / f"{prefix}.data-00000-of-00001").write_bytes(data)
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "/elsewhere/{prefix}"\n')
    return path
