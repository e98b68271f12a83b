# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Checkpoints of TensorFlow 2: read to the byte, or refused in one sentence."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.model_utils.errors import UserError
from src.weights import files, tensor_bundle
from src.weights.crc32c import crc32c
from tests import tensor_bundles as written
from tests.conftest import FAMILY
from tests.tensor_bundles import VALUE

NAME = "model/_feature_extractor/_base_model/layer_with_weights-0/kernel"
KERNEL = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
ARRAYS = {
    NAME + VALUE: KERNEL,
    f"{NAME}/.OPTIMIZER_SLOT/optimizer/m{VALUE}": np.ones(24, np.float32),
    "model/half" + VALUE: np.array([1.5, -2], np.float16),
    "model/scalar" + VALUE: np.array(7, np.int64),
    "optimizer/beta_1" + VALUE: np.array(0.5, np.float32),
    "save_counter" + VALUE: np.array(3, np.int64),
}


def test_the_check_sum_is_castagnolis():
    # RFC 3720, B.4; the first is the usual check of the algorithm.
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    content = np.random.default_rng(0).bytes(300)
    for length in (*range(10), 63, 64, 65, 300):
        masked = tensor_bundle._masked(crc32c(content[:length])).to_bytes(4, "little")
        assert masked == written.masked_sum(content[:length])


@pytest.mark.parametrize("given", ["a.index", "a.data-00000-of-00001", "checkpoint", "."])
def test_a_checkpoint_is_read_by_any_of_its_files_and_without_the_trainings_state(
    given: str, tmp_path: Path
):
    path = written.write(tmp_path, "a", *written.bundle(ARRAYS, {NAME + VALUE: "Conv1/kernel"}))
    found = files.read(tmp_path / given)
    assert found.path == path and list(found.tensors) == [NAME, "model/half", "model/scalar"]
    np.testing.assert_array_equal(found.tensors[NAME], KERNEL)
    assert found.tensors["model/half"].tolist() == [1.5, -2]
    assert found.tensors["model/half"].dtype == np.float32
    assert found.tensors["model/scalar"].shape == () and found.tensors["model/scalar"] == 7
    assert found.facts == {NAME: "Conv1/kernel"}
    assert "Tensors of float16 (1 in the file) become float32." in found.remarks
    assert "3 in the file) is left out" in found.remarks[-1]


def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path):
    pairs, data = written.bundle({})
    content = np.array([0x3F80, 0xC000], "<u2").tobytes()
    pairs.append((("model/a" + VALUE).encode(), written.entry(14, (2,), len(data), content)))
    found = files.read(written.write(tmp_path, "a", pairs, data + content))
    assert found.tensors["model/a"].tolist() == [1, -2]


def test_several_data_files_are_read_and_a_missing_one_is_named(tmp_path: Path):
    pairs, data = written.bundle({})
    pairs[0] = (b"", written.message((1, 2)))
    content = KERNEL.tobytes()
    of_second = written.entry(1, KERNEL.shape, 0, content, (3, 1))
    path = written.write(tmp_path, "a", [*pairs, ((NAME + VALUE).encode(), of_second)], b"")
    (tmp_path / "a.data-00000-of-00002").write_bytes(data)
    with pytest.raises(UserError, match=r"a\.data-00001-of-00002: is missing, and a\.index"):
        files.read(path)
    (tmp_path / "a.data-00001-of-00002").write_bytes(content)
    np.testing.assert_array_equal(files.read(path).tensors[NAME], KERNEL)


def of_entry(*more: tuple[int, int | bytes], kind: int = 1, shape: tuple[int, ...] = KERNEL.shape):
    """A change of the entry of the kernel."""

    def change(pairs: list[tuple[bytes, bytes]], data: bytes) -> tuple[list, bytes]:
        key, content = (NAME + VALUE).encode(), KERNEL.tobytes()
        at = [name for name, _ in pairs].index(key)
        pairs[at] = (key, written.entry(kind, shape, data.index(content), content, *more))
        return pairs, data

    return change


def first(*pairs: tuple[bytes, bytes]) -> Callable:
    """A change of the first keys and values, the header and the graph."""
    return lambda found, data: ([*pairs, *found[len(pairs) :]], data)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (of_entry((7, b"")), f"{NAME}{VALUE} is partitioned"),
        (of_entry(shape=(2, 3, 5)), r"float32 \(2, 3, 5\) but has 96 bytes"),
        (of_entry(shape=(2**40, 2**40)), "but has 96 bytes"),
        (of_entry(kind=2), "float64 .* but has 96 bytes"),
        (of_entry(kind=8), "is of type 8, which holds no numbers"),
        (of_entry((3, 1)), "its data file 1 is one of 1"),
        (of_entry((4, 2**40)), "is cut off, its tensors have more bytes than it"),
        (of_entry((4, 1)), "the check sum of .* is another"),
        (of_entry((2, 5)), "has other fields"),
        (first((b"", written.message((1, 1), (2, 1)))), "its numbers are big-endian"),
        (first((b"a", b"")), "it has no header"),
        (first((b"", b""), (b"a", written.entry(1, (), 0, bytes(4)))), "no graph of objects"),
        (lambda pairs, data: ([*pairs, pairs[-1]], data), "stands twice"),
        (lambda pairs, data: (pairs[:2], data), "holds no variables"),
        (lambda pairs, data: (pairs, data[:-30]), "is cut off"),
        (lambda pairs, data: (pairs, b"\x05" + data[1:]), "its graph of objects is cut off"),
    ],
)
def test_what_is_not_read_is_one_sentence(change: Callable, reason: str, tmp_path: Path):
    path = written.write(tmp_path, "a", *change(*written.bundle(ARRAYS)))
    with pytest.raises(UserError, match=reason) as refused:
        files.read(path)
    assert str(refused.value).startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "its end is not that of an index"),
        (b"\x89PNG\r\n\x1a\n" * 30, "its end is not that of an index"),
        (written.index([written.block([])], compression=1), r"compressed \(snappy\)"),
        (written.index([written.block([])])[:-1], "its end is not that of an index"),
        (b"x" + written.index([written.block([(b"", b"")])])[1:], "check sum of a block"),
        (written.index([written.block([])])[-48:], "a block reaches beyond its end"),
        (written.index([b"\0\0\0\xff"]), "a block is too short"),
        (written.index([b"\0\x7f\x7f\0\0\0\0"]), "longer than its block"),
    ],
)
def test_a_foreign_or_damaged_index_is_one_sentence(content: bytes, reason: str, tmp_path: Path):
    path = tmp_path / "a.index"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.index: is not a checkpoint .*{reason}"):
        files.read(path)


OF_PARTS = [
    "model/_feature_extractor/_base_model/layer_with_weights-0/kernel",
    "model/_feature_extractor/_base_model/layer_with_weights-1/gamma",
    "model/_prediction_head_dict/box.Sscale/0/layer_with_weights-0/bias",
]


def write_saved_model(folder: Path, names: list[str]) -> None:
    """Writes a SavedModel of variables by their names in a checkpoint; variable i is i."""
    keys, graph = written.saved_model(names)
    arrays = {keys[name] + VALUE: np.full(1, i, np.float32) for i, name in enumerate(names)}
    folder.mkdir()
    (folder / "saved_model.pb").touch()
    written.write(folder / "variables", "variables", *written.bundle(arrays, made=graph))
    (folder / "variables" / "checkpoint").unlink()


@pytest.mark.parametrize("given", [".", "saved_model.pb", "variables/variables.index"])
def test_variables_of_a_saved_model_have_the_names_of_a_checkpoint(given: str, tmp_path: Path):
    write_saved_model(tmp_path / "saved_model", OF_PARTS)
    found = files.read(tmp_path / "saved_model" / given)
    assert {name: array.item() for name, array in found.tensors.items()} == {
        name: i for i, name in enumerate(OF_PARTS)
    }
    assert found.facts == {name: name for name in OF_PARTS}


def test_of_all_networks_variables_of_a_saved_model_have_the_names_of_a_checkpoint(tmp_path: Path):
    lists = sorted(FAMILY.glob("tf_names_*.txt"))
    if not lists:
        pytest.skip("the names of TensorFlow's variables are not beside the project")
    for path in lists:
        names = [line.split("\t")[0] for line in path.read_text().splitlines()]
        write_saved_model(tmp_path / path.stem, names)
        found = files.read(tmp_path / path.stem).tensors
        assert {name: array.item() for name, array in found.items()} == {
            name: i for i, name in enumerate(names)
        }


def test_a_graph_with_an_edge_to_none_or_in_a_ring_ends(tmp_path: Path):
    keys, _ = written.saved_model(OF_PARTS[:1])
    arrays = {keys[OF_PARTS[0]] + VALUE: KERNEL}
    for child, ends in ((0, None), (7, "has an edge to none")):
        edge = written.message((1, child), (2, b"_model"))
        content = written.message((1, written.message((1, edge))))
        graph = written.varint(len(content)) + bytes(4) + content
        path = written.write(tmp_path, "variables", *written.bundle(arrays, made=graph))
        if ends:
            with pytest.raises(UserError, match=ends):
                files.read(path)
        else:
            assert list(files.read(path).tensors) == list(keys.values())  # of no layout


def test_a_folder_without_a_name_and_a_missing_file_are_refused(tmp_path: Path):
    (tmp_path / "checkpoint").write_text("all_model_checkpoint_paths: 1")
    with pytest.raises(UserError, match="it is no regular file"):
        files.read(tmp_path)
    with pytest.raises(UserError, match=r"b\.index: checkpoint not found"):
        files.read(tmp_path / "b.index")
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(UserError, match=r"variables\.index: checkpoint not found"):
        files.read(tmp_path)


def test_a_checkpoint_that_tensorflow_wrote_is_read_to_the_last_byte():
    folder = FAMILY / "tf_checkpoint_mbv2fpn"
    if not folder.is_dir():
        pytest.skip("the checkpoint of TensorFlow is not beside the project")
    found = files.read(folder)
    lines = (FAMILY / "tf_names_mbv2fpn.txt").read_text().splitlines()
    names = [line.split("\t") for line in lines]
    assert found.facts == {key: keras for key, keras, _ in names}
    assert set(found.tensors) == set(found.facts)
    assert {key: "x".join(map(str, found.tensors[key].shape)) for key, _, _ in names} == {
        key: shape for key, _, shape in names
    }
    content = b"".join(found.tensors[key].tobytes() for key, _, _ in names)
    pack = json.loads((FAMILY / "tf_pack.json").read_text())["networks"]["mbv2fpn"]
    assert zlib.crc32(content) == pack["crc32_all_variables"]
