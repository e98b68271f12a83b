// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
// The pipeline around a model that gives its images back, without MindSpore Lite; memory of one
// size may be refused to it.
#include "inc/pipeline.h"

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <new>

#include "tests/check.h"

namespace {
std::atomic<size_t> refused_bytes{0};
}

void* operator new(size_t bytes) {
  void* memory = bytes == refused_bytes ? nullptr : std::malloc(bytes);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t /*bytes*/) noexcept { std::free(memory); }

namespace centernet {

constexpr size_t kBatch = 3;
constexpr size_t kImageBytes = 20'011;

Model::Model(std::shared_ptr<mindspore::Model> model, TensorInfo input,
             std::vector<TensorInfo> outputs)
    : model_(std::move(model)), input_(std::move(input)), outputs_(std::move(outputs)) {}

Result<Model> Model::Load(const std::string& /*path*/, const Device& /*device*/) {
  const TensorInfo tensor = {"x", "uint8", {kBatch, kImageBytes}, kBatch * kImageBytes};
  return Model(nullptr, tensor, {tensor});
}

Status Model::Run(const std::vector<char>& input, std::vector<std::vector<char>>* outputs) {
  outputs->assign(1, input);
  return Status::Ok();
}

namespace {

PipelineResult RunOver(size_t images, const std::string& folder, const Reader& read) {
  std::vector<Input> inputs;
  for (size_t i = 0; i < images; ++i) {
    inputs.push_back({"in/" + std::to_string(i), std::to_string(i)});
  }
  Model model = Model::Load("", Device()).value();
  ResultWriter results(folder, "", nullptr);
  StageTimes times;
  return Pipeline({}, inputs, read, [] { return false; }, &model, &results, &times).Run();
}

Status ReadStem(const Input& input, char* image, std::optional<Affine>* /*affine*/) {
  std::fill_n(image, kImageBytes, input.stem.back());
  return input.stem == "4" ? Status::Error("in/4: is odd") : Status::Ok();
}

void TestEveryImageComesThroughAsItself() {
  const TestFolder folder;
  const PipelineResult result = RunOver(8, folder / "", ReadStem);
  CHECK(result.error.ok());
  CHECK_EQ(result.done, 7U);
  CHECK_EQ(result.failed, 1U);
  CHECK_EQ(folder.Read("7_0.bin"), std::string(kImageBytes, '7'));
  CHECK(!std::filesystem::exists(folder / "4_0.bin"));
}

void TestAnImageTooLargeForTheMemoryFailsAlone() {
  const TestFolder folder;
  const PipelineResult result =
      RunOver(8, folder / "", [](const Input& input, char* image, std::optional<Affine>* affine) {
        if (input.stem == "2") {
          throw std::bad_alloc();
        }
        return ReadStem(input, image, affine);
      });
  CHECK(result.error.ok() && result.failed == 2 && result.done == 6);
}

// Batches of images are of the readers and of the model, single ones of the writers.
void TestFullMemoryEndsTheRunInASentence() {
  for (const size_t bytes : {kBatch * kImageBytes, kImageBytes}) {
    const TestFolder folder;
    const std::string path = folder / "";
    refused_bytes = bytes;
    const PipelineResult result = RunOver(100, path, ReadStem);
    refused_bytes = 0;
    CHECK_EQ(result.error.message(), kMemoryIsFull);
    CHECK_EQ(result.done, 0U);
  }
}

void TestFullMemoryLaterInTheRun() {
  const TestFolder folder;
  std::atomic<size_t> count{0};
  const PipelineResult result = RunOver(
      300, folder / "", [&count](const Input& input, char* image, std::optional<Affine>* affine) {
        refused_bytes = ++count > 150 ? kImageBytes : 0;
        return ReadStem(input, image, affine);
      });
  refused_bytes = 0;
  CHECK_EQ(result.error.message(), kMemoryIsFull);
  CHECK(result.done > 0 && result.done < 200);
}

}  // namespace
}  // namespace centernet

int main() {
  centernet::TestEveryImageComesThroughAsItself();
  centernet::TestAnImageTooLargeForTheMemoryFailsAlone();
  centernet::TestFullMemoryEndsTheRunInASentence();
  centernet::TestFullMemoryLaterInTheRun();
}
