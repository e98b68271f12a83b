// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/resize.h"

#include <vector>

#include "tests/check.h"

namespace centernet {
namespace {

// The first colour of a row of pixels, resized into a row of 8.
std::vector<int> Resized(const std::vector<uint8_t>& row, bool half_pixel) {
  std::vector<uint8_t> image;
  for (const uint8_t value : row) {
    image.insert(image.end(), {value, 0, static_cast<uint8_t>(value / 2)});
  }
  const auto width = static_cast<int>(row.size());
  const Affine affine = FixedResolution(1, width, 8, 8, Placement::kCorner);
  std::vector<uint8_t> planes(3 * 8 * 8, 99);
  ResizeInCorner(image.data(), 1, width, affine, half_pixel, {0, 5, 6}, 8, 8, planes.data());
  const size_t filled = 8 * static_cast<size_t>(affine[4]);
  for (size_t i = 0; i < 64; ++i) {
    CHECK_EQ(int{planes[64 + i]}, i < filled ? 0 : 5);
    CHECK(i < filled || (planes[i] == 0 && planes[128 + i] == 6));
  }
  return {planes.begin(), planes.begin() + 8};
}

void TestEnlarged() {
  // Pixels at 0, 1/2, 1, 3/2, and the last one from there on.
  CHECK((Resized({0, 100, 200, 40}, false) == std::vector<int>{0, 50, 100, 150, 200, 120, 40, 40}));
  // Middles of pixels: -1/4 is the first one, then 1/4, 3/4, ...
  CHECK((Resized({0, 100, 200, 40}, true) == std::vector<int>{0, 25, 75, 125, 175, 160, 80, 40}));
}

void TestReduced() {
  std::vector<uint8_t> row(16);
  for (size_t i = 0; i < row.size(); ++i) {
    row[i] = static_cast<uint8_t>(10 * i);
  }
  CHECK((Resized(row, false) == std::vector<int>{0, 20, 40, 60, 80, 100, 120, 140}));
  CHECK((Resized(row, true) == std::vector<int>{5, 25, 45, 65, 85, 105, 125, 145}));
}

}  // namespace
}  // namespace centernet

int main() {
  centernet::TestEnlarged();
  centernet::TestReduced();
}
