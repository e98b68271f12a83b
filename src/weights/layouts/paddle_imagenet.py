# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""ImageNet's backbones that PaddleDetection's trainings start from.

They have the names of the detector's backbone without `backbone.`, and a classifier.
"""

from dataclasses import replace

from src.weights.layouts.layout import Layout, Rule
from src.weights.layouts.paddle import PADDLES
from src.weights.layouts.parts import CLASSIFIER
from src.weights.layouts.torchvision import IMAGENET

_BACKBONE = r"backbone\."
_CLASSIFIERS = "_?fc|out|last_second_conv|_?last_conv"


def _alone(detector: Layout) -> Layout:
    network = detector.name.rpartition(" with ")[2]
    return Layout(
        name=f"ImageNet's {network}, PaddleDetection",
        mark=detector.mark.removeprefix(_BACKBONE),
        rules=(
            *(
                replace(rule, pattern=rule.pattern.removeprefix(_BACKBONE))
                for rule in detector.rules
                if rule.pattern.startswith(_BACKBONE)
            ),
            Rule(rf"(?:{_CLASSIFIERS})\..+", ignored=CLASSIFIER),
        ),
        facts={n: value for n, value in detector.facts.items() if n != "net_config.head_conv"},
        colours=IMAGENET,
    )


PADDLE_IMAGENET = tuple(map(_alone, PADDLES))
