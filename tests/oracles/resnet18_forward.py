# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""PyTorch's outputs of a CenterNet ResNet with seeded parameters, written to resnet18_forward.npz.

    python -m tests.oracles.resnet18_forward

from the repository's root; needs PyTorch. The networks are written here from the description in the
paper and carry the parameter names of the original's checkpoints (resnet_dcn for the deformable
variant, msra_resnet's layout with 256, 128 and 64 channels for the plain one). Everything is
computed in float64 from the float32 parameters of seeded.py and stored as float32.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.oracles.losses import focal_loss, regression_loss
from tests.oracles.seeded import seeded_array, seeded_image, seeded_rng
from tests.oracles.writing import write_arrays
from tests.reference import draw_targets

HEADS = {"hm": 20, "wh": 2, "reg": 2}
HEAD_CHANNELS = 64
STAGES = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}

# Class, centre x, y, width, height on the 24x16 output grid of a 96x64 image.
OBJECTS = ((3, 5.25, 4.5, 6.0, 5.5), (3, 9.5, 6.75, 4.5, 8.0), (17, 20.0, 11.375, 7.25, 3.0))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, the first with the stride."""

    expansion = 1

    def __init__(self, cin: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = shortcut(cin, channels * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1 to four times the channels."""

    expansion = 4

    def __init__(self, cin: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels * self.expansion)
        self.downsample = shortcut(cin, channels * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def shortcut(cin: int, cout: int, stride: int) -> nn.Module | None:
    """1x1 convolution and batch norm where the residual changes shape, else None."""
    if stride == 1 and cin == cout:
        return None
    return nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))


def deformable_conv(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    """DCNv2, 3x3, stride 1, padding 1; offset (B,18,H,W) as y, x of each tap; mask (B,9,H,W)."""
    _, _, height, width = x.shape
    rows = torch.arange(height, dtype=x.dtype).view(1, height, 1)
    columns = torch.arange(width, dtype=x.dtype).view(1, 1, width)
    result = bias.view(1, -1, 1, 1)
    for tap in range(9):
        y = rows + (tap // 3 - 1) + offset[:, 2 * tap]
        z = columns + (tap % 3 - 1) + offset[:, 2 * tap + 1]
        # grid_sample wants -1 and 1 at the centres of the first and the last pixel.
        grid = torch.stack([2 * z / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=-1)
        sample = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
        kernel = weight[:, :, tap // 3, tap % 3, None, None]
        result = result + F.conv2d(sample * mask[:, tap : tap + 1], kernel)
    return result


class DeformableConv(nn.Module):
    """DCNv2 whose offsets and mask come from a convolution of its own input."""

    def __init__(self, cin: int, cout: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(cout, cin, 3, 3))
        self.bias = nn.Parameter(torch.empty(cout))
        self.conv_offset_mask = nn.Conv2d(cin, 27, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        # Chunks one and two are not "all y, all x": joined they interleave y and x per tap.
        first, second, mask = self.conv_offset_mask(x).chunk(3, dim=1)
        offset = torch.cat([first, second], dim=1)
        return deformable_conv(x, offset, torch.sigmoid(mask), self.weight, self.bias)


class CenterNet(nn.Module):
    """ResNet, three up-sampling stages to stride 4, three heads."""

    def __init__(self, depth: int, deformable: bool, heads: dict[str, int]):
        super().__init__()
        block = BasicBlock if depth < 50 else Bottleneck
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        cin = 64
        for stage, count in enumerate(STAGES[depth]):
            blocks = []
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(block(cin, 64 * 2**stage, stride))
                cin = 64 * 2**stage * block.expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        layers: list[nn.Module] = []
        for cout in (256, 128, 64):
            if deformable:
                layers += [DeformableConv(cin, cout), nn.BatchNorm2d(cout), nn.ReLU()]
                cin = cout
            layers.append(nn.ConvTranspose2d(cin, cout, 4, 2, 1, bias=False))
            layers += [nn.BatchNorm2d(cout), nn.ReLU()]
            cin = cout
        self.deconv_layers = nn.Sequential(*layers)
        self.heads = tuple(heads)
        for name, channels in heads.items():
            head = nn.Sequential(
                nn.Conv2d(cin, HEAD_CHANNELS, 3, 1, 1),
                nn.ReLU(),
                nn.Conv2d(HEAD_CHANNELS, channels, 1),
            )
            setattr(self, name, head)

    def pool(self, x: Tensor) -> Tensor:
        """The stem's 3x3 max-pooling, padded by one pixel on each side."""
        return F.max_pool2d(x, 3, 2, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        outputs = {"layer4": x}
        x = self.deconv_layers(x)
        return outputs | {name: getattr(self, name)(x) for name in self.heads}


def seeded_network(depth: int, deformable: bool) -> CenterNet:
    """The network with the parameters and statistics of seeded.py, float64, in eval mode."""
    network = CenterNet(depth, deformable, HEADS)
    state = {
        name: torch.from_numpy(seeded_array(name, value.shape))
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    return network.double().eval()


def parameter_count(depth: int, deformable: bool, classes: int = 80) -> int:
    """Trainable parameters, without making them."""
    with torch.device("meta"):
        network = CenterNet(depth, deformable, HEADS | {"hm": classes})
    return sum(parameter.numel() for parameter in network.parameters())


def loss_case(outputs: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Losses of one image's outputs against OBJECTS."""
    height, width = outputs["hm"].shape[2:]
    targets = draw_targets(OBJECTS, HEADS["hm"], height, width)
    index = torch.tensor([[0, y, x] for x, y in targets.centre.tolist()])
    hm = focal_loss(outputs["hm"], torch.from_numpy(targets.hm)[None])
    wh = regression_loss(outputs["wh"], index, torch.from_numpy(targets.wh))
    reg = regression_loss(outputs["reg"], index, torch.from_numpy(targets.reg))
    total = hm + 0.1 * wh + reg
    return {
        "loss_objects": np.array(OBJECTS, dtype=np.float32),
        "loss_hm": hm.numpy(),
        "loss_wh": wh.numpy(),
        "loss_reg": reg.numpy(),
        "loss_total": total.numpy(),
    }


def deformable_case() -> dict[str, np.ndarray]:
    """One small deformable convolution with offsets that also leave the picture."""
    rng = seeded_rng("deformable_case")
    case = {
        "x": rng.normal(size=(4, 5, 6)),
        "offset": rng.normal(0.0, 1.5, (18, 5, 6)),
        "mask": rng.uniform(size=(9, 5, 6)),
        "weight": rng.normal(size=(3, 4, 3, 3)),
        "bias": rng.normal(size=3),
    }
    # Whole-pixel offsets put samples exactly on, and one beyond, the border.
    case["offset"][:, 0, 0] = np.arange(18) % 5 - 2
    case = {name: value.astype(np.float32) for name, value in case.items()}
    tensors = {name: torch.from_numpy(value).double() for name, value in case.items()}
    result = deformable_conv(
        tensors["x"][None],
        tensors["offset"][None],
        tensors["mask"][None],
        tensors["weight"],
        tensors["bias"],
    )
    return {f"dcn_{name}": value for name, value in case.items()} | {"dcn_y": result[0].numpy()}


def make_arrays() -> dict[str, np.ndarray]:
    """All arrays of the file."""
    image = torch.from_numpy(seeded_image()).double()
    arrays: dict[str, np.ndarray] = {}
    with torch.no_grad():
        for prefix, depth, deformable in (
            ("plain", 18, False),
            ("deformable", 18, True),
            ("resnet50_plain", 50, False),
        ):
            outputs = seeded_network(depth, deformable)(image)
            kept = outputs if depth == 18 else {name: outputs[name] for name in HEADS}
            arrays |= {f"{prefix}_{name}": value.numpy() for name, value in kept.items()}
            if prefix == "plain":
                arrays |= loss_case(outputs)

        # Training mode: batch norm with the statistics of the batch, which it also averages in.
        network = seeded_network(18, False).train()
        outputs = network(torch.from_numpy(seeded_image((2, 3, 64, 96), "batch")).double())
        arrays |= {f"train_{name}": outputs[name].numpy() for name in HEADS}
        arrays["train_bn1_running_mean"] = network.bn1.running_mean.numpy()
        arrays["train_bn1_running_var"] = network.bn1.running_var.numpy()
        arrays |= deformable_case()

    arrays = {name: np.asarray(value, dtype=np.float32) for name, value in arrays.items()}
    for depth in STAGES:
        for prefix, deformable in (("plain", False), ("deformable", True)):
            count = parameter_count(depth, deformable)
            arrays[f"parameters_resnet{depth}_{prefix}"] = np.array(count)
    return arrays


if __name__ == "__main__":
    write_arrays(__file__, make_arrays)
