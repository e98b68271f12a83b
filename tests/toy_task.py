# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Facts of a task made for the tests: sticks, boxes with two points, their upper and lower end."""

from src.tasks import boxes
from src.tasks.task import Task

TASK = Task(
    losses=(*boxes.TASK.losses, "ends_loss"),
    metric=boxes.TASK.metric,
    numbers=boxes.TASK.numbers,
    mirrored=(0, 1),
)
