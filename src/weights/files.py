# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Files of weights: .ckpt of MindSpore, .safetensors, what PyTorch, TensorFlow 2, Paddle save.

What a file is follows from its first bytes, not from its name, but for TensorFlow's: a checkpoint
of it is several files. Nothing in it is executed: .ckpt is
protobuf, .safetensors json and numbers, PyTorch reads with weights_only=True, which refuses
pickles that call anything, and `paddle_pickle` knows arrays alone.
"""

import io
import os
import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import safetensors
from safetensors.numpy import save

from src.model_utils.errors import UserError
from src.model_utils.files import open_regular, read_regular, whole_file
from src.model_utils.progress import telling
from src.weights import checkpoints, paddle_pickle, tensor_bundle

# A zip archive, and the pickle of a number that PyTorch's files before 1.6 begin with.
_ZIP, _PYTORCH = b"PK\x03\x04", bytes.fromhex("80028a0a6cfc9c46f9206aa85019")
_PICKLE = b"\x80"
_LARGEST_HEADER = 100_000_000  # bytes; the safetensors library takes no longer ones
_NUMPY_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
    "I8": "i1", "U8": "u1", "BOOL": "?",
}  # fmt: skip
_OTHER_FLOATS = {"F16": "float16", "BF16": "bfloat16", "F64": "float64"}
_OF_PADDLES_OPTIMIZER = {"LR_Scheduler", "last_epoch"}
_SAFE_PYTORCH = (2, 10)  # before it weights_only=True has known holes
_TO_SAFETENSORS = (
    "import torch, safetensors.torch as s; d = torch.load('{name}', 'cpu', weights_only=True); "
    "s.save_file({{k: v.clone() for k, v in d.get('state_dict', d).items()}}, '{stem}.safetensors')"
)


@dataclass(frozen=True)
class Stored:
    """What a file holds.

    path: the file; of TensorFlow's the .index.
    tensors: arrays by name; those of floating point as float32, whatever they are in the file.
    remarks: what a reader of the tensors should know, a sentence each.
    facts: texts by name that stand beside the tensors; in TensorFlow's what Keras calls each.
    """

    path: Path
    tensors: dict[str, np.ndarray]
    remarks: list[str]
    facts: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> Stored:
    """Reads a file of weights, or a checkpoint of TensorFlow by its .index or its folder.

    Raises:
        UserError: the file is missing, damaged, asks for code to be run, or PyTorch is needed.
    """
    index = tensor_bundle.index_of(path)
    path = index or path
    if not path.is_file():
        what = "it is no regular file" if path.exists() else "checkpoint not found"
        raise UserError(f"{path}: {what}; check the path.")
    if index:
        return _read_tensorflow(path)
    with os.fdopen(open_regular(path), "rb") as file:
        start = file.read(len(_PYTORCH))
    # First, as its length may begin with the bytes of the others; theirs are no such length.
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= _LARGEST_HEADER:
        return _read_safetensors(path)
    if start.startswith((_ZIP, _PYTORCH)):
        return _read_pytorch(path, start.startswith(_ZIP))
    if start.startswith(_PICKLE):
        return _read_paddle(path)
    return _read_mindspore(path)


def write(path: Path, arrays: Mapping[str, np.ndarray], facts: dict[str, str]) -> None:
    """Writes arrays as .ckpt, .safetensors or else .pth, by `path`'s ending, whole or not at all.

    `facts` are texts to stand beside them. A .pth has none: it is {"epoch": 0, "state_dict": ...},
    as the original's programs read it.

    Raises:
        UserError: .pth without PyTorch.
        OSError: it cannot be written.
    """
    if path.suffix == ".ckpt":
        parameters = [(name, ms.Parameter(array, name=name)) for name, array in arrays.items()]
        checkpoints.save(parameters, path, facts)
    elif path.suffix == ".safetensors":
        with whole_file(path) as partial:
            contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
            partial.write_bytes(save(contiguous, facts))  # save_file keeps others from reading
    else:
        try:
            import torch
        except ImportError:
            raise UserError(
                f"{path}: writing .pth needs PyTorch; pip install torch, or write .safetensors."
            ) from None
        state = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        content = io.BytesIO()  # PyTorch raises other errors on a full disk
        torch.save({"epoch": 0, "state_dict": state}, content)
        with whole_file(path) as partial:
            partial.write_bytes(content.getvalue())


def _read_tensorflow(path: Path) -> Stored:
    bundle = tensor_bundle.read(path)
    tensors = {name: _as_float32(array) for name, array in bundle.tensors.items()}
    remarks = list(_type_remarks(Counter(bundle.kinds)))
    if bundle.left_out:
        count, first = len(bundle.left_out), bundle.left_out[0]
        remarks.append(f"The state of the training ({first}; {count} in the file) is left out.")
    return Stored(path, tensors, remarks, bundle.keras_names)


def _read_mindspore(path: Path) -> Stored:
    stored = checkpoints.read(path)
    facts = {name: value for name, value in stored.items() if isinstance(value, str)}
    names = [name for name in stored if name not in facts]
    types = Counter(str(stored[name].dtype).lower() for name in names)
    tensors = {}
    for name in names:
        value = stored[name]
        if value.dtype == ms.bfloat16:  # which NumPy has not
            value = value.astype(ms.float32)
        tensors[name] = _as_float32(value.asnumpy())
    return Stored(path, tensors, list(_type_remarks(types)), facts)


def _read_safetensors(path: Path) -> Stored:
    try:
        entries = sorted(safetensors.deserialize(read_regular(path)), key=itemgetter(0))
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise UserError(
            f"{path}: is a damaged or truncated .safetensors file ({error}); fetch it again."
        ) from None
    tensors = {}
    for name, entry in entries:
        kind, data = entry["dtype"], bytes(entry["data"])
        if kind == "BF16":  # the upper half of a float32
            values = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
        elif kind in _NUMPY_TYPES:
            values = _as_float32(np.frombuffer(data, _NUMPY_TYPES[kind]))
        else:
            raise _unknown_type(path, name, kind)
        tensors[name] = values.reshape(entry["shape"])
    types = Counter(_OTHER_FLOATS.get(entry["dtype"], "") for _, entry in entries)
    remarks = list(_type_remarks(types))
    # PyTorch's save_model keeps one of several names of a tensor, and the others as metadata.
    for name, kept in metadata.items():
        if kept in tensors and name not in tensors:
            tensors[name] = tensors[kept]
            remarks.append(_tied_remark(name, kept))
    return Stored(path, tensors, remarks, metadata)


def _is_sound_archive(path: Path) -> bool:
    """Whether a zip archive of PyTorch, which packs nothing, has the bytes that it states."""
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
        return False
    is_plain = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    return is_plain and sum(entry.file_size for entry in entries) <= size


def _read_pytorch(path: Path, is_archive: bool) -> Stored:
    if is_archive and not _is_sound_archive(path):
        raise _damaged(path)
    try:
        with telling("loading PyTorch"):
            import torch
    except ImportError:
        program = _TO_SAFETENSORS.format(name=path.name, stem=path.stem)
        raise UserError(
            f"{path}: is a file of PyTorch, which is not installed here; pip install torch, or run "
            f'python -c "{program}" where it is and give the .safetensors file.'
        ) from None
    if tuple(map(int, re.findall(r"\d+", torch.__version__)[:2])) < _SAFE_PYTORCH:
        raise UserError(
            f"{path}: was not read, as a file can make PyTorch {torch.__version__} run code "
            "(CVE-2026-24747); pip install 'torch>=2.10'."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        called = re.search(r"GLOBAL ([\w.]+)", str(error))
        if not called:
            raise _damaged(path) from None
        raise _asks_for_a_call(path, called[1]) from None
    except Exception:  # of a damaged file PyTorch's readers raise whatever they stumble over
        raise _damaged(path) from None
    tensors = _state_dict(path, content, torch.Tensor)
    arrays, remarks, first = {}, [], {}
    for name, tensor in tensors.items():
        if tensor.is_quantized or tensor.is_complex():
            raise _unknown_type(path, name, tensor.dtype)
        tensor = tensor.detach()  # old files of torchvision hold parameters
        arrays[name] = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        place = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape)
        if tensor.numel() and place in first:
            remarks.append(_tied_remark(name, first[place]))
        first.setdefault(place, name)
    types = Counter(str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values())
    return Stored(path, arrays, [*_type_remarks(types), *remarks])


def _state_dict(path: Path, content: Any, tensor_type: type) -> dict[str, Any]:
    """The tensors by name in what PyTorch read: a state dict, or a training's file with one."""
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = {}
    if isinstance(content, dict):
        tensors = {n: value for n, value in content.items() if isinstance(value, tensor_type)}
    if not tensors:
        raise _no_tensors(path)
    return tensors


def _read_paddle(path: Path) -> Stored:
    try:
        saved = paddle_pickle.read(read_regular(path))
    except paddle_pickle.CallRefusedError as error:
        raise _asks_for_a_call(path, str(error)) from None
    except ValueError as error:
        raise UserError(
            f"{path}: is not a file of PaddlePaddle that can be read here ({error}); fetch it "
            "again, or save the state dict alone."
        ) from None
    if _OF_PADDLES_OPTIMIZER & set(saved.left_out):
        raise UserError(
            f"{path}: is the state of an optimizer; give the .pdparams file that was saved with it."
        )
    if not saved.tensors:
        raise _no_tensors(path)
    remarks = list(_type_remarks(Counter(saved.kinds)))
    remarks += [_tied_remark(name, first) for name, first in saved.tied.items()]
    if saved.left_out:
        count, first = len(saved.left_out), saved.left_out[0]
        remarks.append(f"What is no array ({first}; {count} in the file) is left out.")
    raw = path.with_suffix(".pdema")  # PaddleDetection saves the averages as .pdparams
    if path.suffix == ".pdparams" and raw.is_file():
        remarks.append(
            f"It holds averages over the training, as {raw.name} beside it shows, which has the "
            "weights themselves."
        )
    return Stored(path, saved.tensors, remarks)


def _as_float32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) if values.dtype.kind == "f" else values


def _type_remarks(types: Counter[str]) -> Iterator[str]:
    for kind in _OTHER_FLOATS.values():
        if types[kind]:
            yield f"Tensors of {kind} ({types[kind]} in the file) become float32."


def _tied_remark(name: str, other: str) -> str:
    return f"{name} and {other} are one tensor in the file; here each has its own copy of it."


def _unknown_type(path: Path, name: str, kind: object) -> UserError:
    return UserError(f"{path}: {name} is of type {kind}; save it as float32.")


def _asks_for_a_call(path: Path, name: str) -> UserError:
    return UserError(
        f"{path}: asks for {name} to be called, so it was not read; save its state dict alone, "
        "tensors by name, where you trust the file."
    )


def _no_tensors(path: Path) -> UserError:
    return UserError(f"{path}: holds no tensors by name; give a file with a state dict.")


def _damaged(path: Path) -> UserError:
    return UserError(f"{path}: is a damaged or truncated file of PyTorch; fetch it again.")
