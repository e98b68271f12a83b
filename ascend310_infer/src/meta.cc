// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/meta.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "inc/files.h"

namespace centernet {
namespace {

constexpr char kFirstLine[] = "centernet-meta 5";

// The text up to the next separator, which is skipped; the rest if there is none.
std::string_view Take(std::string_view* text, char separator) {
  const size_t end = std::min(text->find(separator), text->size());
  const std::string_view taken = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  return taken;
}

bool TakeCharacter(std::string_view* text, char character) {
  const bool is_there = !text->empty() && text->front() == character;
  text->remove_prefix(is_there ? 1 : 0);
  return is_there;
}

// How many decimal digits stand first, which are skipped.
size_t TakeDigits(std::string_view* text) {
  const size_t digits = std::min(text->find_first_not_of("0123456789"), text->size());
  text->remove_prefix(digits);
  return digits;
}

// The numbers below are those that src/deploy/bin_files.py reads: strtod and strtoll take more.

// -?[0-9]+(.[0-9]+)?(e[-+][0-9]+)?
bool IsNumber(std::string_view text) {
  TakeCharacter(&text, '-');
  if (TakeDigits(&text) == 0 || (TakeCharacter(&text, '.') && TakeDigits(&text) == 0)) {
    return false;
  }
  if (TakeCharacter(&text, 'e')) {
    return (TakeCharacter(&text, '-') || TakeCharacter(&text, '+')) && TakeDigits(&text) > 0 &&
           text.empty();
  }
  return text.empty();
}

std::optional<double> ParseNumber(std::string_view text) {
  if (!IsNumber(text)) {
    return std::nullopt;
  }
  const double number = std::strtod(std::string(text).c_str(), nullptr);
  const bool fits = std::abs(number) <= std::numeric_limits<float>::max();
  return fits ? std::optional<double>(number) : std::nullopt;
}

// -?[0-9]{1,19}
std::optional<int64_t> ParseInteger(std::string_view text) {
  std::string_view rest = text;
  TakeCharacter(&rest, '-');
  const size_t digits = TakeDigits(&rest);
  constexpr size_t kMostDigits = 19;
  if (digits == 0 || digits > kMostDigits || !rest.empty()) {
    return std::nullopt;
  }
  errno = 0;
  const long long number = std::strtoll(std::string(text).c_str(), nullptr, 10);
  return errno == 0 ? std::optional<int64_t>(number) : std::nullopt;
}

// Exactly the given number of numbers, each followed by a blank; what comes after them is left.
template <typename Numbers>
bool TakeNumbers(std::string_view* text, Numbers* numbers) {
  for (auto& number : *numbers) {
    const std::optional<double> parsed = ParseNumber(Take(text, ' '));
    if (!parsed) {
      return false;
    }
    number = static_cast<std::decay_t<decltype(number)>>(*parsed);
  }
  return true;
}

// A name as it was before preprocess.py wrote bytes that would break a line, and %, as %XX.
std::optional<std::string> Unescaped(std::string_view text) {
  constexpr std::pair<std::string_view, char> kEscapes[] = {
      {"%25", '%'}, {"%0A", '\n'}, {"%0D", '\r'}};
  std::string name;
  while (!text.empty()) {
    const auto* const escape =
        std::find_if(std::begin(kEscapes), std::end(kEscapes),
                     [&text](const auto& pair) { return text.substr(0, 3) == pair.first; });
    const bool is_escape = escape != std::end(kEscapes);
    if (!is_escape && (text.front() == '%' || text.front() == '\r')) {
      return std::nullopt;
    }
    name += is_escape ? escape->second : text.front();
    text.remove_prefix(is_escape ? 3 : 1);
  }
  return name;
}

// Calls take with each of the words between blanks; false as soon as it gives that, or if a blank
// stands last.
template <typename Taker>
bool ForEachWord(std::string_view text, const Taker& take) {
  bool good = text.empty() || text.back() != ' ';
  while (good && !text.empty()) {
    good = take(Take(&text, ' '));
  }
  return good;
}

bool ParseCategories(std::string_view text, std::vector<std::optional<int64_t>>* ids) {
  const auto take = [ids](std::string_view word) {
    ids->push_back(ParseInteger(word));
    return ids->back().has_value() || word == "-";
  };
  return ForEachWord(text, take) && !ids->empty();
}

// [1-9][0-9]{0,8}
std::optional<int64_t> ParseCount(std::string_view text) {
  constexpr size_t kMostDigits = 9;
  const bool begins = !text.empty() && text.front() >= '1' && text.front() <= '9';
  return begins && text.size() <= kMostDigits ? ParseInteger(text) : std::nullopt;
}

bool ParseImage(std::string_view text, Meta* meta, std::unordered_set<int64_t>* ids) {
  const std::optional<int64_t> id = ParseInteger(Take(&text, ' '));
  ImageMeta image{};
  if (!id || !TakeNumbers(&text, &image.affine) || !HasInverse(image.affine)) {
    return false;
  }
  const std::optional<int64_t> width = ParseCount(Take(&text, ' '));
  const std::optional<int64_t> height = ParseCount(Take(&text, ' '));
  if (!width || !height || text.empty()) {
    return false;
  }
  image.id = *id;
  image.width = static_cast<int>(*width);
  image.height = static_cast<int>(*height);
  const std::optional<std::string> name = Unescaped(text);
  return name && ids->insert(*id).second && meta->images.emplace(*name, image).second;
}

// 0|[1-9][0-9]{0,8}
std::optional<int64_t> ParseIndex(std::string_view text) {
  return text == "0" ? std::optional<int64_t>(0) : ParseCount(text);
}

bool ParsePointClasses(std::string_view text, Meta* meta) {
  meta->has_points.assign(meta->category_ids.size(), false);
  return ForEachWord(text, [meta](std::string_view word) {
    const std::optional<int64_t> index = ParseIndex(word);
    const bool good = index && static_cast<size_t>(*index) < meta->has_points.size();
    if (good) {
      meta->has_points[static_cast<size_t>(*index)] = true;
    }
    return good;
  });
}

// Of postprocess.py.
bool AreSigmas(std::string_view text) {
  return ForEachWord(text, [](std::string_view word) {
    const std::optional<double> sigma = ParseNumber(word);
    return sigma && *sigma > 0;
  });
}

// Three numbers of 0 to 255.
bool ParseColour(std::string_view text, Colour* colour) {
  size_t count = 0;
  const auto take = [colour, &count](std::string_view word) {
    const std::optional<int64_t> value = ParseIndex(word);
    const bool good = value && *value <= UINT8_MAX && count < colour->size();
    if (good) {
      (*colour)[count++] = static_cast<uint8_t>(*value);
    }
    return good;
  };
  return ForEachWord(text, take) && count == colour->size();
}

// Sets *chosen to the choice of that name; false if there is none.
template <typename Choices, typename Choice>
bool Choose(const Choices& choices, std::string_view name, Choice* chosen) {
  const auto* const found = std::find_if(std::begin(choices), std::end(choices),
                                         [name](const auto& pair) { return pair.first == name; });
  const bool is_known = found != std::end(choices);
  if (is_known) {
    *chosen = found->second;
  }
  return is_known;
}

// Reads what stands behind the keyword of a line.
bool ParseLine(std::string_view keyword, std::string_view rest, Meta* meta,
               std::unordered_set<int64_t>* ids) {
  if (keyword == "image") {
    return ParseImage(rest, meta, ids);
  }
  if (keyword == "category_ids") {
    return ParseCategories(rest, &meta->category_ids);
  }
  if (keyword == "colour") {
    return rest.find_last_not_of(' ') + 1 == rest.size() && TakeNumbers(&rest, &meta->colour) &&
           rest.empty();
  }
  const std::pair<std::string_view, bool*> switches[] = {
      {"soft_nms", &meta->soft_nms},
      {"clip_boxes", &meta->clip_boxes},
      {"pairs", &meta->pairs},
      {"take_damaged_jpegs", &meta->take_damaged_jpegs}};
  for (const auto& [name, is_set] : switches) {
    if (keyword == name) {
      *is_set = rest == "1";
      return rest == "0" || rest == "1";
    }
  }
  if (keyword == "task") {  // Of postprocess.py.
    return !rest.empty() && rest.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") ==
                                std::string_view::npos;
  }
  if (keyword == "point_classes") {
    return ParsePointClasses(rest, meta);
  }
  if (keyword == "sigmas") {
    return AreSigmas(rest);
  }
  if (keyword == "border") {
    return ParseColour(rest, &meta->border);
  }
  if (keyword == "placement") {
    constexpr std::pair<std::string_view, Placement> kPlacements[] = {
        {"centred", Placement::kCentred},
        {"corner", Placement::kCorner},
        {"corner_half_pixel", Placement::kCornerHalfPixel}};
    return Choose(kPlacements, rest, &meta->placement);
  }
  if (keyword == "soft_nms_form") {
    constexpr std::pair<std::string_view, SoftNmsForm> kForms[] = {
        {"original", SoftNmsForm::kOriginal}, {"mmcv", SoftNmsForm::kMmcv}};
    return Choose(kForms, rest, &meta->soft_nms_form);
  }
  const std::optional<int64_t> number = keyword == "points" ? ParseIndex(rest) : ParseCount(rest);
  if (!number) {
    return false;
  }
  if (keyword == "down_ratio") {
    meta->down_ratio = static_cast<double>(*number);
  }
  const std::pair<std::string_view, size_t*> counts[] = {
      {"rows", &meta->rows}, {"kept", &meta->kept}, {"points", &meta->points}};
  for (const auto& [name, count] : counts) {
    if (keyword == name) {
      *count = static_cast<size_t>(*number);
    }
  }
  return true;
}

}  // namespace

Result<Meta> ReadMeta(const std::string& file) {
  constexpr size_t kLargest = size_t{1} << 30;
  Result<std::string> text = ReadAll(file, kLargest);
  return text.ok() ? ParseMeta(text.value(), Shown(file)) : Result<Meta>(text.status());
}

Result<Meta> ParseMeta(const std::string& text, const std::string& file) {
  // The lines stand in this order, images after them.
  const std::vector<std::string_view> settings = {"down_ratio",
                                                  "soft_nms",
                                                  "soft_nms_form",
                                                  "clip_boxes",
                                                  "pairs",
                                                  "rows",
                                                  "kept",
                                                  "points",
                                                  "category_ids",
                                                  "colour",
                                                  "border",
                                                  "placement",
                                                  "take_damaged_jpegs",
                                                  "task",
                                                  "point_classes",
                                                  "sigmas"};
  Meta meta{};
  std::unordered_set<int64_t> ids;
  size_t number = 0;
  for (size_t start = 0; start < text.size(); ++number) {
    const size_t end = text.find('\n', start);
    std::string_view line = std::string_view(text).substr(start, end - start);
    start = end == std::string::npos ? text.size() : end + 1;
    bool good = end != std::string::npos;
    if (number == 0) {
      good = good && line == kFirstLine;
    } else {
      const std::string_view keyword = Take(&line, ' ');
      const std::string_view expected = number <= settings.size() ? settings[number - 1] : "image";
      good = good && keyword == expected && ParseLine(keyword, line, &meta, &ids);
    }
    if (!good) {
      return Status::Error(file + ": line " + std::to_string(number + 1) +
                           " is not one of a meta file; write it again with preprocess.py");
    }
  }
  if (meta.images.empty()) {
    return Status::Error(file + ": ends after line " + std::to_string(number) +
                         "; write it again with preprocess.py");
  }
  return meta;
}

}  // namespace centernet
