# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Writing a model as MINDIR."""

from pathlib import Path

import mindspore as ms
from mindspore import Tensor, nn

from src.deploy import mindir_v1
from src.deploy.comparison import checked, detections, random_images
from src.model_utils.files import whole_file
from src.model_utils.progress import telling


def write_mindir(
    model: nn.Cell,
    image_shape: tuple[int, int, int, int],
    dtype: str,
    path: Path,
    version: int,
    tolerance: float,
) -> float:
    """Exports `model`, loads the file back and writes it to `path` if both give the same boxes.

    Args:
        model: images to detections (B,K,6+3J).
        image_shape: (B,3,H,W).
        dtype: "uint8" or "float32".
        path: file to write, ending in .mindir.
        version: 0 for what this MindSpore writes, 1 for the old format (see `mindir_v1`).
        tolerance: in output-grid pixels; scores are held to a hundredth of it.

    Returns:
        The largest difference found, see `largest_difference`.

    Raises:
        UserError: the model's boxes are not finite.
        RuntimeError: the file gives other boxes than the model.
        mindir_v1.UnsupportedGraphError: an operator of the model has no known version-1 form.
    """
    images = random_images(image_shape, dtype)
    with telling("compiling the network") as teller, whole_file(path) as partial:
        expected = detections(model, images)
        teller.now("exporting the network")
        exported = partial.with_name("exported.mindir")
        ms.export(model, Tensor(images), file_name=str(exported), file_format="MINDIR")
        if version == 1:
            mindir_v1.write_version_1(exported, partial)
        else:
            exported.replace(partial)
        teller.now("compiling the exported network, to compare both")
        found = nn.GraphCell(mindir_v1.load(partial))(Tensor(images)).asnumpy()
        return checked(path, found, expected, tolerance)
