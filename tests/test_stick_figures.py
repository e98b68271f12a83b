# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The synthetic set of poses: figures whose points are where they are said to be."""

import contextlib
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pycocotools.coco
import pycocotools.cocoeval
import pytest

from src.data import stick_figures, synthetic
from src.data.coco import BadRecords, read_annotation_file, read_records
from src.data.notes import Notes
from src.model_utils.errors import UserError
from src.tasks.pose import NAMES, SKELETON
from tests.helpers import config

IMAGES = 40
LIMBS = {"elbow", "wrist", "knee", "ankle"}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures") / "set"
    said = synthetic.generate(folder, IMAGES, 3, seed=4, task="pose")
    assert f"{IMAGES} train images" in said and "3 val images" in said
    return folder


@pytest.fixture(scope="module")
def content(figures: Path) -> dict:
    path = figures / "annotations" / "person_keypoints_train2017.json"
    return json.loads(path.read_text())


def triples(entry: dict) -> np.ndarray:
    return np.reshape(entry["keypoints"], (17, 3))


def test_the_set_is_cocos_of_persons(figures: Path, content: dict):
    (category,) = content["categories"]
    assert category["name"] == "person" and category["keypoints"] == list(NAMES)
    assert category["skeleton"] == [list(pair) for pair in SKELETON]
    counts = np.bincount([entry["image_id"] for entry in content["annotations"]])[1:]
    assert len(counts) == len(content["images"]) == IMAGES
    assert set(counts) == {1, 2, 3}
    flags = np.array([triples(entry)[:, 2] for entry in content["annotations"]])
    assert [(flags == flag).any() for flag in (0, 1, 2)] == [True] * 3
    assert (flags == 2).mean() > 0.8
    # The project reads it without a note.
    notes, bad = Notes(), BadRecords("fail")
    used = config("--task", "pose", "--dataset_config.coco_classes", "[person]")
    path = figures / "annotations" / "person_keypoints_train2017.json"
    records = read_records(
        read_annotation_file(path), path, figures / "train2017", used.dataset_config, bad,
        notes=notes, pose=used.pose,
    )  # fmt: skip
    assert len(records) == IMAGES and bad.count == 0 and notes.lines() == []


def test_points_are_at_limbs_of_their_side(figures: Path, content: dict):
    names = {image["id"]: image["file_name"] for image in content["images"]}
    seen = 0
    for entry in content["annotations"]:
        picture = cv2.imread(str(figures / "train2017" / names[entry["image_id"]])).astype(int)
        height, width = picture.shape[:2]
        points, (left, top, box_width, box_height) = triples(entry), entry["bbox"]
        labelled = points[:, 2] > 0
        assert entry["num_keypoints"] == labelled.sum()
        assert not points[~labelled].any()
        assert (points[labelled, :2] > -0.5).all()
        assert (points[labelled, :2] < np.array([width, height]) - 0.5).all()
        assert 0 < entry["area"] <= box_width * box_height
        for name, (x, y, flag) in zip(NAMES, points, strict=True):
            side, _, joint = name.partition("_")
            if flag == 2:
                assert left - 0.5 <= x <= left + box_width and top - 0.5 <= y <= top + box_height
            if flag == 2 and joint in LIMBS:
                blue, _, red = picture[round(y), round(x)]
                assert (red > blue) == (side == "left"), (entry["id"], name)
                seen += 1
    assert seen > 300


def test_figures_face_the_viewer_and_later_ones_hide_earlier_ones():
    hidden = 0
    for seed in range(40):
        picture, drawn = stick_figures.make_image(np.random.default_rng(seed))
        assert picture.dtype == np.uint8
        for index, figure in enumerate(drawn):
            place = dict(zip(NAMES, figure.points, strict=True))
            for joint in ("eye", "ear", "shoulder", "hip"):
                assert place[f"left_{joint}"][0] > place[f"right_{joint}"][0]
            for later in drawn[index + 1 :]:
                assert not (figure.parts.astype(bool) & later.parts.astype(bool)).any()
                for (x, y), flag in zip(figure.points, figure.visibility(), strict=True):
                    if flag and later.parts[round(y), round(x)]:
                        assert flag == 1
                        hidden += 1
    assert hidden > 10


def test_the_same_seed_gives_the_same_bytes_and_a_longer_set_begins_like_a_shorter(
    figures: Path, tmp_path: Path
):
    synthetic.generate(tmp_path / "again", 2, 3, seed=4, task="pose")
    for path in sorted((tmp_path / "again").rglob("*.jpg")):
        other = figures / path.relative_to(tmp_path / "again")
        assert path.read_bytes() == other.read_bytes()
    assert synthetic.generate(figures, IMAGES, 3, seed=4, task="pose").startswith(
        f"{figures} is up to date"
    )
    for task, seed in (("boxes", 4), ("pose", 5)):
        with pytest.raises(UserError, match="does not hold the set asked for"):
            synthetic.generate(figures, IMAGES, 3, seed=seed, task=task)


def test_pycocotools_scores_its_points(figures: Path):
    path = figures / "annotations" / "person_keypoints_val2017.json"
    with contextlib.redirect_stdout(io.StringIO()):
        truth = pycocotools.coco.COCO(str(path))
        results = truth.loadRes([{**entry, "score": 0.5} for entry in truth.dataset["annotations"]])
        evaluation = pycocotools.cocoeval.COCOeval(truth, results, "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)
