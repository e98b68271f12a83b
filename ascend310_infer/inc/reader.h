// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_READER_H_
#define ASCEND310_INFER_INC_READER_H_

#include <functional>
#include <optional>

#include "inc/geometry.h"
#include "inc/inputs.h"
#include "inc/meta.h"
#include "inc/model.h"
#include "inc/status.h"

namespace centernet {

// Reads an input into the place of one image of a batch. Sets *affine if it warped the image
// itself. Called by several threads at once.
using Reader =
    std::function<Status(const Input& input, char* image, std::optional<Affine>* affine)>;

// What reads inputs of a format as a model takes them: .bin files as they are, images decoded,
// warped by meta.placement and, for a model of float32, normalised by meta.colour.
// REQUIRES: with images, CanReadImages() and a model of images (batch, 3, height, width).
Reader CreateReader(InputFormat format, const Meta& meta, const TensorInfo& input);

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_READER_H_
