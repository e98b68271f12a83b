# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""COCO's result format and its numbers."""

import contextlib
import importlib.util
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from src.evaluation.coco_results import (
    ClassScore,
    category_ids,
    class_table,
    import_backend,
    score,
    to_results,
    upload_name,
)
from src.model_utils.errors import UserError
from src.tasks.boxes import TASK

# image id: xywh of its one object
BOXES = {1: [10.0, 10.0, 40.0, 50.0], 2: [5.0, 5.0, 100.0, 120.0]}
CATEGORIES = [{"id": 3, "name": "cat"}]
NAMES = ["dog", "cat"]  # the set has no dog


def images(*image_ids: int) -> list[dict]:
    return [{"id": i, "width": 640, "height": 480, "file_name": f"{i}.jpg"} for i in image_ids]


def objects_of(*image_ids: int, **changes) -> list[dict]:
    return [
        {"id": i, "image_id": i, "category_id": 3, "bbox": BOXES[i], "iscrowd": 0, **changes}
        for i in image_ids
    ]


def results_of(*image_ids: int) -> list[dict]:
    rows = {i: (*BOXES[i][:2], *np.add(BOXES[i][:2], BOXES[i][2:])) for i in image_ids}
    return [r for i, row in rows.items() for r in to_results(i, np.array([[*row, 0.9, 0]]), [3])]


@pytest.fixture
def write_truth(tmp_path: Path) -> Callable[..., Path]:
    """Writes an annotation file."""

    def write(images: list, annotations: list, categories: list = CATEGORIES) -> Path:
        path = tmp_path / "truth.json"
        content = {"images": images, "annotations": annotations, "categories": categories}
        path.write_text(json.dumps(content))
        return path

    return write


@pytest.fixture
def truth(write_truth: Callable[..., Path]) -> Path:
    return write_truth(images(1, 2), objects_of(1, 2))


def test_category_ids_are_the_inverse_of_the_classes():
    assert category_ids({90: 0, 1: 3, 7: 2}, 4) == [90, None, 7, 1]


def test_results_are_xywh_with_category_ids_and_leave_out_classes_the_set_lacks():
    boxes = np.array([[10, 20, 15, 40, 0.25, 2], [0, 0, 1, 1, 0.9, 1]], np.float32)
    results = to_results(42, boxes, [90, None, 7])
    assert results == [
        {"image_id": 42, "category_id": 7, "bbox": [10.0, 20.0, 5.0, 20.0], "score": 0.25}
    ]
    json.dumps(results)  # plain numbers only
    assert to_results(42, boxes, [90, None, -1])[0]["category_id"] == -1  # an id as any other


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        ("annotations/image_info_test-dev2017.json", "test-dev2017"),
        ("image_info_test2017.json", "test2017"),
        ("lists/own.json", "own"),
    ],
)
def test_the_file_for_the_server_has_the_name_that_it_asks_for(annotation: str, name: str):
    assert upload_name(annotation) == f"detections_{name}_centernet_results.json"


# Numbers worked by hand ---------------------------------------------------------------------------


def test_perfect_results_have_ap_one(truth: Path, capsys: pytest.CaptureFixture):
    results = results_of(1, 2)
    scores = score(truth, results, [1, 2], NAMES)
    assert tuple(scores.numbers) == TASK.numbers
    # 40x50 and 100x120 pixels: none is small.
    expected = dict.fromkeys(TASK.numbers, 1.0) | {"AP_small": -1.0, "AR_small": -1.0}
    assert scores.numbers == pytest.approx(expected)
    lines = scores.table.splitlines()
    assert len(lines) == 12
    assert lines[0].endswith("(AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 1.000")
    assert scores.classes["cat"] == ClassScore(pytest.approx(1), pytest.approx(1), 2, 2)
    assert scores.classes["dog"] == ClassScore(None, None, 0, 0)
    assert scores.precision.shape == (10, 101, 2)
    assert scores.precision[:, :, 1] == pytest.approx(1)
    assert np.isnan(scores.precision[:, :, 0]).all()
    assert capsys.readouterr().out == ""
    assert results == results_of(1, 2)  # as they were


def test_no_results_have_ap_zero(truth: Path):
    scores = score(truth, [], [1, 2], NAMES)
    assert scores.numbers["AP"] == scores.numbers["AR100"] == 0
    assert len(scores.table.splitlines()) == 12
    assert scores.classes == {"dog": ClassScore(None, None, 0, 0), "cat": ClassScore(0, 0, 2, 2)}


def test_only_the_images_asked_for_count(truth: Path):
    # Image 2 has no result: half the recall, or none missing when only image 1 counts.
    assert score(truth, results_of(1), [1], NAMES).numbers["AP"] == pytest.approx(1)
    # Precision is 1 at the 51 of 101 recall levels up to one half.
    both = score(truth, results_of(1), [1, 2], NAMES)
    assert both.numbers["AP"] == pytest.approx(51 / 101)
    assert both.precision[3, :, 1] == pytest.approx(np.repeat([1.0, 0.0], [51, 50]))
    one = score(truth, results_of(1, 2), [1], NAMES)
    assert one.classes["cat"] == ClassScore(pytest.approx(1), pytest.approx(1), 1, 1)


def test_ap50_and_ap_of_a_class_differ_by_the_iou(truth: Path):
    results = results_of(1, 2)
    results[0]["bbox"] = [10.0, 10.0, 40.0, 34.0]  # IoU 0.68 of image 1's object
    results[0]["score"] = 0.8
    # At 0.5 to 0.65 both are found; at the other six of ten one, and then a wrong box.
    cat = score(truth, results, [1, 2], NAMES).classes["cat"]
    np.testing.assert_allclose([cat.AP, cat.AP50], [(4 + 6 * 51 / 101) / 10, 1])


def test_an_image_without_objects_and_one_with_a_crowd_only(write_truth: Callable[..., Path]):
    path = write_truth(images(1, 2, 7), objects_of(1) + objects_of(2, iscrowd=1))
    box = {"image_id": 7, "category_id": 3, "bbox": [0, 0, 9, 9], "score": 0.95}
    scores = score(path, [*results_of(1, 2), box], [1, 2, 7], NAMES)
    # The box of image 7 is wrong, the best one, and the only wrong one: precision 1 in 2.
    assert scores.classes["cat"] == ClassScore(pytest.approx(0.5), pytest.approx(0.5), 1, 1)
    # Where there is nothing to be found, there are no numbers.
    nothing = score(path, [*results_of(2), box], [2, 7], NAMES)
    assert set(nothing.numbers.values()) == {-1.0}
    assert nothing.classes["cat"] == ClassScore(None, None, 0, 0)
    assert np.isnan(nothing.precision).all()


def test_an_annotation_of_id_zero_counts(write_truth: Callable[..., Path]):
    path = write_truth(images(1), objects_of(1, id=0))
    assert score(path, results_of(1), [1], NAMES).numbers["AP"] == pytest.approx(1)


def test_annotations_without_usable_iscrowd_and_area(write_truth: Callable[..., Path]):
    first, second = objects_of(1, 2)
    del first["iscrowd"]
    second |= {"iscrowd": None, "area": None}
    scores = score(write_truth(images(1, 2), [first, second]), results_of(1, 2), [1, 2], NAMES)
    assert scores.numbers["AP_medium"] == scores.numbers["AP_large"] == pytest.approx(1)


@pytest.mark.parametrize("flag", [1, 1.0, True, "1"])
def test_boxes_marked_ignore_are_neither_found_nor_missed(
    flag: object, write_truth: Callable[..., Path]
):
    path = write_truth(images(1, 2), objects_of(1) + objects_of(2, ignore=flag))
    assert score(path, results_of(1), [1, 2], NAMES).numbers["AP"] == pytest.approx(1)
    found = score(path, results_of(1, 2), [1, 2], NAMES)
    assert found.classes["cat"] == ClassScore(pytest.approx(1), pytest.approx(1), 1, 1)
    path = write_truth(images(1, 2), objects_of(1) + objects_of(2, ignore=0))
    assert score(path, results_of(1), [1, 2], NAMES).numbers["AP"] == pytest.approx(51 / 101)


def test_what_means_the_same_is_scored_the_same(write_truth: Callable[..., Path]):
    first, second = objects_of(1, 2)
    first |= {"id": 2, "image_id": "1", "category_id": 3.0}
    del second["bbox"], second["id"]
    second["segmentation"] = [[5, 5, 105, 125, 50, 60]]  # its box is that of BOXES
    entries = [{**entry, "id": float(entry["id"]), "width": None} for entry in images(1, 2)]
    path = write_truth(entries, [first, second], [{"id": "3", "name": "cat"}])
    assert score(path, results_of(1, 2), [1, 2], NAMES).numbers["AP"] == pytest.approx(1)


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


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("category_id", [-1, 0])
def test_a_category_id_can_be_any_integer(
    category_id: int, backend: str, write_truth: Callable[..., Path]
):
    annotations = objects_of(1, 2, category_id=category_id)
    path = write_truth(images(1, 2), annotations, [{"id": category_id, "name": "cat"}])
    results = [{**result, "category_id": category_id} for result in results_of(1, 2)]
    assert score(path, results, [1, 2], NAMES, backend).numbers["AP"] == pytest.approx(1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_boxes_of_a_dense_image_count_beside_cocos_hundred(
    backend: str, write_truth: Callable[..., Path]
):
    boxes = [[12.0 * (i % 40), 12.0 * (i // 40), 10.0, 10.0] for i in range(400)]
    annotations = [{"image_id": 1, "category_id": 3, "bbox": box} for box in boxes]
    results = [
        {"image_id": 1, "category_id": 3, "bbox": box, "score": 1 - i / 1000}
        for i, box in enumerate(boxes)
    ]
    path = write_truth(images(1), annotations)
    coco = score(path, results, [1], NAMES, backend)
    assert tuple(coco.numbers) == TASK.numbers
    # Precision is 1 at the 26 of 101 recall levels up to one in four.
    assert coco.numbers["AP"] == pytest.approx(26 / 101)
    dense = score(path, results, [1], NAMES, backend, boxes=400)
    assert dense.numbers == {
        **coco.numbers,
        "AP_K": pytest.approx(1),
        "AR_K": pytest.approx(1),
    }
    lines = dense.table.splitlines()
    assert lines[:12] == coco.table.splitlines()
    assert lines[12:] == [
        " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=400 ] = 1.000",
        " Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=400 ] = 1.000",
    ]
    np.testing.assert_array_equal(dense.precision, coco.precision)
    half = score(path, results[:200], [1], NAMES, backend, boxes=400)
    assert half.numbers["AP_K"] == pytest.approx(51 / 101)


def test_categories_that_the_classes_lack_are_left_out(write_truth: Callable[..., Path]):
    path = write_truth(
        images(1, 2),
        [*objects_of(1), {**objects_of(2)[0], "category_id": 8}],
        [*CATEGORIES, {"id": 8, "name": "owl"}, {"id": 9, "name": "root"}],
    )
    with pytest.raises(UserError, match="other_classes leave_out"):
        score(path, results_of(1), [1, 2], NAMES)
    scores = score(path, results_of(1), [1, 2], NAMES, other_classes="leave_out")
    assert scores.numbers["AP"] == pytest.approx(1)


def test_a_file_without_info_is_scored_where_pycocotools_reads_it(
    truth: Path, monkeypatch: pytest.MonkeyPatch
):
    load = COCO.loadRes
    # As pycocotools 2.0.10 has it; 2.0.11 does without.
    monkeypatch.setattr(
        COCO, "loadRes", lambda self, found: (self.dataset["info"], load(self, found))[1]
    )
    assert score(truth, results_of(1, 2), [1, 2], NAMES).numbers["AP"] == pytest.approx(1)


def test_the_table_of_classes_is_sorted_by_ap():
    classes = {
        "bear": ClassScore(None, None, 0, 0),
        "zebra": ClassScore(0.25, 0.5, 3, 12),
        "traffic light": ClassScore(0.5, 0.75, 10, 200),
        "owl": ClassScore(0.0, 0.0, 1, 1),
    }
    assert class_table(classes) == [
        "class          images  objects     AP   AP50",
        "traffic light      10      200  0.500  0.750",
        "zebra               3       12  0.250  0.500",
        "owl                 1        1  0.000  0.000",
        "bear                0        0      -      -",
    ]


# Bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image_id": 9}, r"truth\.json: result 1 has image_id 9, which the file does not list"),
        ({"category_id": 4}, r"truth\.json: result 1 has category_id 4, which the file does not"),
    ],
)
def test_results_of_another_set_are_refused(truth: Path, change: dict, sentence: str):
    results = results_of(1, 2)
    results[1] |= change
    with pytest.raises(UserError, match=sentence):
        score(truth, results, [1, 2], NAMES)


def test_annotations_of_another_set_are_refused(
    truth: Path, write_truth: Callable[..., Path], tmp_path: Path
):
    with pytest.raises(UserError, match=r"truth\.json: does not list image 8"):
        score(truth, [], [1, 8, 9], NAMES)
    with pytest.raises(UserError, match=r"category 'cat' \(id 3\) is not in .*coco_classes"):
        score(truth, [], [1], ["dog"])
    content = json.loads(truth.read_text())
    del content["annotations"]
    truth.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"truth\.json: has no annotations"):
        score(truth, [], [1], NAMES)


# Beside pycocotools as its own example uses it, and faster-coco-eval ------------------------------

CLASSES = ["ant", "bee", "cow", "dog", "eel", "fox"]


def random_set(seed: int) -> tuple[dict, list[dict]]:
    """Ground truth and results: crowds, classes and images without objects, without results."""
    random = np.random.default_rng(seed)
    category_ids = [11, 5, 8, 2, 90]  # of all classes but the last; no order
    annotations, results = [], []
    for image_id in range(100, 140):
        for _ in range(random.integers(0, 8)):  # an image can be empty
            category_id = int(random.choice(category_ids[:4]))  # none of the fifth
            size = 2 ** random.uniform(3, 8, 2)
            box = np.concatenate([random.uniform(0, 400, 2), size])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category_id,
                    "bbox": box.tolist(),
                    "area": float(size.prod() * random.uniform(0.5, 1)),
                    "iscrowd": int(random.random() < 0.15),
                }
            )
            for _ in range(random.integers(0, 4)):  # not found, or more than once
                shaken = box + random.normal(0, 0.1, 4) * np.tile(size, 2)
                guess = category_id if random.random() < 0.8 else int(random.choice(category_ids))
                results.append(
                    {
                        "image_id": image_id,
                        "category_id": guess,
                        "bbox": shaken.tolist(),
                        "score": round(random.random(), 2),  # some are equal
                    }
                )
    results = [r for r in results if r["category_id"] != 8]  # a class that is never found
    truth = {
        "images": images(*range(100, 145)),
        "annotations": annotations,
        "categories": [
            {"id": i, "name": n} for i, n in zip(category_ids, CLASSES, strict=False)
        ],
    }  # fmt: skip
    return truth, results


@pytest.mark.parametrize("seed", range(3))
def test_all_numbers_are_those_of_pycocotools(seed: int, write_truth: Callable[..., Path]):
    content, results = random_set(seed)
    path = write_truth(**content)
    image_ids = range(100, 143)
    scores = score(path, results, image_ids, CLASSES)
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        truth = COCO(str(path))
        truth.dataset["info"] = {}  # pycocotools 2.0.9 and 2.0.10 cannot do without
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.params.imgIds = list(image_ids)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert list(scores.numbers.values()) == evaluation.stats.tolist()
    assert 0.1 < scores.numbers["AP"] < 0.9
    assert scores.table == "\n".join(text.getvalue().splitlines()[-12:])
    for name, found in scores.classes.items():
        category_id = {c["name"]: c["id"] for c in content["categories"]}.get(name)
        true = [
            entry
            for entry in content["annotations"]
            if entry["category_id"] == category_id and not entry["iscrowd"]
        ]
        assert found.objects == len(true)
        assert found.images == len({entry["image_id"] for entry in true})
        if not true:
            assert found.AP is found.AP50 is None
            continue
        with contextlib.redirect_stdout(text):
            evaluation.params.catIds = [category_id]
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        np.testing.assert_allclose([found.AP, found.AP50], evaluation.stats[:2])


@pytest.mark.parametrize("seed", range(6))
def test_faster_coco_eval_gives_the_same_numbers(seed: int, write_truth: Callable[..., Path]):
    reason = "faster-coco-eval is optional: requirements/faster-coco-eval.txt"
    pytest.importorskip("faster_coco_eval", reason=reason)
    content, results = random_set(seed)
    results = [] if seed == 5 else results
    path = write_truth(**content)
    image_ids = range(100, 143)
    reference = score(path, results, image_ids, CLASSES, "pycocotools")
    found = score(path, results, image_ids, CLASSES, "faster-coco-eval")
    assert found.numbers == pytest.approx(reference.numbers, abs=1e-6)
    np.testing.assert_allclose(found.precision, reference.precision, atol=1e-6)
    assert found.table == reference.table
    assert class_table(found.classes) == class_table(reference.classes)


def test_faster_coco_eval_that_is_not_installed_is_refused_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)  # as if absent, also where it is not
    with pytest.raises(UserError, match=r"pip install -r requirements/faster-coco-eval\.txt"):
        import_backend("faster-coco-eval")
