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

# run_logged LOG COMMAND...: in the background, or with FOREGROUND=1 in the foreground with the
# command's exit code. With `dry_run` it is printed only.
run_logged() {
    local log=$1
    shift
    if [[ -n "$dry_run" ]]; then
        echo "$(print_command "$@") > $log 2>&1"
        return
    fi
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

# started LOG: notes the background process that was started last, leader of its own session.
processes=() logs=()
started() {
    processes+=("$!")
    logs+=("$1")
}

# supervise: says which processes were started. With FOREGROUND=1 waits for them: the first that
# fails, or a signal to this shell, ends the others, and its exit code is the function's.
supervise() {
    local running=("${processes[@]}") code=0 stop=0 i ended
    echo "logs: ${logs[*]}"
    echo "processes: ${processes[*]}"
    if [[ "${FOREGROUND:-0}" != 1 ]]; then
        # With what they started themselves, as compilers on Ascend.
        echo "to stop them: kill -- ${processes[*]/#/-}"
        return
    fi
    trap 'stop=130' INT
    trap 'stop=143' TERM
    trap 'stop=129' HUP
    while [[ ${#running[@]} -gt 0 && $code -eq 0 && $stop -eq 0 ]]; do
        pause
        for i in "${!running[@]}"; do
            kill -0 "${running[i]}" 2> /dev/null && continue
            ended=0
            wait "${running[i]}" || ended=$?
            unset "running[i]"
            if [[ $ended -ne 0 ]]; then
                code=$ended
                echo "error: process ${processes[i]} ended with exit code $ended;" \
                    "its log ${logs[i]} ends:" >&2
                tail -n 10 "${logs[i]}" >&2 || true
            fi
        done
    done
    if [[ $code -ne 0 || $stop -ne 0 ]]; then
        stop_processes
    fi
    [[ $code -ne 0 ]] || code=$stop
    return "$code"
}

# stop_processes: ends all that were started and what they started; ten seconds for a clean end.
stop_processes() {
    local signal process alive
    for signal in TERM 0 0 0 0 0 0 0 0 0 KILL 0 0 0; do
        alive=
        for process in "${processes[@]}"; do
            # The second form is for one that has not come to have its own session yet.
            if kill -s "$signal" -- "-$process" 2> /dev/null \
                || kill -s "$signal" "$process" 2> /dev/null; then
                alive=1
            fi
        done
        [[ -n "$alive" ]] || return 0
        pause
    done
}

# pause: a second in which signals are acted on at once.
pause() {
    sleep 1 &
    wait "$!" || true
}
