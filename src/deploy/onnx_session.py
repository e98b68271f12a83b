# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Running an exported ONNX file in ONNX Runtime. No MindSpore here.

The packages onnx and onnxruntime are optional: they are imported inside the functions.
"""

import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from src.data.augment import normalise
from src.model_utils.errors import UserError
from src.model_utils.files import read_regular
from src.model_utils.messages import say
from src.model_utils.progress import telling
from src.tasks.columns import POINTS_OF_DETECTION

if TYPE_CHECKING:
    from google.protobuf.message import Message

FACTS_KEY = "centernet"  # of metadata_props: the text of NAME.json, its digest apart
# What ONNX Runtime computes on, by --device_target; the first that is there is taken.
PROVIDERS = {
    "Ascend": "CANNExecutionProvider",
    "GPU": "CUDAExecutionProvider",
    "CPU": "CPUExecutionProvider",
}
_MOST_DIMS = 8  # in messages
_LARGEST_BATCH = 4096
_REMEDY = "give a file that export.py wrote"


@dataclass(frozen=True)
class OnnxFile:
    """A detector's ONNX file, checked.

    shape: (B,3,H,W) of its input. dtype: of that, uint8 or float32.
    detections: (B,K,6+3J) of its output. facts: what it says of itself, as text; empty if nothing.
    """

    path: Path
    content: bytes
    shape: tuple[int, ...]
    dtype: str
    detections: tuple[int, ...]
    facts: str


@dataclass(frozen=True)
class Session:
    """A file's model in ONNX Runtime: images as the file takes them to its detections.

    path, detections: the file's, see there. runtime: ONNX Runtime's session. provider: what that
    computes on, of `PROVIDERS`.
    """

    path: Path
    detections: tuple[int, ...]
    runtime: Any
    provider: str

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Raises UserError if the file's graph turns out not to compute what it says."""
        name = self.runtime.get_inputs()[0].name
        try:
            (found,) = self.runtime.run(None, {name: images})
        except Exception as error:
            raise _unusable(self.path, error) from None
        if not isinstance(found, np.ndarray) or found.shape != self.detections:
            raise UserError(f"{self.path}: gives other detections than it says; {_REMEDY}.")
        return found


def read_onnx(path: Path) -> OnnxFile:
    """Reads a file that export.py wrote, and checks what ONNX Runtime trusts.

    Raises:
        UserError: it cannot be read, is damaged or no such model, needs other files, or a weight is
            not finite; or the package onnx is not here.
    """
    onnx = _import("onnx")
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        content = read_regular(path)
        with telling(f"reading {path}"):
            model.ParseFromString(content)
            _check(path, model)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}.") from None
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise UserError(f"{path}: is not an ONNX file; {_REMEDY}.") from None
    given = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in given]
    try:
        (dtype, shape), (kind, detections) = map(_tensor_type, (*inputs, *model.graph.output))
        batch, channels, _, _ = shape
        found_batch, _, _ = detections
        is_detector = (channels, kind, found_batch) == (3, "float32", batch)
    except ValueError:
        is_detector = False
    if not is_detector or not 1 <= batch <= _LARGEST_BATCH or min(shape + detections) < 1:
        raise UserError(
            f"{path}: is not a model of images (B,3,H,W), uint8 or float32, to detections "
            f"(B,K,{POINTS_OF_DETECTION}+3J); {_REMEDY}."
        )
    facts = {entry.key: entry.value for entry in model.metadata_props}.get(FACTS_KEY, "")
    return OnnxFile(path, content, shape=shape, dtype=dtype, detections=detections, facts=facts)


def load_onnx(
    file: OnnxFile,
    image_size: tuple[int, int],
    colour: np.ndarray,
    points: int = 0,
    target: str = "auto",
    device_id: int = 0,
) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """The model of a file, of either type of input, in ONNX Runtime; a line says on what.

    Args:
        file: as `read_onnx` gives it.
        image_size: (H, W) that its input has to have.
        colour: float32 (3,4), the normalisation of a model that takes normalised images.
        points: J, of an object.
        target, device_id: see `start`.

    Returns:
        A function of uint8 images (B,3,H,W), BGR, that gives detections float32 (B,K,6+3J), and B.

    Raises:
        UserError: it takes images of another size or gives other detections; or as `start`.
    """
    expected = (file.shape[0], 3, *image_size)
    if file.shape != expected:
        raise UserError(
            f"{file.path}: takes images {file.shape}, but dataset_config.input_res_test makes them "
            f"{expected}; give the input_res_test that export.py had."
        )
    length = POINTS_OF_DETECTION + 3 * points
    if file.detections[2] != length:
        raise UserError(
            f"{file.path}: gives detections {file.detections}, but the task's have {length} "
            "numbers; give the task that export.py had."
        )
    run = start(file, target, device_id)
    device = next(name for name, provider in PROVIDERS.items() if provider == run.provider)
    chooses = "; --device_target chooses another" if target == "auto" else ""
    say(f"device: {device} (ONNX Runtime's {run.provider}{chooses})")
    if file.dtype == "uint8":
        return run, file.shape[0]
    return lambda images: run(np.stack([normalise(i, colour) for i in images])), file.shape[0]


def start(file: OnnxFile, target: str = "auto", device_id: int = 0) -> Session:
    """Loads the model of a file into ONNX Runtime.

    Args:
        file: as `read_onnx` gives it.
        target: device_target; auto takes the first of `PROVIDERS` that is there.
        device_id: of an Ascend or a GPU.

    Raises:
        UserError: ONNX Runtime is not here, has no such device, or does not run the file.
    """
    runtime = _import("onnxruntime")
    there = runtime.get_available_providers()
    usable = [p for name, p in PROVIDERS.items() if p in there and target in ("auto", name)]
    if not usable:
        raise UserError(
            f"device_target {target}: this ONNX Runtime has no {PROVIDERS[target]}; use "
            "--device_target CPU or install the onnxruntime package for that device."
        )
    options = {  # CANN would write the model that it compiles into the current folder
        PROVIDERS["Ascend"]: {"device_id": device_id, "dump_om_model": 0},
        PROVIDERS["GPU"]: {"device_id": device_id},
    }
    runtime.set_default_logger_severity(4)  # what matters comes as an exception
    try:
        with telling(f"loading {file.path}"):
            session = runtime.InferenceSession(
                file.content,
                _options(runtime),
                providers=[(provider, options.get(provider, {})) for provider in usable],
                enable_fallback=0,
                read_config_from_model=0,
            )
    except Exception as error:  # of ten classes that share no other one
        is_elsewhere = usable[0] != PROVIDERS["CPU"]
        remedy = "try --device_target CPU" if is_elsewhere else _REMEDY
        raise _unusable(file.path, error, remedy) from None
    used = session.get_providers()[0]
    if target != "auto" and used != PROVIDERS[target]:
        raise UserError(
            f"device_target {target}: {PROVIDERS[target]} of ONNX Runtime does not start here; use "
            "--device_target CPU or see to the driver and libraries of that device."
        )
    return Session(file.path, file.detections, session, used)


def _options(runtime: ModuleType) -> Any:
    """ONNX Runtime's options: the cores that the process has, or so many as OMP_NUM_THREADS says.

    Left alone it takes all of the machine. Its threads must not spin while they wait: images are
    read and boxes made meanwhile, and on two cores an evaluation took 1.6 times the processor time.
    """
    options = runtime.SessionOptions()
    threads = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0))
    options.intra_op_num_threads = int(threads) if threads.isdecimal() else cores
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return options


def _import(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError:
        raise UserError(
            f"the package {package} is not here; pip install -r requirements/onnx.txt."
        ) from None


def _unusable(path: Path, error: Exception, remedy: str = _REMEDY) -> UserError:
    reason = " ".join(str(error).split())[:300]
    return UserError(f"{path}: ONNX Runtime does not run it ({reason}); {remedy}.")


def _tensor_type(value: "Message") -> tuple[str, tuple[int, ...]]:
    """Type and shape of an input or output; raises ValueError if it has none that is known here."""
    from onnx import TensorProto

    kinds = {TensorProto.FLOAT: "float32", TensorProto.UINT8: "uint8"}
    tensor = value.type.tensor_type
    dims = tensor.shape.dim
    if tensor.elem_type not in kinds or not all(dim.HasField("dim_value") for dim in dims):
        raise ValueError(value.name)
    return kinds[tensor.elem_type], tuple(dim.dim_value for dim in dims)


def _check(path: Path, model: "Message") -> None:
    """Raises UserError if a model needs more than its file, or a tensor of it is damaged."""
    from onnx import NodeProto, TensorProto, numpy_helper

    for message in _messages(model):
        if isinstance(message, NodeProto) and message.domain not in ("", "ai.onnx"):
            raise UserError(
                f"{path}: has the operator {message.op_type} of {message.domain}, which ONNX does "
                f"not define; {_REMEDY}."
            )
        if not isinstance(message, TensorProto):
            continue
        name, shape = message.name or "a constant", list(message.dims)
        if message.external_data or message.data_location == TensorProto.EXTERNAL:
            raise UserError(f"{path}: {name} is in another file; {_REMEDY}.")
        try:
            values = numpy_helper.to_array(message)
        except Exception:
            raise UserError(
                f"{path}: {name} of shape {shape[:_MOST_DIMS]} has not the bytes of that: the file "
                f"is damaged; {_REMEDY}."
            ) from None
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise UserError(
                f"{path}: {name} is not finite: the model is damaged or of a training that "
                f"diverged; {_REMEDY}."
            )


def _messages(message: "Message") -> Iterator["Message"]:
    """A protobuf message and all that are in it."""
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inner in value if field.is_repeated else [value]:
                yield from _messages(inner)
