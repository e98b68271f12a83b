# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""COCO's numbers of poses, beside plain NumPy and beside pycocotools as its own example uses it."""

import contextlib
import importlib.util
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from src.evaluation.coco_results import class_table, score, to_results
from src.model_utils.errors import UserError
from src.tasks import boxes, pose
from src.tasks.task import Task
from tests import reference

BACKENDS = [
    "pycocotools",
    pytest.param(
        "faster-coco-eval",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("faster_coco_eval") is None,
            reason="faster-coco-eval is optional: requirements/faster-coco-eval.txt",
        ),
    ),
]
# Five points of an arrow, placed apart as no set of COCO is.
ARROW = pose.task_with(
    ["tip", "left_wing", "right_wing", "middle", "end"],
    [[1, 4], [4, 5]],
    [0.1, 0.05, 0.05, 0.2, 0.3],
)
CLASSES = ["stone", "person", "arrow"]
HAS_POINTS = [False, True, True]
IDS = {"stone": 44, "person": 1, "arrow": 7}


def random_set(seed: int, count: int) -> tuple[dict, list[dict]]:
    """Annotations and results with points of three classes.

    Among them: objects with few, none or no listed points, crowds, an image with more than twenty
    boxes, images without objects or results, and a class without points.
    """
    random = np.random.default_rng(seed)
    annotations, results = [], []
    for image_id in range(1, 31):
        for _ in range(int(random.integers(0, 25 if image_id % 10 == 0 else 6))):
            size = 2 ** random.uniform(4, 8, 2)
            corner = random.uniform(0, 300, 2)
            name = str(random.choice(CLASSES, p=[0.2, 0.5, 0.3]))
            points = corner + random.random((count, 2)) * size
            visible = random.choice([0, 1, 2], count, p=[0.3, 0.2, 0.5])
            visible *= int(random.random() < 0.85)
            entry = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": IDS[name],
                "bbox": [*corner.tolist(), *size.tolist()],
                "area": float(size.prod() * random.uniform(0.4, 1)),
                "iscrowd": int(random.random() < 0.1),
            }
            if name != "stone":
                triples = np.column_stack([points * (visible > 0)[:, None], visible])
                entry["keypoints"] = triples.ravel().tolist()
                entry["num_keypoints"] = int((visible > 0).sum())
            annotations.append(entry)
            for _ in range(int(random.integers(0, 3))):  # missed, or found more than once
                far = random.choice([0.01, 0.04, 0.1]) * size
                box = np.concatenate([corner, corner + size]) + np.tile(far, 2) * random.normal(
                    size=4
                )
                shaken = points + far * random.normal(size=(count, 2))
                guess = name if random.random() < 0.9 else str(random.choice(CLASSES))
                row = np.concatenate(
                    [
                        *(box, [round(random.random(), 2), CLASSES.index(guess)]),
                        np.column_stack([shaken, random.random(count)]).ravel(),
                    ]
                )
                results += to_results(image_id, row[None], [IDS[n] for n in CLASSES], HAS_POINTS)
    truth = {
        "images": [
            {"id": i, "width": 640, "height": 480, "file_name": f"{i}.jpg"} for i in range(1, 35)
        ],
        "annotations": annotations,
        "categories": [{"id": IDS[name], "name": name} for name in CLASSES],
    }
    return truth, results


@pytest.fixture
def write_truth(tmp_path: Path) -> Callable[[dict], Path]:
    def write(content: dict) -> Path:
        path = tmp_path / "truth.json"
        path.write_text(json.dumps(content))
        return path

    return write


IMAGES = range(1, 33)  # two of the set are not looked at


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("task", "seed"), [(ARROW, 0), (ARROW, 1), (pose.TASK, 2)])
def test_numbers_are_those_of_plain_numpy_for_any_sigmas(
    task: Task, seed: int, backend: str, write_truth: Callable[[dict], Path]
):
    content, results = random_set(seed, task.points)
    path = write_truth(content)
    scores = score(path, results, IMAGES, CLASSES, backend, task=task, has_points=HAS_POINTS)
    expected = reference.keypoint_numbers(
        [entry for entry in content["annotations"] if "keypoints" in entry],
        [entry for entry in results if "keypoints" in entry],
        list(IMAGES),
        np.array(task.sigmas),
    )
    own = dict(list(scores.numbers.items())[:10])
    assert own == pytest.approx(dict(zip(task.numbers, expected, strict=True)), abs=1e-9)
    assert all(0.05 < value < 0.95 for value in own.values())

    # The boxes of the same run are those of a run of boxes alone.
    alone = score(path, results, IMAGES, CLASSES, backend)
    assert {f"bbox_{name}": value for name, value in alone.numbers.items()} == dict(
        list(scores.numbers.items())[10:]
    )
    lines = scores.table.splitlines()
    assert lines[0] == "keypoints" and lines[11] == "boxes" and len(lines) == 24
    assert "maxDets= 20 ] = " in lines[1] and lines[12:] == alone.table.splitlines()
    for name, of in scores.classes.items():
        by_box = alone.classes[name]
        assert (of.images, of.objects) == (by_box.images, by_box.objects)
        assert (of.bbox_AP, of.bbox_AP50) == (by_box.AP, by_box.AP50)
    stone = scores.classes["stone"]
    assert (stone.AP, stone.AP50, stone.labelled) == (None, None, 0)
    assert np.isnan(scores.precision[:, :, 0]).all()
    pointed = [scores.classes[name].AP for name in ("person", "arrow")]
    assert np.mean(pointed) == pytest.approx(own["AP"])
    assert 0 < scores.classes["person"].labelled < scores.classes["person"].objects


@pytest.mark.parametrize("seed", range(3))
def test_numbers_of_persons_are_those_of_pycocotools(
    seed: int, write_truth: Callable[[dict], Path]
):
    content, results = random_set(seed, 17)
    for key, entries in (("annotations", content["annotations"]), ("results", results)):
        entries[:] = [entry for entry in entries if entry["category_id"] == IDS["person"]]
        assert len(entries) > 20, key
    content["categories"] = [{"id": 1, "name": "person"}]
    path, text = write_truth(content), io.StringIO()
    with contextlib.redirect_stdout(text):
        truth = COCO(str(path))
        truth.dataset["info"] = {}  # pycocotools 2.0.9 and 2.0.10 cannot do without
        evaluation = COCOeval(truth, truth.loadRes([dict(entry) for entry in results]), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # As the server takes it: written and read once more.
    results = json.loads(json.dumps(results))
    scores = score(path, results, range(1, 35), ["person"], task=pose.TASK, has_points=[True])
    assert list(scores.numbers.values())[:10] == evaluation.stats.tolist()
    assert scores.table.splitlines()[1:11] == text.getvalue().splitlines()[-10:]


def test_results_have_points_of_their_classes_in_full_precision_and_visibility_one():
    rows = np.array(
        [
            [10, 20, 15, 40, 0.25, 1, 1 / 3, 2, 0.9, 5, 6, 0.05],
            [0, 0, 1, 1, 0.5, 0, 7, 8, 0.5, 9, 9, 1],
        ],
        np.float32,
    )
    results = to_results(42, rows, [44, 1], [False, True])
    assert results == [
        {
            "image_id": 42, "category_id": 1, "bbox": [10.0, 20.0, 5.0, 20.0], "score": 0.25,
            "keypoints": [float(np.float32(1 / 3)), 2.0, 1, 5.0, 6.0, 1],
        },
        {"image_id": 42, "category_id": 44, "bbox": [0.0, 0.0, 1.0, 1.0], "score": 0.5},
    ]  # fmt: skip
    json.dumps(results)


def one_person(**changes: object) -> dict:
    """An annotation file with a person of five points, each at its place."""
    points = [[10.0, 10.0, 2], [50.0, 10.0, 1], [30.0, 40.0, 2], [20.0, 60.0, 0], [40.0, 60.0, 2]]
    entry = {
        "id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 60.0, 70.0], "area": 4200.0,
        "iscrowd": 0, "keypoints": np.ravel(points).tolist(), **changes,
    }  # fmt: skip
    return {
        "images": [{"id": i, "width": 640, "height": 480, "file_name": f"{i}.jpg"} for i in (1, 2)],
        "annotations": [{k: v for k, v in entry.items() if v is not None}],
        "categories": [{"id": 1, "name": "person"}],
    }


def result_of(content: dict, **changes: object) -> dict:
    (entry,) = content["annotations"]
    points = np.reshape(entry["keypoints"], (-1, 3)) * (1, 1, 0) + (0, 0, 1)
    taken = {key: entry[key] for key in ("image_id", "category_id", "bbox")}
    return {**taken, "score": 0.9, "keypoints": points.ravel().tolist(), **changes}


def scored(path: Path, *results: dict):
    return score(path, results, [1], ["person"], task=ARROW, has_points=[True])


def test_oks_by_hand(write_truth: Callable[[dict], Path]):
    content = one_person()
    path = write_truth(content)
    perfect = scored(path, result_of(content))
    assert [perfect.numbers[n] for n in ("AP", "AP75")] == pytest.approx([1, 1])
    assert perfect.numbers["bbox_AP"] == pytest.approx(1)
    assert perfect.numbers["AP_large"] == -1  # 4200 pixels are medium
    # Four points count. The tip is off by d² = 2·area·(2·0.1)²·ln 2, which makes it 1/2; the others
    # fit: OKS 3.5 / 4 = 0.875, which is enough for eight of ten thresholds. The unlabelled one may
    # be anywhere.
    moved = result_of(content)["keypoints"]
    moved[0] += float(np.sqrt(2 * 4200 * 0.2**2 * np.log(2)))
    moved[9] = 4000.0
    assert scored(path, result_of(content, keypoints=moved)).numbers["AP"] == pytest.approx(0.8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_results_and_without_objects(backend: str, write_truth: Callable[[dict], Path]):
    path = write_truth(one_person())
    nothing = score(path, [], [1], ["person"], backend, task=ARROW, has_points=[True])
    assert nothing.numbers["AP"] == nothing.numbers["bbox_AP"] == 0
    other = score(path, [], [2], ["person"], backend, task=ARROW, has_points=[True])
    assert set(other.numbers.values()) == {-1.0}
    content = one_person(keypoints=None)
    content["categories"][0]["name"] = "stone"  # a class without points, and no other
    names = ["person", "stone"]
    path = write_truth(content)
    of_boxes = score(path, [], [1], names, backend, task=ARROW, has_points=[True, False])
    assert (of_boxes.numbers["AP"], of_boxes.numbers["bbox_AP"]) == (-1, 0)


@pytest.mark.parametrize("keypoints", [[0] * 15, None])
def test_an_object_without_labelled_points_is_neither_found_nor_missed(
    keypoints: list | None, write_truth: Callable[[dict], Path]
):
    content = one_person()
    result = result_of(content)
    second = {**content["annotations"][0], "id": 2, "image_id": 2}
    content["annotations"][0]["keypoints"] = keypoints
    if keypoints is None:
        del content["annotations"][0]["keypoints"]
    content["annotations"].append(second)
    path = write_truth(content)
    both = [result, {**result, "image_id": 2, "score": 0.5}]
    scores = score(path, both, [1, 2], ["person"], task=ARROW, has_points=[True])
    assert [scores.numbers[n] for n in ("AP", "bbox_AP")] == pytest.approx([1, 1])
    person = scores.classes["person"]
    assert (person.images, person.objects, person.labelled) == (2, 2, 1)
    missed = score(path, both[1:], [1, 2], ["person"], task=ARROW, has_points=[True])
    assert missed.numbers["AP"] == pytest.approx(1)
    assert missed.numbers["bbox_AP"] == pytest.approx(51 / 101)


def test_a_stated_number_of_keypoints_holds(write_truth: Callable[[dict], Path]):
    """COCO's own files state 0 of objects whose points are not to count."""
    content = one_person(num_keypoints=0)
    assert scored(write_truth(content), result_of(content)).numbers["AP"] == -1


def test_the_table_of_classes_has_both_aps(write_truth: Callable[[dict], Path]):
    content = one_person()
    scores = scored(write_truth(content), result_of(content))
    assert class_table(scores.classes) == [
        "class   images  objects  labelled     AP   AP50  bbox_AP  bbox_AP50",
        "person       1        1         1  1.000  1.000    1.000      1.000",
    ]


# Bad input ----------------------------------------------------------------------------------------


def test_a_label_file_without_keypoints_is_refused(write_truth: Callable[[dict], Path]):
    path = write_truth(one_person(keypoints=None))
    with pytest.raises(
        UserError, match=r"truth\.json: has no keypoints, .*person_keypoints_val2017"
    ):
        scored(path)
    assert score(path, [], [1], ["person"], task=boxes.TASK).numbers["AP"] == 0


def test_a_label_file_with_other_keypoints_is_refused(write_truth: Callable[[dict], Path]):
    path = write_truth(one_person(keypoints=[1.0, 2.0, 2] * 4))
    with pytest.raises(UserError, match=r"has keypoints of 12 numbers, .*5 points are 15; give"):
        scored(path)


@pytest.mark.parametrize(
    "keypoints", [[1.0] * 10, [float("nan"), 1, 2] * 5, ["1"] * 15, {"tip": 1}, [True] * 15]
)
def test_an_annotation_with_unusable_keypoints_is_left_out(
    keypoints: object, write_truth: Callable[[dict], Path]
):
    content = one_person()
    result = result_of(content)
    content["annotations"].append({**content["annotations"][0], "id": 2, "keypoints": keypoints})
    assert scored(write_truth(content), result).numbers["AP"] == pytest.approx(1)
