# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Poses through the files of the Ascend 310: preprocess.py, result files, postprocess.py.

tests/test_ascend310_detections.py has the application's own json.
"""

import json
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

import postprocess
import preprocess
from src.data import geometry
from src.deploy.bin_files import Meta, read_meta
from src.evaluation.coco_results import score, to_results
from src.evaluation.postprocess import PostProcessing
from src.model_utils.errors import UserError

SIGMAS = [0.1, 0.05, 0.05]
K, J = 40, 3
OPTIONS = (
    *("--task", "pose", "--net_config.pose.keypoints", "[tip, left_wing, right_wing]"),
    *("--net_config.pose.skeleton", "[[1, 2], [1, 3]]", "--net_config.pose.sigmas", str(SIGMAS)),
    *("--net_config.pose.classes", "[arrow]", "--dataset_config.coco_classes", "[stone, arrow]"),
    *("--dataset_config.input_res_test", "[64, 96]", "--eval_config.K", K),
    *("--eval_config.keep_res", "false", "--eval_config.SOFT_NMS", "false"),
)


def run(module: ModuleType, monkeypatch: pytest.MonkeyPatch, *options: object) -> None:
    monkeypatch.setattr(sys, "argv", ["program", *map(str, options)])
    module.main()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three images with an arrow and a stone each, the former with its points."""
    folder, random = tmp_path / "data", np.random.default_rng(2)
    (folder / "annotations").mkdir(parents=True)
    (folder / "val2017").mkdir()
    images, annotations = [], []
    for number in (1, 2, 3):
        size = (300, 200 + 50 * number)  # height and width
        assert cv2.imwrite(
            str(folder / "val2017" / f"{number}.png"), np.zeros((*size, 3), np.uint8)
        )
        images.append(
            {"id": number, "file_name": f"{number}.png", "height": size[0], "width": size[1]}
        )
        for category_id in (3, 8):
            x, y = random.uniform(0, 80, 2)
            entry = {
                "id": len(annotations) + 1, "image_id": number, "category_id": category_id,
                "bbox": [x, y, 100, 120], "area": 9000.0, "iscrowd": 0,
            }  # fmt: skip
            if category_id == 8:
                places = (x, y) + random.random((J, 2)) * (100, 120)
                entry["keypoints"] = np.column_stack([places, [2, 1, 2]]).ravel().tolist()
            annotations.append(entry)
    categories = [
        {"id": 3, "name": "stone"},
        {"id": 8, "name": "arrow", "keypoints": ["tip", "left_wing", "right_wing"]},
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def prepared(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What preprocess.py makes of them, with result files of made-up detections."""
    options = ("--val_data_dir", data, "--predict_dir", tmp_path / "in")
    run(preprocess, monkeypatch, *OPTIONS, *options)
    meta = read_meta(tmp_path / "in" / "meta")
    content = json.loads((data / "annotations" / "instances_val2017.json").read_text())
    (tmp_path / "out").mkdir()
    for image in meta.images:
        detections = detected(content["annotations"], image.image_id, image.affine)
        detections.tofile(tmp_path / "out" / f"{image.name}_0.bin")
    return tmp_path


def detected(annotations: list[dict], image_id: int, affine: np.ndarray) -> np.ndarray:
    """Detections (K,6+3J) of the grid: near the objects of an image, and worse and worse."""
    random = np.random.default_rng(image_id)
    own = [entry for entry in annotations if entry["image_id"] == image_id]
    rows = []
    for number in range(K):
        entry = own[number % 2]
        x, y, width, height = entry["bbox"]
        points = np.reshape(entry.get("keypoints", np.zeros(3 * J)), (J, 3))[:, :2]
        places = np.concatenate([[[x, y], [x + width, y + height]], points])
        places = places + random.normal(0, 6 + 2 * number, places.shape)
        on_grid = geometry.transform_points(places[None], affine[None] / 4)[0]
        points = np.column_stack([on_grid[2:], random.random(J)])
        scores = [1 - number / (K + 1), float(entry["category_id"] == 8)]
        rows.append(np.concatenate([on_grid[:2].ravel(), scores, points.ravel()]))
    return np.array(rows, np.float32)


def of_python(folder: Path, meta: Meta) -> list[dict]:
    """The results as the evaluation makes them of the same detections."""
    post_process, results = PostProcessing(False, K, 4), []
    for image in meta.images:
        content = np.fromfile(folder / "out" / f"{image.name}_0.bin", np.float32)
        boxes = post_process(
            [content.reshape(K, 6 + 3 * J)], [image.affine], (image.height, image.width)
        )
        results += to_results(image.image_id, boxes, meta.category_ids, [False, True])
    return results


def of_results(folder: Path, *options: object) -> tuple[object, ...]:
    meta = ("--meta_path", folder / "in" / "meta", "--save_path", folder / "acc")
    return (*meta, "--val_data_dir", folder / "data", *options)


def test_poses_are_scored_from_result_files_as_in_an_evaluation(
    prepared: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    text = (prepared / "in" / "meta" / "meta.txt").read_text()
    assert "\npoints 3\ncategory_ids 3 8\n" in text
    assert "\ntask pose\npoint_classes 1\nsigmas 0.1 0.05 0.05\nimage 1 " in text
    run(postprocess, monkeypatch, *of_results(prepared, "--result_path", prepared / "out"))
    meta = read_meta(prepared / "in" / "meta")
    expected = of_python(prepared, meta)
    found = json.loads((prepared / "acc" / "results_310.json").read_text())
    assert found == expected and len(found) == 3 * K
    assert sum("keypoints" in entry for entry in found) == 3 * K // 2
    scores = score(
        *(data / "annotations" / "instances_val2017.json", expected, [1, 2, 3], ["stone", "arrow"]),
        task=meta.task_facts,
        has_points=[False, True],
    )
    numbers = json.loads((prepared / "acc" / "eval_310.json").read_text())["numbers"]
    assert numbers == scores.numbers
    assert 0.1 < numbers["AP"] < 1 and 0.1 < numbers["bbox_AP"] < 1 and len(numbers) == 22
    assert "\nkeypoints\n Average Precision  (AP) @[" in capsys.readouterr().out
    # What the application writes itself is taken as it is.
    options = of_results(prepared, "--result_json", prepared / "acc" / "results_310.json")
    run(postprocess, monkeypatch, *options, "--task", "pose", *OPTIONS[2:8])
    assert json.loads((prepared / "acc" / "eval_310.json").read_text())["numbers"] == numbers


def test_points_can_be_in_a_file_of_their_own(
    prepared: Path, data: Path, monkeypatch: pytest.MonkeyPatch
):
    """As COCO's 80 classes have theirs; the classes of both files are scored in one run."""
    run(postprocess, monkeypatch, *of_results(prepared, "--result_path", prepared / "out"))
    before = (prepared / "acc" / "eval_310.json").read_text()
    meta = (prepared / "in" / "meta" / "meta.txt").read_text()
    path = data / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text())
    posed = {
        "images": content["images"],
        "annotations": [dict(entry) for entry in content["annotations"] if "keypoints" in entry],
        "categories": [dict(content["categories"][1])],
    }
    for entry in (*content["annotations"], *content["categories"]):
        entry.pop("keypoints", None)
    path.write_text(json.dumps(content))
    (data / "annotations" / "points.json").write_text(json.dumps(posed))
    points = ("--dataset_config.val_keypoints", "annotations/points.json")
    options = ("--val_data_dir", data, "--predict_dir", prepared / "in", *points)
    run(preprocess, monkeypatch, *OPTIONS, *options)
    assert (prepared / "in" / "meta" / "meta.txt").read_text() == meta
    options = of_results(prepared, "--result_path", prepared / "out", *points)
    run(postprocess, monkeypatch, *options)
    assert (prepared / "acc" / "eval_310.json").read_text() == before


# Bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--task", "boxes"), "is of task pose with 3 points, but command line says task boxes"),
        (("--task", "pose"), "is of task pose with 3 points, but .* says task pose, which has 17"),
    ],
)
def test_a_meta_file_of_another_task_is_refused(
    options: tuple, words: str, prepared: Path, monkeypatch: pytest.MonkeyPatch
):
    given = of_results(prepared, "--result_path", prepared / "out", *options)
    with pytest.raises(UserError, match=f"meta: {words}.*; run preprocess.py with the same"):
        run(postprocess, monkeypatch, *given)
    assert not (prepared / "acc").exists()


def test_a_meta_file_of_boxes_is_refused_by_a_configuration_of_poses(
    prepared: Path, data: Path, monkeypatch: pytest.MonkeyPatch
):
    boxes = ("--val_data_dir", data, "--predict_dir", prepared / "in", *OPTIONS[10:])
    run(preprocess, monkeypatch, "--dataset_config.coco_classes", "[stone, arrow]", *boxes)
    assert "\npoints 0\n" in (prepared / "in" / "meta" / "meta.txt").read_text()
    given = of_results(prepared, "--result_path", prepared / "out", *OPTIONS)
    with pytest.raises(UserError, match=r"is of task boxes with 0 points, but .* says task pose"):
        run(postprocess, monkeypatch, *given)


@pytest.mark.parametrize(
    ("keypoints", "words"),
    [
        ([1.0, 2, 1] * 2, "as keypoints 6 numbers where the meta file asks for 9, all finite"),
        (None, "as keypoints none where the meta file asks for 9"),
        ([1.0, float("nan"), 1] * 3, "as keypoints 9 numbers where .* all finite"),
    ],
)
def test_results_with_other_keypoints_are_refused(
    keypoints: list | None, words: str, prepared: Path, monkeypatch: pytest.MonkeyPatch
):
    entry = {"image_id": 1, "category_id": 8, "bbox": [0, 0, 9, 9], "score": 0.5}
    entry |= {"keypoints": keypoints} if keypoints else {}
    stone = {"image_id": 1, "category_id": 3, "bbox": [0, 0, 9, 9], "score": 0.5}
    (prepared / "r.json").write_text(json.dumps([stone, entry]))
    with pytest.raises(
        UserError, match=f"r.json: entry 1 has {words}.*; run ascend310_infer again"
    ):
        run(postprocess, monkeypatch, *of_results(prepared, "--result_json", prepared / "r.json"))
    assert not (prepared / "acc").exists()


def test_labels_without_keypoints_are_refused(
    prepared: Path, data: Path, monkeypatch: pytest.MonkeyPatch
):
    path = data / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text())
    for entry in (*content["annotations"], *content["categories"]):
        entry.pop("keypoints", None)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"instances_val2017\.json: has no keypoints, which"):
        run(postprocess, monkeypatch, *of_results(prepared, "--result_path", prepared / "out"))
    options = ("--val_data_dir", data, "--predict_dir", prepared / "again")
    with pytest.raises(UserError, match="'arrow' lists no keypoints, which task pose takes"):
        run(preprocess, monkeypatch, *OPTIONS, *options)
    assert not (prepared / "again").exists()
