// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_RESULTS_H_
#define ASCEND310_INFER_INC_RESULTS_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "inc/files.h"
#include "inc/inputs.h"
#include "inc/meta.h"
#include "inc/status.h"

namespace centernet {

// Where results go: files FOLDER/STEM_i.bin, a COCO result file, or both.
class ResultWriter {
 public:
  // Of folder and json_path one may be empty; meta is read with json_path only, and outlives this.
  ResultWriter(std::string folder, const std::string& json_path, const Meta* meta);

  // Sets *json to the entries of an input's detections, which lie in the image that affine, or the
  // one of meta, has warped. Fails if they cannot be those of an image. REQUIRES: output 0 of the
  // model is float32 (batch, rows, 6 + 3 points). May be called by several threads at once.
  Status ToJson(const Input& input, const std::optional<Affine>& affine,
                const std::vector<char>& detections, std::string* json) const;

  // Writes the files of an input, one of each output. An error is one of the disk.
  // May be called by several threads at once.
  Status WriteFiles(const Input& input, const std::vector<std::vector<char>>& outputs) const;

  // Appends what ToJson gave. To be called in the order of the inputs.
  Status AppendJson(const std::string& json);

  // The COCO result file appears.
  Status Finish();

  bool writes_json() const { return json_ != nullptr; }

 private:
  const std::string folder_;
  const Meta* const meta_;
  std::unique_ptr<PartialFile> json_;
  bool is_first_entry_ = true;
};

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_RESULTS_H_
