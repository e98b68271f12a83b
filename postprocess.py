# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Computes AP from what ascend310_infer wrote.

python postprocess.py --result_path DIR --label_path FILE --meta_path DIR --save_path DIR
"""

from pathlib import Path

from src.data.coco import BadRecords, read_annotation_file
from src.deploy.bin_files import Meta, read_meta
from src.evaluation import app_results
from src.evaluation.coco_results import import_backend, score
from src.model_utils.config import load_config
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import write_json
from src.model_utils.messages import say
from src.model_utils.parameters import Config
from src.model_utils.workers import worker_count


def main() -> None:
    config = load_config("Compute AP from the results of ascend310_infer.")
    has_results = bool(config.result_path) != bool(config.result_json)
    if not (has_results and config.meta_path and (config.label_path or config.val_data_dir)):
        raise UserError(
            "command line: give one of --result_path and --result_json, --meta_path, and "
            "--label_path (or --val_data_dir)."
        )
    backend = config.eval_config.coco_backend
    import_backend(backend)  # absent: said before the work
    annotation = config.dataset_config.val_annotation
    label_path = Path(config.label_path or f"{config.val_data_dir}/{annotation}")
    meta, save_path = read_meta(Path(config.meta_path)), Path(config.save_path)
    check_task(config, meta)
    content = read_annotation_file(label_path)
    names = app_results.class_names(meta, content, label_path)

    bad_records = BadRecords(config.on_bad_record)
    if config.result_json:
        found, image_ids = app_results.of_result_file(Path(config.result_json), meta, bad_records)
    else:
        workers = worker_count(config.dataset_config.num_workers)
        found, image_ids = app_results.of_bin_files(
            Path(config.result_path), meta, bad_records, workers
        )
    bad_records.report()
    if not image_ids:
        raise UserError(f"{config.result_path or config.result_json}: has no result of any image.")
    write_json(save_path / "results_310.json", found)
    task, val_keypoints = meta.task_facts, config.dataset_config.val_keypoints
    is_merged = task.metric == "keypoints" and val_keypoints
    scores = score(
        *(label_path, found, image_ids, names, backend),
        boxes=meta.kept,
        other_classes="leave_out",  # which preprocess.py has done or refused
        task=task,
        has_points=meta.has_points,
        keypoints_path=Path(config.val_data_dir) / val_keypoints if is_merged else None,
    )
    counts = {"images": len(image_ids), "failed": bad_records.count}
    write_json(save_path / "eval_310.json", {**counts, "numbers": scores.numbers})
    if bad_records.count:
        say(f"images left out, as they have no result: {bad_records.count}")
    listed = len(content["images"])
    part = f" of {listed}" if len(image_ids) < listed else ""
    say(
        f"============= {len(image_ids)}{part} images, 310 infer result =============",
        *scores.table.splitlines(),
    )


def check_task(config: Config, meta: Meta) -> None:
    """Raises UserError if the configuration names another task, or other points, than the meta."""
    origin, points = config.origins.get("task"), config.task_facts.points
    if origin is None:
        return
    if (config.task, points) != (meta.task, meta.points):
        raise UserError(
            f"{config.meta_path}: is of task {meta.task} with {meta.points} points, but {origin} "
            f"says task {config.task}, which has {points}; run preprocess.py with the same "
            "configuration or leave it out here."
        )


if __name__ == "__main__":
    run_program(main)
