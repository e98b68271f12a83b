#!/usr/bin/env bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# Trains on devices of one or many nodes by msrun, without a rank table; run on each node. Everything
# is written to LOG_msrun/ of the current folder.
set -eo pipefail # not -u: bash before 4.4 takes an empty array for unset
source "$(dirname "${BASH_SOURCE[0]}")/distributed.sh"

split_arguments "$@"
if [[ ${#positional[@]} -lt 2 || ${#positional[@]} -gt 3 || ! "${positional[1]}" =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: bash run_distributed_train_msrun.sh MINDRECORD_DATASET_PATH DEVICE_NUM [LOAD_CHECKPOINT_PATH] [--node_num N --node_rank RANK --master_addr IP] [--master_port PORT] [--worker_num N] [--dry-run] [--OPTION VALUE ...]"
    echo "DEVICE_NUM is the number of devices of this node, worker_num that of all nodes."
    echo "example: bash scripts/run_distributed_train_msrun.sh /path/mindrecord 8"
    echo "example: bash scripts/run_distributed_train_msrun.sh /path/mindrecord 8 --node_num 2 --node_rank 0 --master_addr 10.0.0.1"
    exit 2
fi
load_options=()
if [[ -n "${positional[2]:-}" ]]; then
    load_options=(--load_checkpoint_path "$(realpath -m "${positional[2]}")")
fi
start_by_msrun train.py "$PWD/LOG_msrun" "${positional[1]}" "${recipe[@]}" \
    --mindrecord_dir "$(realpath -m "${positional[0]}")" "${load_options[@]}"
