// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "inc/files.h"
#include "inc/model.h"
#include "inc/options.h"
#include "inc/status.h"
#include "inc/timing.h"

namespace centernet {
namespace {

// MindSpore Lite picks its log level when the program is loaded, before main. Unless the user chose
// one, start over with its own messages off: ours say what to do.
void QuietMindSpore(char** argv) {
  if (std::getenv("GLOG_v") == nullptr) {
    setenv("GLOG_v", "4", 1);
    execv("/proc/self/exe", argv);
  }
}

void PrintTensor(const std::string& role, const TensorInfo& tensor) {
  std::cout << role << " " << tensor.name << ": " << tensor.type << " " << ShapeText(tensor.shape)
            << std::endl;
}

std::string BinFile(const std::string& folder, const std::string& name) {
  return JoinPath(folder, name + ".bin");
}

Status CheckSizes(const std::string& folder, const std::vector<std::string>& names,
                  const TensorInfo& input) {
  for (const std::string& name : names) {
    const std::string file = BinFile(folder, name);
    Result<size_t> bytes = FileSize(file);
    if (!bytes.ok()) {
      return Status::Error(bytes.status().message() + "; write it again with preprocess.py");
    }
    if (bytes.value() != input.bytes) {
      return Status::Error(file + ": holds " + std::to_string(bytes.value()) +
                           " bytes, but the model takes " + std::to_string(input.bytes) + " (" +
                           input.type + " " + ShapeText(input.shape) +
                           "); run preprocess.py with the same config as export.py");
    }
  }
  return Status::Ok();
}

Status WriteOutputs(const std::string& folder, const std::string& name,
                    const std::vector<std::vector<char>>& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Status status = WriteFileAtomically(BinFile(folder, name + "_" + std::to_string(i)),
                                              outputs[i].data(), outputs[i].size());
    if (!status.ok()) {
      return status;
    }
  }
  return Status::Ok();
}

// Runs the named files and writes their outputs. REQUIRES: CheckSizes was ok.
Status InferFiles(const Options& options, const std::vector<std::string>& names, Model* model,
                  InferenceTimes* times) {
  const size_t batch = static_cast<size_t>(model->input().shape[0]);
  const std::vector<char> blank(model->input().bytes);
  std::vector<std::vector<char>> outputs;
  // The first run also sets things up; it is not counted.
  Status status = model->Run(blank, &outputs);
  if (!status.ok()) {
    return status;
  }
  Progress progress(names.size() * batch, &std::cout);
  for (const std::string& name : names) {
    const std::string file = BinFile(options.input_path, name);
    Result<std::vector<char>> input = ReadFile(file, model->input().bytes);
    if (!input.ok()) {
      return input.status();
    }
    const Clock::time_point start = Clock::now();
    status = model->Run(input.value(), &outputs);
    if (!status.ok()) {
      return Status::Error(file + ": " + status.message());
    }
    times->Add(Clock::now() - start);
    status = WriteOutputs(options.result_path, name, outputs);
    if (!status.ok()) {
      return status;
    }
    progress.Advance(batch);
  }
  return Status::Ok();
}

Status Run(const Options& options) {
  Result<std::vector<std::string>> names = ListBinFiles(options.input_path);
  if (!names.ok()) {
    return names.status();
  }
  Result<Model> model = Model::Load(options.mindir_path, options.device);
  if (!model.ok()) {
    return model.status();
  }
  Status status = CheckSizes(options.input_path, names.value(), model.value().input());
  if (!status.ok()) {
    return status;
  }
  for (const std::string& folder : {options.result_path, options.time_path}) {
    status = MakeWritableFolder(folder);
    if (!status.ok()) {
      return status;
    }
  }
  PrintTensor("input", model.value().input());
  for (const TensorInfo& output : model.value().Outputs()) {
    PrintTensor("output", output);
  }
  InferenceTimes times;
  status = InferFiles(options, names.value(), &model.value(), &times);
  if (!status.ok()) {
    return status;
  }
  const std::string summary = times.Summary() + "\n";
  std::cout << summary << std::flush;
  return WriteFileAtomically(JoinPath(options.time_path, "test_perform_static.txt"), summary.data(),
                             summary.size());
}

}  // namespace
}  // namespace centernet

int main(int argc, char** argv) {
  centernet::QuietMindSpore(argv);
  centernet::Result<centernet::Options> options =
      centernet::ParseOptions(std::vector<std::string>(argv + 1, argv + argc));
  if (options.ok() && options.value().help) {
    std::cout << centernet::Usage();
    return 0;
  }
  const centernet::Status status =
      options.ok() ? centernet::Run(options.value()) : options.status();
  if (!status.ok()) {
    std::cerr << "error: " << status.message() << std::endl;
    return 2;
  }
  return 0;
}
