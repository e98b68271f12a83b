# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Files that lie, and what is no file: each costs itself alone, and nothing else."""

import io
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from src.data import images
from src.data.images import decoder
from src.evaluation import predict
from src.evaluation.predict import Predictor, find_sources, predict_all
from src.model_utils.errors import UserError
from src.model_utils.files import read_regular, write_json
from src.model_utils.messages import say
from tests import hostile
from tests.conftest import PROJECT


def jpeg(width: int = 60, height: int = 40) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


def video(path: Path, rate: float = 12.0) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, (64, 48))
    assert writer.isOpened()
    for number in range(5):
        writer.write(np.full((48, 64, 3), 40 * number, np.uint8))
    writer.release()


def find_nothing(readers):
    for read in readers:
        try:
            read()
        except UserError as error:
            yield error
        else:
            yield np.empty((0, 6), np.float32)


def predicted(given: Path | str, output: Path) -> int:
    return predict_all(
        find_sources(str(given), output), Predictor(find_nothing, [], 0), decoder("cv2")
    )


def stating(encoded: bytes, height: int, width: int) -> bytes:
    """A JPEG or PNG whose header states another size."""
    changed = bytearray(encoded)
    if encoded.startswith(b"\x89PNG"):
        changed[16:24] = struct.pack(">II", width, height)
        changed[29:33] = struct.pack(">I", zlib.crc32(changed[12:29]))
    else:
        place = changed.index(b"\xff\xc0") + 5
        changed[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(changed)


@pytest.mark.parametrize("size", [(65500, 65500), (20000, 20000), (32766, 32766)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "JPEG of an odd sampling"])
def test_a_header_that_lies_takes_no_memory(kind: str, size: tuple[int, int]):
    encoded = jpeg()
    if kind == "PNG":
        encoded = cv2.imencode(".png", np.zeros((40, 60, 3), np.uint8))[1].tobytes()
    lying = bytearray(stating(encoded, *size))
    if "sampling" in kind:
        lying[lying.index(b"\xff\xc0") + 11] = 0x31  # which simplejpeg does not know
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert decoder("cv2")(bytes(lying)) is None
    assert decoder("cv2")(np.frombuffer(lying, np.uint8)) is None  # as training has it
    with pytest.raises(images.ImageFault, match=r"states|has a side of"):
        images.checked(bytes(lying), decoder("cv2"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB


def test_a_large_image_of_one_colour_is_taken():
    for ending in (".jpg", ".png"):
        encoded = cv2.imencode(ending, np.full((5000, 9000, 3), 200, np.uint8))[1].tobytes()
        assert images.checked(encoded, decoder("cv2")).shape == (5000, 9000, 3)


def test_an_image_that_memory_cannot_hold_is_a_fault_of_its_own():
    def decode(encoded: bytes) -> np.ndarray:
        raise MemoryError

    with pytest.raises(images.ImageFault, match="takes more memory than there is"):
        images.checked(jpeg(), decode)


def make_odd(folder: Path) -> dict[str, str]:
    """What is no file, by name, with what is said of it."""
    folder.mkdir(parents=True)
    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(folder / "pipe.mp4")
    place = Path.cwd()
    os.chdir(folder)  # the path of a socket is short
    try:
        socket.socket(socket.AF_UNIX).bind("socket.jpg")
    finally:
        os.chdir(place)
    (folder / "zero.jpg").symlink_to("/dev/zero")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "dead.jpg").symlink_to("nothing")
    odd = "it is a pipe, a socket or a device instead of a file"
    circle = "Too many levels of symbolic links"
    return {
        "pipe.jpg": odd, "pipe.mp4": odd, "socket.jpg": odd, "zero.jpg": odd,
        "loop.jpg": circle, "loop.mp4": circle, "dead.jpg": "No such file",
    }  # fmt: skip


def test_what_is_no_file_is_named_and_the_others_are_done(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    odd = make_odd(tmp_path / "in")
    (tmp_path / "in" / "ok.jpg").write_bytes(jpeg())
    assert predicted(tmp_path / "in", tmp_path / "out") == len(odd)
    said = capsys.readouterr().err
    for name, what in odd.items():
        (line,) = [line for line in said.splitlines() if f"{name}:" in line]
        assert line.startswith("not done: ") and what in line
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ok.jpg", "ok.jpg.json"]
    for name in odd:
        with pytest.raises(OSError):
            read_regular(tmp_path / "in" / name)
    assert predicted(tmp_path / "in" / "pipe.jpg", tmp_path / "out") == 1


@pytest.mark.parametrize("reader", hostile.NAMES)
def test_no_reader_waits_on_a_pipe(reader: str, tmp_path: Path, capfd: pytest.CaptureFixture):
    read = hostile.readers(tmp_path)[reader]
    path = tmp_path / read.name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)

    def waits(*_: object) -> None:
        raise AssertionError(f"{reader} waits on a pipe")

    before = signal.signal(signal.SIGALRM, waits)
    signal.alarm(5)
    try:
        read.read(path)
        said = capfd.readouterr().err
    except (UserError, OSError) as error:
        said = str(error)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    # A list of what an earlier run has written is replaced, whatever it is.
    assert reader == "written" or str(path.parent) in said


def test_control_characters_of_names_are_shown_as_escapes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name in ("\x1b[2J\nerror: a.jpg", "\x1b[2J\nerror: a.mp4"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text("no image")
    assert predicted(tmp_path / "in", tmp_path / "out") == 2
    said = capsys.readouterr().err
    lines = [line for line in said.split("\n") if "not done: " in line]
    assert len(lines) == 2 and "\nerror:" not in said
    for line in lines:
        assert line[line.index("not done: ") :].count("\\x1b[2J\\nerror: a.") == 1
        assert "\x1b[2J" not in line


def test_lines_that_programs_print_have_escapes(tmp_path: Path, capsys: pytest.CaptureFixture):
    folder = tmp_path / "\x1b[2J\nerror: a"
    for to_stderr in (False, True):
        say(f"checkpoint: {folder}", to_stderr=to_stderr)
    out, err = capsys.readouterr()
    assert out == err == f"checkpoint: {tmp_path}/\\x1b[2J\\nerror: a\n"


def test_walks_over_circles_of_links_end(tmp_path: Path):
    for name in ("a/ok.jpg", "a/b/.hidden/no.jpg", "elsewhere/linked.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(jpeg())
    folder = tmp_path / "in" / "a"
    for name in ("x", "y"):
        (folder / name).symlink_to(".")
        (folder / "b" / name).symlink_to("..")
    (folder / "z").symlink_to("../elsewhere")
    start = time.monotonic()
    for given in (folder, folder / "**" / "*.jpg", folder / "**" / "**" / "*.j[pq]g"):
        found = find_sources(str(given), tmp_path / "out")
        assert [source.path.relative_to(folder).as_posix() for source in found] == [
            "ok.jpg", "z/linked.jpg",
        ]  # fmt: skip
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("**/*.jpg", ["a.jpg", "b/a.jpg", "b/c/a.jpg"]),
        ("**/c/*", ["b/c/a.jpg"]),
        ("b/**/a.jpg", ["b/a.jpg", "b/c/a.jpg"]),
        ("**", ["a.jpg", "b/a.jpg", "b/c/a.jpg", "d.txt"]),
        ("b/**/.h/*", ["b/.h/a.jpg"]),
        ("*.jpg", ["a.jpg"]),
    ],
)
def test_patterns_are_those_of_glob(pattern: str, wanted: list[str], tmp_path: Path):
    for name in ("a.jpg", "b/a.jpg", "b/c/a.jpg", "d.txt", "b/.h/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_sources(str(tmp_path / pattern), tmp_path / "out")
    assert [source.path.relative_to(tmp_path).as_posix() for source in found] == wanted


def test_names_that_are_not_utf_8_are_done(tmp_path: Path):
    """In a process of its own: OpenCV crashes on such names."""
    folder = tmp_path / os.fsdecode(b"in\xff")
    folder.mkdir()
    (folder / os.fsdecode(b"\xff.jpg")).write_bytes(jpeg())
    (folder / os.fsdecode(b"a.\xff")).write_bytes(jpeg())
    video(tmp_path / "v.mp4")
    (tmp_path / "v.mp4").rename(folder / os.fsdecode(b"\xfe.mp4"))
    output = tmp_path / os.fsdecode(b"out\xff")
    program = (
        "import os, sys; from pathlib import Path; from tests.test_faults import predicted; "
        "sys.exit(predicted(*map(Path, sys.argv[1:])))"
    )
    command = [sys.executable, "-c", program, folder, output]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(os.fsencode(path.name) for path in output.iterdir()) == [
        b"a.\xff.jpg", b"a.\xff.json", b"\xfe.mp4", b"\xfe.mp4.jsonl", b"\xff.jpg",
        b"\xff.jpg.json",
    ]  # fmt: skip


def test_a_playlist_is_no_video(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "in").mkdir()
    video(tmp_path / "secret.mp4")
    playlist = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/secret.mp4\n#EXT-X-ENDLIST\n"
    )
    (tmp_path / "in" / "a.mp4").write_text(playlist)
    (tmp_path / "in" / "b.mp4").write_text(f"ffconcat version 1.0\nfile {tmp_path}/secret.mp4\n")
    assert predicted(tmp_path / "in", tmp_path / "out") == 2
    assert capsys.readouterr().err.count("cannot be read (it is not a video)") == 2
    assert not list(tmp_path.glob("out/*"))


def test_a_video_that_cannot_be_written_costs_itself_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "in").mkdir()
    for name in ("a.mp4", "b.mp4"):
        video(tmp_path / "in" / name)
    rates = {"a.mp4": 1e15, "b.mp4": 12.0}
    monkeypatch.setattr(predict, "_frame_rate", lambda path: rates[path.name])
    assert predicted(tmp_path / "in", tmp_path / "out") == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("not done")]
    assert "a.mp4: cannot be done (OpenCV writes no video of 64x48 at 1e+15 frames" in line
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b.mp4", "b.mp4.jsonl"]


WRITING = """
import sys, time
from pathlib import Path
from src.model_utils.files import whole_file
with whole_file(Path(sys.argv[1]) / "a.json") as partial:
    partial.write_text("half")
    print(partial.parent.name, flush=True)
    time.sleep(100)
"""


def test_the_next_program_clears_what_a_killed_one_left(
    tmp_path: Path, capfd: pytest.CaptureFixture
):
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", WRITING, tmp_path],
            **{"cwd": PROJECT, "stdout": subprocess.PIPE, "text": True},
        )
        for _ in range(2)
    ]
    folders = [program.stdout.readline().strip() for program in programs]
    killed, running = programs
    killed.kill()
    killed.wait()
    (tmp_path / ".partial-old").mkdir()
    (tmp_path / f".partial-01234567-{killed.pid}-1-x").mkdir()  # of another machine
    (tmp_path / f"{folders[1]}-again").mkdir()  # of a process that runs
    earlier = folders[1].split("-")
    earlier[3] = "12345"  # ticks: an earlier process had the same id
    (tmp_path / "-".join(earlier)).mkdir()
    try:
        write_json(tmp_path / "b.json", {})
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
            [".partial-old", f".partial-01234567-{killed.pid}-1-x", folders[1],
             f"{folders[1]}-again", "b.json"]
        )  # fmt: skip
        said = capfd.readouterr().err
        assert [line.split(":")[1].strip() for line in said.splitlines()] == [
            f"{tmp_path}/.partial-01234567-{killed.pid}-1-x", f"{tmp_path}/.partial-old",
        ]  # fmt: skip
    finally:
        running.kill()
        running.communicate()
        killed.stdout.close()


def damaged_inks(adobe: int) -> dict[str, bytes]:
    """JPEGs of four inks; `adobe` says how they are stored."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 4)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise, "CMYK").save(file, "JPEG")
    whole = bytearray(file.getvalue())
    whole[whole.index(b"Adobe") + 11] = adobe
    assert images.checked(bytes(whole), decoder("cv2")).shape == (40, 60, 3)
    start, end = whole.index(b"\xff\xda") + 18, len(whole) - 2
    return {
        "cut": bytes(whole[: (start + end) // 2] + whole[-2:]),
        "zeroed": bytes(whole[:start]) + bytes(end - start) + bytes(whole[-2:]),
    }


def damaged_jpegs() -> dict[str, bytes]:
    whole = jpeg()
    start, end = whole.index(b"\xff\xda") + 14, len(whole) - 2
    middle = (start + end) // 2
    inks = {"CMYK": damaged_inks(0), "YCCK": damaged_inks(2)}
    return {
        **{f"{kind} {how}": content for kind in inks for how, content in inks[kind].items()},
        "cut": whole[:middle],
        "without its end": whole[:-2],
        "cut with an end": whole[:middle] + whole[-2:],
        "zeroed": whole[:start] + bytes(end - start) + whole[-2:],
        "zeroed from its middle": whole[:middle] + bytes(end - middle) + whole[-2:],
        "zeroed in its middle": whole[:middle] + bytes(300) + whole[middle + 300 :],
    }


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("damage", damaged_jpegs())
def test_a_jpeg_with_damaged_pixels_is_taken_only_if_asked_for(damage: str, upright: bool):
    encoded = damaged_jpegs()[damage]
    with pytest.raises(images.ImageFault, match=r"damaged|cut off") as fault:
        images.checked(encoded, decoder("cv2", upright))
    assert "dataset_config.take_damaged_jpegs takes it as it decodes" in fault.value.what
    taken = images.checked(encoded, decoder("cv2", upright, take_damaged=True))
    assert taken.shape == (40, 60, 3)


def test_jpegs_that_are_odd_and_whole_are_taken():
    whole = jpeg()
    for odd in (whole + bytes(500), whole[:-2] + bytes(2) + whole[-2:]):
        assert np.array_equal(images.checked(odd, decoder("cv2")), decoder("cv2")(whole))


def test_each_row_of_the_table_of_faults_names_its_test():
    table = (PROJECT / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = [line for line in table.splitlines() if line.startswith("| ") and " --- " not in line]
    faults = [row for row in rows if not row.startswith("| fault ")]
    assert len(faults) > 20
    for row in faults:
        (named,) = re.findall(r"`(tests/\w+\.py)::(\w+)` \|$", row)
        assert f"def {named[1]}(" in (PROJECT / named[0]).read_text(encoding="utf-8"), row
