// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_TIMING_H_
#define ASCEND310_INFER_INC_TIMING_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "inc/status.h"

namespace centernet {

using Clock = std::chrono::steady_clock;

double Seconds(Clock::duration time);

// What one batch took.
struct BatchTimes {
  Clock::duration read{};     // Reading, decoding and warping.
  Clock::duration network{};  // Copying to the device, running the model, copying back.
  Clock::duration write{};    // Post-processing and writing.
};

// The times of a run; 12 bytes a batch.
class StageTimes {
 public:
  void Add(const BatchTimes& times);

  // The line that test_perform_static.txt holds, without its end.
  std::string Summary() const;

  // A json object: for each stage the mean, percentiles and maximum in ms.
  std::string Json() const;

 private:
  std::vector<float> read_;  // ms
  std::vector<float> network_;
  std::vector<float> write_;
};

// What a run took as a whole.
struct RunTimes {
  size_t done;
  size_t failed;
  double seconds;
  double load_ms;
  double warm_up_ms;
  int64_t batch_size;
};

// Writes test_perform_static.txt and times.json in a folder.
Status WriteTimes(const std::string& folder, const RunTimes& run, const StageTimes& stages);

// Tells how far a run is, at most once a second, and once at its end.
class Progress {
 public:
  // Starts the clock. total counts images.
  Progress(size_t total, std::ostream* out);

  void Advance(size_t images);

 private:
  const size_t total_;
  std::ostream* const out_;
  const Clock::time_point start_;
  Clock::time_point printed_;
  size_t done_ = 0;
};

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_TIMING_H_
