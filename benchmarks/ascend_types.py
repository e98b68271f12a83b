# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Which operators of this project's graphs the AI Core of each Ascend chip has, in which types.

Two sources: for the chips the operator lists of CANN 8.1.RC1, in an installed CANN
`aic-CHIP-ops-info.json` below `opp/built-in/op_impl/`; for the last column the package
mindspore-ascend 1.10.0, which states the kernels of 910A and 310 in `mindspore/ops/_op_impl/tbe/`,
and against which a test holds it. Where CANN leaves the types to the kernel, Conv2D of 910A and 310
is as the package says, and so AvgPool; GridSampler2D and AvgPool of 910B and 310P and bool of Tile
are after CANN's open source. Names are MindSpore's, as it chooses kernels by them: Muls, EqScalar
and others are forms of CANN's Muls, Equal and so on with a number. No MindSpore is needed.
"""

from collections.abc import Mapping
from typing import NamedTuple

CHIPS = ("910A", "910B", "310P", "310")  # 910C has what 910B has

YES = "yes"  # the type that the graphs use
HALF = "float16"  # float16 alone
NONE = "no"  # no kernel on the AI Core
KERNEL = "by kernel"  # the kernel decides, by shapes and layout
UNKNOWN = ""
SOME = "some shapes"  # of 32 channels or less than 20,480 values, says the source of aclnn

# What CANN's precision mode allow_fp32_to_fp16 computes in float16 on chips whose matrix unit has
# nothing else, whatever other forms the operator has.
_MATRIX = frozenset({
    "BatchMatMul", "Conv2D", "Conv2DBackpropFilter", "Conv2DBackpropInput", "Conv2DTranspose",
    "MatMul",
})  # fmt: skip


class Operator(NamedTuple):
    """An operator by MindSpore's name, the type in the graphs, and what there is of it."""

    name: str
    dtype: str
    on_910a: str
    on_910b: str
    on_310p: str
    on_310: str
    in_package: str  # mindspore-ascend 1.10.0: 910A and 310

    def on(self, chip: str) -> str:
        """What the AI Core of one of `CHIPS` has."""
        return self[2 + CHIPS.index(chip)]


def _alike(dtype: str, chips: tuple[str, str, str, str], in_package: dict[str, str]) -> list:
    """Operators that the chips have alike; `in_package` is names, spaced, by what it has."""
    return [
        Operator(name, dtype, *chips, kind)
        for kind, names in in_package.items()
        for name in names.split()
    ]


OPERATORS = (
    Operator("MaxPool", "float32", HALF, YES, HALF, HALF, HALF),
    Operator("AvgPool", "float32", HALF, YES, HALF, HALF, HALF),
    Operator("AvgPoolGrad", "float32", HALF, YES, HALF, NONE, HALF),
    Operator("TopK", "float32", HALF, YES, YES, HALF, HALF),
    Operator("Conv2D", "float32", HALF, KERNEL, KERNEL, HALF, HALF),
    Operator("Conv2DTranspose", "float32", HALF, YES, HALF, HALF, HALF),
    Operator("Conv2DBackpropInput", "float32", HALF, YES, HALF, HALF, HALF),
    Operator("Conv2DBackpropFilter", "float32", HALF, YES, HALF, NONE, HALF),
    Operator("MatMul", "float32", KERNEL, KERNEL, KERNEL, KERNEL, YES),
    Operator("ArgMaxWithValue", "float32", YES, YES, YES, HALF, YES),
    Operator("Exp", "float32", YES, YES, YES, HALF, YES),
    Operator("AllReduce", "float32", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, NONE),
    Operator("FloorDiv", "int32", YES, YES, YES, NONE, YES),
    Operator("IsFinite", "float32", NONE, YES, YES, NONE, NONE),
    Operator("NPUGetFloatStatusV2", "", YES, NONE, YES, YES, NONE),
    Operator("GridSampler2D", "float32", NONE, YES, SOME, NONE, NONE),
    Operator("GridSampler2DGrad", "float32", NONE, YES, NONE, NONE, NONE),
    Operator("DeformableOffsets", "float32, NHWC", YES, YES, YES, NONE, YES),
    Operator("DeformableOffsetsGrad", "float32, NHWC", YES, YES, NONE, NONE, YES),
    *_alike(
        "float32",
        (YES, YES, YES, NONE),
        {
            YES: "Adam BiasAddGrad ReLU6Grad ReluGrad ResizeNearestNeighborGrad SigmoidGrad "
            "StridedSliceGrad",
            NONE: "GatherD",
        },
    ),
    *_alike(
        "float32",
        (KERNEL, KERNEL, KERNEL, NONE),
        {YES: "BNTrainingReduceGrad BNTrainingUpdateGrad", KERNEL: "MaxPoolGrad"},
    ),
    *_alike(
        "float32",
        (YES, YES, YES, YES),
        {
            YES: "Abs AddN Assign AssignAdd BNInfer BatchNorm BroadcastTo Div Equal Floor Gather "
            "Greater GreaterEqual Less LessEqual Log Maximum Minimum Neg Pow ReLU ReLU6 ReduceMean "
            "ReduceSum ResizeNearestNeighbor Sigmoid Sign Sqrt Square TensorMove",
            KERNEL: "ReverseV2",
            NONE: "Divs EqScalar FillV2 LessScalar Muls PowTensorScalar Reshape SplitWithSize "
            "SumExt ZerosLikeExt",
        },
    ),
    *_alike(
        "float32",
        (KERNEL, KERNEL, KERNEL, KERNEL),
        {
            YES: "BNTrainingReduce BatchMatMul Stack UnsortedSegmentMax",
            KERNEL: "BiasAdd Concat L2Loss Reciprocal Select Split UnsortedSegmentSum Unstack",
        },
    ),
    *_alike("float32", (KERNEL, KERNEL, KERNEL, YES), {YES: "BNTrainingUpdate RealDiv Slice"}),
    *_alike("float32, int32", (YES, YES, YES, YES), {YES: "Sub"}),
    *_alike("float32, int32", (KERNEL, KERNEL, KERNEL, KERNEL), {YES: "Add", KERNEL: "Mul"}),
    *_alike("float32, bool", (KERNEL, KERNEL, KERNEL, KERNEL), {KERNEL: "Tile"}),
    *_alike("float32, uint8", (YES, YES, YES, YES), {YES: "Cast StridedSlice Transpose"}),
    *_alike("bool", (YES, YES, YES, YES), {YES: "LogicalAnd LogicalNot LogicalOr ReduceAll"}),
)


def float16_operators(chip: str) -> frozenset[str]:
    """Operators whose float32 a chip of 910A, 310P or 310 turns into float16.

    Those that the AI Core has in float16 alone, and those of the matrix unit: what CANN's precision
    mode allow_fp32_to_fp16 does, MindSpore Lite's preferred_fp32.
    """
    alone = {operator.name for operator in OPERATORS if operator.on(chip) == HALF}
    return _MATRIX | alone


# What else there is to know of an operator, for the table.
_REMARKS = {
    "AllReduce": "HCCL's: several devices",
    "ArgMaxWithValue": "poses: squared distances, to 11 bits on 310 and below 255 cells",
    "AvgPool": "ResNet-vd's shortcuts",
    "AvgPoolGrad": "as AvgPool",
    "BatchMatMul": "DLA's neck; training of poses: boxes over each cell, whole numbers",
    "Conv2D": "910B and 910C: HF32 unless it is switched off",
    "DeformableOffsets": "MindSpore gives NCHW, which no AI Core kernel takes: the form `operator`",
    "DeformableOffsetsGrad": "as DeformableOffsets",
    "FloorDiv": "of K values; AICPU on 310",
    "Gather": "the form `gather` of the deformable convolution, and decode",
    "GridSampler2D": "the form `grid_sample`; AICPU where the AI Core lacks it",
    "GridSampler2DGrad": "to 2,048 channels",
    "IsFinite": "one number a step; AICPU on 910A",
    "L2Loss": "overflow, a kernel a gradient; on 910A NPUGetFloatStatusV2 instead",
    "MaxPool": "the stem's and DLA's; peaks go by Maximum",
    "NPUGetFloatStatusV2": "overflow, on 910A alone",
    "ReLU6": "MobileNets",
    "ReLU6Grad": "MobileNets",
    "ResizeNearestNeighbor": "hourglass and feature pyramids; CANN's ResizeNearestNeighborV2",
    "ResizeNearestNeighborGrad": "no float16 on any chip: stays in float32 at each `amp_level`",
    "Tile": "float32 everywhere; bool, in the decode of poses, by kernel",
    "TopK": "two stages; scores keep 11 bits on 910A and 310",
}


def readiness(kinds: Mapping[str, Mapping[str, str]]) -> str:
    """The operators of graphs as a markdown table: type, each chip's AI Core, kind of kernel.

    Args:
        kinds: by chip, MindSpore's kind of kernel of each operator, as the dry run gives it. Kinds
            of 910A, where operators have the graph engine's names, are not shown.
    """
    rows = [
        ("operator", "type", "910A", "910B, 910C", "310P", "310", "package", "kernel", "remark")
    ]
    rows.append(("---",) * len(rows[0]))
    chosen: dict[str, set[str]] = {}
    for chip, found in kinds.items():
        for name, kind in found.items() if chip != "910A" else ():
            chosen.setdefault(name, set()).add(kind)
    known = {operator.name: operator for operator in OPERATORS}
    for name in sorted(chosen):
        unknown = Operator(name, "", *[UNKNOWN] * 5)
        kernel = ", ".join(sorted(chosen[name]))
        rows.append((*known.get(name, unknown), kernel, _REMARKS.get(name, "")))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
