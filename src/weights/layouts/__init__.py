# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The layouts of weights that can be read: a file a project, of tables; `LAYOUTS` has them all."""

from src.weights.layouts import (
    cornernet,
    mindcv,
    mmdetection,
    modelzoo,
    modelzoo_imagenet,
    original,
    ours,
    paddle,
    paddle_imagenet,
    tensorflow,
    torchvision,
)

LAYOUTS = (
    ours.OURS,
    *original.ORIGINALS,
    original.DLA_IMAGENET,
    cornernet.CORNERNET,
    mmdetection.MMDETECTION_CORNERNET,
    modelzoo.MODELZOO,
    torchvision.TORCHVISION,
    torchvision.TORCHVISION_MOBILENET_V2,
    mindcv.MINDCV,
    *modelzoo_imagenet.MODELZOO_IMAGENET,
    *tensorflow.TENSORFLOW,
    *paddle.PADDLES,
    *paddle_imagenet.PADDLE_IMAGENET,
)
