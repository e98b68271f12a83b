// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/model.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "inc/files.h"

namespace centernet {
namespace {

std::string TypeName(mindspore::DataType type) {
  switch (type) {
    case mindspore::DataType::kNumberTypeFloat32:
      return "float32";
    case mindspore::DataType::kNumberTypeFloat16:
      return "float16";
    case mindspore::DataType::kNumberTypeInt32:
      return "int32";
    case mindspore::DataType::kNumberTypeUInt8:
      return "uint8";
    default:
      return "type " + std::to_string(static_cast<int>(type));
  }
}

TensorInfo Describe(const mindspore::MSTensor& tensor) {
  return {tensor.Name(), TypeName(tensor.DataType()), tensor.Shape(), tensor.DataSize()};
}

// Fails unless the model takes what preprocess.py writes.
Status CheckInputs(const std::string& path, const std::vector<mindspore::MSTensor>& inputs) {
  if (inputs.size() != 1) {
    return Status::Error(path + ": has " + std::to_string(inputs.size()) +
                         " inputs instead of one image; export the network with export.py");
  }
  const TensorInfo input = Describe(inputs[0]);
  const bool fixed =
      std::all_of(input.shape.begin(), input.shape.end(), [](int64_t size) { return size > 0; });
  if (!fixed || (input.type != "float32" && input.type != "uint8")) {
    return Status::Error(path + ": its input is " + input.type + " " + ShapeText(input.shape) +
                         " instead of float32 or uint8 of a fixed shape; export the network with "
                         "export.py");
  }
  return Status::Ok();
}

}  // namespace

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) {
    text += (text.empty() ? "" : ", ") + std::to_string(size);
  }
  return "(" + text + ")";
}

Model::Model(std::unique_ptr<mindspore::Model> model, TensorInfo input)
    : model_(std::move(model)), input_(std::move(input)) {}

Result<Model> Model::Load(const std::string& path, const Device& device) {
  const Result<size_t> size = FileSize(path);
  if (!size.ok()) {
    return Status::Error(size.status().message() + "; write it with export.py");
  }
  auto model = std::make_unique<mindspore::Model>();
  if (!model->Build(path, mindspore::kMindIR, CreateContext(device)).IsOk()) {
    return Status::Error(
        path + ": MindSpore Lite cannot load it on " + DeviceName(device) +
        "; export it with export.py for this version of Lite (2.0 reads MINDIR version 1 only)" +
        (device.target == Device::Target::kAscend
             ? ", source CANN's set_env.sh, or pass --device_target CPU"
             : "") +
        "; GLOG_v=2 in the environment shows the reason");
  }
  const std::vector<mindspore::MSTensor> inputs = model->GetInputs();
  const Status status = CheckInputs(path, inputs);
  if (!status.ok()) {
    return status;
  }
  return Model(std::move(model), Describe(inputs[0]));
}

std::vector<TensorInfo> Model::Outputs() const {
  std::vector<TensorInfo> outputs;
  for (const mindspore::MSTensor& tensor : model_->GetOutputs()) {
    outputs.push_back(Describe(tensor));
  }
  return outputs;
}

Status Model::Run(const std::vector<char>& input, std::vector<std::vector<char>>* outputs) {
  std::vector<mindspore::MSTensor> inputs = model_->GetInputs();
  std::memcpy(inputs[0].MutableData(), input.data(), input.size());
  std::vector<mindspore::MSTensor> tensors;
  if (!model_->Predict(inputs, &tensors).IsOk()) {
    return Status::Error("MindSpore Lite failed to run the model; GLOG_v=2 shows the reason");
  }
  outputs->clear();
  for (const mindspore::MSTensor& tensor : tensors) {
    const std::shared_ptr<const void> data = tensor.Data();
    const char* begin = static_cast<const char*>(data.get());
    outputs->emplace_back(begin, begin + tensor.DataSize());
  }
  return Status::Ok();
}

}  // namespace centernet
