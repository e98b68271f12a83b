# shellcheck shell=bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# How the launchers start a program on several devices; sourced, with common.sh, not run. Both
# functions read `extra_options`, of which they take their own, and `dry_run`, and do not return.
# shellcheck disable=SC2034  # the scripts read what is set here
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# start_by_rank_table PROGRAM TABLE INI OPTION...: on each device that a rank table has of this
# server, with the options of an ini file (or ''), OPTION... and `extra_options`. Writes
# distributed_cmd.sh with a command for each, runs it, and watches the processes.
start_by_rank_table() {
    local program=$1 table=$2 ini=$3 launcher=$project_dir/scripts/ascend_distributed_launcher
    shift 3
    take_option server_id "${SERVER_ID:-}"
    "$python" "$launcher/get_distribute_train_cmd.py" \
        --run_script "$project_dir/$program" \
        --hyper_parameter_config "$ini" \
        --hccl_config "$table" \
        --server_id "$taken" \
        --device_target "${DEVICE_TARGET:-Ascend}" \
        --cmd_file distributed_cmd.sh \
        ${dry_run:+--dry_run} \
        -- "${config_options[@]}" "$@" "${extra_options[@]}"
    [[ -z "$dry_run" ]] || exit 0
    exec bash distributed_cmd.sh "${background[@]}"
}

# take_number NAME DEFAULT
take_number() {
    take_option "$1" "$2"
    [[ "$taken" =~ ^(0|[1-9][0-9]*)$ ]] || fail "$1 is '$taken', not a number; set --$1."
}

# start_by_msrun PROGRAM LOG_DIR DEVICE_NUM OPTION...: on so many devices of this node by msrun,
# MindSpore's own launcher, in LOG_DIR. msrun starts the processes and leaves; watched by itself they
# would be killed in their checkpoint when one of them has been stopped.
start_by_msrun() {
    local program=$1 log_dir=$2 device_num=$3
    local node_num worker_num node_rank master_addr master_port node_options=()
    shift 3
    take_number node_num "${NODE_NUM:-1}"
    node_num=$taken
    take_number worker_num "${WORKER_NUM:-$((node_num * device_num))}"
    worker_num=$taken
    take_option node_rank "${NODE_RANK:-}"
    node_rank=$taken
    take_option master_addr "${MASTER_ADDR:-}"
    master_addr=$taken
    take_number master_port "${MASTER_PORT:-8118}"
    master_port=$taken

    [[ $worker_num -ge $device_num ]] \
        || fail "worker_num is $worker_num, less than the $device_num of this node."
    [[ $master_port -ge 1024 && $master_port -le 65535 ]] \
        || fail "master_port is $master_port, not in 1024 to 65535."
    if [[ $worker_num -gt $device_num ]]; then
        [[ -n "$master_addr" ]] \
            || fail "several nodes need --master_addr, the address of the first one."
        if [[ $worker_num -eq $((node_num * device_num)) ]]; then
            [[ "$node_rank" =~ ^[0-9]+$ && $node_rank -lt $node_num ]] \
                || fail "node_rank is '$node_rank'; set --node_rank to 0 to $((node_num - 1))," \
                    "another on each node."
            node_options=(--node_rank="$node_rank")
        elif [[ -n "$node_rank" ]]; then
            # msrun would count node_rank times this node's devices.
            fail "node_rank needs nodes with equally many devices; leave it out," \
                "MindSpore then counts the ranks."
        fi
    fi

    # msrun starts python3 from the PATH, which is to be ours.
    local found bin_dir ours
    found=$(command -v "$python") || fail "$python: interpreter not found; set PYTHON."
    bin_dir=$(cd "$(dirname "$found")" && pwd)
    ours=$(prefix_of "$python")
    [[ -n "$ours" && "$(prefix_of "$bin_dir/python3")" == "$ours" ]] \
        || fail "$bin_dir/python3 is not $python, and msrun would start it;" \
            "set PYTHON to that of a virtual environment."

    local command=(msrun --worker_num="$worker_num" --local_worker_num="$device_num"
        "${node_options[@]}" --master_addr="${master_addr:-127.0.0.1}"
        --master_port="$master_port" --bind_core=True --log_dir="$log_dir"
        python3 "$project_dir/$program" "${device_options[@]}" --distribute true "$@"
        "${extra_options[@]}")
    # Seconds. HCCL's own 120 are fewer than nodes may differ in compiling the network.
    export HCCL_CONNECT_TIMEOUT=${HCCL_CONNECT_TIMEOUT:-1200}
    if [[ -n "$dry_run" ]]; then
        local folder environment
        folder=$(print_command "$log_dir")
        environment="PATH=$(print_command "$bin_dir"):\$PATH HCCL_CONNECT_TIMEOUT=$HCCL_CONNECT_TIMEOUT"
        echo "mkdir -p $folder && (cd $folder && $environment $(print_command "${command[@]}"))"
        exit 0
    fi
    PATH=$bin_dir:$PATH
    command -v msrun > /dev/null \
        || fail "msrun is not there; it comes with MindSpore: pip install -r requirements.txt."

    mkdir -p "$log_dir"
    cd "$log_dir" || exit
    supervise "${background[@]}" --log msrun.log --lock .lock --msrun "$device_num" \
        --child msrun "$log_dir/worker_*.log" \
        "rm -f worker_*.log scheduler.log && exec $(print_command "${command[@]}")"
}

# prefix_of INTERPRETER: where it has its packages, and its version; nothing if it does not run.
prefix_of() { "$1" -c 'import sys; print(sys.prefix, sys.version_info)' 2> /dev/null || true; }

# evaluation_options RUN_MODE DATA_DIR LOAD_CHECKPOINT_PATH: what eval.py gets, in `evaluation`.
# Processes work in folders of their own, so paths are absolute, also that of the results.
evaluation_options() {
    take_option save_result_dir .
    evaluation=(--run_mode "$1" --data_dir "$(realpath -m "$2")"
        --load_checkpoint_path "$(realpath -m "$3")" --save_result_dir "$(realpath -m "$taken")")
}
