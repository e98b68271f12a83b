// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/image.h"

#ifdef WITH_OPENCV
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
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

bool HasAt(const std::string& text, size_t place, const std::string& part) {
  return text.compare(std::min(place, text.size()), part.size(), part) == 0;
}

// The formats of FORMATS in src/data/images.py. Anything else is not given to OpenCV, which tries
// many formats, by libraries that may open other files for them.
bool IsOfReadFormat(const std::string& encoded) {
  static const std::vector<std::string> kStarts = {
      "\xFF\xD8\xFF",          "\x89PNG\r\n\x1A\n",     "BM",
      std::string("II*\0", 4), std::string("MM\0*", 4), std::string("\0\0\0\x0CjP  \r\n\x87\n", 12),
      "\xFF\x4F\xFF\x51",
  };
  const bool is_pnm = encoded.size() > 2 && encoded[0] == 'P' && encoded[1] >= '1' &&
                      encoded[1] <= '6' &&
                      std::isspace(static_cast<unsigned char>(encoded[2])) != 0;
  const bool is_webp = HasAt(encoded, 0, "RIFF") && HasAt(encoded, 8, "WEBP");
  return is_pnm || is_webp || std::any_of(kStarts.begin(), kStarts.end(), [&](const auto& start) {
           return HasAt(encoded, 0, start);
         });
}

// Decoders let a JPEG without its end pass, with a grey rest. Files go on after the end-of-image
// marker: cameras write padding, phones a film. Where none is in the last kilobyte, it is looked
// for where a decoder stops, segment by segment; is_truncated_jpeg in src/data/images.py.
bool IsTruncatedJpeg(const std::string& encoded) {
  const size_t last = encoded.size() > 1024 ? encoded.size() - 1024 : 0;
  if (!HasAt(encoded, 0, "\xFF\xD8") || encoded.find("\xFF\xD9", last) != std::string::npos) {
    return false;
  }
  const auto byte = [&encoded](size_t place) {
    return place < encoded.size() ? static_cast<unsigned char>(encoded[place]) : 0U;
  };
  for (size_t place = encoded.find('\xFF', 2); place != std::string::npos;
       place = encoded.find('\xFF', place)) {
    const unsigned marker = byte(++place);
    if (marker == 0xD9) {
      return false;
    }
    // Stuffed, a restart or fill stands among entropy-coded bytes.
    if (marker != 0x00 && marker != 0xFF && (marker < 0xD0 || marker > 0xD7)) {
      ++place;
      place += marker == 0x01 ? 0 : byte(place) << 8U | byte(place + 1);  // TEM has no length.
    }
  }
  return true;
}

uint64_t BigEndian(const std::string& encoded, size_t place, size_t bytes) {
  uint64_t number = 0;
  for (size_t i = place; i < place + bytes; ++i) {
    number = number << 8U | (i < encoded.size() ? static_cast<unsigned char>(encoded[i]) : 0U);
  }
  return number;
}

struct Size {
  uint64_t height;
  uint64_t width;
};

// What the frame header of a JPEG states.
Size JpegSize(const std::string& encoded) {
  for (size_t place = encoded.find('\xFF', 2); place != std::string::npos;
       place = encoded.find('\xFF', place)) {
    const uint64_t marker = BigEndian(encoded, ++place, 1);
    if (marker == 0x00 || marker == 0xFF || (marker >= 0xD0 && marker <= 0xD7)) {
      continue;
    }
    ++place;
    if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC) {
      return {BigEndian(encoded, place + 3, 2), BigEndian(encoded, place + 5, 2)};
    }
    place += marker == 0x01 ? 0 : BigEndian(encoded, place, 2);
  }
  return {0, 0};
}

// What the header states; zero where that is not known.
Size StatedSize(const std::string& encoded) {
  if (HasAt(encoded, 0, "\xFF\xD8")) {
    return JpegSize(encoded);
  }
  if (HasAt(encoded, 0, "\x89PNG")) {
    return {BigEndian(encoded, 20, 4), BigEndian(encoded, 16, 4)};
  }
  if (HasAt(encoded, 0, "BM")) {  // Little-endian; the height may be negative.
    const auto number = [&encoded](size_t place) {
      std::string bytes = encoded.substr(std::min(place, encoded.size()), 4);
      std::reverse(bytes.begin(), bytes.end());
      const auto value = static_cast<int32_t>(BigEndian(bytes, 0, 4));
      return static_cast<uint64_t>(std::abs(static_cast<int64_t>(value)));
    };
    return {number(22), number(18)};
  }
  return {0, 0};
}

// A header may state any size; see _is_possible in src/data/images.py, which knows more formats.
bool IsPossible(const Size& size, const std::string& encoded) {
  constexpr uint64_t kAlwaysBelieved = uint64_t{1} << 26U;
  const uint64_t of_a_byte = HasAt(encoded, 0, "\xFF\xD8") ? 512 : 10'000;
  return size.height * size.width <= std::max(kAlwaysBelieved, of_a_byte * encoded.size());
}

Status TooLarge() {
  return Status::Error("has a side of more than " + std::to_string(kLargestSide) +
                       " pixels; make it smaller or leave it out");
}

// Empty if it is not an image.
cv::Mat Decode(const std::string& encoded) {
  // COCO's boxes are in stored pixels: an EXIF rotation is not applied.
  constexpr int kFlags = cv::IMREAD_COLOR | cv::IMREAD_IGNORE_ORIENTATION;
  try {
    // Of unsigned bytes, which WebP asks for.
    const cv::_InputArray bytes(reinterpret_cast<const unsigned char*>(encoded.data()),
                                static_cast<int>(encoded.size()));
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
  if (!IsOfReadFormat(encoded)) {
    return Status::Error(
        "is no JPEG, PNG, BMP, WebP, TIFF, JPEG 2000 or PNM; convert it or leave it out");
  }
  const Size stated = StatedSize(encoded);
  if (std::max(stated.height, stated.width) > kLargestSide) {
    return TooLarge();
  }
  if (!IsPossible(stated, encoded)) {
    return Status::Error("states " + std::to_string(stated.width) + "x" +
                         std::to_string(stated.height) + " pixels, which its " +
                         std::to_string(encoded.size()) +
                         " bytes cannot hold; restore it or leave it out");
  }
  const cv::Mat image = Decode(encoded);
  if (image.empty() || IsTruncatedJpeg(encoded)) {
    return Status::Error("does not decode; restore it or leave it out");
  }
  if (std::max(image.rows, image.cols) > kLargestSide) {
    return TooLarge();
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
