# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The section net_config: parameters that all networks have, and those of each.

A network is chosen by net_config.network. Its class says its own parameters and its geometry; the
cells are in `src.models.features`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Union

from pydantic import Field, model_validator

from src.model_utils.corner_parameters import CornersConfig
from src.model_utils.parameter_types import (
    Channels,
    Count,
    NonNegative,
    Probability,
    Section,
    derived,
    says,
)
from src.model_utils.pose_parameters import PoseConfig


class NetConfig(Section, ABC):
    """What networks have in common."""

    has_skips: ClassVar[bool] = False  # adds maps of different strides, which have to meet
    network: str
    down_ratio: Count = says(None, "input size over output size; the network says it")
    head_conv: Channels = says(64, "channels of the 3×3 convolution in each head", fact="fixed")
    separable_heads: bool = says(
        False,
        "that convolution is a depthwise and a 1×1 one, as in TensorFlow's MobileNetV2",
        fact="fixed",
    )
    dense_hp: bool = says(
        True,
        "regress points around the centre too, weighted by the heat map; read by task pose alone",
    )
    dense_wh: bool = says(
        False, "regress width and height around the centre too, weighted by the heat map"
    )
    cat_spec_wh: bool = says(False, "width and height for each category of their own", fact="fixed")
    reg_offset: bool = says(True, "regress the sub-pixel offset of the centre", fact="fixed")
    hm_weight: NonNegative = says(1.0, "weight of the heat map loss")
    off_weight: NonNegative = says(1.0, "weight of the offset loss")
    wh_weight: NonNegative = says(0.1, "weight of the width and height loss")
    mse_loss: bool = says(
        False,
        "mean squared error instead of focal loss on the heat map, whose Gaussians are then the "
        "wider MSRA ones",
        fact="fixed",
    )
    reg_loss: Literal["l1", "sl1"] = says("l1", "L1 or smooth L1 loss on width, height and offset")
    reg_norm: Literal["object", "coordinate"] = says(
        "object",
        "divide regression losses by the number of objects (paper, ModelZoo) or of their "
        "coordinates (original code)",
    )
    cut_gaussians: bool = says(
        True,
        "cut the Gaussians of the heat map at their radius (original), else they reach over the "
        "whole map (TensorFlow)",
    )
    divide_by: Literal["cells", "objects"] = says(
        "cells",
        "divide the heat map loss by the number of cells with a centre and regression losses by "
        "reg_norm plus 1e-4 (original), or all by the objects of a batch, 1 if none (TensorFlow)",
    )
    clip_boxes: bool = says(
        False,
        "sizes below 0 are 0 and boxes end at the border of the network input and of the image "
        "(TensorFlow)",
        fact="fixed",
    )

    pose: PoseConfig = Field(default_factory=PoseConfig)
    corners: CornersConfig = Field(default_factory=CornersConfig)

    @property
    @abstractmethod
    def stride(self) -> int:
        """What the sides of a network input are multiples of."""

    @abstractmethod
    def own_down_ratio(self) -> int:
        """Input size over output size."""

    def grid_size(self, input_size: Sequence[int]) -> tuple[int, int]:
        """Height and width of the output grid of an input (height, width).

        Each halving rounds up, and what brings the size back doubles.

        Raises:
            ValueError: the maps that skips add would not be of one size.
        """
        height, width = (-(-side // self.stride) * self.stride for side in input_size)
        missing = max(height - input_size[0], width - input_size[1])
        if self.has_skips and missing >= self.down_ratio:
            fewer = f", or at most {self.down_ratio - 1} fewer" if self.down_ratio > 1 else ""
            raise ValueError(
                f"network {self.network} with its skips takes sides of a multiple of "
                f"{self.stride} pixels{fewer}"
            )
        return height // self.down_ratio, width // self.down_ratio

    @model_validator(mode="after")
    def _derive(self) -> "NetConfig":
        if self.dense_wh and self.cat_spec_wh:
            raise ValueError("dense_wh and cat_spec_wh exclude each other; set one to false")
        if self.divide_by == "objects" and (self.dense_wh or self.mse_loss):
            raise ValueError(
                "divide_by objects is for losses at centres; set dense_wh and mse_loss to false"
            )
        self._check_pose()
        found = derived(
            self.down_ratio,
            self.own_down_ratio(),
            "net_config.down_ratio",
            f"network {self.network} with its other parameters",
        )
        object.__setattr__(self, "down_ratio", found)  # frozen for everybody else
        return self

    def _check_pose(self) -> None:
        if self.pose.peak_radius and self.dense_hp:
            raise ValueError(
                f"pose.peak_radius {self.pose.peak_radius} and dense_hp are two ways to regress "
                "points around the centre; set one of them to 0 or false"
            )
        if self.pose.mask_unlabelled and self.mse_loss:
            raise ValueError("pose.mask_unlabelled is for focal loss; set mse_loss to false")
        if self.dense_wh and not self.pose.boxes_without_points:
            raise ValueError(
                "pose.boxes_without_points false is for sizes at centres; set dense_wh to false"
            )


_STAGES = Field(min_length=1, max_length=8)
_BlockClass = Annotated[list[Annotated[int, Field(ge=1, le=200)]], _STAGES]
_StageChannels = Annotated[list[Channels], _STAGES]
_UpChannels = Annotated[list[Channels], Field(max_length=8)]
_THREE = Field(min_length=3, max_length=3)
_LEVELS = Field(min_length=2, max_length=8)
_FORMS = (
    "by MindSpore's operator, one grid_sample or gathers, or plain ones (none); auto takes "
    "grid_sample on Ascend 910B and 910C, gather on other Ascends, operator elsewhere "
    "(docs/ascend.md)"
)
_NORM_MOMENTUM = "share of the old value when BatchNorm moves its statistics"


class UpSampledConfig(NetConfig):
    """A backbone with stages behind it that each double the size."""

    finest: ClassVar[int] = 1  # stride that the stages can go back to

    up_channels: _UpChannels = says(
        [256, 128, 64], "channels of each up-sampling stage", fact="fixed"
    )

    def own_down_ratio(self) -> int:
        ups, coarsest = len(self.up_channels), self.stride
        if self.finest * 2**ups > coarsest:
            raise ValueError(
                f"{ups} stages in up_channels double more often than network {self.network} "
                f"halves between strides {self.finest} and {coarsest}; take some away"
            )
        if self.has_skips and not ups:
            raise ValueError(
                f"up_channels is empty, but network {self.network} has a stage or more"
            )
        return coarsest // 2**ups


class DeformableConfig(UpSampledConfig):
    """Up-sampling by transposed convolutions (Objects as Points, section 5)."""

    deformable: Literal["auto", "operator", "gather", "grid_sample", "none"] = says(
        "auto",
        "3×3 modulated deformable convolution before each up-sampling, by MindSpore's operator, "
        "one grid_sample or gathers, or none; auto takes grid_sample on Ascend 910B and 910C, "
        "gather on other Ascends, operator elsewhere (docs/ascend.md)",
        fact="usual",
    )


class _Stages:
    """Stride and checks of a ResNet: a stem that halves twice, stages that halve but the first."""

    @property
    def stride(self) -> int:
        return 2 ** (len(self.block_class) + 1)

    def own_down_ratio(self) -> int:
        stages = len(self.block_class)
        if stages != len(self.stage_channels):
            raise ValueError(
                f"block_class has {stages} stages but stage_channels {len(self.stage_channels)}; "
                "give both one number a stage"
            )
        return super().own_down_ratio()


class ResNetConfig(_Stages, DeformableConfig):
    """ResNet with up-sampling by transposed convolutions (Objects as Points, section 5)."""

    network: Literal["resnet"] = says("resnet", "network that makes the features", fact="fixed")
    num_stacks: Literal[1] = says(1, "number of stacked networks; ResNets have one")
    block: Literal["basic", "bottleneck"] = says(
        "bottleneck", "residual block of the ResNet", fact="fixed"
    )
    block_class: _BlockClass = says(
        [3, 4, 23, 3],
        "number of blocks in each ResNet stage; [3, 4, 23, 3] with bottleneck is ResNet-101",
        fact="fixed",
    )
    stage_channels: _StageChannels = says(
        [64, 128, 256, 512],
        "width of each ResNet stage; bottleneck blocks put out four times as much",
        fact="fixed",
    )
    stem_pool: Literal["symmetric", "same"] = says(
        "symmetric",
        "padding of the stem's max-pooling, on both sides as in PyTorch (symmetric), or "
        "MindSpore's, at the end alone where a side is even, as in ModelZoo and MindCV (same)",
        fact="fixed",
    )


class MobileNetV2Config(DeformableConfig):
    """MobileNetV2 with up-sampling by transposed convolutions."""

    network: Literal["mobilenet_v2"] = says(
        "mobilenet_v2", "network that makes the features", fact="fixed"
    )
    width_multiplier: Annotated[float, Field(ge=0.1, le=4)] = says(
        1.0, "factor on the channels of MobileNetV2, rounded to multiples of 8", fact="fixed"
    )
    stride: ClassVar[int] = 32


class MobileNetV2FPNConfig(UpSampledConfig):
    """MobileNetV2 with a feature pyramid of separable convolutions (TensorFlow's detection zoo)."""

    network: Literal["mobilenet_v2_fpn"] = says(
        "mobilenet_v2_fpn", "network that makes the features", fact="fixed"
    )
    width_multiplier: Annotated[float, Field(ge=0.1, le=4)] = says(
        1.0, "factor on the channels of MobileNetV2, rounded to multiples of 8", fact="fixed"
    )
    up_channels: _UpChannels = says(
        [64, 32, 24], "channels of each up-sampling stage", fact="fixed"
    )
    norm_momentum: Probability = says(
        0.9997,
        f"{_NORM_MOMENTUM}, in the pyramid 0.99 at most; 0.9997 is for trainings of many thousand "
        "updates",
    )
    stride: ClassVar[int] = 32
    has_skips: ClassVar[bool] = True
    finest: ClassVar[int] = 4


class KerasResNetConfig(_Stages, UpSampledConfig):
    """What the ResNets of TensorFlow's detection zoo have in common."""

    block_class: _BlockClass = says(
        [3, 4, 6, 3],
        "number of bottleneck blocks in each ResNet stage; [3, 4, 6, 3] is ResNet-50",
        fact="fixed",
    )
    stage_channels: _StageChannels = says(
        [64, 128, 256, 512],
        "width of each ResNet stage, which puts out four times as much",
        fact="fixed",
    )
    norm_momentum: Probability = says(0.99, _NORM_MOMENTUM)


class ResNetV1FPNConfig(KerasResNetConfig):
    """ResNet with a feature pyramid, which adds its maps from the coarsest to the finest."""

    network: Literal["resnet_v1_fpn"] = says(
        "resnet_v1_fpn", "network that makes the features", fact="fixed"
    )
    has_skips: ClassVar[bool] = True
    finest: ClassVar[int] = 4
    block: ClassVar[str] = "bottleneck"
    stem_pool: ClassVar[str] = "symmetric"


class ResNetV2Config(KerasResNetConfig):
    """ResNet, version 2 (He et al., 2016), with 3×3 up-convolutions."""

    network: Literal["resnet_v2"] = says(
        "resnet_v2", "network that makes the features", fact="fixed"
    )


class HourglassConfig(NetConfig):
    """Stacked hourglasses (Newell et al., 2016; CornerNet, section 3.5)."""

    network: Literal["hourglass"] = says(
        "hourglass", "network that makes the features", fact="fixed"
    )
    num_stacks: Annotated[int, Field(ge=1, le=8)] = says(
        2, "number of stacked hourglasses; each has heads, inference takes the last", fact="fixed"
    )
    stem_channels: Channels = says(128, "channels of the first convolution", fact="fixed")
    dims: Annotated[list[Channels], Field(min_length=2, max_length=8)] = says(
        [256, 256, 384, 384, 384, 512],
        "channels of an hourglass at each size, from the output's down",
        fact="fixed",
    )
    blocks: Annotated[list[Annotated[int, Field(ge=1, le=50)]], Field(min_length=2)] = says(
        [2, 2, 2, 2, 2, 4], "residual blocks at each size", fact="fixed"
    )
    norm_momentum: Probability = says(
        0.9,
        f"{_NORM_MOMENTUM}: 0.9 of the original and CornerNet, 0.1 of TensorFlow",
    )
    has_skips: ClassVar[bool] = True

    @property
    def stride(self) -> int:
        return 4 * 2 ** (len(self.dims) - 1)

    def own_down_ratio(self) -> int:
        if len(self.dims) != len(self.blocks):
            raise ValueError(
                f"dims has {len(self.dims)} sizes but blocks {len(self.blocks)}; give both one "
                "number a size"
            )
        return 4


class DLAConfig(NetConfig):
    """DLA (Yu et al., 2018) with CenterNet's neck of iterative aggregation."""

    network: Literal["dla"] = says("dla", "network that makes the features", fact="fixed")
    num_stacks: Literal[1] = says(1, "number of stacked networks; DLA has one")
    level_depths: Annotated[list[Annotated[int, Field(ge=1, le=5)]], _LEVELS] = says(
        [1, 1, 1, 2, 2, 1],
        "convolutions in the first two levels, depth of the tree in the others; this is DLA-34",
        fact="fixed",
    )
    level_channels: Annotated[list[Channels], _LEVELS] = says(
        [16, 32, 64, 128, 256, 512],
        "channels of each level, which halves the size but for the first",
        fact="fixed",
    )
    first_level: Annotated[int, Field(ge=0, le=6)] = says(
        2, "first level, counted from 0, that the neck takes; the output has its size", fact="fixed"
    )
    last_level: Annotated[int, Field(ge=1, le=8)] = says(
        5,
        "level before which the aggregated maps end that are joined into the output; the neck "
        "takes all levels",
        fact="fixed",
    )
    deformable: Literal["auto", "operator", "gather", "grid_sample", "none"] = says(
        "auto", "3×3 modulated deformable convolutions in the neck; " + _FORMS, fact="usual"
    )
    has_skips: ClassVar[bool] = True

    @property
    def stride(self) -> int:
        return 2 ** (len(self.level_channels) - 1)

    def own_down_ratio(self) -> int:
        levels = len(self.level_channels)
        if len(self.level_depths) != levels:
            raise ValueError(
                f"level_depths has {len(self.level_depths)} levels but level_channels {levels}; "
                "give both one number a level"
            )
        _check_joined(self.first_level, self.last_level, levels)
        return 2**self.first_level


class ResNetVDConfig(NetConfig):
    """ResNet of variant d with deformable convolutions and DLA's neck of plain ones."""

    network: Literal["resnet_vd"] = says(
        "resnet_vd", "network that makes the features", fact="fixed"
    )
    num_stacks: Literal[1] = says(1, "number of stacked networks; ResNets have one")
    block_class: _BlockClass = says(
        [3, 4, 6, 3],
        "number of bottleneck blocks in each ResNet stage; [3, 4, 6, 3] is ResNet-50",
        fact="fixed",
    )
    stage_channels: _StageChannels = says(
        [64, 128, 256, 512],
        "width of each ResNet stage, which puts out four times as much",
        fact="fixed",
    )
    deformable_stages: Annotated[int, Field(ge=0, le=8)] = says(
        1, "so many of the last stages have deformable 3×3 convolutions", fact="fixed"
    )
    first_level: Annotated[int, Field(ge=0, le=6)] = says(
        0, "first stage, counted from 0, that the neck takes; the output has its size", fact="fixed"
    )
    last_level: Annotated[int, Field(ge=1, le=8)] = says(
        4,
        "stage before which the aggregated maps end that are joined into the output; the neck "
        "takes all stages",
        fact="fixed",
    )
    deformable: Literal["auto", "operator", "gather", "grid_sample", "none"] = says(
        "auto", "3×3 modulated deformable convolutions in these stages; " + _FORMS, fact="usual"
    )
    has_skips: ClassVar[bool] = True
    block: ClassVar[str] = "bottleneck"
    stem_pool: ClassVar[str] = "symmetric"

    @property
    def stride(self) -> int:
        return 2 ** (len(self.block_class) + 1)

    def own_down_ratio(self) -> int:
        stages = len(self.block_class)
        if stages != len(self.stage_channels):
            raise ValueError(
                f"block_class has {stages} stages but stage_channels {len(self.stage_channels)}; "
                "give both one number a stage"
            )
        _check_joined(self.first_level, self.last_level, stages)
        return 2 ** (2 + self.first_level)


class AggregatedConfig(NetConfig):
    """Backbones with DLA's neck of plain convolutions, which joins all of their maps."""

    stride: ClassVar[int] = 32
    has_skips: ClassVar[bool] = True

    def own_down_ratio(self) -> int:
        return 4


class MobileNetV1Config(AggregatedConfig):
    """MobileNetV1 (Howard et al., 2017) with DLA's neck of plain convolutions."""

    network: Literal["mobilenet_v1"] = says(
        "mobilenet_v1", "network that makes the features", fact="fixed"
    )
    width_multiplier: Annotated[float, Field(ge=0.1, le=4)] = says(
        1.0, "factor on the channels of MobileNetV1, rounded to multiples of 8", fact="fixed"
    )


class MobileNetV3Config(AggregatedConfig):
    """MobileNetV3 (Howard et al., 2019) with DLA's neck of plain convolutions."""

    network: Literal["mobilenet_v3"] = says(
        "mobilenet_v3", "network that makes the features", fact="fixed"
    )
    variant: Literal["large", "small"] = says(
        "large",
        "of the two MobileNetV3; the neck of the small one starts from maps of stride 8, and its "
        "output is enlarged",
        fact="fixed",
    )
    width_multiplier: Annotated[float, Field(ge=0.1, le=4)] = says(
        1.0, "factor on the channels of MobileNetV3, rounded to multiples of 8", fact="fixed"
    )


class ShuffleNetV2Config(AggregatedConfig):
    """ShuffleNetV2 (Ma et al., 2018) with DLA's neck of plain convolutions."""

    network: Literal["shufflenet_v2"] = says(
        "shufflenet_v2", "network that makes the features", fact="fixed"
    )
    stage_units: Annotated[list[Annotated[int, Field(ge=1, le=200)]], _THREE] = says(
        [4, 8, 4], "number of units in each of the three stages", fact="fixed"
    )
    stage_channels: Annotated[list[Annotated[Channels, Field(multiple_of=2)]], _THREE] = says(
        [116, 232, 464],
        "channels of each stage, even numbers; these are of width 1, [48, 96, 192] of 0.5",
        fact="fixed",
    )


def _check_joined(first: int, last: int, levels: int) -> None:
    if not first < last <= levels or first > levels - 2:
        raise ValueError(
            f"the neck joins levels from first_level {first} to before last_level {last}, of "
            f"{levels}; first_level has to be below last_level and have a level behind it, and "
            f"last_level is at most {levels}"
        )


NETWORKS: dict[str, type[NetConfig]] = {
    "resnet": ResNetConfig,
    "mobilenet_v2": MobileNetV2Config,
    "mobilenet_v2_fpn": MobileNetV2FPNConfig,
    "resnet_v1_fpn": ResNetV1FPNConfig,
    "resnet_v2": ResNetV2Config,
    "hourglass": HourglassConfig,
    "dla": DLAConfig,
    "resnet_vd": ResNetVDConfig,
    "mobilenet_v1": MobileNetV1Config,
    "mobilenet_v3": MobileNetV3Config,
    "shufflenet_v2": ShuffleNetV2Config,
}
Network = Annotated[
    Union[tuple(NETWORKS.values())],  # noqa: UP007 (made of the dictionary)
    Field(discriminator="network"),
]
