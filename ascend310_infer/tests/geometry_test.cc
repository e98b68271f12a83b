// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/geometry.h"

#include <cmath>

#include "tests/check.h"

namespace centernet {
namespace {

void CheckAffine(const Affine& found, const Affine& expected, double tolerance = 0.0) {
  for (size_t i = 0; i < found.size(); ++i) {
    CHECK(std::abs(found[i] - expected[i]) <= tolerance);
  }
}

void TestCentred() {
  CheckAffine(FixedResolution(480, 640, 512, 512, Placement::kCentred), {0.8, 0, 0, 0, 0.8, 64},
              1e-12);
  // The longer side of the image is fitted into the shorter one of the input, as CenterNet does.
  CheckAffine(FixedResolution(8, 8, 16, 32, Placement::kCentred), {2, 0, 8, 0, 2, 0});
}

void TestCorner() {
  CheckAffine(FixedResolution(480, 640, 240, 640, Placement::kCorner), {0.5, 0, 0, 0, 0.5, 0});
  // Sides of 1.5 and 2.5 pixels become 2, the even one; there is at least one pixel.
  CheckAffine(FixedResolution(3, 10, 5, 5, Placement::kCorner), {0.5, 0, 0, 0, 2.0 / 3, 0});
  CheckAffine(FixedResolution(5, 10, 5, 5, Placement::kCorner), {0.5, 0, 0, 0, 2.0 / 5, 0});
  CheckAffine(FixedResolution(1, 1000, 5, 5, Placement::kCorner), {5.0 / 1000, 0, 0, 0, 1, 0});
}

void TestInverse() {
  CheckAffine(Inverted({2, 0, 8, 0, 4, -4}), {0.5, 0, -4, 0, 0.25, 1});
  CheckAffine(Inverted({0, -1, 3, 1, 0, 5}), {0, 1, -5, -1, 0, 3});
  CHECK(HasInverse({1e-150, 0, 0, 0, 1e-150, 0}));
  CHECK(!HasInverse({1e-200, 0, 0, 0, 1e-200, 0}));
  CHECK(!HasInverse({1, 2, 0, 2, 4, 0}));
}

}  // namespace
}  // namespace centernet

int main() {
  centernet::TestCentred();
  centernet::TestCorner();
  centernet::TestInverse();
}
