# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The assembled models: the network, and the network with its decode for inference."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from src.model_utils.parameters import NetConfig
from src.models.backbones.resnet import ResNet
from src.models.decode import Decode
from src.models.deformable import chosen_form
from src.models.heads import Heads
from src.models.layers import ApplyColour
from src.models.losses import CenterNetLoss, LossOptions
from src.models.necks.up_sampling import UpSampling


class CenterNet(nn.Cell):
    """Backbone, neck and heads: normalised images float32 (B,3,H,W) to (hm, wh[, reg])."""

    def __init__(self, backbone: nn.Cell, neck: nn.Cell, heads: nn.Cell) -> None:
        super().__init__()
        self.backbone, self.neck, self.heads = backbone, neck, heads

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.heads(self.neck(self.backbone(image)))


class CenterNetDetector(nn.Cell):
    """The network with its decode in one graph: images (B,3,H,W) to detections (B,K,6).

    Args:
        network: `CenterNet`.
        decode: `Decode`; if it has flip_test, the mirrored images are run too.
        colour: float32 (3,4) normalisation applied to BGR images in 0..255, of any number type;
            None if the images come normalised, as float32.
    """

    def __init__(self, network: nn.Cell, decode: Decode, colour: np.ndarray | None) -> None:
        super().__init__()
        self.network, self.decode, self.flip_test = network, decode, decode.flip_test
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
        return self.decode(*self.network(image))


class HeatMap(nn.Cell):
    """What the network sees: BGR images (B,3,H,W) in 0..255 to the largest heat of a class (B,h,w).

    Args:
        network: `CenterNet`.
        colour: float32 (3,4), as in `CenterNetDetector`.
        hm_is_logit: as in `Decode`.
    """

    def __init__(self, network: nn.Cell, colour: np.ndarray, hm_is_logit: bool) -> None:
        super().__init__()
        self.network, self.hm_is_logit = network, hm_is_logit
        self.apply_colour, self.colour = ApplyColour(), Tensor(colour[None])
        self.set_train(False)

    def construct(self, image: Tensor) -> Tensor:
        heat = self.network(self.apply_colour(image, self.colour))[0]
        heat = ops.cast(heat, ms.float32).max(axis=1)
        return ops.sigmoid(heat) if self.hm_is_logit else heat


def create_network(config: NetConfig, num_classes: int, deformable: str | None = None) -> CenterNet:
    """Builds the configured network.

    Args:
        config: the network section of the configuration.
        num_classes: number of categories.
        deformable: form instead of the configured one, where there are deformable convolutions;
            the parameters are the same, so checkpoints fit all.
    """
    form = config.deformable
    if form != "none":
        form = deformable or chosen_form(form)
    backbone = ResNet(config.block, config.block_class, config.stage_channels, config.stem_pool)
    neck = UpSampling(backbone.out_channels, config.up_channels, form)
    heads = Heads(
        neck.out_channels, config.head_conv, num_classes, config.cat_spec_wh, config.reg_offset
    )
    return CenterNet(backbone, neck, heads)


def with_loss(
    network: CenterNet, config: NetConfig, num_classes: int, output_size: tuple[int, int]
) -> CenterNetLoss:
    """The network with the configured training loss."""
    options = LossOptions(
        config.hm_weight, config.wh_weight, config.off_weight, config.mse_loss, config.reg_loss,
        config.reg_norm, config.dense_wh, config.cat_spec_wh,
    )  # fmt: skip
    return CenterNetLoss(network, num_classes, output_size, options)


def with_decode(
    network: CenterNet,
    config: NetConfig,
    num_classes: int,
    k: int,
    colour: np.ndarray | None,
    flip_test: bool = False,
) -> CenterNetDetector:
    """The network with decode of the K best boxes; `colour` as in `CenterNetDetector`."""
    decode = Decode(num_classes, k, not config.mse_loss, config.cat_spec_wh, flip_test)
    return CenterNetDetector(network, decode, colour)
