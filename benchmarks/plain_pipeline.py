# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The usual CenterNet input pipeline, to compare `src.data.loader` with.

It does the same work in the place where the original and the ModelZoo model do it: the host makes
the normalised float32 image and draws the heat maps in NumPy, one image at a time, in a map
function with worker processes. What is random is drawn in the order of `src.data.augment`, so that
both pipelines can be shown to give the same numbers.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import mindspore.dataset as ds
import numpy as np

from src.data import augment, geometry, mindrecord
from src.data.images import Decoder, decoder
from src.data.objects import gaussian_radius
from src.model_utils.parameters import DatasetConfig

COLUMNS = ["image", "hm", "wh", "reg", "ind", "mask"]


def create_plain_dataset(
    config: DatasetConfig,
    mindrecord_dir: Path,
    prefix: str,
    *,
    batch_size: int,
    shuffle: bool,
    seed: int,
) -> ds.Dataset:
    """Batches of the columns `COLUMNS`; see `PlainSample`. `config.num_workers` processes."""
    manifest = mindrecord.read_manifest(mindrecord_dir, prefix, config.coco_classes)
    cv2.setNumThreads(1)  # the worker processes take the cores; they inherit this
    ds.config.set_seed(seed)
    dataset = ds.MindDataset(
        mindrecord.shard_files(mindrecord_dir, manifest),
        columns_list=["image", "boxes", "classes"],
        shuffle=shuffle,
        num_parallel_workers=config.num_workers,
    )
    dataset = dataset.map(
        PlainSample(config, decoder(config.image_backend)),
        input_columns=["image", "boxes", "classes"],
        output_columns=COLUMNS,
        num_parallel_workers=config.num_workers,
        python_multiprocessing=True,
    )
    return dataset.batch(batch_size, drop_remainder=True, num_parallel_workers=config.num_workers)


@dataclass(frozen=True)
class PlainSample:
    """The map function: an encoded image, its boxes and classes to network input and targets.

    image: float32 (3,H,W), normalised; hm: float32 (C,h,w); wh, reg: float32 (N,2); ind: int32
    (N,), the cell y·w + x of the centre; mask: float32 (N,), 1 where there is an object.
    """

    config: DatasetConfig
    decode: Decoder

    def __call__(
        self, encoded: Any, boxes: np.ndarray, classes: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        random = np.random.default_rng()  # worker processes must not repeat each other
        config = self.config
        decoded = self.decode(mindrecord.as_bytes(encoded))
        input_size = (config.input_res_train[0], config.input_res_train[1])
        size = np.array([decoded.shape[:2]])
        (affine,) = augment.random_affines(random, size, input_size, config)
        warped = cv2.warpAffine(decoded, affine, input_size[::-1], flags=cv2.INTER_LINEAR)
        image = normalised_image(random, warped, config)
        ratio = np.array([config.output_res[1], config.output_res[0]]) / input_size[::-1]
        on_output_grid = geometry.transform_boxes(boxes, ratio[:, None] * affine)
        return image, *draw_targets(on_output_grid, classes, config)


def normalised_image(
    random: np.random.Generator, warped: np.ndarray, config: DatasetConfig
) -> np.ndarray:
    """uint8 (H,W,3) BGR to float32 (3,H,W): jittered step by step if so configured, normalised.

    Channels come first early on: NumPy is twice as fast on whole planes as on rows of three.
    """
    pixels = warped.astype(np.float32)
    pixels /= 255
    image = np.stack(cv2.split(pixels))
    if config.color_aug:
        jitter_colour(random, image, cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), config)
    image -= np.array(config.mean, np.float32)[:, None, None]
    image /= np.array(config.std, np.float32)[:, None, None]
    return image


def jitter_colour(
    random: np.random.Generator, image: np.ndarray, grey: np.ndarray, config: DatasetConfig
) -> None:
    """CenterNet's brightness, contrast and saturation in random order, then lighting, in place.

    Contrast and saturation mix with the (H,W) `grey` of the image as it came, as the original does.
    """
    mean_grey = grey.mean()
    order, factors = random.permuted(np.arange(3)), random.uniform(0.6, 1.4, 3)
    for step, factor in zip(order, factors.astype(np.float32), strict=True):
        image *= factor
        if step == 1:  # contrast
            image += (1 - factor) * mean_grey
        elif step == 2:  # saturation
            image += (1 - factor) * grey
    coefficients = random.normal(0, 0.1, 3) * config.eig_val
    image += (np.array(config.eig_vec) @ coefficients).astype(np.float32)[:, None, None]


def draw_targets(
    boxes: np.ndarray, classes: np.ndarray, config: DatasetConfig
) -> tuple[np.ndarray, ...]:
    """hm, wh, reg, ind and mask from (n,4) xyxy boxes on the output grid and their classes."""
    height, width = config.output_res
    hm = np.zeros((config.num_classes, height, width), np.float32)
    wh = np.zeros((config.max_objs, 2), np.float32)
    reg = np.zeros((config.max_objs, 2), np.float32)
    ind = np.zeros(config.max_objs, np.int32)
    mask = np.zeros(config.max_objs, np.float32)
    clipped = np.clip(boxes, 0, [width - 1, height - 1, width - 1, height - 1])
    for k, (box, label) in enumerate(
        zip(clipped[: config.max_objs], classes[: config.max_objs], strict=True)
    ):
        size = box[2:] - box[:2]
        if size.min() <= 0:
            continue
        centre = ((box[:2] + box[2:]) / 2).astype(np.float32)
        cell = centre.astype(np.int32)
        radius = max(0, int(gaussian_radius(np.ceil(size[1]), np.ceil(size[0]))))
        draw_gaussian(hm[label], cell, radius)
        wh[k] = size
        reg[k] = centre - cell
        ind[k] = cell[1] * width + cell[0]
        mask[k] = 1
    return hm, wh, reg, ind, mask


def draw_gaussian(plane: np.ndarray, cell: np.ndarray, radius: int) -> None:
    """Draws a peak into (h,w) `plane` in place, cut to `radius`; the larger value stays."""
    height, width = plane.shape
    left, top = np.maximum(cell - radius, 0)
    right, bottom = np.minimum(cell + radius + 1, [width, height])
    sigma = (2 * radius + 1) / 6
    row = np.exp(-((np.arange(left, right) - cell[0]) ** 2) / (2 * sigma**2))
    column = np.exp(-((np.arange(top, bottom) - cell[1]) ** 2) / (2 * sigma**2))
    window = plane[top:bottom, left:right]
    np.maximum(window, np.outer(column, row), out=window, casting="same_kind")
