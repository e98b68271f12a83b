# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Fields of protobuf messages, without memory beyond the message's own."""

from collections.abc import Iterator

_FIXED = {1: 8, 5: 4}  # bytes of integers, by wire type


def fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Numbers and values of a message: integers, or the bytes of texts and messages.

    Raises:
        ValueError: it is none.
    """
    position = 0
    while position < len(content):
        key, position = varint(content, position)
        kind = key & 7
        if kind in (0, 2):
            value, position = varint(content, position)
            if kind == 0:
                yield key >> 3, value
                continue
        end = position + (value if kind == 2 else _FIXED.get(kind, len(content)))
        if end > len(content):
            break
        part = content[position:end]
        yield key >> 3, part if kind == 2 else int.from_bytes(part, "little")
        position = end
    else:
        return
    raise ValueError("it is cut off or no protobuf")


def varint(content: memoryview, position: int) -> tuple[int, int]:
    """The integer of base 128 at a position, and where it ends; raises ValueError if it is none."""
    value = 0
    for shift in range(0, 70, 7):
        if position == len(content):
            break
        byte = content[position]
        value |= (byte & 127) << shift
        position += 1
        if byte < 128:
            return value, position
    raise ValueError("it is cut off or no protobuf")
