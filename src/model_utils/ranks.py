# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""What the processes of one program tell each other, over HCCL or MindSpore's CPU collectives.

All of them have to call the same functions in the same order. MindSpore is imported inside the
functions, as in `src.model_utils.device_adapter`.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from src.model_utils.errors import UserError, in_one_line
from src.model_utils.messages import say

if TYPE_CHECKING:
    from mindspore import Tensor, nn

# Seconds between two times that they tell each other how they are: fewer than a collective waits on
# a CPU (MS_NODE_TIMEOUT, 30), and than a training that is stopped waits for the others' answer
# (`StopOnSignal`).
ROUND_SECONDS = 10.0

_GOES_ON, _DONE, _STOPPED, _FAILED = range(4)


def from_first(value: "Tensor") -> "Tensor":
    """The value that the first process has, on every process; of float32 or int32."""
    from mindspore import ops

    return ops.Broadcast(0)((value,))[0]


def take_weights_of_first(network: "nn.Cell", rank_size: int) -> None:
    """Gives a network, of float32, the weights that it has on the first process."""
    if rank_size == 1:
        return
    from mindspore import Tensor

    parameters = list(network.get_parameters())
    ends = np.cumsum([parameter.size for parameter in parameters])
    with _lost_together():
        # All at once: a network has hundreds, and each would be a collective of its own shape.
        own = np.concatenate([parameter.asnumpy().ravel() for parameter in parameters])
        first = from_first(Tensor(own)).asnumpy()
        for parameter, values in zip(parameters, np.split(first, ends[:-1]), strict=True):
            parameter.set_data(Tensor(values.reshape(parameter.shape)))


def gathered(data: bytes, rank_size: int) -> list[bytes]:
    """What each process gives, by rank, on every process."""
    if rank_size == 1:
        return [data]
    with _lost_together():
        sizes = _gathered(np.array([len(data)], np.int32), rank_size)[:, 0]
        words = np.zeros(1 + sizes.max() // 4, np.int32)  # what collectives take on every device
        words.view(np.uint8)[: len(data)] = np.frombuffer(data, np.uint8)
        rows = _gathered(words, rank_size).view(np.uint8)
        return [row[:size].tobytes() for row, size in zip(rows, sizes, strict=True)]


def check_alike(what: str, own: bytes, rank_size: int) -> None:
    """Raises UserError, on all processes, unless each gives the same of a file that it has read."""
    for rank, other in enumerate(found := gathered(own, rank_size)):
        if other != found[0]:
            raise UserError(
                f"{what}: what rank {rank} has there is not what rank 0 has; give every server the "
                "same files."
            )


def all_do(
    work: Iterable[object], rank_size: int, is_stopped: Callable[[], bool] | None = None
) -> bool:
    """Has every process do its own work; whether all have done it, and none was stopped.

    They meet every ROUND_SECONDS, and what has happened to one happens to all then: none waits
    longer than that, and the others' step that is going on.

    Args:
        work: of this process, step by step.
        rank_size: number of processes.
        is_stopped: asked after each step; once it is true the rest of the work is left.

    Raises:
        UserError: the work of another process has failed.
        Exception: that of this process has, whatever it was.
    """
    steps = iter(work)
    while True:
        error = None
        try:
            state = _round(steps, is_stopped, rank_size)
        except Exception as caught:  # of any kind: the others are waiting
            error, state = caught, _FAILED
        states = [state]
        if rank_size > 1:
            with _lost_together():
                states = _gathered(np.array([state], np.int32), rank_size)[:, 0].tolist()
        if _FAILED in states:
            said = in_one_line(error) if error else ""
            told = [text.decode() for text in gathered(said.encode(), rank_size)]
            if error:
                raise error
            failed = [rank for rank, state in enumerate(states) if state == _FAILED]
            raise UserError("; ".join(f"rank {rank}: {told[rank]}" for rank in failed) + ".")
        if _GOES_ON not in states or _STOPPED in states:
            return _STOPPED not in states


def in_a_thread(work: Callable[[], Any], results: list[Any]) -> Iterator[None]:
    """Steps for `all_do` that wait for work that has none; `results` gets what it gives.

    If the steps are left, nobody waits for the work any more, not even at the end of the process.
    """
    errors = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.5)
        yield
    if errors:
        raise errors[0]


def _round(steps: Iterator[object], is_stopped: Callable[[], bool] | None, rank_size: int) -> int:
    end = time.monotonic() + ROUND_SECONDS
    for _ in steps:
        if is_stopped is not None and is_stopped():
            return _STOPPED
        if rank_size > 1 and time.monotonic() > end:
            return _GOES_ON
    # It may have done its work before, and wait for others.
    return _STOPPED if is_stopped is not None and is_stopped() else _DONE


def _gathered(own: np.ndarray, rank_size: int) -> np.ndarray:
    """int32 (rank_size,n) of int32 (n,) from each."""
    from mindspore import Tensor, ops

    return ops.AllGather()(Tensor(own)).asnumpy().reshape(rank_size, -1)


@contextlib.contextmanager
def _lost_together() -> Iterator[None]:
    """Ends the process if a collective fails: it cannot be in step with the others any more."""
    try:
        yield
    except Exception as error:
        say(
            f"error: the other processes are lost ({in_one_line(error)}); the log of the one that "
            "ended first says why.",
            to_stderr=True,
        )
        sys.exit(1)
