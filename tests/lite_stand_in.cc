// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
//
// What MindSpore Lite's Ascend runtime asks of CANN beside benchmarks/ascend/stub.cc: a compiler
// that tells its options, and a model of one input and one output. Their shapes and types stand in
// LITE_INPUT and LITE_OUTPUT as "TYPE BYTES DIM DIM ...", types as CANN counts them. What it
// computes, in float32: the sum of the input's bytes, plus the place of each output value.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#define EXPORT __attribute__((visibility("default")))

namespace ge {

class Graph;

struct ModelBufferData {
  std::shared_ptr<uint8_t> data;
  uint64_t length = 0;
};

EXPORT uint32_t aclgrphBuildModel(const Graph&, const std::map<std::string, std::string>& options,
                                  ModelBufferData& model) {
  for (const auto& [name, value] : options) {
    std::fprintf(stderr, "option: %s=%s\n", name.c_str(), value.c_str());
  }
  model.length = 1000;
  model.data = std::shared_ptr<uint8_t>(new uint8_t[1000](), std::default_delete<uint8_t[]>());
  return 0;
}

}  // namespace ge

namespace {

struct Tensor {
  int type = 0;
  size_t bytes = 1;
  std::vector<int64_t> dims;
};

Tensor TensorOf(const char* variable) {
  std::istringstream text(std::getenv(variable));
  Tensor tensor;
  size_t value_bytes = 0;
  text >> tensor.type >> value_bytes;
  tensor.bytes = value_bytes;
  for (int64_t dim = 0; text >> dim;) {
    tensor.dims.push_back(dim);
    tensor.bytes *= static_cast<size_t>(dim);
  }
  return tensor;
}

// As CANN declares them.
struct Dims {
  char name[128];
  size_t count;
  int64_t dims[128];
};

struct Gears {
  size_t count;
};

struct Buffer {
  void* data;
  size_t size;
};

using Dataset = std::vector<Buffer*>;

int SetDims(const char* variable, const char* name, Dims* dims) {
  const Tensor tensor = TensorOf(variable);
  std::memset(dims, 0, sizeof(*dims));
  std::strcpy(dims->name, name);
  dims->count = tensor.dims.size();
  for (size_t i = 0; i < tensor.dims.size(); ++i) {
    dims->dims[i] = tensor.dims[i];
  }
  return 0;
}

}  // namespace

extern "C" {

EXPORT int aclrtGetDeviceCount(uint32_t* count) {
  *count = 1;
  return 0;
}
EXPORT int aclrtGetRunMode(int* mode) {
  *mode = 1;  // Memory of the host is not the device's.
  return 0;
}
EXPORT int aclrtMemcpy(void* to, size_t, const void* from, size_t size, int) {
  std::memcpy(to, from, size);
  return 0;
}

EXPORT int aclmdlLoadFromMem(const void*, size_t, uint32_t* id) {
  *id = 1;
  return 0;
}
EXPORT size_t aclmdlGetNumInputs(void*) { return 1; }
EXPORT size_t aclmdlGetNumOutputs(void*) { return 1; }
EXPORT int aclmdlGetInputDims(void*, size_t, Dims* d) { return SetDims("LITE_INPUT", "image", d); }
EXPORT int aclmdlGetInputDimsV2(void*, size_t, Dims* d) {
  return SetDims("LITE_INPUT", "image", d);
}
EXPORT int aclmdlGetOutputDims(void*, size_t, Dims* d) { return SetDims("LITE_OUTPUT", "out", d); }
EXPORT int aclmdlGetCurOutputDims(void*, size_t, Dims* d) {
  return SetDims("LITE_OUTPUT", "out", d);
}
EXPORT size_t aclmdlGetInputSizeByIndex(void*, size_t) { return TensorOf("LITE_INPUT").bytes; }
EXPORT size_t aclmdlGetOutputSizeByIndex(void*, size_t) { return TensorOf("LITE_OUTPUT").bytes; }
EXPORT int aclmdlGetInputDataType(void*, size_t) { return TensorOf("LITE_INPUT").type; }
EXPORT int aclmdlGetOutputDataType(void*, size_t) { return TensorOf("LITE_OUTPUT").type; }
EXPORT const char* aclmdlGetInputNameByIndex(void*, size_t) { return "image"; }
EXPORT const char* aclmdlGetOutputNameByIndex(void*, size_t) { return "out"; }
// Nothing of the model's shapes is dynamic.
EXPORT int aclmdlGetInputIndexByName(void*, const char*, size_t*) { return 1; }
EXPORT int aclmdlGetDynamicBatch(void*, Gears* gears) {
  gears->count = 0;
  return 0;
}
EXPORT int aclmdlGetDynamicHW(void*, size_t, Gears* gears) {
  gears->count = 0;
  return 0;
}

EXPORT Dataset* aclmdlCreateDataset() { return new Dataset; }
EXPORT int aclmdlAddDatasetBuffer(Dataset* dataset, Buffer* buffer) {
  dataset->push_back(buffer);
  return 0;
}
EXPORT size_t aclmdlGetDatasetNumBuffers(Dataset* dataset) { return dataset->size(); }
EXPORT Buffer* aclmdlGetDatasetBuffer(Dataset* dataset, size_t i) { return (*dataset)[i]; }
EXPORT Buffer* aclCreateDataBuffer(void* data, size_t size) { return new Buffer{data, size}; }
EXPORT void* aclGetDataBufferAddr(Buffer* buffer) { return buffer->data; }
EXPORT int aclUpdateDataBuffer(Buffer* buffer, void* data, size_t size) {
  *buffer = {data, size};
  return 0;
}
EXPORT int aclmdlExecute(uint32_t, Dataset* inputs, Dataset* outputs) {
  const auto* input = static_cast<const uint8_t*>((*inputs)[0]->data);
  float sum = 0;
  for (size_t i = 0; i < (*inputs)[0]->size; ++i) {
    sum += input[i];
  }
  auto* output = static_cast<float*>((*outputs)[0]->data);
  for (size_t i = 0; i < (*outputs)[0]->size / sizeof(float); ++i) {
    output[i] = sum + static_cast<float>(i);
  }
  return 0;
}

}  // extern "C"
