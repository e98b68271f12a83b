# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Kernels and memory of this project's graphs on Ascend, without a card.

    python -m benchmarks.ascend_dry_run [--chip C] [--variant V ...] [--json FILE]
    python -m benchmarks.ascend_dry_run --chip 910B --variant train_O0 \
        --config_path default_config.yaml --train_config.batch_size 16

For each variant the kernel that MindSpore's Ascend back end chooses for every operator, and the
peak of its memory pool in MiB: a lower bound, as the workspaces of CANN's kernels are not in it.
Ends with 1 if one does not compile, or an operator has no kernel on the chip. The networks are
small ones with all kinds of layers unless --config_path names another; more parameters of the
configuration may follow. 910A: the operators that MindSpore gives to CANN's graph engine, which is
not here. Behind the variants stands the table of docs/ascend.md, of the chips and graphs asked for.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.ascend import stand_in
from benchmarks.ascend.dry_run import CHIPS
from benchmarks.ascend.kernels import Compiled, compile_variants
from benchmarks.ascend.variants import VARIANTS, arguments_of
from benchmarks.ascend_types import readiness
from benchmarks.common import count
from src.model_utils.config import load_config
from src.model_utils.errors import run_program
from src.model_utils.files import make_writable, write_json


def main(arguments: Sequence[str] | None = None) -> None:
    options, parameters = parse_options(arguments)
    if options.config_path:
        parameters = ["--config_path", str(options.config_path.resolve()), *parameters]
    names = options.variant or variants_of(parameters)
    for name in names:
        load_config("", arguments_of(name, parameters))  # a wrong one is said before the work
    if options.json:
        make_writable(options.json.parent)
    stand_in.built()
    chips = [options.chip] if options.chip else list(CHIPS)
    work = [(chip, name) for chip in chips for name in names]

    def compiled(chip_and_name: tuple[str, str]) -> tuple[Compiled, float]:
        chip, name = chip_and_name
        start = time.monotonic()
        return compile_variants(chip, [name], parameters), time.monotonic() - start

    variants = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for (chip, name), (found, seconds) in zip(work, pool.map(compiled, work), strict=True):
            print_variant(chip, name, found, seconds)
            variants.append(
                {
                    "name": name,
                    "chip": chip,
                    "kernels": found.kernels,
                    "without_kernel": found.without_kernel,
                    "peak_mb": found.peak_mb,
                    "error": found.error,
                }
            )
    kinds: dict[str, dict[str, str]] = {}
    for variant in variants:
        kinds.setdefault(variant["chip"], {}).update(variant["kernels"])
    print(f"{readiness(kinds)}\n")
    failed = [v for v in variants if v["error"] or v["without_kernel"]]
    print(f"{len(variants)} variants, {len(failed)} of them without all kernels")
    if options.json:
        write_json(options.json, {"parameters": parameters, "variants": variants})
    sys.exit(1 if failed else 0)


def variants_of(parameters: Sequence[str]) -> list[str]:
    """All variants, or those that the network of a --config_path has."""
    if "--config_path" not in parameters:
        return list(VARIANTS)
    has_forms = hasattr(load_config("", parameters).net_config, "deformable")
    return [
        name
        for name, variant in VARIANTS.items()
        if not variant.network and (has_forms or "net_config.deformable" not in variant.options)
    ]


def parse_options(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """Our options, and those of the configuration."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chip", choices=CHIPS, help="one chip instead of all")
    parser.add_argument("--variant", nargs="+", choices=VARIANTS, help="some instead of all")
    parser.add_argument("--config_path", type=Path, help="the network, sizes and batch to compile")
    parser.add_argument(
        "--jobs", type=count, default=min(2, os.cpu_count() or 1), help="processes at a time"
    )
    parser.add_argument("--json", type=Path, help="file for the numbers")
    return parser.parse_known_args(arguments)


def print_variant(chip: str, name: str, found: Compiled, seconds: float) -> None:
    print(f"[{chip} {name}]")
    kinds = sorted(set(found.kernels.values()))
    for kind in kinds:
        operators = [operator for operator, own in found.kernels.items() if own == kind]
        print(f"{kind} ({len(operators)}): {' '.join(operators)}")
    if found.error:
        print(f"FAILED: {found.error}")
    if found.without_kernel:
        print(f"WITHOUT A KERNEL: {' '.join(found.without_kernel)}")
    if found.peak_mb is not None:
        print(f"peak of the memory pool: {found.peak_mb} MiB")
    elif not found.error:
        print("the graph was built; CANN's graph engine, which would compile it, is not here")
    print(f"({seconds:.0f} s)\n", flush=True)


if __name__ == "__main__":
    run_program(main)
