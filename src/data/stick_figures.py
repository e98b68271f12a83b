# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Pictures of stick figures with COCO's seventeen points, for the synthetic set of poses.

All of them face the viewer: what is left in the picture is their right, also in a mirrored one,
where points change sides. To the eye their left limbs are warm and their right ones cool; colours
alone could not tell the sides of a mirrored figure.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from src.data.drawing import background, box_iou, mask_box
from src.tasks.pose import NAMES, SKELETON

CATEGORY = {
    "id": 1,
    "name": "person",
    "supercategory": "person",
    "keypoints": list(NAMES),
    "skeleton": [list(pair) for pair in SKELETON],
}
# Raise this when a change here changes the pictures: sets made before are then not "up to date".
VERSION = 1
IMAGE_SIDES = (144, 160, 176, 192)
MAX_FIGURES = 3
FIGURE_HEIGHTS = (0.55, 0.8)  # of a standing figure, as parts of the shorter side of its image
MAX_IOU = 0.3
MIN_VISIBLE = 0.7  # part of a figure's area that the border and other figures leave
MIN_POINTS = 12  # seen of a figure
BEHIND = 0.25  # probability of an arm to be behind the torso

_PLACE = {name: index for index, name in enumerate(NAMES)}
_SUBPIXEL_BITS = 4  # of coordinates handed to OpenCV
_OUTLINE = (30.0, 30.0, 30.0)
_PARTS = ("head", "torso", "left_arm", "right_arm", "left_leg", "right_leg")


@dataclass(frozen=True)
class Stroke:
    """A filled polygon, line or dot (m,2) in pixels, as thick as a pen, of a part of a figure."""

    part: str
    points: np.ndarray
    thickness: float
    colour: np.ndarray


@dataclass
class Figure:
    """A figure on a picture.

    points: (17,2), x and y in pixels.
    parts: uint8 (H,W), 1 + the index of the part of it that a pixel shows, 0 where it shows none;
        later figures eat into it.
    full_area: pixels of it, also outside of the picture.
    """

    points: np.ndarray
    parts: np.ndarray
    full_area: int

    @property
    def area(self) -> int:
        """Visible pixels."""
        return int(np.count_nonzero(self.parts))

    def visibility(self) -> np.ndarray:
        """COCO's (17,): 0 outside of the picture, 1 hidden by something, 2 seen."""
        found = np.zeros(len(NAMES), int)
        height, width = self.parts.shape
        for index, (name, place) in enumerate(zip(NAMES, self.points, strict=True)):
            x, y = np.rint(place).astype(int)
            if 0 <= x < width and 0 <= y < height:
                part = self.parts[y, x]
                found[index] = 2 if part and _PARTS[part - 1] in _parts_at(name) else 1
        return found

    def annotation(self) -> dict[str, Any]:
        """What COCO's json says of it, ids apart."""
        x1, y1, x2, y2 = mask_box(self.parts > 0)
        visibility = self.visibility()[:, None]
        places = np.where(visibility > 0, np.round(self.points, 2), 0)
        return {
            "category_id": CATEGORY["id"],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": self.area,
            "iscrowd": 0,
            "keypoints": [
                number
                for place, (flag,) in zip(places.tolist(), visibility.tolist(), strict=True)
                for number in (*place, flag)
            ],
            "num_keypoints": int(np.count_nonzero(visibility)),
        }


def _parts_at(name: str) -> tuple[str, ...]:
    side, _, joint = name.partition("_")
    match joint:
        case "shoulder" | "hip":
            return "torso", f"{side}_{'arm' if joint == 'shoulder' else 'leg'}"
        case "elbow" | "wrist":
            return (f"{side}_arm",)
        case "knee" | "ankle":
            return (f"{side}_leg",)
    return ("head",)


def random_points(rng: np.random.Generator) -> np.ndarray:
    """The points (17,2) of a figure whose standing height is 1 and whose neck is at 0, 0."""
    points = np.zeros((len(NAMES), 2))
    lean, nod, turn = rng.uniform(-12, 12), rng.uniform(-10, 10), rng.uniform(-0.025, 0.025)
    for name, place in (
        ("nose", (turn, -0.11)),
        ("left_eye", (0.055 + turn, -0.16)),
        ("right_eye", (-0.055 + turn, -0.16)),
        ("left_ear", (0.125, -0.14)),
        ("right_ear", (-0.125, -0.14)),
    ):
        points[_PLACE[name]] = _turned(place, lean + nod)
    for side, sign in (("left", 1), ("right", -1)):
        # Degrees from hanging down, outwards.
        arm, leg = rng.uniform(10, 130), rng.uniform(0, 35)
        forearm, shin = arm + rng.uniform(-40, 70), leg - rng.uniform(-5, 40)
        for start, first, second, upper, lower, length in (
            ((sign * 0.15, 0.05), "elbow", "wrist", arm, forearm, 0.17),
            ((sign * 0.09, 0.34), "knee", "ankle", leg, shin, 0.2),
        ):
            root = _turned(start, lean)
            middle = root + _turned((0, length), lean - sign * upper)
            points[_PLACE[f"{side}_{'shoulder' if first == 'elbow' else 'hip'}"]] = root
            points[_PLACE[f"{side}_{first}"]] = middle
            points[_PLACE[f"{side}_{second}"]] = middle + _turned((0, length), lean - sign * lower)
    return points


def _turned(place: tuple[float, float], degrees: float) -> np.ndarray:
    """A place (x, y) turned clockwise, as the picture shows it."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    x, y = place
    return np.array([cos * x - sin * y, sin * x + cos * y])


def strokes_of(rng: np.random.Generator, points: np.ndarray, height: float) -> list[Stroke]:
    """What a figure of a height in pixels is drawn with, in the order of drawing."""
    at = {name: points[index] for name, index in _PLACE.items()}
    colours = {
        side: _from_hsv(rng.uniform(*hues), rng.uniform(0.75, 1), rng.uniform(0.75, 1))
        for side, hues in (("left", (0, 35)), ("right", (190, 245)))
    }
    skin = _from_hsv(rng.uniform(15, 40), rng.uniform(0.2, 0.5), rng.uniform(0.75, 1))
    shirt = _from_hsv(rng.uniform(60, 160), rng.uniform(0.2, 0.8), rng.uniform(0.4, 1))

    def limb(side: str, kind: str, joints: tuple[str, str, str], thickness: float) -> list[Stroke]:
        part, colour = f"{side}_{kind}", colours[side]
        first, second, end = (at[f"{side}_{joint}"] for joint in joints)
        return [
            Stroke(part, np.array([first, second]), thickness, colour),
            Stroke(part, np.array([second, end]), 0.85 * thickness, colour * 0.8),
            Stroke(part, end[None], 1.3 * thickness, 0.5 * colour + 127),  # a hand or a foot
        ]

    legs = [
        limb(side, "leg", ("hip", "knee", "ankle"), 0.095 * height) for side in ("left", "right")
    ]
    arms = [
        limb(side, "arm", ("shoulder", "elbow", "wrist"), 0.08 * height)
        for side in ("left", "right")
    ]
    corners = ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
    torso = Stroke("torso", np.array([at[name] for name in corners]), 0.06 * height, shirt)
    head = (at["left_ear"] + at["right_ear"]) / 2
    face = [
        *(Stroke("head", at[f"{side}_ear"][None], 0.08 * height, 0.75 * skin) for side in colours),
        Stroke("head", head[None], 0.25 * height, skin),
        *(
            Stroke("head", at[name][None], 0.055 * height, np.array(colour))
            for name, colour in (
                ("left_eye", (90.0, 20.0, 20.0)),
                ("right_eye", (90.0, 20.0, 20.0)),
                ("nose", (60.0, 60.0, 220.0)),
            )
        ),
    ]
    is_behind = rng.random(2) < BEHIND
    behind = [s for arm, back in zip(arms, is_behind, strict=True) if back for s in arm]
    before = [s for arm, back in zip(arms, is_behind, strict=True) if not back for s in arm]
    return [*legs[0], *legs[1], *behind, torso, *before, *face]


def _from_hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """A hue in degrees, saturation and value 0 to 1 as BGR 0 to 255."""
    hsv = np.array([[[hue, saturation, value]]], np.float32)
    return 255.0 * cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(np.float64)


def _draw(canvas: np.ndarray, stroke: Stroke, wider: int, colour: Any, line_type: int) -> None:
    places = np.round(stroke.points * 2**_SUBPIXEL_BITS).astype(np.int32)
    if len(places) > 2:
        cv2.fillPoly(canvas, [places], colour, line_type, _SUBPIXEL_BITS)
    thickness = max(1, round(stroke.thickness)) + wider
    pen = {"thickness": thickness, "lineType": line_type, "shift": _SUBPIXEL_BITS}
    cv2.polylines(canvas, [np.resize(places, (max(2, len(places)), 2))], True, colour, **pen)


def _place(rng: np.random.Generator, image: np.ndarray, figures: list[Figure]) -> bool:
    """Draws one more figure on `image` at a random spot; False if that spot is not free."""
    shape = image.shape[:2]
    height = rng.uniform(*FIGURE_HEIGHTS) * min(shape)
    points = height * random_points(rng)
    low, high = points.min(axis=0), points.max(axis=0)
    # Some of it may be outside.
    room = 0.15 * (high - low)
    corner = rng.uniform(-room, np.maximum(shape[::-1] - (high - low) + room, 1 - room))
    points = points - low + corner
    strokes = strokes_of(rng, points, height)

    # On a canvas that holds all of it, to know how much of it the border cuts.
    border = int(height)
    canvas = np.zeros((shape[0] + 2 * border, shape[1] + 2 * border), np.uint8)
    for stroke in strokes:
        moved = Stroke(stroke.part, stroke.points + border, stroke.thickness, stroke.colour)
        _draw(canvas, moved, 2, 1 + _PARTS.index(stroke.part), cv2.LINE_8)
    parts = canvas[border:-border, border:-border].copy()
    figure = Figure(points, parts, full_area=int(np.count_nonzero(canvas)))
    covered = [
        Figure(f.points, np.where(parts > 0, np.uint8(0), f.parts), f.full_area) for f in figures
    ]
    if figure.area == 0 or any(
        box_iou(mask_box(parts > 0), mask_box(f.parts > 0)) > MAX_IOU for f in figures
    ):
        return False
    for one in (figure, *covered):
        if one.area < MIN_VISIBLE * one.full_area:
            return False
        if np.count_nonzero(one.visibility() == 2) < MIN_POINTS:
            return False
    for stroke in strokes:
        if stroke.thickness > 0.06 * height:  # not of eyes and nose
            _draw(image, stroke, 2, _OUTLINE, cv2.LINE_AA)
        _draw(image, stroke, 0, stroke.colour.tolist(), cv2.LINE_AA)
    figures[:] = [*covered, figure]
    return True


def make_image(rng: np.random.Generator) -> tuple[np.ndarray, list[Figure]]:
    """One picture, uint8 BGR (H,W,3), and the one to three figures on it."""
    height, width = (int(side) for side in rng.choice(IMAGE_SIDES, 2))
    image = np.clip(np.rint(background(rng, height, width)), 0, 255).astype(np.uint8)
    figures: list[Figure] = []
    wanted = int(rng.integers(1, MAX_FIGURES + 1))
    for _ in range(30):  # a crowded picture stays with fewer
        if len(figures) < wanted:
            _place(rng, image, figures)
    grain = rng.normal(0, 3, image.shape)
    return np.clip(np.rint(image + grain), 0, 255).astype(np.uint8), figures
