// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "inc/checks.h"
#include "inc/device.h"
#include "inc/files.h"
#include "inc/inputs.h"
#include "inc/meta.h"
#include "inc/model.h"
#include "inc/options.h"
#include "inc/pipeline.h"
#include "inc/reader.h"
#include "inc/results.h"
#include "inc/status.h"
#include "inc/timing.h"

namespace centernet {
namespace {

constexpr int kAllDone = 0;
constexpr int kSomeFailed = 1;
constexpr int kError = 2;
constexpr int kSignal = 128;  // Plus its number.

std::atomic<int> stop_signal{0};  // A signal handler can reach a global only.

void Stop(int signal) { stop_signal = signal; }

// The first SIGINT or SIGTERM lets the run end in order, a second one ends it at once.
void HandleSignals() {
  struct sigaction action{};
  action.sa_handler = Stop;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // Writing beyond the limit of a file's size is then an error as any other.
  action.sa_handler = SIG_IGN;
  sigaction(SIGXFSZ, &action, nullptr);
}

// MindSpore Lite picks its log level when the program is loaded, before main. Unless the user chose
// one, start over with its own messages off: ours say what to do.
void QuietMindSpore(char* const* argv) {
  if (std::getenv("GLOG_v") == nullptr) {
    setenv("GLOG_v", "4", 1);
    execv("/proc/self/exe", argv);  // NOLINT(clang-analyzer-optin.taint.GenericTaint): this program
  }
}

int Fail(const Status& status) {
  std::cerr << "error: " << Sentence(status.message()) << std::endl;
  return kError;
}

// Tells what is about to be loaded, which can take minutes. Fails if the device cannot run it.
Status PrintKind(const Options& options, bool is_converted) {
  const std::string model = Shown(options.mindir_path);
  const bool is_cpu = options.device.target == Device::Target::kCpu;
  if (is_converted && is_cpu) {
    return Status::Error(model +
                         ": is converted for Ascend, which --device_target CPU cannot run; give "
                         "the MINDIR that export.py wrote");
  }
  std::string kind = "MINDIR";
  std::string ignored;  // Why modes of a compilation are.
  if (is_converted) {
    kind = "converted for Ascend";
    ignored = model + " is converted and has the modes of its conversion";
  } else if (is_cpu) {
    ignored = "it is of Ascend";
  } else {
    kind += ", compiled now, which takes minutes (converter_lite does it once for all)";
  }
  for (const std::string& flag : options.compile_flags) {
    if (!ignored.empty()) {
      std::cerr << "warning: " << flag << " is ignored: " << ignored << std::endl;
    }
  }
  const std::string version = RuntimeVersion();
  std::cout << "MindSpore Lite " << version << (version.empty() ? "" : " ") << "on "
            << DeviceName(options.device) << "\nmodel " << model << ": " << kind << std::endl;
  return Status::Ok();
}

void PrintTensors(const Model& model) {
  std::cout << Describe("input", model.input()) << "\n";
  for (const TensorInfo& output : model.outputs()) {
    std::cout << Describe("output", output) << "\n";
  }
  std::cout << std::flush;
}

// The first run also sets things up; it is not one of those that are counted.
Status WarmUp(Model* model, double* milliseconds) {
  const std::vector<char> blank(model->input().bytes);
  std::vector<std::vector<char>> outputs;
  const Clock::time_point start = Clock::now();
  const Status status = model->Run(blank, &outputs);
  *milliseconds = Seconds(Clock::now() - start) * 1e3;
  return status;
}

// The exit code, with the last messages of the run.
int Conclude(const PipelineResult& result, size_t inputs, const std::string& first_input,
             ResultWriter* results) {
  if (!result.error.ok()) {
    return Fail(result.error);
  }
  if (result.done + result.failed < inputs) {
    std::cerr << "stopped: " << result.done << " of " << inputs << " inputs are done, "
              << result.failed << " failed" << std::endl;
    return stop_signal != 0 ? kSignal + stop_signal : kSomeFailed;
  }
  if (result.done == 0) {
    return Fail(Status::Error("none of " + std::to_string(inputs) + " inputs could be done, from " +
                              first_input + " on; the lines above say why"));
  }
  const Status status = results->Finish();
  if (!status.ok()) {
    return Fail(status);
  }
  if (result.failed > 0) {
    std::cerr << result.failed << " of " << inputs << " inputs failed, " << result.done
              << " are done" << std::endl;
  }
  return result.failed > 0 ? kSomeFailed : kAllDone;
}

int Run(const Options& options) {
  HandleSignals();
  Result<std::vector<Input>> inputs = ListInputs(options.input_path, options.input_format);
  if (!inputs.ok()) {
    return Fail(inputs.status());
  }
  Result<Meta> meta = options.meta_path.empty() ? Meta{} : ReadMeta(options.meta_path);
  if (!meta.ok()) {
    return Fail(meta.status());
  }
  Result<bool> is_converted = IsConverted(options.mindir_path);
  if (!is_converted.ok()) {
    return Fail(is_converted.status());
  }
  Status status = PrintKind(options, is_converted.value());
  if (!status.ok()) {
    return Fail(status);
  }
  const Clock::time_point load_start = Clock::now();
  Result<Model> loaded = Model::Load(options.mindir_path, options.device);
  if (!loaded.ok()) {
    return Fail(loaded.status());
  }
  const double load_ms = Seconds(Clock::now() - load_start) * 1e3;
  Model& model = loaded.value();
  status = CheckOptions(options, meta.value(), model);
  if (status.ok()) {
    status = PrepareFolders(options, inputs.value().size(), model);
  }
  if (!status.ok()) {
    return Fail(status);
  }
  PrintTensors(model);

  double warm_up_ms = 0.0;
  status = WarmUp(&model, &warm_up_ms);
  if (!status.ok()) {
    return Fail(status);
  }
  ResultWriter results(options.result_path, options.result_json, &meta.value());
  StageTimes times;
  const Clock::time_point start = Clock::now();
  Pipeline pipeline(
      options.pipeline, inputs.value(),
      CreateReader(options.input_format, meta.value(), model.input()),
      [] { return stop_signal != 0; }, &model, &results, &times);
  const PipelineResult result = pipeline.Run();
  const double seconds = Seconds(Clock::now() - start);

  const int code = Conclude(result, inputs.value().size(), Shown(inputs.value()[0].path), &results);
  if (code == kError) {
    return code;
  }
  std::cout << times.Summary() << std::endl;
  const RunTimes run = {result.done, result.failed, seconds,
                        load_ms,     warm_up_ms,    model.input().shape[0]};
  status = WriteTimes(options.time_path, run, times);
  return status.ok() ? code : Fail(status);
}

}  // namespace
}  // namespace centernet

int main(int argc, char** argv) {
  centernet::QuietMindSpore(argv);
  centernet::Result<centernet::Options> options =
      centernet::ParseOptions(std::vector<std::string>(argv + 1, argv + argc));
  if (!options.ok()) {
    return centernet::Fail(options.status());
  }
  if (options.value().help) {
    std::cout << centernet::Usage();
    return centernet::kAllDone;
  }
  try {
    return centernet::Run(options.value());
  } catch (const std::bad_alloc&) {
    return centernet::Fail(centernet::Status::Error(centernet::kMemoryIsFull));
  }
}
