# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Layers that MindSpore lacks, written from operators that export to MINDIR.

What every cell here keeps to, so that exported graphs run on Ascend 310 and in old runtimes:
tensors with tensors (typed constants, made in `__init__`), `ops.MatMul` and `ops.Gather` on rows.
A one-element constant made inside `construct` is shared by value across types in MindSpore 2.10,
hence the `batch > 1` conditions.
"""

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import HeUniform, initializer


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


class StemPool(nn.Cell):
    """3×3 max-pooling, stride 2, padding 1, of non-negative input, for which zero pads exactly.

    Padded by concatenation: on a CPU `ops.Pad` takes nine times as long as all of this (57 ms
    against 6 ms for 16×32×64×64 floats).
    """

    def __init__(self) -> None:
        super().__init__()
        self.concat_rows, self.concat_columns = ops.Concat(2), ops.Concat(3)
        self.pool = ops.MaxPool(3, 2, "valid")

    def construct(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        row = Tensor(np.zeros((batch, channels, 1, width), np.float32))
        column = Tensor(np.zeros((batch, channels, height + 2, 1), np.float32))
        x = self.concat_rows((row, x, row))
        return self.pool(self.concat_columns((column, x, column)))


class DeformableConv(nn.Cell):
    """3×3 modulated deformable convolution, stride 1, padding 1 (DCNv2, equation 1).

    Each of the nine taps is moved by a learned offset, sampled bilinearly with zero outside the
    map, and weighted by a learned mask in 0..1. `conv_offset` gives nine x offsets, nine y offsets
    and nine masks before their sigmoid, taps in row order. It starts at zero: no offset, mask 0.5.

    Args:
        in_channels, out_channels: channels.
        form: "operator" for `ops.deformable_conv2d`, "gather" for the same from plain operators.
    """

    def __init__(self, in_channels: int, out_channels: int, form: str) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.is_operator = form == "operator"
        self.conv_offset = conv(in_channels, 27, 3, has_bias=True, weight_init="zeros")
        shape = (out_channels, in_channels, 3, 3)
        self.weight = Parameter(initializer(HeUniform(5**0.5), shape), name="weight")
        self.bias = Parameter(initializer("zeros", (out_channels,)), name="bias")
        self.sigmoid = ops.Sigmoid()
        self.concat = ops.Concat(1)
        self.floor, self.cast, self.equal = ops.Floor(), ops.Cast(), ops.Equal()
        self.minimum, self.maximum = ops.Minimum(), ops.Maximum()
        self.gather, self.matmul, self.bias_add = ops.Gather(), ops.MatMul(), ops.BiasAdd()
        self.transpose, self.reshape = ops.Transpose(), ops.Reshape()
        self.one, self.zero = Tensor(1.0, ms.float32), Tensor(0.0, ms.float32)

    def construct(self, x: Tensor) -> Tensor:
        offsets = self.conv_offset(x)
        mask = self.sigmoid(offsets[:, 18:])
        if self.is_operator:
            return ops.deformable_conv2d(
                x,
                self.weight,
                self.concat((offsets[:, :18], mask)),
                (3, 3),
                (1, 1, 1, 1),
                (1, 1, 1, 1),
                bias=self.bias,
            )
        return self._gather_form(x, offsets[:, :9], offsets[:, 9:18], mask)

    def _gather_form(self, x: Tensor, offset_x: Tensor, offset_y: Tensor, mask: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        rows = self.reshape(self.transpose(x, (0, 2, 3, 1)), (batch * height * width, channels))
        tap_y, tap_x = np.mgrid[-1:2, -1:2].reshape(2, 1, 9, 1, 1)
        grid_y = Tensor((tap_y + np.arange(height).reshape(1, 1, height, 1)).astype(np.float32))
        grid_x = Tensor((tap_x + np.arange(width).reshape(1, 1, 1, width)).astype(np.float32))
        y, x = offset_y + grid_y, offset_x + grid_x
        top, left = self.floor(y), self.floor(x)
        down, right = y - top, x - left
        last_row, last_column = Tensor(height - 1.0, ms.float32), Tensor(width - 1.0, ms.float32)
        # Row and column of the four neighbours of each tap, and their weights.
        row_0, weight_0 = self._line(top, self.one - down, last_row)
        row_1, weight_1 = self._line(top + self.one, down, last_row)
        column_0, weight_left = self._line(left, (self.one - right) * mask, last_column)
        column_1, weight_right = self._line(left + self.one, right * mask, last_column)
        row_length = Tensor(width, ms.int32)
        row_0, row_1 = row_0 * row_length, row_1 * row_length
        taps = (
            self._taps(rows, row_0 + column_0, weight_0 * weight_left, height * width)
            + self._taps(rows, row_0 + column_1, weight_0 * weight_right, height * width)
            + self._taps(rows, row_1 + column_0, weight_1 * weight_left, height * width)
            + self._taps(rows, row_1 + column_1, weight_1 * weight_right, height * width)
        )
        columns = self.reshape(taps, (batch, 9, height * width, channels))
        columns = self.transpose(columns, (0, 2, 1, 3))
        columns = self.reshape(columns, (batch * height * width, 9 * channels))
        kernel = self.transpose(self.weight, (2, 3, 1, 0))
        kernel = self.reshape(kernel, (9 * channels, self.out_channels))
        out = self.bias_add(self.matmul(columns, kernel), self.bias)
        out = self.reshape(out, (batch, height, width, self.out_channels))
        return self.transpose(out, (0, 3, 1, 2))

    def _line(self, position: Tensor, weight: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """An integer position clipped to the map, int32, and its weight, 0 where it was outside."""
        clipped = self.minimum(self.maximum(position, self.zero), last)
        inside = self.cast(self.equal(clipped, position), ms.float32)
        return self.cast(clipped, ms.int32), weight * inside

    def _taps(self, rows: Tensor, index: Tensor, weight: Tensor, image_rows: int) -> Tensor:
        """Rows at `index` (B,9,h,w) of each image, times `weight`: (B·9·h·w, C)."""
        batch = index.shape[0]
        if batch > 1:
            first = np.arange(batch).reshape(batch, 1, 1, 1) * image_rows
            index = index + Tensor(first.astype(np.int32))
        return self.gather(rows, self.reshape(index, (-1,)), 0) * self.reshape(weight, (-1, 1))


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
