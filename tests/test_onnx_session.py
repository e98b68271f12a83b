# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Exported ONNX files in ONNX Runtime: predict.py, eval.py and other runners."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from src.data.augment import colour_statistics, normalisation
from src.deploy.onnx_file import write_onnx
from src.deploy.onnx_session import FACTS_KEY, load_onnx, read_onnx, start
from src.evaluation.models import create_detector, load_detector
from src.evaluation.run import Evaluation
from src.model_utils.errors import UserError
from src.model_utils.facts import exported_facts, write_facts
from src.model_utils.parameters import Config
from src.models.network import Network, create_network, with_decode
from tests.conftest import PROJECT, QUICKSTART, Program, assert_refused
from tests.helpers import config, graph_mode, set_seeded_parameters
from tests.test_modelarts import ModelArts

OPTIONS = (
    *("--config_path", str(QUICKSTART), "--dataset_config.input_res_test", "[64, 64]"),
    *("--export_config.batch_size", "3", "--export_config.input_dtype", "uint8"),
)
Capsys = pytest.CaptureFixture[str]


def exported(path: Path) -> tuple[Config, Network]:
    """Writes a model and its json; gives its configuration and its network.

    The weights are seeded, and an input hardly shakes what follows from them.
    """
    values = config(*OPTIONS)
    network = set_seeded_parameters(create_network(values))
    for name, parameter in network.parameters_and_names():
        if name.endswith(".2.weight"):
            parameter.set_data(parameter * 0.1)
        if name == "heads.wh.2.bias":  # boxes with sides of about 5 cells
            parameter.set_data(parameter + 5)
    dataset, options = values.dataset_config, values.export_config
    with graph_mode():
        write_onnx(
            with_decode(network, values, normalisation(colour_statistics(dataset))),
            (options.batch_size, 3, *dataset.input_res_test),
            options.input_dtype,
            path,
            facts=json.dumps(exported_facts(values)),
            tolerance=1e-3,
        )
    write_facts(path, values)
    return values, network


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Config, Network]:
    """An ONNX file with its json, and of what it was made."""
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    return path, *exported(path)


@pytest.fixture
def model(made: tuple[Path, Config, Network], tmp_path: Path) -> Path:
    """A copy of the file and its json, in the test's folder."""
    shutil.copy(made[0].with_suffix(".json"), tmp_path)
    return Path(shutil.copy(made[0], tmp_path))


@pytest.fixture(scope="module")
def without_mindspore(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a machine that has no MindSpore."""
    folder = tmp_path_factory.mktemp("none")
    (folder / "mindspore.py").write_text("raise ImportError('no MindSpore here')\n")
    return {"PYTHONPATH": str(folder)}


def labelled(evaluation: Evaluation, results: list[dict[str, Any]], path: Path) -> Evaluation:
    """The evaluation by an annotation file of which the results find some: their best, moved."""
    content = json.loads(evaluation.set.annotation_path.read_text())
    content["annotations"] = [
        {
            **{name: found[name] for name in ("image_id", "category_id")},
            **{"id": place + 1, "iscrowd": 0, "area": found["bbox"][2] * found["bbox"][3]},
            "bbox": [found["bbox"][0] + 4 * (place % 3), *found["bbox"][1:]],
        }
        for place, found in enumerate(results)
        if place % 100 < 40
    ]
    path.write_text(json.dumps(content))
    evaluation.set = replace(evaluation.set, annotation_path=path)
    return evaluation


def test_boxes_and_ap_are_those_of_the_network(
    made: tuple[Path, Config, Network], shapes: Path, tmp_path: Path, capsys: Capsys
):
    path, values, network = made
    values = values.model_copy(update={"data_dir": str(shapes)})
    with graph_mode():
        evaluation = Evaluation(values, create_detector(values, network), "val")
        expected = evaluation.detect()
    given = config("--load_onnx_path", str(path), "--data_dir", str(shapes))
    used, detector = load_detector(given, "load_onnx_path")
    own = Evaluation(used, detector, "val")
    found = own.detect(tmp_path / "pictures")
    told = capsys.readouterr().out
    assert "device: CPU (ONNX Runtime's CPUExecutionProvider; --device_target chooses" in told
    assert "pictures have no heat maps" in told
    assert len(list((tmp_path / "pictures").iterdir())) == 8
    assert len(found) == len(expected) == 8 * 100
    for ours, theirs in zip(found, expected, strict=True):
        assert ours["category_id"] == theirs["category_id"]
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-6)
        assert ours["bbox"] == pytest.approx(theirs["bbox"], abs=1e-3)
    annotations = tmp_path / "a.json"
    numbers = labelled(evaluation, expected, annotations).score(expected).numbers
    assert 0.05 < numbers["AP"] < 0.95
    assert labelled(own, expected, annotations).score(found).numbers == pytest.approx(
        numbers, abs=1e-4
    )


def test_other_runners_get_the_ap_of_eval_by_what_the_readme_says_and_no_mindspore(
    model: Path, shapes: Path, program: Program, without_mindspore: dict[str, str], tmp_path: Path
):
    (block,) = re.findall(
        r"^```python\n(.*?)^```", (PROJECT / "README.md").read_text(), re.M | re.S
    )
    model.rename(tmp_path / "centernet.onnx")
    model.with_suffix(".json").unlink()  # the file says the same itself
    onnx_path = ("--load_onnx_path", "centernet.onnx")
    steps = (
        ("preprocess.py", *onnx_path, "--val_data_dir", shapes, "--predict_dir", "preprocess"),
        ("-c", block),
        ("postprocess.py", "--result_path", "result_Files", "--meta_path", "preprocess/meta",
         "--val_data_dir", shapes, "--save_path", "acc"),
        ("eval.py", *onnx_path, "--data_dir", shapes),
    )  # fmt: skip
    for name, *arguments in steps:
        if name == "-c":
            subprocess.run([sys.executable, name, *arguments], cwd=tmp_path, check=True)
            continue
        done = program(name, *arguments, cwd=tmp_path, **without_mindspore)
        assert done.returncode == 0, done.stderr
    assert "taken from centernet.onnx: " in done.stdout
    expected = json.loads((tmp_path / "eval.json").read_text())
    found = json.loads((tmp_path / "acc" / "eval_310.json").read_text())
    assert found["numbers"] == pytest.approx(expected["numbers"], abs=1e-6)
    boxes, own = (
        json.loads(path.read_text())
        for path in (tmp_path / "results_val.json", tmp_path / "acc" / "results_310.json")
    )
    assert len(boxes) == len(own) == 8 * 100
    for ours, theirs in zip(own, boxes, strict=True):
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-6)
        assert ours["bbox"] == pytest.approx(theirs["bbox"], abs=1e-3)


def test_predict_runs_it_without_mindspore_and_refuses_what_contradicts_it(
    model: Path, shapes: Path, program: Program, without_mindspore: dict[str, str], tmp_path: Path
):
    image = shapes / "val2017" / "000001000001.jpg"
    options = ("--input", image, "--output", "out", "--load_onnx_path", model)

    def predict(*arguments: object) -> "subprocess.CompletedProcess[str]":
        return program("predict.py", *options, *arguments, cwd=tmp_path, **without_mindspore)

    done = predict("--score_thresh", 0)
    assert done.returncode == 0, done.stderr
    assert "device: CPU (ONNX Runtime's CPUExecutionProvider" in done.stdout
    found = json.loads((tmp_path / "out" / "000001000001.jpg.json").read_text())
    _, detector = load_detector(config("--load_onnx_path", str(model)), "load_onnx_path")
    (rows,) = detector.detect([image])
    expected = [[*map(float, row[:4])] for row in rows]
    assert [box["box"] for box in found["boxes"]] == [pytest.approx(row) for row in expected]
    done = predict("--dataset_config.input_res_test", "[96, 64]")
    assert_refused(done, "model.json", "input_res_test [64, 64], but command line says [96, 64]")
    model.write_text("no model")
    model.with_suffix(".json").unlink()
    assert_refused(predict(), "model.onnx", "is not an ONNX file")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--device_target", "Ascend"), "this ONNX Runtime has no CANNExecutionProvider"),
        (("--device_target", "GPU"), "has no CUDAExecutionProvider; use --device_target CPU"),
        (("--eval_config.flip_test", "true"), "takes one size and no mirrored images"),
        (("--eval_config.multi_scales", "[1, 1.5]"), "takes one size and no mirrored images"),
        (("--net_config.head_conv", "64"), "was made with net_config.head_conv 32, but command"),
    ],
)
def test_what_it_cannot_do_is_refused(options: tuple[str, ...], message: str, model: Path):
    given = config("--load_onnx_path", str(model), *options)
    with pytest.raises(UserError, match=message):
        load_detector(given, "load_onnx_path")


@pytest.mark.parametrize(
    ("there", "target", "tried"),
    [
        ("CUDA CPU", "auto", "CUDA CPU"),
        ("CPU CUDA CANN", "auto", "CANN CUDA CPU"),
        ("Tensorrt CUDA CANN CPU", "GPU", "CUDA"),
        ("CUDA CPU", "CPU", "CPU"),
    ],
)
def test_the_best_device_that_is_there_is_tried_first(
    there: str, target: str, tried: str, model: Path, monkeypatch: pytest.MonkeyPatch
):
    """By a stand-in: no machine has all of them. As ONNX Runtime, it takes the CPU if all fail."""

    class InferenceSession:
        def __init__(self, content: bytes, options: object, providers: list, **_: object) -> None:
            assert [name for name, _ in providers] == names(tried)
            self.starts = names(tried)[:1] if starts else names("CPU")

        def get_providers(self) -> list[str]:
            return self.starts

    def names(text: str) -> list[str]:
        return [f"{word}ExecutionProvider" for word in text.split()]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names(there))
    monkeypatch.setattr(onnxruntime, "InferenceSession", InferenceSession)
    file, starts = read_onnx(model), True
    assert start(file, target).provider == names(tried)[0]
    starts = False
    if target == "GPU":
        with pytest.raises(UserError, match=r"CUDAExecutionProvider .* does not start here; use"):
            start(file, target)
    else:
        assert start(file, target).provider == "CPUExecutionProvider"


def test_images_of_an_own_size_are_warped_to_the_models_which_is_said(model: Path, capsys: Capsys):
    given = config("--load_onnx_path", str(model), "--eval_config.keep_res", "true")
    used, _ = load_detector(given, "load_onnx_path")
    assert not used.eval_config.keep_res
    assert f"images are warped to 64x64, the size that {model} takes" in capsys.readouterr().out


def add_other_output(graph: onnx.GraphProto) -> None:
    graph.output.append(graph.input[0])


def change_a_weight(change: Callable[[TensorProto], object]) -> Callable[[onnx.GraphProto], None]:
    """Changes the largest weight."""
    return lambda graph: change(max(graph.initializer, key=TensorProto.ByteSize))


def set_nan(weight: TensorProto) -> None:
    values = numpy_helper.to_array(weight).copy()
    values.flat[7] = np.nan
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))


def keep_elsewhere(weight: TensorProto) -> None:
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="secret.bin")


def side(which: str, axis: int, size: int) -> Callable[[onnx.GraphProto], object]:
    def change(graph: onnx.GraphProto) -> None:
        getattr(graph, which)[0].type.tensor_type.shape.dim[axis].dim_value = size

    return change


DAMAGES = {
    "no shape": (
        lambda graph: graph.output[0].type.tensor_type.shape.ClearField("dim"),
        "is not a model of images",
    ),
    "no output": (lambda graph: graph.output.pop(), "is not a model of images"),
    "two outputs": (add_other_output, "is not a model of images"),
    "channels": (side("input", 1, 4), "is not a model of images"),
    "batch": (side("input", 0, 2**40), "is not a model of images"),
    "height": (side("input", 2, 2**40), "takes images .*, but dataset_config.input_res_test"),
    "rows": (side("output", 1, 7), "gives other detections than it says"),
    "columns": (side("output", 2, 9), "gives detections .*, but the task's have 6 numbers"),
    "not finite": (change_a_weight(set_nan), "is not finite: the model is damaged"),
    "elsewhere": (change_a_weight(keep_elsewhere), "is in another file"),
    "shape": (change_a_weight(lambda w: w.dims.append(2**40)), "has not the bytes of that"),
    "bytes": (change_a_weight(lambda w: w.ClearField("raw_data")), "has not the bytes of that"),
    "type": (change_a_weight(lambda w: setattr(w, "data_type", 99)), "has not the bytes of that"),
    "no node": (lambda graph: graph.node.pop(), "ONNX Runtime does not run it"),
    "operator": (lambda graph: setattr(graph.node[0], "op_type", "Foo"), "does not run it"),
    "domain": (lambda graph: setattr(graph.node[0], "domain", "com.x"), "ONNX does not define"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_end_in_a_sentence(damage: str, model: Path):
    (model.parent / "secret.bin").write_bytes(bytes(1_000_000))
    change, message = DAMAGES[damage]
    content = onnx.load(model)
    change(content.graph)
    model.write_bytes(content.SerializeToString())
    model.with_suffix(".json").unlink()
    with pytest.raises(UserError, match=message) as caught:
        _, detector = load_detector(config("--load_onnx_path", str(model)), "load_onnx_path")
        list(detector.detect([np.zeros((50, 60, 3), np.uint8)]))
    assert str(caught.value).startswith(f"{model}: ")


@pytest.mark.parametrize("content", [b"", b"text\n", bytes(1000), b"\x7fELF" * 100])
def test_files_that_are_no_onnx_end_in_a_sentence(content: bytes, tmp_path: Path):
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{path}: is not .*; give a file that export.py wrote\."):
        read_onnx(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("[", "what it says of itself is damaged"),
        ({"task": "pose"}, "gives detections"),
        ({"net_config.network": "vgg"}, "does not know"),
        ({"dataset_config.coco_classes": ["a"]}, "other classes than the 1 of"),
        ({"dataset_config.coco_classes": []}, "does not say its classes"),
        ({"dataset_config.input_res_test": [0, -5]}, "input_res_test"),
        ({"no.such": 1}, "does not know"),
    ],
)
def test_facts_in_the_file_that_lie_end_in_a_sentence(
    settings: dict[str, Any] | str, message: str, model: Path
):
    model.with_suffix(".json").unlink()
    content = onnx.load(model)
    facts = json.loads(content.metadata_props[0].value)
    if isinstance(settings, dict):
        text = json.dumps({**facts, "settings": {**facts["settings"], **settings}})
    else:
        text = settings
    helper.set_model_props(content, {FACTS_KEY: text})
    onnx.save(content, model)
    with pytest.raises(UserError, match=message):
        _, detector = load_detector(config("--load_onnx_path", str(model)), "load_onnx_path")
        list(detector.detect([np.zeros((50, 60, 3), np.uint8)]))


def test_a_float32_model_gets_normalised_images(tmp_path: Path):
    """One that gives the means of an image's channels, twice."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Concat", ["means", "means"], ["twice"], axis=1),
        helper.make_node("Unsqueeze", ["twice"], ["detections"], axes=[1]),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("images", (2, 3, 8, 16)), ("detections", (2, 1, 6)))
    ]
    graph = helper.make_graph(nodes, "means", values[:1], values[1:])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6),
        tmp_path / "a.onnx",
    )
    colour = np.array([[0, 0, 2, 1], [0, 1, 0, 0], [0.5, 0, 0, -3]], np.float32)  # RGB of BGR
    run, batch_size = load_onnx(read_onnx(tmp_path / "a.onnx"), (8, 16), colour, target="CPU")
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 16)).astype(np.uint8)
    blue, green, red = images.mean(axis=(2, 3)).T
    expected = np.stack([2 * red + 1, green, 0.5 * blue - 3], axis=1)
    assert batch_size == 2
    np.testing.assert_allclose(run(images)[:, 0], np.tile(expected, 2), rtol=1e-5)


@pytest.mark.parametrize(
    ("images", "options", "is_said"),
    [
        (300, (), True),
        (299, (), False),
        (5000, ("--eval_config.keep_res", "true"), False),
        (5000, ("--eval_config.flip_test", "true"), False),
        (5000, ("--eval_config.multi_scales", "[1, 1.5]"), False),
    ],
)
def test_an_evaluation_of_many_images_on_a_cpu_says_what_is_sooner(
    images: int, options: tuple[str, ...], is_said: bool, capsys: Capsys
):
    from eval import note_onnx

    checkpoint = ("--load_checkpoint_path", "my runs/a.ckpt")
    note_onnx(config("--config_path", str(QUICKSTART), *checkpoint, *options), images)
    told = capsys.readouterr().out
    command = "export.py --export_format ONNX --export_load_ckpt 'my runs/a.ckpt', then eval.py"
    assert (command in told) == is_said == bool(told)


def test_a_modelarts_job_fetches_the_file_with_its_json(model: Path, shapes: Path, tmp_path: Path):
    job = ModelArts(tmp_path / "job")
    shutil.copytree(shapes, job.store / "b" / "coco")
    (job.store / "b" / "model").mkdir()
    for path in (model, model.with_suffix(".json")):
        path.rename(job.store / "b" / "model" / path.name)
    urls = ("--data_url=s3://b/coco", "--train_url=s3://b/eval", "--checkpoint_url=s3://b/model")
    options = ("--dataset_config.input_res_test=[64,64]", "--eval_config.num_images=2")
    done = job.run("eval.py", *urls, "--load_onnx_path=model.onnx", *options)
    assert done.code == 0, done.err
    assert f"taken from {job.cache / 'checkpoint_path' / 'model.json'}: " in done.out
    assert (job.store / "b" / "eval" / "results_val.json").is_file()


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_package_that_is_not_there_is_named(
    package: str, model: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, package, None)
    message = f"the package {package} is not here; pip install -r requirements/onnx.txt"
    with pytest.raises(UserError, match=message):
        load_detector(config("--load_onnx_path", str(model)), "load_onnx_path")
