# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The section net_config: parameters that all networks have, and those of each.

A network is chosen by net_config.network. Its class says its own parameters and its geometry; the
cells are in `src.models.features`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Union

from pydantic import Field, model_validator

from src.model_utils.parameter_types import Channels, Count, NonNegative, Section, derived, says


class NetConfig(Section, ABC):
    """What networks have in common."""

    network: str
    down_ratio: Count = says(None, "input size over output size; the network says it")
    head_conv: Channels = says(64, "channels of the 3×3 convolution in each head", fact="fixed")
    dense_hp: bool = says(
        True, "weighted keypoint regression near the centre; read by keypoint models only"
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

    @property
    @abstractmethod
    def stride(self) -> int:
        """What the sides of a network input are multiples of."""

    @abstractmethod
    def own_down_ratio(self) -> int:
        """Input size over output size."""

    def grid_size(self, input_size: Sequence[int]) -> tuple[int, int]:
        """Height and width of the output grid of an input (height, width), any one.

        Each halving rounds up, and what brings the size back doubles.
        """
        height, width = (-(-side // self.stride) * self.stride for side in input_size)
        return height // self.down_ratio, width // self.down_ratio

    @model_validator(mode="after")
    def _derive(self) -> "NetConfig":
        if self.dense_wh and self.cat_spec_wh:
            raise ValueError("dense_wh and cat_spec_wh exclude each other; set one to false")
        found = derived(
            self.down_ratio,
            self.own_down_ratio(),
            "net_config.down_ratio",
            f"network {self.network} with its other parameters",
        )
        object.__setattr__(self, "down_ratio", found)  # frozen for everybody else
        return self


_STAGES = Field(min_length=1, max_length=8)


class UpSampledConfig(NetConfig):
    """A backbone of one map with up-sampling (Objects as Points, section 5)."""

    up_channels: Annotated[list[Channels], Field(max_length=8)] = says(
        [256, 128, 64], "channels of each up-sampling stage", fact="fixed"
    )
    deformable: Literal["auto", "operator", "gather", "grid_sample", "none"] = says(
        "auto",
        "3×3 modulated deformable convolution before each up-sampling, by MindSpore's operator, "
        "one grid_sample or gathers, or none; auto takes grid_sample on Ascend 910B and 910C, "
        "gather on other Ascends, operator elsewhere (docs/ascend.md)",
        fact="usual",
    )

    def own_down_ratio(self) -> int:
        ups, halvings = len(self.up_channels), self.stride.bit_length() - 1
        if ups > halvings:
            raise ValueError(
                f"{ups} stages in up_channels double more often than the {halvings} times that "
                f"network {self.network} halves; take some away"
            )
        return 2 ** (halvings - ups)


class ResNetConfig(UpSampledConfig):
    """ResNet with up-sampling by transposed convolutions (Objects as Points, section 5)."""

    network: Literal["resnet"] = says("resnet", "network that makes the features", fact="fixed")
    num_stacks: Literal[1] = says(1, "number of stacked networks; ResNets have one")
    block: Literal["basic", "bottleneck"] = says(
        "bottleneck", "residual block of the ResNet", fact="fixed"
    )
    block_class: Annotated[list[Annotated[int, Field(ge=1, le=200)]], _STAGES] = says(
        [3, 4, 23, 3],
        "number of blocks in each ResNet stage; [3, 4, 23, 3] with bottleneck is ResNet-101",
        fact="fixed",
    )
    stage_channels: Annotated[list[Channels], _STAGES] = says(
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


class MobileNetV2Config(UpSampledConfig):
    """MobileNetV2 with up-sampling by transposed convolutions."""

    network: Literal["mobilenet_v2"] = says(
        "mobilenet_v2", "network that makes the features", fact="fixed"
    )
    width_multiplier: Annotated[float, Field(ge=0.1, le=4)] = says(
        1.0, "factor on the channels of MobileNetV2, rounded to multiples of 8", fact="fixed"
    )
    stride: ClassVar[int] = 32


NETWORKS: dict[str, type[NetConfig]] = {
    "resnet": ResNetConfig,
    "mobilenet_v2": MobileNetV2Config,
}
Network = Union[tuple(NETWORKS.values())]  # noqa: UP007 (made of the dictionary)
if len(NETWORKS) > 1:
    Network = Annotated[Network, Field(discriminator="network")]
