# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Networks and inputs that every machine makes alike: all of it is drawn by NumPy."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from src.data.augment import colour_statistics, normalisation
from src.data.objects import object_tables
from src.model_utils.config import DEFAULT_CONFIG_PATH, load_config
from src.model_utils.parameters import Config
from src.models.deformable import DeformableConv
from src.models.network import Network, create_network, with_loss
from src.training.optimizer import create_optimizer
from src.training.step import StepOptions, TrainStep

SIDE = 64  # of the network's input, in pixels
TRAINING_STEPS, TRAINING_BATCH, LEARNING_RATE, LOSS_SCALE = 20, 4, 2e-4, 1024.0
# Channels and side of the map of the small deformable layer.
LAYER_CHANNELS, LAYER_SIDE = 16, 12
_OFFSET_GAIN = 0.05  # keeps samples off whole pixels, where bilinear sampling has a kink


def quickstart_config() -> Config:
    """The quick start's configuration for images of SIDE pixels, with deformable layers."""
    return load_config(
        "",
        [
            *("--config_path", str(DEFAULT_CONFIG_PATH.parent / "configs" / "quickstart.yaml")),
            *("--dataset_config.input_res_train", f"[{SIDE}, {SIDE}]"),
            *("--net_config.deformable", "auto"),
        ],
    )


def set_parameters(cell: nn.Cell) -> None:
    """Draws all parameters, each from its place in the order of the cell's parameters.

    Kernels are normal with a deviation of sqrt(2 / fan-in), scales and variances uniform in
    0.5..1.5, and biases, shifts and means their first value plus a normal of deviation 0.1. Offsets
    of deformable convolutions are a third of a pixel and little more or less.
    """
    for place, (name, parameter) in enumerate(cell.parameters_and_names()):
        random = np.random.default_rng(place)
        shape = parameter.shape
        if len(shape) == 4:
            values = random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
            values *= _OFFSET_GAIN if "conv_offset" in name else 1.0
        elif name.endswith(("gamma", "moving_variance")):
            values = random.uniform(0.5, 1.5, shape)
        else:
            values = parameter.asnumpy() + random.normal(0, 0.1, shape)
            if "conv_offset" in name:
                values[:18] = 1 / 3
        parameter.set_data(Tensor(values.astype(np.float32)))


def network(deformable: str) -> Network:
    """A seeded network of the quick start's size, for evaluation.

    Args:
        deformable: form of its deformable convolutions, or "none".
    """
    config = quickstart_config()
    if deformable == "none":
        net = config.net_config.model_copy(update={"deformable": "none"})
        config = config.model_copy(update={"net_config": net})
    cell = create_network(config, deformable)
    set_parameters(cell)
    return cell.set_train(False)


def training_step(deformable: str) -> TrainStep:
    """The training's step around a seeded network: Adam, a dynamic loss scale."""
    config = quickstart_config()
    cell = with_loss(network(deformable), config)
    rates = np.full(2 * TRAINING_STEPS, LEARNING_RATE, np.float32)
    optimizer = create_optimizer(config.train_config, cell, rates)
    options = StepOptions(LOSS_SCALE, skip_overflow=True, is_dynamic=True)
    return TrainStep(cell, optimizer, options).set_train()


def deformable_layer(form: str) -> DeformableConv:
    layer = DeformableConv(LAYER_CHANNELS, LAYER_CHANNELS, form)
    set_parameters(layer)
    return layer


def normal(*shape: int) -> np.ndarray:
    """Normal values, float32, the same for each shape."""
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def image() -> np.ndarray:
    """A normalised image (1,3,SIDE,SIDE)."""
    return normal(1, 3, SIDE, SIDE)


def training_batch(step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images, colours and objects of a step, as the loader gives them.

    Each image holds two rectangles, each in the colour of its class, on grey noise.
    """
    config = quickstart_config().dataset_config
    random = np.random.default_rng((TRAINING_STEPS, step))
    shape = (TRAINING_BATCH, SIDE, SIDE, 3)
    images = random.integers(96, 160, shape).astype(np.uint8)
    boxes, classes = [], []
    for picture in images:
        for left in (0, SIDE // 2):
            low = np.array([left, 0]) + random.integers(0, SIDE // 4, 2)
            x, y, right, bottom = *low, *(low + random.integers(8, SIDE // 4, 2))
            label = random.integers(config.num_classes)
            picture[y:bottom, x:right] = [40 * label, 255 - 40 * label, 127]
            boxes.append([x, y, right, bottom])
            classes.append(label)
    owner = np.repeat(np.arange(TRAINING_BATCH), 2)
    objects = object_tables(
        np.array(boxes) / 4.0, np.array(classes), owner,
        images=TRAINING_BATCH, grid_size=config.output_res, max_objs=config.max_objs,
    )  # fmt: skip
    colour = normalisation(colour_statistics(config))
    return Tensor(images), Tensor(np.tile(colour, (TRAINING_BATCH, 1, 1))), Tensor(objects)


def planted_heads(classes: int, side: int, count: int) -> tuple[np.ndarray, ...]:
    """hm logits, wh and reg of one image with `count` peaks of well separated scores.

    To the right of each stands a cell that is lower by what float16 cannot tell: where peaks are
    compared in it, both are peaks, and where only one side of the comparison is, none.
    """
    random = np.random.default_rng(count)
    hm = random.uniform(-6, -4, (1, classes, side, side))
    places = random.choice((side // 4) ** 2 * classes, count, replace=False)
    label, y, x = np.unravel_index(places, (classes, side // 4, side // 4))
    score = np.linspace(0.9, 0.25, count)
    hm[0, label, 4 * y, 4 * x] = np.log(score / (1 - score))
    hm[0, label, 4 * y, 4 * x + 1] = np.log(score / (1 - score)) - 1e-4
    wh, reg = random.uniform(2, 20, (1, 2, side, side)), random.uniform(0, 1, (1, 2, side, side))
    return hm.astype(np.float32), wh.astype(np.float32), reg.astype(np.float32)


def decode(hm: np.ndarray, wh: np.ndarray, reg: np.ndarray, count: int) -> np.ndarray:
    """The `count` best peaks of one image's heads as boxes (count,6), in float64, plainly."""
    score = 1 / (1 + np.exp(-hm[0].astype(np.float64)))
    height, width = score.shape[1:]
    padded = np.pad(score, ((0, 0), (1, 1), (1, 1)))
    shifts = [(dy, dx) for dy in range(3) for dx in range(3)]
    around = [padded[:, dy : dy + height, dx : dx + width] for dy, dx in shifts]
    score = np.where(score == np.max(around, axis=0), score, 0)
    best = np.argsort(-score, axis=None, kind="stable")[:count]
    label, y, x = np.unravel_index(best, score.shape)
    centre = np.stack((x, y), 1) + reg[0, :, y, x]
    half = wh[0, :, y, x] / 2
    return np.column_stack((centre - half, centre + half, score.ravel()[best], label))


def run(cell: nn.Cell, *inputs: np.ndarray) -> list[np.ndarray]:
    """The outputs of a compiled cell."""
    outputs = cell(*map(Tensor, inputs))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return [output.asnumpy() for output in outputs]


def layer_gradients(layer: nn.Cell) -> nn.Cell:
    """Of the sum of a layer's outputs: with respect to its input, then its parameters."""
    weights = ms.ParameterTuple(layer.trainable_params())
    return ms.grad(layer, grad_position=0, weights=weights)
