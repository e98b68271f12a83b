# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""One training step for CPU, GPU and Ascend, alone or data-parallel."""

import mindspore as ms
from mindspore import Parameter, Tensor, amp, nn, ops


class TrainStep(nn.Cell):
    """Loss, scaled gradients, their average over devices, and the update.

    MindSpore's own TrainOneStepWithLossScaleCell does not compile on a CPU.

    Args:
        network: images, colour, objects to (loss, hm_loss, wh_loss, off_loss).
        optimizer: holds the parameters to train.
        loss_scale: factor on the loss while gradients are taken. With 1 they are taken as they
            are.
        skip_overflow: leave parameters and moments alone in a step whose gradients, on any device,
            are not all finite.
        rank_size: number of devices that train together.
    """

    def __init__(
        self,
        network: nn.Cell,
        optimizer: nn.Optimizer,
        loss_scale: float,
        skip_overflow: bool,
        rank_size: int,
    ) -> None:
        super().__init__()
        self.network, self.optimizer = network, optimizer
        self.skip_overflow, self.is_distributed = skip_overflow, rank_size > 1
        self.scale = Parameter(Tensor(loss_scale, ms.float32), name="scale", requires_grad=False)
        self.gradients = ops.value_and_grad(
            self._scaled_loss, None, optimizer.parameters, has_aux=True
        )
        self.hyper_map = ops.HyperMap()
        self.multiply = ops.Mul()
        if self.is_distributed:
            self.average = nn.DistributedGradReducer(optimizer.parameters, True, rank_size)
            self.sum_over_devices = ops.AllReduce(ops.ReduceOp.SUM)

    def construct(
        self, image: Tensor, colour: Tensor, objects: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Returns loss, hm_loss, wh_loss, off_loss, whether the step overflowed, the scale."""
        (_, *losses), gradients = self.gradients(image, colour, objects, self.scale)
        if self.is_distributed:
            gradients = self.average(gradients)
        factor = 1.0 / self.scale
        gradients = self.hyper_map(ops.partial(self.multiply, factor), gradients)
        overflow = Tensor(False, ms.bool_)
        if self.skip_overflow:
            overflow = ops.logical_not(amp.all_finite(gradients))
            if self.is_distributed:
                # Where the hardware saturates, an overflow shows on its own device only.
                overflow = self.sum_over_devices(ops.cast(overflow, ms.float32)) > 0.0
            if not overflow:
                losses = ops.depend(losses, self.optimizer(gradients))
        else:
            losses = ops.depend(losses, self.optimizer(gradients))
        loss, hm_loss, wh_loss, off_loss = losses
        return loss, hm_loss, wh_loss, off_loss, overflow, self.scale.value()

    def _scaled_loss(
        self, image: Tensor, colour: Tensor, objects: Tensor, scale: Tensor
    ) -> tuple[Tensor, ...]:
        loss, hm_loss, wh_loss, off_loss = self.network(image, colour, objects)
        return loss * scale, loss, hm_loss, wh_loss, off_loss
