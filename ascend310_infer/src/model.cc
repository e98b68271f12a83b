// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/model.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "inc/files.h"
#include "include/api/context.h"
#include "include/api/model.h"

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

TensorInfo InfoOf(const mindspore::MSTensor& tensor) {
  return {tensor.Name(), TypeName(tensor.DataType()), tensor.Shape(), tensor.DataSize()};
}

bool IsFixed(const TensorInfo& tensor) {
  return std::all_of(tensor.shape.begin(), tensor.shape.end(),
                     [](int64_t size) { return size > 0; });
}

// Fails unless the model takes one batch of images.
Status CheckInput(const std::string& path, const std::vector<mindspore::MSTensor>& inputs) {
  const std::string remedy = "; export the network with export.py";
  if (inputs.size() != 1) {
    return Status::Error(path + ": has " + std::to_string(inputs.size()) +
                         " inputs instead of one image" + remedy);
  }
  const TensorInfo input = InfoOf(inputs[0]);
  if (!IsFixed(input) || input.shape.empty() ||
      (input.type != "float32" && input.type != "uint8")) {
    return Status::Error(path + ": its input is " + input.type + " " + ShapeText(input.shape) +
                         " instead of float32 or uint8 of a fixed shape" + remedy);
  }
  return Status::Ok();
}

// Fails unless each output has a row for each image of a batch, or if one is of half precision.
Status CheckOutputs(const std::string& path, const std::vector<TensorInfo>& outputs,
                    int64_t batch_size) {
  for (const TensorInfo& output : outputs) {
    if (output.type == "float16") {
      return Status::Error(path + ": its output " + output.name + " is " + output.type +
                           " instead of float32; export the network with export.py, or give "
                           "output_type=FP32 in converter_lite's configFile");
    }
    const bool has_rows =
        batch_size == 1 || (!output.shape.empty() && output.shape[0] == batch_size);
    if (!IsFixed(output) || !has_rows) {
      return Status::Error(path + ": its output " + output.name + " is " + ShapeText(output.shape) +
                           " and has no row for each of " + std::to_string(batch_size) +
                           " images; export the network with export.py");
    }
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

std::string Describe(const std::string& role, const TensorInfo& tensor) {
  return role + " " + Shown(tensor.name) + ": " + tensor.type + " " + ShapeText(tensor.shape);
}

Result<bool> IsConverted(const std::string& path) {
  constexpr size_t kLargest = size_t{1} << 31;  // Of a protobuf.
  Result<std::string> content = ReadAll(path, kLargest);
  if (!content.ok()) {
    return content.status();
  }
  // The converter leaves one operator of this name. No text of a network of ours has it.
  return content.value().find("CustomAscend") != std::string::npos;
}

Model::Model(std::shared_ptr<mindspore::Model> model, TensorInfo input,
             std::vector<TensorInfo> outputs)
    : model_(std::move(model)), input_(std::move(input)), outputs_(std::move(outputs)) {}

Result<Model> Model::Load(const std::string& path, const Device& device) {
  const std::string shown = Shown(path);
  Status status = CheckReadable(path);
  if (!status.ok()) {
    return status;
  }
  auto model = std::make_shared<mindspore::Model>();
  if (!model->Build(path, mindspore::kMindIR, CreateContext(device)).IsOk()) {
    return Status::Error(
        shown + ": MindSpore Lite cannot load it on " + DeviceName(device) +
        "; export it with export.py for this version of Lite (2.0 reads MINDIR version 1 only)" +
        (device.target == Device::Target::kAscend
             ? ", or convert it by this Lite's converter_lite for this chip, source CANN's "
               "set_env.sh, or pass --device_target CPU"
             : "") +
        "; GLOG_v=2 in the environment shows the reason");
  }
  const std::vector<mindspore::MSTensor> inputs = model->GetInputs();
  status = CheckInput(shown, inputs);
  if (!status.ok()) {
    return status;
  }
  TensorInfo input = InfoOf(inputs[0]);
  std::vector<TensorInfo> outputs;
  for (const mindspore::MSTensor& tensor : model->GetOutputs()) {
    outputs.push_back(InfoOf(tensor));
  }
  status = CheckOutputs(shown, outputs, input.shape[0]);
  if (!status.ok()) {
    return status;
  }
  return Model(std::move(model), std::move(input), std::move(outputs));
}

Status Model::Run(const std::vector<char>& input, std::vector<std::vector<char>>* outputs) {
  std::vector<mindspore::MSTensor> inputs = model_->GetInputs();
  std::memcpy(inputs[0].MutableData(), input.data(), input.size());
  std::vector<mindspore::MSTensor> tensors;
  if (!model_->Predict(inputs, &tensors).IsOk() || tensors.size() != outputs_.size()) {
    return Status::Error("MindSpore Lite failed to run the model; GLOG_v=2 shows the reason");
  }
  outputs->resize(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::shared_ptr<const void> data = tensors[i].Data();
    if (data == nullptr || tensors[i].DataSize() != outputs_[i].bytes) {
      return Status::Error("MindSpore Lite gave " + std::to_string(tensors[i].DataSize()) +
                           " bytes of output " + outputs_[i].name + " instead of " +
                           std::to_string(outputs_[i].bytes) +
                           "; export the network again with export.py");
    }
    const char* begin = static_cast<const char*>(data.get());
    (*outputs)[i].assign(begin, begin + outputs_[i].bytes);
  }
  return Status::Ok();
}

}  // namespace centernet
