# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Boxes as pairs of corners (CornerNet, as MMDetection trains it)."""

from src.tasks.boxes import TASK as BOXES
from src.tasks.task import Task

TASK = Task(
    losses=("hm_loss", "pull_loss", "push_loss", "off_loss"),
    metric=BOXES.metric,
    numbers=BOXES.numbers,
    min_overlap=0.3,
    exact_radius=True,
    stretched=True,
    pairs=True,
    rows="net_config.corners.pairs",
    peaks="net_config.corners.candidates",
)
