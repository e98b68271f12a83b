// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/reader.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "inc/files.h"
#include "inc/image.h"

namespace centernet {
namespace {

constexpr size_t kLargestInput = size_t{1} << 30;

// Reads images for a model, normalised by colour if it takes float32.
class ImageReader {
 public:
  ImageReader(const TensorInfo& input, const Meta& meta)
      : warp_{static_cast<int>(input.shape[2]), static_cast<int>(input.shape[3]), meta.placement,
              meta.border, meta.take_damaged_jpegs},
        normalises_(input.type == "float32"),
        colour_(meta.colour) {}

  Status operator()(const Input& input, char* image, std::optional<Affine>* affine) const {
    Result<std::string> encoded = ReadAll(input.path, kLargestInput);
    if (!encoded.ok()) {
      return encoded.status();
    }
    const size_t plane =
        static_cast<size_t>(warp_.input_height) * static_cast<size_t>(warp_.input_width);
    std::vector<uint8_t> warped(normalises_ ? 3 * plane : 0);
    uint8_t* pixels = normalises_ ? warped.data() : reinterpret_cast<uint8_t*>(image);
    const Status status = DecodeAndWarp(encoded.value(), warp_, pixels, &affine->emplace());
    if (!status.ok()) {
      return Status::Error(Shown(input.path) + ": " + status.message());
    }
    if (normalises_) {
      Normalise(pixels, plane, reinterpret_cast<float*>(image));
    }
    return Status::Ok();
  }

 private:
  // As normalise in src/data/augment.py.
  void Normalise(const uint8_t* pixels, size_t plane, float* image) const {
    for (size_t channel = 0; channel < 3; ++channel) {
      const float* row = &colour_[4 * channel];
      for (size_t i = 0; i < plane; ++i) {
        image[channel * plane + i] = row[0] * static_cast<float>(pixels[i]) +
                                     row[1] * static_cast<float>(pixels[plane + i]) +
                                     row[2] * static_cast<float>(pixels[2 * plane + i]) + row[3];
      }
    }
  }

  const Warp warp_;
  const bool normalises_;
  const std::array<float, 12> colour_;
};

}  // namespace

Reader CreateReader(InputFormat format, const Meta& meta, const TensorInfo& input) {
  if (format == InputFormat::kImage) {
    UseNoFurtherThreads();
    return ImageReader(input, meta);
  }
  const size_t bytes = input.bytes / static_cast<size_t>(input.shape[0]);
  return [bytes](const Input& file, char* image, std::optional<Affine>* /*affine*/) {
    return ReadExactly(file.path, bytes, image);
  };
}

}  // namespace centernet
