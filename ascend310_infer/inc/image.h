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

// How an image becomes network input.
struct Warp {
  int input_height;
  int input_width;
  Placement placement;
  Colour border;            // What is around it.
  bool take_damaged_jpegs;  // As far as they decode; else they fail.
};

// Decodes an image of the formats that preprocess.py reads and warps it, by FixedResolution, to
// uint8 (3,input_height,input_width) BGR at pixels. Sets *affine to the warp. The messages of
// errors lack the file's name. REQUIRES: CanReadImages(). May be called by several threads at once.
Status DecodeAndWarp(const std::string& encoded, const Warp& warp, uint8_t* pixels, Affine* affine);

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_IMAGE_H_
