# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""On every Ascend chip each operator gets a kernel, and the programs run: MindSpore's dry run.

`python -m tests.test_ascend_dry_run` rewrites the list of kernels, for a review of its difference.
"""

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.ascend import stand_in
from benchmarks.ascend.kernels import Compiled, compile_variants, compiled
from benchmarks.ascend.variants import VARIANTS, arguments_of
from benchmarks.ascend_dry_run import variants_of
from benchmarks.ascend_types import OPERATORS, readiness
from src.model_utils.config import load_config
from src.training.metrics import read_records
from tests.conftest import PROJECT, QUICKSTART
from tests.helpers import benchmark

hindrance = stand_in.hindrance()
pytestmark = pytest.mark.skipif(bool(hindrance), reason=f"no Ascend dry run: {hindrance}")

KERNELS = Path(__file__).with_name("ascend_kernels.txt")
HEAD = """\
# Operators of the graphs and the kind of kernel each gets; `python -m tests.test_ascend_dry_run`
# writes this. A new line: look up in docs/ascend.md on which chips the operator is on AI Core.
"""
_OF_RESNETS = {name: variant for name, variant in VARIANTS.items() if not variant.network}
_TRAINING = tuple(name for name, variant in _OF_RESNETS.items() if variant.kind == "train")
_ALONE = tuple(name for name in _TRAINING if not VARIANTS[name].environment)
_LAUNCHED = tuple(name for name in _TRAINING if VARIANTS[name].environment)
_INFERENCE = tuple(name for name, variant in _OF_RESNETS.items() if variant.kind != "train")
_FORMS = tuple(f"train_{form}_O0" for form in ("gather", "grid_sample", "operator"))
_CHOSEN = (*_FORMS, "train_O0", "train_grid_sample_O2", "train_dynamic")
_NETWORKS = ("mobilenet_v2_fpn", "resnet_v1_fpn", "resnet_v2", "hourglass", "resnet_vd")
# These have no operator that the others have not, nor has mobilenet_v2.
_ALIKE = ("dla", "mobilenet_v1", "mobilenet_v3", "shufflenet_v2")
_ALL = (*_NETWORKS, *_ALIKE)
_POSE = ("train_pose", "train_pose_like_tensorflow", "evaluate_pose_flip", "export_pose")
_CORNERS = ("train_corners", "evaluate_corners_flip", "export_corners")


def of_networks(kind: str, networks: tuple[str, ...] = _NETWORKS) -> tuple[str, ...]:
    return tuple(f"{kind}_{network}" for network in networks)


# Variants by process, as starting one takes as long as compiling a graph. 910B compiles all; 910A
# builds one graph a process, for want of the graph engine. The benchmark has all on each chip.
PROCESSES = {
    ("910B", "training"): (_ALONE, _LAUNCHED),
    ("910C", "training"): (_CHOSEN, _LAUNCHED),
    ("910A", "training"): (("train_dynamic",),),
    ("910B", "inference"): (_INFERENCE,),
    ("910C", "inference"): (_INFERENCE,),
    ("310P", "training"): (_CHOSEN, _LAUNCHED),
    ("310P", "inference"): (_INFERENCE,),
    ("910A", "inference"): (("evaluate_flip",), ("export_uint8",)),
    ("910B", "training of other networks"): (of_networks("train"),),
    ("310P", "evaluation of other networks"): (of_networks("evaluate"),),
    ("910B", "poses"): (_POSE,),
    ("910B", "corners"): (_CORNERS,),
}
SMALL_DATA = ("--config_path", str(QUICKSTART), "--device_target", "Ascend")
DEFORMABLE = ("--net_config.deformable", "auto")

Results = dict[tuple[str, str], list["Future[Compiled]"]]


def start_compiling(pool: ThreadPoolExecutor) -> Results:
    stand_in.built()
    return {
        key: [pool.submit(compile_variants, key[0], names, ()) for names in processes]
        for key, processes in PROCESSES.items()
    }


@pytest.fixture(scope="module")
def results() -> Iterator[Results]:
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        yield start_compiling(pool)


def kernels_of(processes: list["Future[Compiled]"]) -> dict[str, str]:
    kinds: dict[str, str] = {}
    for process in processes:
        kinds |= process.result().kernels
    return kinds


def listing(kinds: dict[str, str]) -> list[str]:
    return [f"{operator} {kind}" for operator, kind in sorted(kinds.items())]


def sections(text: str) -> dict[str, list[str]]:
    """The lines below each "[chip, chip: graphs]", by "chip graphs"."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            chips, graphs = line.strip("[]").split(": ")
            lines: list[str] = []
            found |= {f"{chip} {graphs}": lines for chip in chips.split(", ")}
        elif line and not line.startswith("#"):
            lines.append(line)
    return found


@pytest.mark.parametrize("key", PROCESSES, ids=" ".join)
def test_every_operator_gets_a_kernel_of_the_chip_and_none_other_than_before(
    key: tuple[str, str], results: Results
):
    for names, process in zip(PROCESSES[key], results[key], strict=True):
        found = process.result()
        assert not found.error, names
        assert not found.without_kernel, names
    expected = sections(KERNELS.read_text(encoding="utf-8"))
    assert listing(kernels_of(results[key])) == expected[" ".join(key)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chip", "names"),
    [
        (
            "910B",
            (
                *of_networks("evaluate", _ALL),
                *of_networks("export", _ALL),
                *of_networks("train", _ALIKE),
            ),
        ),
        (
            "310P",
            (
                *of_networks("train", _ALL),
                *of_networks("export", _ALL),
                *of_networks("evaluate", _ALIKE),
            ),
        ),
        ("310P", (*_POSE, *_CORNERS)),
        *(("910A", (name,)) for kind in ("train", "evaluate") for name in of_networks(kind, _ALL)),
        *(("910A", (name,)) for name in (*_POSE, *_CORNERS)),
    ],
)
def test_every_network_and_task_gets_kernels_of_every_chip(chip: str, names: tuple[str, ...]):
    found = compile_variants(chip, names, ())
    assert (found.error, found.without_kernel) == ("", [])
    known = {operator.name for operator in OPERATORS}
    assert chip == "910A" or set(found.kernels) <= known


@pytest.mark.parametrize(
    ("path", "has_forms"),
    [
        ("default_config.yaml", True),
        ("configs/mobilenet_v2/plain.yaml", True),
        ("configs/tensorflow/mobilenet_v2_fpn.yaml", False),
        ("configs/tensorflow/resnet50_v2.yaml", False),
        ("configs/tensorflow/hourglass104_1024.yaml", False),
        ("configs/original/hourglass104.yaml", False),
    ],
)
def test_a_configuration_has_the_variants_of_its_network(path: str, has_forms: bool):
    parameters = ("--config_path", str(PROJECT / path))
    network = load_config("", parameters).net_config.network
    names = variants_of(parameters)
    assert {"train_O0", "train_losses", "evaluate_flip", "export_uint8"} <= set(names)
    assert ("train_gather_O0" in names) == has_forms
    for name in names:
        assert load_config("", arguments_of(name, parameters)).net_config.network == network


def test_the_document_has_the_table_of_these_kernels():
    kinds: dict[str, dict[str, str]] = {}
    for name, lines in sections(KERNELS.read_text(encoding="utf-8")).items():
        kinds.setdefault(name.split()[0], {}).update(line.split() for line in lines)
    table = readiness(kinds)
    known = {operator.name for operator in OPERATORS}
    assert {row.split(" | ")[0].removeprefix("| ") for row in table.splitlines()[2:]} <= known
    assert table in (PROJECT / "docs" / "ascend.md").read_text(encoding="utf-8")


def test_the_steps_of_several_ranks_and_forms_are_what_they_are_taken_for(results: Results):
    alone, launched = (process.result().kernels for process in results["910B", "training"])
    assert launched["AllReduce"] == "hccl" and "AllReduce" not in alone
    # Overflow takes a kernel a gradient, and not three as MindSpore's check with a rank table.
    assert "L2Loss" in launched and not {"AllFinite", "ReduceAll"} & set(launched)
    assert {"GridSampler2DGrad", "DeformableOffsetsGrad", "UnsortedSegmentSum"} <= set(alone)
    assert "ReverseV2" in results["310P", "inference"][0].result().kernels  # the mirrored images


def test_an_operator_without_a_kernel_is_reported(tmp_path: Path):
    script = tmp_path / "cell.py"
    script.write_text(
        "import mindspore as ms\n"
        "import numpy as np\n"
        "from mindspore import nn, ops\n"
        "class Cell(nn.Cell):\n"
        "    def construct(self, x):\n"
        "        return ops.cholesky(x) + x\n"
        "ms.set_context(mode=ms.GRAPH_MODE)\n"
        "ms.set_device('Ascend')\n"
        "Cell()(ms.Tensor(np.eye(4, dtype=np.float32)))\n"
    )
    found = compiled("910B", [str(script)])
    assert found.kernels == {"Add": "aclnn", "Cholesky": "cpu"}
    assert found.without_kernel == ["Cholesky"]
    script.write_text("raise ValueError('no graph')\n")
    assert compiled("910B", [str(script)]).error == "exit code 1: ValueError: no graph"


def test_a_910c_asks_for_a_rank_table_that_knows_its_superpods(tmp_path: Path):
    table = tmp_path / "hccl.json"
    table.write_text('{"version": "1.0"}')
    launched = {"RANK_SIZE": "8", "RANK_ID": "0", "DEVICE_ID": "0", "RANK_TABLE_FILE": str(table)}
    script = (str(PROJECT / "train.py"), "--device_target", "Ascend", "--mindrecord_dir", "none")
    found = compiled("910C", script, launched)
    assert found.error.startswith(f"exit code 2: error: {table}: is a rank table of version 1.0")
    assert "run_distributed_train_msrun.sh" in found.error


@pytest.fixture(scope="module")
def trained(mindrecord: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training on a simulated 910B, four steps in one sink."""
    folder = tmp_path_factory.mktemp("ascend")
    found = run_program(
        folder,
        *("train.py", *SMALL_DATA, *DEFORMABLE, "--mindrecord_dir", mindrecord),
        *("--train_steps", 4, "--data_sink_steps", 4, "--save_checkpoint_path", folder),
    )
    assert found.kernels["GridSampler2DGrad"] == "aclnn"
    return folder


def run_program(folder: Path, script: str, *options: object) -> Compiled:
    found = compiled("910B", [str(PROJECT / script), *map(str, options)], cwd=folder)
    assert (found.error, found.without_kernel) == ("", [])
    return found


def test_training_runs_with_a_data_sink(trained: Path):
    records = read_records(trained / "ckpt_0" / "metrics.jsonl")
    assert [record["step"] for record in records] == [4]  # Python sees the last alone
    assert len(list((trained / "ckpt_0").glob("*.ckpt"))) == 1


@pytest.mark.parametrize("keep_res", ["false", "true"])
def test_evaluation_runs(keep_res: str, trained: Path, shapes: Path, tmp_path: Path):
    (checkpoint,) = (trained / "ckpt_0").glob("*.ckpt")
    found = run_program(
        tmp_path,
        *("eval.py", *SMALL_DATA, *DEFORMABLE, "--load_checkpoint_path", checkpoint),
        *("--data_dir", shapes, "--eval_config.num_images", 2, "--eval_config.keep_res", keep_res),
    )
    assert found.kernels["TopK"] == "aclop"
    assert json.loads((tmp_path / "eval.json").read_text(encoding="utf-8"))["images"] == 2


def test_export_runs(trained: Path, tmp_path: Path):
    (checkpoint,) = (trained / "ckpt_0").glob("*.ckpt")
    run_program(
        tmp_path,
        *("export.py", *SMALL_DATA, *DEFORMABLE, "--export_load_ckpt", checkpoint),
        *("--export_name", "model"),
    )
    assert (tmp_path / "model.mindir").stat().st_size > 100_000


def test_the_benchmark_prints_and_writes_kernels_and_memory(tmp_path: Path):
    file = tmp_path / "numbers.json"
    options = ("--chip", "310P", "--variant", "evaluate_fixed", "--json", file)
    done = benchmark("ascend_dry_run", *options)
    assert done.returncode == 0, done.stderr
    (variant,) = json.loads(file.read_text(encoding="utf-8"))["variants"]
    assert (variant["name"], variant["chip"]) == ("evaluate_fixed", "310P")
    assert variant["kernels"]["Conv2D"] == "aclop"
    assert variant["without_kernel"] == []
    assert variant["peak_mb"] > 0
    assert f"peak of the memory pool: {variant['peak_mb']} MiB" in done.stdout


if __name__ == "__main__":
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        running = start_compiling(pool)
        equal: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for (chip, graphs), processes in running.items():
            for process in processes:
                if process.result().error:
                    raise SystemExit(f"{chip}, {graphs}: {process.result().error}")
            lines = tuple(listing(kernels_of(processes)))
            equal.setdefault((graphs, lines), []).append(chip)
    parts = [
        "\n".join([f"[{', '.join(chips)}: {graphs}]", *lines])
        for (graphs, lines), chips in equal.items()
    ]
    KERNELS.write_text(HEAD + "\n".join(parts) + "\n", encoding="utf-8")
