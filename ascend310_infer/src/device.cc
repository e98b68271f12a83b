// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/device.h"

namespace centernet {

std::string DeviceName(const Device& device) {
  return device.target == Device::Target::kCpu ? "CPU" : "Ascend " + std::to_string(device.id);
}

std::shared_ptr<mindspore::Context> CreateContext(const Device& device) {
  auto context = std::make_shared<mindspore::Context>();
  if (device.target == Device::Target::kCpu) {
    context->SetThreadNum(device.num_threads);
    context->MutableDeviceInfo().push_back(std::make_shared<mindspore::CPUDeviceInfo>());
  } else {
    auto ascend = std::make_shared<mindspore::AscendDeviceInfo>();
    ascend->SetDeviceID(static_cast<uint32_t>(device.id));
    // The default, enforce_fp16, would round box coordinates to 1/8 of a pixel from 128 on.
    ascend->SetPrecisionMode("preferred_fp32");
    context->MutableDeviceInfo().push_back(ascend);
  }
  return context;
}

}  // namespace centernet
