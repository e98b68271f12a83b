// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_CHECKS_H_
#define ASCEND310_INFER_INC_CHECKS_H_

#include <cstddef>

#include "inc/meta.h"
#include "inc/model.h"
#include "inc/options.h"
#include "inc/status.h"

namespace centernet {

// What is found out before any input is read.

// Fails if the flags, the meta file and the model do not fit together.
Status CheckOptions(const Options& options, const Meta& meta, const Model& model);

// Makes the folders of the results, and fails if they do not take those of so many inputs.
Status PrepareFolders(const Options& options, size_t inputs, const Model& model);

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_CHECKS_H_
