#!/usr/bin/env bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
set -eo pipefail # not -u: bash before 4.4 takes an empty array for unset
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

split_arguments "$@"
if [[ ${#positional[@]} -ne 4 ]]; then
    echo "usage: bash run_standalone_eval_ascend.sh DEVICE_ID RUN_MODE(val|test) DATA_DIR LOAD_CHECKPOINT_PATH [--OPTION VALUE ...]"
    echo "example: bash scripts/run_standalone_eval_ascend.sh 0 val /path/coco /path/centernet.ckpt"
    exit 2
fi
run_logged eval_log.txt "$python" "$project_dir/eval.py" "${device_options[@]}" \
    --device_id "${positional[0]}" --run_mode "${positional[1]}" --data_dir "${positional[2]}" \
    --load_checkpoint_path "${positional[3]}" "${extra_options[@]}"
