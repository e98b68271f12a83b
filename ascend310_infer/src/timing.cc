// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/timing.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "inc/files.h"

namespace centernet {
namespace {

float Milliseconds(Clock::duration time) { return static_cast<float>(Seconds(time) * 1e3); }

double Mean(const std::vector<float>& times) {
  const double sum = std::accumulate(times.begin(), times.end(), 0.0);
  return times.empty() ? 0.0 : sum / static_cast<double>(times.size());
}

// The smallest of the sorted times that so many hundredths of them do not exceed.
double Percentile(const std::vector<float>& sorted, double hundredths) {
  if (sorted.empty()) {
    return 0.0;
  }
  const double rank = std::ceil(hundredths / 100.0 * static_cast<double>(sorted.size()));
  return sorted[static_cast<size_t>(std::max(rank, 1.0)) - 1];
}

std::string StageJson(std::vector<float> times) {
  std::sort(times.begin(), times.end());
  char text[256];
  std::snprintf(text, sizeof(text),
                "{\"mean_ms\": %.3f, \"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, "
                "\"max_ms\": %.3f}",
                Mean(times), Percentile(times, 50), Percentile(times, 90), Percentile(times, 99),
                Percentile(times, 100));
  return text;
}

}  // namespace

double Seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

void StageTimes::Add(const BatchTimes& times) {
  read_.push_back(Milliseconds(times.read));
  network_.push_back(Milliseconds(times.network));
  write_.push_back(Milliseconds(times.write));
}

std::string StageTimes::Summary() const {
  char text[128];
  std::snprintf(text, sizeof(text), "NN inference cost average time: %.3f ms of infer_count %zu",
                Mean(network_), network_.size());
  return text;
}

std::string StageTimes::Json() const {
  return "{\"read\": " + StageJson(read_) + ",\n  \"network\": " + StageJson(network_) +
         ",\n  \"write\": " + StageJson(write_) + "}";
}

Status WriteTimes(const std::string& folder, const RunTimes& run, const StageTimes& stages) {
  char text[256];
  std::snprintf(
      text, sizeof(text),
      "{\"images\": %zu, \"failed\": %zu, \"seconds\": %.6f, \"images_per_second\": %.3f, "
      "\"load_ms\": %.3f, \"warm_up_ms\": %.3f, \"batch_size\": %d,\n \"stages\": ",
      run.done, run.failed, run.seconds,
      run.seconds > 0 ? static_cast<double>(run.done) / run.seconds : 0.0, run.load_ms,
      run.warm_up_ms, static_cast<int>(run.batch_size));
  const std::string json = text + stages.Json() + "}\n";
  const std::string summary = stages.Summary() + "\n";
  const Status status = WriteFileAtomically(JoinPath(folder, "test_perform_static.txt"),
                                            summary.data(), summary.size());
  return status.ok() ? WriteFileAtomically(JoinPath(folder, "times.json"), json.data(), json.size())
                     : status;
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
