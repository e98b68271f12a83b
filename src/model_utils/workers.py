# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Work that several threads or processes do."""

import collections
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from typing import Any


def worker_count(num_workers: int, processes: int = 1) -> int:
    """Threads of one process: `num_workers`, or one for each core that it has if that is 0.

    Processes that no launcher has bound to cores of their own get a share of all.
    """
    cores = len(os.sched_getaffinity(0))
    if cores == os.cpu_count():
        cores = max(1, cores // processes)
    return min(num_workers or cores, len(os.sched_getaffinity(0)))


def map_ahead(
    pool: Executor, function: Callable[[Any], Any], items: Iterable[Any], ahead: int
) -> Iterator[Any]:
    """`pool.map`, in order, that is never more than `ahead` items in front of its consumer."""
    pending: collections.deque[Any] = collections.deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) > ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
