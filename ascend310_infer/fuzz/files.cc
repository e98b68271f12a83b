// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
// A file of any bytes is read as a .bin file, as a whole and as a list of inputs, or is refused; as
// a text in a message it has no control characters.
#include "inc/files.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "inc/inputs.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string shown =
      centernet::Sentence(std::string(reinterpret_cast<const char*>(data), size));
  if (centernet::Shown(shown) != shown || shown.size() > 1200 ||
      std::any_of(shown.begin(), shown.end(),
                  [](char letter) { return letter == 0x7F || (letter >= 0 && letter < ' '); })) {
    std::abort();
  }
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
