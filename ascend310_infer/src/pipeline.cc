// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/pipeline.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iostream>
#include <new>
#include <thread>
#include <utility>

#include "inc/files.h"

namespace centernet {

Pipeline::Pipeline(const PipelineOptions& options, const std::vector<Input>& inputs, Reader read,
                   std::function<bool()> is_stopped, Model* model, ResultWriter* results,
                   StageTimes* times)
    : options_(options),
      inputs_(inputs),
      read_input_(std::move(read)),
      is_stopped_(std::move(is_stopped)),
      model_(model),
      results_(results),
      times_(times),
      batch_size_(static_cast<size_t>(model->input().shape[0])),
      image_bytes_(model->input().bytes / batch_size_),
      progress_(inputs.size(), &std::cout) {}

PipelineResult Pipeline::Run() {
  // One for each thread, and one that waits before and after the model, so that it never does.
  for (int i = 0; i < options_.readers + options_.writers + 3; ++i) {
    free_.Push(std::make_unique<Batch>());
  }
  std::vector<std::thread> threads(static_cast<size_t>(options_.readers + options_.writers));
  readers_left_ = options_.readers;
  for (size_t i = 0; i < threads.size(); ++i) {
    const bool reads = i < static_cast<size_t>(options_.readers);
    threads[i] = std::thread([this, reads] {
      Run(reads ? &Pipeline::ReadBatches : &Pipeline::WriteBatches);
      if (reads && --readers_left_ == 0) {
        read_.Close();
      }
    });
  }
  Run(&Pipeline::RunModel);
  done_.Close();
  for (std::thread& thread : threads) {
    thread.join();
  }
  return result_;
}

const Input& Pipeline::InputOf(const Batch& batch, size_t i) const {
  return inputs_[batch.number * batch_size_ + i];
}

void Pipeline::Run(void (Pipeline::*stage)()) {
  try {
    (this->*stage)();
  } catch (const std::bad_alloc&) {
    const std::scoped_lock lock(mutex_);
    End(Status::Error(kMemoryIsFull));
  }
}

void Pipeline::ReadBatches() {
  while (!ends_ && !is_stopped_()) {
    std::optional<std::unique_ptr<Batch>> popped = free_.Pop();
    if (!popped) {
      break;
    }
    std::unique_ptr<Batch> batch = std::move(*popped);
    batch->number = next_batch_++;
    if (batch->number * batch_size_ >= inputs_.size()) {
      break;
    }
    Read(batch.get());
    read_.Push(std::move(batch));
  }
}

void Pipeline::Read(Batch* batch) {
  const Clock::time_point start = Clock::now();
  const size_t left = inputs_.size() - batch->number * batch_size_;
  batch->items.assign(std::min(batch_size_, left), Item());
  batch->pixels.resize(batch_size_ * image_bytes_);
  for (size_t i = 0; i < batch_size_; ++i) {
    char* image = batch->pixels.data() + i * image_bytes_;
    bool is_read = false;
    if (i < batch->items.size()) {
      Item& item = batch->items[i];
      const Input& input = InputOf(*batch, i);
      try {
        item.status = read_input_(input, image, &item.affine);
      } catch (const std::bad_alloc&) {
        item.status = Status::Error(Shown(input.path) +
                                    ": takes more memory than there is; make it smaller or leave "
                                    "it out");
      }
      is_read = item.status.ok();
    }
    if (!is_read) {  // Also what lacks to a full last batch.
      std::fill_n(image, image_bytes_, '\0');
    }
  }
  batch->times.read = Clock::now() - start;
}

void Pipeline::RunModel() {
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
}

void Pipeline::WriteBatches() {
  while (std::optional<std::unique_ptr<Batch>> popped = done_.Pop()) {
    Batch& batch = **popped;
    const Clock::time_point start = Clock::now();
    for (size_t i = 0; i < batch.items.size(); ++i) {
      if (batch.items[i].status.ok()) {
        Write(i, &batch);
      }
    }
    batch.times.write = Clock::now() - start;
    Report(std::move(*popped));
  }
}

Status Pipeline::CheckFinite(size_t i, const Batch& batch) const {
  for (size_t output = 0; output < batch.outputs.size(); ++output) {
    const size_t size = batch.outputs[output].size() / batch_size_;
    if (model_->outputs()[output].type != "float32") {
      continue;
    }
    std::vector<float> numbers(size / sizeof(float));
    std::memcpy(numbers.data(), batch.outputs[output].data() + i * size,
                numbers.size() * sizeof(float));
    if (!std::all_of(numbers.begin(), numbers.end(),
                     [](float number) { return std::isfinite(number); })) {
      return Status::Error(Shown(InputOf(batch, i).path) +
                           ": the model gives numbers that are not finite; export it again from "
                           "weights that are");
    }
  }
  return Status::Ok();
}

void Pipeline::Write(size_t i, Batch* batch) {
  Item& item = batch->items[i];
  const Input& input = InputOf(*batch, i);
  std::vector<std::vector<char>> rows;
  for (const std::vector<char>& output : batch->outputs) {
    const auto size = static_cast<std::ptrdiff_t>(output.size() / batch_size_);
    const auto begin = output.begin() + static_cast<std::ptrdiff_t>(i) * size;
    rows.emplace_back(begin, begin + size);
  }
  if (results_->writes_json()) {
    item.status = results_->ToJson(input, item.affine, rows[0], &item.json);
  } else {
    item.status = CheckFinite(i, *batch);
  }
  if (item.status.ok()) {
    const Status status = results_->WriteFiles(input, rows);
    if (!status.ok()) {
      const std::scoped_lock lock(mutex_);
      End(status);
    }
  }
}

void Pipeline::Report(std::unique_ptr<Batch> finished) {
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

void Pipeline::ReportNext(const Batch& batch) {
  for (const Item& item : batch.items) {
    if (item.status.ok() && results_->writes_json()) {
      const Status status = results_->AppendJson(item.json);
      if (!status.ok()) {
        End(status);
        return;
      }
    }
    if (item.status.ok()) {
      ++result_.done;
    } else {
      ++result_.failed;
      std::cerr << "failed: " << Sentence(item.status.message()) << std::endl;
      ends_ = ends_ || options_.fail_fast;
    }
  }
  times_->Add(batch.times);
  progress_.Advance(batch.items.size());
}

void Pipeline::End(const Status& error) {
  if (result_.error.ok()) {
    result_.error = error;
  }
  ends_ = true;
  free_.Close();  // A batch that was lost does not come back there.
}

}  // namespace centernet
