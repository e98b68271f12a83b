# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Computes AP from ascend310_infer's result files.

python postprocess.py --result_path DIR --label_path FILE --meta_path DIR --save_path DIR
"""

from pathlib import Path

import numpy as np

from src.data.coco import class_of_category, read_annotation_file
from src.deploy import bin_files
from src.evaluation.coco_results import category_ids, import_backend, score, to_results
from src.evaluation.postprocess import PostProcessing
from src.model_utils.config import load_config
from src.model_utils.errors import UserError, run_program
from src.model_utils.files import write_json


def main() -> None:
    config = load_config("Compute AP from the result files of ascend310_infer.")
    if not (config.result_path and config.meta_path and (config.label_path or config.val_data_dir)):
        raise UserError(
            "command line: give --result_path, --meta_path and --label_path (or --val_data_dir)."
        )
    dataset, backend = config.dataset_config, config.eval_config.coco_backend
    import_backend(backend)  # absent: said before the work
    label_path = Path(config.label_path or f"{config.val_data_dir}/{dataset.val_annotation}")
    metas = bin_files.read_metas(Path(config.meta_path))
    categories = read_annotation_file(label_path)["categories"]
    mapping = class_of_category(categories, dataset.coco_classes, label_path)
    ids = category_ids(mapping, dataset.num_classes)
    k = config.eval_config.K
    post_process = PostProcessing(config.eval_config.SOFT_NMS, k, config.net_config.down_ratio)
    results = []
    for meta in metas:
        detections = bin_files.read_detections(Path(config.result_path), meta.name, k)
        boxes = post_process([detections], [np.array(meta.affine)])
        results += to_results(meta.image_id, boxes, ids)
    write_json(Path(config.save_path) / "results_310.json", results)
    image_ids = [meta.image_id for meta in metas]
    scores = score(label_path, results, image_ids, dataset.coco_classes, backend)
    print(f"============= {len(metas)} images, 310 infer result =============\n{scores.table}")


if __name__ == "__main__":
    run_program(main)
