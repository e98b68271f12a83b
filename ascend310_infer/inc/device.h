// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_DEVICE_H_
#define ASCEND310_INFER_INC_DEVICE_H_

#include <memory>
#include <string>

#include "include/api/context.h"

namespace centernet {

// Where a model runs.
struct Device {
  enum class Target { kAscend, kCpu };

  Target target = Target::kAscend;
  int id = 0;           // Ascend only.
  int num_threads = 2;  // CPU only.
};

// "Ascend 0" or "CPU".
std::string DeviceName(const Device& device);

// The MindSpore Lite context for a device. Does not touch the device yet.
std::shared_ptr<mindspore::Context> CreateContext(const Device& device);

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_DEVICE_H_
