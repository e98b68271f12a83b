# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Random geometry and colour of a training sample, as CenterNet draws them.

Everything random comes from the generator that is handed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from src.data import geometry
from src.data.geometry import BLACK, Colour
from src.model_utils.parameters import DatasetConfig

# Weights of B, G, R in the grey value (ITU-R BT.601, as OpenCV's BGR2GRAY).
_GREY = np.array([0.114, 0.587, 0.299])
_CONTRAST, _SATURATION = 1, 2  # brightness is 0
_JITTER = 0.4  # brightness, contrast, saturation: factor 1 ± 0.4
_LIGHTING = 0.1  # standard deviation of the lighting coefficients
_CROP_BORDER = 128
_CROP_SCALES = np.arange(6, 14) / 10
_CROP_TRIES, _CROP_ROUNDS = 50, 10  # of a size, and sizes; MMDetection draws these without end
_PHOTOMETRIC = 0.5  # probability of each of its changes
_HSV_SAMPLE = 32  # rows and columns of the pixels that saturation and hue are fitted to
_HSV_RIDGE = 1e-5


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


def random_object_crops(
    random: np.random.Generator,
    sizes: np.ndarray,
    input_size: tuple[int, int],
    boxes: Sequence[np.ndarray],
    augmentation: DatasetConfig,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draws crops as CornerNet does (MMDetection's RandomCenterCropPad, Resize, RandomFlip).

    A crop has 0.6 to 1.3 times the sides of the network input, in pixels of the image, which it may
    overlap. It is drawn until the middle of a box is in it; after ten sizes with fifty places each,
    as of an object in the corner of a large image for a small input, it stays without one.

    Args:
        random, sizes, input_size, augmentation: as of `random_affines`.
        boxes: for each image (n,4) xyxy in its pixels.

    Returns:
        The affines (B,2,3) from images to network input, in which a pixel is the square between its
        number and the next (`geometry.of_pixel_centres`), and for each image bool (n,), the boxes
        whose middle is in the crop. The others are no objects of it.
    """
    count = len(sizes)
    shape = sizes[:, ::-1].astype(np.float64)  # width, height
    border = _crop_border(shape)
    side, centre = np.empty((count, 2)), np.empty((count, 2))
    kept = [np.zeros(len(of_image), bool) for of_image in boxes]
    waiting = list(range(count))
    mirror = random.random(count) < augmentation.flip_prop
    # Of its own, so that an image's other numbers do not depend on how often its neighbours draw.
    random = np.random.default_rng(random.integers(2**63))
    for _ in range(_CROP_ROUNDS):
        scales = random.choice(_CROP_SCALES, count)[:, None]
        sides = np.floor(np.array(input_size[::-1]) * scales)
        centres = np.floor(random.uniform(border, shape - border, (_CROP_TRIES, count, 2)))
        for i in waiting:
            middle = (boxes[i][:, :2] + boxes[i][:, 2:]) / 2
            tried, half = centres[:, i, None], sides[i] // 2
            low, high = np.maximum(tried - half, 0), np.minimum(tried + half, shape[i])
            is_inside = ((low < middle) & (middle < high)).all(axis=2)  # (tries, n)
            first = int(is_inside.any(axis=1).argmax())
            side[i], centre[i], kept[i] = sides[i], centres[first, i], is_inside[first]
        waiting = [i for i in waiting if len(boxes[i]) and not kept[i].any()]
        if not waiting:
            break
    scale = np.array(input_size[::-1]) / side
    affines = np.zeros((count, 2, 3))
    affines[:, [0, 1], [0, 1]] = scale
    affines[:, :, 2] = scale * (side // 2 - centre)
    affines[mirror, 0] *= -1
    affines[mirror, 0, 2] += input_size[1]
    return affines, kept


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


def border_colour(colour: np.ndarray, border: str) -> Colour:
    """What lies around an image whose colours become network input by an affine (3,4).

    For `border` black that, and for mean the colour, of whole numbers in 0..255, that the affine
    brings nearest to 0, as the mean is without jitter.
    """
    if border == "black":
        return BLACK
    exact = -np.linalg.pinv(colour[:, :3].astype(np.float64)) @ colour[:, 3]
    blue, green, red = np.clip(np.rint(exact), 0, 255).astype(int).tolist()
    return blue, green, red


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


@dataclass(frozen=True)
class Photometric:
    """What MMDetection's PhotoMetricDistortion does to an image of 0..255.

    It adds `brightness`, multiplies by `contrast`, then in HSV multiplies the saturation, which
    ends at 1, and adds `hue` degrees, and at last takes the channels in `order`. (There contrast
    may also come after HSV, which is the same: it is a factor on V alone.)
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float
    order: np.ndarray


def random_photometric(random: np.random.Generator, count: int) -> list[Photometric]:
    """Draws it for `count` images: each change is made with probability 1/2."""
    low, high, none = [-32, 0.5, 0.5, -18], [32, 1.5, 1.5, 18], [0, 1, 1, 0]
    made = random.random((count, 5)) < _PHOTOMETRIC
    values = np.where(made[:, :4], random.uniform(low, high, (count, 4)), none)
    order = random.permuted(np.tile(np.arange(3), (count, 1)), axis=1)
    order = np.where(made[:, 4:], order, np.arange(3))
    return [Photometric(*drawn, order[i]) for i, drawn in enumerate(values.tolist())]


def photometric_colour(
    drawn: Photometric, image: np.ndarray, statistics: ColourStatistics
) -> np.ndarray:
    """A photometric change and the normalisation as one affine, float32 (3,4).

    Saturation and hue in HSV are affine in no colour space. They are the affine that comes nearest
    to them, by least squares, for the colours of this image, a thousand of its pixels.

    Args:
        drawn: the change.
        image: uint8 (height, width, 3) BGR, before it is warped.
        statistics: colour statistics of the data set.
    """
    colour = np.eye(3, 4)
    colour[:, 3] = drawn.brightness / 255
    colour *= drawn.contrast
    if (drawn.saturation, drawn.hue) != (1, 0):
        rows, columns = (max(side // _HSV_SAMPLE, 1) for side in image.shape[:2])
        sample = image[rows // 2 :: rows, columns // 2 :: columns].reshape(-1, 3) / 255
        sample = sample @ colour[:, :3].T + colour[:, 3]
        # There are no colours below 0 in HSV.
        fitted = _affine_of_hsv(np.maximum(sample, 0), drawn.saturation, drawn.hue)
        colour = fitted[:, :3] @ colour
        colour[:, 3] += fitted[:, 3]
    return _normalised(colour[drawn.order], statistics)


def _affine_of_hsv(sample: np.ndarray, saturation: float, hue: float) -> np.ndarray:
    """The affine (3,4) nearest to a change of saturation and hue of colours (n,3) BGR from 0 on."""
    hsv = cv2.cvtColor(sample[None].astype(np.float32), cv2.COLOR_BGR2HSV)
    hsv[..., 1] = np.minimum(hsv[..., 1] * saturation, 1)
    hsv[..., 0] = (hsv[..., 0] + hue) % 360
    change = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0] - sample
    # Where the colours do not say it, as in a grey image, there is no change.
    given = np.column_stack([sample, np.ones(len(sample))])
    ridge = _HSV_RIDGE * len(sample) * np.eye(4)
    return np.eye(3, 4) + np.linalg.solve(given.T @ given + ridge, given.T @ change).T
