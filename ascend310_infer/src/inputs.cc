// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/inputs.h"

#include <algorithm>
#include <cctype>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "inc/files.h"

namespace centernet {
namespace {

constexpr size_t kLargestList = size_t{1} << 30;

bool HasEndingOf(InputFormat format, const std::string& name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos || dot == 0) {
    return false;
  }
  std::string ending = name.substr(dot);
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  static const std::unordered_set<std::string> kImages = {
      ".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".jp2", ".ppm", ".pgm", ".pbm"};
  return format == InputFormat::kBin ? ending == ".bin" : kImages.count(ending) > 0;
}

std::string Stem(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  const size_t dot = name.rfind('.');
  return dot == std::string::npos || dot == 0 ? name : name.substr(0, dot);
}

Result<std::vector<std::string>> PathsOfFolder(const std::string& folder, InputFormat format) {
  Result<std::vector<std::string>> names = ListFolder(folder);
  if (!names.ok()) {
    return names.status();
  }
  std::vector<std::string> paths;
  for (const std::string& name : names.value()) {
    if (HasEndingOf(format, name)) {
      paths.push_back(JoinPath(folder, name));
    }
  }
  return paths;
}

Result<std::vector<std::string>> PathsOfList(const std::string& file) {
  Result<std::string> text = ReadAll(file, kLargestList);
  if (!text.ok()) {
    return text.status();
  }
  const char separator = text.value().find('\0') == std::string::npos ? '\n' : '\0';
  std::vector<std::string> paths;
  for (size_t start = 0; start < text.value().size();) {
    const size_t end = std::min(text.value().find(separator, start), text.value().size());
    if (end > start) {
      paths.push_back(text.value().substr(start, end - start));
    }
    start = end + 1;
  }
  return paths;
}

}  // namespace

Result<std::vector<Input>> ListInputs(const std::string& path, InputFormat format) {
  Result<std::vector<std::string>> paths =
      IsFolder(path) ? PathsOfFolder(path, format) : PathsOfList(path);
  if (!paths.ok()) {
    return paths.status();
  }
  if (paths.value().empty()) {
    return Status::Error(Shown(path) + ": holds no " +
                         (format == InputFormat::kBin
                              ? ".bin files; write them with preprocess.py first"
                              : "images by their endings, as .jpg; check --input_path"));
  }
  std::vector<Input> inputs;
  inputs.reserve(paths.value().size());
  std::unordered_map<std::string, size_t> taken;
  for (std::string& file : paths.value()) {
    std::string stem = Stem(file);
    const auto [other, is_new] = taken.emplace(stem, inputs.size());
    if (!is_new) {
      return Status::Error(Shown(file) + ": its results would replace those of " +
                           Shown(inputs[other->second].path) + "; rename one of them");
    }
    inputs.push_back({std::move(file), std::move(stem)});
  }
  return inputs;
}

}  // namespace centernet
