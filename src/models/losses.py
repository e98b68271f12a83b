# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Losses of CenterNet (Objects as Points, equations 1 to 4)."""

from dataclasses import dataclass

import mindspore as ms
from mindspore import Tensor, nn, ops

from src.models.layers import ApplyColour, RowsAt
from src.models.targets import Targets


@dataclass(frozen=True)
class LossOptions:
    """Weights and variants of the loss; see net_config in default_config.yaml."""

    hm_weight: float
    wh_weight: float
    off_weight: float
    mse_loss: bool
    reg_loss: str
    reg_norm: str
    dense_wh: bool
    cat_spec_wh: bool


class FocalLoss(nn.Cell):
    """Penalty-reduced focal loss of a heat map (equation 1, α = 2, β = 4).

    Logits and target, both (B,C,h,w), to a scalar: the sum over cells divided by the number of
    objects N, the cells where the target is 1; undivided if there are none. Probabilities are
    clipped to 1e-4 .. 1 - 1e-4.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sigmoid, self.log, self.square, self.cast = (
            ops.Sigmoid(), ops.Log(), ops.Square(), ops.Cast(),
        )  # fmt: skip
        self.low, self.high = Tensor(1e-4, ms.float32), Tensor(1 - 1e-4, ms.float32)
        self.one = Tensor(1.0, ms.float32)

    def construct(self, logits: Tensor, target: Tensor) -> Tensor:
        p = ops.clip_by_value(self.sigmoid(logits), self.low, self.high)
        is_centre = self.cast(target >= 1.0, ms.float32)
        away = self.square(self.square(1.0 - target))  # (1 - Y)^4, which is 0 at centres
        at_centres = (self.log(p) * self.square(1.0 - p) * is_centre).sum()
        elsewhere = (self.log(1.0 - p) * self.square(p) * away).sum()
        count = is_centre.sum()
        return -(at_centres + elsewhere) / ops.maximum(count, self.one)


class RegressionLoss(nn.Cell):
    """L1 or smooth L1 of predictions against their targets (equations 2 and 3).

    Prediction and target of one shape and a weight that broadcasts to it, to a scalar: the weighted
    sum divided by the sum of weights of all coordinates (as the original code) or half that (the
    number of objects, as the paper: an object has two), plus 1e-4.

    Args:
        kind: "l1" or "sl1" (quadratic below 1).
        norm: "object" or "coordinate".
    """

    def __init__(self, kind: str, norm: str) -> None:
        super().__init__()
        self.is_smooth = kind == "sl1"
        self.per_coordinate = 0.5 if norm == "object" else 1.0
        self.abs = ops.Abs()

    def construct(self, prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        weight = ops.broadcast_to(weight, target.shape)
        difference = self.abs((prediction - target) * weight)
        if self.is_smooth:
            difference = ops.select(
                difference < 1.0, 0.5 * difference * difference, difference - 0.5
            )
        return difference.sum() / (self.per_coordinate * weight.sum() + 1e-4)


# The parts of the loss, in the order in which `CenterNetLoss` gives them.
LOSSES = ("hm_loss", "wh_loss", "off_loss")


class CenterNetLoss(nn.Cell):
    """The network with its training loss: images and object tables in, losses out.

    Args:
        network: gives hm logits (B,C,h,w), wh (B,2,h,w) and, if it regresses offsets, reg.
        num_classes: C.
        output_size: (h, w).
        options: weights and variants.
    """

    def __init__(
        self, network: nn.Cell, num_classes: int, output_size: tuple[int, int], options: LossOptions
    ) -> None:
        super().__init__()
        self.network = network
        self.options = options
        self.apply_colour = ApplyColour()
        self.targets = Targets(
            num_classes, output_size, options.mse_loss, options.dense_wh, options.cat_spec_wh
        )
        self.hm_loss = nn.MSELoss() if options.mse_loss else FocalLoss()
        self.regression_loss = RegressionLoss(options.reg_loss, options.reg_norm)
        self.rows_at, self.transpose, self.cast = RowsAt(), ops.Transpose(), ops.Cast()
        self.zero = Tensor(0.0, ms.float32)

    def construct(
        self, image: Tensor, colour: Tensor, objects: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Loss of a batch.

        Args:
            image: uint8 (B,H,W,3) BGR. colour: float32 (B,3,4). objects: float32 (B,N,8).

        Returns:
            The weighted total and its unweighted parts hm, wh and off: float32 scalars.
        """
        heads = self.network(self.apply_colour(self.transpose(image, (0, 3, 1, 2)), colour))
        heads = [self.cast(head, ms.float32) for head in heads]  # they may come in float16
        hm, cell, mask, reg, wh, wh_weight = self.targets(objects)
        hm_loss = self.hm_loss(heads[0], hm)
        predicted = heads[1] if self.options.dense_wh else self.rows_at(heads[1], cell)
        wh_loss = self.regression_loss(predicted, wh, wh_weight)
        off_loss = self.zero
        if len(heads) == 3:
            off_loss = self.regression_loss(self.rows_at(heads[2], cell), reg, mask)
        loss = (
            self.options.hm_weight * hm_loss
            + self.options.wh_weight * wh_loss
            + self.options.off_weight * off_loss
        )
        return loss, hm_loss, wh_loss, off_loss
