# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Network parameters and inputs that two frameworks can make alike, from names alone."""

import zlib
from collections.abc import Sequence

import numpy as np

# Inside residual blocks, so that activations stay of order 1 through the depth of a ResNet-50.
RESIDUAL_GAIN = 0.6
# In deformable layers, whose mask halves what it lets through.
DEFORMABLE_GAIN = 2.5
# So that the learned offsets of the three deformable layers spread by 1 to 2 pixels.
OFFSET_GAIN = 1.5


def seeded_rng(name: str) -> np.random.Generator:
    """A generator seeded with the CRC-32 of ``name``."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def seeded_array(name: str, shape: Sequence[int]) -> np.ndarray:
    """Values of the parameter called ``name`` (PyTorch CenterNet's names), float32 of ``shape``.

    Four-dimensional weights: normal times sqrt(2/fan_in), fan_in the product of shape[1:]; for the
    4x4 transposed convolutions of stride 2, of shape (in, out, 4, 4), it is 4 in, the taps that
    meet in one output pixel. One-dimensional weights, which are batch-norm's, and running_var:
    uniform in 0.5..1.5. Biases and running_mean: normal times 0.1, the heat map's last bias about
    -2.19.
    """
    rng = seeded_rng(name)
    shape = tuple(int(side) for side in shape)
    if name.endswith("running_var"):
        values = rng.uniform(0.5, 1.5, shape)
    elif name.endswith(("running_mean", ".bias")):
        values = rng.normal(0.0, 0.1, shape)
        if name == "hm.2.bias":
            values -= 2.19
    elif name.endswith(".weight") and len(shape) == 1:
        values = rng.uniform(0.5, 1.5, shape)
    elif name.endswith(".weight") and len(shape) == 4:
        fan_in = 4 * shape[0] if shape[2:] == (4, 4) else np.prod(shape[1:])
        values = rng.normal(0.0, 1.0, shape) * np.sqrt(2.0 / fan_in)
        if name.startswith("layer"):
            values *= RESIDUAL_GAIN
        elif "conv_offset_mask" in name:
            values *= OFFSET_GAIN
        elif name.startswith("deconv_layers") and shape[2:] == (3, 3):
            values *= DEFORMABLE_GAIN
    else:
        raise ValueError(f"no rule for a parameter called {name!r} of shape {shape}")
    return values.astype(np.float32)


def seeded_image(shape: Sequence[int] = (1, 3, 64, 96), name: str = "image") -> np.ndarray:
    """A normalised input image, float32 NCHW: standard normal values."""
    return seeded_rng(name).normal(0.0, 1.0, tuple(shape)).astype(np.float32)
