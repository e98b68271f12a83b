# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Computes AP from what ascend310_infer wrote.

python postprocess.py --result_path DIR --label_path FILE --meta_path DIR --save_path DIR
"""

from pathlib import Path

from src.data.coco import BadRecords, class_of_category, read_annotation_file, with_classes
from src.deploy.bin_files import read_meta
from src.evaluation import app_results
from src.evaluation.coco_results import category_ids, import_backend, score
from src.model_utils.config import load_config
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import write_json
from src.model_utils.messages import say
from src.model_utils.workers import worker_count
from src.tasks import TASKS


def main() -> None:
    config = load_config("Compute AP from the results of ascend310_infer.")
    has_results = bool(config.result_path) != bool(config.result_json)
    if not (has_results and config.meta_path and (config.label_path or config.val_data_dir)):
        raise UserError(
            "command line: give one of --result_path and --result_json, --meta_path, and "
            "--label_path (or --val_data_dir)."
        )
    evaluation = config.eval_config
    import_backend(evaluation.coco_backend)  # absent: said before the work
    annotation = config.dataset_config.val_annotation
    label_path = Path(config.label_path or f"{config.val_data_dir}/{annotation}")
    config = with_classes(config, label_path)
    dataset = config.dataset_config
    meta_path, save_path = Path(config.meta_path), Path(config.save_path)
    meta = read_meta(meta_path)
    content = read_annotation_file(label_path)
    mapping = class_of_category(content, dataset.coco_classes, label_path, dataset.other_classes)
    app_results.check_settings(
        meta,
        meta_path,
        down_ratio=config.net_config.down_ratio,
        soft_nms=evaluation.SOFT_NMS,
        boxes=evaluation.K,
        category_ids=category_ids(mapping, dataset.num_classes),
    )

    bad_records = BadRecords(config.on_bad_record)
    if config.result_json:
        found, image_ids = app_results.of_result_file(Path(config.result_json), meta, bad_records)
    else:
        workers = worker_count(dataset.num_workers)
        found, image_ids = app_results.of_bin_files(
            Path(config.result_path), meta, bad_records, workers
        )
    bad_records.report()
    if not image_ids:
        raise UserError(f"{config.result_path or config.result_json}: has no result of any image.")
    write_json(save_path / "results_310.json", found)
    scores = score(
        *(label_path, found, image_ids, dataset.coco_classes, evaluation.coco_backend),
        boxes=evaluation.K,
        other_classes=dataset.other_classes,
        task=TASKS[config.task],
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


if __name__ == "__main__":
    run_program(main)
