#!/usr/bin/env bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
set -eo pipefail # not -u: bash before 4.4 takes an empty array for unset
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

split_arguments "$@"
if [[ ${#positional[@]} -ne 2 ]]; then
    echo "usage: bash convert_dataset_to_mindrecord.sh COCO_DATASET_DIR MINDRECORD_DATASET_DIR [--OPTION VALUE ...]"
    echo "example: bash scripts/convert_dataset_to_mindrecord.sh /path/coco /path/mindrecord"
    exit 2
fi
run_logged create_dataset.log "$python" "$project_dir/src/dataset.py" "${config_options[@]}" \
    --coco_data_dir "${positional[0]}" --mindrecord_dir "${positional[1]}" "${extra_options[@]}"
