# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Going on with a training that was stopped.

A checkpoint of a training holds, beside the network, every other Parameter of the `TrainStep`
(moments, step count, loss scale, averages, what is accumulated), and as a text how far it was, how
it counted, and its configuration. Augmentation and the order of the images follow from seed and
position. The first process reads the file and gives the others what it holds: they need not see it.
"""

import contextlib
import json
import math
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, bfloat16, int32, nn

from src.model_utils.config import leaves, shown_short
from src.model_utils.device_adapter import Device
from src.model_utils.errors import UserError
from src.model_utils.facts import Facts, facts_of
from src.model_utils.files import PARTIAL_PREFIX, make_writable
from src.model_utils.locks import held
from src.model_utils.messages import say
from src.model_utils.parameters import Config
from src.model_utils.ranks import from_first
from src.training.step import TrainStep
from src.weights import checkpoints

NEWEST = "newest"  # what --resume alone stands for
PROGRESS = checkpoints.STATE_PREFIX + "progress"

NAME = "centernet"  # of checkpoints, before -EPOCH_STEP.ckpt

_FILE_NAME = re.compile(rf"{NAME}-\d+_(\d+)\.ckpt")
# The schedule follows from the configuration, and a request to stop was met.
_NOT_KEPT = ("optimizer.learning_rate", "stop_")
_OF_HALF_AN_UPDATE = tuple(
    checkpoints.STATE_PREFIX + name
    for name in ("accumulated.", "batches", "bad_losses", "overflowed_batches")
)


@dataclass(frozen=True)
class Progress:
    """How far a training is, and how it counts.

    step: batches that each device has trained on.
    steps_per_epoch, batch_size, rank_size, accumulate_steps: what a step is.
    """

    step: int
    steps_per_epoch: int
    batch_size: int
    rank_size: int
    accumulate_steps: int


_MOST_STEPS = 2**31  # a count of steps is an int32
_COUNTS = [field.name for field in fields(Progress)]


@dataclass(frozen=True)
class Stopped:
    """A training as its checkpoint holds it."""

    path: Path
    progress: Progress
    config: dict[str, Any]
    parameters: dict[str, Parameter | str]


@dataclass(frozen=True)
class Beginning:
    """Where a training begins, on one of its processes.

    at: this training's counts, before its first step here.
    continued: the counts of the training that it continues; None if it starts anew.
    stopped: that training; only the first process reads it, for all.
    facts: what its network was made with, on every process.
    """

    at: Progress
    continued: Progress | None = None
    stopped: Stopped | None = None
    facts: Facts = field(default_factory=dict)


def begin(config: Config, device: Device, steps_per_epoch: int) -> Beginning:
    """Where the configured training begins: as --resume says, or with step 0.

    Raises:
        UserError: as `find`.
    """
    stopped = find(config.resume, checkpoint_folder(config)) if device.rank == 0 else None
    facts = checkpoints.facts_in(stopped.parameters, stopped.path) if stopped else {}
    known = json.dumps([asdict(stopped.progress) if stopped else None, facts])
    counts, facts = json.loads(_shared_text(known, device))
    continued = Progress(**counts) if counts else None
    at = start(continued, config, steps_per_epoch, device.rank_size)
    return Beginning(at, continued, stopped, facts)


def checkpoint_folder(config: Config) -> Path:
    """Where the first process writes, and looks for what --resume alone goes on from."""
    return Path(config.save_checkpoint_path) / "ckpt_0"


@contextlib.contextmanager
def own_folder(config: Config, device: Device) -> Iterator[None]:
    """Keeps the folder that this training writes, if it does, from all other trainings.

    The processes of one training are no others: the first alone writes.

    Raises:
        UserError: another training writes there.
        OSError: it cannot be written.
    """
    if device.rank > 0 or not (config.enable_save_ckpt or config.enable_tensorboard):
        yield
        return
    folder = checkpoint_folder(config)
    make_writable(folder.parent)  # before the work, not after it
    advice = "choose another --save_checkpoint_path or wait for its end"
    with held(folder, "training", advice):
        yield


def save(
    path: Path, network: nn.Cell, step_cell: TrainStep, progress: Progress, config: Config
) -> None:
    """Writes a checkpoint that a training can go on from; raises OSError as `checkpoints.save`.

    Weights need not be finite, see `check`.
    """
    fact = json.dumps({**asdict(progress), "config": config.model_dump()})
    parameters = [*network.parameters_and_names(), *_state(step_cell, network)]
    facts = {PROGRESS: fact, checkpoints.MODEL: json.dumps(facts_of(config))}
    checkpoints.save(parameters, path, facts)


def check(path: Path, network: nn.Cell, step_cell: TrainStep) -> None:
    """Raises UserError if what a checkpoint, `path`, would hold is not finite."""
    parameters = {
        name: parameter.asnumpy()
        for name, parameter in (*network.parameters_and_names(), *_state(step_cell, network))
        if not name.startswith(_OF_HALF_AN_UPDATE)
    }
    bad = checkpoints.not_finite(parameters.items())
    if bad:
        raise UserError(
            f"{path}: is not written, as {len(bad)} of {len(parameters)} tensors are not finite "
            f"({bad[0]}): the training has diverged; lower the learning rate and --resume, which "
            "goes on from the last checkpoint."
        )


def find(where: str, folder: Path) -> Stopped | None:
    """The training to go on with, from the newest intact checkpoint; damaged ones are named.

    Args:
        where: --resume: a checkpoint, a folder of them (or the one with its ckpt_0), `NEWEST` for
            this training's own folder, or empty.
        folder: this training's own folder.

    Returns:
        None if there is nothing to go on with: `where` is empty, or `NEWEST` and there is no
        checkpoint yet.

    Raises:
        UserError: a path is given and no intact checkpoint of a training is there.
    """
    if not where:
        return None
    if Path(where).exists() and not Path(where).is_dir():
        return _read(Path(where))
    folders = [folder] if where == NEWEST else [Path(where), Path(where) / "ckpt_0"]
    for path in (path for place in folders for path in numbered(place)):
        try:
            return _read(path)
        except UserError as error:
            say(f"resume: {error} Trying the one before.")
    if where == NEWEST:
        say(f"resume: no checkpoint in {folder}; this training starts anew")
        return None
    raise UserError(f"{where}: there is no intact checkpoint of a training; check --resume.")


def numbered(folder: Path) -> list[Path]:
    """The checkpoints of a training's steps in a folder, newest first, whatever their times."""
    steps = {path: _FILE_NAME.fullmatch(path.name) for path in folder.glob("*.ckpt")}
    found = [path for path, match in steps.items() if match]
    return sorted(found, key=step_of, reverse=True)


def file_name(name: str, step: int, steps_per_epoch: int) -> str:
    """The file name of a checkpoint, or of what `name` says beside it, after a step."""
    return f"{name}-{math.ceil(step / steps_per_epoch)}_{step}.ckpt"


def step_of(path: Path) -> int:
    """The step in a checkpoint's name."""
    match = _FILE_NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def clear(folder: Path) -> None:
    """Removes what a killed training was writing."""
    for partial in folder.glob(f"{PARTIAL_PREFIX}*"):
        shutil.rmtree(partial, ignore_errors=True)


def set_aside(folder: Path, beginning: Beginning) -> None:
    """Moves what does not belong to a training that begins so to FOLDER.N, and says so.

    That is everything if it starts anew or continues one of another folder, else the checkpoints of
    later steps; --resume alone would take them for its own. The one that it goes on from stays. If
    steps count in another way there, it gets the name of its step here, and all others go.
    """
    moved = numbered(folder)
    stopped, at = beginning.stopped, beginning.at
    renamed = None
    if stopped is None or stopped.path.parent.resolve() != folder.resolve():
        moved = list(folder.iterdir()) if moved else []
    elif _counts_alike(stopped.progress, at):
        moved = _with_averages(path for path in moved if step_of(path) > at.step)
    else:
        own = [path for path in moved if path.name == stopped.path.name]
        renamed = own[0] if own else None
        moved = _with_averages(path for path in moved if path != renamed)
    if moved:
        number = 1
        while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
            number += 1
        aside.mkdir()
        for path in moved:
            path.rename(aside / path.name)
        say(f"{folder}: files of an earlier training are now in {aside}")
    if renamed:
        for path in _with_averages([renamed]):
            name, _ = path.name.split("-", 1)
            path.rename(folder / file_name(name, at.step, at.steps_per_epoch))


def _with_averages(paths: Iterable[Path]) -> list[Path]:
    """Checkpoints, and with each the averages that were written beside it."""
    return [
        beside for path in paths
        for beside in path.parent.glob(f"{NAME}*{path.name.removeprefix(NAME)}")
    ]  # fmt: skip


def _shared_text(text: str, device: Device) -> str:
    """The text of the first process, on every process."""
    if device.rank_size == 1:
        return text
    own = np.frombuffer(text.encode(), np.uint8).astype(np.int32)
    shared = np.zeros(from_first(Tensor([len(own)], int32)).asnumpy().item(), np.int32)
    shared[: len(own)] = own[: len(shared)]
    return from_first(Tensor(shared)).asnumpy().astype(np.uint8).tobytes().decode()


def told_by_first(is_so: bool, device: Device) -> bool:
    """What the first process says, on every process; all of them have to ask."""
    if device.rank_size == 1:
        return is_so
    return bool(from_first(Tensor([is_so], int32)).asnumpy().item())


def start(
    stopped: Progress | None, config: Config, steps_per_epoch: int, rank_size: int
) -> Progress:
    """Where a training of this configuration goes on, as it counts; from 0 if there is none.

    With another number of devices or batch size that is the nearest step of the same part of an
    epoch: some images of it come twice, some not at all.
    """
    recipe = config.train_config
    unit = recipe.accumulate_steps
    now = Progress(0, steps_per_epoch, recipe.batch_size, rank_size, unit)
    if stopped is None:
        return now
    if _counts_alike(stopped, now):
        return stopped
    step = round(stopped.step / stopped.steps_per_epoch * steps_per_epoch)
    return replace(now, step=step // unit * unit)


def restore(
    step_cell: TrainStep,
    network: nn.Cell,
    beginning: Beginning,
    config: Config,
    device: Device,
) -> None:
    """Puts the step in the state of the training that it continues, and says what is different.

    Args:
        step_cell, network: of this training, with the weights of the one that it continues.
        beginning: where it begins; nothing is done for one that starts anew.
        config: of this training.
        device: this process.
    """
    progress, stopped, now = beginning.continued, beginning.stopped, beginning.at
    if progress is None:
        return
    state = dict(_state(step_cell, network))
    if not _counts_alike(progress, now):
        # Of an update that was half accumulated each device had its own part.
        state = {name: p for name, p in state.items() if not name.startswith(_OF_HALF_AN_UPDATE)}
    if not step_cell.options.is_dynamic:
        state.pop(checkpoints.STATE_PREFIX + "scale")  # the configuration says it
    if stopped:
        fresh = []
        for name, parameter in state.items():
            found = stopped.parameters.get(name)
            if found is not None and found.shape == parameter.shape:
                parameter.set_data(found)
            else:
                fresh.append(name.removeprefix(checkpoints.STATE_PREFIX))
        _tell(stopped, now, config, fresh)
    if not _counts_alike(progress, now):
        updates = np.array([now.step // now.accumulate_steps], np.int32)
        step_cell.optimizer.global_step.set_data(Tensor(updates))
    if device.rank_size > 1:
        for parameter in [*network.get_parameters(), *state.values()]:
            parameter.set_data(from_first(parameter))


def _tell(stopped: Stopped, now: Progress, config: Config, fresh: list[str]) -> None:
    then = stopped.progress
    say(
        f"resume: {stopped.path}, after step {then.step} (epoch "
        f"{then.step / then.steps_per_epoch:.2f})"
    )
    if not _counts_alike(then, now):
        say(
            f"resume: {then.rank_size} x {then.batch_size} images a step there, {now.rank_size} x "
            f"{now.batch_size} here: goes on after step {now.step} of {now.steps_per_epoch} an "
            "epoch, with the images in another order"
        )
    elif stopped.config.get("seed") != config.seed:
        say("resume: another seed, so the images come in another order")
    changed = changed_settings(stopped.config, config)
    if changed:
        say(f"resume: settings changed: {changed}")
    if fresh:
        say(f"resume: not in the checkpoint, starting anew: {', '.join(fresh)}")


def changed_settings(stored: dict[str, Any], config: Config) -> str:
    """What `config` has other than a checkpoint's configuration, which may be of any form."""
    changed = []
    for name, after in leaves(config.model_dump()):
        before: Any = stored
        for part in name.split("."):
            before = before.get(part) if isinstance(before, dict) else None
        if before != after and name not in ("resume", "load_checkpoint_path"):
            changed.append(f"{name} {shown_short(before)} -> {after!r}")
    return ", ".join(changed)


def _read(path: Path) -> Stopped:
    parameters = checkpoints.read(path)
    fact = parameters.get(PROGRESS)
    if not isinstance(fact, str):
        raise UserError(
            f"{path}: holds weights but no training to go on with; start from them by "
            "--load_checkpoint_path."
        )
    try:
        stored = json.loads(fact)
        counts = {name: stored[name] for name in _COUNTS}
        config = stored["config"]
    except (ValueError, KeyError, TypeError, RecursionError):
        counts, config = {}, None
    is_whole = all(
        type(n) is int and (name != "step") <= n < _MOST_STEPS for name, n in counts.items()
    )
    if not (counts and is_whole and isinstance(config, dict)):
        raise UserError(
            f"{path}: another version of this project wrote how far its training is, which this "
            "one cannot read; start from its weights by --load_checkpoint_path."
        )
    numbers = {
        name: _numbers(value)
        for name, value in parameters.items()
        if not isinstance(value, str) and not name.startswith(_OF_HALF_AN_UPDATE)
    }
    checkpoints.check_finite(numbers, path)
    return Stopped(path, Progress(**counts), config, parameters)


def _numbers(value: Parameter) -> np.ndarray:
    return (value.float() if value.dtype == bfloat16 else value).asnumpy()  # NumPy has none


def _state(step_cell: TrainStep, network: nn.Cell) -> Iterator[tuple[str, Parameter]]:
    """The step's parameters that are not the network's, by their names in a checkpoint."""
    weights = {id(parameter) for parameter in network.get_parameters()}
    for name, parameter in step_cell.parameters_and_names():
        if id(parameter) not in weights and not name.startswith(_NOT_KEPT):
            yield checkpoints.STATE_PREFIX + name, parameter


def _counts_alike(one: Progress, other: Progress) -> bool:
    return replace(one, step=0) == replace(other, step=0)
