# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What is odd in a data set and yet taken: said in one line for each kind."""

from collections.abc import Callable, Sequence

import numpy as np

from src.data.images import Oddity
from src.model_utils.messages import say

_MUCH_LARGER = 2  # than the network's input in training, where pixels are fed as they are
_WORTH_SAYING = 0.1  # share of boxes or images from which a habit is suspected
_FITS = 0.99  # share of boxes that an explanation has to hold for


class Notes:
    """Collects what is odd, by kind: how often, and the first example."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, example: str, count: int = 1) -> None:
        """Notes something.

        Args:
            kind: a sentence's words with {count} and {example} where these are to stand.
            example: which record or file it is.
            count: how many they are.
        """
        before, first = self._found.get(kind, (0, example))
        self._found[kind] = before + count, first

    def lines(self) -> list[str]:
        return [
            kind.replace("{count}", f"{count:,}").replace("{example}", example)
            for kind, (count, example) in self._found.items()
        ]

    def report(self) -> None:
        """Prints a line for each kind; nothing where nothing is odd."""
        tell(self.lines())


def tell(lines: Sequence[str]) -> None:
    say(*(f"note: {line}" for line in lines))


def note_boxes(
    notes: Notes, xywh: np.ndarray, sizes: np.ndarray, name: Callable[[int], str]
) -> None:
    """Notes boxes that reach over the edge or are smaller than a pixel, and what that may mean.

    Args:
        notes: takes them.
        xywh: float64 (n,4), the boxes as they stand in the file; each has some area in its image.
        sizes: (n,2), widths and heights of their images.
        name: what messages call the box of a row, as "annotation 7".
    """
    if len(xywh) == 0:
        return
    with np.errstate(over="ignore"):
        far = xywh[:, :2] + xywh[:, 2:]
        low, high = np.maximum(xywh[:, :2], 0), np.minimum(far, sizes)
        share = ((high - low) / xywh[:, 2:]).prod(axis=1)
    # Programs round: a pixel beyond the edge is none.
    is_cut = ((xywh[:, :2] < -1) | (far > sizes + 1)).any(axis=1)
    if is_cut.any():
        # Of boxes that are sizes some reach beyond the image as corners, or end before they begin.
        fits = ((xywh[:, 2:] > xywh[:, :2]) & (xywh[:, 2:] <= sizes + 1)).all(axis=1)
        is_habit = is_cut.mean() >= _WORTH_SAYING and fits.mean() >= _FITS
        first = int(np.argmin(share))
        notes.add(
            f"{{count}} of {len(xywh):,} boxes reach over the edge of their image and are cut "
            f"there, {(is_cut & (share < 0.5)).sum():,} by more than half ({{example}})"
            + ("; are they x1 y1 x2 y2? COCO's are x y width height" if is_habit else ""),
            _box(first, xywh, sizes, name),
            int(is_cut.sum()),
        )
    is_tiny = (xywh[:, 2:] < 1).any(axis=1)
    if is_tiny.any():
        fits = (xywh <= 1).all(axis=1)
        is_habit = fits.mean() > 0.5
        notes.add(
            f"{{count}} of {len(xywh):,} boxes have a side of less than a pixel ({{example}})"
            + ("; are they parts of the image, 0 to 1? COCO's are pixels" if is_habit else ""),
            _box(int(np.argmax(is_tiny)), xywh, sizes, name),
            int(is_tiny.sum()),
        )


def _box(row: int, xywh: np.ndarray, sizes: np.ndarray, name: Callable[[int], str]) -> str:
    numbers = ", ".join(f"{side:.6g}" for side in xywh[row])
    width, height = sizes[row]
    return f"{name(row)} has bbox [{numbers}] in {width}x{height} pixels"


def note_many_objects(
    notes: Notes, counts: Sequence[int], names: Sequence[str], max_objs: int
) -> None:
    """Notes images that hold more objects than a training takes of one, and how many to take."""
    most = max(counts, default=0)
    if most > max_objs:
        notes.add(
            f"{{count}} image(s) hold more than dataset_config.max_objs {max_objs} objects "
            f"({{example}}); training takes {max_objs} of each and the rest as background: set "
            f"--dataset_config.max_objs {most}",
            f"{names[counts.index(most)]}: {most}",
            sum(count > max_objs for count in counts),
        )


def note_unfindable_objects(
    notes: Notes, counts: Sequence[int], names: Sequence[str], boxes: int
) -> None:
    """Notes images that hold more objects than an evaluation keeps boxes, eval_config.K."""
    most = max(counts, default=0)
    if most > boxes:
        notes.add(
            f"{{count}} image(s) hold more objects than eval_config.K {boxes} ({{example}}); no "
            f"more than {boxes} can be found in one: set --eval_config.K {most}",
            f"{names[counts.index(most)]}: {most}",
            sum(count > boxes for count in counts),
        )


def note_large_images(
    notes: Notes,
    sizes: Sequence[tuple[int, int]],
    names: Sequence[str],
    keep_res: bool,
    input_size: Sequence[int],
) -> None:
    """Notes images that evaluation feeds at a much larger size than training does.

    Args:
        sizes: width and height of each image.
        names: what the message calls each.
        keep_res: eval_config.keep_res.
        input_size: dataset_config.input_res_train, to which training scales images.
    """
    limit = _MUCH_LARGER * max(input_size)
    large = [row for row, size in enumerate(sizes) if max(size) > limit]
    if keep_res and len(large) >= max(1, _WORTH_SAYING * len(sizes)):
        row = max(large, key=lambda row: max(sizes[row]))
        notes.add(
            f"{{count}} of {len(sizes):,} images are more than {_MUCH_LARGER} times as large as "
            f"dataset_config.input_res_train {list(input_size)} ({{example}}), to which training "
            "scales them; eval_config.keep_res feeds them as they are, objects so much larger: "
            "--eval_config.keep_res false scales them too",
            f"{names[row]}: {sizes[row][0]}x{sizes[row][1]}",
            len(large),
        )


def note_image(notes: Notes, name: str, oddity: Oddity, upright: bool) -> None:
    """Notes an image that its EXIF orientation turns, or that is nearly black.

    Args:
        notes: takes it.
        name: of its file.
        oddity: what `images.examined` says of it.
        upright: whether images are turned by their EXIF orientation.
    """
    if oddity.orientation != 1:
        notes.add(
            "{count} image(s) are turned by their EXIF orientation ({example})"
            if upright
            else "{count} image(s) carry an EXIF rotation, which is ignored ({example}), so that "
            "boxes count in stored pixels; most labelling tools show images turned, and then "
            "--dataset_config.turn_by_exif true is right",
            f"{name}: orientation {oddity.orientation}",
        )
    if oddity.is_dark:
        notes.add(
            "{count} 16-bit image(s) use less than a sixteenth of their levels and are nearly "
            "black as 8 bits ({example}); multiply their values so that they fill 16 bits",
            name,
        )
