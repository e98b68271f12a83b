# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""BatchNorm by the statistics of what all devices have in a step."""

from mindspore import Tensor, nn, ops


class SyncedNormalisation(nn.Cell):
    """In place of `ops.BatchNorm` in training: its operands, and a tuple of the normalised map.

    The moving statistics take the same numbers on every device. `nn.SyncBatchNorm` is for Ascend
    alone; gradients go through AllReduce here, which all devices have.

    Args:
        epsilon: added to the variance.
        momentum: share of the new value when the statistics move.
        rank_size: devices, with maps of one size.
    """

    def __init__(self, epsilon: float, momentum: float, rank_size: int) -> None:
        super().__init__()
        self.epsilon, self.momentum, self.rank_size = epsilon, momentum, rank_size
        self.sum_over_devices = ops.AllReduce(ops.ReduceOp.SUM)

    def construct(
        self, x: Tensor, gamma: Tensor, beta: Tensor, moving_mean: Tensor, moving_variance: Tensor
    ) -> tuple[Tensor]:
        batch, channels, height, width = x.shape
        count = self.rank_size * batch * height * width
        sums = ops.concat((x.sum((0, 2, 3)), (x * x).sum((0, 2, 3))))
        moments = self.sum_over_devices(sums) * (1.0 / count)
        mean = moments[:channels]
        variance = ops.maximum(moments[channels:] - mean * mean, 0.0)
        unbiased = variance * (count / max(count - 1, 1))
        for moving, now in ((moving_mean, mean), (moving_variance, unbiased)):
            ops.assign_add(moving, (ops.stop_gradient(now) - moving) * self.momentum)
        # 1/√x as exp(-½ log x), of operators whose gradients every training has on every chip.
        factor = gamma * ops.exp(ops.log(variance + self.epsilon) * -0.5)
        shift = beta - mean * factor
        return (x * factor.reshape((1, channels, 1, 1)) + shift.reshape((1, channels, 1, 1)),)


def synchronise(network: nn.Cell, rank_size: int) -> None:
    """Makes every BatchNorm of a network in training see the batches of all devices as one."""
    for _, cell in network.cells_and_names():
        if isinstance(cell, nn.BatchNorm2d):
            epsilon, momentum = cell.eps, cell.momentum
            cell.bn_train = SyncedNormalisation(epsilon, momentum, rank_size)
