# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Evaluates a model: python eval.py --load_checkpoint_path F.ckpt --data_dir DIR."""

import time
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any

from src.model_utils import local_adapter, moxing_adapter
from src.model_utils.config import load_config
from src.model_utils.device_adapter import Device, set_up_device
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import make_writable, sha256, write_json
from src.model_utils.messages import say
from src.model_utils.parameters import Config

MANY_IMAGES = 300  # each takes about 0.1 s less; an export takes some 10 s


def main() -> None:
    config = load_config("Evaluate a CenterNet model on a data set in COCO layout.")
    with moxing_adapter.job(
        config,
        outputs=["save_result_dir"],
        data="data_dir",
        checkpoint=(*config.models, "load_checkpoint_path")[0],
    ) as config:
        evaluate(config)


def evaluate(config: Config) -> None:
    if not config.data_dir or len(config.models) != 1:
        raise UserError(
            "command line: give --data_dir and one of --load_checkpoint_path, --load_mindir_path "
            "and --load_onnx_path."
        )
    # By ONNX what several processes tell each other is all that needs MindSpore.
    is_alone = config.load_onnx_path and local_adapter.process_count() == 1
    device = Device("", 0, 1) if is_alone else set_up_device(config, may_distribute=True)

    # Here and not above: --help needs no MindSpore, and set_up_device has to come before it. What
    # imports NumPy, which starts threads, comes after run_program has seen to SIGINT.
    from src.evaluation.coco_results import class_table
    from src.evaluation.evaluation_set import annotation_path
    from src.evaluation.models import load_detector
    from src.evaluation.run import Evaluation
    from src.model_utils.ranks import check_alike

    (model,) = config.models
    model_path = Path(getattr(config, model))
    data = annotation_path(config.dataset_config, Path(config.data_dir), config.run_mode)
    config, detector = load_detector(config, model, data)
    digest = sha256(model_path)  # now: a training may remove the file meanwhile
    check_alike(str(model_path), digest.encode(), device.rank_size)
    place = {"rank": device.rank, "rank_size": device.rank_size}
    evaluation = Evaluation(config, detector, config.run_mode, **place)
    if model == "load_checkpoint_path" and (device.target, device.rank) == ("CPU", 0):
        note_onnx(config, len(evaluation.set.records))
    result_dir = Path(config.save_result_dir)
    make_writable(result_dir)  # before the work, not after it

    start = time.monotonic()
    results = evaluation.detect(result_dir / "pictures" if config.visual_image else None)
    if device.rank > 0:
        say("this process's share of the images is done; the log of rank 0 has the results")
        return
    seconds = {"detection": time.monotonic() - start}
    write_results(config, results, len(evaluation.detected), result_dir)
    lacking = evaluation.set.category_ids.count(None)
    if lacking:
        say(f"boxes of {lacking} class(es) that the data set lacks are left out")

    scores = None
    if config.run_mode == "val" and config.enable_eval:
        start = time.monotonic()
        scores = evaluation.score(results)
        seconds["scoring"] = time.monotonic() - start
        scored, listed = len(evaluation.detected), evaluation.set.listed
        part = f", {scored} of its {listed} images" if scored < listed else ""
        say(f"overall performance on {evaluation.set.annotation_path}{part}")
        say(*scores.table.splitlines(), "by class", *class_table(scores.classes))
        if not any(found.objects for found in scores.classes.values()):
            say("these images hold no object: there is nothing to find, and every number is -1")
        if config.visual_image:
            evaluation.write_report(result_dir / "report.html", scores)
            say(f"report: {result_dir / 'report.html'}")

    numbers = {
        "images": len(evaluation.detected),
        "unreadable": evaluation.set.left_out
        + len(evaluation.set.records)
        - len(evaluation.detected),
        "boxes": len(results),
        "numbers": scores and scores.numbers,
        "classes": scores and {name: asdict(found) for name, found in scores.classes.items()},
        "seconds": seconds,
        "checkpoint": {"path": str(model_path.absolute()), "sha256": digest},
        "config": config.model_dump(),
    }
    write_json(result_dir / "eval.json", numbers)
    say(f"numbers, model and configuration: {result_dir / 'eval.json'}")


def note_onnx(config: Config, images: int) -> None:
    """Says how many images are evaluated sooner on a CPU, if an exported model can do it."""
    options = config.eval_config
    if options.keep_res or options.multi_scales != [1.0] or options.flip_test:
        return
    if images >= MANY_IMAGES:
        say(
            f"note: on a CPU ONNX Runtime evaluates {images} images sooner: python export.py "
            f"--export_format ONNX --export_load_ckpt {quote(config.load_checkpoint_path)}, then "
            "eval.py with --load_onnx_path centernet.onnx instead of --load_checkpoint_path"
        )


def write_results(
    config: Config, results: list[dict[str, Any]], images: int, result_dir: Path
) -> None:
    """Writes the entries of a COCO result file, for run_mode test also as COCO's server asks."""
    result_path = result_dir / f"results_{config.run_mode}.json"
    write_json(result_path, results)
    say(f"{len(results)} boxes of {images} images written to {result_path}")
    if config.visual_image:
        say(f"pictures: {result_dir / 'pictures'}")
    if config.run_mode == "test":
        from src.evaluation.coco_results import upload_name

        upload_path = result_dir / upload_name(config.dataset_config.test_annotation)
        write_json(upload_path, results)
        say(
            f"to upload: zip {upload_path}, the json at the top of a zip of the same name; "
            "https://cocodataset.org/#upload says where (CodaLab takes no more submissions)"
        )


if __name__ == "__main__":
    run_program(main)
