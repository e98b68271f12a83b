// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/resize.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace centernet {
namespace {

constexpr size_t kColours = 3;

// The two pixels of a side that one of the output is between, and how near it is to the second.
struct Tap {
  size_t low;
  size_t high;
  float part;
};

std::vector<Tap> TapsOf(int length, double scale, bool half_pixel) {
  const double shift = half_pixel ? 0.5 : 0.0;
  const double last = length - 1;
  std::vector<Tap> taps(static_cast<size_t>(std::nearbyint(length * scale)));
  for (size_t i = 0; i < taps.size(); ++i) {
    const double at = std::clamp((static_cast<double>(i) + shift) / scale - shift, 0.0, last);
    const double low = std::floor(at);
    taps[i] = {static_cast<size_t>(low), static_cast<size_t>(std::min(low + 1, last)),
               static_cast<float>(at - low)};
  }
  return taps;
}

float Between(float low, float high, float part) { return low + (high - low) * part; }

}  // namespace

void ResizeInCorner(const uint8_t* image, int height, int width, const Affine& affine,
                    bool half_pixel, const Colour& border, int input_height, int input_width,
                    uint8_t* planes) {
  const size_t row_length = kColours * static_cast<size_t>(width);
  const auto output_width = static_cast<size_t>(input_width);
  const size_t plane = static_cast<size_t>(input_height) * output_width;
  for (size_t colour = 0; colour < kColours; ++colour) {
    std::fill_n(planes + colour * plane, plane, border[colour]);
  }
  const std::vector<Tap> rows = TapsOf(height, affine[4], half_pixel);
  const std::vector<Tap> columns = TapsOf(width, affine[0], half_pixel);
  std::vector<float> row(row_length);
  for (size_t y = 0; y < rows.size(); ++y) {
    const uint8_t* low = image + rows[y].low * row_length;
    const uint8_t* high = image + rows[y].high * row_length;
    for (size_t i = 0; i < row_length; ++i) {
      row[i] = Between(low[i], high[i], rows[y].part);
    }
    for (size_t x = 0; x < columns.size(); ++x) {
      for (size_t colour = 0; colour < kColours; ++colour) {
        const float value = Between(row[kColours * columns[x].low + colour],
                                    row[kColours * columns[x].high + colour], columns[x].part);
        planes[colour * plane + y * output_width + x] = static_cast<uint8_t>(std::nearbyint(value));
      }
    }
  }
}

}  // namespace centernet
