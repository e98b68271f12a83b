#!/usr/bin/env bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
set -eo pipefail # not -u: bash before 4.4 takes an empty array for unset
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

split_arguments "$@"
if [[ ${#positional[@]} -lt 2 || ${#positional[@]} -gt 3 || ! "${positional[0]}" =~ ^[0-9]+$ ]]; then
    echo "usage: bash run_standalone_train_ascend.sh DEVICE_ID MINDRECORD_DATASET_PATH [LOAD_CHECKPOINT_PATH] [--dry-run] [--OPTION VALUE ...]"
    echo "example: bash scripts/run_standalone_train_ascend.sh 0 /path/mindrecord"
    exit 2
fi
load_options=()
if [[ -n "${positional[2]:-}" ]]; then
    load_options=(--load_checkpoint_path "${positional[2]}")
fi
run_logged training_log.txt "$python" "$project_dir/train.py" "${device_options[@]}" \
    --distribute false --device_id "${positional[0]}" --mindrecord_dir "${positional[1]}" \
    "${load_options[@]}" "${recipe[@]}" "${extra_options[@]}"
