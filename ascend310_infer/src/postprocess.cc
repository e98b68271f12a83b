// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/postprocess.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <utility>

namespace centernet {
namespace {

constexpr double kSoftNmsSigma = 0.5;
constexpr float kSoftNmsThreshold = 0.001F;

bool IsSound(const Detection& box, size_t classes) {
  // A difference is not finite where a side is not, or is too long for a float.
  return std::isfinite(box.x2 - box.x1) && std::isfinite(box.y2 - box.y1) &&
         std::isfinite(box.score) && box.label >= 0.0F && box.label < static_cast<float>(classes) &&
         std::all_of(
             box.points.begin(), box.points.end(),
             [](float number) { return std::isfinite(number); });
}

void Move(const Affine& back, double ratio, float* x, float* y) {
  const double grid_x = *x * ratio;
  const double grid_y = *y * ratio;
  *x = static_cast<float>(grid_x * back[0] + grid_y * back[1] + back[2]);
  *y = static_cast<float>(grid_x * back[3] + grid_y * back[4] + back[5]);
}

void Clip(const ImageMeta& image, Detection* box) {
  for (float* x : {&box->x1, &box->x2}) {
    *x = std::clamp(*x, 0.0F, static_cast<float>(image.width));
  }
  for (float* y : {&box->y1, &box->y2}) {
    *y = std::clamp(*y, 0.0F, static_cast<float>(image.height));
  }
}

// As MMDetection does, coordinates below 0 become 0; a box that has no side then is none.
bool IsPair(Detection* box) {
  for (float* place : {&box->x1, &box->y1, &box->x2, &box->y2}) {
    *place = std::max(*place, 0.0F);
  }
  return box->x1 < box->x2 && box->y1 < box->y2;
}

double Area(const Detection& box, double added) {
  return (static_cast<double>(box.x2) - box.x1 + added) *
         (static_cast<double>(box.y2) - box.y1 + added);
}

// With so much added to the sides.
double Iou(const Detection& a, const Detection& b, double added) {
  const double width =
      std::max(static_cast<double>(std::min(a.x2, b.x2)) - std::max(a.x1, b.x1) + added, 0.0);
  const double height =
      std::max(static_cast<double>(std::min(a.y2, b.y2)) - std::max(a.y1, b.y1) + added, 0.0);
  const double overlap = width * height;
  // A predicted box can have negative sides; its IoU is 0.
  return std::clamp(overlap / std::max(Area(a, added) + Area(b, added) - overlap, 1e-9), 0.0, 1.0);
}

// Gaussian soft-NMS within each class (Bodla et al., 2017, equation 3), as soft_nms in
// src/evaluation/postprocess.py, which says what the forms are.
std::vector<Detection> SoftNms(std::vector<Detection> waiting, SoftNmsForm form, size_t most) {
  const bool is_original = form == SoftNmsForm::kOriginal;
  const double added = is_original ? 1.0 : 0.0;
  std::vector<Detection> kept;
  kept.reserve(std::min(waiting.size(), most));
  while (!waiting.empty() && kept.size() < most) {
    const auto best =
        std::max_element(waiting.begin(), waiting.end(),
                         [](const Detection& a, const Detection& b) { return a.score < b.score; });
    Detection taken = std::move(*best);
    waiting.erase(best);
    const auto is_dropped = [&taken, is_original, added](Detection& box) {
      const double iou = box.label == taken.label ? Iou(taken, box, added) : 0.0;
      const double factor = std::exp(-(iou * iou) / kSoftNmsSigma);
      box.score = static_cast<float>(box.score * factor);
      return (factor != 1.0 || !is_original) && box.score < kSoftNmsThreshold;
    };
    waiting.erase(std::remove_if(waiting.begin(), waiting.end(), is_dropped), waiting.end());
    kept.push_back(std::move(taken));
  }
  return kept;
}

// The shortest text that reads back as the same number.
void AppendNumber(double number, std::string* text) {
  char buffer[32];
#ifdef __cpp_lib_to_chars
  const std::to_chars_result result = std::to_chars(buffer, buffer + sizeof(buffer), number);
  text->append(buffer, result.ptr);
#else  // g++ before 11
  text->append(buffer, static_cast<size_t>(std::snprintf(buffer, sizeof(buffer), "%.17g", number)));
#endif
}

// Points with 1 instead of their scores.
std::vector<float> Visible(std::vector<float> points) {
  for (size_t i = kColumnsOfPoint - 1; i < points.size(); i += kColumnsOfPoint) {
    points[i] = 1.0F;
  }
  return points;
}

void AppendNumbers(const std::vector<float>& numbers, std::string* text) {
  const char* separator = "";
  for (const float number : numbers) {
    *text += separator;
    AppendNumber(number, text);
    separator = ", ";
  }
}

}  // namespace

std::vector<Detection> ParseDetections(const std::vector<char>& bytes, size_t points) {
  const size_t columns = kColumnsOfBox + kColumnsOfPoint * points;
  std::vector<float> row(columns);
  std::vector<Detection> detections(bytes.size() / (columns * sizeof(float)));
  const char* next = bytes.data();
  for (Detection& found : detections) {
    std::memcpy(row.data(), next, columns * sizeof(float));
    next += columns * sizeof(float);
    found = {
        row[0], row[1], row[2], row[3], row[4], row[5], {row.begin() + kColumnsOfBox, row.end()}};
  }
  return detections;
}

Result<std::vector<Detection>> PostProcess(std::vector<Detection> detections,
                                           const ImageMeta& image, const Meta& meta) {
  const Affine back = Inverted(image.affine);
  for (Detection& box : detections) {
    Move(back, meta.down_ratio, &box.x1, &box.y1);
    Move(back, meta.down_ratio, &box.x2, &box.y2);
    for (size_t i = 0; i < box.points.size(); i += kColumnsOfPoint) {
      Move(back, meta.down_ratio, &box.points[i], &box.points[i + 1]);
    }
    if (!IsSound(box, meta.category_ids.size())) {
      return Status::Error(
          "the model found a box that is not finite or of no known class; run preprocess.py with "
          "this model");
    }
    if (meta.clip_boxes) {
      Clip(image, &box);
    }
  }
  // Rows without an object, which src/tasks/columns.py describes, and what is no pair.
  const auto is_none = [&meta](Detection& box) {
    return box.score < 0.0F || (meta.pairs && !IsPair(&box));
  };
  detections.erase(std::remove_if(detections.begin(), detections.end(), is_none), detections.end());
  if (meta.soft_nms) {
    detections = SoftNms(std::move(detections), meta.soft_nms_form, meta.kept);
  }
  std::stable_sort(detections.begin(), detections.end(),
                   [](const Detection& a, const Detection& b) { return a.score > b.score; });
  if (detections.size() > meta.kept) {
    detections.erase(detections.begin() + static_cast<std::ptrdiff_t>(meta.kept), detections.end());
  }
  return detections;
}

void AppendCocoEntries(const std::vector<Detection>& kept, int64_t image_id, const Meta& meta,
                       std::string* json) {
  for (const Detection& box : kept) {
    const auto label = static_cast<size_t>(box.label);
    const std::optional<int64_t> category = meta.category_ids[label];
    if (!category) {
      continue;
    }
    *json += ",\n{\"image_id\": " + std::to_string(image_id) +
             ", \"category_id\": " + std::to_string(*category) + ", \"bbox\": [";
    AppendNumbers({box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1}, json);
    *json += "], \"score\": ";
    AppendNumber(box.score, json);
    if (!box.points.empty() && meta.has_points[label]) {
      *json += ", \"keypoints\": [";
      AppendNumbers(Visible(box.points), json);
      *json += ']';
    }
    *json += '}';
  }
}

}  // namespace centernet
