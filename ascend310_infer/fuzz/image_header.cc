// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
// Any bytes are an image of a size that they may hold, or are refused.
#include "inc/image_header.h"

#include <algorithm>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The first byte chooses how the file begins, else few would come to what follows.
  static const std::string kStarts[] = {
      "",
      "\xFF\xD8\xFF",
      "\x89PNG\r\n\x1A\n",
      "BM",
      "RIFF1234WEBPVP8",
      std::string("II*\0", 4),
      std::string("MM\0*", 4),
      std::string("\0\0\0\x0CjP  \r\n\x87\n", 12),
      "\xFF\x4F\xFF\x51",
      "P6 ",
  };
  if (size == 0) {
    return -1;
  }
  std::string encoded = kStarts[data[0] % std::size(kStarts)];
  encoded.append(reinterpret_cast<const char*>(data) + 1, size - 1);
  centernet::IsTruncatedJpeg(encoded);
  const centernet::ImageSize stated = centernet::StatedSize(encoded);
  if (!centernet::CheckImageHeader(encoded).ok()) {
    return 0;
  }
  const uint64_t most = std::max<uint64_t>(uint64_t{1} << 26U, 10'000 * encoded.size());
  if (stated.height == 0 || stated.width == 0 ||
      std::max(stated.height, stated.width) > centernet::kLargestSide ||
      stated.height * stated.width > most) {
    std::abort();
  }
  return 0;
}
