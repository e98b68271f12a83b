// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_IMAGE_HEADER_H_
#define ASCEND310_INFER_INC_IMAGE_HEADER_H_

#include <cstdint>
#include <string>

#include "inc/status.h"

namespace centernet {

// What a file says of an image in it, read before a decoder believes it. The rules are those of
// src/data/images.py, so that preprocess.py and the application take the same files.

// cv::warpAffine takes no image with a side of SHRT_MAX (32,767) pixels or more.
constexpr uint64_t kLargestSide = 32766;

struct ImageSize {
  uint64_t height;
  uint64_t width;
};

bool IsJpeg(const std::string& encoded);

// The size that the header states, the larger of an image's and its tiles' in each direction; zeros
// where none is found.
ImageSize StatedSize(const std::string& encoded);

// Fails if a side is larger than kLargestSide.
Status CheckSides(const ImageSize& size);

// Fails if it is of no format that is read, or states a size that its bytes cannot hold.
Status CheckImageHeader(const std::string& encoded);

// Whether it is a JPEG that lacks its end, which decoders let pass with a grey rest.
bool IsTruncatedJpeg(const std::string& encoded);

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_IMAGE_HEADER_H_
