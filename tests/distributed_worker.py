# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""One process of tests/test_distributed.py: two training steps, the weights after each printed."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.model_utils.config import load_config
from src.model_utils.device_adapter import set_up_device


def main() -> None:
    device = set_up_device(load_config("", ["--device_target", "CPU"]), may_distribute=True)

    from mindspore import Parameter, Tensor, nn

    from src.training.step import StepOptions, TrainStep

    class Product(nn.Cell):
        """loss = Σ w · x, so the gradient is x."""

        def __init__(self) -> None:
            super().__init__()
            self.w = Parameter(Tensor(np.zeros(2, np.float32)), name="w")

        def construct(self, image, colour, objects):
            loss = (self.w * image).sum()
            return loss, loss, colour, objects

    network = Product()
    optimizer = nn.SGD(network.trainable_params(), learning_rate=1.0)
    step = TrainStep(network, optimizer, StepOptions(1024.0, True), device.rank_size)
    zero = Tensor(0.0)
    for overflows in (False, True):
        x = np.array([1.0, 10.0], np.float32) * (device.rank + 1)
        if overflows and device.rank == 1:
            x[0] = np.inf
        *_, overflow, _ = step(Tensor(x), zero, zero)
        print("rank", device.rank, network.w.asnumpy().tolist(), bool(overflow.asnumpy()))


if __name__ == "__main__":
    main()
