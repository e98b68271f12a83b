// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/queue.h"

#include <memory>
#include <thread>
#include <vector>

#include "tests/check.h"

namespace centernet {
namespace {

void TestFirstInFirstOutAlsoWhenClosed() {
  Queue<std::unique_ptr<int>> queue;
  queue.Push(std::make_unique<int>(1));
  queue.Push(std::make_unique<int>(2));
  queue.Close();
  CHECK_EQ(**queue.Pop(), 1);
  CHECK_EQ(**queue.Pop(), 2);
  CHECK(!queue.Pop());
}

void TestEveryValueComesToOneOfTheThreads() {
  constexpr int kValues = 10'000;
  Queue<int> queue;
  std::vector<std::vector<int>> popped(4);
  std::vector<std::thread> threads;
  threads.reserve(popped.size());
  for (std::vector<int>& own : popped) {
    threads.emplace_back([&queue, &own] {
      while (const std::optional<int> value = queue.Pop()) {
        own.push_back(*value);
      }
    });
  }
  for (int i = 0; i < kValues; ++i) {
    queue.Push(i);
  }
  queue.Close();  // Wakes those that wait.
  std::vector<int> seen(kValues);
  for (size_t i = 0; i < threads.size(); ++i) {
    threads[i].join();
    for (const int value : popped[i]) {
      ++seen[static_cast<size_t>(value)];
    }
  }
  CHECK(seen == std::vector<int>(kValues, 1));
}

}  // namespace
}  // namespace centernet

int main() {
  centernet::TestFirstInFirstOutAlsoWhenClosed();
  centernet::TestEveryValueComesToOneOfTheThreads();
}
