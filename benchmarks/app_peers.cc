// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
//
// What benchmarks/app.py holds the application against, written as plainly as it can be:
//
//   app_peers predict MINDIR THREADS LIST         Predict alone, again and again on one input
//   app_peers serial  MINDIR THREADS LIST FOLDER  read a batch, Predict, write it, the next
//
// LIST has one path a line: .bin files as the model takes them, or with OpenCV (-DWITH_OPENCV)
// images. The model is one of uint8 images on a CPU. Prints the images and the seconds that they
// took, without start-up, loading and a first run.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "include/api/context.h"
#include "include/api/model.h"
#ifdef WITH_OPENCV
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#endif

namespace {

[[noreturn]] void Fail(const std::string& what) {
  std::cerr << "error: " << what << std::endl;
  std::exit(2);
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// Fills a (3,height,width) input from a .bin file, or from an image at fixed resolution.
void ReadInput(const std::string& path, int height, int width, uint8_t* input) {
  const size_t plane = static_cast<size_t>(height) * width;
  if (EndsWith(path, ".bin")) {
    std::ifstream file(path, std::ios::binary);
    if (!file.read(reinterpret_cast<char*>(input), static_cast<std::streamsize>(3 * plane))) {
      Fail(path + ": cannot be read");
    }
    return;
  }
#ifdef WITH_OPENCV
  const cv::Mat image = cv::imread(path, cv::IMREAD_COLOR | cv::IMREAD_IGNORE_ORIENTATION);
  if (image.empty()) {
    Fail(path + ": cannot be read");
  }
  const double scale =
      static_cast<double>(std::min(height, width)) / std::max(image.rows, image.cols);
  const double affine[] = {scale, 0,     (width - scale * image.cols) / 2,
                           0,     scale, (height - scale * image.rows) / 2};
  cv::Mat warped;
  cv::warpAffine(image, warped, cv::Mat(2, 3, CV_64F, const_cast<double*>(affine)),
                 cv::Size(width, height));
  std::vector<cv::Mat> channels;
  for (int i = 0; i < 3; ++i) {
    channels.emplace_back(height, width, CV_8U, input + i * plane);
  }
  cv::split(warped, channels);
#else
  Fail(path + ": is an image, and this program was built without OpenCV");
#endif
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 4 || (arguments[0] == "serial") != (arguments.size() == 5)) {
    Fail("usage: app_peers predict|serial MINDIR THREADS LIST [FOLDER]");
  }
  const bool serial = arguments[0] == "serial";
  const int threads = std::stoi(arguments[2]);

  auto context = std::make_shared<mindspore::Context>();
  context->SetThreadNum(threads);
  context->MutableDeviceInfo().push_back(std::make_shared<mindspore::CPUDeviceInfo>());
  mindspore::Model model;
  if (!model.Build(arguments[1], mindspore::kMindIR, context).IsOk()) {
    Fail(arguments[1] + ": cannot be loaded");
  }
#ifdef WITH_OPENCV
  cv::setNumThreads(threads);
#endif

  std::vector<std::string> paths;
  std::ifstream list(arguments[3]);
  for (std::string line; std::getline(list, line);) {
    paths.push_back(line);
  }
  std::vector<mindspore::MSTensor> inputs = model.GetInputs();
  const std::vector<int64_t> shape = inputs[0].Shape();
  const size_t batch = static_cast<size_t>(shape[0]);
  const int height = static_cast<int>(shape[2]), width = static_cast<int>(shape[3]);
  const size_t bytes = inputs[0].DataSize() / batch;
  const auto read_batch = [&](size_t first) {
    uint8_t* data = static_cast<uint8_t*>(inputs[0].MutableData());
    for (size_t i = first; i < std::min(first + batch, paths.size()); ++i) {
      ReadInput(paths[i], height, width, data + (i - first) * bytes);
    }
  };
  std::vector<mindspore::MSTensor> outputs;
  read_batch(0);
  if (!model.Predict(inputs, &outputs).IsOk()) {
    Fail(arguments[1] + ": cannot be run");
  }

  const auto start = std::chrono::steady_clock::now();
  for (size_t first = 0; first < paths.size(); first += batch) {
    if (serial) {
      read_batch(first);
    }
    if (!model.Predict(inputs, &outputs).IsOk()) {
      Fail(arguments[1] + ": cannot be run");
    }
    const size_t result_bytes = outputs[0].DataSize() / batch;
    const char* result = static_cast<const char*>(outputs[0].Data().get());
    for (size_t i = first; serial && i < std::min(first + batch, paths.size()); ++i) {
      std::string name = paths[i].substr(paths[i].rfind('/') + 1);
      name = name.substr(0, name.rfind('.'));
      std::ofstream file(arguments[4] + "/" + name + "_0.bin", std::ios::binary);
      file.write(result + (i - first) * result_bytes, static_cast<std::streamsize>(result_bytes));
      if (!file.flush()) {
        Fail(name + "_0.bin: cannot be written");
      }
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::cout << paths.size() << " " << seconds.count() << std::endl;
  return 0;
}
