# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""One process of a distributed test: python distributed_worker.py [FOLDER].

Prints the weights after each of two steps of a product; with a folder it then trains a small
Network and writes its weights to FOLDER/RANK.npz. Launchers give options instead.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.model_utils.config import load_config
from src.model_utils.device_adapter import Device, set_up_device

STEPS = 20


def main() -> None:
    device = set_up_device(load_config("", ["--device_target", "CPU"]), may_distribute=True)
    take_two_steps(device)
    if not sys.argv[1].startswith("--"):
        weights = train_on_halves([device.rank], device.rank_size)
        np.savez(Path(sys.argv[1]) / f"{device.rank}.npz", **weights)
        weights = normalise_halves([device.rank], device.rank_size)
        np.savez(Path(sys.argv[1]) / f"normalised_{device.rank}.npz", **weights)


def take_two_steps(device: Device) -> None:
    """The second step overflows on device 1."""
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
    options = StepOptions(1024.0, skip_overflow=True, is_dynamic=True)
    step = TrainStep(network, optimizer, options, device.rank_size)
    zero = Tensor(0.0)
    for overflows in (False, True):
        x = np.array([1.0, 10.0], np.float32) * (device.rank + 1)
        if overflows and device.rank == 1:
            x[0] = np.inf
        *_, overflow, _ = step(Tensor(x), zero, zero)
        counters = [p.asnumpy().item() for p in (step.scale, step.overflows, step.bad_steps)]
        print("rank", device.rank, network.w.asnumpy().tolist(), bool(overflow.asnumpy()), counters)


def train_on_halves(halves: list[int], rank_size: int) -> dict[str, np.ndarray]:
    """Weights, by name, of a small Network with frozen BatchNorm after STEPS updates.

    Each update has a batch in two halves; this process takes the given ones, one after the other.
    """
    import mindspore as ms
    from mindspore import Tensor, nn

    from src.models.network import create_network, with_loss
    from src.training.optimizer import create_optimizer
    from src.training.step import StepOptions, TrainStep
    from tests.helpers import changed, config, object_rows

    small = {"block": "basic", "block_class": [1, 1, 1], "stage_channels": [8, 8, 16]}
    small |= {"up_channels": [8, 8], "head_conv": 8, "deformable": "none"}
    used = changed(config("--dataset_config.input_res_train", "[32, 32]"), 3, **small)
    ms.set_seed(0)
    network = create_network(used)
    loss = with_loss(network, used)
    optimizer = create_optimizer(config().train_config, loss, np.full(STEPS, 1e-3, np.float32))
    options = StepOptions(1024.0, True, accumulate_steps=len(halves), clip_norm=2.0)
    step = TrainStep(loss, optimizer, options, rank_size).set_train()
    for _, cell in network.cells_and_names():
        if isinstance(cell, nn.BatchNorm2d):
            cell.set_train(False)  # its statistics would be those of one half

    random = np.random.default_rng(0)
    colour = np.tile(np.eye(3, 4, dtype=np.float32) / 128, (2, 1, 1))
    for _ in range(STEPS):
        images = random.integers(0, 256, (2, 2, 32, 32, 3), np.uint8)
        places = random.uniform(1, 7, (2, 2, 2))
        for half in halves:
            rows = [object_rows([(1, *place, 3.0, 4.0)], 2) for place in places[half]]
            step(Tensor(images[half]), Tensor(colour), Tensor(np.stack(rows)))
    return {name: parameter.asnumpy() for name, parameter in network.parameters_and_names()}


def normalise_halves(halves: list[int], rank_size: int) -> dict[str, np.ndarray]:
    """Weights and statistics, by name, of a network with synchronised BatchNorms after 3 updates.

    Each update has a batch in two halves; this process takes the given ones at once.
    """
    import mindspore as ms
    from mindspore import Tensor, nn, ops

    from src.training.step import StepOptions, TrainStep
    from src.training.sync_norm import synchronise

    class Normalised(nn.Cell):
        """Two branches, so that AllReduces do not follow from one another."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
            self.branches = nn.CellList([nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 1)])
            self.norms = nn.CellList([nn.BatchNorm2d(4), nn.BatchNorm2d(4)])

        def construct(self, image, colour, objects):
            x = ops.relu(self.norm(self.conv(image)))
            x = self.norms[0](self.branches[0](x)) + self.norms[1](self.branches[1](x))
            return ops.stack([(x * x * colour).mean(), objects.sum()])

    ms.set_seed(0)
    network = Normalised()
    if rank_size > 1:
        synchronise(network, rank_size)
    optimizer = nn.Momentum(network.trainable_params(), 0.1, 0.9)
    step = TrainStep(network, optimizer, StepOptions(1024.0, True), rank_size).set_train()
    random = np.random.default_rng(0)
    for _ in range(3):
        image = random.normal(3.0, 2.0, (2, 2, 3, 6, 6)).astype(np.float32)
        colour = random.normal(size=(2, 2, 4, 6, 6)).astype(np.float32)
        step(*(Tensor(np.concatenate(part[halves])) for part in (image, colour)), Tensor(0.0))
    return {name: parameter.asnumpy() for name, parameter in network.parameters_and_names()}


if __name__ == "__main__":
    main()
