#!/usr/bin/env bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# Trains on devices of one or many nodes by msrun, MindSpore's own launcher, without a rank table;
# run on each node. Everything is written to LOG_msrun/ of the current folder.
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
    --bind_core=True --join=True --log_dir="$log_dir"
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
if [[ "${FOREGROUND:-0}" != 1 ]]; then
    # The background is this script in the foreground of nobody, so both end in the same way.
    FOREGROUND=1 nohup bash "${BASH_SOURCE[0]}" "$@" > "$log_dir/msrun.log" 2>&1 < /dev/null &
    echo "logs: $log_dir/msrun.log, $log_dir/worker_*.log"
    echo "process: $!"
    exit 0
fi
rm -f "$log_dir"/worker_*.log "$log_dir/scheduler.log" # of an earlier run
cd "$log_dir"
"${command[@]}" &
launcher=$!
stop=0 code=0
trap 'stop=130' INT
trap 'stop=143' TERM
trap 'stop=129' HUP
while kill -0 "$launcher" 2> /dev/null; do
    # msrun ends its workers on SIGINT only, and not before it waits for them: so, again and again.
    [[ $stop -eq 0 ]] || kill -INT "$launcher" 2> /dev/null || true
    pause
done
wait "$launcher" || code=$?
[[ $stop -eq 0 ]] || exit "$stop"
if [[ $code -ne 0 ]]; then
    # Those that msrun killed because of another say nothing of an error.
    failed=()
    while IFS= read -r log; do
        failed+=("$log")
    done < <(grep -lE '^Traceback|^error: |^\[(ERROR|CRITICAL)\]' worker_*.log)
    [[ ${#failed[@]} -gt 0 ]] || failed=(worker_*.log)
    tail -n 10 "${failed[@]}" >&2 || true
    echo "error: msrun ended with exit code $code; logs: $log_dir" >&2
fi
exit "$code"
