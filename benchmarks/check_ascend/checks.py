# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The checks, each of a cell or a step that it is given.

What they may be off by is `Allowed`. Values committed in expected.json were computed by a CPU.
"""

import json
import math
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from benchmarks.check_ascend import seeded
from benchmarks.check_ascend.report import FAILED, NOT_COMPARED, PASSED, SIMULATED, Chip, Row, row
from benchmarks.common import PROJECT
from src.deploy.mindir import write_mindir
from src.model_utils.device_adapter import saturates_on_overflow
from src.model_utils.networks import ResNetConfig
from src.models.deformable import FORMS, DeformableConv
from src.models.network import WithDecode, with_decode
from src.models.tasks.boxes import Decode
from src.training.step import TrainStep

EXPECTED = Path(__file__).with_name("expected.json")
APPLICATION = PROJECT / "ascend310_infer" / "out" / "main"
DETECTOR_ROWS = 20
# The heat map of the default 680x680: more values than a 310's TopK takes at once.
MAP_CLASSES, MAP_SIDE, MAP_ROWS = 80, 176, 100
_OVERFLOWING_SCALE = 2.0**127  # the largest power of two of float32
_OVERFLOW_BATCH = 1
_TIMED_RUNS = 5


@dataclass(frozen=True)
class Allowed:
    """Largest differences: `heads` and `layer` as parts of the largest value, `losses` of each.

    scores, pixels: of a decode's rows, on the output grid. detections, detection_pixels: of those
    of a whole network.
    """

    heads: float
    layer: float
    losses: float
    scores: float
    pixels: float
    detections: float
    detection_pixels: float


# float32 in whatever order kernels add. Two forms of deformable convolution leave the losses 9e-4
# apart at the 20th step, which is as far as samples move over whole pixels.
FLOAT32 = Allowed(
    heads=1e-4,
    layer=1e-4,
    losses=5e-3,
    scores=1e-6,
    pixels=1e-4,
    detections=1e-4,
    detection_pixels=1e-3,
)
# Ascend 910A, 310 and 310P multiply in float16, which rounds to 2^-11, the others in HF32, 2^-12;
# TopK is float16 on 910A and 310. With convolutions, matrix products, max-pooling and TopK of
# these very networks rounded to float16 on a CPU the differences were 1.4e-3, 7e-4, 4e-2, 2.5e-4,
# 1.4e-5, 3e-4 and 1.2e-3.
HALF = Allowed(
    heads=5e-3,
    layer=3e-3,
    losses=0.1,
    scores=1e-3,
    pixels=1e-3,
    detections=2e-3,
    detection_pixels=2e-2,
)


def allowed(chip: Chip) -> Allowed:
    return FLOAT32 if chip.target == "CPU" else HALF


def check_heads(name: str, network: nn.Cell, expected: list[list[float]], chip: Chip) -> Row:
    """The heads of a network on `seeded.image`, beside samples of them."""
    heads = seeded.run(network, seeded.image())
    difference = max(
        relative_difference(sample(head), values)
        for head, values in zip(heads, expected, strict=True)
    )
    return row(chip, name, difference, allowed(chip).heads, remark="of the largest value")


def check_decode(name: str, decode: Decode, chip: Chip) -> Row:
    """Peaks and boxes of a decode of MAP_ROWS rows, beside NumPy's."""
    heads = seeded.planted_heads(MAP_CLASSES, MAP_SIDE, MAP_ROWS)
    (found,) = seeded.run(decode, *heads)
    limits = allowed(chip)
    difference = boxes_difference(found[0], seeded.decode(*heads, MAP_ROWS), limits.scores)
    return row(chip, name, difference, limits.pixels, " px", f"scores to {limits.scores:.0e}")


def check_training(name: str, step: TrainStep, expected: list[float], chip: Chip) -> Row:
    """The losses of the first steps."""
    losses, start = [], 0.0
    for number in range(len(expected)):
        if number == 1:  # the first one compiles
            start = time.perf_counter()
        losses.append(float(step(*seeded.training_batch(number))[0].asnumpy()[0]))
    milliseconds = (time.perf_counter() - start) / max(len(expected) - 1, 1) * 1e3
    difference = np.max(np.abs(np.divide(losses, expected) - 1))
    remark = f"of the loss; {milliseconds:.1f} ms a step"
    return row(chip, name, float(difference), allowed(chip).losses, remark=remark)


def check_overflow(name: str, step: TrainStep, chip: Chip) -> Row:
    """An overflowing step changes no weight and halves the scale, and the next one trains again."""
    weights = step.optimizer.parameters
    step.scale.set_data(Tensor(_OVERFLOWING_SCALE, ms.float32))
    before = [weight.asnumpy().copy() for weight in weights]
    is_skipped = bool(step(*seeded.training_batch(_OVERFLOW_BATCH))[-2].asnumpy())
    scale = float(step.scale.asnumpy())
    kept = all((weight.asnumpy() == old).all() for weight, old in zip(weights, before, strict=True))
    step.scale.set_data(Tensor(seeded.LOSS_SCALE, ms.float32))
    trains = not bool(step(*seeded.training_batch(_OVERFLOW_BATCH))[-2].asnumpy())
    wrong = [
        text
        for text, is_right in (
            ("it was not told", is_skipped),
            ("weights changed", kept),
            (f"the scale became {scale:g}", scale == _OVERFLOWING_SCALE / 2),
            ("the next step was left out too", trains),
        )
        if not is_right
    ]
    if chip.is_simulated:
        return Row(name, NOT_COMPARED, remark=SIMULATED)
    kind = "it saturates, and tells by a flag" if saturates_on_overflow() else "INF and NAN"
    return Row(name, FAILED if wrong else PASSED, remark="; ".join(wrong) or kind)


def check_deformable(
    name: str, layer: DeformableConv, expected: list[list[float]], is_default: bool, chip: Chip
) -> Row:
    """Output and gradients of a layer, beside those of a CPU, and its times.

    A form that is not the device's own may be absent there: that is told, and no failure.
    """
    values = Tensor(seeded.normal(2, seeded.LAYER_CHANNELS, seeded.LAYER_SIDE, seeded.LAYER_SIDE))
    try:
        gradients = seeded.layer_gradients(layer)
        found = layer_values(layer)
        forward_ms = _median_ms(lambda: layer(values).asnumpy())
        gradients_ms = _median_ms(lambda: gradients(values)[0].asnumpy())
    except Exception as error:
        if is_default:
            raise
        message = str(error).strip().split("\n")[0]
        return Row(name, NOT_COMPARED, remark=f"is not there: {message[:300]}")
    difference = max(map(relative_difference, found, expected))
    remark = f"{forward_ms:.1f} ms, {gradients_ms:.1f} ms with gradients"
    remark += "; the device's own" if is_default else ""
    return row(chip, name, difference, allowed(chip).layer, remark=remark)


def check_memory(name: str, chip: Chip) -> Row:
    """The peak of what was run until now, and the device's memory."""
    if chip.target == "CPU":
        return Row(name, NOT_COMPARED, remark="a CPU's is the host's")
    mega = 2**20
    peak = f"peak {ms.runtime.max_memory_allocated() // mega} MiB"
    if chip.is_simulated:
        return Row(name, NOT_COMPARED, peak, remark="simulated: without what CANN's kernels take")
    properties = ms.hal.get_device_properties(chip.device_id)
    total, free = properties.total_memory // mega, properties.free_memory // mega
    return Row(name, PASSED, peak, remark=f"{total} MiB on the card, {free} free")


def check_export(name: str, detector: WithDecode, folder: Path, chip: Chip) -> Row:
    """A MINDIR of a detector, loaded back; export.py allows as much."""
    limit = 1e-3 if chip.target == "CPU" else 1.0
    shape = seeded.image().shape
    difference = write_mindir(
        detector, shape, "float32", folder / "check.mindir", version=0, tolerance=limit
    )
    return row(chip, name, difference, limit, " px", "loaded back")


def check_application(
    name: str,
    detector: WithDecode,
    expected: list[list[float]],
    folder: Path,
    device: tuple[str, int],
    limits: Allowed,
) -> Row:
    """The detections of the C++ application from a MINDIR of the detector.

    It is written in this MindSpore's version and in version 1: which of them MindSpore Lite reads
    depends on its version.
    """
    if not APPLICATION.exists():
        return Row(name, NOT_COMPARED, remark="run ascend310_infer/build.sh first")
    inputs, results = folder / "inputs", folder / "results"
    inputs.mkdir()
    seeded.image().tofile(inputs / "image.bin")
    target, device_id = device
    for version in (0, 1):
        mindir = folder / f"application_{version}.mindir"
        write_mindir(
            detector, seeded.image().shape, "float32", mindir, version=version, tolerance=1.0
        )
        done = subprocess.run(
            [
                *(str(APPLICATION), "--mindir_path", str(mindir), "--input_path", str(inputs)),
                *("--result_path", str(results), "--time_path", str(folder)),
                *("--device_target", target, "--device_id", str(device_id)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            break
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    found = np.fromfile(results / "image_0.bin", np.float32).reshape(DETECTOR_ROWS, 6)
    times = json.loads((folder / "times.json").read_text())
    chip = Chip(target, "", is_simulated=False, device_id=device_id)
    difference = boxes_difference(found, np.array(expected), limits.detections)
    remark = f"MINDIR version {version or 3}, loaded in {times['load_ms'] / 1e3:.1f} s"
    return row(chip, name, difference, limits.detection_pixels, " px", remark)


def detector(form: str) -> WithDecode:
    """The seeded network with its decode."""
    config = seeded.quickstart_config()
    evaluation = config.eval_config.model_copy(update={"K": DETECTOR_ROWS})
    config = config.model_copy(update={"eval_config": evaluation})
    return with_decode(seeded.network(form), config, None)


def layer_values(layer: DeformableConv) -> list[np.ndarray]:
    """Samples of a layer's output, of the gradient of its input and of those of its parameters."""
    values = seeded.normal(2, seeded.LAYER_CHANNELS, seeded.LAYER_SIDE, seeded.LAYER_SIDE)
    (output,) = seeded.run(layer, values)
    of_input, of_parameters = seeded.layer_gradients(layer)(Tensor(values))
    gradients = [gradient.asnumpy() for gradient in (of_input, *of_parameters)]
    return [sample(value) for value in (output, *gradients)]


def expected_values() -> dict:
    """What a CPU gives, as expected.json holds it."""
    step = seeded.training_step("gather")
    losses = [
        float(step(*seeded.training_batch(number))[0].asnumpy()[0])
        for number in range(seeded.TRAINING_STEPS)
    ]
    (detections,) = seeded.run(detector("gather"), seeded.image())
    heads = {
        kind: [sample(head).tolist() for head in seeded.run(network, seeded.image())]
        for kind, network in (
            ("plain", seeded.network("none")),
            ("deformable", seeded.network("gather")),
        )
    }
    layer = [values.tolist() for values in layer_values(seeded.deformable_layer("gather"))]
    return {
        "heads": heads,
        "losses": losses,
        "layer": layer,
        "detections": detections[0].tolist(),
    }


def all_checks(
    chip: Chip, form: str, folder: Path, expected: dict
) -> list[tuple[str, Callable[[], Row]]]:
    """Name and check, in order, of what MindSpore computes.

    Args:
        form: of the device's deformable convolutions.
        folder: for what is exported.
        expected: of expected.json.
    """
    step = seeded.training_step(form)
    rows = MAP_ROWS
    checks: list[tuple[str, Callable[[str], Row]]] = [
        (
            "heads, plain",
            lambda name: check_heads(
                name, seeded.network("none"), expected["heads"]["plain"], chip
            ),
        ),
        (
            f"heads, deformable ({form})",
            lambda name: check_heads(
                name, seeded.network(form), expected["heads"]["deformable"], chip
            ),
        ),
        (
            f"decode, {MAP_CLASSES}x{MAP_SIDE}x{MAP_SIDE}",
            lambda name: check_decode(name, Decode(ResNetConfig(), MAP_CLASSES, rows), chip),
        ),
        (
            f"training, {seeded.TRAINING_STEPS} steps",
            lambda name: check_training(name, step, expected["losses"], chip),
        ),
        ("overflow", lambda name: check_overflow(name, step, chip)),
        *(
            (
                f"deformable layer, {kind}",
                lambda name, kind=kind: check_deformable(
                    name, seeded.deformable_layer(kind), expected["layer"], kind == form, chip
                ),
            )
            for kind in FORMS
        ),
        ("memory", lambda name: check_memory(name, chip)),
        ("export", lambda name: check_export(name, detector("gather"), folder, chip)),
    ]
    return [(name, lambda name=name, check=check: check(name)) for name, check in checks]


def sample(values: np.ndarray, count: int = 60) -> np.ndarray:
    """At most `count` values, evenly spread over the flattened array."""
    flat = values.ravel()
    return flat[np.linspace(0, len(flat) - 1, min(count, len(flat))).astype(int)]


def relative_difference(found: np.ndarray, expected: list[float]) -> float:
    """The largest difference as a part of the largest expected value."""
    expected = np.asarray(expected)
    difference = np.max(np.abs(found - expected)) / np.max(np.abs(expected))
    return float(difference) if np.isfinite(difference) else math.inf


def boxes_difference(found: np.ndarray, expected: np.ndarray, score_difference: float) -> float:
    """By how much corners (n,6) differ, in pixels; infinite if a row has no counterpart.

    The counterpart has the same class and a score that differs by no more than `score_difference`.
    The last rows, whose scores are as close to each other, may be others.
    """
    least = max(found[-1, 4], expected[-1, 4]) + 2 * score_difference
    largest = 0.0
    for ours, theirs in ((found, expected), (expected, found)):
        for box in ours[ours[:, 4] > least]:
            same = theirs[:, 5] == box[5]
            same &= np.abs(theirs[:, 4] - box[4]) <= score_difference
            distances = np.abs(theirs[same, :4] - box[:4]).max(axis=1)
            largest = max(largest, float(distances.min(initial=math.inf)))
    return largest if np.isfinite(found).all() else math.inf


def _median_ms(function: Callable[[], object]) -> float:
    times = []
    for _ in range(_TIMED_RUNS + 1):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:])) * 1e3  # the first one compiles
