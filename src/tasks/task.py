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
        exact_radius: whether that radius is by the roots of CornerNet's equations (MMDetection),
            else as CenterNet's code takes them.
        stretched: whether the output grid covers the network input, so that of an input H×W and a
            grid h×w a cell is H/h by W/w pixels and boxes end at the grid's border; else a cell is
            down_ratio pixels whatever the input, and boxes end in the last cell's corner.
        pairs: whether detections are pairs of corners, of which an image can have fewer than rows,
            and which soft-NMS merges if they are of views of an image; see `PostProcessing`.
        rows: the parameter that says how many detections the network puts out.
        peaks: the parameter that says how many peaks it looks for in the heat maps of an image.
        mirrored: for each of an object's J points the one that it becomes in a mirrored image.
        point_names: of the points.
        skeleton: pairs of points that a picture joins, counted from 0.
        sigmas: how far points of each kind are placed apart by those who label them, as a part of
            the root of the object's area (COCO's OKS, 2·sigma is its k).
    """

    losses: tuple[str, ...]
    metric: str
    numbers: tuple[str, ...]
    min_overlap: float = 0.7
    exact_radius: bool = False
    stretched: bool = False
    pairs: bool = False
    rows: str = "eval_config.K"
    peaks: str = "eval_config.K"
    mirrored: tuple[int, ...] = ()
    point_names: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] = ()

    @property
    def points(self) -> int:
        """J."""
        return len(self.mirrored)
