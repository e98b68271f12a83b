# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The same training step in PyTorch, for `benchmarks.train_step`, which runs it.

python -m benchmarks.torch_centernet FOLDER [--layout channels_last] [--forward]

Needs PyTorch and NumPy only. FOLDER holds network.json, weights.npz and batch.npz; the times go to
standard output as one json object. Eager mode; ReLUs in place and Adam fused, as that is fastest.
"""

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def convolution(cin: int, cout: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A convolution and its BatchNorm."""
    return [
        nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(cout),
    ]


class Block(nn.Module):
    """Residual block: "basic" or "bottleneck" (stride on its 3×3 convolution)."""

    def __init__(self, kind: str, cin: int, width: int, stride: int) -> None:
        super().__init__()
        if kind == "basic":
            shapes = [(cin, width, 3, stride), (width, width, 3, 1)]
        else:
            shapes = [(cin, width, 1, 1), (width, width, 3, stride), (width, 4 * width, 1, 1)]
        self.count, cout = len(shapes), shapes[-1][1]
        for number, shape in enumerate(shapes, 1):
            conv, norm = convolution(*shape)
            setattr(self, f"conv{number}", conv)
            setattr(self, f"bn{number}", norm)
        self.downsample = nn.Identity()
        if stride > 1 or cin != cout:
            self.downsample = nn.Sequential(*convolution(cin, cout, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for number in range(1, self.count + 1):
            out = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(out))
            if number < self.count:
                out = F.relu(out, inplace=True)
        return F.relu(out + self.downsample(x), inplace=True)


class ResNet(nn.Module):
    """`src.models.features.resnet` without deformable layers, under the same names."""

    stacks = 1

    def __init__(self, network: dict[str, Any]) -> None:
        super().__init__()
        channels = network["stage_channels"][0]
        self.backbone, self.neck = nn.Module(), nn.Module()
        self.backbone.conv1, self.backbone.bn1 = convolution(3, channels, 7, 2)
        self.stages = len(network["block_class"])
        expansion = 1 if network["block"] == "basic" else 4
        for stage, blocks in enumerate(network["block_class"]):
            width, cells = network["stage_channels"][stage], []
            for position in range(blocks):
                stride = 2 if stage > 0 and position == 0 else 1
                cells.append(Block(network["block"], channels, width, stride))
                channels = expansion * width
            self.backbone.add_module(f"layer{stage + 1}", nn.Sequential(*cells))
        ups: list[nn.Module] = []
        for width in network["up_channels"]:
            ups.append(nn.ConvTranspose2d(channels, width, 4, 2, 1, bias=False))
            ups += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        self.neck.deconv_layers = nn.Sequential(*ups)
        self.channels = channels

    def forward(self, x: Tensor) -> list[Tensor]:
        backbone = self.backbone
        x = F.max_pool2d(F.relu(backbone.bn1(backbone.conv1(x)), inplace=True), 3, 2, 1)
        for stage in range(self.stages):
            x = getattr(backbone, f"layer{stage + 1}")(x)
        return [self.neck.deconv_layers(x)]


class ConvBlock(nn.Module):
    """A convolution, BatchNorm and ReLU."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv, self.bn = convolution(cin, cout, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Residual(nn.Module):
    """A basic block, whose names are the hourglass's."""

    def __init__(self, cin: int, cout: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = convolution(cin, cout, 3, stride)
        self.conv2, self.bn2 = convolution(cout, cout, 3)
        self.skip = nn.Identity()
        if stride > 1 or cin != cout:
            self.skip = nn.Sequential(*convolution(cin, cout, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(out)) + self.skip(x), inplace=True)


def residuals(count: int, width: int) -> list[nn.Module]:
    return [Residual(width, width) for _ in range(count)]


class Hourglass(nn.Module):
    """`src.models.features.hourglass.Hourglass`."""

    def __init__(self, dims: list[int], blocks: list[int]) -> None:
        super().__init__()
        (outer, inner), count = dims[:2], blocks[0]
        self.up1 = nn.Sequential(*residuals(count, outer))
        self.low1 = nn.Sequential(Residual(outer, inner, 2), *residuals(count - 1, inner))
        if len(dims) > 2:
            self.low2 = Hourglass(dims[1:], blocks[1:])
        else:
            self.low2 = nn.Sequential(*residuals(blocks[1], inner))
        self.low3 = nn.Sequential(*residuals(count - 1, inner), Residual(inner, outer))

    def forward(self, x: Tensor) -> Tensor:
        return self.up1(x) + F.interpolate(self.low3(self.low2(self.low1(x))), scale_factor=2)


class StackedHourglasses(nn.Module):
    """`src.models.features.hourglass.HourglassFeatures`, under the same names."""

    def __init__(self, network: dict[str, Any]) -> None:
        super().__init__()
        self.stacks, dims = network["num_stacks"], network["dims"]
        self.channels = width = dims[0]
        stem = network["stem_channels"]
        self.stem = nn.Sequential(ConvBlock(3, stem, 7, 2), Residual(stem, width, 2))
        each, between = range(self.stacks), range(self.stacks - 1)
        self.hourglasses = nn.ModuleList(Hourglass(dims, network["blocks"]) for _ in each)
        self.out_convs = nn.ModuleList(ConvBlock(width, width, 3) for _ in each)
        self.conv1x1s, self.remap_convs = (
            nn.ModuleList(nn.Sequential(*convolution(width, width, 1)) for _ in between)
            for _ in range(2)
        )
        self.inters = nn.ModuleList(residuals(len(between), width))

    def forward(self, x: Tensor) -> list[Tensor]:
        x, features = self.stem(x), []
        for stack in range(self.stacks):
            features.append(self.out_convs[stack](self.hourglasses[stack](x)))
            if stack < self.stacks - 1:
                x = self.conv1x1s[stack](x) + self.remap_convs[stack](features[-1])
                x = self.inters[stack](F.relu(x, inplace=True))
        return features


FEATURES = {"resnet": ResNet, "hourglass": StackedHourglasses}


class CenterNet(nn.Module):
    """`src.models.network.Network` under the same names.

    Args:
        network: net_config, and num_classes.
    """

    def __init__(self, network: dict[str, Any]) -> None:
        super().__init__()
        self.features = FEATURES[network["network"]](network)
        *auxiliary, self.heads = (self._heads(network) for _ in range(self.features.stacks))
        self.auxiliary_heads = nn.ModuleList(auxiliary)

    def _heads(self, network: dict[str, Any]) -> nn.ModuleDict:
        width, heads = network["head_conv"], nn.ModuleDict()
        for name, count in {"hm": network["num_classes"], "wh": 2, "reg": 2}.items():
            heads[name] = nn.Sequential(
                nn.Conv2d(self.features.channels, width, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(width, count, 1),
            )
        return heads

    def forward(self, x: Tensor) -> list[Tensor]:
        """The maps of the last stack."""
        return maps_of(self.heads, self.features(x)[-1])

    def all_maps(self, x: Tensor) -> list[list[Tensor]]:
        heads = [*self.auxiliary_heads, self.heads]
        return [maps_of(own, found) for own, found in zip(heads, self.features(x), strict=True)]


def maps_of(heads: nn.ModuleDict, features: Tensor) -> list[Tensor]:
    return [head(features) for head in heads.values()]


def draw_heat_map(objects: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The target (B,C,h,w) of the object table (B,N,8), drawn on the host, a patch an object."""
    hm = np.zeros(shape, np.float32)
    height, width = shape[2:]
    for image, rows in enumerate(objects):
        for row in rows[rows[:, 7] >= 0]:
            x, y, radius, category = (int(row[column]) for column in (0, 1, 6, 7))
            ramp = np.arange(-radius, radius + 1, dtype=np.float32)
            profile = np.exp(-ramp * ramp / (2 * ((2 * radius + 1) / 6) ** 2))
            top, left = max(0, y - radius), max(0, x - radius)
            part_y = profile[top - y + radius : height - y + radius]
            part_x = profile[left - x + radius : width - x + radius]
            patch = hm[image, category, top : y + radius + 1, left : x + radius + 1]
            np.maximum(patch, np.outer(part_y, part_x), out=patch)
    return hm


def focal_loss(logits: Tensor, target: Tensor) -> Tensor:
    p = torch.sigmoid(logits).clamp(1e-4, 1 - 1e-4)
    centres = (target >= 1).float()
    near = torch.log(p) * (1 - p) ** 2 * centres
    away = torch.log(1 - p) * p**2 * (1 - target) ** 4
    return -(near + away).sum() / centres.sum().clamp(min=1)


def regression_loss(values: Tensor, cell: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """L1 of a map (B,2,h,w) at cells (B,N), by the number of objects."""
    found = values.flatten(2).gather(2, cell[:, None].expand(-1, 2, -1)).transpose(1, 2)
    return ((found - target) * mask).abs().sum() / (mask.sum() + 1e-4)


def loss_of(
    network: CenterNet,
    layout: torch.memory_format,
    batch: dict[str, np.ndarray],
    weights: dict[str, float],
) -> Tensor:
    """The training loss of a batch as the data loader makes it."""
    image, colour = torch.from_numpy(batch["image"]), torch.from_numpy(batch["colour"])
    image = torch.einsum("bhwi,boi->bohw", image.float(), colour[:, :, :3])
    image = image + colour[:, :, 3, None, None]
    stacks = network.all_maps(image.contiguous(memory_format=layout))
    return sum(loss_of_maps(maps, batch["objects"], weights) for maps in stacks) / len(stacks)


def loss_of_maps(heads: list[Tensor], objects: np.ndarray, weights: dict[str, float]) -> Tensor:
    """The loss of a stack."""
    table = torch.from_numpy(objects)
    cell = (table[:, :, 1] * heads[0].shape[3] + table[:, :, 0]).long()
    mask = (table[:, :, 7:] >= 0).float()
    hm = torch.from_numpy(draw_heat_map(objects, tuple(heads[0].shape)))
    hm_loss = focal_loss(heads[0], hm)
    wh_loss = regression_loss(heads[1], cell, table[:, :, 4:6], mask)
    off_loss = regression_loss(heads[2], cell, table[:, :, 2:4], mask)
    return (
        weights["hm_weight"] * hm_loss
        + weights["wh_weight"] * wh_loss
        + weights["off_weight"] * off_loss
    )


def forward_seconds(
    network: CenterNet, layout: torch.memory_format, images: np.ndarray
) -> list[float]:
    """Seconds of some forward passes over normalised images, after a first."""
    network.eval()
    image = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    image = image.contiguous(memory_format=layout)
    seconds = []
    with torch.inference_mode():
        for _ in range(6):
            start = time.perf_counter()
            network(image)
            seconds.append(time.perf_counter() - start)
    return seconds[1:]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layout", default="contiguous", choices=list(LAYOUTS))
    parser.add_argument("--forward", action="store_true", help="the forward pass alone, to infer")
    options = parser.parse_args(arguments)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    settings = json.loads((options.folder / "network.json").read_text(encoding="utf-8"))
    network = CenterNet(settings).train()
    with np.load(options.folder / "weights.npz") as stored:
        state = {name: torch.from_numpy(value) for name, value in stored.items()}
    missing, unexpected = network.load_state_dict(state, strict=False)
    if unexpected or not all(name.endswith("num_batches_tracked") for name in missing):
        raise ValueError(f"weights.npz is of another network: {missing}, {unexpected}")
    layout = LAYOUTS[options.layout]
    network = network.to(memory_format=layout)
    with np.load(options.folder / "batch.npz") as stored:
        batch = dict(stored)
    if options.forward:
        print(json.dumps({"forward_seconds": forward_seconds(network, layout, batch["image"])}))
        return
    optimizer = torch.optim.Adam(network.parameters(), eps=settings["eps"], fused=True)
    losses, seconds = [], []
    for rate in settings["rates"]:
        start = time.perf_counter()
        optimizer.param_groups[0]["lr"] = rate
        loss = loss_of(network, layout, batch, settings)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
    numbers = {
        "compile_seconds": seconds[0] - min(seconds[1:]),
        "step_seconds": seconds[1:],
        "peak_rss_mb": peak_memory() / 1e6,
        "losses": losses,
    }
    print(json.dumps(numbers))


def peak_memory() -> float:
    """The largest resident size of this process so far in bytes."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
