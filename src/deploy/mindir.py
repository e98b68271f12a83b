# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Writing a model as MINDIR."""

import math
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from src.deploy import mindir_v1
from src.model_utils.files import whole_file
from src.model_utils.progress import telling
from src.models.network import check_finite

_TIED_SCORES = 1e-4


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
    random = np.random.default_rng(0)
    values = random.integers(0, 256, image_shape).astype(np.uint8)
    image = Tensor(values if dtype == "uint8" else ((values / 127.5) - 1).astype(np.float32))
    model.set_train(False)
    with telling("compiling the network") as teller, whole_file(path) as partial:
        expected = model(image).asnumpy()
        check_finite([expected])
        teller.now("exporting the network")
        exported = partial.with_name("exported.mindir")
        ms.export(model, image, file_name=str(exported), file_format="MINDIR")
        if version == 1:
            mindir_v1.write_version_1(exported, partial)
        else:
            exported.replace(partial)
        teller.now("compiling the exported network, to compare both")
        found = nn.GraphCell(mindir_v1.load(partial))(image).asnumpy()
        difference = largest_difference(found, expected)
        if difference > tolerance:
            raise RuntimeError(
                f"{path}: the exported model's boxes differ from the network's by {difference}"
            )
    return difference


def largest_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference between two sets of detections (B,K,6+3J), order of equal scores aside.

    In output-grid pixels; differences of scores count a hundredfold, of classes as they are. Rows
    that tie with the last one kept are compared by score alone: which of them are kept is open.
    """
    if not (np.isfinite(found).all() and np.isfinite(expected).all()):
        return math.inf
    weights = np.ones(expected.shape[2])
    weights[4] = 100  # and a point's score as it is
    largest = float(np.abs(found[:, :, 4] - expected[:, :, 4]).max() * weights[4])
    for ours, theirs in zip(found, expected, strict=True):
        # Rows of equal score come in any order: each is compared with the nearest one.
        distance = (np.abs(ours[:, None] - theirs[None]) * weights).max(axis=2)
        last = max(ours[-1, 4], theirs[-1, 4]) + _TIED_SCORES
        for nearest, scores in (
            (distance.min(axis=1), ours[:, 4]),
            (distance.min(axis=0), theirs[:, 4]),
        ):
            largest = max(largest, float(nearest[scores > last].max(initial=0.0)))
    return largest
