# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Pictures: what stands where in them."""

import itertools

import numpy as np
import pytest

from src.evaluation.postprocess import to_image
from src.visual import pictures
from src.visual.lettering import printable

NAMES = ["person", "bicycle", "a very long name of a class"]


def linear(level: int) -> float:
    """sRGB's transfer function, as IEC 61966-2-1 writes it."""
    share = level / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def lab(bgr: tuple[int, int, int]) -> np.ndarray:
    """CIE Lab for white D65, as the standard writes it."""
    blue, green, red = map(linear, bgr)
    xyz = (
        (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505,
        0.2126 * red + 0.7152 * green + 0.0722 * blue,
        (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089,
    )
    x, y, z = (t ** (1 / 3) if t > (6 / 29) ** 3 else t * (29 / 6) ** 2 / 3 + 4 / 29 for t in xyz)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_colours_of_eighty_classes_are_far_apart_and_those_of_the_first_twenty_most():
    colours = [lab(pictures.class_colour(index)) for index in range(80)]
    distance = {
        (i, j): np.linalg.norm(colours[i] - colours[j])
        for i, j in itertools.combinations(range(80), 2)
    }
    assert min(distance.values()) > 18  # 2.3 can just be told apart side by side
    assert min(distance[i, i + 1] for i in range(79)) > 20
    assert min(distance[i, j] for i, j in itertools.combinations(range(20), 2)) > 38


def test_colours_never_change():
    assert [pictures.class_colour(index) for index in (0, 1, 2)] == [
        (0, 85, 255), (255, 17, 119), (0, 255, 0),
    ]  # fmt: skip
    assert pictures.class_colour(81) == pictures.class_colour(1)


def test_text_can_be_read_on_the_colour_of_every_class():
    assert pictures.text_colour((0, 255, 255)) == (0, 0, 0)  # on yellow
    assert pictures.text_colour((160, 0, 0)) == (255, 255, 255)  # on dark blue
    for index in range(80):
        colour = pictures.class_colour(index)
        lights = [
            0.0722 * linear(blue) + 0.7152 * linear(green) + 0.2126 * linear(red)
            for blue, green, red in (colour, pictures.text_colour(colour))
        ]
        assert (max(lights) + 0.05) / (min(lights) + 0.05) >= 4.5  # WCAG's AA


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ((50, 50, 90, 120), (50, 40)),  # above
        ((50, 0, 90, 120), (50, 0)),  # no room above: inside
        ((50, 0, 90, 12), (50, 12)),  # inside it would hide the box: below
        ((185, 50, 200, 120), (170, 40)),  # at the right edge: moved in
        ((-40, -40, 20, 100), (0, 0)),  # of a box that begins outside
    ],
)
def test_a_label_stands_above_inside_or_below_its_box(box: tuple[int, ...], place: tuple[int, int]):
    assert pictures.place_labels(np.array([box]), np.array([[30, 10]]), (200, 200)) == [place]


def test_a_label_gives_way_to_that_of_a_better_box():
    boxes = np.array([[50, 50, 90, 120]] * 3)
    places = pictures.place_labels(boxes, np.array([[30, 10]] * 3), (200, 200))
    assert places == [(50, 40), (50, 50), (50, 120)]


def test_a_label_without_a_free_place_is_left_out_and_not_one_of_a_better_box():
    boxes = np.array([[0, 0, 100, 20], [0, 0, 100, 20]])
    sizes = np.array([[100, 20], [10, 10]])
    assert pictures.place_labels(boxes, sizes, (100, 20)) == [(0, 0), None]
    assert pictures.place_labels(boxes, sizes[::-1], (100, 20)) == [(0, 0), None]
    assert pictures.place_labels(boxes[:1], sizes[:1], (99, 20)) == [None]


def test_labels_of_a_crowd_are_apart_in_the_picture_and_at_their_boxes():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, (640, 480), (60, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 150, (60, 2))], axis=1)
    sizes = np.stack([rng.integers(20, 90, 60), np.full(60, 16)], axis=1)
    places = pictures.place_labels(boxes, sizes, (640, 480))
    rectangles = [
        (*place, place[0] + width, place[1] + height, *box)
        for place, (width, height), box in zip(places, sizes, boxes, strict=True)
        if place is not None
    ]
    assert len(rectangles) >= 55
    for left, top, right, bottom, x1, y1, x2, y2 in rectangles:
        assert left >= 0 and top >= 0 and right <= 640 and bottom <= 480
        assert left <= x2 + 1 and x1 <= right + 1 and top <= y2 + 1 and y1 <= bottom + 1
    for one, other in itertools.combinations(rectangles, 2):
        assert one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]


def of_colour(picture: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels in the colour of a class."""
    return np.nonzero((picture == pictures.class_colour(index)).all(axis=2))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1, 1), (640, 640)),
        ((50, 100), (300, 600)),
        ((480, 640), (480, 640)),
        ((300, 12_000), (40, 1600)),
        ((12_000, 3_000), (1600, 400)),
        ((1, 12_000), (1, 1600)),
    ],
)
def test_pictures_are_enlarged_or_scaled_down_to_what_a_screen_shows(
    size: tuple[int, int], expected: tuple[int, int]
):
    image = np.full((*size, 3), 128, np.uint8)
    box = np.array([[0, 0, size[1], size[0], 0.9, 0]], np.float32)
    picture = pictures.draw_boxes(image, box, NAMES)
    assert picture.shape == (*expected, 3) and picture.dtype == np.uint8
    assert len(of_colour(picture, 0)[0])
    assert (image == 128).all()


@pytest.mark.parametrize(("side", "scale"), [(100, 6), (400, 1), (3200, 0.5)])
def test_boxes_stand_at_their_place_in_the_scaled_picture(side: int, scale: float):
    box = np.array([0.3, 0.5, 0.8, 0.9]) * side
    picture = pictures.draw_boxes(
        np.zeros((side, side, 3), np.uint8), [[*box, 0]] @ np.eye(5), [""]
    )
    rows, columns = of_colour(picture, 0)
    line = max(1, round(side * scale / 200))
    below = rows > 0.6 * side * scale  # without the label
    seen = columns.min(), columns.max(), rows[below].max()
    np.testing.assert_allclose(seen, box[[0, 2, 3]] * scale, atol=line)


def test_lines_and_letters_grow_with_the_picture():
    heights, lines = [], []
    for side in (640, 1600):
        box = np.array([[side * 0.2, side * 0.2, side * 0.9, side * 0.9, 0]])
        picture = pictures.draw_boxes(np.zeros((side, side, 3), np.uint8), box, NAMES)
        rows, columns = of_colour(picture, 0)
        heights.append(round(side * 0.2) - rows.min())
        lines.append((columns[rows == round(side * 0.6)] < side / 2).sum())
    assert heights[0] >= 11 and 2 < heights[1] / heights[0] < 3
    assert lines[0] in (2, 3) and lines[1] in (4, 5)


def test_boxes_below_the_threshold_or_outside_are_not_drawn_and_wrong_ones_are_dashed():
    image = np.zeros((480, 640, 3), np.uint8)
    boxes = np.array([
        [100, 100, 300, 300, 0.9, 0], [50, 50, 90, 90, 0.1, 1], [700, 10, 800, 50, 0.9, 1],
        [400, 1e9, 500, 2e9, 0.9, 1],
    ])  # fmt: skip
    solid = pictures.draw_boxes(image, boxes, NAMES, 0.3)
    assert len(of_colour(solid, 0)[0]) and not len(of_colour(solid, 1)[0])
    dashed = pictures.draw_boxes(image, boxes, NAMES, 0.3, wrong=np.array([True] * 4))
    edge = [(picture[200:280, 100] == pictures.class_colour(0)).all(axis=1) for picture in
            (solid, dashed)]  # fmt: skip
    assert edge[0].all() and 20 < edge[1].sum() < 60
    empty = pictures.draw_boxes(image, np.empty((0, 6)), NAMES)
    np.testing.assert_array_equal(empty, image)


def test_any_name_can_be_drawn():
    image = np.zeros((480, 640, 3), np.uint8)
    for name in ("två\nrader", "猫", "\ud800", "", "x" * 1000):
        picture = pictures.draw_boxes(image, np.array([[100, 100, 300, 300, 0]]), [name])
        assert len(of_colour(picture, 0)[0])
    assert printable("a\nb\ud800") == "a?b?"


def test_pictures_stand_in_a_row_or_if_they_are_very_wide_in_a_column():
    photo, wide = np.full((480, 640, 3), 200, np.uint8), np.full((400, 1600, 3), 200, np.uint8)
    row = pictures.side_by_side([photo, photo], ["ground truth", "prediction"])
    column = pictures.side_by_side([wide, wide], ["ground truth", "prediction"])
    assert row.shape[0] < 2 * 480 and row.shape[1] > 2 * 640
    assert column.shape[0] > 2 * 400 and column.shape[1] == 1600
    large = pictures.side_by_side([np.full((1200, 1600, 3), 200, np.uint8)], ["ground truth"])
    titles = row.shape[0] - 480, large.shape[0] - 1200
    assert 2 < titles[1] / titles[0] < 3  # 1600 over 640 is 2.5
    assert (row[: titles[0]] > 250).any()  # white letters


def test_a_hot_cell_lies_on_the_pixels_that_the_network_sees_there():
    """Column 10 and row 5 are 40..44 and 20..24 of the input: x = (40 - 8) / 0.5 = 64..72 of the
    image, y = (20 - 4) / 0.5 = 32..40; the heat ends in the middles of the neighbours."""
    affine = np.array([[0.5, 0, 8], [0, 0.5, 4]])
    heat = np.zeros((64, 64), np.float32)
    heat[5, 10] = 1
    image = np.full((480, 480, 3), 100, np.uint8)
    picture = pictures.heat_map_overlay(image, heat, affine, 4)
    rows, columns = np.nonzero((picture != 70).any(axis=2))
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (60, 75, 28, 43)
    change = np.abs(picture.astype(int) - 70).sum(axis=2)
    np.testing.assert_array_equal(change[28:44, 60:76], change[28:44, 60:76][::-1, ::-1])
    # Turbo's end is dark red; no neighbour of the four middle pixels is hotter.
    assert picture[35, 67, 2] > 1.5 * picture[35, 67, 0]
    detection = np.array([[10, 5, 11, 6, 1, 0]], np.float32)
    assert to_image(detection, affine, 4)[0, :4].tolist() == [64, 32, 72, 40]


@pytest.mark.parametrize(("size", "scale"), [((100, 100), 6), ((3200, 3200), 0.5)])
def test_the_heat_map_is_scaled_with_its_picture(size: tuple[int, int], scale: float):
    cells = 16
    affine = np.array([[4 * cells / size[1], 0, 0], [0, 4 * cells / size[0], 0]])
    heat = np.zeros((cells, cells))
    heat[3, 8] = 1
    picture = pictures.heat_map_overlay(np.zeros((*size, 3), np.uint8), heat, affine, 4)
    rows, columns = np.nonzero(picture.any(axis=2))
    cell = size[0] * scale / cells
    np.testing.assert_allclose(
        [columns.min(), columns.max() + 1, rows.min(), rows.max() + 1],
        np.array([7.5, 9.5, 2.5, 4.5]) * cell, atol=2,
    )  # fmt: skip


def test_cold_places_show_the_image_and_values_beyond_the_range_are_cut():
    image = np.full((480, 640, 3), 100, np.uint8)
    affine = np.array([[1.0, 0, 0], [0, 1, 0]])
    heat = np.zeros((120, 160))
    assert (pictures.heat_map_overlay(image, heat, affine, 4) == 70).all()
    hot = pictures.heat_map_overlay(image, heat + 1, affine, 4)
    np.testing.assert_array_equal(pictures.heat_map_overlay(image, heat + 9, affine, 4), hot)
    cold = pictures.heat_map_overlay(image, heat + np.nan, affine, 4)
    assert (cold == 70).all()
