# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The section net_config.corners: branches, losses and decode of task corners."""

from typing import Annotated

from pydantic import Field, model_validator

from src.model_utils.parameter_types import Channels, NonNegative, Section, says

_Count = Annotated[int, Field(ge=1, le=10_000)]  # the square of it is kept in memory


class CornersConfig(Section):
    """The section net_config.corners, read by task corners alone.

    Of what networks have in common it reads the heads' parameters, hm_weight and off_weight.
    """

    pool_channels: Channels = says(
        128, "channels of the features that are pooled towards each side", fact="fixed"
    )
    pull_weight: NonNegative = says(
        0.1, "weight of the loss of differences between the embeddings of an object's corners"
    )
    push_weight: NonNegative = says(
        0.1, "weight of the loss of embeddings of different objects that are alike"
    )
    candidates: _Count = says(
        100, "best corners of each kind that are paired, all with all", fact="fixed"
    )
    max_distance: NonNegative = says(
        0.5, "largest difference between the embeddings of a pair", fact="fixed"
    )
    pairs: Annotated[int, Field(ge=1, le=100_000)] = says(
        1000,
        "best pairs, which the network puts out; eval_config.K are kept after soft-NMS",
        fact="fixed",
    )

    @model_validator(mode="after")
    def _check(self) -> "CornersConfig":
        if self.pairs > self.candidates**2:
            raise ValueError(
                f"corners.pairs {self.pairs} is more than the {self.candidates**2} pairs of "
                f"corners.candidates {self.candidates}; lower it"
            )
        return self
