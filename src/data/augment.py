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
_CONTRAST, _SATURATION = 1, 2  # brightness is 0
_JITTER = 0.4  # brightness, contrast, saturation: factor 1 ± 0.4
_LIGHTING = 0.1  # standard deviation of the lighting coefficients
_CROP_BORDER = 128
_CROP_SCALES = np.arange(6, 14) / 10


@dataclass(frozen=True)
class ColourStatistics:
    """What is known of the colours of images scaled to 0..1.

    mean, std: of B, G and R; eig_val, eig_vec: the axes of their covariance.
    is_rgb: whether the network takes the colours in the order R, G, B.
    """

    mean: np.ndarray
    std: np.ndarray
    eig_val: np.ndarray
    eig_vec: np.ndarray
    is_rgb: bool = False


def colour_statistics(config: DatasetConfig) -> ColourStatistics:
    """The colour statistics of the configuration as arrays."""
    is_rgb = config.channel_order == "RGB"
    to_bgr = slice(None, None, -1 if is_rgb else 1)
    mean, std, eig_val, eig_vec = (
        np.array(values) for values in (config.mean, config.std, config.eig_val, config.eig_vec)
    )
    return ColourStatistics(mean[to_bgr], std[to_bgr], eig_val, eig_vec, is_rgb)


def random_affines(
    random: np.random.Generator,
    sizes: np.ndarray,
    input_size: tuple[int, int],
    augmentation: DatasetConfig,
) -> np.ndarray:
    """Draws the affines (B,2,3) from images to network input.

    Args:
        random: the generator to draw from.
        sizes: (B,2) height and width of the images.
        input_size: (H, W).
        augmentation: says what to draw.
    """
    count = len(sizes)
    shape = sizes[:, ::-1].astype(np.float64)  # width, height
    longer = shape.max(axis=1)
    centre = shape / 2
    if augmentation.rand_crop:
        longer = longer * random.choice(_CROP_SCALES, count)
        border = _crop_border(shape)
        centre = np.floor(random.uniform(border, shape - border))
    else:
        limit = 2 * augmentation.shift
        drift = np.clip(random.normal(0, augmentation.shift, (count, 2)), -limit, limit)
        growth = np.clip(
            random.normal(0, augmentation.scale, count), -augmentation.scale, augmentation.scale
        )
        centre = centre + longer[:, None] * drift
        longer = longer * (1 + growth)
    limit = 2 * augmentation.rotate
    degrees = np.clip(random.normal(0, augmentation.rotate, count), -limit, limit)
    degrees = np.where(random.random(count) < augmentation.aug_rot, degrees, 0.0)
    mirror = random.random(count) < augmentation.flip_prop
    centre[:, 0] = np.where(mirror, shape[:, 0] - 1 - centre[:, 0], centre[:, 0])
    affine = geometry.centred_affine(centre, min(input_size) / longer, input_size, degrees)
    return np.where(mirror[:, None, None], geometry.mirrored(affine, shape[:, 0]), affine)


def _crop_border(side: np.ndarray) -> np.ndarray:
    """CenterNet's crop border: 128, halved until the middle is wider than the border."""
    border = np.full_like(side, _CROP_BORDER)
    while (too_wide := side - border <= border).any():
        border = np.where(too_wide, border // 2, border)
    return border


def normalisation(statistics: ColourStatistics) -> np.ndarray:
    """The (3,4) affine from BGR 0..255 to what the network takes: (x / 255 - mean) / std."""
    return _normalised(np.eye(3, 4), statistics)


def _normalised(colour: np.ndarray, statistics: ColourStatistics) -> np.ndarray:
    """Affines (...,3,4) to BGR 0..1 followed by the normalisation, in the network's order."""
    colour = colour.copy()
    colour[..., 3] -= statistics.mean
    colour /= statistics.std[:, None]
    colour[..., :3] /= 255
    in_order = colour[..., ::-1, :] if statistics.is_rgb else colour
    return np.ascontiguousarray(in_order, np.float32)


def normalise(image: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Applies a colour affine (3,4) on the host: uint8 (3,H,W) BGR to float32 (3,H,W).

    The same as `ApplyColour` in the graph.
    """
    flat = image.reshape(3, -1).astype(np.float32)
    return (colour[:, :3] @ flat + colour[:, 3:]).reshape(image.shape)


def channel_sums(image: np.ndarray) -> np.ndarray:
    """Sums (3,) of the BGR values of a uint8 (H,W,3) image.

    Of at most 257 rows of bytes they fit into 16 bits: a third of the time of cv2.sumElems.
    """
    rows = image.reshape(len(image), 3 * image.shape[1])
    sums = np.zeros(rows.shape[1], np.int64)
    for first in range(0, len(rows), 257):
        sums += np.add.reduce(rows[first : first + 257], axis=0, dtype=np.uint16)
    return sums.reshape(-1, 3).sum(axis=0)


def random_colours(
    random: np.random.Generator, channel_means: np.ndarray, statistics: ColourStatistics
) -> np.ndarray:
    """Draws colour jitter, composed with the normalisation into one affine for each image.

    CenterNet's brightness, contrast and saturation in random order, then AlexNet's lighting. None
    of them clips, so each is affine in the three channels; contrast needs the image's mean grey.

    Args:
        random: the generator to draw from.
        channel_means: (B,3) BGR means of the warped images, 0..255.
        statistics: colour statistics of the data set.

    Returns:
        float32 (B,3,4): normalised = colour[:, :3] @ bgr + colour[:, 3] with bgr in 0..255.
    """
    count = len(channel_means)
    order = random.permuted(np.tile(np.arange(3), (count, 1)), axis=1)
    factors = random.uniform(1 - _JITTER, 1 + _JITTER, (count, 3))
    coefficients = random.normal(0, _LIGHTING, (count, 3))
    grey = np.append(_GREY, 0.0)
    mean_grey = channel_means @ _GREY / 255
    colour = np.tile(np.eye(3, 4), (count, 1, 1))
    for jitter, factor in zip(order.T, factors.T, strict=True):
        # Brightness is the factor alone; contrast blends with the mean, saturation with the grey.
        added = np.zeros_like(colour)
        added[:, :, 3] = np.where(jitter == _CONTRAST, mean_grey, 0.0)[:, None]
        added += np.where(jitter == _SATURATION, 1.0, 0.0)[:, None, None] * grey
        factor = factor[:, None, None]
        colour = factor * colour + (1 - factor) * added
    colour[:, :, 3] += coefficients * statistics.eig_val @ statistics.eig_vec.T
    return _normalised(colour, statistics)
