// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_PIPELINE_H_
#define ASCEND310_INFER_INC_PIPELINE_H_

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "inc/geometry.h"
#include "inc/inputs.h"
#include "inc/model.h"
#include "inc/results.h"
#include "inc/status.h"
#include "inc/timing.h"

namespace centernet {

struct PipelineOptions {
  int readers = 2;  // Threads that read and decode.
  int writers = 2;  // Threads that post-process and write.
  bool fail_fast = false;
};

struct PipelineResult {
  size_t done = 0;
  size_t failed = 0;
  Status error = Status::Ok();  // What kept the rest from being done: a full disk.
};

// Reads an input into the place of one image of a batch. Sets *affine if it warped the image
// itself. Called by several threads at once.
using Reader = std::function<Status(const Input& input, char* image, Affine* affine)>;

// Runs inputs through the model: reading threads, the model in the calling thread, and writing
// threads, with a fixed number of batches going round between them. Results and messages are those
// of one thread, in the order of the inputs. An input that fails is named on *errors; the others go
// on, unless fail_fast. Once is_stopped, no further input is begun, and those begun are finished.
PipelineResult RunPipeline(const std::vector<Input>& inputs, const Reader& read, bool warps,
                           const PipelineOptions& options, const std::function<bool()>& is_stopped,
                           Model* model, ResultWriter* results, StageTimes* times,
                           std::ostream* progress, std::ostream* errors);

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_PIPELINE_H_
