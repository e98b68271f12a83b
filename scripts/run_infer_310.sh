#!/usr/bin/env bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# preprocess.py, ascend310_infer and postprocess.py, in the current folder: preprocess/,
# result_Files/, time_Result/, acc/ and a log of each step. Always in the foreground. --dry-run
# prints the commands.
set -eo pipefail # not -u: bash before 4.4 takes an empty array for unset
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

split_arguments "$@"
if [[ ${#positional[@]} -lt 3 || ${#positional[@]} -gt 4 || ! "${positional[2]}" =~ ^[yn]$ ]]; then
    echo "usage: bash run_infer_310.sh MINDIR_PATH DATASET_PATH PREPROCESS_IMAGES(y|n) [DEVICE_ID] [--OPTION VALUE ...]"
    echo "example: bash scripts/run_infer_310.sh centernet.mindir /path/coco y 0"
    exit 2
fi
mindir=${positional[0]} dataset=${positional[1]} preprocess_images=${positional[2]}
device_id=${positional[3]:-0}
[[ -f "$mindir" ]] || fail "$mindir: MINDIR not found; export.py writes it."

# step NAME LOG COMMAND...: stops the script with the last lines of the log if the command fails.
step() {
    local name=$1 log=$2 code=0
    shift 2
    if [[ -n "$dry_run" ]]; then
        echo "$(print_command "$@") > $log 2>&1"
        return
    fi
    "$@" > "$log" 2>&1 || code=$?
    if [[ $code -ne 0 ]]; then
        tail -n 5 "$log" >&2
        echo "$name failed with exit code $code; log: $PWD/$log" >&2
        exit "$code"
    fi
}

[[ -n "$dry_run" ]] || rm -f acc.log # of an earlier run
if [[ "$preprocess_images" == y ]]; then
    step preprocess.py preprocess.log "$python" "$project_dir/preprocess.py" "${config_options[@]}" \
        --val_data_dir "$dataset" --predict_dir preprocess "${extra_options[@]}"
fi
step build.sh build.log env PYTHON="$python" bash "$project_dir/ascend310_infer/build.sh"
[[ -n "$dry_run" ]] || rm -rf result_Files time_Result acc
step ascend310_infer infer.log "$project_dir/ascend310_infer/out/main" --mindir_path "$mindir" \
    --input_path preprocess/data --result_path result_Files --time_path time_Result \
    --device_target "${DEVICE_TARGET:-Ascend}" --device_id "$device_id"
step postprocess.py acc.log "$python" "$project_dir/postprocess.py" "${config_options[@]}" \
    --result_path result_Files --val_data_dir "$dataset" \
    --meta_path preprocess/meta --save_path acc "${extra_options[@]}"
[[ -n "$dry_run" ]] || cat acc.log
