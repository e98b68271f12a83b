# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What networks detect, checked. No MindSpore here."""

from collections.abc import Iterable

import numpy as np

from src.model_utils.errors import UserError


def check_finite(boxes: Iterable[np.ndarray]) -> None:
    """Raises UserError if a number in a network's boxes is not finite.

    `Decode` makes it so if one in its heads is not: finite weights may overflow.
    """
    if not all(np.isfinite(found).all() for found in boxes):
        raise UserError(
            "the network's boxes are not finite: its weights are damaged or of a training that "
            "diverged; give an earlier checkpoint."
        )
