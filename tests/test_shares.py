# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Shares of the images of an evaluation; tests/test_distributed.py has two processes share some."""

import numpy as np
import pytest

from src.evaluation import shares
from src.model_utils.errors import UserError


@pytest.mark.parametrize(("images", "batch_size", "ranks"), [(20, 3, 4), (8, 8, 2), (5, 1, 8)])
def test_shares_are_whole_batches_of_one_device_each_in_one_share(images, batch_size, ranks):
    batches = [list(range(i, min(i + batch_size, images))) for i in range(0, images, batch_size)]
    found = [shares.share(images, batch_size, rank, ranks) for rank in range(ranks)]
    for number, batch in enumerate(batches):
        assert [set(batch) <= set(own) for own in found] == [
            i == number % ranks for i in range(ranks)
        ]
    assert sorted(place for own in found for place in own) == list(range(images))


@pytest.mark.parametrize("counts", [[3, None, 0, 1, None], [None], [0], []])
def test_boxes_and_errors_come_out_as_they_went_in(counts: list[int | None]):
    random = np.random.default_rng(0)
    own = [
        UserError(f"val/{i}.jpg: does not decode, ü; restore it.")
        if count is None
        else random.normal(size=(count, 9)).astype(np.float32)
        for i, count in enumerate(counts)
    ]
    found = shares.unpacked(shares.packed(own))
    assert len(found) == len(own)
    for one, other in zip(found, own, strict=True):
        if isinstance(other, UserError):
            assert isinstance(one, UserError) and str(one) == str(other)
        else:
            np.testing.assert_array_equal(one.view(np.uint32), other.view(np.uint32))
            assert one.dtype == np.float32
