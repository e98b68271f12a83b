# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Losses of CenterNet (Objects as Points, equations 1 to 4)."""

import mindspore as ms
from mindspore import Tensor, nn, ops


class FocalLoss(nn.Cell):
    """Penalty-reduced focal loss of a heat map (equation 1, α = 2, β = 4).

    Logits and target, both (B,C,h,w), to a scalar: the sum over cells divided by the number of
    objects N, the cells where the target is 1 or, where it is given, `count`; undivided if there
    are none. A `weight` of that shape, where it is given, says how much each cell counts in the
    sum. Probabilities are clipped to 1e-4 .. 1 - 1e-4.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sigmoid, self.log, self.square, self.cast = (
            ops.Sigmoid(), ops.Log(), ops.Square(), ops.Cast(),
        )  # fmt: skip
        self.low, self.high = Tensor(1e-4, ms.float32), Tensor(1 - 1e-4, ms.float32)
        self.one = Tensor(1.0, ms.float32)

    def construct(
        self,
        logits: Tensor,
        target: Tensor,
        count: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        p = ops.clip_by_value(self.sigmoid(logits), self.low, self.high)
        is_centre = self.cast(target >= 1.0, ms.float32)
        away = self.square(self.square(1.0 - target))  # (1 - Y)^4, which is 0 at centres
        at_centres = self.log(p) * self.square(1.0 - p) * is_centre
        elsewhere = self.log(1.0 - p) * self.square(p) * away
        if weight is not None:
            at_centres, elsewhere = at_centres * weight, elsewhere * weight
        at_centres, elsewhere = at_centres.sum(), elsewhere.sum()
        if count is None:
            count = is_centre.sum()
        return -(at_centres + elsewhere) / ops.maximum(count, self.one)


class RegressionLoss(nn.Cell):
    """L1 or smooth L1 of predictions against their targets (equations 2 and 3).

    Prediction and target of one shape and a weight that broadcasts to it, to a scalar: the weighted
    sum divided by the sum of weights of all coordinates (as the original code) or half that (the
    number of objects, as the paper: an object has two), plus 1e-4; or by `count`, if it is given.

    Args:
        kind: "l1" or "sl1" (quadratic below 1).
        norm: "object" or "coordinate".
    """

    def __init__(self, kind: str, norm: str) -> None:
        super().__init__()
        self.is_smooth = kind == "sl1"
        self.per_coordinate = 0.5 if norm == "object" else 1.0
        self.abs = ops.Abs()

    def construct(
        self, prediction: Tensor, target: Tensor, weight: Tensor, count: Tensor | None = None
    ) -> Tensor:
        weight = ops.broadcast_to(weight, target.shape)
        difference = self.abs((prediction - target) * weight)
        if self.is_smooth:
            difference = ops.select(
                difference < 1.0, 0.5 * difference * difference, difference - 0.5
            )
        if count is None:
            count = self.per_coordinate * weight.sum() + 1e-4
        return difference.sum() / count
