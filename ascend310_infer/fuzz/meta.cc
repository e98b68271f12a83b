// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
// Any bytes are a meta file or are refused.
#include "inc/meta.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  centernet::Result<centernet::Meta> meta = centernet::ParseMeta(text, "meta.txt");
  if (!meta.ok()) {
    return 0;
  }
  const centernet::Meta& found = meta.value();
  if (found.category_ids.empty() || found.rows == 0 || !(found.down_ratio > 0) ||
      found.has_points.size() != found.category_ids.size()) {
    std::abort();
  }
  return 0;
}
