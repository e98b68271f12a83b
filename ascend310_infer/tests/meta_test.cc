// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/meta.h"

#include <chrono>
#include <sstream>

#include "tests/check.h"

namespace centernet {
namespace {

constexpr char kAffine[] = "1.0 0.0 0.0 0.0 1.0 0.0 640 480";
const std::string kGood =
    "centernet-meta 5\ndown_ratio 4\nsoft_nms 1\nsoft_nms_form mmcv\nclip_boxes 1\npairs 1\nrows "
    "1000\n"
    "kept 100\npoints 2\ncategory_ids 1 -2 - 44\n"
    "colour 1 0 0 0 0 1 0 0 0 0 1 0.5\nborder 0 116 255\nplacement corner\ntake_damaged_jpegs "
    "0\ntask pose\n"
    "point_classes 0 2\nsigmas 0.25 1e-05\nimage 7 " +
    std::string(kAffine) + " a b\n";

std::string Changed(const std::string& part, const std::string& replacement) {
  std::string text = kGood;
  CHECK_HAS(text, part);
  return text.replace(text.find(part), part.size(), replacement);
}

void TestWhatStandsThere() {
  Result<Meta> parsed = ParseMeta(kGood, "meta.txt");
  CHECK(parsed.ok());
  const Meta& meta = parsed.value();
  CHECK_EQ(meta.down_ratio, 4.0);
  CHECK_EQ(meta.rows, 1000U);
  CHECK_EQ(meta.kept, 100U);
  CHECK(meta.pairs && meta.soft_nms_form == SoftNmsForm::kMmcv);
  CHECK(meta.border == (Colour{0, 116, 255}));
  CHECK_EQ(meta.points, 2U);
  CHECK(meta.soft_nms && meta.clip_boxes && !meta.take_damaged_jpegs &&
        meta.placement == Placement::kCorner);
  CHECK(meta.category_ids == (std::vector<std::optional<int64_t>>{1, -2, std::nullopt, 44}));
  CHECK(meta.has_points == (std::vector<bool>{true, false, true, false}));
  CHECK_EQ(meta.colour[11], 0.5F);
  CHECK_EQ(meta.images.at("a b").id, 7);
  CHECK_EQ(meta.images.at("a b").affine[4], 1.0);
  CHECK_EQ(meta.images.at("a b").width, 640);
  CHECK_EQ(meta.images.at("a b").height, 480);
  Result<Meta> of_boxes = ParseMeta(Changed("points 2", "points 0"), "meta.txt");
  CHECK(of_boxes.ok() && of_boxes.value().points == 0);
}

void TestAnotherFileIsRefusedByItsLine() {
  const std::string image = "image 8 " + std::string(kAffine);
  const std::pair<std::string, std::string> refused[] = {
      {"", "ends after line 0"},
      {kGood.substr(0, kGood.find("colour")), "ends after line 10"},
      {kGood.substr(0, kGood.size() - 1), "line 18 is not"},
      {Changed("meta 5", "meta 4"), "line 1 is not"},
      {Changed("rows 1000\n", ""), "line 7 is not"},
      {Changed("colour", "color"), "line 11 is not"},
      {kGood + "image 1", "line 19 is not"},
      {kGood + image + " a b\n", "line 19 is not"},
      {kGood + image + " b%0\n", "line 19 is not"},
  };
  for (const auto& [text, words] : refused) {
    Result<Meta> meta = ParseMeta(text, "meta.txt");
    CHECK(!meta.ok());
    CHECK_HAS(meta.status().message(), "meta.txt: " + words);
    CHECK_HAS(meta.status().message(), "; write it again with preprocess.py");
  }
}

// Lines in the place of good ones; tests/test_ascend310_units.py holds Python to the same list.
void TestLines() {
  std::ifstream list("meta_lines.txt");
  int count = 0;
  for (std::string line; std::getline(list, line); ++count) {
    const bool is_good = line.rfind("good ", 0) == 0;
    const std::string letters = "nrts";
    std::string given;
    for (size_t i = line.find(' ') + 1; i < line.size(); ++i) {
      given += line[i] == '\\' ? "\n\r\t "[letters.find(line[++i])] : line[i];
    }
    const std::string keyword = given.substr(0, given.find(' '));
    std::istringstream good(kGood);
    std::string text;
    for (std::string old; std::getline(good, old);) {
      text += (old.rfind(keyword, 0) == 0 ? given : old) + "\n";
    }
    CHECK(text != kGood);
    if (ParseMeta(text, "meta.txt").ok() != is_good) {
      std::cerr << line << std::endl;
      CHECK(false);
    }
  }
  CHECK(count > 30);
}

void TestMegabytesAreReadInAMoment() {
  std::string ids = "category_ids";
  for (int i = 0; i < 1'000'000; ++i) {
    ids += " 1";
  }
  std::string text = Changed("category_ids 1 -2 - 44", ids);
  for (int i = 10; i < 20'000; ++i) {
    text += "image " + std::to_string(i) + " " + kAffine + " " + std::to_string(i) + "\n";
  }
  const auto start = std::chrono::steady_clock::now();
  CHECK(ParseMeta(text, "meta.txt").ok());
  // A minute was not enough for quadratic reading.
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}

}  // namespace
}  // namespace centernet

int main() {
  centernet::TestWhatStandsThere();
  centernet::TestAnotherFileIsRefusedByItsLine();
  centernet::TestLines();
  centernet::TestMegabytesAreReadInAMoment();
}
