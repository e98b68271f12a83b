# shellcheck shell=bash
# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#
# How quickstart.sh and run_tests.sh make .venv; sourced, not run.

project_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# require_system_packages COMMAND...: ends the script, naming the Debian package of what is missing.
require_system_packages() {
    local command package missing=()
    for command in "$@"; do
        if ! command -v "$command" > /dev/null; then
            case $command in
                c++) package=g++ ;;
                *) package=$command ;;
            esac
            missing+=("$package")
        fi
    done
    if [[ ${#missing[@]} -gt 0 ]]; then
        echo "error: missing on this machine: ${missing[*]}; install with: apt-get install ${missing[*]}" >&2
        exit 2
    fi
}

# install_requirements FILE: makes .venv if absent and installs the requirements file once.
install_requirements() {
    local venv=$project_dir/.venv file=$project_dir/$1 base=${PYTHON:-python3}
    require_system_packages "$base"
    "$base" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' || {
        echo "error: $base is $("$base" --version); MindSpore's packages need Python 3.10 to 3.12, set PYTHON to one." >&2
        return 2
    }
    if [[ ! -x "$venv/bin/pip" ]]; then
        echo "making .venv with $("$base" --version)"
        "$base" -m venv "$venv" || {
            echo "error: python3 -m venv failed; install with: apt-get install python3-venv" >&2
            return 2
        }
    fi
    local stamp=$venv/installed-${1//\//-}
    # test.txt includes other files: a change in any counts.
    local files=("$file" "$project_dir"/requirements.txt "$project_dir"/requirements/*.txt)
    if cat "${files[@]}" | cmp -s - "$stamp"; then
        echo "$1 is installed in .venv"
        return
    fi
    echo "installing $1 into .venv, which takes minutes; pip says what it fetches"
    "$venv/bin/pip" install --disable-pip-version-check -r "$file" || {
        echo "error: pip could not install $1; check the network and the free space." >&2
        return 2
    }
    cat "${files[@]}" > "$stamp"
    echo "$1 installed in .venv"
}
