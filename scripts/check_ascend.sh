#!/usr/bin/env bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# Checks what a device computes against values of a CPU, and writes ascend_report.md in the current
# folder. Needs no data. Always in the foreground; ends with 1 if a check failed.
set -eo pipefail # not -u: bash before 4.4 takes an empty array for unset
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

split_arguments "$@"
if [[ ${#positional[@]} -gt 1 || ! "${positional[0]:-0}" =~ ^[0-9]+$ ]]; then
    echo "usage: bash check_ascend.sh [DEVICE_ID] [--output FILE]"
    echo "environment: DEVICE_TARGET=Ascend|CPU"
    echo "example: bash scripts/check_ascend.sh 0"
    exit 2
fi
command=("$python" -m benchmarks.check_ascend --device_target "${DEVICE_TARGET:-Ascend}"
    --device_id "${positional[0]:-0}" "${extra_options[@]}")
if [[ -n "$dry_run" ]]; then
    print_command env PYTHONPATH="$project_dir" "${command[@]}"
else
    PYTHONPATH=$project_dir${PYTHONPATH:+:$PYTHONPATH} "${command[@]}"
fi
