// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_POSTPROCESS_H_
#define ASCEND310_INFER_INC_POSTPROCESS_H_

#include <string>
#include <vector>

#include "inc/meta.h"

namespace centernet {

constexpr size_t kColumnsOfBox = 6;    // x1 y1 x2 y2 score class
constexpr size_t kColumnsOfPoint = 3;  // x y score

// A row of detections.
struct Detection {
  float x1, y1, x2, y2;  // Pixels.
  float score;
  float label;  // The class, from 0.
  std::vector<float> points;
};

// What a model gives for an image: float32 (rows, 6 + 3 points).
std::vector<Detection> ParseDetections(const std::vector<char>& bytes, size_t points);

// Brings detections on the output grid back to the pixels of the image, leaves out rows without an
// object, whose score is below 0, clips the others to the image, leaves out what is no pair of
// corners and applies soft-NMS if meta says so, and keeps the best, in their order. The same as
// PostProcessing in src/evaluation/postprocess.py, exp aside, which may differ in its last bit.
// Fails if a number is not finite or a label is not one of meta.category_ids: the detections are
// another model's.
Result<std::vector<Detection>> PostProcess(std::vector<Detection> detections,
                                           const ImageMeta& image, const Meta& meta);

// Appends entries of a COCO result file, each behind a comma and a new line. Those of classes that
// the data set lacks are left out. Points have no score there: in its place COCO asks for 1, a
// visibility that it does not look at.
void AppendCocoEntries(const std::vector<Detection>& kept, int64_t image_id, const Meta& meta,
                       std::string* json);

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_POSTPROCESS_H_
