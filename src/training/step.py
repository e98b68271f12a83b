# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""One training step for CPU, GPU and Ascend, alone or data-parallel."""

from collections.abc import Iterator
from dataclasses import dataclass

import mindspore as ms
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, amp, nn, ops
from mindspore.ops.operations.math_ops import NPUClearFloatStatusV2  # as MindSpore's amp has it

from src.model_utils.device_adapter import saturates_on_overflow
from src.model_utils.parameters import LARGEST_LOSS_SCALE, SMALLEST_LOSS_SCALE, Config


@dataclass(frozen=True)
class StepOptions:
    """Variants of the step; the names are train_config's, see default_config.yaml.

    loss_scale: factor on the loss while gradients are taken. With 1 they are taken as they are.
    skip_overflow: leave parameters and moments alone where the loss or a gradient, on any device,
        is not finite.
    is_dynamic: halve the scale at each overflow, double it after `scale_window` updates without.
    accumulate_steps: calls, of a batch each, to one update.
    clip_norm: largest norm of all gradients together; 0 for any.
    ema_decay: decay of the averaged weights; 0 for none.
    ema_kind: of the averages, see `WeightAverage`.
    """

    loss_scale: float = 1.0
    skip_overflow: bool = False
    is_dynamic: bool = False
    scale_window: int = 2000
    accumulate_steps: int = 1
    clip_norm: float = 0.0
    ema_decay: float = 0.0
    ema_kind: str = "plain"


def step_options(config: Config) -> StepOptions:
    """The configured variant."""
    recipe, scales = config.train_config, config.enable_lossscale
    return StepOptions(
        loss_scale=recipe.loss_scale_value if scales else 1.0,
        skip_overflow=scales,
        is_dynamic=scales and recipe.loss_scale == "dynamic",
        scale_window=recipe.scale_window,
        accumulate_steps=recipe.accumulate_steps,
        clip_norm=recipe.clip_norm,
        ema_decay=recipe.ema_decay,
        ema_kind=recipe.ema_kind,
    )


class WeightAverage(nn.Cell):
    """Exponential moving average of a cell's parameters, BatchNorm's statistics among them.

    A call moves each average to decay · average + (1 - decay) · parameter. They start as the
    parameters are.

    Those of the kind "threshold" start from zeros, with a decay of at most (1 + t) / (10 + t) in
    the call behind t others, as PaddleDetection has it; `read` divides them by 1 - dⁿ after n calls
    with d in the last one.
    """

    def __init__(self, network: nn.Cell, decay: float, kind: str = "plain") -> None:
        super().__init__(auto_prefix=False)  # as nn.Optimizer: the weights keep their names
        self.weights = ParameterTuple(network.get_parameters())
        self.decay, self.part = decay, 1.0 - decay
        self.has_threshold = kind == "threshold"
        # By their names a training does not go on with averages of the other kind.
        prefix, init = ("ema_sum", "zeros") if self.has_threshold else ("ema", "same")
        self.averages = self.weights.clone(prefix=prefix, init=init)
        for average in self.averages:
            average.requires_grad = False
        if self.has_threshold:
            self.calls = _state("ema_calls", 0, ms.int32)
            self.least_part = Tensor(self.part, ms.float32)
        self.hyper_map = ops.HyperMap()

    def construct(self) -> bool:
        part = self.part
        if self.has_threshold:  # 1 - (1 + t) / (10 + t)
            part = ops.maximum(self.least_part, 9.0 / (ops.cast(self.calls, ms.float32) + 10.0))
        self.hyper_map(ops.partial(_move, part), self.averages, self.weights)
        if self.has_threshold:
            ops.assign_add(self.calls, Tensor(1, ms.int32))
        return True

    def read(self, network: nn.Cell) -> Iterator[tuple[str, Parameter]]:
        """The averages of `network`, the cell or one in it, by its structural names."""
        averages = {id(w): a for w, a in zip(self.weights, self.averages, strict=True)}
        calls = int(self.calls.asnumpy()) if self.has_threshold else 0
        decay = min(self.decay, calls / (calls + 9))
        for name, weight in network.parameters_and_names():
            average = averages[id(weight)]
            if self.has_threshold:  # before the first call there is nothing but the weight
                value = average.asnumpy() / (1.0 - decay**calls) if calls else weight.asnumpy()
                average = Parameter(value.astype(weight.asnumpy().dtype), name=average.name)
            yield name, average


def _move(part: float, average: Parameter, weight: Parameter) -> bool:
    ops.assign_add(average, (weight - average) * part)
    return True


def _clear(accumulated: Parameter) -> bool:
    ops.assign(accumulated, ops.zeros_like(accumulated))  # what is not finite times 0 stays so
    return True


def _accumulate(accumulated: Parameter, gradient: Tensor) -> bool:
    ops.assign_add(accumulated, gradient)
    return True


class TrainStep(nn.Cell):
    """Loss, scaled gradients, their average over batches and devices, and the update.

    MindSpore's own TrainOneStepWithLossScaleCell does not compile on a CPU. All that a training
    needs to go on is a Parameter below this cell: weights, moments, the optimizer's step count,
    the scale, averages, what is accumulated, and these counters:

    - overflows: updates left out.
    - bad_steps: consecutive batches, up to now, in updates whose loss was not finite, or that
      overflowed at a scale that cannot be lowered; the same on all devices.

    An Ascend 910A has no infinity: what overflows becomes the largest number and raises a flag that
    stays up. There the flag is taken down before each batch and read behind it, with and without
    skip_overflow, and counts as a loss that is not finite does elsewhere.

    With several devices a process that has to stop sets stop_requested to 1; after the update in
    which it is taken in, stop_agreed is true on all of them.

    Args:
        network: `WithLoss`.
        optimizer: holds the parameters to train; one step of its schedule is an update.
        options: variants.
        rank_size: number of devices that train together.
    """

    def __init__(
        self, network: nn.Cell, optimizer: nn.Optimizer, options: StepOptions, rank_size: int = 1
    ) -> None:
        super().__init__()
        self.network, self.optimizer, self.options = network, optimizer, options
        self.is_distributed = rank_size > 1
        self.saturates = saturates_on_overflow()
        self.accumulates = options.accumulate_steps > 1
        self.clips, self.averages_weights = options.clip_norm > 0, options.ema_decay > 0
        self.scale = _state("scale", options.loss_scale, ms.float32)
        self.overflows = _state("overflows", 0, ms.int32)
        self.bad_steps = _state("bad_steps", 0, ms.int32)
        self.no_steps, self.no_overflow = Tensor(0, ms.int32), Tensor(False, ms.bool_)
        self.gradients = ops.value_and_grad(
            self._scaled_loss, None, optimizer.parameters, has_aux=True
        )
        self.hyper_map = ops.HyperMap()
        self.multiply, self.half_squares = ops.Mul(), ops.L2Loss()
        self.clear_status = NPUClearFloatStatusV2()
        self.share = 1.0 / options.accumulate_steps  # of a batch in the mean gradient
        if options.is_dynamic:
            self.good_updates = _state("good_updates", 0, ms.int32)
            self.smallest = Tensor(SMALLEST_LOSS_SCALE, ms.float32)
            self.largest = Tensor(LARGEST_LOSS_SCALE, ms.float32)
        if self.accumulates:
            self.accumulated = optimizer.parameters.clone(prefix="accumulated", init="zeros")
            self.batches = _state("batches", 0, ms.int32)
            self.bad_losses = _state("bad_losses", 0, ms.int32)
            if self.saturates:
                self.overflowed_batches = _state("overflowed_batches", 0, ms.int32)
        if self.averages_weights:
            self.ema = WeightAverage(network, options.ema_decay, options.ema_kind)
        if self.is_distributed:
            self.average = nn.DistributedGradReducer(optimizer.parameters, True, rank_size)
            self.sum_over_devices = ops.AllReduce(ops.ReduceOp.SUM)
            self.stop_requested = _state("stop_requested", 0.0, ms.float32)
            self.stop_agreed = _state("stop_agreed", False, ms.bool_)

    def construct(
        self, image: Tensor, colour: Tensor, objects: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Trains on a batch.

        Returns:
            The losses of the batch, float32 (1+L,); whether the update that it completed was left
            out; the scale of its loss.
        """
        scale = self.scale * 1.0  # a copy: the parameter may change below
        if self.saturates:
            image = self._clear_overflow_flag(image)
        (_, losses), gradients = self.gradients(image, colour, objects, scale)
        is_bad = ops.logical_not(ops.isfinite(losses[0]))
        overflowed = self.no_overflow
        if self.saturates:
            overflowed = ops.logical_not(self._are_finite(gradients))
        if self.accumulates:
            is_skipped = self._add_batch(gradients, is_bad, overflowed)
        else:
            is_skipped = self._update(gradients, is_bad, overflowed)
        return losses, is_skipped, scale

    def ema_weights(self, network: nn.Cell) -> Iterator[tuple[str, Parameter]]:
        """The averaged parameters of `network`, a cell of this step, by its structural names."""
        return self.ema.read(network)

    def _scaled_loss(
        self, image: Tensor, colour: Tensor, objects: Tensor, scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        losses = self.network(image, colour, objects)
        return losses[0] * scale, losses

    def _clear_overflow_flag(self, image: Tensor) -> Tensor:
        """The images, once the flag of a 910A is down, whatever raised it."""
        status = Tensor(np.zeros(8, np.int32))  # the form that the operator asks for
        return ops.depend(image, self.clear_status(status))

    def _add_batch(
        self, gradients: tuple[Tensor, ...], is_bad: Tensor, overflowed: Tensor
    ) -> Tensor:
        """Adds a batch; the last of its update returns what `_update` does, the others False."""
        # Gradients that are not finite stay so in the sum, so it is checked once, at the end.
        self.hyper_map(_accumulate, self.accumulated, gradients)
        ops.assign_add(self.bad_losses, ops.cast(is_bad, ms.int32))
        if self.saturates:
            ops.assign_add(self.overflowed_batches, ops.cast(overflowed, ms.int32))
        ops.assign_add(self.batches, Tensor(1, ms.int32))
        is_skipped = Tensor(False, ms.bool_)
        if self.batches >= self.options.accumulate_steps:
            if self.saturates:
                overflowed = self.overflowed_batches > 0
            is_skipped = self._update(self.accumulated, self.bad_losses > 0, overflowed)
            if self.saturates:
                ops.assign(self.overflowed_batches, self.no_steps)
            self.hyper_map(_clear, self.accumulated)
            ops.assign(self.bad_losses, self.no_steps)
            ops.assign(self.batches, self.no_steps)
        return is_skipped

    def _update(self, gradients: tuple[Tensor, ...], is_bad: Tensor, overflowed: Tensor) -> Tensor:
        """Updates by the mean gradient unless it overflowed; returns whether that was left out.

        Args:
            gradients: scaled, their sum over the batches of the update.
            is_bad: whether a loss was not finite.
            overflowed: whether the flag of a 910A was up; False on other devices.
        """
        if self.is_distributed:
            gradients = self.average(gradients)
        factor = self.share / self.scale
        gradients = self.hyper_map(ops.partial(self.multiply, factor), gradients)
        is_skipped = is_bad
        if self.saturates:
            is_skipped = ops.logical_or(is_bad, overflowed)
        if self.options.skip_overflow:
            is_skipped = ops.logical_or(is_skipped, ops.logical_not(self._are_finite(gradients)))
        if self.is_distributed:
            # Losses differ, and where the hardware saturates, an overflow shows on its own device.
            flags = (ops.cast(is_bad, ms.float32), ops.cast(is_skipped, ms.float32))
            flags = self.sum_over_devices(ops.stack((*flags, self.stop_requested))) > 0.0
            is_bad, is_skipped = flags[0], flags[1]
            ops.assign(self.stop_agreed, flags[2])
        if not self.options.skip_overflow:
            self._apply(gradients)
            self._count_bad(is_skipped)
            return Tensor(False, ms.bool_)
        if not is_skipped:
            self._apply(gradients)
        ops.assign_add(self.overflows, ops.cast(is_skipped, ms.int32))
        if self.options.is_dynamic:
            is_lowest = self.scale <= self.smallest
            self._count_bad(ops.logical_or(is_bad, ops.logical_and(is_skipped, is_lowest)))
            self._adjust_scale(is_skipped)
        else:
            self._count_bad(is_skipped)
        return is_skipped

    def _are_finite(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """Whether all values are finite; a norm above 1e19 counts as an overflow too.

        By the sum of squares, a kernel a gradient: `amp.all_finite` takes three on a 910B that was
        started with a rank table, and on a CPU 270 ms for 48 M values instead of 73. On a 910A it
        reads the flag and takes it down.
        """
        if self.saturates:
            return amp.all_finite(gradients)
        return ops.isfinite(ops.addn(self.hyper_map(self.half_squares, gradients)))

    def _apply(self, gradients: tuple[Tensor, ...]) -> bool:
        if self.clips:
            gradients = ops.clip_by_global_norm(gradients, self.options.clip_norm)
        self.optimizer(gradients)
        if self.averages_weights:
            self.ema()
        return True

    def _count_bad(self, is_bad: Tensor) -> bool:
        longer = self.bad_steps + self.options.accumulate_steps
        ops.assign(self.bad_steps, ops.select(is_bad, longer, self.no_steps))
        return True

    def _adjust_scale(self, overflowed: Tensor) -> bool:
        good = ops.select(overflowed, self.no_steps, self.good_updates + 1)
        grows = good >= self.options.scale_window
        raised = ops.minimum(self.scale * 2.0, self.largest)
        lowered = ops.maximum(self.scale * 0.5, self.smallest)
        scale = ops.select(overflowed, lowered, ops.select(grows, raised, self.scale))
        ops.assign(self.scale, scale)
        ops.assign(self.good_updates, ops.select(grows, self.no_steps, good))
        return True


def _state(name: str, value: float, dtype: ms.Type) -> Parameter:
    return Parameter(Tensor(value, dtype), name=name, requires_grad=False)
