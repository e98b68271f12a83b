# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Watching a training: its records, their files and picture, and evaluations between steps."""

import json
import math
import os
import struct
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from src.evaluation.models import create_detector
from src.evaluation.run import Evaluation
from src.model_utils.errors import UserError
from src.models.network import create_network
from src.tasks.boxes import TASK
from src.training.counting import Plan
from src.training.evaluating import PeriodicEvaluation
from src.training.log import TrainingLog, TrainingPicture
from src.training.metrics import (
    MetricsFile,
    TensorBoardLog,
    best_average_precision,
    print_record,
    read_records,
)
from src.visual import curves
from tests.conftest import QUICKSTART
from tests.helpers import config, graph_mode, set_seeded_parameters

PNG_SIZE = (880, 900)  # height, width of a picture with three panels
RATES = np.linspace(1e-3, 1e-4, 10, dtype=np.float32)


def step_record(step: int, loss: float = 2.0, **changes: object) -> dict:
    record = {
        "step": step, "epoch": 1, "epoch_percent": 0.5, "loss": loss, "hm_loss": 1.0,
        "wh_loss": 8.0, "off_loss": 0.5, "lr": 1e-4, "overflow": False, "scale": 1024.0,
        "images_per_second": 30.0, "seconds_left": 3661.0, "seconds": 1.0,
    }  # fmt: skip
    return {**record, **changes}


def evaluation_record(step: int, ap: float) -> dict:
    return {
        "step": step, "epoch": 1, "AP": ap, "AP50": 1.5 * ap, "AP75": 0.9 * ap,
        "of_averages": False, "evaluation_seconds": 2.0, "seconds": 9.0,
    }  # fmt: skip


def context(step: int, outputs: tuple = ()) -> SimpleNamespace:
    """MindSpore's RunContext after a step."""
    params = SimpleNamespace(cur_step_num=step, net_outputs=outputs)
    return SimpleNamespace(original_args=lambda: params)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time that a test sets."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


def test_a_record_is_in_the_file_as_soon_as_it_is_made_and_is_strict_json(tmp_path: Path):
    path = tmp_path / "ckpt_0" / "metrics.jsonl"
    record = MetricsFile(path, first_step=0)
    for count, loss in enumerate([2.0, math.nan, math.inf], start=1):
        record(step_record(count, loss))
        assert path.read_text().count("\n") == count

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    lines = path.read_text().splitlines()
    found = [json.loads(line, parse_constant=refuse) for line in lines]
    assert [line["loss"] for line in found] == [2.0, None, None]
    assert found[0] == step_record(1)


def test_a_resumed_training_drops_later_records_and_a_half_line_and_goes_on(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    first = MetricsFile(path, first_step=0)
    for step in (1, 2, 3):
        first(step_record(step))
        first(evaluation_record(step, ap=step / 10))
    with path.open("a") as file:
        file.write('{"step": 2, "epo')  # killed while it wrote
    MetricsFile(path, first_step=2)(step_record(3, loss=9.0))
    kept = read_records(path)
    assert [record["step"] for record in kept] == [1, 1, 2, 2, 3]
    assert kept[-1]["loss"] == 9.0
    assert best_average_precision(kept) == 0.2
    MetricsFile(path, first_step=0)
    assert read_records(path) == []
    assert best_average_precision([]) == -math.inf


def test_a_step_is_printed_with_whatever_parts_its_loss_has(capsys: pytest.CaptureFixture[str]):
    print_record(step_record(3))
    line = "epoch: 1, current epoch percent: 0.500, step: 3, loss: 2.00000, {}, lr: 1.000e-04, "
    line += "overflow: False, scale: 1024, images/s: 30.0, time left: 1:01:01\n"
    parts = "hm_loss: 1.00000, wh_loss: 8.00000, off_loss: 0.50000"
    assert capsys.readouterr().out == line.format(parts)
    records: list[dict] = []
    optimizer = SimpleNamespace(global_step=Tensor([1], ms.int32))
    log = TrainingLog(Plan(4, 8, 1, 16), RATES, optimizer, ("a_loss", "hp_loss"), [records.append])
    losses = Tensor([2.5, 1.0, 8.0], ms.float32)
    log.on_train_step_end(context(1, (losses, Tensor(False), Tensor(1.0, ms.float32))))
    print_record(records[0])
    assert ", loss: 2.50000, a_loss: 1.00000, hp_loss: 8.00000, lr: " in capsys.readouterr().out


def test_an_evaluation_is_printed_in_one_line(capsys: pytest.CaptureFixture[str]):
    print_record(evaluation_record(458, ap=0.2))
    expected = (
        "evaluation: epoch: 1, step: 458, AP: 0.2000, AP50: 0.3000, AP75: 0.1800, seconds: 2.0\n"
    )
    assert capsys.readouterr().out == expected
    print_record({**evaluation_record(458, ap=0.2), "of_averages": True})
    assert capsys.readouterr().out == f"{expected.rstrip()}, weights: averaged\n"
    print_record({**evaluation_record(458, ap=0.2), "bbox_AP": 0.4, "bbox_AP50": 0.5})  # of poses
    assert ", AP75: 0.1800, bbox_AP: 0.4000, seconds: 2.0\n" in capsys.readouterr().out


def make_log(records: list, first_step: int = 0) -> TrainingLog:
    """Four steps an epoch, ten in all, a record every two."""
    optimizer = SimpleNamespace(global_step=Tensor([7], ms.int32))
    log = TrainingLog(Plan(4, len(RATES), 2, 16), RATES, optimizer, TASK.losses, [records.append])
    log.on_train_begin(context(first_step))
    return log


def outputs(overflow: bool = False) -> tuple[Tensor, ...]:
    losses = Tensor([2.5, 1.0, 8.0, 0.5], ms.float32)
    return losses, Tensor(overflow), Tensor(1024.0, ms.float32)


def test_a_record_has_the_numbers_of_its_step(clock: SimpleNamespace):
    records: list[dict] = []
    log = make_log(records)
    for step in range(1, 7):
        clock.now += 0.5
        log.on_train_step_end(context(step, outputs(overflow=step == 6)))
    assert [record["step"] for record in records] == [2, 4, 6]
    expected = {
        "step": 6, "epoch": 2, "epoch_percent": 0.5, "loss": 2.5, "hm_loss": 1.0, "wh_loss": 8.0,
        "off_loss": 0.5, "lr": RATES[6].item(), "overflow": True, "scale": 1024.0,
        "images_per_second": 32.0, "seconds_left": 2.0, "seconds": 3.0,
    }  # fmt: skip
    assert records[-1] == expected


def test_steps_count_on_in_a_resumed_training(clock: SimpleNamespace):
    records: list[dict] = []
    log = make_log(records, first_step=4)
    clock.now += 1.0
    log.on_train_step_end(context(6, outputs()))
    clock.now += 1.0
    log.on_train_step_end(context(8, outputs()))
    first, second = records
    assert (first["step"], first["epoch"], first["epoch_percent"]) == (6, 2, 0.5)
    assert (second["images_per_second"], second["seconds_left"]) == (32.0, 1.0)


def test_speeds_and_the_time_left_leave_the_compilation_out(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
):
    for returns_at, known in (((1, 2, 3, 4), [True, True]), ((2, 4), [False, True])):
        records: list[dict] = []
        log = make_log(records)
        before = 0
        clock.now += 600.0  # compiling
        for step in returns_at:
            clock.now += 0.5 * (step - before)
            before = step
            log.on_train_step_end(context(step, outputs()))
        speeds = [32.0 if is_known else math.nan for is_known in known]
        left = [4.0 if known[0] else math.nan, 3.0]
        np.testing.assert_equal([record["images_per_second"] for record in records], speeds)
        np.testing.assert_equal([record["seconds_left"] for record in records], left)
        capsys.readouterr()
        print_record(records[0])
        ends = "images/s: 32.0, time left: 0:00:04\n" if known[0] else "images/s: -, time left: -\n"
        assert capsys.readouterr().out.endswith(ends)


def test_speeds_and_epoch_times_leave_out_evaluations(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
):
    records: list[dict] = []
    log = make_log(records)
    for step in range(1, 9):
        clock.now += 0.5
        log.on_train_step_end(context(step, outputs()))
        if step == 4:
            clock.now += 60.0
            log.record_evaluation(step, {"AP": 0.25}, of_averages=True, seconds=60.0)
    assert records[2] == {
        "step": 4, "epoch": 1, "AP": 0.25, "of_averages": True, "evaluation_seconds": 60.0,
        "seconds": 62.0,
    }  # fmt: skip
    assert [record.get("images_per_second") for record in records] == [32.0, 32.0, None, 32.0, 32.0]
    assert records[-1]["seconds"] == 64.0
    assert capsys.readouterr().out.count("epoch time: 2000.000 ms, per step time: 500.000 ms") == 2


class Noted:
    """What a `PeriodicEvaluation` hands to its log, and the steps of its best checkpoints."""

    def __init__(self) -> None:
        self.records: list[tuple[int, float]] = []
        self.saved: list[int] = []

    def record_evaluation(
        self, step: int, numbers: dict[str, float], of_averages: bool, seconds: float
    ) -> None:
        self.records.append((step, numbers["AP"]))

    def leave_out(self, seconds: float) -> None:
        pass

    def evaluation(self, found: list[float | None], every: int, total: int, **options: object):
        """One that finds these AP; None is one that is broken off, an error one that fails."""
        results = iter(found)

        def evaluate() -> dict[str, float] | None:
            ap = next(results)
            if isinstance(ap, Exception):
                raise ap
            return None if ap is None else {"AP": ap}

        return PeriodicEvaluation(
            evaluate, self, Plan(every, total, 1, 1), every, self.saved.append, **options
        )


def test_evaluations_come_each_interval_and_at_the_end_and_the_best_is_saved():
    noted = Noted()
    callback = noted.evaluation([0.1, 0.3, 0.2, 0.4], 4, 14, best_ap=0.2)
    for at in (1, 3, 5, 7, 9, 11, 13, 14):  # with a data sink, steps leap
        callback.on_train_step_end(context(at))
    assert noted.records == [(5, 0.1), (9, 0.3), (13, 0.2), (14, 0.4)]
    assert noted.saved == [9, 14]


def test_an_evaluation_that_is_broken_off_leaves_no_numbers(capsys):
    noted = Noted()
    callback = noted.evaluation([None, 0.3], 4, 8)
    callback.on_train_step_end(context(4))
    assert (noted.records, noted.saved) == ([], [])
    assert capsys.readouterr().out == "evaluation after step 4: broken off\n"
    callback.on_train_step_end(context(8))
    assert (noted.records, noted.saved) == ([(8, 0.3)], [8])


FAILURES = [
    (
        UserError("val/7.jpg: does not decode; restore it."),
        "val/7.jpg: does not decode; restore it",
    ),
    (KeyError("info"), "KeyError: 'info'"),
    (MemoryError(), "MemoryError"),
    (OSError(28, "No space left on device", "out.json"), "out.json: No space left on device"),
    (RuntimeError("For 'TopK'\n\n- k is 9."), "RuntimeError: For 'TopK' - k is 9"),
]


@pytest.mark.parametrize(("error", "sentence"), FAILURES)
def test_an_evaluation_that_fails_is_told_in_one_line_and_the_next_one_comes(
    error: Exception, sentence: str, capsys: pytest.CaptureFixture[str]
):
    noted = Noted()
    callback = noted.evaluation([error, 0.3], 4, 8)
    callback.on_train_step_end(context(4))
    expected = f"error: evaluation after step 4: {sentence}; the training goes on\n"
    assert capsys.readouterr().out == expected
    callback.on_train_step_end(context(8))
    assert (noted.records, noted.saved) == ([(8, 0.3)], [8])


def test_a_best_checkpoint_that_is_not_written_does_not_count(capsys):
    noted = Noted()
    callback = noted.evaluation([0.3, 0.2], 4, 12)
    full = iter([OSError(28, "No space left on device", "best.ckpt")])

    def save(step: int) -> None:
        for error in full:
            raise error
        noted.saved.append(step)

    callback._save_best = save
    callback.on_train_step_end(context(4))
    assert "error: best checkpoint: best.ckpt: No space left on device;" in capsys.readouterr().out
    callback.on_train_step_end(context(8))
    assert noted.saved == [8] and noted.records == [(4, 0.3), (8, 0.2)]


def test_a_resumed_training_evaluates_at_the_steps_of_an_unbroken_one():
    noted = Noted()
    callback = noted.evaluation([0.1, 0.1], 4, 12)
    callback.on_train_begin(context(6))
    for at in range(7, 13):
        callback.on_train_step_end(context(at))
    assert noted.records == [(8, 0.1), (12, 0.1)]


def test_a_resumed_training_makes_the_evaluation_that_it_was_stopped_before():
    noted = Noted()
    callback = noted.evaluation([0.1, 0.2], 4, 8, is_owed=True)
    callback.on_train_begin(context(4))
    for at in range(5, 9):
        callback.on_train_step_end(context(at))
    assert noted.records == [(4, 0.1), (8, 0.2)]


def test_a_recorder_that_fails_is_told_once_and_the_others_get_their_records(capsys):
    records: list[dict] = []
    failures = iter(
        [OSError(28, "No space left on device", "log"), ValueError("x"), None, OSError()]
    )

    def recorder(record: dict) -> None:
        error = next(failures)
        if error is not None:
            raise error

    optimizer = SimpleNamespace(global_step=Tensor([7], ms.int32))
    log = TrainingLog(
        Plan(4, len(RATES), 1, 16), RATES, optimizer, TASK.losses, [recorder, records.append]
    )
    log.on_train_begin(context(0))
    told = []
    for step in (1, 2, 3, 4):
        log.on_train_step_end(context(step, outputs()))
        told.append("records get lost" in capsys.readouterr().out)
    assert [record["step"] for record in records] == [1, 2, 3, 4]
    assert told == [True, False, False, True]


def test_a_picture_that_cannot_be_drawn_is_told_in_one_line(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.delattr(curves, "training_curves")  # half an installation
    metrics = tmp_path / "metrics.jsonl"
    callback = TrainingPicture(metrics, tmp_path / "training.png", Plan(1, 4, 1, 1))
    callback.on_train_step_end(context(1))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("error: picture of the training: AttributeError: ")
    assert line.endswith("; the training goes on")


def test_an_evaluation_sees_the_weights_of_its_moment_in_inference_mode(shapes: Path):
    settings = config(
        *("--config_path", str(QUICKSTART), "--data_dir", str(shapes)),
        *("--eval_config.num_images", "2", "--eval_config.keep_res", "false"),
    )
    with graph_mode():
        network = set_seeded_parameters(create_network(settings))
        evaluation = Evaluation(settings, create_detector(settings, network), "val")
        first = evaluation.detect()
        asked = iter([False, True])
        assert evaluation.numbers(lambda: next(asked)) is None
        network.set_train(True)
        assert evaluation.detect() == first
        network.set_train(True)
        for parameter in network.get_parameters():
            parameter.set_data(parameter * 0.9)
        later = evaluation.detect()
        other = create_network(settings)
        for mine, source in zip(other.get_parameters(), network.get_parameters(), strict=True):
            mine.set_data(source.value())
        assert later == Evaluation(settings, create_detector(settings, other), "val").detect()
    assert later != first


def lines_of(axes: object) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {line.get_label(): line.get_data() for line in axes.get_lines()}


def test_the_picture_shows_losses_learning_rate_and_ap_over_steps(tmp_path: Path):
    records = [step_record(step, loss=10 / step, lr=1e-4 * step) for step in range(1, 7)]
    records[3] = step_record(4, loss=None, overflow=True)
    records.insert(3, evaluation_record(3, ap=0.1))
    records.append(evaluation_record(6, ap=0.3))
    figure = curves.training_curves(records)
    losses, rate, ap = figure.axes
    steps, values = lines_of(losses)["loss"]
    assert list(steps) == [1, 2, 3, 5, 6]
    np.testing.assert_allclose(values, [10, 5, 10 / 3, 2, 10 / 6])
    assert set(lines_of(losses)) == {"loss", "hm_loss", "wh_loss", "off_loss", "overflow"}
    assert list(lines_of(losses)["overflow"][0]) == [4]
    np.testing.assert_allclose(rate.get_lines()[0].get_ydata()[[0, -1]], [1e-4, 6e-4])
    assert list(lines_of(ap)["AP"][0]) == [3, 6] and list(lines_of(ap)["AP"][1]) == [0.1, 0.3]
    assert set(lines_of(ap)) == {"AP", "AP50", "AP75"}
    assert losses.get_yscale() == "log"
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ["loss", "learning rate", "AP (0 to 1)"]
    assert ap.get_xlabel() == "step"
    curves.write_figure(tmp_path / "training.png", figure)
    of_poses = [record | {"bbox_AP": 0.5} if "AP" in record else record for record in records]
    found = lines_of(curves.training_curves(of_poses).axes[2])
    assert list(found["bbox_AP"][1]) == [0.5, 0.5] and list(found["AP"][1]) == [0.1, 0.3]
    picture = cv2.imread(str(tmp_path / "training.png"))
    assert picture.shape[:2] == PNG_SIZE
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50  # not blank
    assert [path.name for path in tmp_path.iterdir()] == ["training.png"]


def test_long_curves_are_thinned_out_to_means():
    records = [step_record(step, loss=float(step % 2)) for step in range(1, 30_001)]
    losses, rate = curves.training_curves(records).axes  # no evaluation, no panel for it
    steps, values = lines_of(losses)["loss"]
    assert len(steps) == len(rate.get_lines()[0].get_xdata()) == 1000
    assert (steps[0], steps[-1]) == (15.5, 29_985.5)
    np.testing.assert_allclose(values, 0.5)
    assert losses.get_ylabel() == "loss (means of 30 records)"


def test_a_training_without_offsets_or_records_can_be_drawn(tmp_path: Path):
    figure = curves.training_curves([step_record(1, off_loss=0.0), step_record(2, off_loss=0.0)])
    assert set(lines_of(figure.axes[0])) == {"loss", "hm_loss", "wh_loss"}
    curves.write_figure(tmp_path / "training.png", curves.training_curves([]))


def test_the_picture_draws_whatever_parts_the_loss_has():
    figure = curves.training_curves([{"step": 1, "a_loss": 1.0, "loss": 3.0, "hp_loss": 2.0}])
    assert list(lines_of(figure.axes[0])) == ["loss", "a_loss", "hp_loss"]


def test_the_picture_is_drawn_at_ends_of_epochs_but_not_all_the_time(
    clock: SimpleNamespace, tmp_path: Path
):
    metrics, picture = tmp_path / "metrics.jsonl", tmp_path / "training.png"
    MetricsFile(metrics, 0)(step_record(1))
    callback = TrainingPicture(metrics, picture, Plan(2, 11, 1, 1), pause=20.0)
    drawn = []
    for step in range(1, 12):
        clock.now += 4.0
        picture.unlink(missing_ok=True)
        callback.on_train_step_end(context(step))
        if picture.exists():
            drawn.append(step)
    assert drawn == [2, 8, 11]


def read_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The scalars of the only event file in a folder."""
    (path,) = folder.iterdir()
    return scalars_of(path)


def scalars_of(path: Path) -> dict[str, list[tuple[int, float]]]:
    """The scalars of an event file: TFRecords (length, its checksum, an Event, its checksum)."""
    from tensorboardX.proto.event_pb2 import Event

    content, scalars = path.read_bytes(), {}
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        event = Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]
        for value in event.summary.value:
            scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
    return scalars


def test_tensorboard_gets_every_number_at_its_step(tmp_path: Path):
    pytest.importorskip("tensorboardX", reason="tensorboardX is optional: requirements/tensorboard")
    record = TensorBoardLog(tmp_path / "tensorboard", first_step=0)
    record(step_record(1, loss=4.0))
    record(step_record(2, loss=3.0))
    record(evaluation_record(2, ap=0.25))
    scalars = read_scalars(tmp_path / "tensorboard")
    assert scalars["training/loss"] == [(1, 4.0), (2, 3.0)]
    assert scalars["training/overflow"] == [(1, 0.0), (2, 0.0)]
    assert scalars["evaluation/AP"] == [(2, 0.25)]


def test_tensorboard_that_is_not_installed_is_refused_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)  # as if absent, also where it is not
    with pytest.raises(UserError, match=r"pip install -r requirements/tensorboard\.txt"):
        TensorBoardLog(tmp_path, first_step=0)


def test_tensorboard_on_a_full_disk_goes_on_in_another_file(tmp_path: Path):
    pytest.importorskip("tensorboardX", reason="tensorboardX is optional: requirements/tensorboard")
    folder = tmp_path / "tensorboard"
    record = TensorBoardLog(folder, first_step=0)
    record(step_record(1, loss=4.0))
    (first,) = folder.iterdir()
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        descriptor = record._writer._py_recordio_writer._writer.fileno()
        before = os.dup(descriptor)
        os.dup2(full.fileno(), descriptor)
    with pytest.raises(OSError, match="No space left on device"):
        record(step_record(2, loss=3.0))
    os.close(before)
    record(step_record(3, loss=2.0))
    assert scalars_of(first)["training/loss"] == [(1, 4.0)]
    (second,) = set(folder.iterdir()) - {first}
    assert scalars_of(second)["training/loss"] == [(3, 2.0)]
