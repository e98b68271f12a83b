# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""MindRecord to batches: uint8 images, colour affines and object tables."""

import math
import queue
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import mindspore.dataset as ds
import numpy as np

from src.data import augment, geometry, mindrecord
from src.data.images import Decoder, decoder
from src.data.objects import object_tables, points_on_grid
from src.model_utils.errors import UserError
from src.model_utils.messages import say
from src.model_utils.parameters import DatasetConfig
from src.model_utils.workers import worker_count
from src.tasks.task import Task

SOURCE_COLUMNS = ["image_id", "size", "image", "boxes", "classes"]
COLUMNS = ["image", "colour", "objects"]
_PROCESSES_OF_A_SERVER = 8


@dataclass(frozen=True)
class SampleMaker:
    """Makes training samples; what is random depends on (seed, rank, epoch, batch, position).

    Args:
        config: sizes, augmentation and max_objs.
        task: facts of the task, of which the object tables are made.
        decode: see `src.data.images.decoder`.
        down_ratio: pixels of the network input in a cell of the output grid.
        name: of the MindRecord set, for messages.
        seed, rank: as above.
        first_epoch, first_batch: where the run starts, to count on from there.
        pool: threads that make the images of a batch.
    """

    config: DatasetConfig
    task: Task
    decode: Decoder
    down_ratio: int
    name: str
    seed: int
    rank: int
    first_epoch: int
    first_batch: int
    pool: Executor

    def batch(
        self,
        image_id: list[np.ndarray],
        size: list[np.ndarray],
        encoded: list[Any],
        boxes: list[np.ndarray],
        classes: list[np.ndarray],
        info: ds.BatchInfo,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The `per_batch_map`: the columns of the MindRecord set to image, colour, objects.

        Returns:
            uint8 (B,H,W,3) BGR, float32 (B,3,4), float32 (B,N,8+3J); see `object_tables`.
        """
        return self._of_set(info, (image_id, size, encoded, boxes, classes))

    def batch_with_points(
        self,
        image_id: list[np.ndarray],
        size: list[np.ndarray],
        encoded: list[Any],
        boxes: list[np.ndarray],
        classes: list[np.ndarray],
        keypoints: list[np.ndarray],
        info: ds.BatchInfo,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `batch`, for a task with points; MindSpore counts the parameters."""
        return self._of_set(info, (image_id, size, encoded, boxes, classes, keypoints))

    def _of_set(
        self, info: ds.BatchInfo, columns: tuple[list[Any], ...]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        epoch, batch = info.get_epoch_num(), info.get_batch_num()
        if epoch == self.first_epoch:
            batch += self.first_batch  # MindSpore counts the batches of a broken-off epoch from 0
        random = np.random.default_rng((self.seed, self.rank, epoch, batch))
        return self.samples(random, dict(zip(source_columns(self.task), columns, strict=True)))

    def samples(
        self, random: np.random.Generator, columns: dict[str, list[Any]]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `batch`, drawing from `random`: arrays, in which a position has its own numbers."""
        config = self.config
        image_id, size, encoded, boxes, classes = (columns[name] for name in SOURCE_COLUMNS)
        input_size = (config.input_res_train[0], config.input_res_train[1])
        sizes = np.stack(size)
        boxes, _ = zip(*map(mindrecord.real_objects, boxes, classes), strict=True)
        if config.rand_crop and config.crop_of == "input":
            affines, kept = augment.random_object_crops(random, sizes, input_size, boxes, config)
            of_pixels = geometry.of_pixel_centres(affines)
        else:
            affines = augment.random_affines(random, sizes, input_size, config)
            of_pixels, kept = affines, None
        statistics = augment.colour_statistics(config)
        colour = np.tile(augment.normalisation(statistics), (len(encoded), 1, 1))
        changes = None
        if config.color_aug and config.color_jitter == "photometric":
            changes = augment.random_photometric(random, len(encoded))
        image = np.empty((len(encoded), *input_size, 3), np.uint8)
        sums = np.empty((len(encoded), 3))
        room = 3 * sizes.prod(axis=1).max()
        buffers: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()  # few, so they stay in caches

        def make(i: int) -> None:
            try:
                pixels = buffers.get_nowait()
            except queue.Empty:
                pixels = np.empty(room, np.uint8)
            decoded = self.decode(mindrecord.as_bytes(encoded[i]), pixels)
            if decoded is None or decoded.shape[:2] != tuple(sizes[i]):
                raise UserError(
                    f"{self.name}: image {image_id[i]} does not decode; the files are damaged, "
                    "convert again (src/dataset.py --verify names them)."
                )
            if changes is not None:
                colour[i] = augment.photometric_colour(changes[i], decoded, statistics)
            border = augment.border_colour(colour[i], config.border)
            geometry.warp(decoded, of_pixels[i], input_size, image[i], border)
            top, bottom, _, _ = geometry.reached(of_pixels[i], decoded.shape[:2], input_size)
            sums[i] = augment.channel_sums(image[i, top:bottom])
            sums[i] += np.multiply(border, (input_size[0] - bottom + top) * input_size[1])
            buffers.put(pixels)

        for _ in self.pool.map(make, range(len(encoded))):
            pass  # waits, and raises what `make` raised
        if config.color_aug and changes is None:
            means = sums / (input_size[0] * input_size[1])
            colour = augment.random_colours(random, means, statistics)
        return image, colour, self._objects(columns, affines, kept)

    def _objects(
        self, columns: dict[str, list[Any]], affines: np.ndarray, kept: list[np.ndarray] | None
    ) -> np.ndarray:
        """The object tables of a batch: float32 (B,N,8+3J), of the `kept` objects alone if given.

        Both grids have their origin in the corner, so the output grid is the input's scaled.
        """
        points, classes = columns.get(mindrecord.KEYPOINTS), columns["classes"]
        if points is not None:
            points, _ = zip(*map(mindrecord.real_objects, points, classes), strict=True)
            points = np.concatenate(points)
        of_images = map(mindrecord.real_objects, columns["boxes"], classes)
        boxes, classes = zip(*of_images, strict=True)
        place = np.repeat(np.arange(len(boxes)), [len(image_boxes) for image_boxes in boxes])
        boxes, classes = np.concatenate(boxes), np.concatenate(classes)
        if kept is not None:
            rows = np.flatnonzero(np.concatenate(kept))
            boxes, classes, place = boxes[rows], classes[rows], place[rows]
            points = None if points is None else points[rows]
        grid_size = self.config.output_res
        cell = np.full(2, self.down_ratio, np.float64)  # its width and height in pixels
        if self.task.stretched:
            cell = np.divide(self.config.input_res_train[::-1], grid_size[::-1])
        to_output_grid = affines[place] / cell[:, None]
        on_output_grid = geometry.transform_boxes(boxes, to_output_grid)
        if points is not None:
            points = points_on_grid(points, to_output_grid, self.task.mirrored, grid_size)
        return object_tables(
            on_output_grid,
            classes,
            place,
            images=len(affines),
            grid_size=grid_size,
            max_objs=self.config.max_objs,
            task=self.task,
            exact_sides=self.config.exact_sides,
            points=points,
        )


def source_columns(task: Task) -> list[str]:
    """The columns that samples of a task are made of."""
    return [*SOURCE_COLUMNS, *([mindrecord.KEYPOINTS] if task.points else [])]


def say_what_is_cut(manifest: mindrecord.Manifest, max_objs: int) -> None:
    """Says if an image of the set holds more objects than the table of a sample."""
    if manifest.most_boxes > max_objs:
        say(
            f"note: the set has images with up to {manifest.most_boxes} objects, of which training "
            f"takes {max_objs} and the rest as background: set --dataset_config.max_objs "
            f"{manifest.most_boxes}"
        )


def steps_per_epoch(images: int, batch_size: int, rank_size: int) -> int:
    """Full batches that each of `rank_size` processes gets from `images` images in an epoch."""
    return math.ceil(images / rank_size) // batch_size


def create_train_dataset(
    config: DatasetConfig,
    task: Task,
    mindrecord_dir: Path,
    prefix: str,
    *,
    down_ratio: int,
    batch_size: int,
    shuffle: bool,
    seed: int,
    rank: int = 0,
    rank_size: int = 1,
    first_step: int = 0,
) -> ds.Dataset:
    """The training batches of one process: columns image, colour, objects; see `SampleMaker`.

    The last batch is dropped if it is not full. Every process gets its own part of the images;
    parts are made equally large by giving up to `rank_size` - 1 images of an epoch to two of them.
    `first_step` skips the batches of a run that was broken off after so many: what follows is what
    would have followed there.

    Raises:
        UserError: the set is missing, changed or unfit, or smaller than one batch.
    """
    manifest = mindrecord.read_manifest(
        mindrecord_dir, prefix, config.coco_classes, task.point_names
    )
    steps = steps_per_epoch(manifest.images, batch_size, rank_size)
    if steps == 0:
        raise UserError(
            f"{mindrecord_dir / prefix}: {manifest.images} images do not fill one batch of "
            f"{batch_size} on {rank_size} device(s); lower train_config.batch_size."
        )
    workers = worker_count(config.num_workers, rank_size)
    # Each server's processes together look at all files, which may be copies of its own.
    parts = min(rank_size, _PROCESSES_OF_A_SERVER)
    mindrecord.check_content(mindrecord_dir, manifest, workers, rank % parts, parts)
    if rank == 0:
        say_what_is_cut(manifest, config.max_objs)
    first_epoch, first_batch = divmod(first_step, steps)
    maker = SampleMaker(
        config,
        task,
        # Those that the conversion has taken.
        decoder(config.image_backend, manifest.turn_by_exif, take_damaged=True),
        down_ratio=down_ratio,
        name=str(mindrecord_dir / prefix),
        seed=seed,
        rank=rank,
        first_epoch=first_epoch,
        first_batch=first_batch,
        # One more than workers, as some wait for Python's lock when MindSpore hands files over.
        pool=ThreadPoolExecutor(workers + 1, initializer=geometry.use_exact_warp),
    )
    columns = source_columns(task)
    cv2.setNumThreads(1)  # the loader's own threads take the cores
    ds.config.set_seed(seed)
    dataset = ds.MindDataset(
        mindrecord.shard_files(mindrecord_dir, manifest),
        columns_list=columns,
        shuffle=shuffle,
        num_shards=rank_size,
        shard_id=rank,
        num_parallel_workers=workers,
    )
    dataset = dataset.batch(
        batch_size,
        drop_remainder=True,
        per_batch_map=maker.batch_with_points if task.points else maker.batch,
        input_columns=columns,
        output_columns=COLUMNS,
        # One batch is made and the next begun; more would only take memory, 25 MB each.
        num_parallel_workers=min(2, workers),
        python_multiprocessing=False,
    )
    dataset.set_init_step(first_step)
    try:
        dataset.get_dataset_size()  # opens the files
    except RuntimeError as error:
        raise UserError(
            f"{mindrecord_dir / prefix}: cannot be read ({mindrecord.reason(error)}); the "
            "files are damaged, convert the data set again."
        ) from None
    return dataset
