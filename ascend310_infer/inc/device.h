// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_DEVICE_H_
#define ASCEND310_INFER_INC_DEVICE_H_

#include <memory>
#include <string>

namespace mindspore {
class Context;
}

namespace centernet {

// Where a model runs.
struct Device {
  enum class Target { kAscend, kCpu };

  Target target = Target::kAscend;
  int num_threads = 2;  // CPU only.

  // Ascend only; an empty text leaves CANN's own choice. The modes are for what compiles a MINDIR
  // when it is loaded: one that is converted has those of its conversion.
  int id = 0;
  // CANN's default, enforce_fp16, would round box coordinates to 1/8 of a pixel from 128 on.
  std::string precision_mode = "preferred_fp32";
  std::string op_select_impl_mode;
  std::string buffer_optimize_mode;
};

// "Ascend 0" or "CPU".
std::string DeviceName(const Device& device);

// MindSpore Lite's version; empty in the 2.0.0 of the package index.
std::string RuntimeVersion();

// The MindSpore Lite context for a device. Does not touch the device yet.
std::shared_ptr<mindspore::Context> CreateContext(const Device& device);

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_DEVICE_H_
