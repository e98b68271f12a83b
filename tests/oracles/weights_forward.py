# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Heads of whole CenterNets on a 512×512 image, written to weights_forward.npz.

    python -m tests.oracles.weights_forward

from the repository's root; needs PyTorch. The file also holds names and shapes of the networks'
state dicts, from which the tests make files of weights without PyTorch. Computed in float64 from
the float32 parameters of seeded.py; of each head the file holds what `sample` gives.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.oracles.resnet18_forward import CenterNet
from tests.oracles.seeded import sample, seeded_image, weights_array
from tests.oracles.writing import write_arrays

HEADS = {"hm": 80, "wh": 2, "reg": 2}
SAMPLES = 3000


class ModelZooCenterNet(CenterNet):
    """Its max-pooling pads as MindSpore's mode "same" does: of even sides only the end."""

    def pool(self, x: Tensor) -> Tensor:
        bottom, right = ((side + 1) % 2 for side in x.shape[2:])
        x = F.pad(x, (1 - right, 1, 1 - bottom, 1), value=-torch.inf)
        return F.max_pool2d(x, 3, 2)


# Name in the file: class, depth, deformable.
NETWORKS = {
    "resnet18_dcn": (CenterNet, 18, True),
    "resnet101_dcn": (CenterNet, 101, True),
    "resnet101_modelzoo": (ModelZooCenterNet, 101, False),
}


def weights_network(name: str) -> CenterNet:
    """A network of `NETWORKS` with its seeded parameters, in eval mode."""
    kind, depth, deformable = NETWORKS[name]
    network = kind(depth, deformable, HEADS)
    state = {
        key: torch.from_numpy(weights_array(key, value.shape, depth))
        for key, value in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    network.load_state_dict(state, strict=False)
    return network.eval()


def weights_heads(network: CenterNet) -> dict[str, np.ndarray]:
    """hm, wh and reg of the image, in float64."""
    image = torch.from_numpy(seeded_image((1, 3, 512, 512), "weights")).double()
    with torch.no_grad():
        outputs = network.double()(image)
    return {head: outputs[head].numpy() for head in HEADS}


def make_arrays() -> dict[str, np.ndarray]:
    """All arrays of the file."""
    arrays = {}
    for name in NETWORKS:
        network = weights_network(name)
        state = network.state_dict()
        arrays[f"{name}_names"] = np.array(list(state))
        shapes = [(*value.shape, *[0] * (4 - value.ndim)) for value in state.values()]
        arrays[f"{name}_shapes"] = np.array(shapes, np.int32)
        for head, values in weights_heads(network).items():
            arrays[f"{name}_{head}"] = sample(values, SAMPLES).astype(np.float32)
    return arrays


if __name__ == "__main__":
    write_arrays(__file__, make_arrays)
