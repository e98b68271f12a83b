# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Points in pictures, in the report and in predict.py: what is drawn, and what is compared."""

import contextlib
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from src.data.images import decode_with_cv2
from src.evaluation.matching import Poses, counting, judge, likeness, match, oks
from src.evaluation.predict import Predictor, find_sources, predict_all
from src.evaluation.report import ImageResult, select_images, write_report
from src.tasks import pose
from src.visual import pictures

ARROW = pose.task_with(
    ["tip", "left_wing", "right_wing", "end"], [[1, 2], [1, 3], [1, 4]], [0.1, 0.05, 0.05, 0.2]
)
POSES = Poses(ARROW.sigmas, [False, True])
NAMES = ["stone", "arrow"]


def random_image(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Objects (9,5+12) of two classes, boxes (20,6+12) near them, areas."""
    low, size = random.uniform(0, 60, (9, 2)), random.uniform(20, 60, (9, 2))
    places = low[:, None] + size[:, None] * random.random((9, 4, 2))
    visible = random.choice([0, 1, 2], (9, 4, 1)) * (random.random((9, 1, 1)) < 0.8)
    points = np.concatenate([places, visible], axis=2).reshape(9, 12)
    truth = np.column_stack([low, low + size, random.integers(0, 2, 9), points])
    near = truth[random.integers(0, 9, 20)]
    guesses = near[:, 5:].reshape(20, 4, 3) + random.normal(0, 2, (20, 4, 3)) * (1, 1, 0)
    rows = [near[:, :4] + random.normal(0, 4, (20, 4)), random.random((20, 1)), near[:, 4:5]]
    return truth, np.column_stack([*rows, guesses.reshape(20, 12)]), random.uniform(300, 3000, 9)


@pytest.mark.parametrize("seed", range(5))
def test_oks_and_what_has_found_what_are_those_of_pycocotools(seed: int):
    truth, predicted, areas = random_image(np.random.default_rng(seed))
    truth[:, 4] = predicted[:, 5] = 1
    coco = COCO()
    coco.dataset = {
        "images": [{"id": 1}],
        "categories": [{"id": 1}],
        "annotations": [
            {
                "id": i + 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": area,
                "bbox": [*row[:2], *(row[2:4] - row[:2])], "keypoints": row[5:].tolist(),
                "num_keypoints": int((row[7::3] > 0).sum()),
            }
            for i, (row, area) in enumerate(zip(truth, areas, strict=True))
        ],
    }  # fmt: skip
    results = [
        {
            "image_id": 1, "category_id": 1, "score": row[4], "keypoints": row[6:].tolist(),
            "bbox": [*row[:2], *(row[2:4] - row[:2])],
        }
        for row in predicted
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(ARROW.sigmas)
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
    best_first = np.argsort(-predicted[:, 4])
    expected = evaluation.ious[1, 1]
    np.testing.assert_allclose(
        oks(truth, predicted, ARROW.sigmas, areas)[best_first], expected, rtol=1e-9
    )
    (entry,) = evaluation.evalImgs
    found = np.full(len(predicted), -1)
    for box_id, object_id in zip(entry["dtIds"], entry["dtMatches"][0], strict=True):
        found[box_id - 1] = int(object_id) - 1
    own = match(truth, predicted, poses=POSES, areas=areas)
    # Objects that do not count may be exchanged: several are like a box by 1.
    counts = np.append(counting(truth, POSES), True)  # -1 too
    np.testing.assert_array_equal(counts[own], counts[found])
    np.testing.assert_array_equal(own[counts[own]], found[counts[found]])
    assert (own[counts[own]] >= 0).sum() > 3


def test_classes_without_points_are_compared_by_their_boxes():
    truth, predicted, areas = random_image(np.random.default_rng(9))
    like = likeness(truth, predicted, POSES, areas)
    boxes_alone = likeness(truth[:, :5], predicted[:, :6], None, None)
    is_arrow = truth[:, 4] == 1
    np.testing.assert_array_equal(like[:, ~is_arrow], boxes_alone[:, ~is_arrow])
    assert (np.abs(like - boxes_alone)[:, is_arrow] > 0.01).any()


SQUARE = [[10.0, 10], [90, 10], [10, 90], [90, 90]]


def row(class_index: int, shift: float = 0.0, visible: float = 2, score: float | None = None):
    """An object of 100x100 pixels with its points at its corners, or with a score a box."""
    points = np.column_stack([np.array(SQUARE) + shift, np.full(4, visible)]).ravel()
    scores = [] if score is None else [score]
    return np.array([shift, shift, 100 + shift, 100 + shift, *scores, class_index, *points])


def test_a_verdict_has_the_mean_oks_of_the_objects_with_points():
    # A point of the second class is d pixels off, squared 2 · 10,000 · (2σ)² · ln 2 of the tip.
    off = row(1, score=0.9)
    off[6] += np.sqrt(2 * 100**2 * 0.2**2 * np.log(2))  # the tip's part is 1/2
    truth = np.array([row(1), row(1, 300), row(1, 600, visible=0), row(0, 900)])
    predicted = np.array([
        off, row(1, 600, score=0.8), row(0, 900, score=0.7), row(1, 1500, score=0.6),
        row(1, 300, score=0.1),
    ])  # fmt: skip
    found = match(truth, predicted, poses=POSES)
    assert found.tolist() == [0, 2, 3, -1, 1]
    verdict = judge(truth, predicted, found, 0.3, POSES)
    # The second is missed, as its box's score is too low; the third can be neither; the fourth has
    # no points. Mean of 0.875 and 0.
    assert (verdict.found, verdict.missed, verdict.false) == (2, 1, 1)
    assert verdict.oks == verdict.quality == pytest.approx(0.4375)
    nobody = judge(
        truth[2:], predicted[1:3], match(truth[2:], predicted[1:3], poses=POSES), 0.3, POSES
    )
    assert nobody.oks is None and nobody.quality == nobody.f1 == 1


def test_images_are_selected_by_oks():
    truth = np.array([row(1)])
    verdicts = []
    for shift in (0.0, 4.0, 2.0, 500.0, 1.0, 3.0):
        predicted = np.array([row(1, shift, score=0.9)])
        verdicts.append(judge(truth, predicted, match(truth, predicted, poses=POSES), 0.3, POSES))
    assert len({verdict.f1 for verdict in verdicts}) == 2  # which would not tell them apart
    selection = select_images(verdicts, 2)
    assert selection.worst == [3, 1] and selection.best == [0, 4]


# Pictures -----------------------------------------------------------------------------------------


def pixels_of(picture: np.ndarray, colour: tuple[int, int, int], tolerance: int = 0) -> np.ndarray:
    return np.argwhere(np.abs(picture.astype(int) - colour).max(axis=2) <= tolerance)


def drawn(points: list, **options: object) -> np.ndarray:
    """An arrow in a grey picture of 640x480: tip at 320, 100, wings beside it, end below."""
    image = np.full((480, 640, 3), 60, np.uint8)
    box = np.array([[50, 50, 600, 450, 1]], float)
    return pictures.draw_boxes(
        image, box, NAMES, points=np.array([points], float), task=ARROW, **options
    )


ARROW_POINTS = [[320, 100, 2], [500, 200, 2], [140, 200, 2], [320, 400, 2]]


def test_left_and_right_have_their_colours_and_the_middle_another():
    picture = drawn(ARROW_POINTS)
    for colour, (x, y) in ((pictures.LEFT, (500, 200)), (pictures.RIGHT, (140, 200))):
        places = pixels_of(picture, colour)
        assert len(places) > 20
        assert np.abs(places - (y, x)).max() < 15  # its dot; the line to the middle has no side
    middle = pixels_of(picture, pictures.MIDDLE)
    assert len(middle) > 1500 and {320} <= set(middle[:, 1].tolist())
    of_boxes = pictures.draw_boxes(
        np.full((480, 640, 3), 60, np.uint8), np.array([[50, 50, 600, 450, 1.0]]), NAMES
    )
    for colour in (pictures.LEFT, pictures.RIGHT, pictures.MIDDLE):
        assert not len(pixels_of(of_boxes, colour))


def test_unseen_points_are_thin_rings_and_unlabelled_ones_are_not_drawn():
    seen = drawn(ARROW_POINTS)
    unseen = drawn([[320, 100, 2], [500, 200, 1], [140, 200, 0], [320, 400, 1]])
    assert (seen[200, 500] == pictures.LEFT).all()  # a dot is filled
    assert not (unseen[200, 500] == pictures.LEFT).all()
    assert len(pixels_of(unseen[190:211, 490:511], pictures.LEFT, 60)) > 5  # a ring
    assert not len(pixels_of(unseen, pictures.RIGHT))
    # The line from the tip to the end, across: some pixels, and one.
    widths = [len(pixels_of(picture[300:301], pictures.MIDDLE, 60)) for picture in (seen, unseen)]
    assert widths[0] >= 4 and widths[1] == 1


def test_points_far_outside_do_not_hurt():
    picture = drawn([[320, 100, 2], [1e30, 200, 2], [-1e9, 1e9, 2], [320, 1e7, 2]])
    assert (picture[470, 320] == pictures.MIDDLE).all()  # the line goes out of the picture


def test_points_are_scaled_with_their_picture_and_small_objects_have_thin_lines():
    image = np.zeros((100, 100, 3), np.uint8)
    box = np.array([[10, 10, 90, 90, 1.0]])
    points = np.array([[[50, 20, 2], [80, 50, 2], [20, 50, 2], [50, 80, 2]]], float)
    picture = pictures.draw_boxes(image, box, NAMES, points=points, task=ARROW)
    assert picture.shape == (600, 600, 3)
    assert (picture[300, 480] == pictures.LEFT).all() and (
        picture[300, 120] == pictures.RIGHT
    ).all()
    large = pictures.draw_boxes(
        np.zeros((1600, 1600, 3), np.uint8), np.array([[700, 700, 760, 760, 1.0]]), NAMES,
        points=points / 2 + (700, 700, 0), task=ARROW,
    )  # fmt: skip
    assert 5 < len(pixels_of(large, pictures.LEFT, 60)) < 60


def test_the_colours_of_sides_are_none_of_a_class():
    sides = [pictures.LEFT, pictures.RIGHT, pictures.MIDDLE]
    classes = [pictures.class_colour(index) for index in range(80)]
    lab = cv2.cvtColor(np.array([sides + classes], np.float32) / 255, cv2.COLOR_BGR2LAB)[0]
    distance = np.linalg.norm(lab[:3, None] - lab[None], axis=2)
    assert distance[:3, :3][~np.eye(3, dtype=bool)].min() > 60
    assert distance[:, 3].min() > 60  # from the first class, which is COCO's person


def test_points_are_seen_by_their_score_and_only_where_the_class_has_them():
    boxes = np.array(
        [[0, 0, 9, 9, 0.9, 1, *[1, 2, 0.5] * 2], [0, 0, 9, 9, 0.8, 0, *[1, 2, 0.5] * 2]]
    )
    boxes[0, 11] = 0.2
    shown = pictures.shown_points(boxes, [False, True], 0.3)
    assert shown[:, :, 2].tolist() == [[2, 1], [0, 0]]
    assert boxes[0, 8] == 0.5  # as they were


# The report ---------------------------------------------------------------------------------------


def results_of(folder: Path, count: int) -> list[ImageResult]:
    """Images with two arrows each; what is predicted is off by more from image to image."""
    found = []
    for number in range(count):
        image = np.full((480, 640, 3), 60, np.uint8)
        truth = np.array([row(1, 50), row(1, 250)])
        predicted = np.array([row(1, 50 + number, score=0.9), row(1, 250 + number, score=0.8)])
        path = folder / f"{number}.jpg"
        assert cv2.imwrite(str(path), image)
        found.append(ImageResult(path, truth, predicted, areas=np.full(2, 8000.0)))
    return found


def test_the_report_shows_worst_and_best_by_oks_with_points(tmp_path: Path):
    numbers = {name: 0.05 * i for i, name in enumerate(ARROW.numbers)}
    numbers |= {f"bbox_{name}": 0.5 for name in ("AP", "AP50", "AP_K")}
    of_class = {"AP": 0.25, "AP50": 0.5, "images": 9, "objects": 18, "labelled": 17}
    of_class |= {"bbox_AP": 0.75, "bbox_AP50": 1.0}
    none = dict.fromkeys(of_class) | {"images": 0, "objects": 0, "labelled": 0}
    write_report(
        tmp_path / "report.html", title="Arrows", facts={}, numbers=numbers,
        classes={"stone": none, "arrow": of_class}, precision=np.full((10, 101, 2), 0.5),
        images=results_of(tmp_path, 9), score_thresh=0.3, images_of_kind=2, task=ARROW,
        has_points=POSES.has_points,
    )  # fmt: skip
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))

    def texts(path: str) -> list[str]:
        return [" ".join("".join(of.itertext()).split()) for of in page.findall(path)]

    tiles = texts(".//*[@class='tile']")
    assert len(tiles) == 10 + 3
    assert tiles[1].startswith("AP500.050AP where OKS 0.50 is enough")
    assert tiles[11].startswith("AP500.500AP where IoU 0.50 is enough")
    assert texts(".//thead/tr/th")[3:] == ["labelled", "AP", "AP50", "box AP", "box AP50"]
    assert texts(".//tbody/tr[1]/*")[:4] == ["arrow", "9", "18", "17"]
    captions = {
        anchor: texts(f".//section[@id='{anchor}']//figcaption") for anchor in ("worst", "best")
    }
    assert [caption.split(":")[0] for caption in captions["worst"]] == ["8.jpg", "7.jpg"]
    assert [caption.split(":")[0] for caption in captions["best"]] == ["0.jpg", "1.jpg"]
    assert captions["best"][0].endswith("0 false; OKS\xa01.00".replace("\xa0", " "))
    assert pictures.LEGEND in " ".join(texts(".//section[@id='worst']/p"))


# predict.py ---------------------------------------------------------------------------------------


def test_predictions_have_points_in_pixels_of_the_image_and_in_their_pictures(tmp_path: Path):
    (tmp_path / "in").mkdir()
    image = np.full((480, 640, 3), 60, np.uint8)
    assert cv2.imwrite(str(tmp_path / "in" / "a.png"), image)
    writer = cv2.VideoWriter(
        str(tmp_path / "in" / "b.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5.0, (640, 480)
    )
    for _ in range(2):
        writer.write(image)
    writer.release()
    half = np.array([row(1, 50, 0.9, 0.9), row(0, 150, 0.9, 0.8), row(1, 90, 0.9, 0.1)], np.float32)

    def detect(readers):
        for read in readers:
            assert read().shape == (240, 320, 3)  # a smaller one, for the network
            yield half.copy()

    sources = find_sources(str(tmp_path / "in"), tmp_path / "out")
    predictor = Predictor(detect, NAMES, 0.3, ARROW, POSES.has_points, largest=320 * 240)
    assert predict_all(sources, predictor, decode_with_cv2) == 0
    content = json.loads((tmp_path / "out" / "a.png.json").read_text())
    arrow, stone = content["boxes"]
    assert arrow["class"] == "arrow" and stone["class"] == "stone" and "points" not in stone
    expected = np.column_stack([2 * (np.array(SQUARE) + 50), np.full(4, 0.9)])
    np.testing.assert_allclose(arrow["points"], expected, rtol=1e-6)
    np.testing.assert_allclose(arrow["box"], [100, 100, 300, 300])
    picture = cv2.imread(str(tmp_path / "out" / "a.png"))
    assert len(pixels_of(picture, pictures.LEFT)) > 20
    assert len(pixels_of(picture, pictures.RIGHT)) > 20
    lines = (tmp_path / "out" / "b.avi.jsonl").read_text().splitlines()
    assert [json.loads(line)["boxes"] for line in lines] == [content["boxes"]] * 2
    video = cv2.VideoCapture(str(tmp_path / "out" / "b.avi.mp4"))
    is_read, frame = video.read()
    (x, y) = 2 * (np.array(SQUARE[1]) + 50).astype(int)  # the left wing
    near = frame[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(axis=0)
    assert is_read and np.abs(near - pictures.LEFT).max() < 60
