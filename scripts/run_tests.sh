#!/usr/bin/env bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# All tests and linters, in a .venv that is made if absent.
set -eo pipefail # not -u: bash before 4.4 takes an empty array for unset
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

slow=''
if [[ $# -eq 1 && "$1" == --slow ]]; then
    slow=1
elif [[ $# -ne 0 ]]; then
    echo "usage: bash run_tests.sh [--slow]"
    exit 2
fi
require_system_packages cmake make c++
install_requirements requirements/test.txt

cd "$project_dir"
bin=.venv/bin
echo "== linters"
"$bin/ruff" format --check .
"$bin/ruff" check .
"$bin/shellcheck" scripts/*.sh ascend310_infer/build.sh .ci/run
"$bin/clang-format" --dry-run -Werror ascend310_infer/*/*.h ascend310_infer/*/*.cc \
    benchmarks/*.cc benchmarks/*/*.cc tests/*.cc
echo "== tests"
# A file after the other in each of several processes, which take a gigabyte or two. Not sorted by the
# number of their tests: the longest files have few, and would come last, one process alone at the end.
workers=$(nproc)
"$bin/python" -m pytest --numprocesses $((workers < 4 ? workers : 4)) --dist loadfile \
    --no-loadscope-reorder --durations=10
if [[ -n "$slow" ]]; then
    echo "== slow tests" # some of them measure, and have the machine for themselves
    "$bin/python" -m pytest -m slow --durations=10
fi
