# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Files that lie: every reader ends in a result or in the project's own error."""

import binascii
from pathlib import Path

import numpy as np
import pytest
from mindspore.train.checkpoint_pb2 import Checkpoint

from src.model_utils.errors import UserError
from src.training import checkpoints


def checkpoint_bytes(*tensors: tuple[str, str, list[int], bytes], has_sum: bool = True) -> bytes:
    """A checkpoint as MindSpore's own protobuf classes write it: name, type, dims, content."""
    message = Checkpoint()
    for name, kind, dims, content in tensors:
        value = message.value.add()
        value.tag = name
        value.tensor.tensor_type = kind
        value.tensor.dims.extend(dims)
        value.tensor.tensor_content = content
    content = message.SerializeToString()
    end = b"crc_num" + binascii.crc32(content).to_bytes(10, "big")
    return content + end if has_sum else content


def test_checkpoints_are_read_as_mindspore_writes_them(tmp_path: Path):
    path = tmp_path / "a.ckpt"
    halves = np.arange(6, dtype="<f4").reshape(2, 3)
    path.write_bytes(
        checkpoint_bytes(
            ("a", "Float32", [2, 3], halves[:1].tobytes()),
            ("a", "Float32", [2, 3], halves[1:].tobytes()),  # a large tensor comes in parts
            ("b", "BFloat16", [2], np.array([0x3F80, 0xC000], "<u2").tobytes()),
            ("c", "Int32", [0], np.int32(7).tobytes()),  # how MindSpore writes a scalar
            ("d", "str", [1], "ä\udcff".encode("utf-32-le", "surrogatepass")),
            has_sum=False,
        )
    )
    found = checkpoints.read(path)
    np.testing.assert_array_equal(found["a"].asnumpy(), halves)
    assert found["b"].float().asnumpy().tolist() == [1, -2]
    assert found["c"].shape == () and found["c"].asnumpy() == 7
    assert found["d"] == "ä\udcff"


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        (
            [("a", "Float32", [1], bytes(4_000_000))],
            r"a is Float32 of shape \(1,\) but has 4000000",
        ),
        ([("a", "Float32", [1_000_000], bytes(16))], "but has 16 bytes"),
        ([("a", "Float32", [2**62, 4], b"")], "but has 0 bytes"),
        ([("a", "Float32", [-1, -1], bytes(4))], "but has 4 bytes"),
        ([("a", "Float33", [1], bytes(4))], "of type 'Float33'"),
        ([("a", "Int4", [1], bytes(1))], "of type 'Int4'"),
        ([("a", "Int8", [1] * 9, bytes(1))], "the tensor of a has other fields"),
        ([("a", "str", [1], bytes(3))], "the text a has 3 bytes"),
        ([("a", "str", [1], b"\xff" * 4)], "can't decode"),
        ([("", "Int8", [1], bytes(1))], "a name has 0 bytes"),
        ([("a", "Int8", [1], bytes(1)), ("a", "Int16", [1], bytes(2))], "a stands twice"),
        ([], "it is empty"),
    ],
)
@pytest.mark.parametrize("has_sum", [True, False])
def test_lengths_and_types_of_checkpoints_are_compared_first(
    tensors: list[tuple[str, str, list[int], bytes]], reason: str, has_sum: bool, tmp_path: Path
):
    path = tmp_path / "a.ckpt"
    path.write_bytes(checkpoint_bytes(*tensors, has_sum=has_sum))
    with pytest.raises(UserError, match=reason):
        checkpoints.read(path)
