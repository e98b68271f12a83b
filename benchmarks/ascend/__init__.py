# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""MindSpore's Ascend back end on a machine without CANN, in MindSpore's dry run.

MindSpore's package for x86-64 contains its whole Ascend back end, linked to CANN. In a dry run,
which MindSpore documents (MS_SIMULATION_LEVEL), that back end compiles graphs, chooses kernels,
accounts memory and computes nothing. It only wants CANN's libraries to load. `stand_in` builds
libraries that take their place, `dry_run` runs a command through them, `variants` builds this
project's graphs, and `kernels` reads from MindSpore's log which kernel each operator got.

    python -m benchmarks.ascend_dry_run                # kernels and memory of all graphs
    python -m benchmarks.ascend.dry_run CHIP COMMAND   # a program on a simulated chip
"""
