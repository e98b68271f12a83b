// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_TESTS_CHECK_H_
#define ASCEND310_INFER_TESTS_CHECK_H_

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

// A check that fails ends its program.
#define CHECK(condition) centernet::Check(condition, #condition, __FILE__, __LINE__)
#define CHECK_EQ(found, expected) centernet::CheckEqual(found, expected, #found, __FILE__, __LINE__)
// That text holds what is expected in it.
#define CHECK_HAS(text, part) centernet::CheckHas(text, part, __FILE__, __LINE__)

namespace centernet {

inline void Check(bool good, const char* condition, const char* file, int line) {
  if (!good) {
    std::cerr << file << ":" << line << ": not so: " << condition << std::endl;
    std::exit(1);
  }
}

template <typename Found, typename Expected>
void CheckEqual(const Found& found, const Expected& expected, const char* what, const char* file,
                int line) {
  if (!(found == expected)) {
    std::cerr << file << ":" << line << ": " << what << " is " << found << ", not " << expected
              << std::endl;
    std::exit(1);
  }
}

inline void CheckHas(const std::string& text, const std::string& part, const char* file, int line) {
  if (text.find(part) == std::string::npos) {
    std::cerr << file << ":" << line << ": no \"" << part << "\" in: " << text << std::endl;
    std::exit(1);
  }
}

// An empty folder that is gone with this.
class TestFolder {
 public:
  TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "test.XXXXXX").string();
    Check(mkdtemp(name.data()) != nullptr, "a temporary folder", __FILE__, __LINE__);
    path_ = name;
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

  void Write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(path_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

 private:
  std::filesystem::path path_;
};

}  // namespace centernet

#endif  // ASCEND310_INFER_TESTS_CHECK_H_
