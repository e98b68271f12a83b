# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""CenterNet's arithmetic in plain NumPy, float64: what the tests hold the code in ``src`` against.

Written from "Objects as Points" (Zhou, Wang, Krähenbühl, 2019) and from the behaviour of the
original implementation (github.com/xingyizhou/CenterNet, called "the original" below). It imports
nothing of this project and is written to be read, not to be fast. test_reference.py checks it by
hand.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# ---------------------------------------------------------------------------------------------
# Targets
# ---------------------------------------------------------------------------------------------


class Targets(NamedTuple):
    """What one image's objects ask of the three heads."""

    hm: np.ndarray  # (C,h,w), 1 at the centres
    wh: np.ndarray  # (n,2) width, height in output pixels
    reg: np.ndarray  # (n,2) x, y of the centre minus its integer cell, in [0,1)
    centre: np.ndarray  # (n,2) integer x, y
    radius: np.ndarray  # (n,) integer
    dense_wh: np.ndarray  # (2,h,w) width, height of the object with the largest peak
    dense_wh_mask: np.ndarray  # (h,w) that peak
    cat_spec_wh: np.ndarray  # (n,2C) width, height at 2c and 2c+1, c the object's class
    cat_spec_mask: np.ndarray  # (n,2C) 1 there


def gaussian_radius(height: float, width: float, min_overlap: float = 0.7) -> float:
    """Radius within which a shifted corner still gives a box of IoU >= ``min_overlap``; a float.

    Three cases, each the root of a quadratic a r² + b r + c = 0 in the corner shift r:

    1. one corner inside, one outside:  r² - (h+w) r + h w (1-o)/(1+o) = 0
    2. both inside:                     4 r² - 2 (h+w) r + (1-o) h w = 0
    3. both outside:                    4 o r² + 2 o (h+w) r - (1-o) h w = 0

    The original takes (b + sqrt(b² - 4ac)) / 2 in each, b entering 1 and 2 with its sign turned and
    3 as -2 o (h+w): neither the smaller root of 1 and 2, nor divided by 2a. Published models were
    trained with that, so it is kept. The smallest of the three is returned.
    """
    total, product, overlap = height + width, height * width, min_overlap
    results = []
    for a, b, c in (
        (1.0, total, product * (1 - overlap) / (1 + overlap)),
        (4.0, 2 * total, (1 - overlap) * product),
        (4 * overlap, -2 * overlap * total, (overlap - 1) * product),
    ):
        results.append((b + np.sqrt(b * b - 4 * a * c)) / 2)
    return float(min(results))


def peak(x: int, y: int, radius: int, height: int, width: int, kind: str = "umich") -> np.ndarray:
    """One object's (h,w) peak exp(-(dx²+dy²)/(2σ²)) around its integer centre, 0 outside a square.

    "umich" (draw_umich_gaussian of the original): σ = (2r+1)/6, dx and dy in -r..r.
    "msra" (draw_msra_gaussian, for mse_loss): σ = r, dx and dy in -3σ..3σ. The original divides by
    zero when r is 0; here that is a single 1.
    """
    sigma, reach = {"umich": ((2 * radius + 1) / 6, radius), "msra": (radius, 3 * radius)}[kind]
    drawn = np.zeros((height, width))
    if reach == 0:
        drawn[y, x] = 1.0
        return drawn
    rows = np.arange(max(0, y - reach), min(height, y + reach + 1))
    columns = np.arange(max(0, x - reach), min(width, x + reach + 1))
    squared = (rows[:, None] - y) ** 2 + (columns[None, :] - x) ** 2
    drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = np.exp(-squared / (2 * sigma**2))
    return drawn


def draw_targets(
    objects: Sequence[Sequence[float]],
    num_classes: int,
    height: int,
    width: int,
    kind: str = "umich",
) -> Targets:
    """Targets of one image (paper section 3; the original's ctdet.py).

    objects: rows (class, cx, cy, w, h, ...) on the output grid, centres inside it; what follows h
    is ignored. The radius is taken from ceil(h), ceil(w) and truncated; ``kind`` as in ``peak``.
    Where peaks of one class overlap the maximum stays. dense_wh is drawn object by object: each
    writes its size where its peak is at least the largest so far, so the last of equals stays. (The
    original compares with float32 heat maps, by whose rounding it leaves cells out, and under
    mse_loss it compares umich with msra peaks; neither is repeated here.)
    """
    hm = np.zeros((num_classes, height, width))
    dense_wh, dense_wh_mask = np.zeros((2, height, width)), np.zeros((height, width))
    wh, reg, centres, radii, cat_spec_wh, cat_spec_mask = [], [], [], [], [], []
    for row in objects:
        label, cx, cy, w, h = int(row[0]), *(float(value) for value in row[1:5])
        x, y = int(cx), int(cy)
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(f"centre ({cx}, {cy}) lies outside the {width}x{height} grid")
        radius = max(0, int(gaussian_radius(np.ceil(h), np.ceil(w))))
        drawn = peak(x, y, radius, height, width, kind)
        hm[label] = np.maximum(hm[label], drawn)
        wins = (drawn > 0) & (drawn >= dense_wh_mask)
        dense_wh[:, wins] = np.array([[w], [h]])
        dense_wh_mask = np.maximum(dense_wh_mask, drawn)
        by_class, mask = np.zeros((2, 2 * num_classes))
        by_class[2 * label : 2 * label + 2], mask[2 * label : 2 * label + 2] = (w, h), 1
        wh.append((w, h))
        reg.append((cx - x, cy - y))
        centres.append((x, y))
        radii.append(radius)
        cat_spec_wh.append(by_class)
        cat_spec_mask.append(mask)
    return Targets(
        hm,
        np.array(wh, dtype=np.float64).reshape(-1, 2),
        np.array(reg, dtype=np.float64).reshape(-1, 2),
        np.array(centres, dtype=np.int64).reshape(-1, 2),
        np.array(radii, dtype=np.int64),
        dense_wh,
        dense_wh_mask,
        np.array(cat_spec_wh).reshape(-1, 2 * num_classes),
        np.array(cat_spec_mask).reshape(-1, 2 * num_classes),
    )


# ---------------------------------------------------------------------------------------------
# Losses
# ---------------------------------------------------------------------------------------------


def clipped_sigmoid(logits: np.ndarray) -> np.ndarray:
    """sigmoid, clipped to [1e-4, 1 - 1e-4] (the original's _sigmoid)."""
    logits = np.asarray(logits, dtype=np.float64)
    return np.clip(1.0 / (1.0 + np.exp(-logits)), 1e-4, 1 - 1e-4)


def focal_loss(prediction_logits: np.ndarray, target: np.ndarray) -> float:
    """Penalty-reduced pixel-wise logistic regression, paper equation 1, alpha 2 and beta 4.

    -1/N Σ { (1-p)² log p              where target is 1
           { (1-target)⁴ p² log(1-p)   elsewhere

    N is the number of ones in the whole batch; with none, the second line alone, not divided.
    """
    p = clipped_sigmoid(prediction_logits)
    target = np.asarray(target, dtype=np.float64)
    peaks = target == 1
    positive = np.sum(((1 - p) ** 2 * np.log(p))[peaks])
    negative = np.sum(((1 - target) ** 4 * p**2 * np.log(1 - p))[~peaks])
    count = int(np.count_nonzero(peaks))
    if count == 0:
        return float(-negative)
    return float(-(positive + negative) / count)


def _regression_errors(
    prediction: np.ndarray, objects: Sequence[Sequence[float]]
) -> tuple[np.ndarray, int]:
    errors = [
        np.abs(np.asarray(prediction, dtype=np.float64)[int(b), :, int(y), int(x)] - np.array(goal))
        for b, x, y, *goal in objects
    ]
    return np.array(errors, dtype=np.float64).reshape(-1, 2), len(errors)


def _regression_mean(values: np.ndarray, count: int, per: str) -> float:
    divisor = {"object": count, "coordinate": 2 * count}[per]
    return float(values.sum() / (divisor + 1e-4))


def l1_loss(
    prediction: np.ndarray, objects: Sequence[Sequence[float]], per: str = "object"
) -> float:
    """L1 of a regression head at the objects' cells, paper equations 2 and 3.

    prediction (B,2,h,w); objects rows (batch index, cell x, cell y, target 0, target 1), padding
    already left out. Σ|prediction - target| over both coordinates, divided by N + 1e-4 objects
    (``per="object"``: the paper, ModelZoo) or 2N + 1e-4 coordinates (``per="coordinate"``:
    RegL1Loss of the original).
    """
    errors, count = _regression_errors(prediction, objects)
    return _regression_mean(errors, count, per)


def smooth_l1_loss(
    prediction: np.ndarray, objects: Sequence[Sequence[float]], per: str = "object"
) -> float:
    """The same with smooth L1, beta 1: e²/2 where e < 1, else e - 1/2 (RegLoss of the original)."""
    errors, count = _regression_errors(prediction, objects)
    return _regression_mean(np.where(errors < 1, errors**2 / 2, errors - 0.5), count, per)


# ---------------------------------------------------------------------------------------------
# Detections
# ---------------------------------------------------------------------------------------------


def peaks(hm: np.ndarray) -> np.ndarray:
    """(C,h,w) probabilities, zero where a larger value lies in the 3x3 neighbourhood."""
    hm = np.asarray(hm, dtype=np.float64)
    _, height, width = hm.shape
    kept = np.zeros_like(hm)
    for label, y, x in np.ndindex(hm.shape):
        window = hm[label, max(0, y - 1) : min(height, y + 2), max(0, x - 1) : min(width, x + 2)]
        if hm[label, y, x] == window.max():
            kept[label, y, x] = hm[label, y, x]
    return kept


def decode(hm: np.ndarray, wh: np.ndarray, reg: np.ndarray, k: int) -> np.ndarray:
    """Boxes of one image, paper section 3.1 (ctdet_decode of the original).

    hm (C,h,w) probabilities, wh and reg (2,h,w). Returns (K,6) rows x1 y1 x2 y2 score class in
    output-grid pixels, best first: the K best cells of each class, then the K best of those. Equal
    scores: lower class first, then lower row, then lower column; when fewer than K peaks exist the
    rest are rows of score 0. K is cut to the number of cells.
    """
    classes, height, width = hm.shape
    flat = peaks(hm).reshape(classes, -1)
    per_class = min(k, height * width)
    candidates = []
    for label in range(classes):
        for cell in np.argsort(-flat[label], kind="stable")[:per_class]:
            candidates.append((flat[label, cell], label, int(cell)))
    candidates.sort(key=lambda candidate: -candidate[0])
    rows = []
    for score, label, cell in candidates[: min(k, len(candidates))]:
        y, x = divmod(cell, width)
        cx, cy = x + float(reg[0, y, x]), y + float(reg[1, y, x])
        w, h = float(wh[0, y, x]), float(wh[1, y, x])
        rows.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, score, label))
    return np.array(rows, dtype=np.float64).reshape(-1, 6)


def soft_nms(
    boxes: np.ndarray, sigma: float = 0.5, threshold: float = 0.001, plus_one: bool = True
) -> np.ndarray:
    """Gaussian soft-NMS (Bodla et al. 2017; nms.pyx of the original, method 2).

    boxes (n,5) rows x1 y1 x2 y2 score of one class. Takes the best box out, multiplies the score of
    every remaining box that overlaps it by exp(-IoU²/sigma), drops those that fall below
    ``threshold`` by that, and repeats. Returns the rescored kept boxes in the order taken.

    ``plus_one``: sides are x2 - x1 + 1, and boxes overlap when that makes the intersection
    positive, as in the original; False gives continuous coordinates. As in the original, a box that
    overlaps nothing is never dropped, whatever its score. (The original then ignores the list of
    kept boxes and so also reports a stale copy of another box for each dropped one; this does not.)
    """
    one = 1.0 if plus_one else 0.0
    pool = [np.array(box, dtype=np.float64) for box in boxes]
    taken = []
    while pool:
        best = max(range(len(pool)), key=lambda index: pool[index][4])
        pool[0], pool[best] = pool[best], pool[0]
        top = pool.pop(0)
        taken.append(top)
        index = 0
        while index < len(pool):
            box = pool[index]
            width = min(top[2], box[2]) - max(top[0], box[0]) + one
            height = min(top[3], box[3]) - max(top[1], box[1]) + one
            if width > 0 and height > 0:
                first = (top[2] - top[0] + one) * (top[3] - top[1] + one)
                second = (box[2] - box[0] + one) * (box[3] - box[1] + one)
                iou = width * height / (first + second - width * height)
                box[4] *= np.exp(-(iou**2) / sigma)
                if box[4] < threshold:
                    # The last box moves into the gap and is looked at next.
                    pool[index] = pool[-1]
                    pool.pop()
                    continue
            index += 1
    return np.array(taken, dtype=np.float64).reshape(-1, 5)


# ---------------------------------------------------------------------------------------------
# Geometry
# ---------------------------------------------------------------------------------------------


def affine(
    center: Sequence[float],
    scale: float | Sequence[float],
    rotation_degrees: float,
    output_size: Sequence[int],
    inverse: bool = False,
) -> np.ndarray:
    """2x3 matrix from image to output pixels (get_affine_transform of the original).

    Fixed by three pairs of points: ``center`` goes to the middle of ``output_size`` (width,
    height); the point half of ``scale``'s width above it, turned by the rotation, to half of the
    output's width above the middle; and a third that makes a right angle with those on both sides.
    Only widths enter, so both axes shrink alike. ``inverse`` maps output to image.
    """
    width = float(np.atleast_1d(scale)[0])
    out_width, out_height = (float(side) for side in output_size)
    angle = np.deg2rad(rotation_degrees)

    def three_points(middle: np.ndarray, direction: np.ndarray) -> np.ndarray:
        second = middle + direction
        back = middle - second
        third = second + np.array([-back[1], back[0]])
        return np.stack([middle, second, third])

    # (0, -width/2) turned by the angle.
    image_direction = np.array([np.sin(angle), -np.cos(angle)]) * width / 2
    image_points = three_points(np.asarray(center, dtype=np.float64), image_direction)
    output_points = three_points(
        np.array([out_width, out_height]) / 2, np.array([0.0, -out_width / 2])
    )
    source, goal = (output_points, image_points) if inverse else (image_points, output_points)
    # [x y 1] (3x3) times the matrix transposed (3x2) is the goal (3x2).
    return np.linalg.solve(np.column_stack([source, np.ones(3)]), goal).T


def warp_bilinear(image: np.ndarray, matrix: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """``image`` (H,W) or (H,W,C) moved by ``matrix`` (image to output), size (width, height).

    Every output pixel is looked up at its exact place in the image, bilinear, zero outside;
    float64, not rounded. cv2.warpAffine does the same with places rounded to 1/32 pixel.
    """
    image = np.asarray(image, dtype=np.float64)
    height, width = image.shape[:2]
    out_width, out_height = size
    back = np.linalg.inv(np.vstack([matrix, [0.0, 0.0, 1.0]]))
    result = np.zeros((out_height, out_width, *image.shape[2:]))
    for v in range(out_height):
        for u in range(out_width):
            x, y, _ = back @ (u, v, 1.0)
            # A place within rounding of a whole pixel must not see its neighbour as outside.
            x, y = np.round(x, 9), np.round(y, 9)
            left, top = int(np.floor(x)), int(np.floor(y))
            for row, weight_y in ((top, 1 - (y - top)), (top + 1, y - top)):
                for column, weight_x in ((left, 1 - (x - left)), (left + 1, x - left)):
                    if 0 <= row < height and 0 <= column < width:
                        result[v, u] += weight_y * weight_x * image[row, column]
    return result


# ---------------------------------------------------------------------------------------------
# Layers
# ---------------------------------------------------------------------------------------------


def modulated_deformable_conv(
    x: np.ndarray,
    offset_x: np.ndarray,
    offset_y: np.ndarray,
    mask: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
) -> np.ndarray:
    """Deformable convolution v2 (Zhu et al. 2018), 3x3, stride 1, padding 1, one group.

    y[o,i,j] = bias[o] + Σ_c Σ_t weight[o,c,t] mask[t,i,j] x[c, i + ky - 1 + offset_y[t,i,j],
                                                             j + kx - 1 + offset_x[t,i,j]]

    with t = 3 ky + kx. x (C,H,W) is read bilinearly, zero outside; offsets and mask (9,H,W), the
    mask already through its sigmoid; weight (O,C,3,3), bias (O,). Returns (O,H,W).
    """
    x = np.asarray(x, dtype=np.float64)
    channels, height, width = x.shape
    weight = np.asarray(weight, dtype=np.float64)
    result = np.zeros((weight.shape[0], height, width))
    result += np.asarray(bias, dtype=np.float64)[:, None, None]
    for tap, i, j in np.ndindex(9, height, width):
        ky, kx = divmod(tap, 3)
        row = i + ky - 1 + float(offset_y[tap, i, j])
        column = j + kx - 1 + float(offset_x[tap, i, j])
        top, left = int(np.floor(row)), int(np.floor(column))
        sample = np.zeros(channels)
        for r in (top, top + 1):
            for c in (left, left + 1):
                if 0 <= r < height and 0 <= c < width:
                    sample += (1 - abs(row - r)) * (1 - abs(column - c)) * x[:, r, c]
        result[:, i, j] += weight[:, :, ky, kx] @ sample * float(mask[tap, i, j])
    return result


# ---------------------------------------------------------------------------------------------
# Schedules
# ---------------------------------------------------------------------------------------------


def warmup_factor(step: int, warmup: int) -> float:
    """(step+1)/warmup while step < warmup, then 1. Steps count from 0."""
    return (step + 1) / warmup if step < warmup else 1.0


def multi_decay(
    step: int,
    base: float,
    warmup: int,
    steps_per_epoch: int,
    epochs: Sequence[int],
    factor: float = 10.0,
) -> float:
    """``base`` divided by ``factor`` for each of ``epochs`` that is complete, with warm-up."""
    drops = sum(1 for epoch in epochs if step >= epoch * steps_per_epoch)
    return base / factor**drops * warmup_factor(step, warmup)


def poly_decay(step: int, base: float, end: float, power: float, warmup: int, total: int) -> float:
    """((base - end) (1 - step/total)^power + end) times warm-up; ``end`` from total on."""
    done = min(step, total) / total
    return ((base - end) * (1 - done) ** power + end) * warmup_factor(step, warmup)


# ---------------------------------------------------------------------------------------------
# Colour
# ---------------------------------------------------------------------------------------------

# Of the original's COCO dataset class: applied to BGR images as they stand.
LIGHTING_EIGENVALUES = np.array([0.2141788, 0.01817699, 0.00341571])
LIGHTING_EIGENVECTORS = np.array(
    [
        [-0.58752847, -0.69563484, 0.41340352],
        [-0.5832747, 0.00994535, -0.81221408],
        [-0.56089297, 0.71832671, 0.41158938],
    ]
)


def gray(image_bgr: np.ndarray) -> np.ndarray:
    """(H,W) 0.114 B + 0.587 G + 0.299 R, OpenCV's BGR2GRAY."""
    return np.asarray(image_bgr, dtype=np.float64) @ np.array([0.114, 0.587, 0.299])


def lighting_shift(alphas: Sequence[float]) -> np.ndarray:
    """What three draws (normal, std 0.1) of the PCA lighting add to B, G and R: V (λ ∘ α)."""
    return LIGHTING_EIGENVECTORS @ (LIGHTING_EIGENVALUES * np.asarray(alphas, dtype=np.float64))


def colour_jitter(
    image_bgr_0_1: np.ndarray,
    brightness_alpha: float,
    contrast_alpha: float,
    saturation_alpha: float,
    order: Sequence[str],
    lighting: Sequence[float],
    mean: Sequence[float],
    std: Sequence[float],
) -> np.ndarray:
    """color_aug of the original, step by step, then the normalisation; (H,W,3) float64.

    The warped image in 0..1, its zero border included, gives the gray picture and its mean once,
    before anything is changed. Then, in the given order of "brightness", "contrast", "saturation":
    image *= a;  image = a image + (1-a) mean(gray);  image = a image + (1-a) gray. Then
    ``lighting`` (see lighting_shift) is added and (image - mean)/std taken. Nothing is clipped in
    between.
    """
    image = np.array(image_bgr_0_1, dtype=np.float64)
    gray_image = gray(image)[:, :, None]
    gray_mean = gray_image.mean()
    for step in order:
        if step == "brightness":
            image = brightness_alpha * image
        elif step == "contrast":
            image = contrast_alpha * image + (1 - contrast_alpha) * gray_mean
        elif step == "saturation":
            image = saturation_alpha * image + (1 - saturation_alpha) * gray_image
        else:
            raise ValueError(f"no such step: {step!r}")
    image = image + np.asarray(lighting, dtype=np.float64)
    return (image - np.asarray(mean, dtype=np.float64)) / np.asarray(std, dtype=np.float64)


def keypoint_numbers(
    annotations: list[dict], results: list[dict], image_ids: list[int], sigmas: np.ndarray
) -> list[float]:
    """COCO's ten numbers of keypoints as its page describes them, in plain loops.

    Annotations with num_keypoints 0 or iscrowd, and those out of a range of area, are ignored: what
    finds them counts neither as right nor as wrong, as does what is out of the range itself and
    finds nothing.
    """
    thresholds, recalls = np.linspace(0.5, 0.95, 10), np.linspace(0, 1, 101)
    ranges = {"all": (0, 1e10), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
    precision = {name: np.zeros((10, 0)) for name in ranges}  # a column for each class
    recall = {name: np.zeros((10, 0)) for name in ranges}
    for name, (low, high) in ranges.items():
        for category in sorted({entry["category_id"] for entry in annotations + results}):
            found, wanted = [], 0  # (score, right at each threshold or None where ignored)
            for image in image_ids:
                own = {"image_id": image, "category_id": category}
                objects = [a for a in annotations if own.items() <= a.items()]
                guesses = sorted(
                    (r for r in results if own.items() <= r.items()), key=lambda r: -r["score"]
                )[:20]
                ignored = [
                    a["num_keypoints"] == 0 or a["iscrowd"] == 1 or not low <= a["area"] <= high
                    for a in objects
                ]
                wanted += ignored.count(False)
                oks = [[_oks(a, r, sigmas) for a in objects] for r in guesses]
                verdicts: list[list[bool | None]] = [[] for _ in guesses]
                for threshold in thresholds:
                    taken: set[int] = set()
                    for guess, row, verdict in zip(guesses, oks, verdicts, strict=True):
                        area = guess["bbox"][2] * guess["bbox"][3]
                        choice = None
                        for group in (False, True):  # those that count come first
                            free = [
                                i for i in range(len(objects))
                                if ignored[i] == group and row[i] >= min(threshold, 1 - 1e-10)
                                and (i not in taken or objects[i]["iscrowd"])
                            ]  # fmt: skip
                            if free:
                                choice = max(free, key=lambda i: (row[i], i))
                                break
                        if choice is None:
                            verdict.append(False if low <= area <= high else None)
                        else:
                            taken.add(choice)
                            verdict.append(None if ignored[choice] else True)
                found += [(r["score"], v) for r, v in zip(guesses, verdicts, strict=True)]
            if wanted == 0:
                continue
            found.sort(key=lambda pair: -pair[0])
            curves, reached = [], []
            for place in range(10):
                right = wrong = 0
                steps = []
                for _, verdict in found:
                    right += verdict[place] is True
                    wrong += verdict[place] is False
                    if verdict[place] is not None:
                        steps.append((right / wanted, right / (right + wrong)))
                reached.append(steps[-1][0] if steps else 0.0)
                curves.append(
                    np.mean(
                        [max([p for r, p in steps if r >= level], default=0) for level in recalls]
                    )
                )
            precision[name] = np.column_stack([precision[name], curves])
            recall[name] = np.column_stack([recall[name], reached])
    numbers = []
    for of in (precision, recall):
        numbers += [of["all"].mean(), of["all"][0].mean(), of["all"][5].mean()]
        numbers += [of["medium"].mean(), of["large"].mean()]
    return numbers


def _oks(annotation: dict, result: dict, sigmas: np.ndarray) -> float:
    """COCO's similarity; of objects without labelled points how near their doubled box they are."""
    true, guess = (np.reshape(of["keypoints"], (-1, 3)) for of in (annotation, result))
    labelled = true[:, 2] > 0
    distance = guess[:, :2] - true[:, :2]
    if not labelled.any():
        x, y, width, height = annotation["bbox"]
        low = np.array([x - width, y - height])
        high = np.array([x + 2 * width, y + 2 * height])
        distance = np.maximum(0, low - guess[:, :2]) + np.maximum(0, guess[:, :2] - high)
        labelled[:] = True
    exponent = (distance**2).sum(axis=1) / (2 * annotation["area"] * (2 * sigmas) ** 2)
    return float(np.exp(-exponent)[labelled].mean())
