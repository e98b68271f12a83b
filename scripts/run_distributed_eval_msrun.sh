#!/usr/bin/env bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# Evaluates on devices of one or many nodes by msrun, without a rank table; they share the images.
# Run on each node. Logs are in LOG_msrun_eval/ of the current folder.
set -eo pipefail # not -u: bash before 4.4 takes an empty array for unset
source "$(dirname "${BASH_SOURCE[0]}")/distributed.sh"

split_arguments "$@"
if [[ ${#positional[@]} -ne 4 || ! "${positional[0]}" =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: bash run_distributed_eval_msrun.sh DEVICE_NUM RUN_MODE(val|test) DATA_DIR LOAD_CHECKPOINT_PATH [--node_num N --node_rank RANK --master_addr IP] [--master_port PORT] [--worker_num N] [--dry-run] [--OPTION VALUE ...]"
    echo "example: bash scripts/run_distributed_eval_msrun.sh 8 val /path/coco /path/centernet.ckpt"
    exit 2
fi
evaluation_options "${positional[@]:1}"
start_by_msrun eval.py "$PWD/LOG_msrun_eval" "${positional[0]}" "${evaluation[@]}"
