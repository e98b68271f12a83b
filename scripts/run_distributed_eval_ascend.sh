#!/usr/bin/env bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# Evaluates on the devices of a rank table, which share the images; run on each of its servers.
# eval_launcher.log says what becomes of the processes.
set -eo pipefail # not -u: bash before 4.4 takes an empty array for unset
source "$(dirname "${BASH_SOURCE[0]}")/distributed.sh"

split_arguments "$@"
if [[ ${#positional[@]} -ne 4 ]]; then
    echo "usage: bash run_distributed_eval_ascend.sh RANK_TABLE_FILE RUN_MODE(val|test) DATA_DIR LOAD_CHECKPOINT_PATH [--server_id ID] [--dry-run] [--OPTION VALUE ...]"
    echo "example: bash scripts/run_distributed_eval_ascend.sh /path/hccl.json val /path/coco /path/centernet.ckpt"
    exit 2
fi
evaluation_options "${positional[@]:1}"
start_by_rank_table eval.py "${positional[0]}" "" --distribute true "${evaluation[@]}"
