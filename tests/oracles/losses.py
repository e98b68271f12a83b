# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""PyTorch's values and gradients of CenterNet's losses on small inputs, written to losses.npz.

    python -m tests.oracles.losses

from the repository's root; needs PyTorch. Inputs are stored with the results, so that nothing has
to be drawn again. Computed in float64 from float32 inputs, stored as float32.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.oracles.seeded import seeded_rng
from tests.oracles.writing import write_arrays


def focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Paper equation 1 with alpha 2, beta 4; (B,C,h,w). The clip passes no gradient outside."""
    p = torch.sigmoid(logits).clamp(1e-4, 1 - 1e-4)
    positive = target == 1
    gain = torch.where(positive, (1 - p) ** 2 * p.log(), (1 - target) ** 4 * p**2 * torch.log1p(-p))
    return -gain.sum() / positive.sum().clamp(min=1)


def regression_loss(
    prediction: Tensor,
    index: Tensor,
    target: Tensor,
    kind: str = "l1",
    per: str = "object",
) -> Tensor:
    """prediction (B,2,h,w) at the rows (b, y, x) of ``index`` (n,3) against ``target`` (n,2)."""
    picked = prediction[index[:, 0], :, index[:, 1], index[:, 2]]
    loss = {"l1": F.l1_loss, "sl1": F.smooth_l1_loss}[kind]
    count = len(target) * {"object": 1, "coordinate": 2}[per]
    return loss(picked, target, reduction="sum") / (count + 1e-4)


def _peak_map(shape: Sequence[int], centres: Sequence[Sequence[int]]) -> np.ndarray:
    """Heat map with a Gaussian of sigma 1 around each (b, c, y, x)."""
    target = np.zeros(shape)
    rows, columns = np.mgrid[: shape[2], : shape[3]]
    for b, c, y, x in centres:
        peak = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 2)
        target[b, c] = np.maximum(target[b, c], peak)
    return target


def focal_cases() -> dict[str, np.ndarray]:
    """Three cases: usual; no object in the batch; logits beyond the clip, both ways."""
    shape = (2, 3, 6, 8)
    rng = seeded_rng("focal")
    logits = rng.normal(-2.0, 1.5, shape)
    centres = ((0, 0, 2, 3), (0, 0, 3, 5), (0, 2, 0, 0), (1, 1, 5, 7))
    saturated = logits.copy()
    saturated[0, 0, 2, 3] = -15.0
    saturated[1, 1, 5, 7] = 15.0
    saturated[0, 1, :2] = 14.0
    saturated[1, 0, :2] = -14.0
    cases = {
        "usual": (logits, _peak_map(shape, centres)),
        "empty": (logits, np.zeros(shape)),
        "saturated": (saturated, _peak_map(shape, centres)),
    }
    arrays = {}
    for name, (values, target) in cases.items():
        values, target = values.astype(np.float32), target.astype(np.float32)
        variable = torch.from_numpy(values).double().requires_grad_()
        loss = focal_loss(variable, torch.from_numpy(target).double())
        loss.backward()
        arrays |= {
            f"focal_{name}_logits": values,
            f"focal_{name}_target": target,
            f"focal_{name}_loss": loss.detach().numpy(),
            f"focal_{name}_gradient": variable.grad.numpy(),
        }
    return arrays


def regression_cases() -> dict[str, np.ndarray]:
    """L1 and smooth L1, per object and per coordinate, with two objects in one cell; and none."""
    rng = seeded_rng("regression")
    prediction = rng.normal(0.0, 2.0, (2, 2, 6, 8)).astype(np.float32)
    index = np.array([[0, 2, 3], [0, 2, 3], [0, 5, 0], [1, 0, 7], [1, 4, 4]])
    target = rng.normal(0.0, 2.0, (len(index), 2)).astype(np.float32)
    arrays = {
        "regression_prediction": prediction,
        "regression_index": index,
        "regression_target": target,
    }
    for count, suffix in ((len(index), ""), (0, "_empty")):
        for kind in ("l1", "sl1"):
            for per in ("object", "coordinate"):
                variable = torch.from_numpy(prediction).double().requires_grad_()
                loss = regression_loss(
                    variable,
                    torch.from_numpy(index[:count]),
                    torch.from_numpy(target[:count]).double(),
                    kind,
                    per,
                )
                loss.backward()
                name = f"{kind}_{per}{suffix}"
                arrays[f"{name}_loss"] = loss.detach().numpy()
                arrays[f"{name}_gradient"] = variable.grad.numpy()
    return arrays


def make_arrays() -> dict[str, np.ndarray]:
    """All arrays of the file."""
    return {
        name: value if value.dtype == np.int64 else value.astype(np.float32)
        for name, value in (focal_cases() | regression_cases()).items()
    }


if __name__ == "__main__":
    write_arrays(__file__, make_arrays)
