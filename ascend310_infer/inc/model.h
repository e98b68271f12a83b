// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_MODEL_H_
#define ASCEND310_INFER_INC_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "inc/device.h"
#include "inc/status.h"

namespace mindspore {
class Model;
}

namespace centernet {

// What a caller has to know about one input or output.
struct TensorInfo {
  std::string name;
  std::string type;
  std::vector<int64_t> shape;
  size_t bytes;
};

// "(1, 3, 512, 512)".
std::string ShapeText(const std::vector<int64_t>& shape);

// "input x: uint8 (1, 3, 512, 512)".
std::string Describe(const std::string& role, const TensorInfo& tensor);

// Whether a file holds what CANN has compiled for a chip (converter_lite
// --optimize=ascend_oriented), instead of a graph.
Result<bool> IsConverted(const std::string& path);

// A MINDIR ready to run: one input, a batch of B images, and outputs of B rows, none of float16,
// which would place boxes to 1/8 of a cell.
// Not safe for use by two threads at once.
class Model {
 public:
  // Reads and compiles a MINDIR; takes seconds, on Ascend minutes unless it is converted.
  static Result<Model> Load(const std::string& path, const Device& device);

  const TensorInfo& input() const { return input_; }
  const std::vector<TensorInfo>& outputs() const { return outputs_; }

  // Sets *outputs to the raw bytes of each output, of the size that outputs() says.
  // REQUIRES: input.size() == this->input().bytes.
  Status Run(const std::vector<char>& input, std::vector<std::vector<char>>* outputs);

 private:
  Model(std::shared_ptr<mindspore::Model> model, TensorInfo input, std::vector<TensorInfo> outputs);

  std::shared_ptr<mindspore::Model> model_;
  TensorInfo input_;
  std::vector<TensorInfo> outputs_;
};

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_MODEL_H_
