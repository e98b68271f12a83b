# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Boxes, points and heat maps on images."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from src.model_utils.files import whole_file
from src.tasks import boxes as boxes_task
from src.tasks.columns import points_of
from src.tasks.task import Task
from src.visual.lettering import draw_text, elided, shown_names, text_size

_LARGEST_SIDE = 1600  # of a picture: what a screen shows
_SMALL_SIDE = 400  # images below are enlarged
_ENLARGED_SIDE = 640
_NUM_COLOURS = 80

# BGR of points on the left and the right of an object, and in its middle. To eyes that see red and
# green alike they are blue, grey and pale.
LEFT, RIGHT, MIDDLE = (255, 200, 0), (140, 20, 255), (190, 255, 255)
LEGEND = "joints: left blue, right pink"
_UNSEEN, _SEEN = 1, 2  # visibilities
_FAR = 20_000  # pixels


def class_colour(class_index: int) -> tuple[int, int, int]:
    """A BGR colour of each class: always the same, 80 of them distinct, then from the first on."""
    blue, green, red = _palette()[class_index % _NUM_COLOURS].tolist()
    return blue, green, red


def text_colour(background: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black or white, whichever has more contrast (WCAG 2.1) on a BGR background."""
    linear = [
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (level / 255 for level in background)
    ]
    luminance = 0.0722 * linear[0] + 0.7152 * linear[1] + 0.2126 * linear[2]
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 0.05 * 1.05 else (255, 255, 255)


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    class_names: Sequence[str],
    score_thresh: float = 0.0,
    wrong: np.ndarray | None = None,
    keep_size: bool = False,
    points: np.ndarray | None = None,
    task: Task = boxes_task.TASK,
) -> np.ndarray:
    """Draws boxes with their names on a copy of the image, at a size that is good to look at.

    Points are joined by the task's skeleton, blue on the left of the object and pink on the right;
    lines to unseen ones are thin, and these are rings.

    Images of more than 1600 pixels are scaled down to that, those of less than 400 enlarged by a
    whole factor. Lines and letters grow with the picture. See `place_labels` for where names go.

    Args:
        image: uint8 (height, width, 3) BGR.
        boxes: (n,6) x1 y1 x2 y2 score class, or (n,5) without score for ground truth.
        class_names: name of each class.
        score_thresh: boxes with a lower score are not drawn.
        wrong: bool (n,), boxes to draw dashed and with a cross; none if it is not given.
        keep_size: draw at the image's own size, as for a frame of a video.
        points: (n,J,3) x y of each box's points and their visibility: 0 not drawn, 1 unseen, 2
            seen; see `shown_points`. None if they are not given.
        task: of the points.

    Returns:
        uint8 (height, width, 3) BGR.
    """
    from PIL import Image, ImageDraw  # here and not above: a training without pictures needs none

    picture, scale = (image.copy(), np.ones(2)) if keep_size else _fitted(image)
    height, width = picture.shape[:2]
    has_score = boxes.shape[1] == 6
    order = np.argsort(-boxes[:, 4], kind="stable") if has_score else np.arange(len(boxes))
    corners = boxes[:, :4].astype(np.float64) * np.tile(scale, 2)
    is_seen = (corners[:, 2:] >= 0).all(axis=1) & (corners[:, :2] <= (width, height)).all(axis=1)
    if has_score:
        is_seen &= boxes[:, 4] >= score_thresh
    order = order[is_seen[order]]
    is_wrong = np.zeros(len(boxes), bool) if wrong is None else wrong
    colours = {index: class_colour(int(boxes[index, -1])) for index in order}

    line = max(1, round(max(height, width) / 400))
    dashes = np.where(is_wrong, 5 * line, 0)
    shadow = picture.copy()
    skeletons = {}
    if points is not None:
        skeletons = {i: _skeleton(corners[i], points[i] * (*scale, 1), task) for i in order}
    for index in order:
        _rectangle(shadow, corners[index], (0, 0, 0), line + 2, dashes[index])
    for strokes in skeletons.values():
        _stroke(shadow, strokes, is_shadow=True)
    picture = cv2.addWeighted(shadow, 0.5, picture, 0.5, 0)
    for index in order[::-1]:  # the best on top
        _rectangle(picture, corners[index], colours[index], line, dashes[index])
    for index in reversed(skeletons):
        _stroke(picture, skeletons[index])

    letters = _letter_size(width, height)
    margin = max(2, round(letters / 5))
    names = shown_names(class_names)

    def label(index: int) -> tuple[str, tuple[int, int]]:
        """The text of a box and its size; a name is cut until it fits into the picture."""
        name = names[int(boxes[index, -1])]
        mark = "\N{MULTIPLICATION X} " if is_wrong[index] else ""
        score = f" {boxes[index, 4]:.2f}" if has_score else ""
        longest = len(name)
        while True:
            text = mark + elided(name, longest) + score
            text_width, text_height = text_size(text, letters)
            if text_width + 2 * margin <= width or longest <= 3:
                return text, (text_width + 2 * margin, text_height + 2)
            longest -= 1

    labels = [label(index) for index in order]
    texts, sizes = [text for text, _ in labels], [size for _, size in labels]
    places = place_labels(corners[order], np.array(sizes, int).reshape(-1, 2), (width, height))
    canvas = Image.fromarray(picture)  # takes BGR for RGB; so are the colours below
    draw = ImageDraw.Draw(canvas)
    for index, text, size, place in zip(order, texts, sizes, places, strict=True):
        if place is None:
            continue
        left, top = place
        draw.rectangle((left, top, left + size[0] - 1, top + size[1] - 1), colours[index])
        draw_text(draw, (left + margin, top + 1), text, text_colour(colours[index]), letters)
    return np.array(canvas)


def shown_points(boxes: np.ndarray, has_points: Sequence[bool], score_thresh: float) -> np.ndarray:
    """The points of detections (n,6+3J) with a visibility, (n,J,3), as `draw_boxes` takes them.

    Args:
        boxes: x1 y1 x2 y2 score class, then x y score of each point.
        has_points: of each class; those of others have visibility 0.
        score_thresh: points with a lower score are taken for unseen.
    """
    points = points_of(boxes).copy()
    points[:, :, 2] = np.where(points[:, :, 2] >= score_thresh, _SEEN, _UNSEEN)
    points[:, :, 2] *= np.array(has_points, bool)[boxes[:, 5].astype(int), None]
    return points


def place_labels(
    boxes: np.ndarray, sizes: np.ndarray, picture_size: tuple[int, int]
) -> list[tuple[int, int] | None]:
    """Where labels of boxes go: inside the picture, at their box, and none over another.

    The first labels choose first: above their box, inside or below, at its left or right end; else
    the nearest place that touches the box. Places that hide no small box come before those that do.
    A label that would have to leave its box has none.

    Args:
        boxes: float (n,4) x1 y1 x2 y2, in pixels of the picture, which they meet.
        sizes: int (n,2) width and height of each label.
        picture_size: width and height.

    Returns:
        Left and top of each label, or None.
    """
    places: list[tuple[int, int] | None] = []
    corners = np.clip(np.round(boxes), 0, np.tile(picture_size, 2)).astype(int)
    is_small = corners[:, 3] - corners[:, 1] < 2 * sizes[:, 1]
    small = corners[is_small]
    taken = np.empty((0, 4), int)
    for (x1, y1, x2, y2), size in zip(corners.tolist(), sizes, strict=True):
        width, height = size.tolist()
        room = np.array(picture_size) - size
        if (room < 0).any():
            places.append(None)
            continue
        above, inside, below = y1 - height, y1, y2
        is_low = y2 - y1 < 3 * height  # a label inside would hide what the box is about
        tops = [above, below, inside] if is_low else [above, inside, below]
        near = [(left, top) for top in [*tops, y2 - height] for left in (x1, x2 - width)]
        grid = np.meshgrid(np.linspace(x1 - width, x2, 25), np.linspace(y1 - height, y2, 25))
        around = np.stack(grid, axis=-1).reshape(-1, 2).round()
        way = np.abs(around - (x1, above)).sum(axis=1)
        candidates = np.vstack([near, around[np.argsort(way, kind="stable")]]).astype(int)
        candidates = np.clip(candidates, 0, room)
        place = _first_free(candidates, size, np.vstack([taken, small]))
        if place is None:
            place = _first_free(candidates, size, taken)
        places.append(place)
        if place is not None:
            taken = np.vstack([taken, [*place, place[0] + width, place[1] + height]])
    return places


def side_by_side(pictures: Sequence[np.ndarray], titles: Sequence[str]) -> np.ndarray:
    """Pictures of one size below their titles: in a row, or in a column if they are very wide."""
    from PIL import Image, ImageDraw

    height, width = pictures[0].shape[:2]
    letters = _letter_size(width, height, 1.2)
    margin = round(0.6 * letters)
    titled = []
    for picture, title in zip(pictures, titles, strict=True):
        text_height = text_size(title, letters)[1]
        header = Image.new("RGB", (width, text_height + margin), (32, 32, 32))
        place = (margin, margin // 2)
        draw_text(ImageDraw.Draw(header), place, title, (255, 255, 255), letters)
        titled.append(np.vstack([np.array(header), picture]))
    is_row = width <= 2 * height
    gap_shape = (titled[0].shape[0], margin // 2) if is_row else (margin // 2, width)
    gap = np.full((*gap_shape, 3), 32, np.uint8)
    parts = [part for picture in titled for part in (gap, picture)][1:]
    return np.hstack(parts) if is_row else np.vstack(parts)


def heat_map_overlay(
    image: np.ndarray, heat: np.ndarray, affine: np.ndarray, down_ratio: int
) -> np.ndarray:
    """Lays a heat map over its image, at the size that `draw_boxes` gives it.

    Cell (row, column) lies on the pixels that the network sees there: from down_ratio · column to
    down_ratio · (column + 1) in its input, taken back to the image. Between the middles of cells
    the heat is interpolated. Cold places show the image, darkened; hot ones red.

    Args:
        image: uint8 (height, width, 3) BGR.
        heat: float (h,w) on the output grid, 0 to 1: the largest over the classes.
        affine: (2,3) from image to network input.
        down_ratio: network input pixels of one cell.

    Returns:
        uint8 (height, width, 3) BGR.
    """
    picture, scale = _fitted(image)
    height, width = picture.shape[:2]
    # From the index of a pixel to that of a cell; both are half a unit before its middle.
    to_grid = np.asarray(affine, np.float64) / down_ratio
    to_grid[:, :2] /= scale
    to_grid[:, 2] += to_grid[:, :2].sum(axis=1) / 2 - 0.5
    spread = cv2.warpAffine(
        np.nan_to_num(heat).clip(0, 1).astype(np.float32), to_grid, (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    coloured = cv2.applyColorMap(np.round(255 * spread).astype(np.uint8), cv2.COLORMAP_TURBO)
    share = 0.75 * np.sqrt(spread)[..., None]  # the root lets weak peaks show
    return np.round(0.7 * picture * (1 - share) + coloured * share).astype(np.uint8)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Writes a picture, whole or not at all; its format is the ending of `path`.

    Raises:
        OSError: the picture cannot be written.
    """
    with whole_file(path) as partial:
        # Not by cv2.imwrite, which crashes on a name that is not UTF-8.
        is_encoded, encoded = cv2.imencode(partial.suffix, picture)
        if not is_encoded:
            raise OSError(f"{path}: OpenCV cannot write the picture")
        partial.write_bytes(encoded)


def _fitted(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image at the size of its picture, and by how much x and y have grown."""
    height, width = image.shape[:2]
    longest = max(height, width)
    if longest < _SMALL_SIDE:
        factor: float = round(_ENLARGED_SIDE / longest)
    else:
        factor = min(1, _LARGEST_SIDE / longest)
    size = (max(1, round(factor * width)), max(1, round(factor * height)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(image, size, interpolation=method)
    return picture, np.array([size[0] / width, size[1] / height])


def _letter_size(width: int, height: int, factor: float = 1.0) -> int:
    """Pixels from one line to the next: the same share of each picture that is not very narrow."""
    return max(11, round(factor * min(max(width, height) / 44, min(width, height) / 12)))


@functools.cache
def _palette() -> np.ndarray:
    """uint8 (80,3) BGR: each colour as far as can be from all before it in CIE Lab.

    So classes with a low index, the common ones, differ most. Dark, pale and grey ones are left
    out: they do not stand out from photographs.
    """
    levels = np.linspace(0, 255, 16).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 1, 3)
    lab = cv2.cvtColor(colours.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)[:, 0]
    lightness, chroma = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])
    stands_out = (lightness > 40) & (lightness < 93) & (chroma > 30)
    colours, lab = colours[stands_out, 0], lab[stands_out]
    chosen = [int(np.argmin(np.abs(colours.astype(int) - (0, 85, 255)).sum(axis=1)))]  # orange
    distance = np.full(len(lab), np.inf)
    while len(chosen) < _NUM_COLOURS:
        distance = np.minimum(distance, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
        chosen.append(int(np.argmax(distance)))
    return colours[chosen]


def _rectangle(
    picture: np.ndarray,
    corners: np.ndarray,
    colour: tuple[int, int, int],
    thickness: int,
    dash: int,
) -> None:
    """Draws a box into the picture, dashed unless `dash` is 0; lines of small boxes are thin."""
    # OpenCV takes no coordinates beyond 16 bits, and lines outside are not seen.
    height, width = picture.shape[:2]
    limits = np.array([width, height, width, height]) + 2 * thickness
    x1, y1, x2, y2 = np.clip(np.round(corners), -2 * thickness, limits).astype(int).tolist()
    thickness = min(thickness, max(1, min(x2 - x1, y2 - y1) // 8))
    if dash == 0:
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, thickness)
        return
    dash = min(dash, max(2, max(x2 - x1, y2 - y1) // 5))
    for left in range(x1, x2, 2 * dash):
        for y in (y1, y2):
            cv2.line(picture, (left, y), (min(left + dash, x2), y), colour, thickness)
    for top in range(y1, y2, 2 * dash):
        for x in (x1, x2):
            cv2.line(picture, (x, top), (x, min(top + dash, y2)), colour, thickness)


@dataclass(frozen=True)
class _Stroke:
    """A line from one place to another, or at one place a dot or ring of this radius."""

    start: tuple[int, int]
    end: tuple[int, int]
    colour: tuple[int, int, int]
    thickness: int  # of a dot -1
    radius: int = 0


def _skeleton(corners: np.ndarray, points: np.ndarray, task: Task) -> list[_Stroke]:
    """What is to be drawn for the points (J,3) of an object; small objects have thin lines."""
    # Nothing so far away is seen, and OpenCV takes no coordinates beyond 16 bits.
    places = np.clip(np.round(points[:, :2]), -_FAR, _FAR).astype(int).tolist()
    visible = points[:, 2]
    names = task.point_names or ("",) * len(points)
    sides = [LEFT if "left" in n else RIGHT if "right" in n else MIDDLE for n in names]
    height, width = corners[3] - corners[1], corners[2] - corners[0]
    bold = int(np.clip(round(max(height, width) / 70), 2, 6))
    strokes = []
    for first, second in task.skeleton:
        if visible[first] and visible[second]:
            is_seen = min(visible[first], visible[second]) >= _SEEN
            colour = sides[first] if sides[first] == sides[second] else MIDDLE
            thickness = bold if is_seen else 1
            strokes.append(_Stroke(places[first], places[second], colour, thickness))
    for place, colour, visibility in zip(places, sides, visible, strict=True):
        if visibility:
            thickness = -1 if visibility >= _SEEN else 1
            strokes.append(_Stroke(place, place, colour, thickness, radius=bold + 1))
    return strokes


def _stroke(picture: np.ndarray, strokes: Sequence[_Stroke], is_shadow: bool = False) -> None:
    """Draws strokes into the picture; their shadow is black and wider."""
    height, width = picture.shape[:2]
    for stroke in strokes:
        colour = (0, 0, 0) if is_shadow else stroke.colour
        if stroke.radius:
            radius = stroke.radius + is_shadow
            circle = (stroke.start, radius, colour, stroke.thickness)
            cv2.circle(picture, *circle, lineType=cv2.LINE_AA)
            continue
        is_inside, start, end = cv2.clipLine((0, 0, width, height), stroke.start, stroke.end)
        if is_inside:
            thickness = stroke.thickness + 2 * is_shadow
            cv2.line(picture, start, end, colour, thickness=thickness, lineType=cv2.LINE_AA)


def _first_free(
    candidates: np.ndarray, size: np.ndarray, taken: np.ndarray
) -> tuple[int, int] | None:
    """The first of the corners (n,2) where a label meets none of the `taken` (m,4), or None."""
    lefts_tops = candidates[:, None]
    meets = ((lefts_tops < taken[:, 2:]) & (taken[:, :2] < lefts_tops + size)).all(axis=2)
    free = np.flatnonzero(~meets.any(axis=1))
    return tuple(candidates[free[0]].tolist()) if len(free) else None
