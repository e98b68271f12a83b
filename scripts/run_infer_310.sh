#!/usr/bin/env bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# preprocess.py, ascend310_infer and postprocess.py, in the current folder: preprocess/,
# result_Files/ or result_310.json, time_Result/, acc/, summary.json and a log of each step. Always
# in the foreground. --dry-run prints the commands; --fresh repeats what an earlier run has done.
# Files that no earlier run has written are neither removed nor replaced.
set -eo pipefail # not -u: bash before 4.4 takes an empty array for unset
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

fresh='' arguments=()
for argument in "$@"; do
    if [[ "$argument" == --fresh ]]; then fresh=1; else arguments+=("$argument"); fi
done
split_arguments "${arguments[@]}"
if [[ ${#positional[@]} -lt 3 || ${#positional[@]} -gt 4 || ! "${positional[2]}" =~ ^[yn]$ ]]; then
    echo "usage: bash run_infer_310.sh MINDIR_PATH DATASET_PATH PREPROCESS_IMAGES(y|n) [DEVICE_ID] [--fresh] [--OPTION VALUE ...]"
    echo "environment: INPUT_FORMAT=bin|image RESULT=bin|json DEVICE_TARGET=Ascend|CPU CONFIG_PATH=FILE"
    echo "example: bash scripts/run_infer_310.sh centernet.mindir /path/coco y 0"
    exit 2
fi
mindir=${positional[0]} dataset=${positional[1]} preprocess_images=${positional[2]}
device_id=${positional[3]:-0} target=${DEVICE_TARGET:-Ascend}
[[ -f "$mindir" ]] || fail "$mindir: MINDIR not found; export.py writes it."
[[ "${INPUT_FORMAT:=bin}" =~ ^(bin|image)$ ]] || fail "INPUT_FORMAT is '$INPUT_FORMAT', not bin or image."
[[ "${RESULT:=bin}" =~ ^(bin|json)$ ]] || fail "RESULT is '$RESULT', not bin or json."

if [[ -z "$dry_run" && -z "${SUPERVISED:-}" ]]; then # hands signals on to the command that runs
    export SUPERVISED=1
    supervise --signal-all --child "${BASH_SOURCE[0]}" "" "exec $(print_command bash "${BASH_SOURCE[0]}" "$@")"
fi
stopped='' # a signal waits here for the end of the command
trap 'stopped=130' INT
trap 'stopped=143' TERM
trap 'stopped=129' HUP

# state PATH...: a line that changes with the name, size or time of any file there or below.
state() {
    { find -L "$@" -type f -not -name '*.pyc' -printf '%p %s %T@\n' 2> /dev/null || true; } \
        | LC_ALL=C sort | sha256sum
}

# follow NAME LOG: says every ten seconds how far a step is, by the last line of its log.
follow() {
    local start=$SECONDS line
    while sleep 10 > /dev/null 2>&1 && kill -0 $$ 2> /dev/null; do
        line=$(tail -c 400 "$2" 2> /dev/null | tr '\r' '\n' | grep . | tail -n 1) || true
        echo "$1: $((SECONDS - start)) s so far${line:+: $line}"
    done
}

state_dir=.infer_310
outputs=(result_Files result_310.json time_Result acc summary.json {preprocess,build,infer,acc}.log)

# written: the files of `outputs`, each ended by NUL.
written() {
    find "${outputs[@]}" ! -type d -print0 2> /dev/null || true
}

# read_own: the files of `outputs` that earlier runs have written, to `own`. When a run ends it lists
# all that is there in $state_dir/written; one that was killed has left what was there before it.
declare -A own
read_own() {
    local file
    if [[ -f "$state_dir/written" ]]; then
        while IFS= read -r -d '' file; do own[$file]=1; done < "$state_dir/written"
    elif [[ -f "$state_dir/steps" ]]; then
        while IFS= read -r -d '' file; do own[$file]=1; done < <(written)
        if [[ -f "$state_dir/others" ]]; then
            while IFS= read -r -d '' file; do unset "own[$file]"; done < "$state_dir/others"
        fi
    fi
}

# keep_others: ends the script if a file that no earlier run has written would be replaced; other
# such files stay, and are listed in $state_dir/others.
keep_others() {
    local file others=()
    while IFS= read -r -d '' file; do
        [[ -z "${own[$file]:-}" ]] || continue
        case $file in
            result_Files/*.bin | time_Result/times.json | time_Result/test_perform_static.txt | \
                acc/results_310.json | acc/eval_310.json | result_310.json | summary.json | \
                preprocess.log | build.log | infer.log | acc.log)
                fail "$file: no earlier run of this script wrote it; move it away or work in another folder."
                ;;
        esac
        others+=("$file")
    done < <(written)
    mkdir -p "$state_dir"
    for file in "${others[@]}"; do printf '%s\0' "$file"; done > "$state_dir/others.partial"
    mv "$state_dir/others.partial" "$state_dir/others"
    rm -f "$state_dir/written"
    trap note_written EXIT
}

# note_written: lists what this and earlier runs have written in $state_dir/written.
note_written() {
    local file
    declare -A other
    while IFS= read -r -d '' file; do other[$file]=1; done < "$state_dir/others"
    while IFS= read -r -d '' file; do
        [[ -n "${other[$file]:-}" ]] || printf '%s\0' "$file"
    done < <(written) > "$state_dir/written.partial"
    mv "$state_dir/written.partial" "$state_dir/written"
}

# remove_own PATH...: what earlier runs have written there, and folders that are then empty.
remove_own() {
    local file
    [[ $# -gt 0 ]] || return 0
    while IFS= read -r -d '' file; do
        [[ -z "${own[$file]:-}" ]] || rm -f -- "$file"
    done < <(find "$@" ! -type d -print0 2> /dev/null || true)
    find "$@" -depth -type d -empty -delete 2> /dev/null || true
}

# step NAME LOG COMMAND...: runs it with its output in LOG, after removing own files of `removes`,
# and notes it for the summary. If it fails, it stops the script with the last lines of its log;
# `code` is 0, or 1 of an application that could not do some of its inputs.
# With `writes`, a step that has ended well is left out when it comes again as long as its command
# and the files that it `reads` and `writes` have not changed.
step() {
    local name=$1 log=$2 command before stamp start
    shift 2
    [[ -z "$stopped" ]] || exit "$stopped"
    command=$(print_command "$@")
    if [[ -n "$dry_run" ]]; then
        echo "$command > $log 2>&1"
        return
    fi
    code=0 stamp=$state_dir/$name start=$(date +%s.%N)
    if [[ ${#writes[@]} -gt 0 ]]; then
        before=$command$'\n'$(state "${reads[@]}")
        if [[ -z "$fresh" && -f "$stamp" && "$(cat "$stamp")" == "$before"$'\n'"$(state "${writes[@]}")" ]]; then
            echo "$name: up to date, not repeated (--fresh repeats it)"
            printf '%s\t\t\t%s\n' "$name" "$command" >> "$state_dir/steps"
            return
        fi
    fi
    rm -f "$stamp"
    remove_own "${removes[@]}"
    echo "$name: running, log: $log"
    follow "$name" "$log" &
    follower=$!
    disown "$follower" # bash would tell of its end
    "$@" > "$log" 2>&1 || code=$?
    kill "$follower" 2> /dev/null || true
    if [[ $code -ne 0 && "$name $code" != "ascend310_infer 1" ]]; then
        tail -n 5 "$log" >&2
        echo "$name failed with exit code $code; log: $PWD/$log" >&2
        exit "$code"
    fi
    printf '%s\t%s\t%s\t%s\n' "$name" "$start" "$(date +%s.%N)" "$command" >> "$state_dir/steps"
    if [[ $code -eq 0 && ${#writes[@]} -gt 0 ]]; then
        printf '%s\n%s\n' "$before" "$(state "${writes[@]}")" > "$stamp"
    fi
}

if [[ -z "$dry_run" ]]; then
    read_own
    keep_others
    remove_own acc.log summary.json
    : > "$state_dir/steps"
fi
removes=()
if [[ "$preprocess_images" == y ]]; then
    reads=("$dataset" "$mindir" "${mindir%.*}.json" "$project_dir"/{src,preprocess.py,default_config.yaml} "${CONFIG_PATH:-/dev/null}")
    for word in "${extra_options[@]}"; do
        [[ ! -f "${word#--*=}" ]] || reads+=("${word#--*=}") # as of --config_path
    done
    writes=(preprocess)
    step preprocess.py preprocess.log "$python" "$project_dir/preprocess.py" "${config_options[@]}" \
        --load_mindir_path "$mindir" --val_data_dir "$dataset" --predict_dir preprocess \
        "${extra_options[@]}" --input_format "$INPUT_FORMAT"
elif [[ -z "$dry_run" && ! -f preprocess/meta/meta.txt ]]; then
    fail "preprocess/meta/meta.txt: not found; give y as the third argument."
fi

app=$project_dir/ascend310_infer/out/main
reads=() writes=()
step build.sh build.log env PYTHON="$python" bash "$project_dir/ascend310_infer/build.sh"

input=preprocess/data
reads=("$mindir" preprocess "$app")
if [[ "$INPUT_FORMAT" == image ]]; then
    input=preprocess/data/images.txt
    reads+=("$dataset")
fi
if [[ "$RESULT" == bin ]]; then
    result=(--result_path result_Files)
else
    result=(--result_json result_310.json)
fi
writes=("${result[1]}" time_Result)
removes=(result_Files result_310.json time_Result acc)
step ascend310_infer infer.log "$app" --mindir_path "$mindir" --input_path "$input" \
    --input_format "$INPUT_FORMAT" --meta_path preprocess/meta/meta.txt "${result[@]}" \
    --time_path time_Result --device_target "$target" --device_id "$device_id"

some_failed=${code:-0} # 1: some inputs
if [[ $some_failed -eq 1 ]]; then
    extra_options+=(--on_bad_record skip) # those that failed are left out
fi
reads=() writes=() removes=()
step postprocess.py acc.log "$python" "$project_dir/postprocess.py" "${config_options[@]}" \
    "${result[@]}" --val_data_dir "$dataset" --meta_path preprocess/meta --save_path acc \
    "${extra_options[@]}"
[[ -z "$dry_run" ]] || exit 0
cat acc.log
[[ "$target" == CPU ]] || target="$target $device_id"
PYTHONPATH=$project_dir "$python" -m src.deploy.summary --steps "$state_dir/steps" \
    --scores acc/eval_310.json --times time_Result/times.json --mindir "$mindir" \
    --device "$target" --output summary.json
if [[ $some_failed -eq 1 ]]; then
    count=$(grep -c '^failed: ' infer.log || true)
    echo "$count image(s) failed and are left out; log: $PWD/infer.log" >&2
    exit 1
fi
