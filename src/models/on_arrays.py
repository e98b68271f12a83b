# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Cells as functions of NumPy arrays."""

import contextlib
from collections.abc import Iterator

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from src.model_utils.progress import telling


class OnArrays:
    """A cell from images to one tensor as a function of arrays; it runs in inference mode.

    Args:
        cell: images (B,3,H,W) to its tensor.
        eager: run it operator by operator, without compiling it for each shape.
    """

    def __init__(self, cell: nn.Cell, eager: bool = False) -> None:
        self._cell, self._eager = cell, eager
        self._compiled: set[tuple[int, ...]] = set()  # shapes of images

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self._cell.set_train(False)
        telling_it = contextlib.nullcontext()
        if not self._eager and images.shape not in self._compiled:
            self._compiled.add(images.shape)
            height, width = images.shape[2:]
            telling_it = telling(f"compiling the network for images of {width}x{height}")
        with telling_it, self._mode():
            return self._cell(Tensor(images)).asnumpy()

    @contextlib.contextmanager
    def _mode(self) -> Iterator[None]:
        """MindSpore's mode for the network; back to what it was outside."""
        before = ms.get_context("mode")
        if self._eager:
            ms.set_context(mode=ms.PYNATIVE_MODE)
        try:
            yield
        finally:
            ms.set_context(mode=before)
