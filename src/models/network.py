# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The models: features and heads, with the loss of a training, with the decode of inference.

The one place that knows networks and tasks by their names.
"""

from types import ModuleType

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.common.initializer import Initializer, Normal, XavierUniform

from src.model_utils.errors import UserError
from src.model_utils.parameters import Config
from src.models.deformable import chosen_form
from src.models.features.dla import DLAFeatures
from src.models.features.hourglass import HourglassFeatures
from src.models.features.mobilenet_v1 import MobileNetV1Features
from src.models.features.mobilenet_v2 import MobileNetV2Features, MobileNetV2FPNFeatures
from src.models.features.mobilenet_v3 import MobileNetV3Features
from src.models.features.resnet import ResNetFeatures, ResNetV1FPNFeatures
from src.models.features.resnet_v2 import ResNetV2Features
from src.models.features.resnet_vd import ResNetVDFeatures
from src.models.features.shufflenet_v2 import ShuffleNetV2Features
from src.models.heads import PYTORCH, Heads
from src.models.layers import ApplyColour
from src.models.tasks import boxes, corners, pose

# Cells of net_config.network: made of net_config, with the `channels` of their maps and the number
# of their `stacks`; images to a map a stack.
FEATURES: dict[str, type[nn.Cell]] = {
    "resnet": ResNetFeatures,
    "mobilenet_v2": MobileNetV2Features,
    "mobilenet_v2_fpn": MobileNetV2FPNFeatures,
    "resnet_v1_fpn": ResNetV1FPNFeatures,
    "resnet_v2": ResNetV2Features,
    "hourglass": HourglassFeatures,
    "dla": DLAFeatures,
    "resnet_vd": ResNetVDFeatures,
    "mobilenet_v1": MobileNetV1Features,
    "mobilenet_v3": MobileNetV3Features,
    "shufflenet_v2": ShuffleNetV2Features,
}
# First weights of the heads, of heat maps and of the others, where they are not PyTorch's default:
# the original's for ResNets, and Keras's. Weights as small as the original's all grow alike where
# the learning rate does not rise slowly, and then boxes of one aspect ratio alone are found.
HEAD_INITS: dict[str, tuple[Initializer, Initializer]] = {
    "resnet": (PYTORCH, Normal(0.001)),
    "mobilenet_v2_fpn": (XavierUniform(), XavierUniform()),
    "resnet_v1_fpn": (XavierUniform(), XavierUniform()),
    "resnet_v2": (XavierUniform(), XavierUniform()),
}
# Modules of a task's cells: `heads`, `Loss` and `Decode`.
TASK_CELLS: dict[str, ModuleType] = {"boxes": boxes, "pose": pose, "corners": corners}


class Network(nn.Cell):
    """Features and heads: normalised images float32 (B,3,H,W) to the maps of the last stack.

    Args:
        features: a cell of `FEATURES`.
        heads: a cell for each stack, from its features to its maps.
    """

    def __init__(self, features: nn.Cell, heads: list[nn.Cell]) -> None:
        super().__init__()
        self.features, self.heads = features, heads[-1]
        self.auxiliary_heads = nn.CellList(heads[:-1])  # only trained

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.heads(self.features(image)[-1])

    def all_maps(self, image: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        """The maps of every stack."""
        features = self.features(image)
        maps = ()
        for stack, heads in enumerate(self.auxiliary_heads):
            maps += (heads(features[stack]),)
        return (*maps, self.heads(features[-1]))


class WithLoss(nn.Cell):
    """A network with the loss of its task.

    Args:
        network: `Network`.
        loss: the task's `Loss`: float32 maps and objects (B,N,8+3J) to float32 (L,), with the
            `weights` of these parts.
    """

    def __init__(self, network: Network, loss: nn.Cell) -> None:
        super().__init__()
        self.network, self.loss = network, loss
        self.apply_colour = ApplyColour()
        self.weights = Tensor(np.array(loss.weights, np.float32))
        self.transpose, self.cast, self.concat = ops.Transpose(), ops.Cast(), ops.Concat(0)

    def construct(self, image: Tensor, colour: Tensor, objects: Tensor) -> Tensor:
        """Losses of a batch, means over the stacks.

        Args:
            image: uint8 (B,H,W,3) BGR. colour: float32 (B,3,4). objects: float32 (B,N,8+3J).

        Returns:
            float32 (1+L,): the weighted total, then the parts.
        """
        image = self.apply_colour(self.transpose(image, (0, 3, 1, 2)), colour)
        stacks = self.network.all_maps(image)
        parts = self._parts(stacks[0], objects)
        for maps in stacks[1:]:
            parts = parts + self._parts(maps, objects)
        if len(stacks) > 1:
            parts = parts * (1.0 / len(stacks))
        return self.concat(((parts * self.weights).sum(keepdims=True), parts))

    def _parts(self, maps: tuple[Tensor, ...], objects: Tensor) -> Tensor:
        in_float32 = ()
        for found in maps:  # they may come in float16
            in_float32 += (self.cast(found, ms.float32),)
        return self.loss(in_float32, objects)


class WithDecode(nn.Cell):
    """The network with its decode in one graph: images (B,3,H,W) to detections (B,K,6+3J).

    Args:
        network: `Network`.
        decode: the task's `Decode`; if it has flip_test, the mirrored images are run too.
        colour: float32 (3,4) normalisation applied to BGR images in 0..255, of any number type;
            None if the images come normalised, as float32.
        stretched_from: down_ratio, if cells of the decode's grid cover the images, see
            `src.tasks.task`: detections are then in cells of so many pixels, as others are.
    """

    def __init__(
        self,
        network: Network,
        decode: nn.Cell,
        colour: np.ndarray | None,
        stretched_from: int = 0,
    ) -> None:
        super().__init__()
        self.network, self.decode, self.flip_test = network, decode, decode.flip_test
        self.stretched_from = stretched_from
        self.mirror, self.concat = ops.ReverseV2([3]), ops.Concat(0)
        self.normalises = colour is not None
        if self.normalises:
            self.apply_colour, self.colour = ApplyColour(), Tensor(colour[None])
        self.set_train(False)

    def construct(self, image: Tensor) -> Tensor:
        if self.normalises:
            image = self.apply_colour(image, self.colour)
        if self.flip_test:
            image = self.concat((image, self.mirror(image)))
        maps = self.network(image)
        detections = self.decode(*maps)
        if self.stretched_from:
            across = image.shape[3] / (maps[0].shape[3] * self.stretched_from)
            down = image.shape[2] / (maps[0].shape[2] * self.stretched_from)
            factors = np.array([[[across, down, across, down, 1, 1]]], np.float32)
            detections = detections * Tensor(factors)
        return detections


class HeatModel(nn.Cell):
    """What the network sees: BGR images (B,3,H,W) in 0..255 to the largest heat of a class (B,h,w).

    Args:
        network: `Network`, whose first map is the heat of the centres, or of the first corners.
        colour: float32 (3,4), as in `WithDecode`.
        hm_is_logit: whether that is a logit.
    """

    def __init__(self, network: Network, colour: np.ndarray, hm_is_logit: bool) -> None:
        super().__init__()
        self.network, self.hm_is_logit = network, hm_is_logit
        self.apply_colour, self.colour = ApplyColour(), Tensor(colour[None])
        self.set_train(False)

    def construct(self, image: Tensor) -> Tensor:
        heat = self.network(self.apply_colour(image, self.colour))[0]
        heat = ops.cast(heat, ms.float32).max(axis=1)
        return ops.sigmoid(heat) if self.hm_is_logit else heat


def create_network(config: Config, deformable: str = "") -> Network:
    """Builds the configured network.

    Args:
        config: task, net_config and the number of classes are read.
        deformable: form instead of the configured one, where there are deformable convolutions;
            the parameters are the same, so checkpoints fit all.

    Raises:
        UserError: the configuration names no classes.
    """
    net = config.net_config
    if not config.dataset_config.coco_classes:
        raise UserError(
            "dataset_config.coco_classes names no classes, and neither does the model; give them."
        )
    form = getattr(net, "deformable", "none")
    if form != "none":
        net = net.model_copy(update={"deformable": deformable or chosen_form(form)})
    features = FEATURES[net.network](net)
    inits = HEAD_INITS.get(net.network, (PYTORCH, PYTORCH))
    heads = TASK_CELLS[config.task].heads(net, config.dataset_config.num_classes)
    return Network(
        features,
        [
            Heads(features.channels, net.head_conv, heads, net.separable_heads, *inits)
            for _ in range(features.stacks)
        ],
    )


def with_loss(network: Network, config: Config) -> WithLoss:
    """The network with the loss of the configured training."""
    dataset = config.dataset_config
    loss = TASK_CELLS[config.task].Loss(
        config.net_config, dataset.num_classes, tuple(dataset.output_res)
    )
    return WithLoss(network, loss)


def with_decode(
    network: Network,
    config: Config,
    colour: np.ndarray | None,
    flip_test: bool = False,
    pools: bool = False,
) -> WithDecode:
    """The network with the decode of its K best objects, `rows` of the configuration.

    Args:
        network: `Network`.
        config: task, net_config, rows and the number of classes are read.
        colour: as in `WithDecode`.
        flip_test: whether mirrored images are run too.
        pools: as of the task's `Decode`.
    """
    decode = TASK_CELLS[config.task].Decode(
        config.net_config,
        config.dataset_config.num_classes,
        config.rows,
        flip_test=flip_test,
        pools=pools,
    )
    stretched_from = config.net_config.down_ratio if config.task_facts.stretched else 0
    return WithDecode(network, decode, colour, stretched_from)
