// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/meta.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>

namespace centernet {
namespace {

constexpr char kFirstLine[] = "centernet-meta 1";

// The text up to the next separator, which is skipped; the rest if there is none.
std::string Take(std::string* text, char separator) {
  const size_t end = std::min(text->find(separator), text->size());
  const std::string taken = text->substr(0, end);
  text->erase(0, std::min(end + 1, text->size()));
  return taken;
}

std::optional<double> ParseNumber(const std::string& text) {
  char* stop = nullptr;
  const double number = std::strtod(text.c_str(), &stop);
  const bool whole = !text.empty() && text[0] != ' ' && stop == text.c_str() + text.size();
  return whole && std::isfinite(number) ? std::optional<double>(number) : std::nullopt;
}

std::optional<int64_t> ParseInteger(const std::string& text) {
  char* stop = nullptr;
  errno = 0;
  const long long number = std::strtoll(text.c_str(), &stop, 10);
  const bool whole = !text.empty() && text[0] != ' ' && stop == text.c_str() + text.size();
  return whole && errno == 0 ? std::optional<int64_t>(number) : std::nullopt;
}

// Exactly the given number of numbers, each followed by a blank; what comes after them is left.
template <typename Numbers>
bool TakeNumbers(std::string* text, Numbers* numbers) {
  for (auto& number : *numbers) {
    const std::optional<double> parsed = ParseNumber(Take(text, ' '));
    if (!parsed || std::abs(*parsed) > std::numeric_limits<float>::max()) {
      return false;
    }
    number = static_cast<std::decay_t<decltype(number)>>(*parsed);
  }
  return true;
}

int HexDigit(char digit) {
  if (digit >= '0' && digit <= '9') {
    return digit - '0';
  }
  return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

// A name as it was before preprocess.py wrote bytes that would break a line as %XX.
std::optional<std::string> Unescaped(const std::string& text) {
  std::string name;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      name += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = high >= 0 ? HexDigit(text[i + 2]) : -1;
    if (low < 0) {
      return std::nullopt;
    }
    name += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return name;
}

bool ParseCategories(std::string text, std::vector<std::optional<int64_t>>* ids) {
  while (!text.empty()) {
    const std::string word = Take(&text, ' ');
    ids->push_back(ParseInteger(word));
    if (!ids->back() && word != "-") {
      return false;
    }
  }
  return !ids->empty();
}

bool ParseImage(std::string text, std::unordered_map<std::string, ImageMeta>* images) {
  const std::optional<int64_t> id = ParseInteger(Take(&text, ' '));
  ImageMeta image{};
  if (!id || !TakeNumbers(&text, &image.affine) || text.empty()) {
    return false;
  }
  image.id = *id;
  const std::optional<std::string> name = Unescaped(text);
  return name && images->emplace(*name, image).second;
}

// Reads what stands behind the keyword of a line.
bool ParseLine(const std::string& keyword, std::string rest, Meta* meta) {
  if (keyword == "image") {
    return ParseImage(std::move(rest), &meta->images);
  }
  if (keyword == "category_ids") {
    return ParseCategories(std::move(rest), &meta->category_ids);
  }
  if (keyword == "colour") {
    return TakeNumbers(&rest, &meta->colour) && rest.empty();
  }
  const std::optional<int64_t> number = ParseInteger(rest);
  constexpr int64_t kLargest = 1'000'000;
  if (!number || *number < 0 || *number > kLargest) {
    return false;
  }
  if (keyword == "down_ratio") {
    meta->down_ratio = static_cast<double>(*number);
  } else if (keyword == "soft_nms") {
    meta->soft_nms = *number == 1;
  } else {
    meta->boxes = static_cast<size_t>(*number);
  }
  return keyword == "soft_nms" ? *number <= 1 : *number > 0;
}

}  // namespace

Result<Meta> ParseMeta(const std::string& text, const std::string& file) {
  // The lines stand in this order, images after them.
  const std::vector<std::string> settings = {"down_ratio", "soft_nms", "boxes", "category_ids",
                                             "colour"};
  Meta meta{};
  size_t number = 0;
  for (size_t start = 0; start < text.size(); ++number) {
    const size_t end = text.find('\n', start);
    std::string line = text.substr(start, end - start);
    start = end == std::string::npos ? text.size() : end + 1;
    bool good = end != std::string::npos;
    if (number == 0) {
      good = good && line == kFirstLine;
    } else {
      const std::string keyword = Take(&line, ' ');
      const std::string expected = number <= settings.size() ? settings[number - 1] : "image";
      good = good && keyword == expected && ParseLine(keyword, std::move(line), &meta);
    }
    if (!good) {
      return Status::Error(file + ": line " + std::to_string(number + 1) +
                           " is not one of a meta file; write it again with preprocess.py");
    }
  }
  if (number <= settings.size()) {
    return Status::Error(file + ": ends after line " + std::to_string(number) +
                         "; write it again with preprocess.py");
  }
  return meta;
}

}  // namespace centernet
