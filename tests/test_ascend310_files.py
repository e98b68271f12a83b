# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Files that lie or are damaged, names and left-overs: the application does as the Python side."""

import io
import os
import re
import resource
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn, ops
from PIL import Image

from src.data import images
from src.data.images import decoder
from src.deploy.mindir_v1 import write_version_1
from src.model_utils import files
from src.model_utils.messages import escaped
from tests.test_ascend310_detections import meta_text
from tests.test_faults import damaged_jpegs, jpeg, make_odd, stating

Run = Callable[..., subprocess.CompletedProcess]


class Pixels(nn.Cell):
    def construct(self, x):
        return ops.Reshape()(ops.Cast()(x, ms.float32), (1, 100, 6))


@pytest.fixture(scope="module")
def mindir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    ms.set_context(mode=ms.GRAPH_MODE)
    blank = Tensor(np.zeros((1, 3, 10, 20), np.uint8))
    ms.export(Pixels(), blank, file_name=str(folder / "v3"), file_format="MINDIR")
    write_version_1(folder / "v3.mindir", folder / "v1.mindir")
    return folder / "v1.mindir"


@pytest.fixture
def run(infer_app: Path, mindir: Path, tmp_path: Path) -> Run:
    """Runs the application over the images, or what `flags` say instead, in tmp_path/in."""

    def run(*options, flags: dict[str, object] | None = None) -> subprocess.CompletedProcess:
        given = {
            "mindir_path": mindir, "device_target": "CPU", "input_format": "image",
            "input_path": tmp_path / "in", "result_path": tmp_path / "out",
            "time_path": tmp_path / "time", **(flags or {}),
        }  # fmt: skip
        command = [str(part) for name, value in given.items() for part in (f"--{name}", value)]
        return subprocess.run(
            [infer_app, *command, *options],
            **{"capture_output": True, "text": True, "errors": "surrogateescape"},
            **{"check": False, "timeout": 120},
        )

    (tmp_path / "in").mkdir()
    return run


def failures(done: subprocess.CompletedProcess) -> dict[str, str]:
    """What is said of each input that failed, by its name."""
    return dict(re.findall(r"^failed: .*/in/([^:]+): (.*)$", done.stderr, re.MULTILINE))


def written(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# --- images -------------------------------------------------------------------------------------


def tables_of_jpegs() -> dict[str, bytes]:
    """Damaged and odd JPEGs by name: noise as it is, in other ways of coding, in grey and CMYK."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 4)).astype(np.uint8)
    wholes = {}
    for name, mode, options in (
        ("progressive", "RGB", {"progressive": True}),
        ("half-sampled", "RGB", {"subsampling": 2}),
        ("with-restarts", "RGB", {"restart_marker_blocks": 3}),
        ("grey", "L", {}),
        ("cmyk", "CMYK", {}),
    ):
        channels = {"L": noise[:, :, 0], "RGB": noise[:, :, :3], "CMYK": noise}[mode]
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(channels)).convert(mode).save(file, "JPEG", **options)
        if mode == "CMYK":
            file = io.BytesIO()
            Image.frombytes("CMYK", (60, 40), noise.tobytes()).save(file, "JPEG")
        wholes[name] = file.getvalue()
    found = {f"noise {name}": encoded for name, encoded in damaged_jpegs().items()}
    for name, whole in {"noise": jpeg(), **wholes}.items():
        scan = whole.index(b"\xff\xda") + 2
        start, end = scan + int.from_bytes(whole[scan : scan + 2], "big"), len(whole) - 2
        third = (end - start) // 3
        found |= {
            f"{name} whole": whole,
            f"{name} padded": whole + bytes(2000),
            f"{name} stray": whole[:-2] + bytes(5) + whole[-2:],
            f"{name} cut": whole[: start + third],
            f"{name} cut and closed": whole[: start + third] + whole[-2:],
            f"{name} zeroed": whole[:start] + bytes(end - start) + whole[-2:],
            f"{name} torn": whole[: start + third] + whole[start + 2 * third :],
            f"{name} cut in its header": whole[:scan],
        }
    return found


@pytest.mark.usefixtures("reads_images")
def test_both_sides_take_the_same_jpegs(run: Run, tmp_path: Path):
    table = tables_of_jpegs()
    for name, encoded in table.items():
        (tmp_path / "in" / f"{name}.jpg").write_bytes(encoded)
    for take_damaged in (False, True):
        refused = set()
        for name, encoded in table.items():
            try:
                images.checked(encoded, decoder("cv2", take_damaged=take_damaged))
            except images.ImageFault:
                refused.add(f"{name}.jpg")
        meta = tmp_path / "meta.txt"
        meta.write_text(meta_text(["image 1 1 0 0 0 1 0 64 48 a"], take_damaged=take_damaged))
        out = tmp_path / f"out{take_damaged}"
        said = failures(run(flags={"meta_path": meta, "result_path": out}))
        assert sorted(set(said) ^ refused) == []
        assert len(written(out)) == len(table) - len(refused)
        if take_damaged:
            # OpenCV decodes no part of a progressive one.
            assert {name for name in refused if "cut in its header" not in name} <= {
                f"progressive {damage}.jpg"
                for damage in ("cut", "cut and closed", "torn", "zeroed")
            }
        else:
            # Every kind but those that are torn, whose rest may decode, and cut in the header.
            sure = {
                f"{name}.jpg" for name in table if re.search(r" (cut|zeroed|cut and closed)$", name)
            }
            assert sure <= refused and len(refused) < len(table) - 15
            assert all("take_damaged_jpegs takes it as it decodes" in said[name] for name in sure)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def tiff(entries: dict[int, tuple[int, int]], order: str = "<") -> bytes:
    """One strip of 60x40 grey bytes; `entries` (type, value) by tag are added or replaced."""
    tags = {
        256: (4, 60), 257: (4, 40), 258: (3, 8), 259: (3, 1), 262: (3, 1), 273: (4, 400),
        277: (3, 1), 278: (4, 40), 279: (4, 2400), **entries,
    }  # fmt: skip
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    directory = struct.pack(f"{order}H", len(tags))
    for tag, (kind, value) in sorted(tags.items()):
        form = {3: "HH2x", 4: "HI", 9: "HI", 16: "HI"}[kind].replace("H", "", 1)
        directory += struct.pack(f"{order}HHI{form}", tag, kind, 1, value)
    content = start + struct.pack(f"{order}I", 8) + directory + bytes(4)
    return content.ljust(400, b"\0") + bytes(range(240)) * 10


def lying_files() -> dict[str, bytes]:
    """Images by name; "good" ones state what they hold, the others more."""
    pixels = cv2.resize(np.random.default_rng(0).integers(0, 256, (5, 8, 3), np.uint8), (60, 40))
    encoded = {
        ending: cv2.imencode(f".{ending}", pixels, [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes()
        for ending in ("jpg", "png", "bmp", "webp", "tif", "jp2", "ppm")
    }
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True)
    encoded["lossless.webp"] = file.getvalue()
    codestream = encoded["jp2"][encoded["jp2"].index(b"\xff\x4f\xff\x51") :]
    core = b"BM" + struct.pack("<IHHIIHHHH", 26 + 40 * 180, 0, 0, 26, 12, 60, 40, 1, 24)
    found = {f"good.{ending}": content for ending, content in encoded.items()} | {
        "good codestream.jp2": codestream,
        "good tiff.tif": tiff({}),
        "good mm.tif": tiff({}, ">"),
        "good comment.ppm": encoded["ppm"].replace(b"P6\n", b"P6 # 9 9\n\n", 1),
        "good core.bmp": core + bytes(range(180)) * 40,
    }
    for height, width in ((65500, 65500), (32766, 32766), (20000, 20000), (2**31 - 1, 9)):
        size = f"{width}x{height}"
        if height < 2**16:
            found[f"{size}.jpg"] = stating(encoded["jpg"], height, width)
        found[f"{size}.png"] = stating(encoded["png"], height, width)
        bmp = bytearray(encoded["bmp"])
        bmp[18:26] = struct.pack("<ii", width, -height)
        found[f"{size}.bmp"] = bytes(bmp)
        if height < 2**16:
            found[f"{size} core.bmp"] = core[:18] + struct.pack("<HH", width, height) + core[22:]
        for name, kind in (("", 4), (" slong", 9), (" long8", 16)):
            stated = {256: (kind, width), 257: (kind, height)}
            found[f"{size}{name}.tif"] = tiff({**stated, 278: (4, height)})
        found[f"{size} tile.tif"] = tiff({322: (4, width), 323: (4, height)})
        siz = bytearray(codestream)
        siz[8:16] = siz[24:32] = struct.pack(">II", width, height)
        found[f"{size} codestream.jp2"] = bytes(siz)
        place = encoded["jp2"].index(b"ihdr") + 4
        honest, lying = encoded["jp2"][: -len(codestream)], bytearray(encoded["jp2"])
        lying[place : place + 8] = struct.pack(">II", height, width)
        found[f"{size} ihdr.jp2"] = bytes(lying)
        found[f"{size} both.jp2"] = bytes(lying[: -len(codestream)]) + bytes(siz)
        found[f"{size} hidden.jp2"] = (
            honest[:-8] + box(b"free", codestream[:60]) + honest[-8:] + bytes(siz)
        )
        for sign in b"123456":
            found[f"{size} P{chr(sign)}.ppm"] = b"P%c #1 1\n%d\n%d 255\n" % (sign, width, height)
        lossy = encoded["webp"].index(b"\x9d\x01\x2a") + 3
        if height < 2**14 * 4:
            stated = struct.pack("<HH", min(width, 16383), min(height, 16383))
            webp = encoded["webp"]
            found[f"{size}.webp"] = webp[:lossy] + stated + webp[lossy + 4 :]
            bits = struct.pack("<I", (2**28 - 1) | 1 << 28)
            webp = encoded["lossless.webp"]
            found[f"{size} lossless.webp"] = webp[:21] + bits + webp[25:]
            canvas = struct.pack("<I", 0) + struct.pack("<I", width - 1)[:3]
            canvas += struct.pack("<I", height - 1)[:3]
            whole = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + canvas + encoded["webp"][12:]
            found[f"{size} canvas.webp"] = b"RIFF" + struct.pack("<I", len(whole)) + whole
    return found


@pytest.mark.usefixtures("reads_images")
def test_both_sides_believe_no_header_that_lies(
    run: Run, infer_app: Path, mindir: Path, tmp_path: Path
):
    table = lying_files()
    for name, encoded in table.items():
        (tmp_path / "in" / name).write_bytes(encoded)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = set()
    for name, encoded in table.items():
        try:
            images.checked(encoded, decoder("cv2"))
        except images.ImageFault:
            refused.add(name)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB
    assert sorted(set(table) - refused) == sorted(n for n in table if n.startswith("good"))
    stems = tmp_path / "list"  # names of results are stems, which several of these share
    for number, name in enumerate(sorted(table)):
        (tmp_path / "in" / name).rename(tmp_path / "in" / f"{number}-{name}")
    stems.write_text("".join(f"{path}\n" for path in sorted((tmp_path / "in").iterdir())))
    # One after the other, so that the process never holds two; Lite's libraries take most of it.
    done = subprocess.run(
        [
            *("bash", "-c", 'ulimit -v 4000000; exec "$@"', "bash", infer_app),
            *("--mindir_path", mindir, "--device_target", "CPU", "--input_format", "image"),
            *("--input_path", stems, "--result_path", tmp_path / "out", "--readers", "1"),
            *("--time_path", tmp_path / "time"),
        ],
        **{"capture_output": True, "text": True, "check": False, "timeout": 120},
    )
    said = failures(done)
    assert done.returncode == 1, done.stderr
    assert sorted({re.sub(r"^\d+-", "", name) for name in said} ^ refused) == []
    assert not any("more memory than there is" in what for what in said.values())


# --- what is no file, names, left-overs ---------------------------------------------------------


def test_what_is_no_file_is_named_in_the_place_of_any_file(run: Run, tmp_path: Path):
    odd = make_odd(tmp_path / "odd")
    for name, what in odd.items():
        if not name.endswith(".jpg"):
            continue
        (tmp_path / "in" / name.replace(".jpg", ".bin")).symlink_to(tmp_path / "odd" / name)
        wanted = "is a folder, a pipe, a socket or a device" if "pipe" in what else what
        for flag in ("mindir_path", "meta_path", "input_path"):
            np.zeros((3, 10, 20), np.uint8).tofile(tmp_path / "a.bin")
            given = {"input_format": "bin", "input_path": tmp_path, flag: tmp_path / "odd" / name}
            done = run(flags=given)
            assert done.returncode == 2
            assert done.stderr.count("\n") == 1 and f"odd/{name}: " in done.stderr
            assert wanted in done.stderr
        done = run(
            flags={"input_format": "bin"},
        )
        assert done.returncode == 2 and wanted in done.stderr
    assert len(failures(done)) == 5


@pytest.mark.parametrize("path", ["pipe.jpg", "zero.jpg", "."])
def test_what_is_no_file_is_not_replaced(path: str, run: Run, tmp_path: Path):
    make_odd(tmp_path / "odd")
    place = tmp_path / "odd" / path
    mode = place.stat().st_mode
    np.zeros((3, 10, 20), np.uint8).tofile(tmp_path / "in" / "a.bin")
    (tmp_path / "meta.txt").write_text(meta_text(["image 1 1 0 0 0 1 0 64 48 a"]))
    given = {"input_format": "bin", "result_json": place, "meta_path": tmp_path / "meta.txt"}
    done = run(flags=given)
    assert done.returncode == 2 and place.stat().st_mode == mode
    assert not list(tmp_path.rglob(".partial-*"))


NAMES = [
    "new\nline\ttab\rback",
    "\x1b[31mred\x7f",
    "größe 字 😀",
    "a\x9b2Jb",
    "left‮right​zero",
    "\udcff\udcfe\udce2\udc82\udcc0\udc80",
    "\udced\udca0\udc80 and \udcf4\udc90\udc80\udc80",
    "\ufeffmark \u2028line \ue000own \U000e0041tag",
]


def test_names_are_shown_with_the_escapes_of_the_python_side(run: Run, tmp_path: Path):
    (tmp_path / "in").joinpath("good.bin").write_bytes(bytes(600))
    for number, name in enumerate(NAMES):
        (tmp_path / "in" / f"{number}{name}.bin").write_bytes(b"")
    done = run(flags={"input_format": "bin"})
    assert done.returncode == 1
    lines = [line for line in done.stderr.split("\n") if line.startswith("failed: ")]
    wanted = sorted(os.fsencode(f"{number}{name}.bin") for number, name in enumerate(NAMES))
    for line, name in zip(lines, map(os.fsdecode, wanted), strict=True):
        assert line.startswith(f"failed: {tmp_path}/in/{escaped(name)}: holds 0 bytes instead of 6")
    done = run(flags={"device_id": "\x1b]0;title\x07" + "9" * 3000 + "\u202e"})
    assert done.returncode == 2 and len(done.stderr) < 1300
    assert 'got "\\x1b]0;title\\x0799' in done.stderr and '\\u202e"\n' in done.stderr


def test_the_next_run_clears_what_a_killed_one_left(
    run: Run, infer_app: Path, mindir: Path, tmp_path: Path
):
    (tmp_path / "in" / "0.bin").write_bytes(bytes(600))
    for number in range(1, 3000):
        os.link(tmp_path / "in" / "0.bin", tmp_path / "in" / f"{number}.bin")
    out = tmp_path / "out"
    command = [
        *(infer_app, "--mindir_path", mindir, "--device_target", "CPU"),
        *("--input_path", tmp_path / "in", "--result_path", out, "--time_path", tmp_path / "time"),
    ]
    app = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not out.exists() or not any(out.glob("*.bin")):
        assert app.poll() is None
        time.sleep(0.001)
    app.send_signal(signal.SIGSTOP)
    maker = files._maker(app.pid)
    app.kill()
    app.wait()
    ours = files._maker(os.getpid())
    earlier = ours.rpartition("-")[0] + "-12345"  # ticks: another process had the same id
    for name in (
        f"{maker}-0",
        f"{maker}-999",
        f"{earlier}-0",
        f"{ours}-0",
        "01234567-1-1-0",
        "old",
    ):
        (out / f".partial-{name}").touch()
    for path in (tmp_path / "in").glob("[1-9]*"):
        path.unlink()
    done = run(flags={"input_format": "bin"})
    assert done.returncode == 0
    left = {name for name in written(out) if not name.endswith(".bin")}
    assert left == {f".partial-{ours}-0", ".partial-01234567-1-1-0", ".partial-old"}
    assert re.findall(r"^note: (\S+): is being written on another", done.stderr, re.MULTILINE) == [
        f"{out}/.partial-01234567-1-1-0", f"{out}/.partial-old",
    ]  # fmt: skip
    # What the application leaves, the Python side clears.
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / f".partial-{maker}-7").touch()
    files.write_json(tmp_path / "json" / "a.json", {})
    assert written(tmp_path / "json") == {"a.json"}
