# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What a network can be trained for, as plain facts that host and device share.

The cells of each task are in `src.models.tasks`.
"""

from src.tasks import boxes, corners, pose
from src.tasks.task import Task

TASKS: dict[str, Task] = {"boxes": boxes.TASK, "pose": pose.TASK, "corners": corners.TASK}
