# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Maps of torchvision's MobileNetV2, written to mobilenet_v2_forward.npz.

    python -m tests.oracles.mobilenet_v2_forward

from the repository's root; needs PyTorch and torchvision. The file also holds names and shapes of
its state dict, from which the tests make a file of weights without them. Computed in float64 from
the float32 parameters of seeded.py; of each map the file holds what `sample` gives.
"""

import numpy as np
import torch
from torchvision.models import mobilenet_v2

from tests.oracles.seeded import sample, seeded_array, seeded_image
from tests.oracles.writing import write_arrays

SAMPLES = 1000
# The last layer of each row of the paper's table 2, and the 1x1 convolution.
ENDS = (1, 3, 6, 10, 13, 16, 17, 18)


def make_arrays() -> dict[str, np.ndarray]:
    """All arrays of the file."""
    network = mobilenet_v2()
    arrays = {"parameters": np.array(sum(p.numel() for p in network.features.parameters()))}
    state = network.state_dict()
    arrays["mobilenet_v2_names"] = np.array(list(state))
    shapes = [(*value.shape, *[0] * (4 - value.ndim)) for value in state.values()]
    arrays["mobilenet_v2_shapes"] = np.array(shapes, np.int32)
    seeded = {
        name: torch.from_numpy(seeded_array(name, value.shape))
        for name, value in state.items()
        if name.startswith("features.") and not name.endswith("num_batches_tracked")
    }
    network.load_state_dict(seeded, strict=False)
    x = torch.from_numpy(seeded_image()).double()
    with torch.no_grad():
        for place, layer in enumerate(network.double().eval().features):
            x = layer(x)
            if place in ENDS:
                arrays[f"map{ENDS.index(place)}"] = sample(x.numpy(), SAMPLES).astype(np.float32)
    return arrays


if __name__ == "__main__":
    write_arrays(__file__, make_arrays)
