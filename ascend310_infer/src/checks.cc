// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/checks.h"

#include <iostream>
#include <set>
#include <string>
#include <vector>

#include "inc/files.h"
#include "inc/image.h"
#include "inc/postprocess.h"

namespace centernet {
namespace {

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

}  // namespace

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
  if (options.meta_path.empty()) {
    return Status::Ok();
  }
  const TensorInfo& output = model.outputs()[0];
  const size_t columns = kColumnsOfBox + kColumnsOfPoint * meta.points;
  const std::vector<int64_t> expected = {model.input().shape[0], static_cast<int64_t>(meta.rows),
                                         static_cast<int64_t>(columns)};
  if (output.type != "float32" || output.shape != expected) {
    return Status::Error(Shown(options.mindir_path) + ": gives " + output.type + " " +
                         ShapeText(output.shape) + ", but " + Shown(options.meta_path) +
                         " is of float32 " + ShapeText(expected) +
                         "; run preprocess.py again with --load_mindir_path and this model");
  }
  return Status::Ok();
}

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

}  // namespace centernet
