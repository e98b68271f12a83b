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
# `extra_options`, which the program gets as they are. --dry-run, wherever it stands, sets
# `dry_run`.
split_arguments() {
    local argument
    positional=() extra_options=() dry_run=
    for argument in "$@"; do
        if [[ "$argument" == --dry-run ]]; then
            dry_run=1
        elif [[ "$argument" == --* || ${#extra_options[@]} -gt 0 ]]; then
            extra_options+=("$argument")
        else
            positional+=("$argument")
        fi
    done
}

# take_option NAME DEFAULT: takes --NAME VALUE or --NAME=VALUE, an option of the script itself, out
# of `extra_options`; its value, or DEFAULT, is in `taken`.
take_option() {
    local name=$1 rest=()
    taken=$2
    set -- "${extra_options[@]}"
    while [[ $# -gt 0 ]]; do
        case $1 in
            "--$name")
                [[ $# -gt 1 ]] || fail "--$name stands without its value."
                taken=$2
                shift
                ;;
            "--$name="*) taken=${1#*=} ;;
            *) rest+=("$1") ;;
        esac
        shift
    done
    extra_options=("${rest[@]}")
}

# print_command WORD...: one line that a shell reads back as the same words.
print_command() {
    local line
    printf -v line ' %q' "$@"
    echo "${line:1}"
}

# background: supervise.py's option for it.
background=(--background)
[[ "${FOREGROUND:-0}" != 1 ]] || background=()

# supervise OPTION...: ends as supervise.py does, which gets the signals to this process.
supervise() {
    command -v "$python" > /dev/null || fail "$python: not found, so nothing is started; set PYTHON."
    exec "$python" "$project_dir/scripts/supervise.py" "$@"
}

# run_logged LOG COMMAND...: runs a program, the script's last command. With `dry_run` it is printed.
run_logged() {
    local log=$1
    shift
    if [[ -n "$dry_run" ]]; then
        echo "$(print_command "$@") > $log 2>&1"
    else
        supervise "${background[@]}" --log "$log" --child "$2" "$log" "exec $(print_command "$@")"
    fi
}
