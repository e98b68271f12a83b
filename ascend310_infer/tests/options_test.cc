// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/options.h"

#include "tests/check.h"

namespace centernet {
namespace {

using Words = std::vector<std::string>;

const Words kRequired = {"--mindir_path", "m.mindir", "--input_path=in=put"};

Result<Options> Parsed(const Words& more) {
  Words words = kRequired;
  words.insert(words.end(), more.begin(), more.end());
  return ParseOptions(words);
}

void TestDefaults() {
  Result<Options> options = Parsed({});
  CHECK_EQ(options.value().mindir_path, "m.mindir");
  CHECK_EQ(options.value().input_path, "in=put");
  CHECK_EQ(options.value().result_path, "./result_Files");
  CHECK(options.value().device.target == Device::Target::kAscend);
  CHECK(options.value().input_format == InputFormat::kBin && !options.value().pipeline.fail_fast);
}

void TestValues() {
  Result<Options> options =
      Parsed({"--input_format", "image", "--fail_fast", "--readers=7", "--device_target", "CPU",
              "--meta_path", "m.txt", "--result_json", "r.json", "--precision_mode", ""});
  CHECK(options.value().input_format == InputFormat::kImage);
  CHECK(options.value().pipeline.fail_fast);
  CHECK_EQ(options.value().pipeline.readers, 7);
  CHECK(options.value().device.target == Device::Target::kCpu);
  CHECK_EQ(options.value().result_path, "");
  CHECK_EQ(options.value().compile_flags.size(), 1U);
}

void TestBadFlags() {
  const std::pair<Words, Words> refused[] = {
      {{"--batch", "3"}, {"--batch", "unknown"}},
      {{"--num_threads", "two"}, {"--num_threads", "\"two\""}},
      {{"--num_threads=0"}, {"--num_threads", "from 1"}},
      {{"--device_id=-1"}, {"--device_id", "\"-1\""}},
      {{"--device_id=99999999999"}, {"--device_id", "99999999999"}},
      {{"--device_id"}, {"--device_id", "needs a value"}},
      {{"--readers=1", "--readers=1"}, {"--readers", "twice"}},
      {{"images"}, {"images", "unknown"}},
      {{"--precision_mode", "fp32"}, {"--precision_mode", "\"fp32\"", "preferred_fp32"}},
      {{"--device_target", "GPU"}, {"--device_target", "\"GPU\"", "Ascend or CPU"}},
      {{"--time_path="}, {"--time_path", "expected a path"}},
      {{"--result_json", "r.json"}, {"--meta_path: missing; --help lists the flags"}},
  };
  for (const auto& [given, words] : refused) {
    Result<Options> options = Parsed(given);
    CHECK(!options.ok());
    for (const std::string& word : words) {
      CHECK_HAS(options.status().message(), word);
    }
  }
  for (const Words& given : {Words{"--mindir_path", "m"}, Words{"--input_path", "i"}}) {
    CHECK_HAS(ParseOptions(given).status().message(), "missing");
  }
}

void TestHelpNeedsNothingElse() {
  CHECK(ParseOptions({"--help", "--batch"}).value().help);
  for (const char* flag : {"--mindir_path", "--device_target", "--fail_fast"}) {
    CHECK_HAS(Usage(), flag);
  }
}

}  // namespace
}  // namespace centernet

int main() {
  centernet::TestDefaults();
  centernet::TestValues();
  centernet::TestBadFlags();
  centernet::TestHelpNeedsNothingElse();
}
