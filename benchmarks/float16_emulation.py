# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What the float16 of an Ascend chip costs a trained network, shown on a CPU.

python -m benchmarks.float16_emulation --load_checkpoint_path F.ckpt --data_dir DIR
    [--config_path FILE] [--json FILE] [--section.key VALUE ...]

910A, 310P and 310 compute some operators in float16 alone (benchmarks/ascend_types.py). Casts to
float16 and back are written around these (benchmarks/float16_rounding.py), in the graph of the
evaluation and in MINDIRs that export.py writes, and each is evaluated at fixed resolution and scale
1. That is CANN's precision mode allow_fp32_to_fp16, in MindSpore Lite preferred_fp32. For the
MINDIRs also enforce_fp16, the mode that Lite's converter chooses by itself: everything in float16.

Each row: how many operators that concerns; COCO's AP and AP50; of the boxes that float32 gives a
score from 0.3 up, how many come again (same class, IoU from 0.7 up, score within 0.02), and how far
off these are at most, in score and in pixels of a corner. In the json, ap_CHIP and
ap_enforce_fp16 are the lowest AP of all graphs.
"""

import argparse
import contextlib
import io
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.ascend_types import float16_operators
from src.model_utils.config import load_config
from src.model_utils.device_adapter import set_up_device
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import make_writable, write_json
from src.model_utils.parameters import Config

if TYPE_CHECKING:
    from mindspore.train.mind_ir_pb2 import ModelProto

FLOAT32, ENFORCE = "float32", "enforce_fp16"
CHIPS = ("910A", "310P", "310")
SCORE, IOU, SCORE_DIFFERENCE = 0.3, 0.7, 0.02

Boxes = dict[int, np.ndarray]  # image id -> float32 (n,6) x1 y1 x2 y2 score class


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], add_help=False)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options, others = parser.parse_known_args(arguments)
    config = load_config(
        __doc__,
        [
            *("--device_target", "CPU", *others),
            *("--eval_config.keep_res", "false", "--eval_config.multi_scales", "[1.0]"),
        ],
    )
    if not config.load_checkpoint_path or not config.data_dir:
        raise UserError("command line: give --load_checkpoint_path and --data_dir.")
    if options.json:
        make_writable(options.json.parent)  # before the minutes of work
    set_up_device(config)
    rows = []
    print(
        f"{'graph':16}{'in float16 as':>16}{'operators':>11}{'AP':>8}{'AP50':>8}"
        "   found again, differing by (score, pixels)"
    )
    for name, graph in graphs(config).items():
        modes = [FLOAT32, *CHIPS] if name == "evaluation" else [FLOAT32, *CHIPS, ENFORCE]
        reference = None
        for mode in modes:
            count, numbers, boxes = evaluate(config, graph, operators_of(mode))
            reference = reference or boxes
            row = {"graph": name, "float16": mode, "operators": count, "ap": numbers["AP"]}
            row |= {"ap50": numbers["AP50"], **compare(reference, boxes)}
            print(
                f"{name:16}{mode:>16}{count:>11}{row['ap']:>8.3f}{row['ap50']:>8.3f}   "
                f"{row['found']} of {row['boxes']}, {row['score_difference']:.4f}, "
                f"{row['pixel_difference']:.2f}",
                flush=True,
            )
            rows.append(row)
    if options.json:
        lowest = {
            f"ap_{mode.lower()}": min(row["ap"] for row in rows if row["float16"] == mode)
            for mode in (FLOAT32, *CHIPS, ENFORCE)
        }
        write_json(options.json, {**lowest, "rows": rows})


def operators_of(mode: str) -> Collection[str] | None:
    """The operators that are rounded: for a chip, for float32 none, or (None) all."""
    if mode == ENFORCE:
        return None
    return () if mode == FLOAT32 else float16_operators(mode)


def graphs(config: Config) -> dict[str, "ModelProto"]:
    """The MINDIRs of the configured model: of the evaluation, and as export.py writes them."""
    import mindspore as ms

    import export
    from benchmarks.float16_rounding import exported, read
    from src.data.augment import colour_statistics, normalisation
    from src.models.network import create_network, with_decode
    from src.weights.load import configured, load, read_weights

    weights = read_weights(Path(config.load_checkpoint_path))
    config = configured(config, weights)
    dataset, evaluation = config.dataset_config, config.eval_config
    # These chips evaluate deformable convolutions by gathers, unless the configuration says else.
    form = "gather" if config.net_config.deformable == "auto" else ""
    network = create_network(config, form)
    load(network, weights)
    colour = normalisation(colour_statistics(dataset))
    model = with_decode(network, config, colour, evaluation.flip_test)
    shape = (evaluation.batch_size, 3, *dataset.input_res_test)
    found = {"evaluation": exported(model, ms.Tensor(np.zeros(shape, np.uint8)))}
    for dtype in ("float32", "uint8"):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            path = Path(folder) / "model.mindir"
            changed = {"export_load_ckpt": config.load_checkpoint_path, "export_name": str(path)}
            options = config.export_config.model_copy(update={"input_dtype": dtype})
            export.export(config.model_copy(update={**changed, "export_config": options}))
            found[f"MINDIR {dtype}"] = read(path)
    return found


def evaluate(
    config: Config, graph: "ModelProto", operators: Collection[str] | None
) -> tuple[int, dict[str, float], Boxes]:
    """Evaluates a MINDIR with some operators rounded.

    Args:
        config: data_dir and the sections are read.
        graph: a MINDIR that takes uint8 or normalised images.
        operators: as `round_operators` takes them.

    Returns:
        How many operators that were, COCO's numbers, and the boxes in image pixels.

    Raises:
        UserError: as `read_evaluation_set`; an image cannot be read.
    """
    from mindspore.train.mind_ir_pb2 import ModelProto

    from benchmarks.float16_rounding import round_operators
    from src.data.augment import colour_statistics, normalisation
    from src.deploy.mindir_reader import load_mindir
    from src.evaluation.coco_results import score, to_results
    from src.evaluation.detector import detector_of
    from src.evaluation.evaluation_set import read_evaluation_set

    dataset, evaluation = config.dataset_config, config.eval_config
    data = read_evaluation_set(
        dataset, Path(config.data_dir), "val", evaluation.num_images, config.on_bad_record
    )
    content = ModelProto()
    content.CopyFrom(graph)
    count = round_operators(content, operators)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rounded.mindir"
        path.write_bytes(content.SerializeToString())
        colour = normalisation(colour_statistics(dataset))
        model, batch_size = load_mindir(path, tuple(dataset.input_res_test), colour)
    detector = detector_of(config, model, keep_res=False, batch_size=batch_size)
    results, found = [], {}
    images = [record.path for record in data.records]
    for record, boxes in zip(data.records, detector.detect(images), strict=True):
        if isinstance(boxes, UserError):
            raise boxes
        found[record.image_id] = boxes
        results += to_results(record.image_id, boxes, data.category_ids)
    scores = score(
        data.annotation_path, results, list(found), dataset.coco_classes, evaluation.coco_backend
    )
    return count, scores.numbers, found


def compare(reference: Boxes, found: Boxes) -> dict[str, Any]:
    """How many of the reference's boxes come again, and how far off they are at most."""
    from src.evaluation.matching import match

    total, scores, corners = 0, [0.0], [0.0]
    for image_id, boxes in reference.items():
        expected = boxes[boxes[:, 4] >= SCORE]
        total += len(expected)
        rows = match(expected[:, [0, 1, 2, 3, 5]], found[image_id], IOU)
        pairs = found[image_id][rows >= 0], expected[rows[rows >= 0]]
        difference = np.abs(pairs[0] - pairs[1])
        difference = difference[difference[:, 4] <= SCORE_DIFFERENCE]
        scores += difference[:, 4].tolist()
        corners += difference[:, :4].max(axis=1).tolist()
    return {
        "boxes": total,
        "found": len(scores) - 1,
        "score_difference": max(scores),
        "pixel_difference": max(corners),
    }


if __name__ == "__main__":
    run_program(main)
