// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/device.h"

#include "include/api/context.h"
#include "include/api/types.h"

namespace centernet {

std::string DeviceName(const Device& device) {
  return device.target == Device::Target::kCpu ? "CPU" : "Ascend " + std::to_string(device.id);
}

std::string RuntimeVersion() { return mindspore::Version(); }

std::shared_ptr<mindspore::Context> CreateContext(const Device& device) {
  auto context = std::make_shared<mindspore::Context>();
  if (device.target == Device::Target::kCpu) {
    context->SetThreadNum(device.num_threads);
    context->MutableDeviceInfo().push_back(std::make_shared<mindspore::CPUDeviceInfo>());
    return context;
  }
  const auto ascend = std::make_shared<mindspore::AscendDeviceInfo>();
  ascend->SetDeviceID(static_cast<uint32_t>(device.id));
  if (!device.precision_mode.empty()) {
    ascend->SetPrecisionMode(device.precision_mode);
  }
  if (!device.op_select_impl_mode.empty()) {
    ascend->SetOpSelectImplMode(device.op_select_impl_mode);
  }
  if (!device.buffer_optimize_mode.empty()) {
    ascend->SetBufferOptimizeMode(device.buffer_optimize_mode);
  }
  context->MutableDeviceInfo().push_back(ascend);
  return context;
}

}  // namespace centernet
