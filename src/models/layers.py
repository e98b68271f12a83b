# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Layers that MindSpore lacks, written from operators that export to MINDIR.

What every cell here keeps to, so that exported graphs run on Ascend 310 and in old runtimes:
tensors with tensors (typed constants, made in `__init__`), `ops.MatMul` and `ops.Gather` on rows.
A one-element constant made inside `construct` is shared by value across types in MindSpore 2.10,
hence the `batch > 1` conditions.
"""

from collections.abc import Sequence

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops


def conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    has_bias: bool = False,
    weight_init: object = None,
    bias_init: object = "zeros",
) -> nn.Conv2d:
    """A convolution padded by half its kernel on each side, as PyTorch's networks have it."""
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        pad_mode="pad",
        padding=kernel_size // 2,
        has_bias=has_bias,
        weight_init=weight_init,
        bias_init=bias_init,
    )


class ConvBlock(nn.Cell):
    """A convolution, BatchNorm and ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        momentum: float,
        weight_init: object = None,
    ) -> None:
        super().__init__()
        self.conv = conv(in_channels, out_channels, kernel_size, stride, weight_init=weight_init)
        self.bn = nn.BatchNorm2d(out_channels, momentum=momentum)
        self.relu = nn.ReLU()

    def construct(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


class SeparableConv(nn.Cell):
    """A 3×3 convolution of each channel for itself, then a 1×1 one with bias; nothing between."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        weight_init: object = None,
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            in_channels,
            in_channels,
            3,
            pad_mode="pad",
            padding=1,
            group=in_channels,
            weight_init=weight_init,
        )
        self.pointwise = conv(in_channels, out_channels, 1, has_bias=True, weight_init=weight_init)

    def construct(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


class Tapped(nn.Cell):
    """Cells one behind another: (B,C,h,w) to a tuple of what those at the places `taps` put out."""

    def __init__(self, cells: list[nn.Cell], taps: Sequence[int]) -> None:
        super().__init__()
        self.layers, self.taps = nn.CellList(cells), tuple(taps)

    def construct(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = ()
        for place, layer in enumerate(self.layers):
            x = layer(x)
            if place in self.taps:
                maps += (x,)
        return maps


class Twice(nn.Cell):
    """Twice the height and width, each value four times: (B,C,h,w) to (B,C,2h,2w)."""

    def construct(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        return ops.ResizeNearestNeighbor((2 * height, 2 * width))(x)


class AlignedTwice(nn.Cell):
    """Twice the height and width, bilinear, corners on corners: (B,C,h,w) to (B,C,2h,2w).

    By a matrix product along each axis, which every Ascend has, and old runtimes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.transpose, self.reshape, self.matmul = ops.Transpose(), ops.Reshape(), ops.MatMul()

    def construct(self, x: Tensor) -> Tensor:
        for _ in range(2):
            # Before the product: Lite 2.0 takes no convolution right behind this transposition.
            x = self.transpose(x, (0, 1, 3, 2))
            batch, channels, height, width = x.shape
            places = np.arange(2 * width) * (width - 1) / (2 * width - 1)
            shares = np.maximum(0, 1 - np.abs(np.arange(width).reshape(width, 1) - places))
            rows = self.reshape(x, (-1, width))
            rows = self.matmul(rows, Tensor(shares.astype(np.float32), x.dtype))
            x = self.reshape(rows, (batch, channels, height, 2 * width))
        return x


class DepthwiseUpSampling(nn.Cell):
    """A transposed convolution of each channel for itself: (B,C,h,w) to (B,C,h·f,w·f).

    Kernel 2f, stride f, padding f/2, no bias; it starts as bilinear interpolation. Every output has
    four inputs, so it is a matrix product for each channel, of f·f kernels and the four neighbours
    of every corner between cells, with kernels on every Ascend. `nn.Conv2dTranspose` with a group a
    channel gives the same. A slice is of one axis: of two at once it takes a CPU ten times as long.

    Args:
        channels: C.
        factor: f, even.
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.channels, self.factor = channels, factor
        ramp = 1 - np.abs((np.arange(2 * factor) + 0.5) / factor - 1)
        kernel = np.tile(np.outer(ramp, ramp).astype(np.float32), (channels, 1, 1, 1))
        self.weight = Parameter(Tensor(kernel), name="weight")
        self.transpose, self.reshape = ops.Transpose(), ops.Reshape()
        self.concat_neighbours, self.matmul = ops.Concat(1), ops.BatchMatMul(transpose_a=True)
        self.concat_rows, self.concat_columns = ops.Concat(2), ops.Concat(3)

    def construct(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        factor, half = self.factor, self.factor // 2
        row = Tensor(np.zeros((channels, batch, 1, width), np.float32), x.dtype)
        column = Tensor(np.zeros((channels, batch, height + 2, 1), np.float32), x.dtype)
        x = self.concat_rows((row, self.transpose(x, (1, 0, 2, 3)), row))
        x = self.concat_columns((column, x, column))
        # Of each corner the cells below and above it, and of these right and left.
        neighbours = ()
        for down in (1, 0):
            rows = x[:, :, down : down + height + 1]
            for right in (1, 0):
                cells = rows[:, :, :, right : right + width + 1]
                neighbours += (self.reshape(cells, (channels, 1, -1)),)
        kernels = self.reshape(self.weight, (channels, 2, factor, 2, factor))
        kernels = self.transpose(kernels, (0, 1, 3, 2, 4))
        kernels = self.reshape(kernels, (channels, 4, factor * factor))
        out = self.matmul(kernels, self.concat_neighbours(neighbours))
        out = self.reshape(out, (channels, factor, factor, batch, height + 1, width + 1))
        out = self.transpose(out, (3, 0, 4, 1, 5, 2))
        out = self.reshape(out, (batch, channels, (height + 1) * factor, (width + 1) * factor))
        out = out[:, :, half : half + height * factor]
        return out[:, :, :, half : half + width * factor]


class StemPool(nn.Cell):
    """3×3 max-pooling, stride 2, with a border of zeros, as TensorFlow's ResNets have it.

    Of input that is not negative, as behind a ReLU, this is PyTorch's pooling with padding 1 too.
    Padded by concatenation: on a CPU `ops.Pad` takes nine times as long as all of this (57 ms
    against 6 ms for 16×32×64×64 floats).

    Args:
        border: instead of zero; the lowest number of float16 for PyTorch's pooling of any input.
    """

    def __init__(self, border: float = 0.0) -> None:
        super().__init__()
        self.border = border
        self.concat_rows, self.concat_columns = ops.Concat(2), ops.Concat(3)
        self.pool = ops.MaxPool(3, 2, "valid")

    def construct(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        # Of one type with x, which may be float16: MindSpore 2.7 joins no others.
        row = Tensor(np.full((batch, channels, 1, width), self.border, np.float32), x.dtype)
        column = Tensor(np.full((batch, channels, height + 2, 1), self.border, np.float32), x.dtype)
        x = self.concat_rows((row, x, row))
        return self.pool(self.concat_columns((column, x, column)))


class RowsAt(nn.Cell):
    """Reads a map at given cells: (B,D·G,h,w) at cells (B,K) of groups (B,K) to (B,K,D).

    Channel D·g+i of the map is value i of group g. With one group all channels are read, and no
    `group` is needed; decoding `cat_spec_wh` reads one group of two a class.

    Args:
        groups: G.
    """

    def __init__(self, groups: int = 1) -> None:
        super().__init__()
        self.groups = groups
        self.gather, self.transpose, self.reshape = ops.Gather(), ops.Transpose(), ops.Reshape()

    def construct(self, values: Tensor, cell: Tensor, group: Tensor | None = None) -> Tensor:
        batch, channels, height, width = values.shape
        count, length = cell.shape[1], channels // self.groups
        rows = self.transpose(values, (0, 2, 3, 1))
        rows = self.reshape(rows, (batch * height * width * self.groups, length))
        if batch > 1:
            first = np.arange(batch).reshape(batch, 1) * height * width
            cell = cell + Tensor(first.astype(np.int32))
        if self.groups > 1:
            cell = cell * Tensor(self.groups, ms.int32) + group
        return self.reshape(self.gather(rows, self.reshape(cell, (-1,)), 0), (batch, count, length))


class Outer(nn.Cell):
    """Products of columns (B,M,h) and rows (B,M,w), all with all: (B,M,h,w).

    On a CPU by a matrix product, with the same bits: MindSpore's multiplication keeps lists of
    indices there, three times the size of what comes out. Elsewhere matrix units might round.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_matrix_product = ms.get_context("device_target") == "CPU"
        self.matmul, self.expand = ops.BatchMatMul(), ops.ExpandDims()

    def construct(self, columns: Tensor, rows: Tensor) -> Tensor:
        columns, rows = self.expand(columns, 3), self.expand(rows, 2)
        if self.is_matrix_product:
            return self.matmul(columns, rows)
        return columns * rows


class ApplyColour(nn.Cell):
    """Normalises images by an affine of their channels: BGR (B,3,H,W) in 0..255, any number type.

    `colour` is float32 (B,3,4) or (1,3,4), as `src.data.augment` makes it. Three multiplications
    and additions instead of a matrix product: exact in float32 on matrix units of any precision.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cast, self.reshape = ops.Cast(), ops.Reshape()

    def construct(self, image: Tensor, colour: Tensor) -> Tensor:
        image = self.cast(image, ms.float32)
        colour = self.reshape(colour, (-1, 3, 4, 1))
        return (
            image[:, 0:1] * colour[:, :, 0:1]
            + image[:, 1:2] * colour[:, :, 1:2]
            + image[:, 2:3] * colour[:, :, 2:3]
            + colour[:, :, 3:4]
        )
