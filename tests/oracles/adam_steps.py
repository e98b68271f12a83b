# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Twenty steps of Adam on ResNet-18-DCN in PyTorch, written to adam_steps.npz.

    python -m tests.oracles.adam_steps

from the repository's root; needs PyTorch. The network, its parameters and the data are seeded.
BatchNorm has fixed statistics in the twenty steps; `batch_gradient` are gradients of one batch by
its own statistics. Computed in float64. Of gradients and weights the file holds the norm, the
largest magnitude and at most 200 values, see `sample` in seeded.py.
"""

import numpy as np
import torch
from torch import Tensor

from tests.oracles.losses import focal_loss, regression_loss
from tests.oracles.resnet18_forward import CenterNet, seeded_network
from tests.oracles.seeded import (
    ADAM_BATCH,
    ADAM_CLASSES,
    ADAM_EPS,
    ADAM_RATE,
    ADAM_SIZE,
    ADAM_STEPS,
    ADAM_TRAINING_BATCH,
    PIXEL_SCALE,
    sample,
    seeded_batch,
    with_calm_offsets,
)
from tests.oracles.writing import write_arrays
from tests.reference import draw_targets


def losses(network: CenterNet, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Total (weights 1, 0.1 and 1), hm, wh and reg of a step's batch; N counts its objects."""
    images, objects = seeded_batch(step, ADAM_BATCH, ADAM_SIZE, ADAM_CLASSES)
    side = ADAM_SIZE // 4
    targets = [draw_targets(rows, ADAM_CLASSES, side, side) for rows in objects]
    index = [[b, y, x] for b, t in enumerate(targets) for x, y in t.centre.tolist()]
    x = torch.from_numpy(images).double().permute(0, 3, 1, 2) * PIXEL_SCALE - 1
    outputs = network(x)
    hm = focal_loss(outputs["hm"], torch.from_numpy(np.stack([t.hm for t in targets])))
    wh, reg = (
        regression_loss(
            outputs[name],
            torch.tensor(index),
            torch.from_numpy(np.concatenate([getattr(t, name) for t in targets])),
        )
        for name in ("wh", "reg")
    )
    return hm + 0.1 * wh + reg, hm, wh, reg


def described(kind: str, values: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Norm, largest magnitude and sample of each tensor."""
    arrays = {}
    for name, value in values.items():
        value = value.detach().numpy()
        arrays[f"{kind}_extent/{name}"] = np.array([np.linalg.norm(value), np.abs(value).max()])
        arrays[f"{kind}/{name}"] = sample(value)
    return arrays


def calm_network() -> CenterNet:
    """ResNet-18-DCN, seeded; see `with_calm_offsets`."""
    network = seeded_network(18, True)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            values = with_calm_offsets(name, parameter.numpy())
            parameter.copy_(torch.from_numpy(values))
    return network


def make_arrays() -> dict[str, np.ndarray]:
    """All arrays of the file."""
    network = calm_network().train()
    parts = losses(network, ADAM_TRAINING_BATCH)
    parts[0].backward()
    gradients = {name: p.grad for name, p in network.named_parameters()}
    arrays = described("batch_gradient", gradients)
    arrays["batch_losses"] = np.array([part.item() for part in parts])

    network = calm_network().eval()
    start = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = torch.optim.Adam(network.parameters(), lr=ADAM_RATE, betas=(0.9, 0.999))
    found = []
    for step in range(1, ADAM_STEPS + 1):
        parts = losses(network, step)
        found.append([part.item() for part in parts])
        optimizer.zero_grad()
        parts[0].backward()
        if step == 1:
            arrays |= described("gradient", {n: p.grad for n, p in network.named_parameters()})
        # MindSpore's Adam has the paper's "efficient order" (section 2): epsilon is added to √v,
        # before the bias is taken out of v, not after it as in PyTorch.
        optimizer.param_groups[0]["eps"] = ADAM_EPS / np.sqrt(1 - 0.999**step)
        optimizer.step()
    moved = {name: p - start[name] for name, p in network.named_parameters()}
    return arrays | described("moved", moved) | {"losses": np.array(found)}


if __name__ == "__main__":
    write_arrays(
        __file__,
        lambda: {name: value.astype(np.float32) for name, value in make_arrays().items()},
    )
