# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What is to be said of a task."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """Facts of a task.

    Args:
        losses: names of the parts of its loss, in the order of what its `Loss` gives.
        metric: what COCO's evaluation compares, its iouType.
        numbers: names of COCO's numbers, in its order; the first decides which checkpoint is best.
        min_overlap: IoU that a box shifted by the Gaussian radius keeps (CornerNet, section 3.2).
        mirrored: for each of an object's J points the one that it becomes in a mirrored image.
    """

    losses: tuple[str, ...]
    metric: str
    numbers: tuple[str, ...]
    min_overlap: float = 0.7
    mirrored: tuple[int, ...] = ()

    @property
    def points(self) -> int:
        """J."""
        return len(self.mirrored)
