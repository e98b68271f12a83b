# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Trains ResNet-18-DCN in PyTorch on a few images of COCO, and evaluates it without this project.

    python -m tests.oracles.train_resnet18 COCO_FOLDER OUTPUT_FOLDER [--steps N]

from the repository's root; needs PyTorch. COCO_FOLDER has annotations/instances_train2017.json and
train2017; the images whose objects are large are learned by heart, losses as the original's.
OUTPUT_FOLDER gets the images' own data set (`annotations`, `val2017`), `trained.pth` as the
original writes it, and `plain.json`: COCO's numbers of what the network finds by the plain detector
of tests/plain_detector.py at 192×192.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn

from tests.oracles.losses import focal_loss, regression_loss
from tests.oracles.resnet18_forward import CenterNet, DeformableConv
from tests.plain_detector import placed, plain_detect
from tests.reference import Targets, draw_targets

IMAGES, SIDE, CLASSES = 8, 192, 80
# The original's, of B, G and R.
MEAN, STD = [0.40789654, 0.44719302, 0.47026115], [0.28863828, 0.27408164, 0.27809835]


def write_data_set(coco: Path, folder: Path) -> dict[str, Any]:
    """A data set of images without small objects; its annotations."""
    source = coco / "annotations" / "instances_train2017.json"
    content = json.loads(source.read_text(encoding="utf-8"))
    sides = {entry["id"]: max(entry["width"], entry["height"]) for entry in content["images"]}
    smallest: dict[int, float] = {}
    for entry in content["annotations"]:
        image = entry["image_id"]
        side = min(entry["bbox"][2:]) * SIDE / sides[image]
        smallest[image] = min(side, smallest.get(image, side))
    kept = sorted(image for image, side in smallest.items() if side >= 16)[:IMAGES]
    content["images"] = [entry for entry in content["images"] if entry["id"] in kept]
    content["annotations"] = [e for e in content["annotations"] if e["image_id"] in kept]
    (folder / "annotations").mkdir(parents=True)
    path = folder / "annotations" / "instances_val2017.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    (folder / "val2017").symlink_to((coco / "train2017").resolve())
    return content


def batch(content: dict[str, Any], folder: Path) -> tuple[torch.Tensor, list[Targets]]:
    """All images (B,3,192,192), normalised, and their targets."""
    classes = {entry["id"]: index for index, entry in enumerate(categories(content))}
    images, targets = [], []
    for entry in content["images"]:
        image = cv2.imread(str(folder / "val2017" / entry["file_name"]))
        scaling, left, top, height, width = placed(image.shape[:2], 1, False, 31, (SIDE, SIDE))
        affine = np.array([[scaling, 0, left], [0, scaling, top]])
        warped = cv2.warpAffine(image, affine, (width, height), flags=cv2.INTER_LINEAR)
        images.append((warped / 255 - MEAN) / STD)
        objects = []
        for annotation in content["annotations"]:
            if annotation["image_id"] == entry["id"]:
                x, y, w, h = (scaling * value / 4 for value in annotation["bbox"])
                centre = (x + w / 2 + left / 4, y + h / 2 + top / 4)
                objects.append((classes[annotation["category_id"]], *centre, w, h))
        targets.append(draw_targets(objects, CLASSES, SIDE // 4, SIDE // 4))
    return torch.from_numpy(np.stack(images)).float().permute(0, 3, 1, 2).contiguous(), targets


def categories(content: dict[str, Any]) -> list[dict[str, Any]]:
    """COCO's categories in the order of their ids, which is that of the class indices."""
    return sorted(content["categories"], key=lambda entry: entry["id"])


def new_network() -> CenterNet:
    """ResNet-18-DCN with first weights: PyTorch's, offsets of zero, heat of a tenth."""
    torch.manual_seed(1)
    network = CenterNet(18, True, {"hm": CLASSES, "wh": 2, "reg": 2})
    for module in network.modules():
        if isinstance(module, DeformableConv):
            nn.init.kaiming_uniform_(module.weight, 5**0.5)
            for parameter in (module.bias, *module.conv_offset_mask.parameters()):
                nn.init.zeros_(parameter)
    nn.init.constant_(network.hm[2].bias, -2.19)
    return network


def train(network: CenterNet, x: torch.Tensor, targets: list[Targets], steps: int) -> dict:
    """Adam on all images at once; the optimizer's state."""
    index = torch.tensor([[b, v, u] for b, t in enumerate(targets) for u, v in t.centre.tolist()])
    hm = torch.from_numpy(np.stack([target.hm for target in targets])).float()
    wh, reg = (
        torch.from_numpy(np.concatenate([getattr(target, name) for target in targets])).float()
        for name in ("wh", "reg")
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.01, steps)
    start = time.monotonic()
    for step in range(1, steps + 1):
        outputs = network.train()(x)
        loss = focal_loss(outputs["hm"], hm)
        loss = loss + 0.1 * regression_loss(outputs["wh"], index, wh, per="coordinate")
        loss = loss + regression_loss(outputs["reg"], index, reg, per="coordinate")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 10 == 0:
            print(
                f"step {step} loss {loss.item():.4f} {time.monotonic() - start:.0f} s", flush=True
            )
    return optimizer.state_dict()


def plain_numbers(network: CenterNet, content: dict[str, Any], folder: Path) -> dict[str, float]:
    """AP and AP50 of the plain detector's boxes."""

    def heads(image: np.ndarray) -> tuple[np.ndarray, ...]:
        with torch.no_grad():
            outputs = network.eval()(torch.from_numpy(image))
        return tuple(outputs[name].numpy() for name in ("hm", "wh", "reg"))

    ids, results = [entry["id"] for entry in categories(content)], []
    for entry in content["images"]:
        boxes = plain_detect(
            cv2.imread(str(folder / "val2017" / entry["file_name"])),
            heads,
            scales=[1.0],
            flip=False,
            keep_res=False,
            pad=31,
            fixed_size=(SIDE, SIDE),
            soft_nms=False,
            k=100,
            down_ratio=4,
            mean=MEAN,
            std=STD,
            num_classes=CLASSES,
        )
        for x1, y1, x2, y2, score, label in boxes.tolist():
            box = [x1, y1, x2 - x1, y2 - y1]
            result = {"image_id": entry["id"], "category_id": ids[int(label)], "bbox": box}
            results.append(result | {"score": score})
    truth = COCO(str(folder / "annotations" / "instances_val2017.json"))
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return {"AP": float(evaluation.stats[0]), "AP50": float(evaluation.stats[1])}


def main(argv: Sequence[str] | None = None) -> int:
    """Write the folder; 0."""
    parser = argparse.ArgumentParser(description="Train ResNet-18-DCN on a few images in PyTorch.")
    parser.add_argument("coco", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args(argv)
    # Beside other work two threads wait for each other: ten times as long on two busy cores.
    torch.set_num_threads(1)
    content = write_data_set(options.coco, options.output)
    network = new_network()
    optimizer = train(network, *batch(content, options.output), options.steps)
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    wrapped = {"epoch": options.steps, "state_dict": state, "optimizer": optimizer}
    torch.save(wrapped, options.output / "trained.pth")
    numbers = plain_numbers(network, content, options.output)
    (options.output / "plain.json").write_text(json.dumps(numbers), encoding="utf-8")
    print(numbers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
