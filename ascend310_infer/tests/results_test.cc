// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/results.h"

#include <cstring>

#include "tests/check.h"

namespace centernet {
namespace {

void TestResultFile() {
  const TestFolder folder;
  Meta meta{};
  meta.down_ratio = 1;
  meta.rows = 1;
  meta.kept = 1;
  meta.category_ids = {3};
  meta.has_points = {false};
  meta.images = {{"a", {1, {1, 0, 0, 0, 1, 0}, 9, 9}}, {"b", {2, {1, 0, 0, 0, 1, 0}, 9, 9}}};
  const float row[] = {0, 0, 4, 4, 0.5F, 0};
  std::vector<char> bytes(sizeof(row));
  std::memcpy(bytes.data(), row, sizeof(row));

  ResultWriter writer("", folder / "r.json", &meta);
  std::string json;
  CHECK(writer.ToJson({"in/a.bin", "a"}, std::nullopt, bytes, &json).ok());
  CHECK(writer.AppendJson(json).ok());
  // The affine of the reader goes before that of the meta file.
  CHECK(writer.ToJson({"in/b.bin", "b"}, Affine{2, 0, 0, 0, 2, 0}, bytes, &json).ok());
  CHECK(writer.AppendJson(json).ok());
  const Status unknown = writer.ToJson({"in/c.bin", "c"}, std::nullopt, bytes, &json);
  CHECK_HAS(unknown.message(), "in/c.bin: --meta_path does not name c; ");
  CHECK(!std::filesystem::exists(folder / "r.json"));
  CHECK(writer.Finish().ok());
  CHECK_EQ(folder.Read("r.json"),
           "[\n{\"image_id\": 1, \"category_id\": 3, \"bbox\": [0, 0, 4, 4], \"score\": 0.5},\n"
           "{\"image_id\": 2, \"category_id\": 3, \"bbox\": [0, 0, 2, 2], \"score\": 0.5}\n]\n");
}

void TestNoEntriesAreAnEmptyList() {
  const TestFolder folder;
  const Meta meta{};
  ResultWriter writer("", folder / "r.json", &meta);
  CHECK(writer.Finish().ok());
  CHECK_EQ(folder.Read("r.json"), "[]\n");
}

void TestBinFiles() {
  const TestFolder folder;
  const ResultWriter writer(folder / "", "", nullptr);
  CHECK(writer.WriteFiles({"in/a.jpg", "a"}, {{'x', '\0'}, {'y'}}).ok());
  CHECK_EQ(folder.Read("a_0.bin"), std::string("x\0", 2));
  CHECK_EQ(folder.Read("a_1.bin"), "y");
}

}  // namespace
}  // namespace centernet

int main() {
  centernet::TestResultFile();
  centernet::TestNoEntriesAreAnEmptyList();
  centernet::TestBinFiles();
}
