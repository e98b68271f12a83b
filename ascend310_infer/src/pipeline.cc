// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/pipeline.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "inc/files.h"
#include "inc/queue.h"

namespace centernet {
namespace {

// One image of a batch.
struct Item {
  Status status = Status::Ok();
  Affine affine{};
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

class Pipeline {
 public:
  Pipeline(const std::vector<Input>& inputs, Reader read, bool warps,
           const PipelineOptions& options, std::function<bool()> is_stopped, Model* model,
           ResultWriter* results, StageTimes* times, std::ostream* progress, std::ostream* errors)
      : inputs_(inputs),
        read_input_(std::move(read)),
        warps_(warps),
        options_(options),
        is_stopped_(std::move(is_stopped)),
        model_(model),
        results_(results),
        times_(times),
        errors_(errors),
        batch_size_(static_cast<size_t>(model->input().shape[0])),
        image_bytes_(model->input().bytes / batch_size_),
        progress_(inputs.size(), progress) {}

  PipelineResult Run() {
    // One for each thread, and one that waits before and after the model, so that it never does.
    for (int i = 0; i < options_.readers + options_.writers + 3; ++i) {
      free_.Push(std::make_unique<Batch>());
    }
    std::vector<std::thread> threads(static_cast<size_t>(options_.readers + options_.writers));
    readers_left_ = options_.readers;
    for (size_t i = 0; i < threads.size(); ++i) {
      const bool reads = i < static_cast<size_t>(options_.readers);
      threads[i] = std::thread([this, reads] { reads ? ReadBatches() : WriteBatches(); });
    }
    RunModel();
    for (std::thread& thread : threads) {
      thread.join();
    }
    return result_;
  }

 private:
  const Input& InputOf(const Batch& batch, size_t i) const {
    return inputs_[batch.number * batch_size_ + i];
  }

  void ReadBatches() {
    while (!ends_ && !is_stopped_()) {
      std::optional<std::unique_ptr<Batch>> popped = free_.Pop();
      if (!popped) {
        break;
      }
      std::unique_ptr<Batch> batch = std::move(*popped);
      batch->number = next_batch_++;
      const size_t first = batch->number * batch_size_;
      if (first >= inputs_.size()) {
        break;
      }
      Read(std::min(batch_size_, inputs_.size() - first), batch.get());
      read_.Push(std::move(batch));
    }
    if (--readers_left_ == 0) {
      read_.Close();
    }
  }

  void Read(size_t count, Batch* batch) {
    const Clock::time_point start = Clock::now();
    batch->items.assign(count, Item());
    batch->pixels.resize(batch_size_ * image_bytes_);
    // The rest of the last batch, and what is not read, is black.
    const auto blank = [&](size_t i) {
      std::fill_n(batch->pixels.begin() + static_cast<std::ptrdiff_t>(i * image_bytes_),
                  image_bytes_, '\0');
    };
    for (size_t i = 0; i < batch_size_; ++i) {
      if (i >= count) {
        blank(i);
        continue;
      }
      Item& item = batch->items[i];
      item.status =
          read_input_(InputOf(*batch, i), batch->pixels.data() + i * image_bytes_, &item.affine);
      if (!item.status.ok()) {
        blank(i);
      }
    }
    batch->times.read = Clock::now() - start;
  }

  void RunModel() {
    while (std::optional<std::unique_ptr<Batch>> popped = read_.Pop()) {
      Batch& batch = **popped;
      const Clock::time_point start = Clock::now();
      const Status status = model_->Run(batch.pixels, &batch.outputs);
      batch.times.network = Clock::now() - start;
      for (size_t i = 0; i < batch.items.size() && !status.ok(); ++i) {
        if (batch.items[i].status.ok()) {
          batch.items[i].status =
              Status::Error(Shown(InputOf(batch, i).path) + ": " + status.message());
        }
      }
      done_.Push(std::move(*popped));
    }
    done_.Close();
  }

  void WriteBatches() {
    while (std::optional<std::unique_ptr<Batch>> popped = done_.Pop()) {
      Batch& batch = **popped;
      const Clock::time_point start = Clock::now();
      for (size_t i = 0; i < batch.items.size() && !ends_; ++i) {
        if (batch.items[i].status.ok()) {
          Write(i, &batch);
        }
      }
      batch.times.write = Clock::now() - start;
      Report(std::move(*popped));
    }
  }

  void Write(size_t i, Batch* batch) {
    Item& item = batch->items[i];
    const Input& input = InputOf(*batch, i);
    std::vector<std::vector<char>> rows;
    for (const std::vector<char>& output : batch->outputs) {
      const auto size = static_cast<std::ptrdiff_t>(output.size() / batch_size_);
      const auto begin = output.begin() + static_cast<std::ptrdiff_t>(i) * size;
      rows.emplace_back(begin, begin + size);
    }
    if (results_->writes_json()) {
      item.status = results_->ToJson(input, warps_ ? &item.affine : nullptr, rows[0], &item.json);
    }
    if (item.status.ok()) {
      const Status status = results_->WriteFiles(input, rows);
      if (!status.ok()) {
        End(status);
      }
    }
  }

  // Counts and tells what became of the batches, in their order, and gives their memory back.
  void Report(std::unique_ptr<Batch> finished) {
    const std::scoped_lock lock(mutex_);
    const size_t number = finished->number;
    waiting_.emplace(number, std::move(finished));
    while (!waiting_.empty() && waiting_.begin()->first == next_report_) {
      std::unique_ptr<Batch> batch = std::move(waiting_.begin()->second);
      waiting_.erase(waiting_.begin());
      ++next_report_;
      if (result_.error.ok()) {
        ReportNext(*batch);
      }
      free_.Push(std::move(batch));
    }
  }

  // REQUIRES: mutex_ is held.
  void ReportNext(const Batch& batch) {
    for (const Item& item : batch.items) {
      if (item.status.ok() && results_->writes_json()) {
        const Status status = results_->AppendJson(item.json);
        if (!status.ok()) {
          result_.error = status;
          ends_ = true;
          return;
        }
      }
      if (item.status.ok()) {
        ++result_.done;
      } else {
        ++result_.failed;
        *errors_ << "failed: " << item.status.message() << std::endl;
        ends_ = ends_ || options_.fail_fast;
      }
    }
    times_->Add(batch.times);
    progress_.Advance(batch.items.size());
  }

  void End(const Status& error) {
    const std::scoped_lock lock(mutex_);
    if (result_.error.ok()) {
      result_.error = error;
    }
    ends_ = true;
  }

  const std::vector<Input>& inputs_;
  const Reader read_input_;
  const bool warps_;
  const PipelineOptions options_;
  const std::function<bool()> is_stopped_;
  Model* const model_;
  ResultWriter* const results_;
  StageTimes* const times_;
  std::ostream* const errors_;
  const size_t batch_size_;
  const size_t image_bytes_;

  BatchQueue free_;
  BatchQueue read_;
  BatchQueue done_;
  std::atomic<size_t> next_batch_{0};
  std::atomic<int> readers_left_{0};
  std::atomic<bool> ends_{false};  // No further batch is begun.

  std::mutex mutex_;  // Guards what follows, and *results_, *times_ and the streams.
  std::map<size_t, std::unique_ptr<Batch>> waiting_;  // For batches before them.
  size_t next_report_ = 0;
  PipelineResult result_;
  Progress progress_;
};

}  // namespace

PipelineResult RunPipeline(const std::vector<Input>& inputs, const Reader& read, bool warps,
                           const PipelineOptions& options, const std::function<bool()>& is_stopped,
                           Model* model, ResultWriter* results, StageTimes* times,
                           std::ostream* progress, std::ostream* errors) {
  return Pipeline(inputs, read, warps, options, is_stopped, model, results, times, progress, errors)
      .Run();
}

}  // namespace centernet
