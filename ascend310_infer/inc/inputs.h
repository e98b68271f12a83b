// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_INPUTS_H_
#define ASCEND310_INFER_INC_INPUTS_H_

#include <string>
#include <vector>

#include "inc/status.h"

namespace centernet {

enum class InputFormat { kBin, kImage };

struct Input {
  std::string path;
  std::string stem;  // The file name without its last ending; names the results.
};

// The .bin files, or image files by their endings, of a folder, by name; or the paths that a text
// file lists, in its order: one a line, or, if it holds a NUL, each ended by one. What stands there
// need not be readable. Fails if there is none, or if two share their stem.
Result<std::vector<Input>> ListInputs(const std::string& path, InputFormat format);

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_INPUTS_H_
