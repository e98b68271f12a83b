# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What several test files share."""

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import Parameter, Tensor, nn, ops

from src.data import augment
from src.data.objects import object_tables
from src.model_utils.config import leaves, load_config, validated
from src.model_utils.files import sha256
from src.model_utils.parameters import Config, DatasetConfig
from src.models.network import Network
from src.weights import checkpoints
from tests import reference
from tests.conftest import FAMILY
from tests.oracles.seeded import seeded_array

ORACLES = Path(__file__).parent / "oracles"
# PyTorch's offsets go y, x, y, x ...; ours are nine x, nine y.
X_THEN_Y = [*range(1, 18, 2), *range(0, 18, 2)]
PYTORCH_NAMES = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def assert_same(found: Path, expected: Path) -> None:
    """Two checkpoints hold the same bits, progress and configuration apart."""
    one, other = checkpoints.read(found), checkpoints.read(expected)
    assert list(one) == list(other)
    for name, value in one.items():
        if not isinstance(value, str):
            np.testing.assert_array_equal(value.asnumpy(), other[name].asnumpy(), err_msg=name)


def oracle(name: str) -> dict[str, np.ndarray]:
    """Stored PyTorch values; see tests/oracles/README.md."""
    with np.load(ORACLES / f"{name}.npz") as arrays:
        return dict(arrays)


def tensorflow_stored(name: str) -> dict[str, np.ndarray]:
    """Stored TensorFlow values of input, targets, losses or decode; skips where they are not."""
    path = FAMILY / f"tf_{name}.npz"
    if not path.is_file():
        pytest.skip("the values of TensorFlow are not beside the project")
    with np.load(path) as arrays:
        return dict(arrays)


def tensorflow_maps(name: str, channels: int, mean: float, std: float) -> np.ndarray:
    """A head that these were made with, (3,channels,64,64), by their rule: seeded by its name."""
    pack = json.loads((FAMILY / "tf_pack.json").read_text())
    seed = zlib.crc32(f"{pack['seed']}/{name}".encode())
    maps = np.random.default_rng(seed).normal(mean, std, (3, 64, 64, channels))
    return np.ascontiguousarray(maps.transpose(0, 3, 1, 2), np.float32)


def config(*arguments: str) -> Config:
    """The default configuration with ``--section.key value`` pairs on top."""
    return load_config("tests", arguments)


def changed(used: Config, classes: int = 0, **net: object) -> Config:
    """A configuration with other parameters of the network, and a number of classes."""
    values = {name: value for name, value in leaves(used.model_dump()) if name in used.origins}
    values |= {f"net_config.{name}": value for name, value in net.items()}
    if classes:
        names = [*used.net_config.pose.classes, *(f"class {i}" for i in range(classes))]
        values["dataset_config.coco_classes"] = names[:classes]
        values.pop("dataset_config.num_classes", None)
    return validated(values, used.origins)


def statistics() -> augment.ColourStatistics:
    return augment.colour_statistics(config().dataset_config)


def random_affine(
    random: np.random.Generator,
    size: tuple[int, int],
    output_size: tuple[int, int],
    augmentation: DatasetConfig,
) -> np.ndarray:
    """The affine (2,3) of a batch of one image."""
    return augment.random_affines(random, np.array([size]), output_size, augmentation)[0]


def random_colour(
    random: np.random.Generator, means: np.ndarray, colours: augment.ColourStatistics
) -> np.ndarray:
    """The colour affine (3,4) of a batch of one image."""
    return augment.random_colours(random, means[None], colours)[0]


def object_table(
    boxes: np.ndarray, classes: np.ndarray, output_size: tuple[int, int], max_objs: int
) -> np.ndarray:
    """The table (max_objs,8) of a batch of one image."""
    image = np.zeros(len(boxes), int)
    return object_tables(boxes, classes, image, images=1, grid_size=output_size, max_objs=max_objs)[
        0
    ]


def pytorch_name(name: str) -> str:
    """features.backbone.layer1.0.bn1.gamma is layer1.0.bn1.weight in the original's checkpoints."""
    *cells, last = name.removeprefix("features.").split(".")[1:]
    cells = ["conv_offset_mask" if cell == "conv_offset" else cell for cell in cells]
    return ".".join([*cells, PYTORCH_NAMES.get(last, last)])


def set_seeded_parameters(network: Network) -> Network:
    """Gives a network the parameters of tests/oracles/seeded.py: all of them matter."""
    for name, parameter in network.parameters_and_names():
        values = seeded_array(pytorch_name(name), parameter.shape)
        if "conv_offset" in name:
            values = values[[*X_THEN_Y, *range(18, 27)]]
        parameter.set_data(Tensor(values))
    return network


@contextmanager
def graph_mode() -> Iterator[None]:
    """MindSpore compiles cells, as in all programs of this repository."""
    before = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE)
    try:
        yield
    finally:
        ms.set_context(mode=before)


def run(cell: nn.Cell, *inputs: np.ndarray) -> list[np.ndarray]:
    """All outputs of ``cell``, compiled."""
    with graph_mode():
        outputs = cell(*(Tensor(value) for value in inputs))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return [output.asnumpy() for output in outputs]


def run_with_gradients(
    cell: nn.Cell, *inputs: np.ndarray, parameters: Sequence[ms.Parameter] = ()
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Outputs, and gradients of the first with respect to the first input, then ``parameters``."""
    with graph_mode():
        function = ops.value_and_grad(
            cell, 0, list(parameters) or None, has_aux=len(parameters) == 0
        )
        outputs, found = function(*(Tensor(value) for value in inputs))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        found = (found[0], *found[1]) if parameters else (found,)
        return [value.asnumpy() for value in outputs], [value.asnumpy() for value in found]


def object_rows(
    objects: Sequence[Sequence[float]], count: int, radius: int | None = None
) -> np.ndarray:
    """Objects (class, cx, cy, w, h) as a table (count, 8), written without ``src``.

    ``radius`` replaces the radius that follows from the size.
    """
    table = np.zeros((count, 8), np.float32)
    table[:, 7] = -1
    for row, (label, cx, cy, w, h) in zip(table, objects, strict=False):
        own = int(reference.gaussian_radius(np.ceil(h), np.ceil(w)))
        row[:] = (
            int(cx), int(cy), cx - int(cx), cy - int(cy), w, h, own if radius is None else radius,
            label,
        )  # fmt: skip
    return table


class GivenHeads(nn.Cell):
    """A network that puts out the heads it was given, whatever the image."""

    def __init__(self, *heads: np.ndarray) -> None:
        super().__init__()
        self.hm = Parameter(Tensor(heads[0]), name="hm")
        self.wh = Parameter(Tensor(heads[1]), name="wh")
        self.has_reg = len(heads) == 3
        if self.has_reg:
            self.reg = Parameter(Tensor(heads[2]), name="reg")

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        if self.has_reg:
            return self.hm.value(), self.wh.value(), self.reg.value()
        return self.hm.value(), self.wh.value()

    def all_maps(self, image: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        return (self.construct(image),)


def turned_by_exif(jpeg: bytes, orientation: int = 6) -> bytes:
    """The JPEG with an orientation, 6 for a quarter turn, in an EXIF segment."""
    entry = b"\x12\x01\x03\x00\x01\x00\x00\x00" + bytes([orientation, 0, 0, 0])
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00" + entry + b"\x00\x00\x00\x00"
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def write_sums_again(folder: Path, prefix: str = "coco_det.train.mind") -> None:
    """Makes a MindRecord set's manifest state the check sums that its files have now."""
    path = folder / f"{prefix}.json"
    manifest = json.loads(path.read_bytes())
    for name in manifest["files"]:
        manifest["files"][name]["sha256"] = sha256(folder / name)
    path.write_text(json.dumps(manifest))


def benchmark(name: str, *options: object) -> "subprocess.CompletedProcess[str]":
    """Runs a benchmark in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *map(str, options)],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
