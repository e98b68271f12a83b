#!/usr/bin/env bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# Trains on the devices of a rank table; run on each of its servers. Writes distributed_cmd.sh with
# a command for each device of this server, runs it, and watches the processes; launcher.log says what
# becomes of them.
set -eo pipefail # not -u: bash before 4.4 takes an empty array for unset
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

split_arguments "$@"
if [[ ${#positional[@]} -lt 2 || ${#positional[@]} -gt 3 ]]; then
    echo "usage: bash run_distributed_train_ascend.sh MINDRECORD_DATASET_PATH RANK_TABLE_FILE [LOAD_CHECKPOINT_PATH] [--server_id ID] [--dry-run] [--OPTION VALUE ...]"
    echo "example: bash scripts/run_distributed_train_ascend.sh /path/mindrecord /path/hccl.json"
    echo "Other parameters of the training: scripts/ascend_distributed_launcher/hyper_parameter_config.ini"
    exit 2
fi
take_option server_id "${SERVER_ID:-}"
load_options=()
if [[ -n "${positional[2]:-}" ]]; then
    load_options=(--load_checkpoint_path "$(realpath -m "${positional[2]}")")
fi
launcher=$project_dir/scripts/ascend_distributed_launcher
"$python" "$launcher/get_distribute_train_cmd.py" \
    --run_script "$project_dir/train.py" \
    --hyper_parameter_config "${HYPER_PARAMETER_CONFIG:-$launcher/hyper_parameter_config.ini}" \
    --hccl_config "${positional[1]}" \
    --server_id "$taken" \
    --device_target "${DEVICE_TARGET:-Ascend}" \
    --cmd_file distributed_cmd.sh \
    ${dry_run:+--dry_run} \
    -- "${config_options[@]}" "${recipe[@]}" --mindrecord_dir "$(realpath -m "${positional[0]}")" \
    "${load_options[@]}" "${extra_options[@]}"
[[ -z "$dry_run" ]] || exit 0
exec bash distributed_cmd.sh "${background[@]}"
