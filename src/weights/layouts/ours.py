# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""This project's checkpoints, and what src/weights wrote of them."""

from src.weights.checkpoints import STATE_PREFIX
from src.weights.layouts.layout import Layout, Rule

# What more there is than the network has is found when they are compared.
OURS = Layout(
    name="this project's",
    mark=r"(?:features|backbone|neck)\..+\.gamma",
    rules=(
        Rule(rf"{STATE_PREFIX}.+", ignored="the training's state"),
        Rule(r"((?:backbone|neck)\..+)", r"features.\1"),  # as they once were
        Rule(r"(.+)", r"\1"),
    ),
)
