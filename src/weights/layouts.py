# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The layouts that other projects keep these networks in, and what makes their tensors ours.

A layout is told by names. Of each tensor it says our name or why it is left out, and what has to
be done to its values:

- The original's deformable layers put out y, x of each tap in turn, then the masks; ours nine x,
  nine y, then the masks.
- ImageNet's networks take RGB, normalised by their own mean and deviation. The first convolution
  and the mean of its BatchNorm are changed so that the same picture, as this project normalises it,
  gives the same features. Only at the picture's border, within the reach of the first kernel's
  padding, is there a difference: zero stands for another colour there.
- BatchNorm's epsilon is 1e-5 here; where it is another, the variance takes up the difference.

Transposed convolutions are (in, out, 4, 4) everywhere, so no layout has to be transposed.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from src.model_utils.errors import UserError, sentence
from src.model_utils.parameters import Config
from src.weights.checkpoints import STATE_PREFIX
from src.weights.files import Stored

STEM_POOL = STATE_PREFIX + "stem_pool"  # a fact beside converted weights: net_config.stem_pool

OURS = "this project's"
ORIGINAL = "CenterNet, original PyTorch"
MODELZOO = "CenterNet, ModelZoo"

_FROM_YX = [*range(1, 18, 2), *range(0, 18, 2), *range(18, 27)]
_TO_YX = np.argsort(_FROM_YX).tolist()

_EPS, _MODELZOO_EPS = 1e-5, 1e-4  # ours is nn.BatchNorm2d's
# Mean and deviation of R, G and B in 0..1 that the networks were trained with.
_IMAGENET_COLOURS = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
_MODELZOO_RESNET101_COLOURS = ([0.475, 0.451, 0.392], [0.275, 0.267, 0.278])
_BLOCK = re.compile(r"backbone\.layer(\d+)\.(\d+)\.")
_DEPTHS = {
    ("basic", (2, 2, 2, 2)): "ResNet-18",
    ("basic", (3, 4, 6, 3)): "ResNet-34",
    ("bottleneck", (3, 4, 6, 3)): "ResNet-50",
    ("bottleneck", (3, 4, 23, 3)): "ResNet-101",
    ("bottleneck", (3, 8, 36, 3)): "ResNet-152",
}
_BATCH_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
# Cells and parameters of MindSpore's optimizers and training steps.
_TRAINING_STATE = {
    "optimizer", "moment1", "moment2", "moments", "accum", "stat", "beta1_power", "beta2_power",
    "global_step", "learning_rate", "scale_sense",
}  # fmt: skip
_OF_TRAINING = "the training's state"
_SHOWN = 3


@dataclass(frozen=True)
class ImageNet:
    """A layout of ImageNet classifiers.

    name: what it is called.
    shortcut: the cell of a block's shortcut.
    classifier: the last layer's cell.
    """

    name: str
    shortcut: str
    classifier: str


_PYTORCH_IMAGENET = ImageNet("ImageNet, torchvision or timm", "downsample", "fc")
_MINDCV = ImageNet("ImageNet, MindCV", "down_sample", "classifier")
_MODELZOO_IMAGENET = ImageNet("ImageNet, ModelZoo", "down_sample_layer", "end_point")


@dataclass
class Translated:
    """Tensors of a file under our names.

    layout: the layout's name.
    arrays: float32 arrays by our names.
    sources: their names in the file, by our names.
    changed: by our names how their values were changed, where they were: "permuted: ..." or
        "folded: ...".
    ignored: names in the file that are left out, and why.
    remarks: sentences for the reader.
    """

    layout: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def translate(stored: Stored, config: Config) -> Translated:
    """Recognises a file's layout and gives its tensors our names and our meaning.

    Args:
        stored: the file.
        config: the network that they are for, and its normalisation.

    Raises:
        UserError: an unknown layout, a tensor with no place in it, or another network than the
            configured one.
    """
    if any(n.startswith("backbone.") and n.endswith(".gamma") for n in stored.tensors):
        found = _ours(stored)
    else:
        prefix = _prefix(stored)
        if f"{prefix}bn1.gamma" in stored.tensors:
            found = _of_mindspore(stored, prefix, config)
        elif prefix in ("", "module."):
            found = _of_pytorch(stored, prefix, config)
        else:
            raise _unknown_layout(stored)
    found.remarks[:0] = stored.remarks
    _check_network(stored, found, config)
    return found


def to_original(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our arrays under the original's names and in its layout: what `translate` undoes, exactly."""
    back = {ours: theirs for theirs, ours in _BATCH_NORM.items()}
    found = {}
    for name, array in arrays.items():
        *cells, last = name.split(".")[1:]
        if "conv_offset" in cells:
            array = array[_TO_YX]
        cells = ["conv_offset_mask" if cell == "conv_offset" else cell for cell in cells]
        found[".".join([*cells, back.get(last, last)])] = array
    return found


def _prefix(stored: Stored) -> str:
    """What stands before the names of the network's parts: module., network.resnet101., ..."""
    stems = [
        name.removesuffix("conv1.weight")
        for name, array in stored.tensors.items()
        if name.endswith("conv1.weight")
        and array.shape[1:] == (3, 7, 7)
        and not _is_training_state(name)
    ]
    if not stems:
        raise _unknown_layout(stored)
    return min(stems, key=len)


def _is_training_state(name: str) -> bool:
    cells = name.split(".")
    return len(cells) == 1 or not _TRAINING_STATE.isdisjoint(cells)


def _renamed(stored: Stored, layout: str, rename: Callable[[str], tuple[str, str]]) -> Translated:
    """Applies `rename`, which gives of a name ours and "", or "" and why it is left out."""
    found, unknown = Translated(layout), []
    for source, array in stored.tensors.items():
        name, reason = rename(source)
        if name:
            if array.dtype != np.float32:
                raise UserError(f"{stored.path}: {source} is {array.dtype}; save it as float32.")
            found.arrays[name], found.sources[name] = array, source
        elif reason:
            found.ignored[source] = reason
        else:
            unknown.append(source)
    if unknown:
        raise UserError(
            f"{stored.path}: holds {len(unknown)} tensors ({shown(unknown)}) that a network of "
            f"the layout '{layout}' does not have, so it is another network; docs/weights.md "
            "lists those that can be read."
        )
    return found


def _ours(stored: Stored) -> Translated:
    found = Translated(OURS)
    for name, array in stored.tensors.items():
        if name.startswith(STATE_PREFIX):
            found.ignored[name] = _OF_TRAINING
        else:
            found.arrays[name], found.sources[name] = array, name
    return found


def _of_pytorch(stored: Stored, prefix: str, config: Config) -> Translated:
    names = [name.removeprefix(prefix) for name in stored.tensors]
    norms = {n.removesuffix(".running_mean") for n in names if n.endswith(".running_mean")}
    is_detector = any(name.startswith(("deconv_layers.", "hm.")) for name in names)
    heads = _heads(config)

    def rename(source: str) -> tuple[str, str]:
        name = source.removeprefix(prefix)
        cell, _, last = name.rpartition(".")
        if last == "num_batches_tracked":
            return "", "a counter of PyTorch's BatchNorm"
        if cell in norms:
            name = f"{cell}.{_BATCH_NORM[last]}" if last in _BATCH_NORM else ""
        if not is_detector and name.startswith("fc."):
            return "", "ImageNet's classifier"
        if is_detector and name.startswith("deconv_layers."):
            return "neck." + name.replace("conv_offset_mask", "conv_offset"), ""
        if is_detector and re.fullmatch(r"\w+\.[02]\.(weight|bias)", name):
            head = name.split(".")[0]
            return (f"heads.{name}", "") if head in heads else ("", _no_head(head))
        return _backbone_name(name), ""

    if not is_detector:
        found = _renamed(stored, _PYTORCH_IMAGENET.name, rename)
        return _adapted(found, _PYTORCH_IMAGENET, config)
    found = _renamed(stored, ORIGINAL, rename)
    for name, array in found.arrays.items():
        if ".conv_offset." in name and len(array) == len(_FROM_YX):
            found.arrays[name] = array[_FROM_YX]
            found.changed[name] = "permuted: offsets y, x of each tap to nine x, nine y"
    return found


def _of_mindspore(stored: Stored, prefix: str, config: Config) -> Translated:
    wrapper = re.fullmatch(r"(.*?)resnet\d+\.", prefix)
    if wrapper:
        return _renamed(stored, MODELZOO, _modelzoo_rename(wrapper[1], prefix, _heads(config)))
    cells = {cell for name in stored.tensors for cell in name.split(".")}
    layout = _MODELZOO_IMAGENET if _MODELZOO_IMAGENET.shortcut in cells else _MINDCV

    def rename(source: str) -> tuple[str, str]:
        name = source.removeprefix(prefix)
        if _is_training_state(name):
            return "", _OF_TRAINING
        if name.startswith(f"{layout.classifier}."):
            return "", "ImageNet's classifier"
        name = name.replace(f".{layout.shortcut}.", ".downsample.")
        return _backbone_name(re.sub(r"\.bn(\d)d\.", r".bn\1.", name)), ""

    return _adapted(_renamed(stored, layout.name, rename), layout, config)


def _modelzoo_rename(
    wrapper: str, prefix: str, heads: Iterable[str]
) -> Callable[[str], tuple[str, str]]:
    def rename(source: str) -> tuple[str, str]:
        if source.startswith(prefix):
            name = source.removeprefix(prefix)
            in_neck = name.startswith("deconv_layers.")
            return f"neck.{name}" if in_neck else _backbone_name(name), ""
        head = re.fullmatch(rf"{re.escape(wrapper)}(\w+)_fn\.(.+)", source)
        if head:
            name = f"heads.{head[1]}.{head[2]}"
            return (name, "") if head[1] in heads else ("", _no_head(head[1]))
        return "", _OF_TRAINING if _is_training_state(source) else ""

    return rename


def _backbone_name(name: str) -> str:
    """Our name of a ResNet's tensor, or empty if no ResNet has it."""
    block = r"layer\d\.\d+\.(conv\d|bn\d|downsample\.[01])"
    return f"backbone.{name}" if re.match(rf"(conv1|bn1|{block})\.\w+$", name) else ""


def _adapted(found: Translated, layout: ImageNet, config: Config) -> Translated:
    """Makes an ImageNet network take this project's pictures; see the module."""
    mean, deviation = _IMAGENET_COLOURS
    if layout is _MODELZOO_IMAGENET:
        if _network(found.arrays)[1] == (3, 4, 23, 3):
            mean, deviation = _MODELZOO_RESNET101_COLOURS
        _fold_epsilon(found)
    found.remarks.append(
        f"Its pictures were RGB of mean {mean} and deviation {deviation}; the first layers now "
        "take BGR of dataset_config.mean and std."
    )
    _fold_colours(found, np.array(mean[::-1]), np.array(deviation[::-1]), config)
    is_basic = _network(found.arrays)[0] == "basic"
    if layout is _MODELZOO_IMAGENET and not is_basic:
        found.remarks.append(
            "Its convolutions and pooling of stride 2 pad at the end alone, ours on both sides: "
            "until it is trained further its features are not quite where they were."
        )
    elif layout is _MINDCV and config.net_config.stem_pool != "same":
        found.remarks.append(
            "Its max-pooling is that of net_config.stem_pool same: with the configured one its "
            "features are not quite where they were until it is trained further."
        )
    return found


def _fold_epsilon(found: Translated) -> None:
    """ModelZoo's BatchNorm has epsilon 1e-4, in basic networks only inside the blocks."""
    is_basic = _network(found.arrays)[0] == "basic"
    for name, source in found.sources.items():
        if name.endswith(".moving_variance") and (not is_basic or re.search(r"\.bn\dd\.", source)):
            found.arrays[name] = found.arrays[name] + np.float32(_MODELZOO_EPS - _EPS)
            found.changed[name] = f"folded: BatchNorm's epsilon {_MODELZOO_EPS:g}"


def _fold_colours(
    found: Translated, mean: np.ndarray, deviation: np.ndarray, config: Config
) -> None:
    """From RGB to BGR, and from `mean` and `deviation` of B, G and R to the configured ones."""
    weight, moving_mean = "backbone.conv1.weight", "backbone.bn1.moving_mean"
    kernel = found.arrays[weight].astype(np.float64)[:, ::-1]
    scale = np.array(config.dataset_config.std) / deviation
    found.arrays[weight] = (kernel * scale[:, None, None]).astype(np.float32)
    found.changed[weight] = "permuted: RGB to BGR, scaled to dataset_config.std"
    if moving_mean in found.arrays:
        shift = (np.array(config.dataset_config.mean) - mean) / deviation
        constant = kernel.sum(axis=(2, 3)) @ shift
        found.arrays[moving_mean] = (found.arrays[moving_mean] - constant).astype(np.float32)
        found.changed[moving_mean] = "folded: the mean of the pictures, to dataset_config.mean"


def _heads(config: Config) -> tuple[str, ...]:
    return ("hm", "wh", "reg") if config.net_config.reg_offset else ("hm", "wh")


def _no_head(head: str) -> str:
    return f"the configured network has no head {head}"


def _network(arrays: dict[str, np.ndarray]) -> tuple[str, tuple[int, ...]]:
    """Kind of block, and number of blocks in each stage."""
    numbers = {match.groups() for name in arrays if (match := _BLOCK.match(name))}
    stages = Counter(int(stage) for stage, _ in numbers)
    block = "bottleneck" if "backbone.layer1.0.conv3.weight" in arrays else "basic"
    return block, tuple(stages[stage] for stage in sorted(stages))


def _check_network(stored: Stored, found: Translated, config: Config) -> None:
    """Raises UserError if a file holds another network than the configured one, as far as it says.

    What does not fit in a file of ours is named by its shapes.
    """
    net = config.net_config
    pools = {ORIGINAL: "symmetric", MODELZOO: "same", OURS: stored.facts.get(STEM_POOL)}
    pool = pools.get(found.layout) or net.stem_pool
    if pool != net.stem_pool:
        raise UserError(
            f"{stored.path}: was trained with the max-pooling that net_config.stem_pool {pool} "
            f"stands for, and not {net.stem_pool}; give --net_config.stem_pool {pool}."
        )
    if found.layout == OURS:
        return
    held, wanted = _network(found.arrays), (net.block, tuple(net.block_class))
    texts = [_described(*held), _described(*wanted)]
    if any(name.startswith("neck.") for name in found.arrays):
        deformable = any(".conv_offset." in name for name in found.arrays)
        texts[0] += _with_layers(deformable)
        texts[1] += _with_layers(net.deformable != "none")
    if texts[0] != texts[1]:
        raise UserError(
            f"{stored.path}: holds {texts[0]}, but the configured network is {texts[1]}; choose "
            "the --config_path of that network, docs/weights.md lists them."
        )


def _described(block: str, blocks: tuple[int, ...]) -> str:
    return _DEPTHS.get((block, blocks), f"a ResNet of {list(blocks)} {block} blocks")


def _with_layers(deformable: bool) -> str:
    return f" {'with' if deformable else 'without'} deformable layers"


def _unknown_layout(stored: Stored) -> UserError:
    return UserError(
        f"{stored.path}: its tensors ({shown(list(stored.tensors))}) are of no layout that is "
        "known here; docs/weights.md lists those that can be read."
    )


def shown(names: list[str]) -> str:
    """The first of some names, as messages show them."""
    return sentence(", ".join(names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
