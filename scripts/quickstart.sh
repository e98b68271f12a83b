#!/usr/bin/env bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# The whole path on a CPU: install, make a data set, convert, train, evaluate, export, run the C++
# application, compare. Everything is written to quickstart_run/ of this repository; with TASK=pose
# the same for figures with joints, to quickstart_run_pose/.
set -eo pipefail # not -u: bash before 4.4 takes an empty array for unset
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

task=${TASK:-boxes}
if [[ $# -ne 0 || ! $task =~ ^(boxes|pose)$ ]]; then
    echo "usage: [TASK=boxes|pose] bash quickstart.sh"
    exit 2
fi

# stage NAME COMMAND...: runs the command, its output also in NAME.log, and notes the seconds.
stages=()
stage() {
    local name=$1 start=$SECONDS
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$run_dir/$name.log" || {
        echo "error: stage $name failed; log: $run_dir/$name.log" >&2
        exit 1
    }
    stages+=("$name $((SECONDS - start))")
}

suffix=
if [[ $task == pose ]]; then
    suffix=_pose
fi
run_dir=$project_dir/quickstart_run$suffix
rm -rf "$run_dir"
mkdir -p "$run_dir"
require_system_packages cmake make c++
stage install install_requirements requirements.txt

cd "$run_dir"
python=$project_dir/.venv/bin/python
config=(--config_path "$project_dir/configs/quickstart$suffix.yaml")
cpu=("${config[@]}" --device_target CPU)
export CONFIG_PATH=${config[1]} DEVICE_TARGET=CPU FOREGROUND=1
export PYTHON=$python PYTHONPATH=$project_dir

stage data "$python" -m src.data.synthetic --task "$task" --output_dir data
stage convert bash "$project_dir/scripts/convert_dataset_to_mindrecord.sh" data mindrecord
stage train bash "$project_dir/scripts/run_standalone_train_ascend.sh" 0 mindrecord
checkpoint=$(ls ckpt_0/*.ckpt)
stage eval bash "$project_dir/scripts/run_standalone_eval_ascend.sh" 0 val data "$checkpoint" \
    --visual_image true --save_result_dir eval
stage export "$python" "$project_dir/export.py" "${cpu[@]}" --mindir_version 1 \
    --export_load_ckpt "$checkpoint" --export_name centernet
stage infer_310 bash "$project_dir/scripts/run_infer_310.sh" centernet.mindir data y

# average_precision NAME BOXES: of eval.py and of the application, by so many boxes of an image.
average_precision() {
    local line="s/.*Average Precision.*IoU=0.50:0.95 | area=   all | maxDets=$2 \] = //p"
    printf '%-42s %s\n' "$1 (0.50:0.95) of eval.py" "$(sed -n "$line" eval.log)"
    printf '%-42s %s\n' "$1 (0.50:0.95) of the C++ application" "$(sed -n "$line" acc.log)"
}
echo
if [[ $task == pose ]]; then
    average_precision "keypoint AP" " 20"
    average_precision "box AP" 100
else
    average_precision AP 100
fi
for entry in "${stages[@]}"; do
    printf '%-42s %s s\n' "seconds: ${entry% *}" "${entry#* }"
done
printf '%-42s %s s\n' "seconds: in all" "$SECONDS"
echo "to look at: $run_dir/eval/report.html (in a browser), and"
echo "    $run_dir/ckpt_0/training.png"
echo "    $run_dir/eval/pictures, an image with boxes and heat map each"
