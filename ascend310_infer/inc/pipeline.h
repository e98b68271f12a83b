// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_PIPELINE_H_
#define ASCEND310_INFER_INC_PIPELINE_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "inc/geometry.h"
#include "inc/inputs.h"
#include "inc/model.h"
#include "inc/queue.h"
#include "inc/reader.h"
#include "inc/results.h"
#include "inc/status.h"
#include "inc/timing.h"

namespace centernet {

constexpr char kMemoryIsFull[] =
    "memory is full; free some, or choose smaller --readers and --writers";

struct PipelineOptions {
  int readers = 2;  // Threads that read and decode.
  int writers = 2;  // Threads that post-process and write.
  bool fail_fast = false;
};

struct PipelineResult {
  size_t done = 0;
  size_t failed = 0;
  Status error = Status::Ok();  // What kept the rest from being done: a full disk or memory.
};

// Runs inputs through a model: reading threads, the model in the calling thread, and writing
// threads, with a fixed number of batches going round between them. Results and messages are those
// of one thread, in the order of the inputs.
class Pipeline {
 public:
  // What is given by reference or pointer outlives this. Once is_stopped, no further input is
  // begun, and those begun are finished.
  Pipeline(const PipelineOptions& options, const std::vector<Input>& inputs, Reader read,
           std::function<bool()> is_stopped, Model* model, ResultWriter* results,
           StageTimes* times);

  // To be called once. An input that fails is named on stderr; the others go on, unless fail_fast.
  PipelineResult Run();

 private:
  // One image of a batch.
  struct Item {
    Status status = Status::Ok();
    std::optional<Affine> affine;
    std::string json;
  };

  // A batch on its way through the stages; its memory is used again for a later one.
  struct Batch {
    size_t number;  // Of all batches, from 0.
    std::vector<Item> items;
    std::vector<char> pixels;
    std::vector<std::vector<char>> outputs;
    BatchTimes times;
  };

  using BatchQueue = Queue<std::unique_ptr<Batch>>;

  const Input& InputOf(const Batch& batch, size_t i) const;

  // Runs a stage. Memory that is full ends the run, with its sentence.
  void Run(void (Pipeline::*stage)());
  void ReadBatches();
  void Read(Batch* batch);
  void RunModel();
  void WriteBatches();
  Status CheckFinite(size_t i, const Batch& batch) const;
  void Write(size_t i, Batch* batch);

  // Counts and tells what became of the batches, in their order, and gives their memory back.
  void Report(std::unique_ptr<Batch> finished);
  // REQUIRES: mutex_ is held.
  void ReportNext(const Batch& batch);
  // REQUIRES: mutex_ is held.
  void End(const Status& error);

  const PipelineOptions options_;
  const std::vector<Input>& inputs_;
  const Reader read_input_;
  const std::function<bool()> is_stopped_;
  Model* const model_;
  ResultWriter* const results_;
  StageTimes* const times_;
  const size_t batch_size_;
  const size_t image_bytes_;

  BatchQueue free_;
  BatchQueue read_;
  BatchQueue done_;
  std::atomic<size_t> next_batch_{0};
  std::atomic<int> readers_left_{0};
  std::atomic<bool> ends_{false};  // No further batch is begun.

  std::mutex mutex_;  // Guards what follows, *times_ and stdout and stderr.
  std::map<size_t, std::unique_ptr<Batch>> waiting_;  // For batches before them.
  size_t next_report_ = 0;
  PipelineResult result_;
  Progress progress_;
};

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_PIPELINE_H_
