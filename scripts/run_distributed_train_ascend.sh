#!/usr/bin/env bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# Trains on the devices of a rank table; run on each of its servers. launcher.log says what becomes
# of the processes.
set -eo pipefail # not -u: bash before 4.4 takes an empty array for unset
source "$(dirname "${BASH_SOURCE[0]}")/distributed.sh"

split_arguments "$@"
if [[ ${#positional[@]} -lt 2 || ${#positional[@]} -gt 3 ]]; then
    echo "usage: bash run_distributed_train_ascend.sh MINDRECORD_DATASET_PATH RANK_TABLE_FILE [LOAD_CHECKPOINT_PATH] [--server_id ID] [--dry-run] [--OPTION VALUE ...]"
    echo "example: bash scripts/run_distributed_train_ascend.sh /path/mindrecord /path/hccl.json"
    echo "Other parameters of the training: scripts/ascend_distributed_launcher/hyper_parameter_config.ini"
    exit 2
fi
load_options=()
if [[ -n "${positional[2]:-}" ]]; then
    load_options=(--load_checkpoint_path "$(realpath -m "${positional[2]}")")
fi
ini=$project_dir/scripts/ascend_distributed_launcher/hyper_parameter_config.ini
start_by_rank_table train.py "${positional[1]}" "${HYPER_PARAMETER_CONFIG:-$ini}" \
    "${recipe[@]}" --mindrecord_dir "$(realpath -m "${positional[0]}")" "${load_options[@]}"
