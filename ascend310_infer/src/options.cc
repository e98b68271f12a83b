// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/options.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <functional>
#include <set>

namespace centernet {
namespace {

struct Flag {
  std::string name;
  std::string meaning;
  std::function<Status(const std::string& value, Options* options)> set;
};

Status ParseNumber(const std::string& text, int minimum, int* number) {
  char* stop = nullptr;
  errno = 0;
  const long parsed = std::strtol(text.c_str(), &stop, 10);
  if (text.empty() || *stop != '\0' || errno != 0 || parsed < minimum || parsed > INT_MAX) {
    return Status::Error("expected a whole number from " + std::to_string(minimum) + ", got \"" +
                         text + "\"");
  }
  *number = static_cast<int>(parsed);
  return Status::Ok();
}

Status ParseTarget(const std::string& text, Device::Target* target) {
  if (text == "Ascend") {
    *target = Device::Target::kAscend;
  } else if (text == "CPU") {
    *target = Device::Target::kCpu;
  } else {
    return Status::Error("expected Ascend or CPU, got \"" + text + "\"");
  }
  return Status::Ok();
}

Flag PathFlag(const std::string& name, const std::string& meaning, std::string Options::* path) {
  return {name, meaning, [path](const std::string& value, Options* options) {
            options->*path = value;
            return value.empty() ? Status::Error("expected a path, got nothing") : Status::Ok();
          }};
}

std::vector<Flag> Flags() {
  return {
      PathFlag("--mindir_path", "the model that export.py wrote (required)", &Options::mindir_path),
      PathFlag("--input_path", "folder of the .bin files that preprocess.py wrote (required)",
               &Options::input_path),
      PathFlag("--result_path", "folder for the outputs (default ./result_Files)",
               &Options::result_path),
      PathFlag("--time_path", "folder for test_perform_static.txt (default ./time_Result)",
               &Options::time_path),
      {"--device_target", "Ascend or CPU (default Ascend)",
       [](const std::string& value, Options* options) {
         return ParseTarget(value, &options->device.target);
       }},
      {"--device_id", "which Ascend device (default 0)",
       [](const std::string& value, Options* options) {
         return ParseNumber(value, 0, &options->device.id);
       }},
      {"--num_threads", "threads of the CPU target (default 2)",
       [](const std::string& value, Options* options) {
         return ParseNumber(value, 1, &options->device.num_threads);
       }},
  };
}

}  // namespace

std::string Usage() {
  std::string text =
      "usage: main --mindir_path MODEL --input_path FOLDER [--flag value | --flag=value ...]\n"
      "Runs every .bin file of a folder through a MINDIR and writes output i of NAME.bin as "
      "NAME_i.bin.\n\n";
  for (const Flag& flag : Flags()) {
    text += "  " + flag.name + std::string(18 - flag.name.size(), ' ') + flag.meaning + "\n";
  }
  return text + "  --help            print this and stop\n";
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
    if (flag == flags.end()) {
      return Status::Error(name + ": unknown flag; --help lists the known ones");
    }
    if (!seen.insert(name).second) {
      return Status::Error(name + ": given twice; keep one");
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
  for (const std::string required : {"--mindir_path", "--input_path"}) {
    if (seen.count(required) == 0) {
      return Status::Error(required + ": missing; --help lists the flags");
    }
  }
  return options;
}

}  // namespace centernet
