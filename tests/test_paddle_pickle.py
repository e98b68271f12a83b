# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Files of PaddlePaddle: read without it, whatever they hold.

They are written by Python's pickle, as `paddle.save` does it; one of PaddlePaddle 3.3.1 itself lies
with the values of the family.
"""

import builtins
import codecs
import collections
import contextlib
import os
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.model_utils.errors import UserError
from src.weights import files, paddle_pickle
from tests.conftest import FAMILY
from tests.test_family_networks import needs_oracles, rule

PROTOCOLS = (2, 3, 4, 5)
TABLE = "StructuredToParameterName@@"
STATE = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7,
    "a.by_column": np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
    "a.half": np.array([1.5, -2.25], np.float16),
    "a.double": np.array([[0.1]], np.float64),
    "a.big_endian": np.array([1, -3, 70000], ">i4"),
    "a.step": np.array(7, np.int64),
    "a.empty": np.zeros((0, 3), np.float32),
    "a.is_on": np.array([True, False]),
}


def write(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def of_numpy_2(content: bytes) -> bytes:
    """A pickle as NumPy 2 writes it, or as NumPy 1 does where that is 2."""
    old, new = b"numpy.core.", b"numpy._core."
    if new in content:
        old, new = new, old
    for module in (b"multiarray", b"numeric"):
        for length in (True, False):  # protocol 4 has one before a text
            theirs, ours = (
                (b"\x8c" + bytes([len(core + module)]) if length else b"c") + core + module
                for core in (old, new)
            )
            content = content.replace(theirs, ours)
    assert new in content and old not in content
    return content


def assert_state(found: dict[str, np.ndarray]) -> None:
    assert list(found) == list(STATE)
    for name, expected in STATE.items():
        kind = np.float32 if expected.dtype.kind == "f" else expected.dtype
        assert found[name].dtype == kind
        np.testing.assert_array_equal(found[name], expected.astype(kind), err_msg=name)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("numpy_2", [False, True])
def test_arrays_of_all_protocols_and_types(protocol: int, numpy_2: bool, tmp_path: Path):
    content = pickle.dumps(STATE | {TABLE: {"a.weight": "conv2d_0.w_0"}}, protocol)
    path = tmp_path / "m.pdparams"
    path.write_bytes(of_numpy_2(content) if numpy_2 else content)
    found = files.read(path)
    assert_state(found.tensors)
    assert found.remarks == [
        "Tensors of float16 (1 in the file) become float32.",
        "Tensors of float64 (1 in the file) become float32.",
        f"What is no array ({TABLE}; 1 in the file) is left out.",
    ]


@needs_oracles
def test_a_file_of_paddlepaddle_holds_the_values_of_the_rule():
    path = FAMILY / "paddle_mbv3_small.pdparams"
    found = files.read(path).tensors
    expected = rule("seeded_weights").network(FAMILY / "pack.json", path.stem)
    assert list(found) == list(expected) and len(found) == 273
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_bfloat16_which_paddlepaddle_gives_as_uint16_becomes_float32(tmp_path: Path):
    state = {"w": np.array([0x3F80, 0xC000], np.uint16), "v": np.array([0x4040], ">u2")}
    found = files.read(write(tmp_path / "m.pdparams", state))
    assert found.tensors["w"].tolist() == [1, -2] and found.tensors["v"].tolist() == [3]
    assert found.tensors["w"].dtype == np.float32
    assert found.remarks == ["Tensors of bfloat16 (2 in the file) become float32."]


def in_parts(array: np.ndarray, parts: int) -> dict[str, object]:
    """As PaddlePaddle saves arrays of 2^30 bytes and more by protocols 2 and 3."""
    names = [f"w@@.{place}" for place in range(parts)]
    pieces = np.array_split(array.ravel(), parts)
    how = {"w": {"OriginShape": array.shape, "slices": names}}
    return dict(zip(names, pieces, strict=True)) | {"UnpackBigParamInfor@@": how}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_in_parts_are_joined(protocol: int, tmp_path: Path):
    whole = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    state = {"b": np.ones(2, np.float32)} | in_parts(whole, 4)
    found = files.read(write(tmp_path / "m.pdparams", state, protocol))
    assert sorted(found.tensors) == ["b", "w"] and not found.remarks
    np.testing.assert_array_equal(found.tensors["w"], whole)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda how: how["slices"].pop(), "the parts of w are not those of an array of shape"),
        (lambda how: how["slices"].append("w@@.0"), "w is an array without numbers, or a part"),
        (lambda how: how["slices"].append([]), "a part of w has no name"),
        (lambda how: how.update(OriginShape=(2**40, 2**40)), "the parts of w are not those"),
        (lambda how: how.update(OriginShape=(-1, 12)), "the shape of w is none"),
        (lambda how: how.clear(), "does not say what w is made of"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change: Callable, reason: str, tmp_path: Path):
    state = in_parts(np.ones((3, 4), np.float32), 3)
    change(state["UnpackBigParamInfor@@"]["w"])
    with pytest.raises(UserError, match=reason):
        files.read(write(tmp_path / "m.pdparams", state))


class Called:
    """Pickled, a call."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.made = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.made


@pytest.mark.parametrize(
    "model",
    [
        {"model": STATE, "epoch": 3},
        collections.OrderedDict(STATE),
        # A tensor that does not stand alone in a state dict is its inner name and its array.
        {name: Called(tuple, (f"conv2d_{i}.w_0", v)) for i, (name, v) in enumerate(STATE.items())},
    ],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_state_dicts_in_other_forms_of_paddle_save(model: dict, protocol: int, tmp_path: Path):
    assert_state(files.read(write(tmp_path / "m.pdparams", model, protocol)).tensors)


def test_one_array_of_two_names_is_told(tmp_path: Path):
    array = np.ones(3, np.float32)
    found = files.read(write(tmp_path / "m.pdparams", {"a": array, "b": array}))
    assert found.remarks == [
        "b and a are one tensor in the file; here each has its own copy of it."
    ]
    assert found.tensors["b"] is found.tensors["a"]  # however many names there are


# --- files beside it ---------------------------------------------------------------------------


def test_averages_are_told_by_the_file_beside_them(tmp_path: Path):
    """PaddleDetection saves the averages as .pdparams and the weights themselves as .pdema."""
    averages = write(tmp_path / "m.pdparams", STATE)
    assert not any("averages" in remark for remark in files.read(averages).remarks)
    weights = write(tmp_path / "m.pdema", STATE)
    assert files.read(averages).remarks[-1] == (
        "It holds averages over the training, as m.pdema beside it shows, which has the weights "
        "themselves."
    )
    found = files.read(weights)
    assert_state(found.tensors)
    assert not any("averages" in remark for remark in found.remarks)


def test_an_optimizers_file_is_told(tmp_path: Path):
    moment = Called(tuple, ("conv2d_0.w_0_moment1_0", np.ones(3, np.float32)))
    state = {"conv2d_0.w_0_moment1_0": moment, "LR_Scheduler": {"last_lr": 0.1}, "last_epoch": 3}
    with pytest.raises(UserError, match=r"is the state of an optimizer; give the \.pdparams file"):
        files.read(write(tmp_path / "m.pdopt", state))


# --- refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("called", "name"),
    [
        (Called(os.system, "true"), r"(posix|nt)\.system"),
        (Called(builtins.eval, "1"), r"builtins\.eval"),
        (Called(np.load, "x.npy"), r"numpy\.load"),
        (Called(codecs.decode, b"x", "hex"), r"_codecs\.decode"),
        (Called(codecs.encode, "x", "idna"), r"_codecs\.encode"),
        (Called(collections.OrderedDict, [("a", 1)]), r"collections\.OrderedDict"),
        (Called(bytes, 10**12), r"builtins\.bytes"),
        (Called(tuple, (1, 2, 3)), r"builtins\.tuple"),
        (Called(getattr, "x", "join"), r"builtins\.getattr"),
        (np.float64(1), r"numpy\.core\.multiarray\.scalar"),
        (Path(), r"pathlib(\._local)?\.\w*Path"),
        (np.ma.masked_array([1.0], [True]), r"numpy\.ma\.\w+(\.\w+)*"),
        (os.system, r"(posix|nt)\.system"),
    ],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_asks_for_a_call_is_refused_by_its_name(
    called: object, name: str, protocol: int, tmp_path: Path
):
    path = write(tmp_path / "m.pdparams", STATE | {"b": called}, protocol)
    with pytest.raises(UserError, match=rf"asks for {name} to be called, so it was not read; "):
        files.read(path)


@pytest.mark.parametrize(
    ("operations", "name"),
    [
        (b"(U\x04trueios\nsystem\n.", r"os\.system"),
        (b"cnumpy\nndarray\n)\x81.", r"numpy\.ndarray"),
        (b"cnumpy\ndtype\n)}\x92.", r"numpy\.dtype"),
        (b"(cnumpy\nndarray\no.", r"numpy\.ndarray"),
        (b"U\x07storageQ.", "persistent_load"),
        (b"Pstorage\n.", "persistent_load"),
        (b"\x82\x07.", "extension 7 of copyreg"),
    ],
)
def test_operations_that_make_objects_are_refused(operations: bytes, name: str):
    with pytest.raises(paddle_pickle.CallRefusedError, match=f"^{name}$"):
        paddle_pickle.read(b"\x80\x02" + operations)


def test_nothing_is_called_where_it_would_show(tmp_path: Path):
    mark = tmp_path / "called"
    with pytest.raises(UserError, match="to be called"):
        files.read(write(tmp_path / "m.pdparams", {"w": Called(os.mkdir, str(mark))}))
    assert not mark.exists()


def array_of(shape: tuple, data: object, code: str = "f4", order: str = "<") -> bytes:
    """A pickle of {"w": array}, the numbers of which are set freely."""

    def value(item: object) -> bytes:
        return pickle.dumps(item, 2)[2:-1]

    state = [1, shape, "TYPE", False, data]
    kind = b"cnumpy\ndtype\n" + value((code, False, True)) + b"R"
    kind += value((3, order, None, None, None, -1, -1, 0)) + b"b"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85U\x01btR("
    items = [kind if item == "TYPE" else value(item) for item in state]
    return b"\x80\x02}U\x01w" + array + b"".join(items) + b"tbs."


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (array_of((10**6, 10**6), b""), r"w is float32 of shape \(1000000, 1000000\) but has 0 b"),
        (array_of((2**62, 4), b""), "but has 0 bytes"),
        (array_of((3,), bytes(11)), r"w is float32 of shape \(3,\) but has 11 bytes"),
        (array_of((3,), bytes(13)), "but has 13 bytes"),
        (array_of((3,), [1.0]), "but has none"),
        (array_of((-1,), bytes(4)), "the shape of w is none"),
        (array_of((2**63,), bytes(4)), "the shape of w is none"),
        (array_of((1.0,), bytes(4)), "the shape of w is none"),
        (array_of((True,), bytes(4)), "the shape of w is none"),
        (array_of((1,) * 9, bytes(4)), "the shape of w is none"),
        (array_of((1,), [None], "O8", "|"), "w is of type O8, which holds no numbers"),
        (array_of((1,), bytes(8), "M8"), "w is of type M8, which holds no numbers"),
        (array_of((1,), bytes(4), "V4", "|"), "w is of type V4, which holds no numbers"),
        (array_of((1,), bytes(4), "f4,f4"), "which holds no numbers"),
        (array_of((1,), bytes(4), order="x"), "it sets a state that no array has"),
        (array_of([1], bytes(4)), "it sets a state that no array has"),
        (pickle.dumps({"w": np.array(["a", None])}), "w is of type O8, which holds no numbers"),
        (pickle.dumps({"w": np.array(["a"])}), "w is of type U1, which holds no numbers"),
        (pickle.dumps({(1, 2): 3}), "a name is no text of at most 1000 letters"),
        (pickle.dumps({"a" * 1001: 3}), "a name is no text of at most 1000 letters"),
        (b"\x80\x02}(U\x01aK\1U\x01aK\2u.", "a stands twice"),
        (b"\x80\x02K\1K\2K\3s.", "gives entries to what is no dictionary"),
        (b"\x80\x02}(K\1u.", "gives entries to what is no dictionary"),
        (b"\x80\x02K\1K\2a.", "gives items to what is no list"),
        (b"\x80\x02K\1)R.", "it calls what has no name"),
        (b"\x80\x04K\1K\2\x93.", "it asks for what has no name"),
        (b"\x80\x02h\7.", "it uses what it has not made"),
        (b"\x80\x02.", "it uses what it has not made"),
        (b"\x80\x02\x86.", "it uses what it has not made"),
        (b"\x80\x02t.", "it uses what it has not made"),
        (b"\x80\x02}u.", "it uses what it has not made"),
        (b"\x80\x05\x97.", "it has the operation NEXT_BUFFER"),
        (b"\x80\x04\x8f.", "it has the operation EMPTY_SET"),
        (b"\x80\x02\xff.", "unknown"),
        (b"\x80", "not enough data"),
        (pickle.dumps(STATE) * 2, "it goes on behind its end at byte"),
        (
            b"\x80\x02}U\x01wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n\x85Rs.",
            "w is an array without numbers",
        ),
    ],
)
def test_what_is_no_array_ends_in_a_sentence(content: bytes, reason: str, tmp_path: Path):
    path = tmp_path / "m.pdparams"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"can be read here \(.*{reason}.*\); fetch it again, or"):
        files.read(path)


def test_such_a_file_that_is_sound_is_read_and_one_of_python_2():
    """Python 2 has one kind of text, also for the numbers."""
    numbers = np.array([1, -2], ">f4").tobytes()
    of_python_2 = array_of((2,), "?", order=">").replace(b"X\1\0\0\0?", b"U\x08" + numbers)
    assert numbers in of_python_2
    for content in (array_of((2,), numbers, order=">"), of_python_2):
        assert paddle_pickle.read(content).tensors["w"].tolist() == [1, -2]


@pytest.mark.parametrize(
    "content",
    [{}, [1], None, "x", {"a": 1, "b": {"c": "d"}}, np.ones(3), {"pickle": pickle.dumps(STATE)}],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_has_no_arrays_by_name_is_refused(content: object, protocol: int, tmp_path: Path):
    with pytest.raises(UserError, match="holds no tensors by name; give a file with a state dict"):
        files.read(write(tmp_path / "m.pdparams", content, protocol))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_file_cut_anywhere_ends_in_a_sentence(protocol: int, tmp_path: Path):
    content, path = pickle.dumps(STATE, protocol), tmp_path / "m.pdparams"
    for length in range(1, len(content)):
        with pytest.raises(ValueError):
            paddle_pickle.read(content[:length])
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="is not a file of PaddlePaddle that can be read here"):
        files.read(path)


LENGTHS = {
    "text": b"X" + (2**31 - 1).to_bytes(4, "little"),
    "long text": b"\x8d" + (2**40).to_bytes(8, "little"),
    "bytes": b"B" + (2**31 - 1).to_bytes(4, "little"),
    "long bytes": b"\x8e" + (2**40).to_bytes(8, "little"),
    "byte array": b"\x96" + (2**62).to_bytes(8, "little"),
    "number": b"\x8b" + (2**31 - 1).to_bytes(4, "little"),
    "frame": b"\x95" + (2**62).to_bytes(8, "little"),
    "memo": b"Nr" + (2**32 - 1).to_bytes(4, "little"),
    "depth": b"]" * 100_000 + b"a" * 99_999,
    "marks": b"(" * 100_000,
    "tuples": b")" + b"\x85" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("announced", LENGTHS)
def test_lengths_and_depths_reserve_nothing(announced: str):
    content = b"\x80\x04" + LENGTHS[announced] + b"."
    tracemalloc.start()
    try:
        with contextlib.suppress(ValueError):
            assert paddle_pickle.read(content) == paddle_pickle.Saved()
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_operations_are_counted(monkeypatch: pytest.MonkeyPatch):
    content = pickle.dumps(STATE)
    monkeypatch.setattr(paddle_pickle, "_MOST_OPERATIONS", 50)
    with pytest.raises(ValueError, match="it has more than 50 operations"):
        paddle_pickle.read(content)


@pytest.mark.parametrize("how", ["array", "text"])
def test_bytes_that_are_used_again_and_again_are_counted(how: str):
    size = 10**5
    kept = {
        "array": b"B" + size.to_bytes(4, "little") + bytes(size),
        "text": b"X" + size.to_bytes(4, "little") + b"a" * size,
    }[how]
    again = {
        "array": b"h\1(h\0h\2J" + size.to_bytes(4, "little") + b"\x85U\1CtR0",
        "text": b"h\3h\0U\6latin1\x86R0",
    }[how].replace(b"0", b"q\7")
    content = b"\x80\x02" + kept + b"q\0cnumpy.core.numeric\n_frombuffer\nq\1"
    content += b"cnumpy\ndtype\nU\2u1\x85Rq\2c_codecs\nencode\nq\3"
    assert paddle_pickle.read(content + again + b".").tensors == {}
    with pytest.raises(ValueError, match="its arrays have more bytes than it"):
        paddle_pickle.read(content + again * 5 + b".")


def test_the_first_bytes_tell_pytorchs_files_from_these(tmp_path: Path, monkeypatch):
    given = []
    monkeypatch.setattr(files, "_read_pytorch", lambda path, is_archive: given.append(path))
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    for content, is_pytorchs in ((magic, True), (magic[:13], False), (b"PK\3\4", True)):
        path = tmp_path / f"{len(content)}.pth"
        path.write_bytes(content)
        if is_pytorchs:
            files.read(path)
            assert given[-1] == path
        else:
            with pytest.raises(UserError, match="is not a file of PaddlePaddle"):
                files.read(path)
    assert len(given) == 2
