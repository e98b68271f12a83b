# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""Time of the three forms of the deformable convolution, forward and with gradients.

python -m benchmarks.deformable [--batch 2] [--repeat 5] [--json FILE]

The three layers are those of the ResNet-101 network at 512×512 input. The floor is an ordinary 3×3
convolution of the same channels.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

from src.model_utils.config import load_config
from src.model_utils.device_adapter import set_up_device

# Input channels, output channels, side of the map.
LAYERS = [(2048, 256, 16), (256, 128, 32), (128, 64, 64)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=2, help="images")
    parser.add_argument("--repeat", type=int, default=5, help="runs, of which the median counts")
    parser.add_argument("--device_target", default="CPU", choices=["CPU", "GPU", "Ascend"])
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    set_up_device(load_config("", ["--device_target", options.device_target]))

    import mindspore as ms
    import numpy as np

    from src.models.deformable import FORMS, DeformableConv
    from src.models.layers import conv

    def median_seconds(function, image: ms.Tensor) -> float:
        def run() -> float:
            start = time.perf_counter()
            result = function(image)
            (result[0] if isinstance(result, tuple) else result).asnumpy()
            return time.perf_counter() - start

        run()  # compiles
        return statistics.median(run() for _ in range(options.repeat))

    random = np.random.default_rng(0)
    rows = []
    for in_channels, out_channels, side in LAYERS:
        shape = (options.batch, in_channels, side, side)
        image = ms.Tensor(random.normal(size=shape).astype(np.float32))
        seconds = {}
        for form in ("convolution", *FORMS):
            if form == "convolution":
                cell = conv(in_channels, out_channels, 3)
            else:
                cell = DeformableConv(in_channels, out_channels, form)
            weights = ms.ParameterTuple(cell.trainable_params())
            seconds[form] = median_seconds(cell, image)
            gradients = ms.grad(cell, grad_position=0, weights=weights)
            seconds[f"{form}_gradients"] = median_seconds(gradients, image)
        rows.append({"layer": f"{in_channels}->{out_channels}, {side}x{side}", **seconds})

    print(f"{'layer':>20} " + " ".join(f"{name:>25}" for name in list(rows[0])[1:]))
    for row in rows:
        print(f"{row['layer']:>20} " + " ".join(f"{row[n] * 1e3:>22.1f} ms" for n in list(row)[1:]))
    total = {name: sum(row[name] for row in rows) for name in list(rows[0])[1:]}
    for suffix in ("", "_gradients"):
        for form in FORMS[1:]:
            ratio = total[f"operator{suffix}"] / total[f"{form}{suffix}"]
            print(f"operator / {form}{suffix or '_forward'}: {ratio:.2f}")
    if options.json:
        options.json.write_text(json.dumps({"layers": rows, "total": total}), encoding="utf-8")


if __name__ == "__main__":
    main()
