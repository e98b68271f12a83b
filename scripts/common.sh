# shellcheck shell=bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# What the scripts share; sourced, not run. Reads FOREGROUND, DEVICE_TARGET, CONFIG_PATH, PYTHON.
# shellcheck disable=SC2034  # the scripts read what is set here

project_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The interpreter: $PYTHON, else the one that quickstart.sh made, else python3.
if [[ -n "${PYTHON:-}" ]]; then
    python=$PYTHON
elif [[ -x "$project_dir/.venv/bin/python" ]]; then
    python=$project_dir/.venv/bin/python
else
    python=python3
fi

# config_options: options that every program takes, from the environment.
config_options=()
if [[ -n "${CONFIG_PATH:-}" ]]; then
    config_options+=(--config_path "$(realpath -m "$CONFIG_PATH")")
fi
# The 330 epochs of ResNet-101 on COCO; a config brings its own recipe.
recipe=()
if [[ -z "${CONFIG_PATH:-}" ]]; then
    recipe=(--epoch_size 330 --data_sink_steps -1 --save_checkpoint_steps 3664 --save_checkpoint_num 5)
fi
device_options=("${config_options[@]}" --device_target "${DEVICE_TARGET:-Ascend}")

fail() {
    echo "error: $*" >&2
    exit 2
}

# split_arguments ARGUMENT...: positional ones to `positional`, those from the first --option on to
# `extra_options`, which the program gets as they are.
split_arguments() {
    positional=()
    while [[ $# -gt 0 && "$1" != --* ]]; do
        positional+=("$1")
        shift
    done
    extra_options=("$@")
}

# run_logged LOG COMMAND...: in the background, or with FOREGROUND=1 in the foreground with the
# command's exit code.
run_logged() {
    local log=$1
    shift
    if [[ "${FOREGROUND:-0}" == 1 ]]; then
        local code=0
        "$@" 2>&1 | tee "$log" || code=$? # the command's, by pipefail
        if [[ $code -ne 0 ]]; then
            echo "failed with exit code $code; log: $log" >&2
        fi
        return "$code"
    fi
    nohup "$@" > "$log" 2>&1 < /dev/null &
    echo "log: $PWD/$log"
    echo "process: $!"
}
