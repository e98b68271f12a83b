// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_IMAGE_H_
#define ASCEND310_INFER_INC_IMAGE_H_

#include <cstdint>
#include <string>

#include "inc/geometry.h"
#include "inc/status.h"

namespace centernet {

// Whether this program was built with OpenCV.
bool CanReadImages();

// Keeps OpenCV from starting threads of its own beside those that read images.
void UseNoFurtherThreads();

// Decodes an image of the formats that preprocess.py reads and warps it, by FixedResolution, to
// uint8 (3,height,width) BGR at pixels. Sets *affine to the warp. A JPEG whose pixels are cut off
// or damaged fails, or with take_damaged is taken as far as it decodes. The messages of errors lack
// the file's name. REQUIRES: CanReadImages(). May be called by several threads at once.
Status DecodeAndWarp(const std::string& encoded, bool take_damaged, int height, int width,
                     uint8_t* pixels, Affine* affine);

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_IMAGE_H_
