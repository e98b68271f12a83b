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
# In weights_forward.py, by depth: at 512×512 the offsets then spread by 0.7 to 1.5 pixels, and
# PyTorch's float32 is within 5e-4 of its float64. With `OFFSET_GAIN` alone it is not within 1e-2.
WEIGHTS_OFFSET_GAIN = {18: 0.2, 101: 0.1}
# The training of adam_steps.py: pixels 0..255 become value · PIXEL_SCALE - 1.
ADAM_STEPS, ADAM_BATCH, ADAM_SIZE, ADAM_CLASSES = 20, 4, 64, 20
ADAM_RATE, ADAM_EPS, PIXEL_SCALE = 3e-5, 1e-7, 1 / 128
ADAM_TRAINING_BATCH = 3


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


def weights_array(name: str, shape: Sequence[int], depth: int) -> np.ndarray:
    """`seeded_array` for the networks of weights_forward.py."""
    values = seeded_array(name, shape)
    return values * np.float32(WEIGHTS_OFFSET_GAIN[depth]) if "conv_offset" in name else values


def seeded_image(shape: Sequence[int] = (1, 3, 64, 96), name: str = "image") -> np.ndarray:
    """A normalised input image, float32 NCHW: standard normal values."""
    return seeded_rng(name).normal(0.0, 1.0, tuple(shape)).astype(np.float32)


def seeded_batch(
    step: int, batch: int, size: int, classes: int
) -> tuple[np.ndarray, list[list[tuple[float, ...]]]]:
    """Images and objects of a training step.

    Images uint8 (batch,size,size,3); of each image three objects (class, cx, cy, w, h), in pixels
    of the output grid, a quarter of the size, in different thirds of its rows.
    """
    rng = seeded_rng(f"batch {step}")
    images = rng.integers(0, 256, (batch, size, size, 3), np.uint8)
    third = size // 12
    objects = [
        [
            (
                float(rng.integers(classes)),
                # Dyadic, so that float32 holds them exactly.
                rng.integers(0, size // 4 * 16) / 16,
                third * row + rng.integers(0, third * 16) / 16,
                *(rng.integers(8, 128, 2) / 16).tolist(),
            )
            for row in range(3)
        ]
        for _ in range(batch)
    ]
    return images, objects


def sample(values: np.ndarray, count: int = 200) -> np.ndarray:
    """At most ``count`` values, evenly spread over the flattened array."""
    flat = values.reshape(-1)
    return flat[np.linspace(0, len(flat) - 1, min(count, len(flat))).astype(int)]


def with_calm_offsets(name: str, values: np.ndarray) -> np.ndarray:
    """A parameter of `seeded_array` with the offsets of deformable layers close to half a pixel.

    Bilinear sampling has a kink at whole pixels: there a rounding error changes a gradient by
    percents, in PyTorch's float32 against its float64 as well. Half a pixel is far from it.
    """
    if "conv_offset" not in name:
        return values
    values = values.copy()
    if values.ndim == 1:
        values[:18] += 0.5
    else:
        values[:18] *= 0.05
    return values
