// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
// A file of any bytes is read as a .bin file, as a whole and as a list of inputs, or is refused.
#include "inc/files.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "inc/inputs.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int descriptor = memfd_create("input", 0);
  if (descriptor < 0 || write(descriptor, data, size) != static_cast<ssize_t>(size)) {
    std::abort();
  }
  const std::string file = "/proc/self/fd/" + std::to_string(descriptor);
  const size_t wanted = size == 0 ? 1 : data[0];
  std::vector<char> bytes(wanted);
  if (centernet::ReadExactly(file, wanted, bytes.data()).ok() != (size == wanted)) {
    std::abort();
  }
  centernet::Result<std::string> whole = centernet::ReadAll(file, wanted);
  if (whole.ok() != (size <= wanted) || (whole.ok() && whole.value().size() != size)) {
    std::abort();
  }
  for (const auto format : {centernet::InputFormat::kBin, centernet::InputFormat::kImage}) {
    centernet::Result<std::vector<centernet::Input>> inputs = centernet::ListInputs(file, format);
    if (inputs.ok() && inputs.value().empty()) {
      std::abort();
    }
  }
  close(descriptor);
  return 0;
}
