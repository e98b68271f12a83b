# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Gives a reader of the project inputs that lie: python -m tests.hostile READER FIRST COUNT FOLDER

Each of COUNT inputs is made from a sound one with a seed of its own, from FIRST on. What ends in
neither a result nor a `UserError`, or takes a second of the processor or 500 MB, is printed. A
crash ends this process: the last number that it has printed is the input's seed.
"""

import binascii
import contextlib
import hashlib
import io
import itertools
import json
import math
import pickle
import pickletools
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import mindspore as ms
import numpy as np
import safetensors.numpy
from mindspore.train.checkpoint_pb2 import Checkpoint
from PIL import Image

from src.data.synthetic import GENERATOR_VERSION
from src.model_utils import facts
from src.model_utils.config import load_config
from src.model_utils.errors import UserError
from tests import tensor_bundles

PROJECT = Path(__file__).resolve().parents[1]
QUICKSTART = PROJECT / "configs" / "quickstart.yaml"
NAMES = [
    "annotations", "keypoints", "keypoints of truth", "image.jpg", "image.cmyk.jpg",
    "image.png", "image.bmp", "image.webp", "image.tif", "image.jp2", "image.ppm",
    "video", "manifest", "earlier manifest", "mindrecord",
    "synthetic", "checkpoint", "training", "safetensors", "pth", "pdparams",
    "tensorflow", "tensorflow data", "facts", "mindir", "onnx", "yaml", "ini",
    "rank_table", "super_pod_table", "hccn.conf", "meta.txt", "written",
    "detections", "results", "metrics", "scores", "steps", "lock",
]  # fmt: skip
SECONDS, MEGABYTES = 1.0, 500
OF_TENSORFLOW = {
    f"model/{name}/.ATTRIBUTES/VARIABLE_VALUE": np.ones(shape, np.float32)
    for name, shape in (("a/kernel", (3, 4)), ("a/bias", 3), ("b/gamma", ()))
}
Change = Callable[[np.random.Generator, bytes], bytes]

NUMBERS = [
    0, -1, 1, 0.5, -0.0, 1e308, 1e-320, math.nan, math.inf, 2**31, 2**32 - 1, 2**53 + 1, 2**63,
    -(2**63), 10**400,
]  # fmt: skip
ODD_VALUES = [
    *NUMBERS, None, True, "", "0", "\x1b[2J\n", "é" * 300, "a" * 100_000, "../../x", "\0", [], {},
    [[]], [None], {"a": {"b": 1}},
]  # fmt: skip


def changed_bytes(random: np.random.Generator, content: bytes) -> bytes:
    """Bits turned, bytes replaced, cut, repeated, put in, at one to eight places."""
    changed = bytearray(content)
    for _ in range(random.integers(1, 9)):
        # Headers stand at the beginning.
        length = min(len(changed), 400) if random.random() < 0.5 else len(changed)
        at = int(random.integers(0, length + 1))
        size = int(2 ** random.integers(0, 10))
        match int(random.integers(0, 6)):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << int(random.integers(0, 8))
            case 1:
                changed[at : at + size] = random.bytes(len(changed[at : at + size]))
            case 2:
                del changed[at : at + size]
            case 3:
                changed[at:at] = changed[at : at + size]
            case 4:
                fill = bytes([int(random.choice([0, 0xFF, 0x80, 0x7F]))])
                width = int(random.choice([1, 2, 4, 8]))
                changed[at : at + width] = fill * width
            case _:
                del changed[at:]
    return bytes(changed)


def turned_bits(random: np.random.Generator, content: bytes) -> bytes:
    """One to eight bits turned; all stays in its place."""
    changed = bytearray(content)
    for _ in range(random.integers(1, 9)):
        changed[int(random.integers(0, len(changed)))] ^= 1 << int(random.integers(0, 8))
    return bytes(changed)


def changed_text(random: np.random.Generator, content: bytes) -> bytes:
    """Words and lines replaced, repeated, left out."""
    lines = content.split(b"\n")
    for _ in range(random.integers(1, 4)):
        row = int(random.integers(0, len(lines)))
        words = lines[row].split(b" ")
        place = int(random.integers(0, len(words)))
        match int(random.integers(0, 5)):
            case 0:
                words[place] = str(ODD_VALUES[random.integers(0, len(ODD_VALUES))]).encode()
            case 1:
                words[place] = words[place] * int(2 ** random.integers(1, 12))
            case 2:
                del words[place]
            case 3:
                lines[row:row] = [lines[row]] * int(random.integers(1, 4))
            case _:
                words[place] = changed_bytes(random, words[place])
        lines[row] = b" ".join(words)
    return b"\n".join(lines)


def changed_json(random: np.random.Generator, content: bytes) -> bytes:
    """Values of a json replaced, left out, wrapped, given twice."""
    tree = json.loads(content)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            places.append((node, key))
            if isinstance(value, dict | list):
                walk(value)

    if isinstance(tree, dict | list):
        walk(tree)
    for _ in range(random.integers(1, 4)):
        if not places:
            break
        # Places near the root are few: each depth has its share.
        node, key = places[int(len(places) * random.random() ** random.choice([1, 3]))]
        if (isinstance(node, dict) and key not in node) or (
            isinstance(node, list) and key >= len(node)
        ):
            continue
        match int(random.integers(0, 6)):
            case 0 | 1 | 2:
                node[key] = ODD_VALUES[random.integers(0, len(ODD_VALUES))]
            case 3 if isinstance(node, dict):
                del node[key]
            case 4 if isinstance(node, list):
                node.extend([node[key]] * int(2 ** random.integers(0, 8)))
            case _:
                for _ in range(int(2 ** random.integers(0, 9))):
                    node[key] = [node[key]]
    text = json.dumps(tree)
    if random.random() < 0.05:
        text = "[" * 100_000 + text
    return text.encode()


Field = tuple[int, int, Any]  # number, wire type, integer or bytes or list of fields


def changed_protobuf(random: np.random.Generator, content: bytes) -> bytes:
    """Fields of a protobuf replaced, left out, repeated; the lengths around them fit."""
    tree = _fields(content)
    if tree is None:
        return changed_bytes(random, content)
    for _ in range(random.integers(1, 4)):
        fields = tree
        while True:
            if not fields:
                break
            at = int(random.integers(0, len(fields)))
            number, kind, value = fields[at]
            inner = _fields(value) if kind == 2 and len(value) < 1_000_000 else None
            if inner and random.random() < 0.8:
                fields[at] = (number, 7, inner)  # opened
                fields = inner
                continue
            if kind == 7 and random.random() < 0.8:
                fields = value
                continue
            match int(random.integers(0, 6)):
                case 0:
                    del fields[at]
                case 1:
                    fields.insert(at, fields[at])
                case 2:
                    other = fields[int(random.integers(0, len(fields)))]
                    fields[at] = (number, other[1], other[2])
                case 3 if kind == 2:
                    fields[at] = (number, 2, changed_bytes(random, value))
                case 4 if kind == 2:
                    fields[at] = (number, 2, value[: len(value) // 2])
                case _:
                    odd = int(random.choice([0, 1, 7, 2**31, 2**62])) + int(random.integers(0, 3))
                    fields[at] = (number if random.random() < 0.8 else number + 1, 0, odd)
            break
    return _joined(tree)


def _fields(content: bytes) -> list[Field] | None:
    """The fields of a protobuf, or None if it is none that has integers and bytes alone."""
    position, fields = 0, []

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = content[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    try:
        while position < len(content):
            key, value = varint(), varint()
            if key & 7 == 2 and position + value <= len(content) and key >> 3:
                fields.append((key >> 3, 2, content[position : position + value]))
                position += value
            elif key & 7 == 0 and key >> 3:
                fields.append((key >> 3, 0, value))
            else:
                return None
    except IndexError:
        return None
    return fields


def _joined(fields: list[Field]) -> bytes:
    joined = bytearray()
    for number, kind, value in fields:
        if kind == 0:
            joined += tensor_bundles.varint(number << 3) + tensor_bundles.varint(value)
        else:
            content = _joined(value) if kind == 7 else value
            joined += (
                tensor_bundles.varint(number << 3 | 2)
                + tensor_bundles.varint(len(content))
                + content
            )
    return bytes(joined)


def without_sum(change: Change) -> Change:
    """The change of a checkpoint without its check sum, which would tell each of them."""
    return lambda random, content: change(random, content[:-17])


def of_header(change: Change) -> Change:
    """The change of the json at the head of a .safetensors file, whose length then fits."""

    def of_all(random: np.random.Generator, content: bytes) -> bytes:
        end = 8 + int.from_bytes(content[:8], "little")
        header = change(random, content[8:end])
        return len(header).to_bytes(8, "little") + header + content[end:]

    return of_all


def in_progress(change: Change) -> Change:
    """The change of the text in a checkpoint that says how far its training is."""

    def of_all(random: np.random.Generator, content: bytes) -> bytes:
        message = Checkpoint()
        message.ParseFromString(content[:-17])
        tensor = message.value[-1].tensor
        text = change(random, tensor.tensor_content.decode("utf-32-le").encode())
        tensor.tensor_content = text.decode(errors="replace").encode("utf-32-le")
        return message.SerializeToString()

    return of_all


def of_block(change: Change) -> Change:
    """The change of the block of a TensorFlow checkpoint's index; its check sum then fits."""
    pairs, _ = tensor_bundles.bundle(OF_TENSORFLOW)
    return lambda random, _: tensor_bundles.index([change(random, tensor_bundles.block(pairs))])


def of_entries(change: Change) -> Change:
    """The change of an entry of that block; lengths and check sum then fit."""

    def of_all(random: np.random.Generator, _: bytes) -> bytes:
        pairs, _ = tensor_bundles.bundle(OF_TENSORFLOW)
        at = int(random.integers(0, len(pairs)))
        pairs[at] = (pairs[at][0], change(random, pairs[at][1]))
        return tensor_bundles.index([tensor_bundles.block(pairs)])

    return of_all


def changed_pickle(random: np.random.Generator, content: bytes) -> bytes:
    """Operations of a pickle left out, repeated, exchanged, others put in."""
    places = [place for _, _, place in pickletools.genops(content)] + [len(content)]
    operations = [content[start:end] for start, end in itertools.pairwise(places)]
    codes = [operation.code.encode("latin1") for operation in pickletools.opcodes]
    for _ in range(random.integers(1, 5)):
        at = int(random.integers(0, len(operations)))
        other = operations[int(random.integers(0, len(operations)))]
        match int(random.integers(0, 6)):
            case 0:
                del operations[at]
            case 1:
                operations[at] = other
            case 2:
                operations[at:at] = [other] * int(2 ** random.integers(0, 12))
            case 3:
                operations.insert(at, codes[random.integers(0, len(codes))] + random.bytes(4))
            case 4:
                operations[at] = codes[random.integers(0, len(codes))] + operations[at][1:]
            case _:
                operations[at] = changed_bytes(random, operations[at])
        if not operations:
            break
    return b"".join(operations)


def changed_lines(random: np.random.Generator, content: bytes) -> bytes:
    """One of the lines, each of which is a json, changed."""
    lines = content.splitlines()
    row = int(random.integers(0, len(lines)))
    lines[row] = changed_json(random, lines[row])
    return b"\n".join(lines)


@dataclass(frozen=True)
class Reader:
    """read: reads the file in the way that the programs do. name: what the file has to be called.
    changes: how inputs are made from a sound one."""

    read: Callable[[Path], object]
    name: str
    changes: tuple[Change, ...]


def readers(folder: Path) -> dict[str, Reader]:
    """The readers of the project, by name; what they need beside their file is in `folder`."""
    sys.path.insert(0, str(PROJECT / "scripts" / "ascend_distributed_launcher"))
    import get_distribute_train_cmd
    import rank_table

    from src.data import coco, conversion, images, keypoints, mindrecord, synthetic
    from src.deploy import bin_files, mindir_reader, onnx_session, summary
    from src.evaluation import app_results, coco_results, predict
    from src.model_utils import device_adapter, locks
    from src.training import metrics, resume
    from src.weights import checkpoints, files

    options = load_config("tests", ["--config_path", str(QUICKSTART)])
    of_circles = ["--net_config.pose.keypoints", "[top, left_end]", "--net_config.pose.sigmas",
                  "[0.1, 0.1]", "--net_config.pose.skeleton", "[]"]  # fmt: skip
    pose = load_config("tests", ["--task", "pose", *of_circles]).pose
    decode = images.decoder(options.dataset_config.image_backend, True)
    (folder / "meta.txt").write_bytes(sound("meta.txt"))
    (folder / "meta").mkdir(exist_ok=True)
    synthetic.generate(folder / "synthetic", 1, 1)
    (folder / "a.mind0").write_bytes(sound("mindrecord"))
    (folder / "set.json").write_bytes(sound("manifest"))
    for prefix in "ab":
        tensor_bundles.write(folder, prefix, *tensor_bundles.bundle(OF_TENSORFLOW))

    def image(path: Path) -> None:
        pixels = images.read_image(path, decode)
        assert pixels.dtype == np.uint8 and pixels.ndim == 3

    def find_nothing(readers: Iterable[Callable[[], np.ndarray]]) -> Iterator[np.ndarray]:
        for read in readers:
            read()
            yield np.empty((0, 6), np.float32)

    def video(path: Path) -> None:
        (source,) = predict.find_sources(str(path), path.parent / "out")
        nothing = predict.Predictor(find_nothing, [], 0)
        predict.predict_all([source], nothing, decode)

    def set_of_files(path: Path) -> None:
        manifest = mindrecord.read_manifest(path.parent, "set", ["x"])
        mindrecord.check_content(path.parent, manifest, 1)

    def generated(path: Path) -> None:
        synthetic.generate(path.parent, 1, 1)

    def table(path: Path) -> None:
        rank_table.rank_table(rank_table.read_rank_table(path))
        rank_table.refuse_super_pods(path)

    def written(path: Path) -> None:
        bin_files.start(path.parent.parent, ["b"])

    def lock(path: Path) -> None:
        with locks.held(path.parent / "a", "training", "wait"):
            pass

    def annotations(path: Path) -> None:
        bad, content = coco.BadRecords("skip"), coco.read_annotation_file(path)
        coco.read_records(content, path, folder, options.dataset_config, bad)
        bad.report()

    def points(path: Path) -> None:
        content = coco.read_annotation_file(path)
        keypoints.merge(content, coco.read_annotation_file(path), path)
        bad, classes = coco.BadRecords("skip"), options.dataset_config
        coco.read_records(content, path, folder, classes, bad, pose=pose)

    def points_of_truth(path: Path) -> None:
        box = {"image_id": 1, "category_id": 1, "bbox": [1.5, 2, 10, 12.25], "score": 0.5}
        results = [box | {"keypoints": [3, 4.5, 1, 6, 7, 1]}]
        names = options.dataset_config.coco_classes
        coco_results.score(
            *(path, results, [1], names),
            other_classes="leave_out",
            task=pose.task,
            has_points=[True] * len(names),
        )

    def result_file(path: Path) -> None:
        meta = bin_files.read_meta(folder / "meta.txt")
        app_results.of_result_file(path, meta, coco.BadRecords("skip"))

    def detections(path: Path) -> None:
        bin_files.read_detections(path.parent, "a", bin_files.read_meta(folder / "meta.txt"))

    def metrics_file(path: Path) -> None:
        metrics.best_average_precision(metrics.read_records(path))
        metrics.MetricsFile(path, 100)

    def training(path: Path) -> None:
        stopped = resume.find(str(path), path.parent)
        resume.changed_settings(stopped.config, options)

    def model_facts(path: Path) -> None:
        path.with_suffix(".mindir").touch()
        facts.with_exported_facts(load_config("tests", []), path.with_suffix(".mindir"))

    def model(path: Path) -> None:
        mindir_reader.load_mindir(path, (8, 8), np.zeros((3, 4), np.float32))

    def onnx_model(path: Path) -> None:
        file = onnx_session.read_onnx(path)
        facts.with_exported_facts(load_config("tests", []), path, file.facts)
        onnx_session.start(file, "CPU")(np.zeros((1, 3, 8, 8), file.dtype))

    return {
        "annotations": Reader(annotations, "a.json", (changed_json, changed_json, changed_bytes)),
        "keypoints": Reader(points, "a.json", (changed_json, changed_json, changed_bytes)),
        "keypoints of truth": Reader(points_of_truth, "a.json", (changed_json, changed_bytes)),
        **{
            name: Reader(image, name, (changed_bytes,)) for name in NAMES if name[:6] == "image."
        },
        "video": Reader(video, "a.mp4", (turned_bits, turned_bits, changed_bytes)),
        "manifest": Reader(
            lambda path: mindrecord.read_manifest(path.parent, "a", ["x"]),
            "a.json", (changed_json, changed_json, changed_bytes),
        ),
        "earlier manifest": Reader(
            lambda path: conversion.earlier_files(path, "a.mind"),
            "a.json", (changed_json, changed_bytes),
        ),
        "mindrecord": Reader(set_of_files, "a.mind0", (changed_bytes,)),
        "synthetic": Reader(
            generated, f"synthetic/{synthetic.MANIFEST_NAME}", (changed_json, changed_bytes)
        ),
        "checkpoint": Reader(
            checkpoints.read, "a.ckpt",
            (changed_bytes, without_sum(changed_bytes), without_sum(changed_protobuf)),
        ),
        "training": Reader(
            training, "a.ckpt", (in_progress(changed_json), in_progress(changed_bytes))
        ),
        "tensorflow": Reader(
            files.read, "a.index",
            (changed_bytes, of_block(changed_bytes), of_entries(changed_bytes),
             of_entries(changed_protobuf)),
        ),
        "tensorflow data": Reader(
            files.read, "b.data-00000-of-00001", (turned_bits, changed_bytes)
        ),
        "safetensors": Reader(
            files.read, "a.safetensors",
            (changed_bytes, of_header(changed_json), of_header(changed_bytes)),
        ),
        "pth": Reader(files.read, "a.pth", (changed_bytes,)),
        "pdparams": Reader(
            files.read, "a.pdparams", (changed_pickle, changed_pickle, changed_bytes)
        ),
        "facts": Reader(
            model_facts, "a.json", (changed_json, changed_json, changed_text, changed_bytes)
        ),
        "mindir": Reader(model, "a.mindir", (changed_protobuf, changed_protobuf, changed_bytes)),
        "onnx": Reader(onnx_model, "a.onnx", (changed_protobuf, changed_protobuf, changed_bytes)),
        "yaml": Reader(
            lambda path: load_config("tests", ["--config_path", str(path)]),
            "a.yaml", (changed_json, changed_text, changed_bytes),
        ),
        "ini": Reader(
            get_distribute_train_cmd.read_options, "a.ini", (changed_text, changed_bytes)
        ),
        "rank_table": Reader(table, "a.json", (changed_json, changed_json, changed_bytes)),
        "super_pod_table": Reader(
            device_adapter.check_super_pod_table, "a.json", (changed_json, changed_bytes)
        ),
        "hccn.conf": Reader(rank_table.read_hccn_conf, "a.conf", (changed_text, changed_bytes)),
        "meta.txt": Reader(bin_files.read_meta, "a.txt", (changed_text, changed_bytes)),
        "written": Reader(written, "meta/written.txt", (changed_text, changed_bytes)),
        "detections": Reader(detections, "a_0.bin", (changed_bytes,)),
        "results": Reader(result_file, "a.json", (changed_json, changed_json, changed_bytes)),
        "metrics": Reader(metrics_file, "a.jsonl", (changed_lines, changed_text, changed_bytes)),
        "scores": Reader(
            lambda path: summary.read(path, "images", "numbers"),
            "a.json", (changed_json, changed_bytes),
        ),
        "steps": Reader(summary.read_steps, "steps", (changed_text, changed_bytes)),
        "lock": Reader(lock, ".a.lock", (changed_json, changed_bytes)),
    }  # fmt: skip


class Transposed(ms.nn.Cell):
    def construct(self, x: ms.Tensor) -> ms.Tensor:
        return ms.ops.transpose(x, (0, 2, 1))


def sound(name: str) -> bytes:
    """A sound input of a reader."""
    random = np.random.default_rng(0)
    match name:
        case "annotations":
            content = {
                "info": {"year": 2026},
                "images": [
                    {"id": n, "file_name": f"{n}.jpg", "width": 64, "height": 48} for n in range(4)
                ],
                "annotations": [
                    {
                        "id": n, "image_id": n // 2, "category_id": 1 + n % 2, "iscrowd": 0,
                        "bbox": [1.5, 2, 10, 12.25], "area": 122.5,
                        "segmentation": [[1, 2, 11, 2, 11, 14]],
                    }
                    for n in range(6)
                ],
                "categories": [{"id": 1, "name": "circle"}, {"id": 2, "name": "square"}],
            }  # fmt: skip
            return json.dumps(content).encode()
        case "keypoints" | "keypoints of truth":
            content = json.loads(sound("annotations"))
            for entry in [*content["categories"], *content["annotations"]]:
                is_one = "image_id" in entry
                entry["keypoints"] = [3, 4.5, 2, 6, 7, 1] if is_one else ["top", "left_end"]
            return json.dumps(content).encode()
        case "image.cmyk.jpg" | "image.jp2":  # which OpenCV does not write, or not of this size
            mode, kind = ("CMYK", "JPEG") if "jpg" in name else ("RGB", "JPEG2000")
            pixels = random.integers(0, 256, (24, 32, len(mode))).astype(np.uint8)
            content = io.BytesIO()
            Image.fromarray(pixels, mode).save(content, kind)
            return content.getvalue()
        case _ if name.startswith("image."):
            pixels = random.integers(0, 256, (24, 32, 3)).astype(np.uint8)
            return cv2.imencode(name[5:], pixels)[1].tobytes()
        case "video":
            with tempfile.TemporaryDirectory() as folder:
                path, code = f"{folder}/a.mp4", cv2.VideoWriter_fourcc(*"mp4v")
                writer = cv2.VideoWriter(path, code, 12, (64, 48))
                for shade in range(0, 250, 50):
                    writer.write(np.full((48, 64, 3), shade, np.uint8))
                writer.release()
                return Path(path).read_bytes()
        case "mindrecord":
            return random.bytes(2000)
        case "synthetic":
            counts = {"train_images": 1, "val_images": 1, "seed": 0}
            return json.dumps({"generator_version": GENERATOR_VERSION, **counts}).encode()
        case "manifest" | "earlier manifest":
            pages = sound("mindrecord")
            of_file = {"size": len(pages), "sha256": hashlib.sha256(pages).hexdigest()}
            content = {
                "schema_version": 2, "source": "0" * 64, "images": 4, "empty_images": 1,
                "boxes": 5, "left_out_empty": 0, "left_out_unusable": 0, "class_names": ["x"],
                "columns": {"image": {"type": "bytes"}}, "most_boxes": 3, "turn_by_exif": False,
                "notes": ["a"], "files": {"a.mind0": of_file},
            }  # fmt: skip
            return json.dumps(content).encode()
        case "checkpoint" | "training":
            fact = {
                "step": 4, "steps_per_epoch": 8, "batch_size": 1, "rank_size": 1,
                "accumulate_steps": 1, "config": {"seed": 1, "train_config": {"batch_size": 4}},
            }  # fmt: skip
            message = Checkpoint()
            for tag, kind, dims, values in (
                ("heads.w", "Float32", [4, 3], np.ones(12, "<f4").tobytes()),
                ("training.scale", "Float32", [0], np.ones(1, "<f4").tobytes()),
                ("training.step", "Int32", [1], np.ones(1, "<i4").tobytes()),
                ("b", "BFloat16", [2], bytes(4)),
                ("training.progress", "str", [1], json.dumps(fact).encode("utf-32-le")),
            ):
                value = message.value.add()
                value.tag, value.tensor.tensor_type = tag, kind
                value.tensor.dims.extend(dims)
                value.tensor.tensor_content = values
            content = message.SerializeToString()
            return content + b"crc_num" + binascii.crc32(content).to_bytes(10, "big")
        case "safetensors":
            arrays = {"a.weight": np.ones((3, 4), np.float32), "a.bias": np.ones(3, np.float16)}
            return safetensors.numpy.save(arrays, {"a.other": "a.weight"})
        case "tensorflow":
            return tensor_bundles.index(
                [tensor_bundles.block(tensor_bundles.bundle(OF_TENSORFLOW)[0])]
            )
        case "tensorflow data":
            return tensor_bundles.bundle(OF_TENSORFLOW)[1]
        case "pth":
            import torch

            content = io.BytesIO()
            torch.save({"state_dict": {"a.weight": torch.ones(3, 4)}}, content)
            return content.getvalue()
        case "pdparams":
            state = {
                "a.weight": np.ones((3, 4), np.float32), "a.bias": np.ones(3, np.float16),
                "b@@.0": np.ones(2, np.float32), "b@@.1": np.ones(4, np.float32),
                "StructuredToParameterName@@": {"a.weight": "conv2d_0.w_0"},
                "UnpackBigParamInfor@@": {
                    "b": {"OriginShape": (2, 3), "slices": ["b@@.0", "b@@.1"]}
                },
            }  # fmt: skip
            return pickle.dumps(state, 2)
        case "facts":
            used = load_config("tests", ["--config_path", str(QUICKSTART)])
            made = {"format": "centernet-model 1", "settings": facts.facts_of(used)}
            return json.dumps({**made, "sha256": hashlib.sha256(b"").hexdigest()}).encode()
        case "mindir" | "onnx":
            ms.set_context(mode=ms.GRAPH_MODE)
            layers = ms.nn.Conv2d(3, 6, 3), ms.nn.BatchNorm2d(6), ms.nn.ReLU(), ms.nn.Flatten(2)
            network = ms.nn.SequentialCell(*layers, Transposed())
            network.set_train(False)
            with tempfile.TemporaryDirectory() as folder:
                path = f"{folder}/a.{name}"
                image = ms.Tensor(np.ones((1, 3, 8, 8), np.float32))
                ms.export(network, image, file_name=path, file_format=name.upper())
                content = Path(path).read_bytes()
            if name == "mindir":
                return content
            import onnx

            model = onnx.load_from_string(content)
            onnx.helper.set_model_props(model, {"centernet": sound("facts").decode()})
            return model.SerializeToString()
        case "yaml":
            options = load_config("tests", ["--config_path", str(QUICKSTART)])
            return json.dumps(options.model_dump()).encode()
        case "ini":
            return b"; all\n[config]\ndistribute = true\nsave_checkpoint_path = ./\nseed: 1\n"
        case "super_pod_table":
            return json.dumps({"version": "1.2", "server_list": [{"device": []}]}).encode()
        case "rank_table":
            devices = [
                {"device_id": str(n), "device_ip": f"192.1.0.{n}", "rank_id": str(n)}
                for n in range(4)
            ]
            server = {"server_id": "10.0.0.1", "device": devices, "host_nic_ip": "reserve"}
            return json.dumps(
                {
                    "version": "1.0", "server_count": "1", "server_list": [server],
                    "status": "completed",
                }
            ).encode()  # fmt: skip
        case "hccn.conf":
            return b"".join(
                b"address_%d=192.1.%d.7\nnetmask_%d=255.255.0.0\n" % (n, n, n) for n in range(8)
            )
        case "meta.txt":
            head = b"centernet-meta 5\ndown_ratio 4\nsoft_nms 1\nsoft_nms_form mmcv\nclip_boxes 0\n"
            head += b"pairs 0\nrows 100\nkept 100\npoints 0\ncategory_ids 1 2 -\ncolour"
            head += b" 0.25" * 12 + b"\nborder 0 116 255"
            images = b"".join(
                b"image %d 0.5 0 1e-05 0 0.5 3 64 48 a%%25_%d\n" % (n, n) for n in range(4)
            )
            return (
                head
                + b"\nplacement corner\ntake_damaged_jpegs 0\ntask boxes\npoint_classes\nsigmas\n"
                + images
            )
        case "written":
            return b"meta/meta.txt\ndata/images.txt\ndata/eval2017_image_7.bin\n"
        case "scores":
            return json.dumps({"images": 4, "numbers": {"AP": 0.5, "AP50": 0.75}}).encode()
        case "steps":
            return b"preprocess.py\t1.5\t2\tpreprocess.py --x\npostprocess.py\t\t\tx\n" * 4
        case "lock":
            return json.dumps({"process": 7, "host": "a", "since": 1e9}).encode()
        case "detections":
            return np.ones((100, 6), np.float32).tobytes()
        case "results":
            entries = [
                {"image_id": n, "category_id": 1, "bbox": [1.5, 2, 3, 4], "score": 0.5}
                for n in range(4)
            ]
            return json.dumps(entries).encode()
        case "metrics":
            record = {"step": 4, "epoch": 1, "loss": 3.5, "seconds": 2.0, "lr": 1e-4}
            evaluation = {"step": 4, "epoch": 1, "AP": 0.25, "AP50": 0.5, "seconds": 3.0}
            return "".join(json.dumps(line) + "\n" for line in [record, evaluation] * 4).encode()
    raise ValueError(name)


def run(reader: Reader, whole: bytes, folder: Path, first: int, count: int) -> int:
    """Gives a reader inputs; prints and counts those that end otherwise than they should."""
    bad, path = 0, folder / reader.name
    path.write_bytes(whole)
    reader.read(path)  # also what is done at the first time alone
    for seed in range(first, first + count):
        print(seed, flush=True)
        random = np.random.default_rng(seed)
        path.write_bytes(reader.changes[seed % len(reader.changes)](random, whole))
        start, before = time.process_time(), _peak_megabytes()
        problem = ""
        try:
            reader.read(path)
        except UserError as error:
            if not str(error).isprintable() or len(str(error)) > 1200:
                problem = f"message {str(error)!r}"
        except BaseException:
            problem = traceback.format_exc()
        seconds, megabytes = time.process_time() - start, _peak_megabytes() - before
        if seconds > SECONDS:
            problem += f" took {seconds:.1f} s"
        if megabytes > MEGABYTES:
            problem += f" took {megabytes:.0f} MB"
        if problem:
            bad += 1
            print(f"input {seed}: {problem}", flush=True)
    return bad


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    name, first, count, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    reader, whole = readers(folder)[name], sound(name)
    if name in ("safetensors", "pth"):
        with contextlib.suppress(ImportError):  # not in the first input that begins as PyTorch's
            import torch  # noqa: F401
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = now + 4 * MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    sys.exit(1 if run(reader, whole, folder, first, count) else 0)


if __name__ == "__main__":
    main()
