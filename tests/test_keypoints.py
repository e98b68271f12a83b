# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Points of objects, from the annotation file to the object tables of a training."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from src import dataset
from src.data import geometry, loader
from src.data.augment import random_affines
from src.data.objects import object_tables, points_on_grid
from src.model_utils.errors import UserError
from src.model_utils.parameters import DatasetConfig
from src.tasks import pose as pose_facts
from src.tasks.boxes import TASK as BOXES
from src.tasks.pose import task_with
from tests.conftest import FAMILY, Program, assert_refused
from tests.helpers import config
from tests.test_converter import PREFIX, CocoSet, records, verify

NAMES = ["nose", "left_hand", "right_hand"]
POSE = (
    *("--task", "pose", "--net_config.pose.keypoints", f"[{', '.join(NAMES)}]"),
    *("--net_config.pose.sigmas", "[0.1, 0.1, 0.1]", "--net_config.pose.skeleton", "[[1, 2]]"),
    *("--dataset_config.coco_classes", "[thing, person]", "--dataset_config.num_shards", "1"),
    *("--dataset_config.input_res_train", "[64, 64]", "--dataset_config.max_objs", "2"),
)
PERSONS = ("--net_config.pose.classes", "[person]")
STILL = (
    *("--dataset_config.rand_crop", "false", "--dataset_config.shift", "0"),
    *("--dataset_config.scale", "0", "--dataset_config.color_aug", "false"),
)
KEYPOINTS = [7, 6, 2, 20.5, 9, 1, 0, 0, 0]


@pytest.fixture
def persons(tmp_path: Path) -> CocoSet:
    """Three images of 40x30 pixels, each with a person, two of whose points are labelled."""
    made = CocoSet(tmp_path / "coco")
    made.categories = [{"id": 4, "name": "person", "keypoints": NAMES, "skeleton": [[1, 2]]}]
    for entry in made.annotations:
        entry.update(keypoints=list(KEYPOINTS), num_keypoints=2)
    return made


def convert(data: CocoSet, target: Path, *options: object) -> dict[str, Any]:
    """Converts in this process; returns the manifest."""
    data.write()
    folders = ("--coco_data_dir", data.root, "--mindrecord_dir", target)
    dataset.main([str(value) for value in (*POSE, *PERSONS, *folders, *options)])
    return json.loads((target / f"{PREFIX}.json").read_text())


# --- what is converted -----------------------------------------------------------------------


def test_points_stand_beside_their_boxes(persons: CocoSet, tmp_path: Path):
    second = {**persons.annotations[0], "id": 9, "keypoints": [1, 2, 2, 3, 4, 2, 5, 6, 2]}
    persons.annotations.append({**second, "num_keypoints": 3})
    manifest = convert(persons, tmp_path / "out")
    assert manifest["keypoints"] == NAMES and manifest["labelled_points"] == 9
    assert manifest["columns"]["keypoints"] == {"type": "float32", "shape": [-1, 9]}
    assert manifest["notes"] == []
    found = [row["keypoints"] for row in records(tmp_path / "out")]
    np.testing.assert_array_equal(found[0], [KEYPOINTS, second["keypoints"]])
    np.testing.assert_array_equal(found[1], [KEYPOINTS])
    verify(tmp_path / "out")


def test_objects_without_points_have_zeros_and_images_without_objects_no_points(
    persons: CocoSet, tmp_path: Path
):
    persons.categories.append({"id": 1, "name": "thing"})
    persons.annotations[0].update(category_id=1, keypoints=KEYPOINTS)  # those of a thing are none
    persons.annotations[1].update(keypoints=[0] * 9, num_keypoints=0, iscrowd=1)
    persons.add("empty.jpg", persons.file(1).read_bytes())
    del persons.annotations[3]
    manifest = convert(persons, tmp_path / "out", "--dataset_config.keep_empty_images", "true")
    assert (manifest["boxes"], manifest["labelled_points"]) == (3, 2)
    found = [row["keypoints"] for row in records(tmp_path / "out")]
    np.testing.assert_array_equal(found, [[[0] * 9], [[0] * 9], [KEYPOINTS], [[0] * 9]])
    verify(tmp_path / "out")
    task = config(*POSE).task_facts
    tables = [batch["objects"] for batch in batches(tmp_path / "out", task, *STILL)]
    assert [table[0, 0, 10::3].sum() for table in tables] == [0, 0, 2, 0]
    assert [table[0, 0, 7] for table in tables] == [0, 1, 1, -1]


def test_points_of_another_file_are_taken_by_annotation_id(persons: CocoSet, tmp_path: Path):
    persons.write()
    other = persons.annotation_path.with_name("person_keypoints.json")
    persons.annotation_path.rename(other)
    persons.categories = [{"id": 1, "name": "thing"}, {"id": 4, "name": "person"}]
    for entry in persons.annotations:
        del entry["keypoints"], entry["num_keypoints"]
    persons.annotations.insert(
        0, {"id": 50, "image_id": 3, "category_id": 1, "bbox": [0, 0, 30, 9]}
    )
    given = ("--dataset_config.train_keypoints", "annotations/person_keypoints.json")
    manifest = convert(persons, tmp_path / "out", *given)
    assert (manifest["boxes"], manifest["labelled_points"]) == (4, 6)
    (of_third,) = [r["keypoints"] for r in records(tmp_path / "out") if r["image_id"] == 3]
    np.testing.assert_array_equal(of_third, [[0] * 9, KEYPOINTS])
    source = manifest["source"]
    other.write_text(other.read_text().replace("20.5", "21.5"))
    assert convert(persons, tmp_path / "out", *given)["source"] != source
    other.write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    with pytest.raises(UserError, match=r"person_keypoints.json: none of its annotations has id"):
        convert(persons, tmp_path / "out", *given)


def test_a_set_is_converted_anew_for_other_points_or_classes(persons: CocoSet, tmp_path: Path):
    sources = [
        convert(persons, tmp_path / "out", *options)["source"]
        for options in (
            (),
            (),
            ("--net_config.pose.classes", "[]"),
            ("--task", "boxes"),
        )
    ]
    assert sources[0] == sources[1] and len(set(sources)) == 3


def test_a_set_for_boxes_says_nothing_of_points(persons: CocoSet, tmp_path: Path):
    manifest = convert(persons, tmp_path / "out", "--task", "boxes")
    assert "keypoints" not in manifest and "labelled_points" not in manifest
    assert list(manifest["columns"]) == ["image", "image_id", "size", "boxes", "classes"]
    assert set(records(tmp_path / "out")[0]) == set(manifest["columns"])


# --- what is refused -------------------------------------------------------------------------


def change(**changes: object) -> Callable[[CocoSet], None]:
    return lambda data: data.annotations[1].update(changes)


BROKEN = {
    "without visibility": (
        change(keypoints=[7, 6, 20, 9, 0, 0]),
        "keypoints without visibility",
        "annotation 2 has 6 numbers as keypoints, x and y of 3 points without their visibility",
    ),
    "another number": (
        change(keypoints=KEYPOINTS[:8]),
        "keypoints of another number",
        "annotation 2 has 8 numbers as keypoints, not x, y and visibility of 3 points, which are 9",
    ),
    "nan": (
        change(keypoints=[7, float("nan"), 2, *KEYPOINTS[3:]]),
        "keypoint that is not finite",
        "annotation 2 has nose at [7, nan], which is not finite",
    ),
    "huge": (
        change(keypoints=[*KEYPOINTS[:3], 10**400, 1, 2, 0, 0, 0]),
        "keypoint that is not finite",
        "annotation 2 has left_hand at [1000",
    ),
    "beyond float32": (
        change(keypoints=[*KEYPOINTS[:3], -1e300, 1, 2, 0, 0, 0]),
        "keypoint that is not finite",
        "annotation 2 has left_hand at [-1e+300, 1]",
    ),
    "visibility 3": (
        change(keypoints=[*KEYPOINTS[:8], 3]),
        "keypoint without a visibility of 0, 1 or 2",
        "annotation 2 has right_hand with visibility 3, which is not 0, 1 or 2",
    ),
    "visibility 0.5": (
        change(keypoints=[*KEYPOINTS[:8], 0.5]),
        "keypoint without a visibility of 0, 1 or 2",
        "annotation 2 has right_hand with visibility 0.5",
    ),
    "truth": (
        change(keypoints=[*KEYPOINTS[:8], True]),
        "keypoints that are no numbers",
        "annotation 2 has keypoints [7, 6, 2, 20.5, 9, 1, 0, 0, True], not numbers",
    ),
    "a mapping": (
        change(keypoints={"nose": [7, 6]}),
        "keypoints that are no numbers",
        "annotation 2 has keypoints {'nose': [7, 6]}, not numbers",
    ),
}


@pytest.mark.parametrize("broken", BROKEN.items(), ids=lambda case: case[0])
def test_broken_points_are_refused_or_left_out_with_their_box(
    broken: tuple, persons: CocoSet, tmp_path: Path, capsys: pytest.CaptureFixture
):
    _, (breakage, kind, sentence) = broken
    breakage(persons)
    with pytest.raises(UserError) as error:
        convert(persons, tmp_path / "out")
    assert str(error.value).startswith(f"{persons.annotation_path}: {sentence}")
    assert "\n" not in str(error.value)
    assert f"  {kind}: 1\n" in capsys.readouterr().err
    manifest = convert(persons, tmp_path / "out", "--on_bad_record", "skip")
    assert (manifest["left_out_unusable"], manifest["boxes"]) == (1, 2)
    # They do not matter to boxes.
    assert convert(persons, tmp_path / "boxes", "--task", "boxes")["boxes"] == 3


def of_category(**changes: object) -> Callable[[CocoSet], None]:
    return lambda data: data.categories[0].update(changes)


def unlabelled(data: CocoSet) -> None:
    for entry in data.annotations:
        entry["keypoints"] = [0] * 9


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (of_category(keypoints=[]), "category 'person' lists no keypoints, which task pose"),
        (
            of_category(keypoints=NAMES[:2]),
            "category 'person' lists 2 keypoints, but net_config.pose.keypoints has 3 (nose, left",
        ),
        (of_category(keypoints="nose"), "category 'person' lists 'nose' keypoints, but"),
        (
            of_category(keypoints=["nose", "right_hand", "left_hand"]),
            "category 'person' has 'right_hand' as keypoint 2, where net_config.pose.keypoints has "
            "'left_hand'",
        ),
        (unlabelled, "none of its 3 annotations of classes with points has a labelled point"),
    ],
)
def test_a_set_without_these_points_is_refused(
    fault: Callable, sentence: str, persons: CocoSet, tmp_path: Path
):
    fault(persons)
    with pytest.raises(UserError) as error:
        convert(persons, tmp_path / "out", "--on_bad_record", "skip")
    assert str(error.value).startswith(f"{persons.annotation_path}: {sentence}")
    assert "\n" not in str(error.value) and str(error.value).endswith(".")
    assert not (tmp_path / "out").exists()


def test_a_class_with_points_is_one_of_the_set(persons: CocoSet, tmp_path: Path):
    with pytest.raises(UserError, match=r"pose\.classes names 'man', which dataset"):
        convert(persons, tmp_path / "out", "--net_config.pose.classes", "[man]")


def test_categories_without_points_need_none_where_classes_with_points_are_named(
    persons: CocoSet, tmp_path: Path
):
    persons.categories.append({"id": 1, "name": "thing"})
    assert convert(persons, tmp_path / "a", "--net_config.pose.classes", "[]")["boxes"] == 3
    persons.annotations[0]["category_id"] = 1
    with pytest.raises(UserError, match="category 'thing' lists no keypoints"):
        convert(persons, tmp_path / "b", "--net_config.pose.classes", "[]")
    assert convert(persons, tmp_path / "b")["labelled_points"] == 4


def test_training_takes_no_set_without_its_points(
    persons: CocoSet, program: Program, tmp_path: Path
):
    boxes, poses = tmp_path / "boxes", tmp_path / "poses"
    convert(persons, boxes, "--task", "boxes")
    convert(persons, poses)
    task = config(*POSE).task_facts
    with pytest.raises(UserError, match="was converted with no keypoints, not the 3 of net_config"):
        batches(boxes, task)
    other = task_with(["nose", "tail"], [], [0.1, 0.1])
    with pytest.raises(UserError, match=r"with 3 \(nose, left_hand, right_hand, ...\) keypoints"):
        batches(poses, other)
    done = program(
        "train.py", *POSE, "--mindrecord_dir", boxes, "--device_target", "CPU", cwd=tmp_path
    )
    assert_refused(done, boxes / f"{PREFIX}.json", "was converted with no keypoints, not the 3")
    # A set with points is good for boxes.
    for batch, expected in zip(batches(poses, BOXES), batches(boxes, BOXES), strict=True):
        for name in batch:
            np.testing.assert_array_equal(batch[name], expected[name])


def test_verify_counts_points(persons: CocoSet, tmp_path: Path):
    target = tmp_path / "out"
    manifest = convert(persons, target)
    (target / f"{PREFIX}.json").write_text(json.dumps({**manifest, "labelled_points": 7}))
    with pytest.raises(UserError, match=r"3 boxes and 7 labelled points, but .* and 6 labelled"):
        verify(target)


# --- what is noted ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("oddity", "note"),
    [
        (
            change(keypoints=[-5, 6, 2, 20, 31, 1, 45, 4, 0]),
            "1 annotation(s) have labelled points outside of their image (annotation 2: -5, 6 in "
            "40x30 pixels), which are kept",
        ),
        (change(num_keypoints=3), "({}: 3 for 2); training takes the points, COCO's evaluation"),
        (
            change(keypoints=[7, 6, 2, 20, 9, 1, 4, 4, 0]),
            "1 annotation(s) have points with a place",
        ),
        (change(keypoints=None), "1 annotation(s) of classes with points have no keypoints ({}):"),
        (
            lambda data: [
                entry.update(keypoints=[0.2, 0.3, 2, 0.5, 0.9, 2, 0, 0, 0])
                for entry in data.annotations
            ],
            "3 annotation(s) have points, all of them at 0 to 1 (annotation 1); are they parts",
        ),
    ],
)
def test_odd_points_are_noted(oddity: Callable, note: str, persons: CocoSet, tmp_path: Path):
    oddity(persons)
    notes = convert(persons, tmp_path / "out")["notes"]
    assert any(note.format("annotation 2") in line for line in notes), notes


# --- samples ---------------------------------------------------------------------------------


def batches(target: Path, task, *options: str, count: int = 1) -> list[dict[str, np.ndarray]]:
    """What training gets from the set, one image a batch, in the set's order."""
    used = config(*POSE, *options)
    made = loader.create_train_dataset(
        used.dataset_config, task, target, PREFIX, down_ratio=4, batch_size=1, shuffle=False, seed=0
    )
    iterator = made.create_dict_iterator(num_epochs=count, output_numpy=True)
    return [copy.deepcopy(batch) for _ in range(count) for batch in iterator]


@pytest.mark.parametrize("flip", ["0", "1"])
def test_points_move_with_their_image_by_hand(flip: str, persons: CocoSet, tmp_path: Path):
    # 40 by 30 in 64 by 64, on a grid of 16: x * 0.4, y * 0.4 + 2. In the mirrored image column x is
    # 39 - x, and the middle 20 is 19, so it is (40 - x) * 0.4.
    persons.annotations[0].update(keypoints=[7, 6, 2, 20.5, 9, 1, 45, 4, 2], num_keypoints=3)
    convert(persons, tmp_path / "out")
    task = config(*POSE).task_facts
    rows = batches(tmp_path / "out", task, *STILL, "--dataset_config.flip_prop", flip)
    (table,) = rows[0]["objects"]
    assert table.shape == (2, 17)
    nose, hand = [2.8, 4.4, 1], [8.2, 5.6, 1]
    expected = [nose, hand, [0, 0, 0]]  # the third is right of the image, and of the grid: 18
    if flip == "1":
        # Left becomes right; the third, at -2, is left of the grid.
        expected = [[13.2, 4.4, 1], [0, 0, 0], [7.8, 5.6, 1]]
    np.testing.assert_allclose(table[0, 8:].reshape(3, 3), expected, atol=1e-6)
    assert not table[1, 8:].any()


def test_a_point_has_the_colour_in_the_warped_image_that_it_has_in_its_own():
    """Each joint is a blot of its own colour, that of the other side in a mirrored image."""
    random = np.random.default_rng(1)
    names = ["nose", "left_hand", "right_hand", "left_foot", "right_foot"]
    task = task_with(names, [], [0.1] * 5)
    colours = np.array([[0, 0, 255], [0, 255, 0], [255, 0, 0], [255, 255, 0], [255, 0, 255]])
    size, input_size, grid_size = (150, 200), (128, 160), (32, 40)
    augmentation = DatasetConfig(
        rand_crop=True, shift=0.1, scale=0.4, aug_rot=0.5, rotate=30.0, flip_prop=0.5
    )
    seen = np.zeros((2, 5), int)
    for _ in range(60):
        image = np.zeros((*size, 3), np.uint8)
        places = np.stack([20 + 40 * np.arange(5), random.uniform(20, 130, 5)], 1)
        for place, colour in zip(places, colours, strict=True):
            cv2.circle(image, np.rint(place).astype(int).tolist(), 9, colour.tolist(), -1)
        (affine,) = random_affines(random, np.array([size]), input_size, augmentation)
        warped = geometry.warp(image, affine, input_size)
        keypoints = np.column_stack([places, np.full(5, 2)]).reshape(1, 15)
        (points,) = points_on_grid(keypoints, affine[None] / 4, task.mirrored, grid_size)
        assert points.dtype == np.float32
        mirrored = bool(affine[0, 0] * affine[1, 1] - affine[0, 1] * affine[1, 0] < 0)
        for index, (x, y, visible) in enumerate(points):
            origin = [0, 2, 1, 4, 3][index] if mirrored else index
            if visible:
                pixel = warped[int(4 * y), int(4 * x)].astype(int)
                assert np.abs(pixel - colours[origin]).max() < 40, (index, pixel)
                seen[int(mirrored), index] += 1
            else:
                moved = affine @ (*places[origin], 1)
                assert (moved < 0).any() or (moved >= input_size[::-1]).any()
    assert (seen > 8).all()


def test_mirroring_twice_changes_nothing():
    random = np.random.default_rng(2)
    keypoints = np.dstack([random.uniform(5, 90, (4, 17, 2)), random.integers(0, 3, (4, 17, 1))])
    flip = np.array([[-1.0, 0, 99], [0, 1, 0]])[None].repeat(4, 0)
    mirrored, size = pose_facts.TASK.mirrored, (100, 100)
    once = points_on_grid(keypoints.reshape(4, 51), flip, mirrored, size)
    labelled = keypoints[:, :, 2] > 0
    np.testing.assert_array_equal(once[:, 1, 2], labelled[:, 2])  # left eye, right eye
    np.testing.assert_allclose(
        once[:, 9][labelled[:, 10], 0], 99 - keypoints[:, 10][labelled[:, 10], 0], rtol=1e-6
    )
    twice = points_on_grid(once.reshape(4, 51), flip, mirrored, size)
    expected = np.where(labelled[:, :, None], np.dstack([keypoints[:, :, :2], labelled]), 0)
    np.testing.assert_allclose(twice, expected, atol=1e-5)


def test_points_that_change_places_in_a_ring_go_where_they_are_said_to():
    keypoints = np.array([[1, 5, 2, 2, 5, 2, 3, 5, 2]], float)
    flip = np.array([[[-1.0, 0, 9], [0, 1, 0]]])
    (points,) = points_on_grid(keypoints, flip, (1, 2, 0), (10, 10))
    np.testing.assert_array_equal(points[:, 0], [6, 8, 7])  # of the third, the first, the second


def test_a_point_that_rounds_up_to_the_edge_of_the_grid_is_outside():
    keypoints = np.array([[15.99999999, 3, 2, 15.999, 3, 2, -1e-9, 3, 2, 3.4e38, 0, 1]])
    still = np.eye(2, 3)[None]
    (points,) = points_on_grid(keypoints, still, range(4), (16, 16))
    np.testing.assert_array_equal(points[:, 2], [0, 1, 0, 0])
    assert (points[:, 0] < 16).all()


# --- the original's --------------------------------------------------------------------------


def test_object_rows_are_the_originals_targets():
    path = FAMILY / "targets_original_multi_pose.npz"
    if not path.is_file():
        pytest.skip("the values of the original are not beside the project")
    with np.load(path) as arrays:
        stored = dict(arrays)
    boxes, keypoints = stored["gt_xywh"].astype(float), stored["gt_keypoints"].reshape(-1, 51)
    boxes[:, 2:] += boxes[:, :2]
    for sample in range(2):  # the whole image, and a mirrored crop
        scale = 64 / stored["scale"][sample]
        affine = geometry.centred_affine(stored["center"][sample], scale, (64, 64))
        if stored["flipped"][sample]:
            affine = geometry.mirrored(affine, 320)
        affines = affine[None].repeat(len(boxes), 0)
        (table,) = object_tables(
            geometry.transform_boxes(boxes, affines),
            np.zeros(len(boxes)),
            np.zeros(len(boxes), int),
            images=1,
            grid_size=(64, 64),
            max_objs=32,
            points=points_on_grid(keypoints, affines, pose_facts.TASK.mirrored, (64, 64)),
        )
        target = {name: stored[name][sample] for name in ("ind", "wh", "reg", "reg_mask")}
        of_point = {name: stored[f"hp_{name}"][sample] for name in ("ind", "offset", "mask")}
        # An object that vanishes leaves a row of zeros there; here the others move up.
        is_kept = target["ind"] != 0
        assert is_kept.sum() == [7, 6][sample]
        rows = table[: is_kept.sum()]
        assert (table[is_kept.sum() :, 7] == -1).all()
        np.testing.assert_array_equal(rows[:, 1] * 64 + rows[:, 0], target["ind"][is_kept])
        np.testing.assert_allclose(rows[:, 2:4], target["reg"][is_kept], atol=1e-5)
        np.testing.assert_allclose(rows[:, 4:6], target["wh"][is_kept], atol=1e-5)
        points = rows[:, 8:].reshape(-1, 17, 3)
        visible = points[:, :, 2] == 1
        np.testing.assert_array_equal(visible, of_point["mask"].reshape(32, 17)[is_kept])
        # The original has no size and offset of persons without points.
        np.testing.assert_array_equal(visible.any(axis=1), target["reg_mask"][is_kept])
        hps = stored["hps"][sample].reshape(32, 17, 2)[is_kept]
        np.testing.assert_allclose(
            (points[:, :, :2] - rows[:, None, :2])[visible], hps[visible], rtol=0, atol=1e-5
        )
        cells = np.floor(points[:, :, :2])
        np.testing.assert_array_equal(
            (cells @ [1, 64])[visible], of_point["ind"].reshape(32, 17)[is_kept][visible]
        )
        np.testing.assert_allclose(
            (points[:, :, :2] - cells)[visible],
            of_point["offset"].reshape(32, 17, 2)[is_kept][visible],
            rtol=0,
            atol=1e-5,
        )
