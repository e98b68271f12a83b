# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Boxes of an image: warp, network, post-processing."""

from collections.abc import Sequence

import numpy as np
from mindspore import Tensor, nn

from src.data.augment import colour_statistics, normalisation
from src.data.geometry import InputGeometry
from src.evaluation.postprocess import PostProcessing
from src.model_utils.parameters import Config
from src.models.centernet import with_decode


class Detector:
    """Detects objects in one image at a time.

    Args:
        model: uint8 images (B,3,H,W) to detections (B,K,6), see `CenterNetDetector`.
        input_geometry: how images become network input.
        scales: scales at which each image is detected.
        post_processing: how detections become boxes of the image.
    """

    def __init__(
        self,
        model: nn.Cell,
        input_geometry: InputGeometry,
        scales: Sequence[float],
        post_processing: PostProcessing,
    ) -> None:
        self._model, self._input_geometry = model, input_geometry
        self._scales, self._post_processing = scales, post_processing

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Boxes of a uint8 (height, width, 3) BGR image.

        Returns:
            float32 (n,6), best first: x1 y1 x2 y2 score class in image pixels.
        """
        detections, affines = [], []
        for scale in self._scales:
            warped, affine = self._input_geometry(image, scale)
            detections.append(self._model(Tensor(warped[None])).asnumpy()[0])
            affines.append(affine)
        return self._post_processing(detections, affines)


def create_detector(config: Config, network: nn.Cell) -> Detector:
    """The configured detector around a network with its weights."""
    dataset, evaluation = config.dataset_config, config.eval_config
    colour = normalisation(colour_statistics(dataset))
    model = with_decode(network, config.net_config, dataset.num_classes, evaluation.K, colour)
    fixed_size = (dataset.input_res_test[0], dataset.input_res_test[1])
    return Detector(
        model,
        InputGeometry(evaluation.keep_res, evaluation.pad, fixed_size),
        evaluation.multi_scales,
        PostProcessing(evaluation.SOFT_NMS, evaluation.K, config.net_config.down_ratio),
    )
