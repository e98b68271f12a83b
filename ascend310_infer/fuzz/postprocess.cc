// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
// Any numbers are detections with a result, best box first, or are refused.
#include "inc/postprocess.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  centernet::Affine affine{};
  if (size < sizeof(affine) + 1) {
    return -1;
  }
  const uint8_t bits = data[sizeof(affine)];
  std::memcpy(affine.data(), data, sizeof(affine));
  centernet::Meta meta{};
  meta.down_ratio = 4;
  meta.soft_nms = bits % 2 == 1;
  meta.clip_boxes = bits / 8 % 2 == 1;
  meta.pairs = bits / 16 % 2 == 1;
  meta.soft_nms_form =
      bits / 32 % 2 == 1 ? centernet::SoftNmsForm::kMmcv : centernet::SoftNmsForm::kOriginal;
  meta.kept = bits / 64 % 2 == 1 ? 3 : 1000;
  meta.category_ids = {1, std::nullopt, -90};
  meta.has_points = {true, true, false};
  meta.points = bits / 2 % 3;
  std::vector<centernet::Detection> detections = centernet::ParseDetections(
      std::vector<char>(data + sizeof(affine) + 1, data + size), meta.points);
  const size_t given = detections.size();
  centernet::Result<std::vector<centernet::Detection>> found =
      centernet::PostProcess(std::move(detections), {0, affine, 640, 480}, meta);
  if (!found.ok()) {
    return 0;
  }
  const bool sorted =
      std::is_sorted(found.value().begin(), found.value().end(),
                     [](const auto& a, const auto& b) { return a.score > b.score; });
  std::string json;
  centernet::AppendCocoEntries(found.value(), 1, meta, &json);
  if (!sorted || found.value().size() > std::min(given, meta.kept) ||
      json.find("nan") != std::string::npos || json.find("inf") != std::string::npos) {
    std::abort();
  }
  return 0;
}
