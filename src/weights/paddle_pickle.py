# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Weights as PaddlePaddle saves them: a pickle of arrays by name, read without PaddlePaddle.

Python's own reader would import and call whatever a file names, and reserve what it announces. Here
nothing is imported: the few names that pickles of arrays have stand for functions of this module,
and any other name ends the reading. Types, shapes and lengths are compared with the bytes that are
there before an array is made, and all arrays together have no more bytes than the file.
"""

import io
import math
import pickletools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_MOST_OPERATIONS = 500_000  # an array takes about 35
_LONGEST_NAME, _MOST_DIMS = 1000, 8
_NUMBERS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}
_PARTS = "UnpackBigParamInfor@@"  # which arrays were too long for protocols 2 and 3
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_LITERALS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINSTRING", "BINSTRING",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_OF_NUMPY = "numpy.core."  # numpy._core. since NumPy 2
_KNOWN = {
    "numpy.ndarray", "numpy.dtype", _OF_NUMPY + "multiarray._reconstruct",
    _OF_NUMPY + "numeric._frombuffer", "_codecs.encode", "builtins.bytes", "builtins.tuple",
    "collections.OrderedDict",
}  # fmt: skip


class CallRefusedError(Exception):
    """A file asks for something else than arrays; the text is its name."""


@dataclass
class Saved:
    """What a file holds.

    tensors: by name; float16, bfloat16 and float64 as float32.
    kinds: NumPy's names of their types in the file, or bfloat16.
    tied: for names of one array in the file the first of them.
    left_out: names of what is no array.
    """

    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    tied: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Named:
    """What a file asks for by a name of `_KNOWN`."""

    name: str


@dataclass(eq=False)
class _Type:
    """A numpy.dtype: its code, such as f4, and the order of its bytes."""

    code: str
    order: str = "="


@dataclass(eq=False)
class _Array:
    """A numpy.ndarray, which has no values until its state is set."""

    values: np.ndarray | None = None


def read(content: bytes) -> Saved:
    """The arrays in the bytes of a file: a dictionary, or what it has as "state_dict" or "model".

    Raises:
        CallRefusedError: it asks for something else than arrays.
        ValueError: with the reason, if it is damaged or no such file.
    """
    try:
        entries = _Machine(content).run()
    except LookupError:
        raise ValueError("it uses what it has not made") from None
    for key in ("state_dict", "model"):
        if isinstance(entries, dict) and isinstance(entries.get(key), dict):
            entries = entries[key]
    saved, first = Saved(), {}
    if not isinstance(entries, dict):
        return saved
    for name, value in _joined(entries).items():
        if not isinstance(value, _Array):
            saved.left_out.append(name)
            continue
        values = _values(name, value)
        saved.kinds.append("bfloat16" if _is_bfloat16(values) else values.dtype.name)
        if value in first:
            saved.tied[name] = first[value]
            saved.tensors[name] = saved.tensors[first[value]]
        else:
            first[value] = name
            saved.tensors[name] = _as_float32(values)
    return saved


class _Machine:
    """Carries out the operations of a pickle: a stack, those below its marks, and a memo."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        # Of texts made bytes, and of arrays: a memo could give out one of them time and again.
        self._bytes_left = 2 * len(content)

    def run(self) -> Any:
        """What the pickle is of; its arrays are `_Array`."""
        # Of a stream in memory no more is read than is there, whatever a length says.
        operations = pickletools.genops(io.BytesIO(self._content))
        for count, (operation, argument, position) in enumerate(operations):
            if count == _MOST_OPERATIONS:
                raise ValueError(f"it has more than {_MOST_OPERATIONS:,} operations")
            if operation.name == "STOP" and position + 1 < len(self._content):
                raise ValueError(f"it goes on behind its end at byte {position + 1}")
            if operation.name != "STOP":
                self._do(operation.name, argument)
        return self._stack.pop()

    def _do(self, operation: str, argument: Any) -> None:
        stack = self._stack
        if operation in _LITERALS:
            stack.append(argument)
        elif operation in _CONSTANTS:
            stack.append(_CONSTANTS[operation])
        elif operation in _EMPTY:
            stack.append(_EMPTY[operation]())
        elif operation in _TUPLES:
            count = _TUPLES[operation]
            if len(stack) < count:
                raise LookupError
            stack[-count:] = [tuple(stack[-count:])]
        elif operation in ("PROTO", "FRAME"):
            pass
        elif operation in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif operation == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif operation in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif operation == "MARK":
            self._below.append(stack)
            self._stack = []
        elif operation == "TUPLE":
            items = self._above_mark()
            self._stack.append(tuple(items))
        elif operation in ("SETITEM", "SETITEMS"):
            self._set([stack.pop(-2), stack.pop()] if operation[-1] == "M" else self._above_mark())
        elif operation in ("APPEND", "APPENDS"):
            self._append([stack.pop()] if operation[-1] == "D" else self._above_mark())
        elif operation == "GLOBAL":
            stack.append(_named(argument.replace(" ", ".")))
        elif operation == "STACK_GLOBAL":
            name, module = stack.pop(), stack.pop()
            if not isinstance(name, str) or not isinstance(module, str):
                raise ValueError("it asks for what has no name")
            stack.append(_named(f"{module}.{name}"))
        elif operation == "REDUCE":
            arguments, called = stack.pop(), stack.pop()
            if not isinstance(called, _Named) or not isinstance(arguments, tuple):
                raise ValueError("it calls what has no name")
            stack.append(self._made(called.name, arguments))
        elif operation == "BUILD":
            self._set_state(stack.pop())
        else:
            self._refuse(operation, argument)

    def _refuse(self, operation: str, argument: Any) -> None:
        if operation == "INST":
            raise CallRefusedError(argument.replace(" ", "."))
        if operation in ("OBJ", "NEWOBJ", "NEWOBJ_EX"):
            named = [item.name for item in self._stack if isinstance(item, _Named)]
            raise CallRefusedError(named[-1] if named else "an object")
        if operation in ("PERSID", "BINPERSID"):
            raise CallRefusedError("persistent_load")
        if operation in ("EXT1", "EXT2", "EXT4"):
            raise CallRefusedError(f"extension {argument} of copyreg")
        raise ValueError(f"it has the operation {operation}, which no pickle of arrays needs")

    def _above_mark(self) -> list[Any]:
        above, self._stack = self._stack, self._below.pop()
        return above

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise ValueError("it gives entries to what is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Comparing other keys could take for ever, or more depth than there is.
            if not isinstance(key, str) or len(key) > _LONGEST_NAME:
                raise ValueError(f"a name is no text of at most {_LONGEST_NAME} letters")
            if key in target:
                raise ValueError(f"{key} stands twice")
            target[key] = value

    def _append(self, items: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise ValueError("it gives items to what is no list")
        self._stack[-1].extend(items)

    def _made(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """What stands for the result of a call."""
        match name.removeprefix(_OF_NUMPY), arguments:
            case "multiarray._reconstruct", (_Named("numpy.ndarray"), *_):
                return _Array()
            case "numeric._frombuffer", (
                data,
                _Type() as kind,
                tuple(shape),
                "C" | "F" as order,
                *_,
            ):
                return _Array(self._filled(kind, shape, order, data))
            case "numpy.dtype", (str(code), *_):
                return _Type(code)
            case "_codecs.encode", (str(text), "latin1"):  # bytes, before protocol 3
                return self._encoded(text)
            case "builtins.bytes", ():
                return b""
            case "builtins.tuple", ((str(), _Array() as array),):  # what it calls a tensor inside
                return array
            case "collections.OrderedDict", ():
                return {}
        raise CallRefusedError(name)

    def _set_state(self, state: Any) -> None:
        match self._stack[-1], state:
            case _Type() as kind, (int(), "<" | ">" | "=" | "|" as order, None, None, None, *_):
                kind.order = order
            case _Array() as array, (1, tuple(shape), _Type() as kind, bool(by_column), data):
                array.values = self._filled(kind, shape, "F" if by_column else "C", data)
            case _:
                raise ValueError("it sets a state that no array has")

    def _filled(self, kind: _Type, shape: tuple[Any, ...], order: str, data: Any) -> np.ndarray:
        """The array of so many numbers in `data`, if they are there."""
        name = next((item for item in self._stack[:-4:-1] if isinstance(item, str)), "an array")
        if kind.code not in _NUMBERS:
            raise ValueError(f"{name} is of type {kind.code}, which holds no numbers")
        if isinstance(data, str):  # of Python 2
            data = self._encoded(data)
        count, dtype = _count(name, shape), np.dtype(kind.code).newbyteorder(kind.order)
        if not isinstance(data, bytes | bytearray) or len(data) != count * dtype.itemsize:
            size = f"{len(data)} bytes" if isinstance(data, bytes | bytearray) else "none"
            raise ValueError(f"{name} is {dtype.name} of shape {shape} but has {size}")
        self._spend(len(data))
        return np.frombuffer(data, dtype).reshape(shape, order=order)

    def _encoded(self, text: str) -> bytes:
        self._spend(len(text))
        return text.encode("latin1")

    def _spend(self, size: int) -> None:
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise ValueError("its arrays have more bytes than it")


def _named(name: str) -> _Named:
    for theirs, ours in (("numpy._core.", _OF_NUMPY), ("__builtin__.", "builtins.")):
        if name.startswith(theirs):
            name = ours + name.removeprefix(theirs)
    if name not in _KNOWN:
        raise CallRefusedError(name)
    return _Named(name)


def _count(name: str, shape: tuple[Any, ...]) -> int:
    """How many numbers an array has."""
    sides = [side for side in shape if type(side) is int and 0 <= side < 2**63]
    if not len(shape) == len(sides) <= _MOST_DIMS:
        raise ValueError(f"the shape of {name} is none")
    return math.prod(sides)


def _joined(entries: dict[str, Any]) -> dict[str, Any]:
    """The entries, with the arrays that were saved in parts in one piece."""
    entries = dict(entries)
    parts = entries.pop(_PARTS, {})
    if not isinstance(parts, dict):
        raise ValueError(f"{_PARTS} is no dictionary")
    for name, how in parts.items():
        match how:
            case {"OriginShape": tuple(shape) | list(shape), "slices": list(names)}:
                pieces = [_values(name, entries.pop(part, None)) for part in _texts(name, names)]
            case _:
                raise ValueError(f"{_PARTS} does not say what {name} is made of")
        count = _count(name, tuple(shape))
        kinds = {piece.dtype for piece in pieces}
        if len(kinds) != 1 or count != sum(piece.size for piece in pieces) or name in entries:
            raise ValueError(f"the parts of {name} are not those of an array of shape {shape}")
        entries[name] = _Array(np.concatenate([p.ravel() for p in pieces]).reshape(shape))
    return entries


def _texts(name: str, names: list[Any]) -> list[str]:
    if not all(isinstance(part, str) for part in names):
        raise ValueError(f"a part of {name} has no name")
    return names


def _values(name: str, value: Any) -> np.ndarray:
    if not isinstance(value, _Array) or value.values is None:
        raise ValueError(f"{name} is an array without numbers, or a part of it is missing")
    return value.values


def _is_bfloat16(values: np.ndarray) -> bool:
    return values.dtype.name == "uint16"  # PaddlePaddle's arrays of what NumPy has not


def _as_float32(values: np.ndarray) -> np.ndarray:
    if _is_bfloat16(values):  # the upper half of a float32
        return (values.astype(np.uint32) << 16).view(np.float32)
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):  # infinities are found and told later
            return values.astype(np.float32)
    return values
