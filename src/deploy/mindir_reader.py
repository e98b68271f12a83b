# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Running an exported model in MindSpore."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError
from mindspore import Tensor, nn
from mindspore.train.mind_ir_pb2 import ModelProto, TensorProto

from src.data.augment import normalise
from src.deploy import mindir_v1
from src.model_utils.errors import UserError

_REMEDY = "give a file that export.py wrote with the same configuration"


def load_mindir(
    path: Path, image_size: tuple[int, int], colour: np.ndarray
) -> tuple[Callable[[Tensor], Tensor], int]:
    """The model of a file that export.py wrote, of either version and either type of input.

    Args:
        path: the MINDIR.
        image_size: (H, W) that its input has to have.
        colour: float32 (3,4), the normalisation of a model that takes normalised images.

    Returns:
        A function of uint8 images (B,3,H,W), BGR, that gives detections float32 (B,K,6), and B.

    Raises:
        UserError: the file cannot be read, is no such model, or takes images of another size.
    """
    content = ModelProto()
    try:
        content.ParseFromString(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}.") from None
    except DecodeError:
        raise UserError(f"{path}: is not a MINDIR; {_REMEDY}.") from None
    tensors = [value.tensor[0] for value in content.graph.input if value.tensor]
    types = {TensorProto.FLOAT: "float32", TensorProto.UINT8: "uint8"}
    if len(tensors) != 1 or tensors[0].data_type not in types:
        raise UserError(f"{path}: is not a model of one float32 or uint8 input; {_REMEDY}.")
    shape = tuple(tensors[0].dims)
    expected = (*shape[:1], 3, *image_size)
    if shape != expected:
        raise UserError(
            f"{path}: takes images {shape}, but dataset_config.input_res_test makes them "
            f"{expected}; give the input_res_test that export.py had."
        )
    try:
        model = nn.GraphCell(mindir_v1.load(path))
    except RuntimeError:
        raise UserError(f"{path}: this MindSpore does not load it; {_REMEDY}.") from None
    if types[tensors[0].data_type] == "uint8":
        return model, shape[0]

    def run_normalised(images: Tensor) -> Tensor:
        return model(Tensor(np.stack([normalise(image, colour) for image in images.asnumpy()])))

    return run_normalised, shape[0]
