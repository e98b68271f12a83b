// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/image.h"

#ifdef WITH_OPENCV
#include <algorithm>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>
#endif

namespace centernet {

#ifdef WITH_OPENCV

namespace {

// cv::warpAffine takes no image with a side of SHRT_MAX (32,767) pixels or more.
constexpr int kLargestSide = 32766;

bool StartsWith(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

// Anything else is not given to OpenCV, which tries many formats, by libraries that may open other
// files for them.
bool IsJpegOrPng(const std::string& encoded) {
  return StartsWith(encoded, "\xFF\xD8\xFF") || StartsWith(encoded, "\x89PNG\r\n\x1A\n");
}

// Decoders let a JPEG without its end pass, with a grey rest. Some cameras write padding after the
// end-of-image marker: it may stand in the last kilobyte.
bool IsTruncatedJpeg(const std::string& encoded) {
  if (!StartsWith(encoded, "\xFF\xD8")) {
    return false;
  }
  const size_t start = encoded.size() > 1024 ? encoded.size() - 1024 : 0;
  return encoded.find("\xFF\xD9", start) == std::string::npos;
}

// Empty if it is not an image.
cv::Mat Decode(const std::string& encoded) {
  // COCO's boxes are in stored pixels: an EXIF rotation is not applied.
  constexpr int kFlags = cv::IMREAD_COLOR | cv::IMREAD_IGNORE_ORIENTATION;
  try {
    const cv::_InputArray bytes(encoded.data(), static_cast<int>(encoded.size()));
    return cv::imdecode(bytes, kFlags);
  } catch (const cv::Exception&) {  // a header that states more pixels than OpenCV takes
    return {};
  }
}

}  // namespace

bool CanReadImages() { return true; }

void UseNoFurtherThreads() { cv::setNumThreads(1); }

Status DecodeAndWarp(const std::string& encoded, int height, int width, uint8_t* pixels,
                     Affine* affine) {
  if (!IsJpegOrPng(encoded)) {
    return Status::Error("is neither a JPEG nor a PNG; leave it out");
  }
  const cv::Mat image = Decode(encoded);
  if (image.empty() || IsTruncatedJpeg(encoded)) {
    return Status::Error("does not decode; restore it or leave it out");
  }
  if (std::max(image.rows, image.cols) > kLargestSide) {
    return Status::Error("has a side of more than " + std::to_string(kLargestSide) +
                         " pixels; make it smaller or leave it out");
  }
  *affine = FixedResolution(image.rows, image.cols, height, width);
  cv::Mat warped;
  cv::warpAffine(image, warped, cv::Mat(2, 3, CV_64F, affine->data()), cv::Size(width, height));
  const size_t plane = static_cast<size_t>(height) * static_cast<size_t>(width);
  std::vector<cv::Mat> planes = {{height, width, CV_8U, pixels},
                                 {height, width, CV_8U, pixels + plane},
                                 {height, width, CV_8U, pixels + 2 * plane}};
  cv::split(warped, planes);  // Into the given memory, as size and type fit.
  return Status::Ok();
}

#else

bool CanReadImages() { return false; }

void UseNoFurtherThreads() {}

Status DecodeAndWarp(const std::string& /*encoded*/, int /*height*/, int /*width*/,
                     uint8_t* /*pixels*/, Affine* /*affine*/) {
  return Status::Error("this program was built without OpenCV");
}

#endif

}  // namespace centernet
