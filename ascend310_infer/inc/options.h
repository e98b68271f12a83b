// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_OPTIONS_H_
#define ASCEND310_INFER_INC_OPTIONS_H_

#include <string>
#include <vector>

#include "inc/device.h"
#include "inc/inputs.h"
#include "inc/pipeline.h"
#include "inc/status.h"

namespace centernet {

struct Options {
  bool help = false;
  std::string mindir_path;
  std::string input_path;
  InputFormat input_format = InputFormat::kBin;
  std::string meta_path;    // Empty: none.
  std::string result_path;  // Empty: no .bin files.
  std::string result_json;  // Empty: no COCO result file.
  std::string time_path = "./time_Result";
  Device device;
  std::vector<std::string> compile_flags;  // Those given that only a compilation heeds.
  PipelineOptions pipeline;
};

// The text of --help.
std::string Usage();

// Reads "--flag value" and "--flag=value". After --help, the other flags are not looked at.
// Otherwise fails on an unknown or repeated flag, on a value that does not fit its flag, and when
// --mindir_path or --input_path, or --meta_path beside --result_json, is missing.
Result<Options> ParseOptions(const std::vector<std::string>& arguments);

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_OPTIONS_H_
