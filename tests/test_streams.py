# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""predict.py on streams: a camera on this machine, by RTSP and by HTTP."""

import itertools
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from src.evaluation import streams
from src.evaluation.predict import Predictor, Reader
from src.evaluation.streams import is_stream, opened_stream, predict_stream, shown_address
from src.model_utils.errors import UserError
from tests.conftest import PROJECT, QUICKSTART, Program, assert_refused
from tests.stream_server import camera, number_in

CPU = ("--config_path", QUICKSTART, "--device_target", "CPU")
FOR_EVER = float("inf")


class Watcher:
    """In place of a network: takes its time for a frame, and notes what it sees, and when."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.seen = seconds, []

    def __call__(self, images: Iterable[Reader]) -> Iterator[np.ndarray]:
        for read in images:
            self.seen.append((number_in(read()), time.monotonic()))
            time.sleep(self.seconds)
            yield np.array([[10, 40, 50, 80, 0.9, 0]], np.float32)


def watched(
    address: str, output: Path, watcher: Watcher, seconds: float = 0.0, segment: float = 600.0
) -> bool:
    output.mkdir(exist_ok=True)
    with opened_stream(address) as stream:
        predictor = Predictor(watcher, ["thing"], 0.3)
        return predict_stream(stream, predictor, output, seconds, segment)


def read_video(path: Path) -> list[int]:
    """The numbers in the frames of a video, which has 25 a second."""
    video, numbers = cv2.VideoCapture(str(path)), []
    assert video.get(cv2.CAP_PROP_FPS) == 25
    while (found := video.read())[0]:
        numbers.append(number_in(found[1]))
    return numbers


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def results(output: Path) -> list[tuple[list[dict], list[int]]]:
    """The lines of each pair, and the number that the video shows at their times.

    There is nothing else, and each is shown until the next.
    """
    videos, found = sorted(output.glob("*.mp4")), []
    pairs = {*videos, *(video.with_suffix(".jsonl") for video in videos)}
    assert pairs == set(output.iterdir())
    for video in videos:
        lines, shown = lines_of(video.with_suffix(".jsonl")), read_video(video)
        places = [round(25 * line["seconds"]) for line in lines]
        assert len(shown) == places[-1] + 1
        for place, after in itertools.pairwise(places):
            assert len(set(shown[place:after])) <= 1
        found.append((lines, [shown[place] for place in places]))
    return found


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_the_newest_frame_is_taken_and_others_are_dropped_and_counted(
    scheme: str, tmp_path: Path, capsys: pytest.CaptureFixture
):
    watcher = Watcher(0.1)
    with camera(FOR_EVER) as server:
        assert watched(f"{scheme}://{server.place}/live", tmp_path, watcher, seconds=1.5)
    sent = server.sent
    ((lines, numbers),) = results(tmp_path)
    assert 3 < len(lines) <= 15
    del watcher.seen[0]  # before the network is ready
    assert [number for number, _ in watcher.seen] == numbers  # each in its place
    # The detector is never behind: it sees what was sent last, less than its own time ago.
    late = [clock - sent[number] for number, clock in watcher.seen]
    assert np.median(late) < 0.1
    # The counted frames are those that were sent, and the times are those of the camera.
    assert len({number - line["frame"] for number, line in zip(numbers, lines, strict=True)}) == 1
    expected = np.array([sent[number] - sent[numbers[0]] for number in numbers])
    assert np.median(np.abs(expected - [line["seconds"] for line in lines])) < 0.1
    assert all(re.fullmatch(r"20\d\d-.+T.+\.\d{3}\+00:00", line["time"]) for line in lines)
    assert {line["file"] for line in lines} == {f"{scheme}://{server.place}/live"}
    assert all(len(line["boxes"]) == 1 for line in lines)
    pattern = r"(\d+) frame\(s\) read, (\d+) detected, (\d+) dropped; 1 video\(s\)"
    read, detected, dropped = map(int, re.search(pattern, capsys.readouterr().out).groups())
    assert detected == len(lines)
    assert read == detected + dropped
    assert lines[-1]["frame"] < read <= len(sent)
    assert dropped > detected


def test_a_stream_that_comes_back_goes_on_and_one_that_does_not_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(streams, "_PAUSES", (0.05, 0.1))
    monkeypatch.setattr(streams, "_ANSWER", 0.8)
    with camera(20, 10, FOR_EVER) as server:
        address = f"http://{server.place}/live"
        assert watched(address, tmp_path / "back", Watcher(), seconds=1.5)
        assert server.plays == 3
    out = capsys.readouterr().out
    assert re.search(r"breaks off after \d\d frames; it is opened again, up to 2 times", out)
    assert out.count("is back") == 2
    for stalls in (False, True):
        with camera(20, 0, stalls=stalls) as server:
            address, output = f"http://{server.place}/live", tmp_path / f"lost {stalls}"
            begun = time.monotonic()
            assert not watched(address, output, Watcher())
            assert time.monotonic() - begun < 8
        ((lines, _),) = results(output)
        assert len(lines) >= 10
        said = rf"not done: {address}: is lost after \d\d frames; what came is written"
        assert re.search(said, capsys.readouterr().err)


def test_what_has_an_end_is_not_opened_again(tmp_path: Path):
    with camera(20, span="0-0.4") as server:
        assert watched(f"rtsp://{server.place}/recorded", tmp_path, Watcher())
        assert server.plays == 1
    writer = cv2.VideoWriter(
        str(tmp_path / "a.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (128, 96)
    )
    for _ in range(9):
        writer.write(np.zeros((96, 128, 3), np.uint8))
    writer.release()
    with (
        camera(0, file=(tmp_path / "a.mp4").read_bytes()) as server,
        pytest.raises(UserError, match="is a video of 9 frames and no live stream; download it"),
        opened_stream(f"http://{server.place}/clip.mp4"),
    ):
        pass


def test_a_dead_stream_is_told_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
):
    monkeypatch.setattr(streams, "_ANSWER", 0.8)
    with camera(0) as server:
        for address, shown in (
            (f"http://{server.place}/silent", f"http://{server.place}/silent"),
            (f"http://{server.place}/missing?key=secret", f"http://{server.place}/missing?***"),
            ("rtsp://me:secret@127.0.0.1:9/live", "rtsp://***@127.0.0.1:9/live"),
            ("rtmp://me:secret@127.0.0.1:9/live", "rtmp://***@127.0.0.1:9/live"),
            ("/dev/video99", "/dev/video99"),
            ("99", "camera 99"),
        ):
            begun = time.monotonic()
            with pytest.raises(UserError) as raised, opened_stream(address):
                pass
            assert str(raised.value).startswith(f"{shown}: gives no video (waited ")
            assert time.monotonic() - begun < 5
    with pytest.raises(UserError, match=r"^ftp://\*\*\*@b: is no stream that is read; give one of"):
        opened_stream("ftp://a:secret@b").__enter__()
    assert "secret" not in "".join(capfd.readouterr())  # in what FFmpeg says


def test_a_refused_stream_is_told_before_the_model_is_loaded_and_without_its_password(
    program: Program, tmp_path: Path
):
    model = ("--load_checkpoint_path", "none.ckpt", "--output", "out")
    with camera(0, password="me:right") as server:
        address = f"rtsp://me:secret@{server.place}/live"
        done = program("predict.py", *CPU, *model, "--input", address, cwd=tmp_path)
    assert_refused(done, f"rtsp://***@{server.place}/live: gives no video")
    assert "secret" not in done.stdout + done.stderr
    assert not list((tmp_path / "out").iterdir())


def test_an_interrupt_leaves_whole_files(checkpoint: Path, tmp_path: Path):
    def start(address: str, output: str) -> "subprocess.Popen[str]":
        # Operator by operator, which is ready soonest.
        options = ("--score_thresh", 0.02, "--eval_config.keep_res", "true")
        model = ("--load_checkpoint_path", checkpoint, *options)
        command = ("predict.py", *CPU, *model, "--input", address, "--output", tmp_path / output)
        return subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 600
        while not happened():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def lines(output: str) -> int:
        return sum(len(lines_of(path)) for path in (tmp_path / output).glob("*.jsonl"))

    with (
        camera(FOR_EVER, password="me:secret") as live,
        camera(FOR_EVER) as lost,
        start(f"rtsp://me:secret@{live.place}/live", "live") as of_live,
        start(f"http://{lost.place}/live?key=secret", "lost") as of_lost,
    ):
        wait_for(lambda: lines("live") > 2 and lines("lost") > 2)
        of_live.send_signal(signal.SIGINT)
        lost.lengths = iter(lambda: 0, None)
        lost.over.set()  # what plays ends
        wait_for(lambda: lost.plays > 1)
        of_lost.send_signal(signal.SIGTERM)  # while it waits to open the stream again
        ends = [(program.communicate(timeout=100), program) for program in (of_live, of_lost)]
    for (out, errors), program in ends:
        number = signal.SIGINT if program is of_live else signal.SIGTERM
        assert program.returncode == 128 + number, errors
        assert f"stopped by {number.name}" in errors
        assert "Traceback" not in errors
        assert "secret" not in out + errors
        assert re.search(r"\d+ frame\(s\) read, \d+ detected, \d+ dropped; 1 video\(s\) in", out)
    for output in ("live", "lost"):
        ((found, _),) = results(tmp_path / output)
        assert len(found) > 2
        assert any(line["boxes"] for line in found)
        assert "secret" not in str(list((tmp_path / output).iterdir())) + str(found)
    assert found[0]["file"] == f"http://{lost.place}/live?***"


def test_long_streams_make_several_videos_and_replace_none(tmp_path: Path):
    with camera(FOR_EVER) as server:
        for _ in range(2):
            address = f"http://{server.place}/live"
            assert watched(address, tmp_path, Watcher(0.03), seconds=1.0, segment=0.4)
    found = results(tmp_path)
    assert len(found) == 6
    for lines, _ in found:
        assert lines[0]["seconds"] == 0
        assert lines[-1]["seconds"] <= 0.4  # to the millisecond


@pytest.mark.parametrize(
    ("given", "shown", "name"),
    [
        ("rtsp://10.0.0.5:554/ch/1", "rtsp://10.0.0.5:554/ch/1", "10.0.0.5_554_ch_1"),
        ("rtsp://me:p@s/s?#w@cam/live", "rtsp://***@cam/live", "cam_live"),
        ("HTTP://cam/a?user=me&pw=b", "HTTP://cam/a?***", "cam_a"),
        ("http://cam/../../etc#x", "http://cam/../../etc?***", "cam_.._.._etc"),
        ("http://?", "http://?***", "stream"),
        ("udp://@239.0.0.1:1234", "udp://***@239.0.0.1:1234", "239.0.0.1_1234"),
        ("http://" + 300 * "é" + 300 * "a", None, 100 * "a"),
        ("7", "camera 7", "camera7"),
        ("/dev/video2", "/dev/video2", "video2"),
        ("/dev/v4l/by-id/usb-A cam", "/dev/v4l/by-id/usb-A cam", "v4l_by-id_usb-A_cam"),
    ],
)
def test_streams_are_known_and_their_secrets_kept(given: str, shown: str | None, name: str):
    assert is_stream(given)
    assert shown in (None, shown_address(given))
    assert streams._file_name(given) == name


def test_files_are_no_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").mkdir()
    assert not any(map(is_stream, ["0", "a.mp4", "a/0", "/dev/null", "shots/*.jpg", "", "http:/a"]))
    assert is_stream("1")


def test_a_video_that_a_full_disk_cuts_is_not_whole(tmp_path: Path):
    path = tmp_path / "a.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25.0, (128, 96))
    for _ in range(5):
        writer.write(np.zeros((96, 128, 3), np.uint8))
    writer.release()
    assert streams._is_whole(path)
    content = path.read_bytes()
    pictures = content.index(b"mdat") - 4
    for cut in (content[:-1], content[:-1200], content[:pictures] + bytes(4) + content[pictures:]):
        path.write_bytes(cut)
        assert not streams._is_whole(path)
