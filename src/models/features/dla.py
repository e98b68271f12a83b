# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Deep layer aggregation (Yu et al., 2018): DLA-34, its neck, and features with both.

The neck is that of CenterNet's DLA-34, with deformable convolutions, and of PaddleDetection's
other networks, with plain ones. Names of cells are the original's.
"""

from collections.abc import Sequence

from mindspore import Tensor, nn, ops

from src.model_utils.networks import DLAConfig
from src.models.deformable import DeformableConv
from src.models.heads import PYTORCH
from src.models.layers import AlignedTwice, DepthwiseUpSampling, conv


def _conv_norm(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Cell:
    return nn.SequentialCell(
        conv(in_channels, out_channels, kernel_size, stride, weight_init=PYTORCH),
        nn.BatchNorm2d(out_channels),
    )


class Block(nn.Cell):
    """Two 3×3 convolutions, to which a residual is added; the first has the stride."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, 3, stride, weight_init=PYTORCH)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv(channels, channels, 3, weight_init=PYTORCH)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()

    def construct(self, x: Tensor, residual: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + residual)


class Root(nn.Cell):
    """A 1×1 convolution over all maps of a tree."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = conv(in_channels, channels, 1, weight_init=PYTORCH)
        self.bn = nn.BatchNorm2d(channels)
        self.concat, self.relu = ops.Concat(1), nn.ReLU()

    def construct(self, maps: tuple[Tensor, ...]) -> Tensor:
        return self.relu(self.bn(self.conv(self.concat(maps))))


class Leaves(nn.Cell):
    """A tree of depth 1: two blocks, joined with `children` by a root.

    The original's `Tree` with one level.

    Args:
        in_channels, channels: of input and output.
        stride: 1, or 2 to halve the map.
        child_channels: of all children together.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, child_channels: int) -> None:
        super().__init__()
        self.tree1 = Block(in_channels, channels, stride)
        self.tree2 = Block(channels, channels, 1)
        self.root = Root(2 * channels + child_channels, channels)
        self.pool = ops.MaxPool(2, 2, "same") if stride == 2 else nn.Identity()
        self.project = nn.Identity()
        if in_channels != channels:
            self.project = _conv_norm(in_channels, channels, 1)

    def construct(self, x: Tensor, children: tuple[Tensor, ...] = ()) -> Tensor:
        first = self.tree1(x, self.project(self.pool(x)))
        second = self.tree2(first, first)
        return self.root((second, first, *children))


class Tree(nn.Cell):
    """A tree of any depth: one of depth - 1 whose result is a child of a second.

    Args:
        depth: 1 or more.
        in_channels, channels, stride, child_channels: as of `Leaves`.
    """

    def __init__(
        self, depth: int, in_channels: int, channels: int, stride: int, child_channels: int = 0
    ) -> None:
        super().__init__()
        if depth == 2:
            self.tree1 = Leaves(in_channels, channels, stride, 0)
            self.tree2 = Leaves(channels, channels, 1, child_channels + channels)
        else:
            self.tree1 = Tree(depth - 1, in_channels, channels, stride)
            self.tree2 = Tree(depth - 1, channels, channels, 1, child_channels + channels)

    def construct(self, x: Tensor, children: tuple[Tensor, ...] = ()) -> Tensor:
        first = self.tree1(x)
        return self.tree2(first, (*children, first))


class Level(nn.Cell):
    """A level of DLA behind its first two: a tree, halving; deeper ones join their input pooled."""

    def __init__(self, depth: int, in_channels: int, channels: int, joins_input: bool) -> None:
        super().__init__()
        self.joins_input = joins_input
        self.pool = ops.MaxPool(2, 2, "same")
        child_channels = in_channels if joins_input else 0
        make = Leaves if depth == 1 else lambda *given: Tree(depth, *given)
        self.tree = make(in_channels, channels, 2, child_channels)

    def construct(self, x: Tensor) -> Tensor:
        return self.tree(x, (self.pool(x),) if self.joins_input else ())


class DLA(nn.Cell):
    """DLA without its classifier: float32 (B,3,H,W) to a map a level, (B,·,H/s,W/s), s = 1, 2, 4...

    Args:
        net: says depth and channels of the levels.

    `channels` are those of the maps.
    """

    def __init__(self, net: DLAConfig) -> None:
        super().__init__()
        self.channels = channels = net.level_channels
        self.base_layer = nn.SequentialCell(*_conv_norm(3, channels[0], 7), nn.ReLU())
        self.levels = []
        previous = channels[0]
        for level, (depth, width) in enumerate(zip(net.level_depths, channels, strict=True)):
            if level < 2:
                strides = [level + 1] + [1] * (depth - 1)
                cells = []
                for stride in strides:
                    cells += [*_conv_norm(previous, width, 3, stride), nn.ReLU()]
                    previous = width
                cell = nn.SequentialCell(cells)
            else:
                cell = Level(depth, previous, width, joins_input=level > 2)
            previous = width
            self.insert_child_to_cell(f"level{level}", cell)
            self.levels.append(cell)

    def construct(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.base_layer(x)
        maps = ()
        for level in self.levels:
            x = level(x)
            maps += (x,)
        return maps


class Node(nn.Cell):
    """A 3×3 convolution, deformable unless `form` is "none", BatchNorm and ReLU."""

    def __init__(self, in_channels: int, channels: int, form: str) -> None:
        super().__init__()
        if form == "none":
            self.conv = conv(in_channels, channels, 3, weight_init=PYTORCH)
        else:
            self.conv = DeformableConv(in_channels, channels, form)
        self.bn, self.relu = nn.BatchNorm2d(channels), nn.ReLU()

    def construct(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


class IDA(nn.Cell):
    """Iterative deep aggregation: each map is brought to the first one's size and joined.

    Map i is projected to the first one's channels, enlarged and added to the joined map i - 1,
    over which a last convolution goes.

    Args:
        channels: of the maps; those of the first are put out.
        factors: by which each map is smaller than the first.
        form: of the convolutions, as of `Node`.
    """

    def __init__(self, channels: Sequence[int], factors: Sequence[int], form: str) -> None:
        super().__init__()
        out = channels[0]
        self.projections, self.enlargements, self.nodes = [], [], []
        for i in range(1, len(channels)):
            for name, kind, cell in (
                ("proj", self.projections, Node(channels[i], out, form)),
                ("up", self.enlargements, DepthwiseUpSampling(out, factors[i])),
                ("node", self.nodes, Node(out, out, form)),
            ):
                self.insert_child_to_cell(f"{name}_{i}", cell)
                kind.append(cell)

    def construct(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        joined = (maps[0],)
        for i, node in enumerate(self.nodes):
            enlarged = self.enlargements[i](self.projections[i](maps[i + 1]))
            joined += (node(enlarged + joined[i]),)
        return joined


class DLANeck(nn.Cell):
    """DLA's neck: maps of strides s, 2s, 4s... to one map (B,`channels`,h,w) of stride s.

    Args:
        in_channels: of the maps, from the finest.
        joined: how many of the aggregated maps, from the finest, are joined at the end.
        form: of the 3×3 convolutions, as of `Node`.
    """

    def __init__(self, in_channels: Sequence[int], joined: int, form: str) -> None:
        super().__init__()
        levels, self.joined = len(in_channels), joined
        now = list(in_channels)
        self.aggregations = []
        for step in range(levels - 1):
            first = levels - 2 - step
            cell = IDA(now[first:], [1] + [2] * (levels - 1 - first), form)
            now[first:] = [in_channels[first]] * (levels - first)
            self.insert_child_to_cell(f"ida_{step}", cell)
            self.aggregations.append(cell)
        self.ida_up = IDA(in_channels[:joined], [2**i for i in range(joined)], form)
        self.channels = in_channels[0]

    def construct(self, maps: tuple[Tensor, ...]) -> Tensor:
        kept = (maps[-1],)
        coarse = (maps[-1],)
        for step, aggregation in enumerate(self.aggregations):
            coarse = aggregation((maps[len(maps) - 2 - step], *coarse))
            kept = (coarse[-1], *kept)
        return self.ida_up(kept[: self.joined])[-1]


class AggregatedFeatures(nn.Cell):
    """A backbone with DLA's neck: float32 (B,3,H,W) to one map (B,`channels`,h,w).

    Args:
        backbone: images to maps of strides s, 2s, 4s... with these `channels`.
        first_level: the first of them that the neck takes.
        last_level: the one before which those end that are joined into the output; all if None.
        form: of the neck's 3×3 convolutions, as of `Node`.
        enlarges: whether the map is brought to twice its size at the end.
    """

    stacks = 1

    def __init__(
        self,
        backbone: nn.Cell,
        first_level: int = 0,
        last_level: int | None = None,
        form: str = "none",
        enlarges: bool = False,
    ) -> None:
        super().__init__()
        self.backbone, self.first_level = backbone, first_level
        channels = backbone.channels
        joined = len(channels[first_level:last_level])
        self.neck = DLANeck(channels[first_level:], joined, form)
        self.enlarge = AlignedTwice() if enlarges else nn.Identity()
        self.channels = self.neck.channels

    def construct(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.enlarge(self.neck(self.backbone(image)[self.first_level :])),)


class DLAFeatures(AggregatedFeatures):
    """DLA with its neck: float32 (B,3,H,W) to one map (B,`channels`,h,w)."""

    def __init__(self, net: DLAConfig) -> None:
        super().__init__(DLA(net), net.first_level, net.last_level, net.deformable)
