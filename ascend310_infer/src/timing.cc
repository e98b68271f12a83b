// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/timing.h"

#include <cstdio>

namespace centernet {
namespace {

double Seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

void InferenceTimes::Add(Clock::duration time) {
  total_ += time;
  ++count_;
}

std::string InferenceTimes::Summary() const {
  const double average = count_ == 0 ? 0.0 : Seconds(total_) * 1e3 / static_cast<double>(count_);
  char text[128];
  std::snprintf(text, sizeof(text), "NN inference cost average time: %.3f ms of infer_count %zu",
                average, count_);
  return text;
}

Progress::Progress(size_t total, std::ostream* out)
    : total_(total), out_(out), start_(Clock::now()), printed_(start_) {}

void Progress::Advance(size_t images) {
  done_ += images;
  const Clock::time_point now = Clock::now();
  if (done_ < total_ && now - printed_ < std::chrono::seconds(1)) {
    return;
  }
  printed_ = now;
  const double seconds = Seconds(now - start_);
  const double left = seconds / static_cast<double>(done_) * static_cast<double>(total_ - done_);
  char text[128];
  std::snprintf(text, sizeof(text), "%zu of %zu images, %.2f images/s, %.0f s left", done_, total_,
                static_cast<double>(done_) / seconds, left);
  *out_ << text << std::endl;
}

}  // namespace centernet
