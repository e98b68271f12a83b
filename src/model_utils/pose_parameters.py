# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The section net_config.pose: points, targets, losses and decode of task pose."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, PrivateAttr, model_validator

from src.model_utils.parameter_types import Count, Index, NonNegative, Positive, Section, says
from src.tasks import pose
from src.tasks.task import Task

_MOST_POINTS = 1000
_Numbers = Annotated[list[Positive], Field(max_length=_MOST_POINTS)]
_Pair = Annotated[list[Count], Field(min_length=2, max_length=2)]


class PoseConfig(Section):
    """The section net_config.pose, read by task pose alone."""

    _class_indices: tuple[int, ...] = PrivateAttr(default=())

    keypoints: Annotated[list[str], Field(min_length=1, max_length=_MOST_POINTS)] = says(
        list(pose.NAMES),
        "names of an object's points, in the order of the annotations; left_ and right_ change "
        "places in mirrored images",
        fact="fixed",
    )
    skeleton: list[_Pair] = says(
        [list(pair) for pair in pose.SKELETON],
        "pairs of points, counted from 1, that pictures join",
        fact="usual",
    )
    sigmas: _Numbers = says(
        list(pose.SIGMAS), "sigma of each point in COCO's keypoint similarity (OKS)", fact="usual"
    )
    classes: list[str] = says(
        [], "the classes that have points; [] is all of coco_classes", fact="fixed"
    )
    hp_weight: NonNegative = says(1.0, "weight of the loss of points regressed from the centre")
    hm_hp_weight: NonNegative = says(1.0, "weight of the loss of the heat maps of points")
    hp_offset_weight: NonNegative = says(1.0, "weight of the loss of the offsets of points")
    peak_radius: Index = says(
        0,
        "points and their offsets are regressed at all cells at most so far from the centre and "
        "from the point (TensorFlow: 3), 0 at the cell itself (original)",
    )
    offset_per_point: bool = says(
        False, "offsets of each kind of point for themselves (TensorFlow)", fact="fixed"
    )
    gaussian_scales: _Numbers = says(
        [],
        "factor for each point on the sigma of its object's Gaussian (TensorFlow: ten times COCO's "
        "sigmas, 0.89 for knees); [] draws the object's own for all (original)",
    )
    mask_unlabelled: bool = says(
        False,
        "no loss on a point's heat map inside of boxes of objects without that point (TensorFlow)",
    )
    boxes_without_points: bool = says(
        True,
        "size and offset of objects without a labelled point are learned too, else they are centres"
        " alone (original)",
    )
    candidates: Count = says(
        100, "peaks of each point's heat map that regressed points can move to", fact="fixed"
    )
    candidate_threshold: NonNegative = says(
        0.1, "smallest score of such a peak, and the score of a point that has none", fact="fixed"
    )
    box_scale: Positive = says(
        1.0, "such a peak lies in the object's box, grown by this (TensorFlow: 1.2)", fact="fixed"
    )
    search_range: Positive = says(
        0.3, "and at most this part of that box's longer side away", fact="fixed"
    )

    @property
    def class_indices(self) -> tuple[int, ...]:
        """The classes that have points, as numbers; none for all."""
        return self._class_indices

    def find_classes(self, names: Sequence[str]) -> None:
        """Makes numbers of `classes`, which are among the data set's.

        Raises:
            ValueError: one is not.
        """
        unknown = [name for name in self.classes if name not in names]
        if unknown:
            raise ValueError(
                f"net_config.pose.classes names {unknown[0]!r}, which dataset_config.coco_classes "
                "does not; give classes of the data set, or [] for all"
            )
        self._class_indices = tuple(names.index(name) for name in self.classes)

    @property
    def task(self) -> Task:
        """The facts of the task with these points."""
        return pose.task_with(self.keypoints, self.skeleton, self.sigmas)

    @model_validator(mode="after")
    def _check(self) -> "PoseConfig":
        names = self.keypoints
        if len(set(names)) != len(names):
            raise ValueError("pose.keypoints names a point twice; list each once")
        if len(self.sigmas) != len(names) or len(self.gaussian_scales) not in (0, len(names)):
            raise ValueError(
                f"pose.keypoints has {len(names)} points, but pose.sigmas {len(self.sigmas)} and "
                f"pose.gaussian_scales {len(self.gaussian_scales)} numbers; give one a point"
            )
        if any(point > len(names) for pair in self.skeleton for point in pair):
            raise ValueError(
                f"pose.skeleton names a point beyond the {len(names)} of pose.keypoints; its pairs "
                "count from 1"
            )
        return self
