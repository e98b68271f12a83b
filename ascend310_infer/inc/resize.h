// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_RESIZE_H_
#define ASCEND310_INFER_INC_RESIZE_H_

#include <cstdint>

#include "inc/geometry.h"

namespace centernet {

// Resizes an image, uint8 (height,width,3), bilinearly into the top left corner of uint8
// (3,input_height,input_width); the rest is of the border's colour. The same as resized_in_corner
// in src/data/geometry.py. REQUIRES: affine is that of FixedResolution in the corner.
void ResizeInCorner(const uint8_t* image, int height, int width, const Affine& affine,
                    bool half_pixel, const Colour& border, int input_height, int input_width,
                    uint8_t* planes);

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_RESIZE_H_
