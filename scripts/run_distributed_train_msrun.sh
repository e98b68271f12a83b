#!/usr/bin/env bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# Trains on devices of one or many nodes by msrun, MindSpore's own launcher, without a rank table;
# run on each node. Everything is written to LOG_msrun/ of the current folder. msrun starts the
# processes and leaves; watched by itself they would be killed in their checkpoint when one of them
# has been stopped.
set -eo pipefail # not -u: bash before 4.4 takes an empty array for unset
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

split_arguments "$@"
if [[ ${#positional[@]} -lt 2 || ${#positional[@]} -gt 3 || ! "${positional[1]}" =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: bash run_distributed_train_msrun.sh MINDRECORD_DATASET_PATH DEVICE_NUM [LOAD_CHECKPOINT_PATH] [--node_num N --node_rank RANK --master_addr IP] [--master_port PORT] [--worker_num N] [--dry-run] [--OPTION VALUE ...]"
    echo "DEVICE_NUM is the number of devices of this node, worker_num that of all nodes."
    echo "example: bash scripts/run_distributed_train_msrun.sh /path/mindrecord 8"
    echo "example: bash scripts/run_distributed_train_msrun.sh /path/mindrecord 8 --node_num 2 --node_rank 0 --master_addr 10.0.0.1"
    exit 2
fi
device_num=${positional[1]}

# take_number NAME DEFAULT
take_number() {
    take_option "$1" "$2"
    [[ "$taken" =~ ^(0|[1-9][0-9]*)$ ]] || fail "$1 is '$taken', not a number; set --$1."
}
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
node_options=()
if [[ $worker_num -gt $device_num ]]; then
    [[ -n "$master_addr" ]] || fail "several nodes need --master_addr, the address of the first one."
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
found=$(command -v "$python") || fail "$python: interpreter not found; set PYTHON."
bin_dir=$(cd "$(dirname "$found")" && pwd)
prefix() { "$1" -c 'import sys; print(sys.prefix, sys.version_info)' 2> /dev/null || true; }
ours=$(prefix "$python")
[[ -n "$ours" && "$(prefix "$bin_dir/python3")" == "$ours" ]] \
    || fail "$bin_dir/python3 is not $python, and msrun would start it;" \
        "set PYTHON to that of a virtual environment."

log_dir=$PWD/LOG_msrun
load_options=()
if [[ -n "${positional[2]:-}" ]]; then
    load_options=(--load_checkpoint_path "$(realpath -m "${positional[2]}")")
fi
command=(msrun --worker_num="$worker_num" --local_worker_num="$device_num" "${node_options[@]}"
    --master_addr="${master_addr:-127.0.0.1}" --master_port="$master_port"
    --bind_core=True --log_dir="$log_dir"
    python3 "$project_dir/train.py" "${device_options[@]}" --distribute true "${recipe[@]}"
    --mindrecord_dir "$(realpath -m "${positional[0]}")" "${load_options[@]}" "${extra_options[@]}")
# Seconds. HCCL's own 120 are fewer than nodes may differ in compiling the network.
export HCCL_CONNECT_TIMEOUT=${HCCL_CONNECT_TIMEOUT:-1200}
if [[ -n "$dry_run" ]]; then
    folder=$(print_command "$log_dir")
    environment="PATH=$(print_command "$bin_dir"):\$PATH HCCL_CONNECT_TIMEOUT=$HCCL_CONNECT_TIMEOUT"
    echo "mkdir -p $folder && (cd $folder && $environment $(print_command "${command[@]}"))"
    exit 0
fi
PATH=$bin_dir:$PATH
command -v msrun > /dev/null \
    || fail "msrun is not there; it comes with MindSpore: pip install -r requirements.txt."

mkdir -p "$log_dir"
cd "$log_dir"
supervise "${background[@]}" --log msrun.log --lock .lock --msrun "$device_num" \
    --child msrun "$log_dir/worker_*.log" \
    "rm -f worker_*.log scheduler.log && exec $(print_command "${command[@]}")"
