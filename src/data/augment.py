# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Random geometry and colour of a training sample, as CenterNet draws them.

Everything random comes from the generator that is handed in.
"""

from dataclasses import dataclass

import numpy as np

from src.data import geometry
from src.model_utils.parameters import DatasetConfig

# Weights of B, G, R in the grey value (ITU-R BT.601, as OpenCV's BGR2GRAY).
_GREY = np.array([0.114, 0.587, 0.299])
_JITTER = 0.4  # brightness, contrast, saturation: factor 1 ± 0.4
_LIGHTING = 0.1  # standard deviation of the lighting coefficients
_CROP_BORDER = 128
_CROP_SCALES = np.arange(6, 14) / 10


@dataclass(frozen=True)
class GeometryAugmentation:
    """Parameters of `random_affine`; see default_config.yaml for their meaning."""

    rand_crop: bool
    shift: float
    scale: float
    aug_rot: float
    rotate: float
    flip_prop: float


@dataclass(frozen=True)
class ColourStatistics:
    """BGR mean and standard deviation of images scaled to 0..1, and their covariance's axes."""

    mean: np.ndarray
    std: np.ndarray
    eig_val: np.ndarray
    eig_vec: np.ndarray


def colour_statistics(config: DatasetConfig) -> ColourStatistics:
    """The colour statistics of the configuration as arrays."""
    return ColourStatistics(
        *(np.array(values) for values in (config.mean, config.std, config.eig_val, config.eig_vec))
    )


def random_affine(
    random: np.random.Generator,
    size: tuple[int, int],
    output_size: tuple[int, int],
    augmentation: GeometryAugmentation,
) -> np.ndarray:
    """Draws the affine (2,3) from an image of `size` (height, width) to the network input."""
    height, width = size
    longer = float(max(height, width))
    centre = np.array([width / 2, height / 2])
    degrees = 0.0
    if augmentation.rand_crop:
        longer *= random.choice(_CROP_SCALES)
        centre = np.array(
            [random.integers(border, side - border) for side, border in
             ((width, _border(width)), (height, _border(height)))],
            np.float64,
        )  # fmt: skip
    else:
        limit = 2 * augmentation.shift
        drift = np.clip(random.normal(0, augmentation.shift, 2), -limit, limit)
        growth = np.clip(
            random.normal(0, augmentation.scale), -augmentation.scale, augmentation.scale
        )
        centre = centre + longer * drift
        longer *= 1 + growth
    if random.random() < augmentation.aug_rot:
        limit = 2 * augmentation.rotate
        degrees = float(np.clip(random.normal(0, augmentation.rotate), -limit, limit))
    mirror = random.random() < augmentation.flip_prop
    if mirror:
        centre[0] = width - 1 - centre[0]
    affine = geometry.centred_affine(
        (centre[0], centre[1]), min(output_size) / longer, output_size, degrees
    )
    return geometry.mirrored(affine, width) if mirror else affine


def _border(side: int) -> int:
    """CenterNet's crop border: 128, halved until the middle is at least as wide."""
    border = _CROP_BORDER
    while side - border <= border:
        border //= 2
    return border


def normalisation(statistics: ColourStatistics) -> np.ndarray:
    """The (3,4) affine from BGR 0..255 to normalised values: (x / 255 - mean) / std."""
    return np.column_stack(
        [np.diag(1 / (255 * statistics.std)), -statistics.mean / statistics.std]
    ).astype(np.float32)


def normalise(image: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Applies a colour affine (3,4) on the host: uint8 (3,H,W) BGR to float32 (3,H,W).

    The same as `ApplyColour` in the graph.
    """
    flat = image.reshape(3, -1).astype(np.float32)
    return (colour[:, :3] @ flat + colour[:, 3:]).reshape(image.shape)


def random_colour(
    random: np.random.Generator, channel_means: np.ndarray, statistics: ColourStatistics
) -> np.ndarray:
    """Draws colour jitter, composed with the normalisation into one affine.

    CenterNet's brightness, contrast and saturation in random order, then AlexNet's lighting. None
    of them clips, so each is affine in the three channels; contrast needs the image's mean grey.

    Args:
        random: the generator to draw from.
        channel_means: (3,) BGR means of the warped image, 0..255.
        statistics: colour statistics of the data set.

    Returns:
        float32 (3,4): normalised = colour[:, :3] @ bgr + colour[:, 3] with bgr in 0..255.
    """
    grey = np.append(_GREY, 0.0)
    mean_grey = float(_GREY @ channel_means) / 255
    colour = np.eye(3, 4)
    for jitter in random.permutation(3):
        factor = 1 + random.uniform(-_JITTER, _JITTER)
        colour = factor * colour
        if jitter == 1:  # contrast
            colour[:, 3] += (1 - factor) * mean_grey
        elif jitter == 2:  # saturation
            colour += (1 - factor) * grey
    coefficients = random.normal(0, _LIGHTING, 3)
    colour[:, 3] += statistics.eig_vec @ (statistics.eig_val * coefficients)
    colour[:, 3] -= statistics.mean
    colour /= statistics.std[:, None]
    colour[:, :3] /= 255
    return colour.astype(np.float32)
