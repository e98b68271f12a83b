#!/usr/bin/env bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
# Builds out/main. MindSpore Lite comes from MSLITE_PATH (an unpacked wheel or the Ascend tarball),
# else, on x86-64, from the package index. PYTHON picks the interpreter whose pip fetches it.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
wheel_dir="${here}/third_party/mindspore-lite-2.0.0"
python="${PYTHON:-python3}"

fail() {
  echo "error: $*" >&2
  exit 2
}

# Prints the folder below $1 that holds include/ and lib/, or fails.
find_root() {
  local root
  for root in "$1" "$1/runtime" "$1/mindspore_lite"; do
    if [[ -f "${root}/include/api/model.h" ]]; then
      (cd "${root}" && pwd)
      return
    fi
  done
  return 1
}

# Unpacks the wheel into wheel_dir, which appears whole or not at all.
fetch_wheel() {
  local remedy="set MSLITE_PATH to an unpacked MindSpore Lite"
  [[ "$(uname -m)" == x86_64 ]] ||
    fail "the package index has no MindSpore Lite for $(uname -m); ${remedy}"
  mkdir -p "${here}/third_party"
  local beside
  beside="$(mktemp -d "${here}/third_party/fetch.XXXXXX")"
  # shellcheck disable=SC2064  # the path is known now and local later
  trap "rm -rf '${beside}'" EXIT
  "${python}" -m pip download mindspore-lite==2.0.0 --no-deps --only-binary=:all: \
    --python-version 37 --implementation cp --platform manylinux1_x86_64 --dest "${beside}" ||
    fail "MindSpore Lite could not be downloaded; check the network or ${remedy}"
  "${python}" -m zipfile -e "${beside}"/*.whl "${beside}/unpacked" ||
    fail "MindSpore Lite could not be unpacked in ${beside}; free some space or ${remedy}"
  # -T: when another build has put its copy there in the meantime, keep that one.
  mv -T "${beside}/unpacked" "${wheel_dir}" 2>/dev/null || [[ -d "${wheel_dir}" ]] ||
    fail "${wheel_dir} cannot be written; free some space or ${remedy}"
}

command -v cmake >/dev/null || fail "cmake is missing; install the Debian package cmake"
command -v "${CXX:-c++}" >/dev/null ||
  fail "a C++ compiler is missing; install the Debian package g++"
command -v make >/dev/null || fail "make is missing; install the Debian package make"

# One build at a time: run_infer_310.sh may be at work for several devices.
mkdir -p "${here}/build"
exec 9> "${here}/build/.lock"
flock --nonblock 9 || { echo "waiting for another build in ${here}/build" && flock 9; }

if [[ -n "${MSLITE_PATH:-}" ]]; then
  root="$(find_root "${MSLITE_PATH}")" ||
    fail "MSLITE_PATH=${MSLITE_PATH} holds no MindSpore Lite (include/api/model.h); correct it"
else
  [[ -d "${wheel_dir}" ]] || fetch_wheel
  root="$(find_root "${wheel_dir}")" ||
    fail "${wheel_dir} is not a MindSpore Lite; remove it and run this again"
fi

# Dropping what is cached lets MSLITE_PATH change, and OpenCV be installed, between two builds.
cmake -S "${here}" -B "${here}/build" -U MSLITE_LIBRARY -U WITH_OPENCV -DMSLITE_ROOT="${root}"
cmake --build "${here}/build"
echo "built ${here}/out/main"
