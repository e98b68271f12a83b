# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Boxes of images: warp, network, post-processing. No MindSpore here."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.data.augment import border_colour, colour_statistics, normalisation
from src.data.geometry import InputGeometry
from src.data.images import Decoder, decoded, decoder, read_image
from src.evaluation.postprocess import PostProcessing
from src.model_utils.errors import UserError
from src.model_utils.parameters import LARGEST_INPUT_SIDE, Config
from src.model_utils.workers import map_ahead
from src.models.detections import check_finite

# uint8 (height, width, 3) BGR, an encoded image, a file, or what gives the first of these.
Image = np.ndarray | bytes | str | Path | Callable[[], np.ndarray]

# Images (B,3,H,W) to detections (B,K,6+3J), or to what else a model gives.
Model = Callable[[np.ndarray], np.ndarray]

_READERS = 2  # threads; decoding and warping release Python's lock
_GROUPS_AHEAD = 2  # batches that are read while one is in the network


@dataclass(frozen=True)
class Prepared:
    """An image as network input: for each scale uint8 (3,H,W), and the affine (2,3) to it.

    size: its height and width before.
    """

    inputs: list[np.ndarray]
    affines: list[np.ndarray]
    size: tuple[int, int]


class Detector:
    """Detects objects in images.

    Args:
        model: uint8 images (B,3,H,W) to detections (B,K,6+3J), see `WithDecode`.
        input_geometry: how images become network input.
        scales: scales at which each image is detected.
        post_processing: how detections become boxes of the image.
        num_classes: heat maps of the network.
        peaks: name and value of the parameter that says how many peaks are looked for in them.
        decode: reads encoded images.
        batch_size: images to the network at once. One batch has one shape: with keep_res, 1.
        heat_model: uint8 images to heat maps (B,h,w), for `heat_map`; an exported model has none.
    """

    def __init__(
        self,
        model: Model,
        input_geometry: InputGeometry,
        scales: Sequence[float],
        post_processing: PostProcessing,
        num_classes: int,
        peaks: tuple[str, int],
        decode: Decoder,
        batch_size: int = 1,
        heat_model: Model | None = None,
    ) -> None:
        self._heat_model = heat_model
        self._model, self._input_geometry = model, input_geometry
        self._scales, self._post_processing = scales, post_processing
        self._num_classes, self._peaks = num_classes, peaks
        self._decode, self.batch_size = decode, batch_size

    def __call__(self, image: Image) -> np.ndarray:
        """Boxes of one image.

        Returns:
            float32 (n,6+3J), best first: x1 y1 x2 y2 score class in image pixels, then x y score of
            each point.

        Raises:
            UserError: the image cannot be read, or as `finish`.
        """
        prepared = self.prepare(image)
        (detections,) = self.run([prepared], 1)
        return self.finish(detections, prepared)

    def detect(self, images: Iterable[Image]) -> Iterator[np.ndarray | UserError]:
        """Boxes of each image, in their order; for one that cannot be read, the error.

        While the network works, the next images are read and warped, and the boxes of the last ones
        made, in other threads.

        Raises:
            UserError: as `finish`.
        """
        finished: deque[Future[np.ndarray] | UserError] = deque()
        with ThreadPoolExecutor(_READERS) as readers, ThreadPoolExecutor(1) as finisher:
            ahead = (_GROUPS_AHEAD + 1) * self.batch_size
            prepared = map_ahead(readers, self._prepared_or_error, images, ahead)
            while group := list(itertools.islice(prepared, self.batch_size)):
                readable = [image for image in group if isinstance(image, Prepared)]
                detections = iter(self.run(readable) if readable else [])
                yield from map(_result, finished)
                finished.clear()
                for image in group:
                    if isinstance(image, Prepared):
                        finished.append(finisher.submit(self.finish, next(detections), image))
                    else:
                        finished.append(image)
            yield from map(_result, finished)

    @property
    def has_heat_maps(self) -> bool:
        """Whether `heat_map` can be asked: an exported model gives detections alone."""
        return self._heat_model is not None

    def heat_map(self, image: Image) -> tuple[np.ndarray, np.ndarray]:
        """Heat (h,w) of an image at the first scale, and the affine (2,3) to the network input."""
        prepared = self.prepare(image)
        heat = self._heat_model(prepared.inputs[0][None])[0]
        return heat, prepared.affines[0]

    def unfit(self, height: int, width: int) -> str:
        """Why the network cannot take images of this size, as a sentence, or nothing."""
        keep_res = self._input_geometry.keep_res
        for scale in self._scales if keep_res else ():  # the configuration has the fixed sizes
            size = self._input_geometry.input_size((height, width), scale)
            sides = [side // self._post_processing.down_ratio for side in size]
            cells = self._num_classes * sides[0] * sides[1]
            name, needed = self._peaks
            if cells < needed:
                return (
                    f"an image of {width}x{height} pixels has {cells} cells in the heat maps at "
                    f"scale {scale:g}, fewer than {name} {needed}; "
                    "lower it or raise eval_config.pad."
                )
            if size[0] * size[1] > LARGEST_INPUT_SIDE**2:
                return (
                    f"an image of {width}x{height} pixels makes a network input of "
                    f"{size[1]}x{size[0]} at scale {scale:g}; leave that scale out of "
                    "eval_config.multi_scales or set eval_config.keep_res false."
                )
        return ""

    def prepare(self, image: Image) -> Prepared:
        """An image read and warped; raises UserError if it cannot be read, or is `unfit`."""
        pixels = _pixels(image, self._decode)
        unfit = self.unfit(*pixels.shape[:2])
        if unfit:
            raise UserError(unfit)
        warped = [self._input_geometry(pixels, scale) for scale in self._scales]
        inputs, affines = map(list, zip(*warped, strict=True))
        return Prepared(inputs, affines, pixels.shape[:2])

    def run(
        self, images: Sequence[Prepared], batch_size: int | None = None
    ) -> list[list[np.ndarray]]:
        """For each of at most `batch_size` images and each scale, detections (K,6+3J).

        It is the detector's own if not given. A smaller batch is filled up with black images, as
        another shape would be another graph.
        """
        batch_size = batch_size or self.batch_size
        of_scales = []
        for inputs in zip(*(image.inputs for image in images), strict=True):
            batch = np.zeros((batch_size, *inputs[0].shape), np.uint8)
            batch[: len(inputs)] = inputs
            of_scales.append(self._model(batch)[: len(inputs)])
        return [list(detections) for detections in zip(*of_scales, strict=True)]

    def finish(self, detections: Sequence[np.ndarray], image: Prepared) -> np.ndarray:
        """The boxes of an image, as `__call__` returns them, from its detections at each scale.

        Raises:
            UserError: they are not finite, or of classes that the configuration does not have.
        """
        check_finite(detections)  # before post-processing, which drops what has no score
        with np.errstate(over="ignore"):  # of boxes of 1e38 pixels
            boxes = self._post_processing(detections, image.affines, image.size)
        check_finite([boxes])
        if not np.isin(boxes[:, 5], np.arange(self._num_classes)).all():
            raise UserError(
                f"the model's boxes are of other classes than the {self._num_classes} of "
                "dataset_config.coco_classes; give those that it was made with."
            )
        return boxes

    def _prepared_or_error(self, image: Image) -> Prepared | UserError:
        try:
            return self.prepare(image)
        except UserError as error:
            return error


def detector_of(
    config: Config,
    model: Model,
    keep_res: bool,
    batch_size: int | None = None,
    heat_model: Model | None = None,
    views: int = 1,
) -> Detector:
    """The configured detector around anything that takes images to detections.

    Args:
        config: sections dataset_config, net_config and eval_config are read.
        model: uint8 images (B,3,H,W) to detections (B,K,6+3J).
        keep_res: instead of the configured one.
        heat_model: see `Detector`.
        batch_size: of the model; None for the configured one.
        views: see `PostProcessing`.
    """
    dataset, evaluation = config.dataset_config, config.eval_config
    border = border_colour(normalisation(colour_statistics(dataset)), dataset.border)
    fixed_size = (dataset.input_res_test[0], dataset.input_res_test[1])
    return Detector(
        model,
        InputGeometry(
            *(keep_res, evaluation.pad, fixed_size, evaluation.placement),
            exact_padding=evaluation.exact_padding,
            pad_to=evaluation.pad_to,
            border=border,
        ),
        evaluation.multi_scales,
        PostProcessing(
            *(evaluation.SOFT_NMS, evaluation.K, config.net_config.down_ratio),
            clip_boxes=config.net_config.clip_boxes,
            form=evaluation.soft_nms_form,
            pairs=config.task_facts.pairs,
            views=views,
        ),
        num_classes=dataset.num_classes,
        peaks=config.peaks,
        decode=decoder(dataset.image_backend, dataset.turn_by_exif, dataset.take_damaged_jpegs),
        batch_size=1 if keep_res else batch_size or evaluation.batch_size,
        heat_model=heat_model,
    )


def _pixels(image: Image, decode: Decoder) -> np.ndarray:
    """The image as uint8 (height, width, 3) BGR; raises UserError if it cannot be read."""
    if isinstance(image, np.ndarray):
        return image
    if callable(image):
        return image()
    if isinstance(image, bytes):
        return decoded(image, decode, "image:")
    return read_image(Path(image), decode)


def _result(finished: "Future[np.ndarray] | UserError") -> np.ndarray | UserError:
    return finished if isinstance(finished, UserError) else finished.result()
