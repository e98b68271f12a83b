# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The command line of the scripts here that write a .npz file."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np


def write_arrays(script: str, make_arrays: Callable[[], dict[str, np.ndarray]]) -> None:
    """Writes named arrays beside `script`, as .npz of its name, or to --output, and lists them."""
    default = Path(script).with_suffix(".npz")
    parser = argparse.ArgumentParser(description=f"Write {default.name}.")
    parser.add_argument("--output", type=Path, default=default)
    options = parser.parse_args()
    arrays = make_arrays()
    np.savez_compressed(options.output, **arrays)
    for name, array in arrays.items():
        about = f"mean {array.mean():.6g} std {array.std():.6g}" if array.dtype.kind == "f" else ""
        print(name, array.shape, array.dtype, about)
