# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Deformable convolution in three forms, and which of them a device gets.

| form | made of | AI Core kernels |
| --- | --- | --- |
| operator | `ops.deformable_conv2d` | none: they take NHWC alone, and MindSpore gives NCHW |
| grid_sample | one `ops.grid_sample` of all nine taps | 910B, 910C, in float32 |
| gather | gathers of rows and products | every chip; four times the memory of the samples |

Parameters and values are the same, so a checkpoint fits all. docs/ascend.md has the sources.
"""

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import HeUniform, initializer

from src.model_utils.device_adapter import ascend_chip
from src.model_utils.messages import say
from src.models.layers import conv

FORMS = ("operator", "gather", "grid_sample")


def chosen_form(configured: str) -> str:
    """The form for the device of this process, said in one line; of none nothing is said.

    Args:
        configured: one of FORMS, "none" or "auto": on an Ascend one that has AI Core kernels there.
    """
    if configured == "none":
        return configured
    chip = ascend_chip()
    form, why = configured, "net_config.deformable"
    if configured == "auto":
        form = {"": "operator", "ascend910b": "grid_sample", "ascend910_93": "grid_sample"}.get(
            chip, "gather"
        )
        why = f"the default on {chip or ms.get_context('device_target')}"
    slow = ""
    if chip and form == "operator":
        slow = (
            "; no AI Core kernel takes it in MindSpore's layout: CANN is slow with it or refuses it"
        )
    say(f"deformable convolutions: {form} ({why}){slow}")
    return form


class DeformableConv(nn.Cell):
    """3×3 modulated deformable convolution, padding 1 (DCNv2, equation 1).

    Each of the nine taps is moved by a learned offset, sampled bilinearly with zero outside the
    map, and weighted by a learned mask in 0..1. `conv_offset` gives nine x offsets, nine y offsets
    and nine masks before their sigmoid, taps in row order. It starts at zero: no offset, mask 0.5.

    Args:
        in_channels, out_channels: channels.
        form: one of FORMS.
        stride: of the taps; the map becomes 1/`stride` as large, rounded up.
        has_bias: whether a bias is added.
    """

    def __init__(
        self, in_channels: int, out_channels: int, form: str, stride: int = 1, has_bias: bool = True
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.form, self.stride = form, stride
        self.conv_offset = conv(in_channels, 27, 3, stride, has_bias=True, weight_init="zeros")
        shape = (out_channels, in_channels, 3, 3)
        self.weight = Parameter(initializer(HeUniform(5**0.5), shape), name="weight")
        self.has_bias = has_bias
        self.bias = (
            Parameter(initializer("zeros", (out_channels,)), name="bias") if has_bias else None
        )
        self.sigmoid = ops.Sigmoid()
        self.concat = ops.Concat(1)
        self.floor, self.cast, self.equal = ops.Floor(), ops.Cast(), ops.Equal()
        self.minimum, self.maximum = ops.Minimum(), ops.Maximum()
        self.gather, self.matmul, self.bias_add = ops.Gather(), ops.MatMul(), ops.BiasAdd()
        self.transpose, self.reshape = ops.Transpose(), ops.Reshape()
        self.stack, self.sum_taps = ops.Stack(-1), ops.Conv2D(out_channels, 1)
        self.one, self.zero = Tensor(1.0, ms.float32), Tensor(0.0, ms.float32)
        self.half = Tensor(0.5, ms.float32)

    def construct(self, x: Tensor) -> Tensor:
        offsets = self.conv_offset(x)
        mask = self.sigmoid(offsets[:, 18:])
        if self.form == "operator":
            return ops.deformable_conv2d(
                x,
                self.weight,
                self.concat((offsets[:, :18], mask)),
                kernel_size=(3, 3),
                strides=(1, 1, self.stride, self.stride),
                padding=(1, 1, 1, 1),
                bias=self.bias,
            )
        height, width = offsets.shape[2:]
        tap_y, tap_x = np.mgrid[-1:2, -1:2].reshape(2, 1, 9, 1, 1)
        centre_y, centre_x = np.arange(height) * self.stride, np.arange(width) * self.stride
        grid_y = Tensor((tap_y + centre_y.reshape(1, 1, height, 1)).astype(np.float32))
        grid_x = Tensor((tap_x + centre_x.reshape(1, 1, 1, width)).astype(np.float32))
        row, column = offsets[:, 9:18] + grid_y, offsets[:, :9] + grid_x
        if self.form == "grid_sample":
            return self._grid_sample_form(x, row, column, mask)
        return self._gather_form(x, row, column, mask)

    def _grid_sample_form(self, x: Tensor, row: Tensor, column: Tensor, mask: Tensor) -> Tensor:
        """One bilinear sampling at rows and columns (B,9,h,w): nine maps, one below the other."""
        batch, channels, height, width = x.shape
        out_height, out_width = row.shape[2:]
        # In `grid_sample`'s coordinates the map reaches from -1 to 1, edge to edge. Ascend's kernel
        # takes float32 alone.
        lines = Tensor(np.full(out_width, height / 2, np.float32))
        columns = Tensor(np.full(out_width, width / 2, np.float32))
        grid_y = (row + self.half) / lines - self.one
        grid_x = (column + self.half) / columns - self.one
        grid = self.reshape(self.stack((grid_x, grid_y)), (batch, 9 * out_height, out_width, 2))
        x, grid = self.cast(x, ms.float32), self.cast(grid, ms.float32)
        taps = ops.grid_sample(x, grid, "bilinear", "zeros", False)
        taps = self.cast(taps, mask.dtype) * self.reshape(
            mask, (batch, 1, 9 * out_height, out_width)
        )
        taps = self.reshape(taps, (batch, channels * 9, out_height, out_width))
        kernel = self.reshape(self.weight, (self.out_channels, channels * 9, 1, 1))
        return self._with_bias(self.sum_taps(taps, kernel))

    def _gather_form(self, x: Tensor, row: Tensor, column: Tensor, mask: Tensor) -> Tensor:
        """The four neighbours of each tap gathered from a table of cells, then a matrix product."""
        batch, channels, height, width = x.shape
        out_height, out_width = row.shape[2:]
        cells = self.reshape(self.transpose(x, (0, 2, 3, 1)), (batch * height * width, channels))
        top, left = self.floor(row), self.floor(column)
        down, right = row - top, column - left
        last_row, last_column = Tensor(height - 1.0, ms.float32), Tensor(width - 1.0, ms.float32)
        # Row and column of the four neighbours of each tap, and their weights.
        row_0, weight_0 = self._line(top, self.one - down, last_row)
        row_1, weight_1 = self._line(top + self.one, down, last_row)
        column_0, weight_left = self._line(left, (self.one - right) * mask, last_column)
        column_1, weight_right = self._line(left + self.one, right * mask, last_column)
        row_length = Tensor(width, ms.int32)
        row_0, row_1 = row_0 * row_length, row_1 * row_length
        taps = (
            self._taps(cells, row_0 + column_0, weight_0 * weight_left, height * width)
            + self._taps(cells, row_0 + column_1, weight_0 * weight_right, height * width)
            + self._taps(cells, row_1 + column_0, weight_1 * weight_left, height * width)
            + self._taps(cells, row_1 + column_1, weight_1 * weight_right, height * width)
        )
        columns = self.reshape(taps, (batch, 9, out_height * out_width, channels))
        columns = self.transpose(columns, (0, 2, 1, 3))
        columns = self.reshape(columns, (batch * out_height * out_width, 9 * channels))
        kernel = self.transpose(self.weight, (2, 3, 1, 0))
        kernel = self.reshape(kernel, (9 * channels, self.out_channels))
        out = self._with_bias(self.matmul(columns, kernel))
        out = self.reshape(out, (batch, out_height, out_width, self.out_channels))
        return self.transpose(out, (0, 3, 1, 2))

    def _with_bias(self, out: Tensor) -> Tensor:
        return self.bias_add(out, self.bias) if self.has_bias else out

    def _line(self, position: Tensor, weight: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """An integer position clipped to the map, int32, and its weight, 0 where it was outside."""
        clipped = self.minimum(self.maximum(position, self.zero), last)
        inside = self.cast(self.equal(clipped, position), ms.float32)
        return self.cast(clipped, ms.int32), weight * inside

    def _taps(self, cells: Tensor, index: Tensor, weight: Tensor, count: int) -> Tensor:
        """Of each image's `count` cells those at `index` (B,9,h,w), times `weight`: (B·9·h·w,C)."""
        batch = index.shape[0]
        if batch > 1:
            first = np.arange(batch).reshape(batch, 1, 1, 1) * count
            index = index + Tensor(first.astype(np.int32))
        return self.gather(cells, self.reshape(index, (-1,)), 0) * self.reshape(weight, (-1, 1))
