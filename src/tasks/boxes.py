# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Boxes of objects (Objects as Points, section 3)."""

from src.tasks.task import Task

TASK = Task(
    losses=("hm_loss", "wh_loss", "off_loss"),
    metric="bbox",
    numbers=(
        "AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
        "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large",
    ),
)  # fmt: skip
