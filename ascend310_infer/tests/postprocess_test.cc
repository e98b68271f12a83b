// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/postprocess.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/check.h"

namespace centernet {
namespace {

// Detections as a model gives them, of rows of numbers.
std::vector<Detection> Parsed(const std::vector<std::vector<float>>& rows, size_t points) {
  std::vector<char> bytes;
  for (const std::vector<float>& row : rows) {
    const char* begin = reinterpret_cast<const char*>(row.data());
    bytes.insert(bytes.end(), begin, begin + row.size() * sizeof(float));
  }
  return ParseDetections(bytes, points);
}

Meta MetaOf(bool soft_nms, size_t points) {
  Meta meta{};
  meta.down_ratio = 1;
  meta.soft_nms = soft_nms;
  meta.points = points;
  meta.kept = 100;
  meta.category_ids = {1, 2, 3, 4, 5};
  meta.has_points.assign(5, true);
  return meta;
}

constexpr ImageMeta kIdentity = {7, {1, 0, 0, 0, 1, 0}, 640, 480};

// A box on itself has IoU 1: exp(-1 / 0.5) = 0.1353. The distant one and the other class stay.
void TestSoftNmsByHand() {
  Result<std::vector<Detection>> found =
      PostProcess(Parsed({{0, 0, 9, 9, 0.8F, 3, 80, 81, 0.5F},
                          {0, 0, 9, 9, 0.9F, 3, 90, 91, 0.5F},
                          {50, 50, 60, 60, 0.0004F, 3, 40, 41, 0.5F},
                          {0, 0, 9, 9, 0.7F, 4, 70, 71, 0.5F},
                          {0, 0, 9, 9, 0.007F, 3, 7, 8, 0.5F}},
                         1),
                  kIdentity, MetaOf(true, 1));
  CHECK(found.ok());
  CHECK_EQ(found.value().size(), 4U);
  const double scores[] = {0.9, 0.7, 0.8 * std::exp(-2), 0.0004};
  const float points[] = {90, 70, 80, 40};  // Each goes with its row.
  for (size_t i = 0; i < 4; ++i) {
    CHECK(std::abs(found.value()[i].score - scores[i]) < 1e-6);
    CHECK_EQ(found.value()[i].points[0], points[i]);
    CHECK_EQ(found.value()[i].points.size(), 3U);
  }
}

// 0..9 is ten pixels wide; 9..18 shares one column of ten with it: IoU 10 / 190.
void TestSidesCountBothBorders() {
  Result<std::vector<Detection>> found = PostProcess(
      Parsed({{0, 0, 9, 9, 0.9F, 0}, {9, 0, 18, 9, 0.8F, 0}}, 0), kIdentity, MetaOf(true, 0));
  CHECK(std::abs(found.value()[1].score - 0.8 * std::exp(-1.0 / 19 / 19 / 0.5)) < 1e-6);
}

void TestBoxesAndPointsComeBackToTheImage() {
  Meta meta = MetaOf(false, 2);
  meta.down_ratio = 4;
  Result<std::vector<Detection>> found =
      PostProcess(Parsed({{1, 2, 3, 4, 0.25F, 0, 5, 6, 0.5F, 7, 8, 0.75F}}, 2),
                  ImageMeta{7, {2, 0, 8, 0, 2, -4}, 640, 480}, meta);
  const Detection& box = found.value()[0];
  CHECK(box.x1 == -2 && box.y1 == 6 && box.x2 == 2 && box.y2 == 10);
  CHECK(box.points == (std::vector<float>{6, 14, 0.5F, 10, 18, 0.75F}));
}

void TestBoxesEndAtTheImagesBorderIfThatIsSaid() {
  Meta meta = MetaOf(false, 1);
  meta.clip_boxes = true;
  Result<std::vector<Detection>> found =
      PostProcess(Parsed({{-3, 5, 641, 480.5F, 0.5F, 0, -3, 500, 0.5F}}, 1), kIdentity, meta);
  const Detection& box = found.value()[0];
  CHECK(box.x1 == 0 && box.y1 == 5 && box.x2 == 640 && box.y2 == 480);
  CHECK(box.points == (std::vector<float>{-3, 500, 0.5F}));
}

// Sides of 9 pixels, 3 of them in common: IoU 27 / 135. A lone box below 0.001 is dropped.
void TestSoftNmsAsMmcvHasIt() {
  Meta meta = MetaOf(true, 0);
  meta.soft_nms_form = SoftNmsForm::kMmcv;
  const std::vector<std::vector<float>> rows = {
      {0, 0, 9, 9, 0.9F, 0}, {6, 0, 15, 9, 0.8F, 0}, {50, 50, 60, 60, 0.0009F, 0}};
  Result<std::vector<Detection>> found = PostProcess(Parsed(rows, 0), kIdentity, meta);
  CHECK_EQ(found.value().size(), 2U);
  CHECK(std::abs(found.value()[1].score - 0.8 * std::exp(-0.04 / 0.5)) < 1e-6);
  found = PostProcess(Parsed({rows[2]}, 0), kIdentity, meta);
  CHECK_EQ(found.value().size(), 1U);
}

// One reaches out, one lies outside, one is without a pair.
void TestPairsThatAreNone() {
  Meta meta = MetaOf(false, 0);
  meta.pairs = true;
  Result<std::vector<Detection>> found = PostProcess(
      Parsed({{-3, -4, 5, 6, 0.5F, 1}, {-9, 0, -1, 5, 0.9F, 1}, {0, 0, 5, 5, -1, 0}}, 0), kIdentity,
      meta);
  CHECK_EQ(found.value().size(), 1U);
  const Detection& box = found.value()[0];
  CHECK(box.x1 == 0 && box.y1 == 0 && box.x2 == 5 && box.y2 == 6);
}

void TestTheBestAreKept() {
  for (const bool soft_nms : {true, false}) {
    Meta meta = MetaOf(soft_nms, 0);
    meta.kept = 2;
    Result<std::vector<Detection>> found = PostProcess(
        Parsed({{0, 0, 1, 1, 0.2F, 0}, {0, 0, 1, 1, 0.4F, 1}, {0, 0, 1, 1, 0.3F, 2}}, 0), kIdentity,
        meta);
    CHECK_EQ(found.value().size(), 2U);
    CHECK(found.value()[0].label == 1.0F && found.value()[1].label == 2.0F);
  }
}

void TestEqualScoresKeepTheirOrder() {
  Result<std::vector<Detection>> found =
      PostProcess(Parsed({{0, 0, 1, 1, 0.5F, 2}, {0, 0, 1, 1, 0.5F, 1}, {0, 0, 1, 1, 0.9F, 0}}, 0),
                  kIdentity, MetaOf(false, 0));
  CHECK_EQ(found.value()[0].label, 0.0F);
  CHECK_EQ(found.value()[1].label, 2.0F);
}

void TestRowsWithoutAnObjectAreLeftOut() {
  for (const bool soft_nms : {false, true}) {
    Result<std::vector<Detection>> found =
        PostProcess(Parsed({{0, 0, 1, 1, 0.5F, 2}, {3, 3, 1, 1, -1, 1}, {0, 0, 1, 1, 0, 0}}, 0),
                    kIdentity, MetaOf(soft_nms, 0));
    CHECK_EQ(found.value().size(), 2U);
    CHECK_EQ(found.value()[1].score, 0.0F);
  }
}

void TestDetectionsOfAnotherModelAreRefused() {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinite = std::numeric_limits<float>::infinity();
  const std::vector<float> good = {0, 0, 1, 1, 0.5F, 1, 2, 3, 0.5F};
  CHECK(PostProcess(Parsed({good}, 1), kIdentity, MetaOf(true, 1)).ok());
  const std::pair<size_t, float> faults[] = {{0, infinite}, {2, nan}, {4, nan},      {5, 5},
                                             {5, -1},       {6, nan}, {7, infinite}, {8, nan}};
  for (const auto& [column, value] : faults) {
    std::vector<float> row = good;
    row[column] = value;
    CHECK(!PostProcess(Parsed({good, row}, 1), kIdentity, MetaOf(true, 1)).ok());
  }
  // Found by the fuzzer: each finite, their distance not.
  CHECK(!PostProcess(Parsed({{-3e38F, 0, 3e38F, 1, 0.5F, 1}}, 0), kIdentity, MetaOf(true, 0)).ok());
}

void TestCocoEntries() {
  std::string json;
  Meta meta = MetaOf(false, 1);
  meta.category_ids = {std::nullopt, -44, 3};
  meta.has_points = {true, true, false};
  AppendCocoEntries(Parsed({{1, 2, 4, 8.5F, 0.5F, 1, 5, -0.25F, 0.75F},
                            {0, 0, 1, 1, 0.25F, 0, 0, 0, 0},
                            {0, 0, 1, 1, 0.125F, 2, 0, 0, 0}},
                           1),
                    7, meta, &json);
  // The score of a point is left out, and the points of a class that has none.
  CHECK_EQ(json,
           ",\n{\"image_id\": 7, \"category_id\": -44, \"bbox\": [1, 2, 3, 6.5], \"score\": 0.5, "
           "\"keypoints\": [5, -0.25, 1]}"
           ",\n{\"image_id\": 7, \"category_id\": 3, \"bbox\": [0, 0, 1, 1], \"score\": 0.125}");
  json.clear();
  AppendCocoEntries(Parsed({{0, 0, 1, 1, 0.1F, 0}}, 0), 7, MetaOf(false, 0), &json);
  CHECK_EQ(json,
           ",\n{\"image_id\": 7, \"category_id\": 1, \"bbox\": [0, 0, 1, 1], "
           "\"score\": 0.10000000149011612}");
}

}  // namespace
}  // namespace centernet

int main() {
  centernet::TestSoftNmsByHand();
  centernet::TestSidesCountBothBorders();
  centernet::TestBoxesAndPointsComeBackToTheImage();
  centernet::TestBoxesEndAtTheImagesBorderIfThatIsSaid();
  centernet::TestSoftNmsAsMmcvHasIt();
  centernet::TestPairsThatAreNone();
  centernet::TestTheBestAreKept();
  centernet::TestEqualScoresKeepTheirOrder();
  centernet::TestRowsWithoutAnObjectAreLeftOut();
  centernet::TestDetectionsOfAnotherModelAreRefused();
  centernet::TestCocoEntries();
}
