// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "inc/files.h"
#include "inc/image.h"
#include "inc/inputs.h"
#include "inc/meta.h"
#include "inc/model.h"
#include "inc/options.h"
#include "inc/pipeline.h"
#include "inc/results.h"
#include "inc/status.h"
#include "inc/timing.h"

namespace centernet {
namespace {

constexpr int kAllDone = 0;
constexpr int kSomeFailed = 1;
constexpr int kError = 2;
constexpr int kSignal = 128;  // Plus its number.

constexpr size_t kLargestFile = size_t{1} << 30;

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

Result<Meta> ReadMeta(const std::string& file) {
  if (file.empty()) {
    return Meta{};
  }
  Result<std::string> text = ReadAll(file, kLargestFile);
  return text.ok() ? ParseMeta(text.value(), Shown(file)) : Result<Meta>(text.status());
}

// Fails if the model and the flags ask for different things.
Status CheckOptions(const Options& options, const Meta& meta, const Model& model) {
  if (options.input_format == InputFormat::kImage) {
    if (!CanReadImages()) {
      return Status::Error(
          "--input_format image: this program was built without OpenCV or libjpeg-turbo; install "
          "their development files (Debian: libopencv-dev and libjpeg-dev), run build.sh again, or "
          "give .bin files");
    }
    const TensorInfo& input = model.input();
    if (input.shape.size() != 4 || input.shape[1] != 3) {
      return Status::Error(Shown(options.mindir_path) + ": takes " + ShapeText(input.shape) +
                           " instead of images (batch, 3, height, width); export the network with "
                           "export.py");
    }
    if (input.type == "float32" && options.meta_path.empty()) {
      return Status::Error(
          "--meta_path: missing; a model of float32 images needs the normalisation that stands "
          "there (one that export.py made with --export_config.input_dtype uint8 does not)");
    }
  }
  if (options.result_json.empty()) {
    return Status::Ok();
  }
  const TensorInfo& output = model.outputs()[0];
  const std::vector<int64_t> expected = {model.input().shape[0], static_cast<int64_t>(meta.boxes),
                                         6};
  if (output.type != "float32" || output.shape != expected) {
    return Status::Error(Shown(options.mindir_path) + ": gives " + output.type + " " +
                         ShapeText(output.shape) + ", but " + Shown(options.meta_path) +
                         " is of float32 " + ShapeText(expected) +
                         "; run export.py and preprocess.py with the same config");
  }
  return Status::Ok();
}

// Removes, or names, what killed programs were writing where the results go.
void CleanFolders(const Options& options) {
  std::set<std::string> folders = {options.time_path};
  if (!options.result_path.empty()) {
    folders.insert(options.result_path);
  }
  if (!options.result_json.empty()) {
    folders.insert(FolderOf(options.result_json));
  }
  for (const std::string& folder : folders) {
    for (const std::string& path : ClearLeftOvers(folder)) {
      std::cerr << "note: " << Sentence(path)
                << ": is being written on another machine, or left over from a killed program; if "
                   "none runs, remove it"
                << std::endl;
    }
  }
}

// Makes the folders, and finds out whether they take the results.
Status PrepareFolders(const Options& options, size_t inputs, const Model& model) {
  Status status = MakeWritableFolder(options.time_path);
  if (status.ok() && !options.result_path.empty()) {
    status = MakeWritableFolder(options.result_path);
  }
  if (status.ok()) {
    status = CheckReplaceable(options.result_json);
  }
  if (!status.ok()) {
    return status;
  }
  CleanFolders(options);
  if (options.result_path.empty()) {
    return Status::Ok();
  }
  uint64_t bytes = 0;
  for (const TensorInfo& output : model.outputs()) {
    bytes += inputs * output.bytes / static_cast<size_t>(model.input().shape[0]);
  }
  return CheckFreeSpace(options.result_path, bytes);
}

// Reads images for a model, normalised by colour if it takes float32.
class ImageReader {
 public:
  ImageReader(const TensorInfo& input, const Meta& meta)
      : height_(static_cast<int>(input.shape[2])),
        width_(static_cast<int>(input.shape[3])),
        normalises_(input.type == "float32"),
        take_damaged_(meta.take_damaged_jpegs),
        colour_(meta.colour) {}

  Status operator()(const Input& input, char* image, std::optional<Affine>* affine) const {
    Result<std::string> encoded = ReadAll(input.path, kLargestFile);
    if (!encoded.ok()) {
      return encoded.status();
    }
    const size_t plane = static_cast<size_t>(height_) * static_cast<size_t>(width_);
    std::vector<uint8_t> warped(normalises_ ? 3 * plane : 0);
    uint8_t* pixels = normalises_ ? warped.data() : reinterpret_cast<uint8_t*>(image);
    Affine& warp = affine->emplace();
    const Status status =
        DecodeAndWarp(encoded.value(), take_damaged_, height_, width_, pixels, &warp);
    if (!status.ok()) {
      return Status::Error(Shown(input.path) + ": " + status.message());
    }
    if (normalises_) {
      Normalise(pixels, plane, reinterpret_cast<float*>(image));
    }
    return Status::Ok();
  }

 private:
  // As normalise in src/data/augment.py.
  void Normalise(const uint8_t* pixels, size_t plane, float* image) const {
    for (size_t channel = 0; channel < 3; ++channel) {
      const float* row = &colour_[4 * channel];
      for (size_t i = 0; i < plane; ++i) {
        image[channel * plane + i] = row[0] * static_cast<float>(pixels[i]) +
                                     row[1] * static_cast<float>(pixels[plane + i]) +
                                     row[2] * static_cast<float>(pixels[2 * plane + i]) + row[3];
      }
    }
  }

  const int height_;
  const int width_;
  const bool normalises_;
  const bool take_damaged_;
  const std::array<float, 12> colour_;
};

Reader CreateReader(const Options& options, const Meta& meta, const TensorInfo& input) {
  if (options.input_format == InputFormat::kImage) {
    UseNoFurtherThreads();
    return ImageReader(input, meta);
  }
  const size_t bytes = input.bytes / static_cast<size_t>(input.shape[0]);
  return [bytes](const Input& file, char* image, std::optional<Affine>* /*affine*/) {
    return ReadExactly(file.path, bytes, image);
  };
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
  const std::string version = mindspore::Version();  // Empty in the 2.0.0 of the package index.
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

std::string TimesJson(const PipelineResult& result, double seconds, double load_ms,
                      double warm_up_ms, int64_t batch_size, const StageTimes& times) {
  char text[256];
  std::snprintf(
      text, sizeof(text),
      "{\"images\": %zu, \"failed\": %zu, \"seconds\": %.6f, \"images_per_second\": %.3f, "
      "\"load_ms\": %.3f, \"warm_up_ms\": %.3f, \"batch_size\": %d,\n \"stages\": ",
      result.done, result.failed, seconds,
      seconds > 0 ? static_cast<double>(result.done) / seconds : 0.0, load_ms, warm_up_ms,
      static_cast<int>(batch_size));
  return text + times.Json() + "}\n";
}

Status WriteTimes(const std::string& folder, const std::string& summary, const std::string& json) {
  const Status status = WriteFileAtomically(JoinPath(folder, "test_perform_static.txt"),
                                            summary.data(), summary.size());
  return status.ok() ? WriteFileAtomically(JoinPath(folder, "times.json"), json.data(), json.size())
                     : status;
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
  Result<Meta> meta = ReadMeta(options.meta_path);
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
      options.pipeline, inputs.value(), CreateReader(options, meta.value(), model.input()),
      [] { return stop_signal != 0; }, &model, &results, &times);
  const PipelineResult result = pipeline.Run();
  const double seconds = Seconds(Clock::now() - start);

  const int code = Conclude(result, inputs.value().size(), Shown(inputs.value()[0].path), &results);
  if (code == kError) {
    return code;
  }
  const std::string summary = times.Summary() + "\n";
  std::cout << summary << std::flush;
  status =
      WriteTimes(options.time_path, summary,
                 TimesJson(result, seconds, load_ms, warm_up_ms, model.input().shape[0], times));
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
    return centernet::Fail(centernet::Status::Error(
        "memory is full; free some, or choose smaller --readers and --writers"));
  }
}
