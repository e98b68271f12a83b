# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The report of an evaluation: what is counted, what is shown, and how a browser shows it."""

import contextlib
import html
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from src.evaluation.matching import Verdict, iou, judge, match
from src.evaluation.report import ImageResult, Selection, select_images, write_report
from src.model_utils.errors import UserError
from src.tasks.boxes import TASK

NONE = "\N{EN DASH}"
NO_TRUTH, NO_BOXES = np.empty((0, 5), np.float32), np.empty((0, 6), np.float32)


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_iou_is_the_shared_over_the_covered_area():
    first = boxes((0, 0, 10, 10))
    others = boxes((0, 0, 10, 5), (5, 5, 15, 15), (10, 0, 20, 10), (9, 9, 1, 1), (0, 0, 10, 10))
    np.testing.assert_allclose(iou(first, others), [[0.5, 25 / 175, 0, 0, 1]])
    assert iou(boxes((3, 3, 3, 3)), boxes((3, 3, 3, 3))).tolist() == [[0]]


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        # IoU 0.5 is enough, 0.4 is not.
        ([(0, 0, 10, 10, 1)], [(0, 0, 10, 5, 0.9, 1), (0, 0, 10, 4, 0.95, 1)], [0, -1]),
        # The best score is first, though another fits better and stands before it.
        ([(0, 0, 10, 10, 1)], [(0, 0, 10, 10, 0.5, 1), (0, 0, 10, 8, 0.6, 1)], [-1, 0]),
        # Another class finds nothing.
        ([(0, 0, 10, 10, 1)], [(0, 0, 10, 10, 0.9, 2), (0, 0, 10, 10, 0.1, 1)], [-1, 0]),
        # Each takes what it overlaps most, of what is free: IoU 10/12 and 10/10, then 8/12 left.
        (
            [(0, 0, 10, 12, 1), (0, 0, 10, 10, 1)],
            [(0, 0, 10, 8, 0.8, 1), (0, 0, 10, 10, 0.9, 1), (0, 0, 10, 10, 0.7, 1)],
            [0, 1, -1],
        ),
        # Of equal scores the first.
        ([(0, 0, 10, 10, 1)], [(0, 0, 10, 9, 0.5, 1), (0, 0, 10, 10, 0.5, 1)], [0, -1]),
    ],
)
def test_boxes_find_objects_as_worked_by_hand(
    truth: list[Any], predicted: list[Any], expected: list[int]
):
    assert match(boxes(*truth), boxes(*predicted)).tolist() == expected


def test_without_objects_nothing_is_found():
    assert match(NO_TRUTH, boxes((0, 0, 1, 1, 0.9, 0))).tolist() == [-1]
    assert match(NO_TRUTH, NO_BOXES).shape == (0,)
    assert match(boxes((0, 0, 1, 1, 0)), NO_BOXES).shape == (0,)


def random_image(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Objects close together, and boxes near them."""
    corners = rng.uniform(0, 40, (12, 2))
    truth = np.column_stack(
        [corners, corners + rng.uniform(5, 40, (12, 2)), rng.integers(0, 3, 12)]
    )
    near = truth[rng.integers(0, 12, 40)]
    coordinates = near[:, :4] + rng.normal(0, 3, (40, 4))
    return truth, np.column_stack([coordinates, rng.random(40), near[:, 4]])


def test_matches_are_those_of_pycocotools():
    rng = np.random.default_rng(0)
    for _ in range(20):
        truth, predicted = random_image(rng)
        coco = COCO()
        coco.dataset = {
            "images": [{"id": 1}],
            "categories": [{"id": number} for number in range(3)],
            "annotations": [
                {
                    "id": i + 1, "image_id": 1, "category_id": int(row[4]), "iscrowd": 0,
                    "area": 100, "bbox": [row[0], row[1], row[2] - row[0], row[3] - row[1]],
                }
                for i, row in enumerate(truth)
            ],
        }  # fmt: skip
        results = [
            {
                "image_id": 1, "category_id": int(row[5]), "score": row[4],
                "bbox": [row[0], row[1], row[2] - row[0], row[3] - row[1]],
            }
            for row in predicted
        ]  # fmt: skip
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
            evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
            evaluation.params.areaRng = [[0, 1e10]]
            evaluation.evaluate()
        expected = np.full(40, -1)
        for entry in evaluation.evalImgs:
            if entry is not None:
                for box_id, object_id in zip(entry["dtIds"], entry["dtMatches"][0], strict=True):
                    expected[box_id - 1] = int(object_id) - 1
        assert (expected >= 0).sum() > 5
        np.testing.assert_array_equal(match(truth, predicted), expected)


def test_a_verdict_counts_what_scores_enough():
    truth = boxes((0, 0, 10, 10, 0), (20, 0, 30, 10, 0), (40, 0, 50, 10, 1))
    predicted = boxes(
        (0, 0, 10, 10, 0.9, 0),  # found
        (0, 0, 10, 10, 0.8, 0),  # again: false
        (20, 0, 30, 10, 0.2, 0),  # found, but by too low a score: missed
        (40, 0, 50, 10, 0.5, 0),  # on a missed object of class 1: mixed up
        (0, 0, 10, 10, 0.4, 1),  # another class, but on an object that is found: only false
        (60, 60, 70, 70, 0.1, 0),
    )
    verdict = judge(truth, predicted, match(truth, predicted), 0.3)
    assert verdict == Verdict(1, 2, 3, 1, pytest.approx(0.8 + 2 * 0.5 + 0.4))
    assert verdict.f1 == pytest.approx(2 / (2 + 2 + 3))
    assert judge(NO_TRUTH, NO_BOXES, np.empty(0, int), 0.3) == Verdict(0, 0, 0, 0, 0.0)
    assert Verdict(0, 0, 0, 0, 0.0).f1 == 1 and Verdict(0, 1, 0, 0, 0.0).f1 == 0


def test_the_most_telling_images_are_selected_each_once():
    verdicts = [
        Verdict(5, 0, 0, 0, 0.0),  # best: all of five
        Verdict(0, 1, 0, 0, 0.0),  # one missed
        Verdict(0, 4, 9, 9, 9.0),  # worst: four missed; so not among the confusing
        Verdict(1, 0, 0, 0, 0.0),
        Verdict(3, 1, 2, 0, 1.4),
        Verdict(3, 0, 1, 1, 1.8),
        Verdict(0, 0, 0, 0, 0.0),  # nothing to see
    ]
    assert select_images(verdicts, 2) == Selection(best=[0, 3], worst=[2, 1], confusing=[5, 4])
    assert select_images(verdicts, 1) == Selection(best=[0], worst=[2], confusing=[5])
    assert select_images(verdicts[:1], 4) == Selection(best=[0], worst=[], confusing=[])
    assert select_images(verdicts[6:], 4) == Selection(best=[], worst=[], confusing=[])
    assert select_images([], 4) == Selection(best=[], worst=[], confusing=[])


HOSTILE = "<script>alert(\"1\")</script> & 'two'\n\ud800"


def synthetic(folder: Path, count: int) -> list[ImageResult]:
    """Grey images with a bright square for each object; the first boxes are good, the last bad."""
    rng = np.random.default_rng(3)
    images = []
    for number in range(count):
        size = [(480, 640), (640, 480), (200, 900)][number % 3]
        pixels = rng.integers(90, 120, (*size, 3), np.uint8)
        corners = rng.uniform(0, 100, (3, 2)) + np.array([[0, 0], [150, 0], [300, 0]])
        truth = np.column_stack([corners, corners + rng.uniform(40, 90, (3, 2)), [0, 1, 2]])
        for x1, y1, x2, y2, _ in truth.astype(int):
            pixels[y1:y2, x1:x2] = (60, 160, 230)
        shift = 30 * number / count
        found = np.column_stack([truth[:, :4] + shift, rng.uniform(0.2, 1, 3), truth[:, 4]])
        path = folder / (f"image {number} <b>&.png" if number % 2 else f"{number}.jpg")
        assert cv2.imwrite(str(path), pixels)
        images.append(ImageResult(path, truth, found))
    return images


def report(path: Path, images: list[ImageResult], **changes: Any) -> None:
    names = ["square", "a class with quite a long name of many words", HOSTILE]
    rng = np.random.default_rng(4)
    precision = np.sort(rng.random((10, 101, 3)), axis=1)[:, ::-1]
    precision[:, :, 2] = np.nan
    values = {
        "title": f"Evaluation {HOSTILE}",
        "facts": {"configuration": "a.yaml", "checkpoint": "x" * 300, "time": "2026-01-02 03:04"},
        "numbers": {name: 0.05 * i for i, name in enumerate(TASK.numbers)} | {"AP_small": -1.0},
        "classes": {
            names[0]: {"AP": 0.25, "AP50": 0.5, "images": 1234, "objects": 5678},
            names[1]: {"AP": 0.75, "AP50": 1.0, "images": 4, "objects": 4},
            names[2]: {"AP": None, "AP50": None, "images": 0, "objects": 0},
        },
        "precision": precision,
        "images": images,
        "score_thresh": 0.3,
    }
    write_report(path, **{**values, **changes})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    path = folder / "out" / "report.html"
    report(path, synthetic(folder, 9), images_of_kind=3)
    return path


def page_of(path: Path) -> ElementTree.Element:
    """The page; as all of its tags are closed, XML's strict reader takes it."""
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>\n")
    return ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))


def text_of(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def test_the_page_is_one_file_with_every_part(written: Path):
    page = page_of(written)
    assert [path.name for path in written.parent.iterdir()] == ["report.html"]
    pictures = page.findall(".//img")
    assert len(pictures) == 2 + 2 * 9
    assert all(picture.get("src").startswith("data:image/") for picture in pictures)
    assert all(len(picture.get("alt")) > 10 for picture in pictures)
    addresses = [entry.get("href") for entry in page.iter("a")]
    assert {f"#{section.get('id')}" for section in page.iter("section")} == set(addresses)
    assert not re.search(r"https?:|url\(|@import", written.read_text(encoding="utf-8"))
    assert not list(page.iter("script")) and not list(page.iter("link"))
    tiles = [text_of(tile) for tile in page.findall(".//*[@class='tile']")]
    assert len(tiles) == 12
    assert tiles[1].startswith("AP500.050AP where IoU 0.50")
    assert tiles[3].startswith(f"AP_small{NONE}") and tiles[3].endswith("there are none")


def test_classes_stand_in_the_order_of_their_ap(written: Path):
    rows = [[text_of(cell) for cell in row] for row in page_of(written).findall(".//tbody/tr")]
    assert rows == [
        ["a class with quite a long name of many words", "4", "4", "0.750", "1.000"],
        ["square", "1,234", "5,678", "0.250", "0.500"],
        [HOSTILE.replace("\n", "?").replace("\ud800", "?"), "0", "0", NONE, NONE],
    ]
    widths = [bar.get("style") for bar in page_of(written).findall(".//tbody//*[@class='bar']/i")]
    assert widths == ["width:75.0%", "width:100.0%", "width:25.0%", "width:50.0%"]


def test_captions_count_what_the_pictures_show(written: Path):
    captions = [text_of(caption) for caption in page_of(written).iter("figcaption")]
    assert len(captions) == 9
    for caption in captions:
        name, found, missed, false = re.fullmatch(
            r"(.+): (\d+) found, (\d+) missed, (\d+) false(?: \(.*\))?; F1\s[\d.]+", caption
        ).groups()
        (image,) = (i for i in synthetic(written.parent.parent, 9) if i.path.name == name)
        counts = image.predicted[:, 4] >= 0.3
        overlap = iou(image.truth[:, :4], image.predicted[:, :4]).diagonal()
        right = int((counts & (overlap >= 0.5)).sum())
        assert (int(found), int(missed)) == (right, 3 - right)
        assert int(false) == counts.sum() - right


def test_only_the_images_that_are_shown_are_read(tmp_path: Path):
    """Of 5,000 images 4,991 are not there."""
    shown = synthetic(tmp_path, 9)
    perfect = boxes((0, 0, 9, 9, 0.9, 0), (20, 0, 29, 9, 0.9, 0))
    half = [ImageResult(tmp_path / f"none{i}.jpg", perfect[:, [0, 1, 2, 3, 5]], perfect[:1])
            for i in range(4991)]  # fmt: skip
    read = []

    def decode(encoded: bytes) -> np.ndarray:
        read.append(encoded)
        return cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)

    bad = [image.predicted + np.array([2000, 0, 2000, 0, 0, 0]) for image in shown]
    worst = [ImageResult(shown[i].path, shown[i].truth, bad[i]) for i in range(6)]
    best = [ImageResult(i.path, i.truth, np.insert(i.truth, 4, 0.9, axis=1)) for i in shown[6:]]
    report(tmp_path / "report.html", [*worst, *half, *best], images_of_kind=3, decode=decode)
    assert len(read) == 9


def test_an_image_that_is_gone_or_broken_is_named_and_nothing_is_written(tmp_path: Path):
    images = synthetic(tmp_path, 1)
    images[0].path.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"0\.jpg: does not decode"):
        report(tmp_path / "report.html", images)
    images[0].path.unlink()
    with pytest.raises(UserError, match=r"0\.jpg: cannot be read .*No such file"):
        report(tmp_path / "report.html", images)
    assert not list(tmp_path.iterdir())


def test_an_evaluation_without_images_has_a_report_too(tmp_path: Path):
    report(tmp_path / "report.html", [])
    assert text_of(page_of(tmp_path / "report.html")).count("There are none.") == 3


Browser = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs a browser: Debian's package chromium")

    def run(page: Path, *options: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [
                program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                "--no-first-run", "--disable-background-networking", "--disable-component-update",
                "--disable-sync", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}",
                "--enable-logging=stderr", *options, page.as_uri(),
            ],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done

    return run


# Shows the report at both widths, and says what the browser made of it.
_FRAMES = """<!DOCTYPE html><html><body>
<iframe srcdoc="{page}" style="width:1280px;height:900px;border:0"></iframe>
<iframe srcdoc="{page}" style="width:400px;height:900px;border:0"></iframe>
<pre id="found"></pre>
<script>
addEventListener("load", () => {{
  const found = [...document.querySelectorAll("iframe")].map(({{contentDocument: page}}) => ({{
    pictures: [...page.images].map(picture => picture.naturalWidth),
    shown: [...page.images].map(picture => picture.getBoundingClientRect().right),
    page: page.documentElement.scrollWidth,
    window: page.documentElement.clientWidth,
    tables: [...page.querySelectorAll(".scroll")].map(table => table.getBoundingClientRect().right),
    title: page.title,
  }}));
  document.getElementById("found").textContent = JSON.stringify(found);
  console.log("the test's own line");
}});
</script></body></html>"""


def console(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if "CONSOLE" in line]


def test_a_browser_shows_every_picture_and_the_page_fits_wide_and_narrow_windows(
    written: Path, browser: Browser, tmp_path: Path
):
    frames = tmp_path / "frames.html"
    page = html.escape(written.read_text(encoding="utf-8"))
    frames.write_text(_FRAMES.format(page=page), encoding="utf-8")
    done = browser(frames, "--window-size=1800,1000", "--dump-dom")
    (line,) = console(done.stderr)
    assert "the test's own line" in line  # so that errors would be seen
    (found,) = re.findall(r'<pre id="found">(.*?)</pre>', done.stdout)
    wide, narrow = json.loads(html.unescape(found))
    for frame, width in ((wide, 1280), (narrow, 400)):
        assert len(frame["pictures"]) == 20 and min(frame["pictures"]) > 0
        assert frame["window"] == width and frame["page"] <= width
        assert max(frame["shown"] + frame["tables"]) <= width
        assert frame["title"].startswith("Evaluation <script>")


@pytest.mark.parametrize("width", [1280, 400])
def test_a_browser_draws_the_page_without_errors(
    written: Path, browser: Browser, tmp_path: Path, width: int
):
    picture = tmp_path / "screen.png"
    narrow = tmp_path / "narrow.html"  # the browser's own windows are not below 500 pixels wide
    narrow.write_text(
        '<!DOCTYPE html><html><body style="margin:0"><iframe style="border:0;height:2000px;width:'
        f'{width}px" src="{written.as_uri()}"></iframe></body></html>',
        encoding="utf-8",
    )
    done = browser(
        written if width >= 500 else narrow,
        f"--window-size={max(width, 500)},2000",
        f"--screenshot={picture}",
    )
    assert not console(done.stderr)
    screen = cv2.imread(str(picture))[:, :width]
    assert screen.shape == (2000, width, 3)
    # Something is drawn in each part of the page, and the photographs' squares among it.
    assert all(part.std() > 5 for part in np.array_split(screen, 4))
