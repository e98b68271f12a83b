// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_TIMING_H_
#define ASCEND310_INFER_INC_TIMING_H_

#include <chrono>
#include <cstddef>
#include <ostream>
#include <string>

namespace centernet {

using Clock = std::chrono::steady_clock;

// The time spent inside the model.
class InferenceTimes {
 public:
  void Add(Clock::duration time);

  // The line that test_perform_static.txt holds, without its end.
  std::string Summary() const;

 private:
  Clock::duration total_{};
  size_t count_ = 0;
};

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
