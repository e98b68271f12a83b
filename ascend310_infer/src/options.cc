// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/options.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <set>
#include <utility>

namespace centernet {
namespace {

constexpr char kFailFast[] = "--fail_fast";  // The only flag without a value.

struct Flag {
  std::string name;
  std::string meaning;
  std::function<Status(const std::string& value, Options* options)> set;
};

Status ParseNumber(const std::string& text, int minimum, int maximum, int* number) {
  char* stop = nullptr;
  errno = 0;
  const long parsed = std::strtol(text.c_str(), &stop, 10);
  if (text.empty() || *stop != '\0' || errno != 0 || parsed < minimum || parsed > maximum) {
    return Status::Error("expected a whole number from " + std::to_string(minimum) + " to " +
                         std::to_string(maximum) + ", got \"" + text + "\"");
  }
  *number = static_cast<int>(parsed);
  return Status::Ok();
}

// Sets *value to that of the name.
template <typename T>
Status ParseName(const std::string& text, const std::vector<std::pair<std::string, T>>& names,
                 T* value) {
  std::string known;
  for (const auto& [name, meaning] : names) {
    if (text == name) {
      *value = meaning;
      return Status::Ok();
    }
    known += (known.empty() ? "" : " or ") + name;
  }
  return Status::Error("expected " + known + ", got \"" + text + "\"");
}

Flag PathFlag(const std::string& name, const std::string& meaning, std::string Options::* path) {
  return {name, meaning, [path](const std::string& value, Options* options) {
            options->*path = value;
            return value.empty() ? Status::Error("expected a path, got nothing") : Status::Ok();
          }};
}

Flag NumberFlag(const std::string& name, const std::string& meaning, int minimum, int maximum,
                const std::function<int*(Options*)>& number) {
  return {name, meaning, [=](const std::string& value, Options* options) {
            return ParseNumber(value, minimum, maximum, number(options));
          }};
}

// A setting of CANN's compilation, which checks its value itself.
Flag AscendFlag(const std::string& name, const std::string& meaning, std::string Device::* text) {
  return {name, meaning, [=](const std::string& value, Options* options) {
            options->compile_flags.push_back(name);
            options->device.*text = value;
            return Status::Ok();
          }};
}

// An empty mode leaves the choice to CANN. MindSpore Lite does so too where it does not know one.
Status ParsePrecisionMode(const std::string& text, std::string* mode) {
  const std::vector<std::pair<std::string, std::string>> names = {
      {"enforce_fp32", "enforce_fp32"},
      {"preferred_fp32", "preferred_fp32"},
      {"enforce_fp16", "enforce_fp16"},
      {"enforce_origin", "enforce_origin"},
      {"preferred_optimal", "preferred_optimal"}};
  *mode = text;
  return text.empty() ? Status::Ok() : ParseName(text, names, mode);
}

std::vector<Flag> Flags() {
  constexpr int kMostThreads = 256;
  return {
      PathFlag("--mindir_path", "export.py's model, or what converter_lite made of it (required)",
               &Options::mindir_path),
      PathFlag("--input_path", "folder of the inputs, or a text file that lists them (required)",
               &Options::input_path),
      {"--input_format", "bin, as preprocess.py writes them, or image files (default bin)",
       [](const std::string& value, Options* options) {
         return ParseName<InputFormat>(value,
                                       {{"bin", InputFormat::kBin}, {"image", InputFormat::kImage}},
                                       &options->input_format);
       }},
      PathFlag("--meta_path",
               "preprocess.py's meta.txt, for --result_json, float32 images and damaged JPEGs",
               &Options::meta_path),
      PathFlag("--result_path",
               "folder for the outputs (default ./result_Files; none beside --result_json)",
               &Options::result_path),
      PathFlag("--result_json", "file for the boxes, after soft-NMS, in COCO's result format",
               &Options::result_json),
      PathFlag("--time_path",
               "folder for test_perform_static.txt and times.json (default "
               "./time_Result)",
               &Options::time_path),
      {"--device_target", "Ascend or CPU (default Ascend)",
       [](const std::string& value, Options* options) {
         return ParseName<Device::Target>(
             value, {{"Ascend", Device::Target::kAscend}, {"CPU", Device::Target::kCpu}},
             &options->device.target);
       }},
      NumberFlag("--device_id", "which Ascend device (default 0)", 0, 4096,
                 [](Options* options) { return &options->device.id; }),
      {"--precision_mode", "of Ascend (default preferred_fp32)",
       [](const std::string& value, Options* options) {
         options->compile_flags.emplace_back("--precision_mode");
         return ParsePrecisionMode(value, &options->device.precision_mode);
       }},
      AscendFlag("--op_select_impl_mode", "of Ascend, such as high_precision (default CANN's)",
                 &Device::op_select_impl_mode),
      AscendFlag("--buffer_optimize_mode", "of Ascend, such as off_optimize (default CANN's)",
                 &Device::buffer_optimize_mode),
      NumberFlag("--num_threads", "threads of the model on the CPU target (default 2)", 1,
                 kMostThreads, [](Options* options) { return &options->device.num_threads; }),
      NumberFlag("--readers", "threads that read and decode inputs (default 2)", 1, kMostThreads,
                 [](Options* options) { return &options->pipeline.readers; }),
      NumberFlag("--writers", "threads that post-process and write results (default 2)", 1,
                 kMostThreads, [](Options* options) { return &options->pipeline.writers; }),
  };
}

}  // namespace

std::string Usage() {
  std::string text =
      "usage: main --mindir_path MODEL --input_path FOLDER|LIST [--flag value | --flag=value ...]\n"
      "Runs images through a MINDIR and writes output i of NAME.* as NAME_i.bin.\n\n";
  const auto add = [&text](const std::string& name, const std::string& meaning) {
    text += "  " + name + std::string(24 - name.size(), ' ') + meaning + "\n";
  };
  for (const Flag& flag : Flags()) {
    add(flag.name, flag.meaning);
  }
  add(kFailFast, "stop at the first input that fails; without it the others are done");
  add("--help", "print this and stop");
  return text +
         "\nA model that is converted for Ascend has the modes of its conversion.\n"
         "\nExit codes: 0 all inputs are done; 1 some failed, each named, the others are done; 2 "
         "nothing\ncould be done, or the results could not be written; 130 or 143 stopped by "
         "SIGINT "
         "or SIGTERM,\nthe results written so far are whole.\n";
}

Result<Options> ParseOptions(const std::vector<std::string>& arguments) {
  Options options;
  if (std::find(arguments.begin(), arguments.end(), "--help") != arguments.end()) {
    options.help = true;
    return options;
  }
  const std::vector<Flag> flags = Flags();
  std::set<std::string> seen;
  for (auto argument = arguments.begin(); argument != arguments.end(); ++argument) {
    const size_t equals = argument->find('=');
    const std::string name = argument->substr(0, equals);
    const auto flag = std::find_if(flags.begin(), flags.end(),
                                   [&name](const Flag& known) { return known.name == name; });
    if (flag == flags.end() && *argument != kFailFast) {
      return Status::Error(name + ": unknown flag; --help lists the known ones");
    }
    if (!seen.insert(name).second) {
      return Status::Error(name + ": given twice; keep one");
    }
    if (flag == flags.end()) {
      options.pipeline.fail_fast = true;
      continue;
    }
    if (equals == std::string::npos && std::next(argument) == arguments.end()) {
      return Status::Error(name + ": needs a value; --help lists the flags");
    }
    const std::string value =
        equals == std::string::npos ? *++argument : argument->substr(equals + 1);
    const Status status = flag->set(value, &options);
    if (!status.ok()) {
      return Status::Error(name + ": " + status.message());
    }
  }
  std::vector<std::string> required = {"--mindir_path", "--input_path"};
  if (!options.result_json.empty()) {
    required.emplace_back("--meta_path");
  } else if (options.result_path.empty()) {
    options.result_path = "./result_Files";
  }
  for (const std::string& name : required) {
    if (seen.count(name) == 0) {
      return Status::Error(name + ": missing; --help lists the flags");
    }
  }
  return options;
}

}  // namespace centernet
