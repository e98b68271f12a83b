# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""MindRecord to batches: uint8 images, colour affines and object tables."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import mindspore.dataset as ds
import numpy as np

from src.data import augment, geometry, mindrecord
from src.data.images import decoder
from src.data.objects import object_table
from src.model_utils.errors import UserError
from src.model_utils.object_columns import ROW_LENGTH
from src.model_utils.parameters import DatasetConfig

COLUMNS = ["image", "colour", "objects"]


@dataclass(frozen=True)
class SampleMaker:
    """Makes training samples; what is random in one is drawn from (seed, rank, epoch, batch).

    The `decode` function comes from `src.data.images.decoder`.
    """

    decode: Callable[[bytes], "np.ndarray | None"]
    statistics: augment.ColourStatistics
    geometry: augment.GeometryAugmentation
    color_aug: bool
    input_size: tuple[int, int]
    output_size: tuple[int, int]
    max_objs: int
    seed: int
    rank: int

    def batch(
        self,
        encoded: list[Any],
        boxes: list[np.ndarray],
        classes: list[np.ndarray],
        info: ds.BatchInfo,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The `per_batch_map`: columns image, boxes, classes to image, colour, objects.

        Returns:
            uint8 (B,H,W,3) BGR, float32 (B,3,4), float32 (B,N,8); see docs of `object_table`.
        """
        random = np.random.default_rng(
            (self.seed, self.rank, info.get_epoch_num(), info.get_batch_num())
        )
        height, width = self.input_size
        image = np.empty((len(encoded), height, width, 3), np.uint8)
        colour = np.empty((len(encoded), 3, 4), np.float32)
        objects = np.empty((len(encoded), self.max_objs, ROW_LENGTH), np.float32)
        for i in range(len(encoded)):
            image[i], colour[i], objects[i] = self.sample(random, encoded[i], boxes[i], classes[i])
        return image, colour, objects

    def sample(
        self, random: np.random.Generator, encoded: Any, boxes: np.ndarray, classes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One image (H,W,3), its colour affine (3,4) and object table (N,8)."""
        boxes, classes = mindrecord.real_objects(boxes, classes)
        decoded = self.decode(mindrecord.as_bytes(encoded))
        affine = augment.random_affine(random, decoded.shape[:2], self.input_size, self.geometry)
        image = geometry.warp(decoded, affine, self.input_size)
        if self.color_aug:
            means = np.array(cv2.mean(image)[:3])
            colour = augment.random_colour(random, means, self.statistics)
        else:
            colour = augment.normalisation(self.statistics)
        # Both grids have their origin in the corner, so the output grid is the input's scaled.
        ratio = np.array([self.output_size[1], self.output_size[0]]) / self.input_size[::-1]
        on_output_grid = geometry.transform_boxes(boxes, ratio[:, None] * affine)
        table = object_table(on_output_grid, classes, self.output_size, self.max_objs)
        return image, colour, table


def worker_count(num_workers: int, processes: int = 1) -> int:
    """Threads of one process: `num_workers`, or one for each core that it has if that is 0.

    Processes that no launcher has bound to cores of their own get a share of all.
    """
    cores = len(os.sched_getaffinity(0))
    if cores == os.cpu_count():
        cores = max(1, cores // processes)
    return min(num_workers or cores, len(os.sched_getaffinity(0)))


def create_train_dataset(
    config: DatasetConfig,
    mindrecord_dir: Path,
    prefix: str,
    batch_size: int,
    shuffle: bool,
    seed: int,
    rank: int = 0,
    rank_size: int = 1,
) -> ds.Dataset:
    """The training batches of one process: columns image, colour, objects; see `SampleMaker`.

    The last batch is dropped if it is not full. Every process gets its own part of the images.

    Raises:
        UserError: the set is missing or unfit, or smaller than one batch.
    """
    manifest = mindrecord.read_manifest(mindrecord_dir, prefix, config.coco_classes)
    if manifest.images // rank_size < batch_size:
        raise UserError(
            f"{mindrecord_dir / prefix}: {manifest.images} images do not fill one batch of "
            f"{batch_size} on {rank_size} device(s); lower train_config.batch_size."
        )
    maker = SampleMaker(
        decoder(config.image_backend),
        augment.colour_statistics(config),
        augment.GeometryAugmentation(
            config.rand_crop, config.shift, config.scale, config.aug_rot, config.rotate,
            config.flip_prop,
        ),
        config.color_aug,
        (config.input_res_train[0], config.input_res_train[1]),
        (config.output_res[0], config.output_res[1]),
        config.max_objs,
        seed,
        rank,
    )  # fmt: skip
    cv2.setNumThreads(1)  # the loader's own threads take the cores
    workers = worker_count(config.num_workers, rank_size)
    ds.config.set_seed(seed)
    dataset = ds.MindDataset(
        mindrecord.shard_files(mindrecord_dir, manifest),
        columns_list=["image", "boxes", "classes"],
        shuffle=shuffle,
        num_shards=rank_size,
        shard_id=rank,
        num_parallel_workers=workers,
    )
    return dataset.batch(
        batch_size,
        drop_remainder=True,
        per_batch_map=maker.batch,
        input_columns=["image", "boxes", "classes"],
        output_columns=COLUMNS,
        num_parallel_workers=workers,
        python_multiprocessing=False,
    )
