// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_META_H_
#define ASCEND310_INFER_INC_META_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "inc/geometry.h"
#include "inc/status.h"

namespace centernet {

// How soft-NMS counts sides and drops boxes: eval_config.soft_nms_form.
enum class SoftNmsForm { kOriginal, kMmcv };

struct ImageMeta {
  int64_t id;     // COCO's.
  Affine affine;  // That warped it.
  int width, height;
};

// What preprocess.py knows about images and post-processing, its meta.txt; src/deploy/bin_files.py
// describes the format.
struct Meta {
  double down_ratio;  // Input pixels of an output pixel.
  bool soft_nms;
  SoftNmsForm soft_nms_form;
  bool clip_boxes;  // At the border of the image.
  bool pairs;       // Detections are pairs of corners, see Task in src/tasks/task.py.
  bool take_damaged_jpegs;
  size_t rows;    // Detections of an image that the model gives.
  size_t kept;    // Of these at most.
  size_t points;  // Of a detection, each x, y and score; 0 of boxes alone.
  Colour border;  // Around images.
  Placement placement;
  std::vector<std::optional<int64_t>> category_ids;   // COCO's of each class that the set has.
  std::vector<bool> has_points;                       // Whether objects of each class have points.
  std::array<float, 12> colour;                       // (3,4), BGR 0..255 to normalised values.
  std::unordered_map<std::string, ImageMeta> images;  // By name, which is an input's stem.
};

// Reads a meta file.
Result<Meta> ReadMeta(const std::string& file);

// Reads the text of a meta file, called file in messages.
Result<Meta> ParseMeta(const std::string& text, const std::string& file);

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_META_H_
