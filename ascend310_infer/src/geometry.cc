// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/geometry.h"

#include <algorithm>
#include <cmath>

namespace centernet {

Affine FixedResolution(int height, int width, int input_height, int input_width,
                       Placement placement) {
  if (placement != Placement::kCentred) {
    const double scale = std::min(static_cast<double>(input_height) / height,
                                  static_cast<double>(input_width) / width);
    // Sides of whole pixels, ties to even, as TensorFlow's keep_aspect_ratio_resizer has them.
    const auto fitted = [scale](int side) { return std::max(std::nearbyint(side * scale), 1.0); };
    return {fitted(width) / width, 0.0, 0.0, 0.0, fitted(height) / height, 0.0};
  }
  const double scale = static_cast<double>(std::min(input_height, input_width)) /
                       static_cast<double>(std::max(height, width));
  return {scale, 0.0,   input_width / 2.0 - scale * (width / 2.0),
          0.0,   scale, input_height / 2.0 - scale * (height / 2.0)};
}

bool HasInverse(const Affine& affine) {
  const double determinant = affine[0] * affine[4] - affine[1] * affine[3];
  return std::isfinite(1.0 / determinant);
}

Affine Inverted(const Affine& affine) {
  const double factor = 1.0 / (affine[0] * affine[4] - affine[1] * affine[3]);
  const double xx = affine[4] * factor;
  const double xy = -affine[1] * factor;
  const double yx = -affine[3] * factor;
  const double yy = affine[0] * factor;
  return {xx, xy, -xx * affine[2] - xy * affine[5], yx, yy, -yx * affine[2] - yy * affine[5]};
}

}  // namespace centernet
