// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/results.h"

#include <utility>

#include "inc/postprocess.h"

namespace centernet {

ResultWriter::ResultWriter(std::string folder, const std::string& json_path, const Meta* meta)
    : folder_(std::move(folder)),
      meta_(meta),
      json_(json_path.empty() ? nullptr : std::make_unique<PartialFile>(json_path)) {}

Status ResultWriter::ToJson(const Input& input, const std::optional<Affine>& affine,
                            const std::vector<char>& detections, std::string* json) const {
  const auto image = meta_->images.find(input.stem);
  if (image == meta_->images.end()) {
    return Status::Error(Shown(input.path) + ": --meta_path does not name " + Shown(input.stem) +
                         "; run preprocess.py on the same images");
  }
  ImageMeta warped = image->second;
  warped.affine = affine.value_or(warped.affine);
  Result<std::vector<Detection>> found =
      PostProcess(ParseDetections(detections, meta_->points), warped, *meta_);
  if (!found.ok()) {
    return Status::Error(Shown(input.path) + ": " + found.status().message());
  }
  json->clear();
  AppendCocoEntries(found.value(), image->second.id, *meta_, json);
  return Status::Ok();
}

Status ResultWriter::WriteFiles(const Input& input,
                                const std::vector<std::vector<char>>& outputs) const {
  for (size_t i = 0; i < outputs.size() && !folder_.empty(); ++i) {
    const std::string file = JoinPath(folder_, input.stem + "_" + std::to_string(i) + ".bin");
    const Status status = WriteFileAtomically(file, outputs[i].data(), outputs[i].size());
    if (!status.ok()) {
      return status;
    }
  }
  return Status::Ok();
}

Status ResultWriter::AppendJson(const std::string& json) {
  if (json.empty()) {
    return Status::Ok();
  }
  // Entries begin with a comma, which the first of the file lacks.
  const size_t skipped = is_first_entry_ ? 1 : 0;
  const Status status = is_first_entry_ ? json_->Append("[", 1) : Status::Ok();
  is_first_entry_ = false;
  return status.ok() ? json_->Append(json.data() + skipped, json.size() - skipped) : status;
}

Status ResultWriter::Finish() {
  if (json_ == nullptr) {
    return Status::Ok();
  }
  const std::string end = is_first_entry_ ? "[]\n" : "\n]\n";
  const Status status = json_->Append(end.data(), end.size());
  return status.ok() ? json_->Finish() : status;
}

}  // namespace centernet
