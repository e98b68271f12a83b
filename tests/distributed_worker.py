# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""One process of a distributed test: python distributed_worker.py [FOLDER].

Prints the weights after each of two steps of a product. With a folder, in which a small data set
is, it then trains a small Network and writes its weights to FOLDER/RANK.npz, prints what it hears
of the other process, and shares an evaluation. Launchers give options instead.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from src.model_utils.config import load_config
from src.model_utils.device_adapter import Device, set_up_device

QUICKSTART = Path(__file__).resolve().parents[1] / "configs" / "quickstart.yaml"
STEPS = 20


def main() -> None:
    device = set_up_device(load_config("", ["--device_target", "CPU"]), may_distribute=True)
    take_two_steps(device)
    if not sys.argv[1].startswith("--"):
        weights = train_on_halves([device.rank], device.rank_size)
        np.savez(Path(sys.argv[1]) / f"{device.rank}.npz", **weights)
        weights = normalise_halves([device.rank], device.rank_size)
        np.savez(Path(sys.argv[1]) / f"normalised_{device.rank}.npz", **weights)
        meet(device)
        evaluate(Path(sys.argv[1]), device.rank, device.rank_size)


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


def meet(device: Device) -> None:
    """Prints what comes of work that ends on both, fails on one, is stopped on one."""
    from src.model_utils import ranks
    from src.model_utils.errors import UserError

    ranks.ROUND_SECONDS = 0.2
    given = ranks.gathered(b"x" * 5 * device.rank, 2)
    print("meets", device.rank, [text.decode() for text in given])

    def work(seconds: float, failing: bool = False) -> Iterator[None]:
        for _ in range(4):
            time.sleep(seconds / 4)
            yield
        if failing:
            raise OSError(28, "No space left on device", "pictures/1.jpg")

    own = time.monotonic()
    print("meets", device.rank, ranks.all_do(work(device.rank), 2), time.monotonic() - own >= 1)
    try:
        ranks.all_do(work(0.1, device.rank == 1), 2)
    except (OSError, UserError) as error:
        print("meets", device.rank, type(error).__name__, error)
    stops = iter([False, False, device.rank == 1])
    left = work(30 * (1 - device.rank))  # 7.5 s a step of the one that nobody stops
    print("meets", device.rank, ranks.all_do(left, 2, lambda: next(stops, False)))
    results: list[int] = []
    scoring = ranks.in_a_thread(lambda: time.sleep(0.7) or 5, results)
    print("meets", device.rank, ranks.all_do(scoring if device.rank == 0 else (), 2), results)


def evaluate(folder: Path, rank: int, rank_size: int) -> None:
    """Writes COCO's results and numbers of this process's Evaluation to FOLDER/RANK.RANK_SIZE.json.

    Each rank has other weights and other statistics, and those of rank 0 are the same however many
    there are.
    """
    from src.evaluation.models import create_detector
    from src.evaluation.run import Evaluation
    from src.model_utils.ranks import take_weights_of_first
    from src.models.network import create_network
    from tests.helpers import config, set_seeded_parameters

    used = config(
        *("--config_path", str(QUICKSTART), "--data_dir", str(folder / "shapes")),
        *("--on_bad_record", "skip", "--eval_config.batch_size", "3"),
        *("--dataset_config.input_res_test", "[64, 64]"),
        *("--net_config.stage_channels", "[8, 8, 16]", "--net_config.up_channels", "[8, 8]"),
        *("--net_config.head_conv", "8"),
    )
    network = create_network(used)
    set_seeded_parameters(network)
    for parameter in network.get_parameters():
        parameter.set_data(parameter * (1.0 + rank))
    take_weights_of_first(network, rank_size)
    place = {"rank": rank, "rank_size": rank_size}
    evaluation = Evaluation(used, create_detector(used, network), "val", **place)
    results = evaluation.detect()
    found = {"results": results, "numbers": evaluation.numbers(lambda: False)}
    (folder / f"{rank}.{rank_size}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
