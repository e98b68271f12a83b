# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What the launchers say, by environment variables, about a process and its companions.

The rank-table launcher sets RANK_SIZE and DEVICE_ID, as ModelArts does with RANK_SIZE; MindSpore's
own launcher sets MS_WORKER_NUM and MS_ROLE.
"""

import os


def process_count() -> int:
    """Number of processes that train together; 1 without a launcher."""
    return int(os.environ.get("RANK_SIZE") or os.environ.get("MS_WORKER_NUM") or 1)


def has_scheduler() -> bool:
    """Whether MindSpore's scheduler, a process of its own, waits for this one to join."""
    return "MS_ROLE" in os.environ


def is_scheduler() -> bool:
    """Whether this process only brings the others together, and trains nothing."""
    return os.environ.get("MS_ROLE") == "MS_SCHED"


def device_id(default: int) -> int:
    """Index of the device on its server; `default` where no launcher says one."""
    return int(os.environ.get("DEVICE_ID") or default)
