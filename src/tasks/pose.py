# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Poses: boxes with points, such as persons with joints (Objects as Points, section 4.2)."""

from collections.abc import Sequence

from src.tasks.boxes import TASK as BOXES
from src.tasks.task import Task

# COCO's points of a person, in its order.
NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
# Its skeleton, counted from 1 as in its files, and the sigmas of its evaluation.
SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9),
    (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip
SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107,
    0.087, 0.087, 0.089, 0.089,
)  # fmt: skip


def task_with(
    names: Sequence[str], skeleton: Sequence[Sequence[int]], sigmas: Sequence[float]
) -> Task:
    """The facts of poses with these points.

    Args:
        names: of the points. One whose name says left becomes, in a mirrored image, the one of the
            same name with right, and the reverse; others, and those without a counterpart, stay.
        skeleton: pairs of points, counted from 1.
        sigmas: one a point, as of `Task`.
    """
    place = {name: index for index, name in enumerate(names)}
    return Task(
        losses=(*BOXES.losses, "hp_loss", "hm_hp_loss", "hp_offset_loss"),
        metric="keypoints",
        numbers=(
            "AP", "AP50", "AP75", "AP_medium", "AP_large",
            "AR", "AR50", "AR75", "AR_medium", "AR_large",
        ),
        mirrored=tuple(place.get(_other_side(name), index) for name, index in place.items()),
        point_names=tuple(names),
        skeleton=tuple((first - 1, second - 1) for first, second in skeleton),
        sigmas=tuple(sigmas),
    )  # fmt: skip


def _other_side(name: str) -> str:
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")


TASK = task_with(NAMES, SKELETON, SIGMAS)
