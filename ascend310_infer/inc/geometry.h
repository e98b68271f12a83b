// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_GEOMETRY_H_
#define ASCEND310_INFER_INC_GEOMETRY_H_

#include <array>
#include <cstdint>

namespace centernet {

// Takes (x, y, 1) in image pixels to network input pixels: (2,3), row by row.
using Affine = std::array<double, 6>;

// B, G and R.
using Colour = std::array<uint8_t, 3>;

// Where an image sits in the input that it is fitted into: eval_config.placement.
enum class Placement { kCentred, kCorner, kCornerHalfPixel };

// The affine that fits an image into the input, its shape kept, in the middle or in the top left
// corner; the same doubles as fixed_resolution in src/data/geometry.py.
// REQUIRES: all sizes are positive.
Affine FixedResolution(int height, int width, int input_height, int input_width,
                       Placement placement);

// Whether there is a way back through an affine, by numbers that are finite.
bool HasInverse(const Affine& affine);

// From network input back to image pixels. REQUIRES: HasInverse(affine), else nothing is finite.
Affine Inverted(const Affine& affine);

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_GEOMETRY_H_
