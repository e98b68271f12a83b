// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/image_header.h"

#include "tests/check.h"

namespace centernet {
namespace {

// The start of a PNG of a size.
std::string Png(uint32_t height, uint32_t width, size_t bytes) {
  std::string encoded("\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR", 16);
  for (const uint32_t side : {width, height}) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      encoded += static_cast<char>(side >> static_cast<unsigned>(shift));
    }
  }
  encoded.resize(bytes, '\0');
  return encoded;
}

void TestStatedSizes() {
  const ImageSize png = StatedSize(Png(40, 60, 100));
  CHECK_EQ(png.height, 40U);
  CHECK_EQ(png.width, 60U);
  const ImageSize pnm = StatedSize("P6 # of 9 9\n60\n40 255\n");
  CHECK_EQ(pnm.height, 40U);
  CHECK_EQ(pnm.width, 60U);
  const ImageSize jpeg = StatedSize(
      std::string("\xFF\xD8\xFF\xE0\0\x04\0\0\xFF\xC0\0\x0B\x08\0\x28\0\x3C\x01\x01\x11\0", 21));
  CHECK_EQ(jpeg.height, 40U);
  CHECK_EQ(jpeg.width, 60U);
  CHECK_EQ(StatedSize("no image").height, 0U);
}

void TestHeadersThatLie() {
  CHECK(CheckImageHeader(Png(40, 60, 100)).ok());
  CHECK_HAS(CheckImageHeader(Png(20000, 20000, 100)).message(), "states 20000x20000 pixels");
  CHECK(CheckImageHeader(Png(20000, 20000, 50'000)).ok());
  CHECK_HAS(CheckImageHeader(Png(9, 32767, 100)).message(), "more than 32766 pixels");
  CHECK_HAS(CheckImageHeader("no image").message(), "is no JPEG, PNG");
  CHECK(CheckSides({kLargestSide, 1}).ok());
  CHECK(!CheckSides({1, kLargestSide + 1}).ok());
}

void TestTruncatedJpegs() {
  const std::string whole = "\xFF\xD8\xFF\xDA data \xFF\xD9";
  CHECK(IsJpeg(whole) && !IsJpeg("P6 1 1 255\n"));
  CHECK(!IsTruncatedJpeg(whole));
  CHECK(IsTruncatedJpeg(whole.substr(0, whole.size() - 2)));
  CHECK(!IsTruncatedJpeg(Png(40, 60, 30)));
}

}  // namespace
}  // namespace centernet

int main() {
  centernet::TestStatedSizes();
  centernet::TestHeadersThatLie();
  centernet::TestTruncatedJpegs();
}
