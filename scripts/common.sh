# shellcheck shell=bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# What the scripts share; sourced, not run. Reads FOREGROUND, DEVICE_TARGET, CONFIG_PATH, PYTHON,
# STOP_SECONDS.
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

[[ "${STOP_SECONDS:=120}" =~ ^(0|[1-9][0-9]*)$ ]] \
    || fail "STOP_SECONDS is '$STOP_SECONDS', not a number of seconds."

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

# own FILE: keeps others of these scripts off a file, up to the end of this one and of all that it
# starts; the file's first line says whose it is. Nothing is done with `dry_run`.
own() {
    local code=0
    [[ -z "$dry_run" ]] || return 0
    { exec 9>> "$1"; } 2> /dev/null \
        || fail "$1: cannot be written; start in a folder with the permission and the space for it."
    if command -v flock > /dev/null; then
        flock --nonblock --conflict-exit-code 75 9 || code=$? # others: a file system without locks
    fi
    [[ $code -ne 75 ]] \
        || fail "$PWD/$1: is written by another run ($(head -n 1 "$1" | cut -c 1-100));" \
            "start in another folder, or wait for its end."
}

# owner PROCESS COMMAND...: the first line of a file that is owned.
owner() {
    local process=$1
    shift
    echo "process $process of $HOSTNAME, $(date '+%F %T'): $(print_command "$@")"
}

# check_start LOG COMMAND...: ends the script if the log cannot be written or there is no command; in
# the background nobody would learn of it.
check_start() {
    { echo > "$1"; } 2> /dev/null \
        || fail "$(realpath -m "$1"): cannot be written, so nothing is started;" \
            "start in a folder with the permission and the space for it."
    command -v "$2" > /dev/null || fail "$2: not found, so nothing is started; set PYTHON."
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
    own "$log"
    check_start "$log" "$@"
    if [[ "${FOREGROUND:-0}" == 1 ]]; then
        local code=0
        owner "$$" "$@" > "$log"
        "$@" 2>&1 | tee -a "$log" || code=$? # the command's, by pipefail
        if [[ $code -ne 0 ]]; then
            echo "failed with exit code $code; log: $log" >&2
        fi
        return "$code"
    fi
    (
        owner "$BASHPID" "$@"
        exec nohup "$@"
    ) > "$log" 2>&1 < /dev/null &
    echo "log: $PWD/$log"
    echo "process: $!"
}

# in_background LOG COMMAND...: starts a script that supervises; it outlives this shell and its
# terminal.
in_background() {
    local log=$1
    shift
    check_start "$log" "$@"
    set -m # in a process group of its own, and with SIGINT not ignored
    nohup "$@" > "$log" 2>&1 < /dev/null &
    set +m
    echo "process: $!"
    echo "to stop the training: kill $!"
}

# The processes of a training, each leader of its own session: "rank N", or "scheduler", which
# brings the ranks together and ends after them. codes[i] is there when process i has ended; its id
# may then be that of somebody else's process, which is not to be touched.
processes=() names=() logs=() codes=()

# started NAME LOG: notes the background process that was started last.
started() {
    processes+=("$!")
    names+=("$1")
    logs+=("$2")
}

# runs PROCESS: whether a background process of this shell runs still. The system may have given the
# id of one that has ended to another process; the shell knows its own.
runs() {
    [[ $'\n'$(jobs -rp)$'\n' == *$'\n'"$1"$'\n'* ]]
}

# has_ended I: whether process I has, with its exit code in codes[I].
has_ended() {
    [[ -z "${codes[$1]:-}" ]] || return 0
    ! runs "${processes[$1]}" || return 1
    codes[$1]=0
    wait "${processes[$1]}" 2> /dev/null || codes[$1]=$?
}

# catch_signals: from now on a signal ends this shell only when supervise sees it.
stop=0 signals=0
catch_signals() {
    trap 'stop=130 signals=$((signals + 1))' INT
    trap 'stop=143 signals=$((signals + 1))' TERM
    trap 'stop=129 signals=$((signals + 1))' HUP
}

# supervise: waits for the processes to end; 0 if all end well.
# The first rank that fails is named and ends the others, which can finish no step without it; the
# exit code is its own. A signal to this shell stops the training: each rank gets SIGTERM and
# STOP_SECONDS (120) to finish its step and write what it has to; a second signal kills at once. The
# exit code is then 143 after SIGTERM, 130 after SIGINT, 129 after SIGHUP, 137 if a rank was killed.
# A rank that has to be killed gets a last line in its log that says why.
supervise() {
    local running failed ranks asked='' deadline='' code=0 cause='' i
    catch_signals
    echo "logs: ${logs[*]}"
    echo "processes: ${processes[*]}"
    while true; do
        look
        if [[ $code -eq 0 && ${#failed[@]} -gt 0 ]]; then
            code=${codes[${failed[0]}]}
            cause="${names[${failed[0]}]} has ended with exit code $code"
            for i in "${failed[@]}"; do
                report_end "$i"
            done
        fi
        [[ ${#running[@]} -gt 0 && $signals -lt 2 ]] || break
        if [[ $code -ne 0 || $stop -ne 0 ]]; then
            # Ranks agree on the step they stop after, whomever of them the signal has reached.
            if [[ $code =~ ^(0|130|143)$ ]]; then
                end_within "$STOP_SECONDS"
                [[ ${#ranks[@]} -gt 0 ]] || end_within 10 # for the scheduler
            else
                end_within 10
                [[ ${#ranks[@]} -gt 0 ]] || break
            fi
            [[ -n "$asked" ]] || ask_to_stop
            [[ $SECONDS -lt $deadline ]] || break
        fi
        pause
    done
    if [[ $code =~ ^(0|130|143)$ && ${#ranks[@]} -gt 0 ]]; then
        code=137
        for i in "${ranks[@]}"; do
            echo "error: ${names[i]} (process ${processes[i]}) is killed before it has stopped;" \
                "log: ${logs[i]}" >&2
        done
    fi
    if [[ $code -ne 0 || $stop -ne 0 ]]; then
        kill_processes
        tell_killed
        report_codes
    fi
    [[ $code -ne 0 ]] || code=$stop
    return "$code"
}

# The parts of supervise; they share its variables.

# look: sorts the processes into `running`, `ranks` that run, and `failed`.
look() {
    local i
    running=() ranks=() failed=()
    for i in "${!processes[@]}"; do
        if ! has_ended "$i"; then
            running+=("$i")
            [[ "${names[i]}" == scheduler ]] || ranks+=("$i")
        elif [[ ${codes[i]} -ne 0 ]]; then
            # In a stop these are no failures: a rank that stops, and the scheduler that misses it.
            [[ $stop -ne 0 && "${names[i]} ${codes[i]}" =~ ^scheduler|\ (130|143)$ ]] || failed+=("$i")
        fi
    done
}

# report_end I: says which process ended badly, and shows the end of its log.
report_end() {
    local signal=''
    [[ ${codes[$1]} -le 128 ]] || signal=" (SIG$(kill -l "${codes[$1]}" 2> /dev/null || true))"
    echo "error: ${names[$1]} (process ${processes[$1]}) ended with exit code ${codes[$1]}$signal;" \
        "its log ${logs[$1]} ends:" >&2
    tail -n 10 "${logs[$1]}" >&2 || true
}

# tell_killed: the last line of the logs of `ranks` that were killed. A log may be on a full disk.
tell_killed() {
    local i
    for i in "${ranks[@]}"; do
        [[ "${codes[i]:-}" != 137 ]] || {
            echo "error: killed by the launcher, as ${cause:-it has not stopped in time};" \
                "--resume goes on from the last checkpoint" >> "${logs[i]}"
        } 2> /dev/null || true
    done
}

# report_codes: one line with all exit codes.
report_codes() {
    local i line=''
    for i in "${!processes[@]}"; do
        line+=", ${names[i]} ${codes[i]:-(runs)}"
    done
    echo "exit codes: ${line:2}" >&2
}

# ask_to_stop: SIGTERM to the ranks. Not to the scheduler, without which they could not go on, and
# not to what ranks have started, as compilers on Ascend, which their step may need.
ask_to_stop() {
    local i
    asked=1
    [[ ${#ranks[@]} -gt 0 ]] || return 0
    for i in "${ranks[@]}"; do
        kill -s TERM "${processes[i]}" 2> /dev/null || true
    done
    echo "stopping ${#ranks[@]} rank(s) of this server, by force in $((deadline - SECONDS)) seconds" >&2
}

# end_within SECONDS: `deadline`, if it is not earlier already.
end_within() {
    if [[ -z "$deadline" || $((SECONDS + $1)) -lt $deadline ]]; then
        deadline=$((SECONDS + $1))
    fi
}

# kill_processes: all that were started and what they started; waits until they are gone, which
# takes a loaded machine its time, for 30 seconds at most.
kill_processes() {
    local i end=$((SECONDS + 30))
    for i in "${!processes[@]}"; do
        if ! has_ended "$i"; then
            # The second form is for one that has not come to have its own session yet.
            kill -s KILL -- "-${processes[i]}" 2> /dev/null \
                || kill -s KILL "${processes[i]}" 2> /dev/null || true
        elif has_left "$i"; then
            kill -s KILL -- "-${processes[i]}" 2> /dev/null || true
        fi
    done
    for i in "${!processes[@]}"; do
        until has_ended "$i" && ! has_left "$i" || [[ $SECONDS -ge $end ]]; do
            pause
        done
    done
}

# has_left I: whether something of the group of process I, which has ended, still runs. The system
# gives no id again that is a group's; so if a process has the id, the group is another one.
has_left() {
    [[ ! -e "/proc/${processes[$1]}" ]] && group_lives "${processes[$1]}"
}

# group_lives LEADER: whether its group has a process that is more than an entry in the table.
group_lives() {
    local stat
    kill -s 0 -- "-$1" 2> /dev/null || return 1
    for stat in /proc/[0-9]*/stat; do
        # ID (NAME) STATE PARENT GROUP ...; a name may hold anything.
        if [[ "$(cat "$stat" 2> /dev/null)" =~ .*\)\ ([A-Za-z])\ [0-9]+\ $1\  ]]; then
            [[ "${BASH_REMATCH[1]}" == [ZX] ]] || return 0
        fi
    done
    return 1
}

# pause: a second in which signals are acted on at once. bash tells here which processes were killed.
pause() {
    sleep 1 &
    wait "$!" 2> /dev/null || end_child "$!"
}

# end_child PROCESS: ends a background process of this shell that a signal has kept from waiting for.
end_child() {
    while runs "$1"; do
        kill "$1" 2> /dev/null || true
        wait "$1" 2> /dev/null || true
    done
}
