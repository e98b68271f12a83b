// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/image_header.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <vector>

namespace centernet {
namespace {

enum class Order { kBig, kLittle };

bool HasAt(const std::string& encoded, size_t place, const std::string& part) {
  return encoded.compare(std::min(place, encoded.size()), part.size(), part) == 0;
}

// The number in some bytes, of which those behind the end count as zeros.
uint64_t NumberAt(const std::string& encoded, size_t place, size_t bytes, Order order) {
  uint64_t number = 0;
  for (size_t i = 0; i < bytes; ++i) {
    const size_t at = place + (order == Order::kBig ? i : bytes - 1 - i);
    number = number << 8U | (at < encoded.size() ? static_cast<unsigned char>(encoded[at]) : 0U);
  }
  return number;
}

bool IsTiff(const std::string& encoded) {
  return HasAt(encoded, 0, std::string("II*\0", 4)) || HasAt(encoded, 0, std::string("MM\0*", 4));
}

bool IsWebp(const std::string& encoded) {
  return HasAt(encoded, 0, "RIFF") && HasAt(encoded, 8, "WEBP");
}

bool IsPnm(const std::string& encoded) {
  return encoded.size() > 2 && encoded[0] == 'P' && encoded[1] >= '1' && encoded[1] <= '6' &&
         std::isspace(static_cast<unsigned char>(encoded[2])) != 0;
}

// Of a file whose boxes hold the codestream, and of a bare one.
bool IsJp2(const std::string& encoded) {
  return HasAt(encoded, 0, std::string("\0\0\0\x0CjP  \r\n\x87\n", 12));
}

bool IsCodestream(const std::string& encoded, size_t place) {
  return HasAt(encoded, place, "\xFF\x4F\xFF\x51");
}

// FORMATS in src/data/images.py. Anything else is not given to OpenCV, which tries many formats,
// by libraries that may open other files for them.
bool IsOfReadFormat(const std::string& encoded) {
  return HasAt(encoded, 0, "\xFF\xD8\xFF") || HasAt(encoded, 0, "\x89PNG\r\n\x1A\n") ||
         HasAt(encoded, 0, "BM") || IsWebp(encoded) || IsTiff(encoded) || IsJp2(encoded) ||
         IsCodestream(encoded, 0) || IsPnm(encoded);
}

// What the frame header states.
ImageSize JpegSize(const std::string& encoded) {
  for (size_t place = encoded.find('\xFF', 2); place != std::string::npos;
       place = encoded.find('\xFF', place)) {
    const uint64_t marker = NumberAt(encoded, ++place, 1, Order::kBig);
    if (marker == 0x00 || marker == 0xFF || (marker >= 0xD0 && marker <= 0xD7)) {
      continue;
    }
    ++place;
    if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC) {
      return {NumberAt(encoded, place + 3, 2, Order::kBig),
              NumberAt(encoded, place + 5, 2, Order::kBig)};
    }
    place += marker == 0x01 ? 0 : NumberAt(encoded, place, 2, Order::kBig);
  }
  return {0, 0};
}

ImageSize BmpSize(const std::string& encoded) {
  constexpr uint64_t kCoreHeader = 12;  // OS/2's
  if (NumberAt(encoded, 14, 4, Order::kLittle) == kCoreHeader) {
    return {NumberAt(encoded, 20, 2, Order::kLittle), NumberAt(encoded, 18, 2, Order::kLittle)};
  }
  const auto number = [&encoded](size_t place) {  // A negative height is of rows from the top.
    const auto value = static_cast<int32_t>(NumberAt(encoded, place, 4, Order::kLittle));
    return static_cast<uint64_t>(std::abs(static_cast<int64_t>(value)));
  };
  return {number(22), number(18)};
}

// Of one image, or of the canvas of several.
ImageSize WebpSize(const std::string& encoded) {
  constexpr uint64_t kFourteenBits = 0x3FFF;
  const auto number = [&encoded](size_t place, size_t bytes) {
    return NumberAt(encoded, place, bytes, Order::kLittle);
  };
  if (HasAt(encoded, 12, "VP8X")) {
    return {number(27, 3) + 1, number(24, 3) + 1};
  }
  if (HasAt(encoded, 12, "VP8L")) {
    const uint64_t bits = number(21, 4);
    return {(bits >> 14U & kFourteenBits) + 1, (bits & kFourteenBits) + 1};
  }
  if (HasAt(encoded, 12, "VP8 ")) {
    return {number(28, 2) & kFourteenBits, number(26, 2) & kFourteenBits};
  }
  return {0, 0};
}

// The first value of a tag in the first directory, a SHORT or a LONG; none if it is not there,
// zero if it is of another type, which decoders may take.
std::optional<uint64_t> TiffTag(const std::string& encoded, uint64_t tag) {
  const Order order = encoded[0] == 'I' ? Order::kLittle : Order::kBig;
  const auto number = [&](size_t place, size_t bytes) {
    return NumberAt(encoded, place, bytes, order);
  };
  const size_t directory = number(4, 4);
  const size_t entries = number(directory, 2);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    if (entry + 12 > encoded.size()) {
      break;
    }
    if (number(entry, 2) == tag) {
      const uint64_t type = number(entry + 2, 2);
      const size_t bytes = type == 3 ? 2 : 4;
      if (type != 3 && type != 4) {
        return 0;
      }
      const bool is_inside = number(entry + 4, 4) * bytes <= 4;
      return number(is_inside ? entry + 8 : number(entry + 8, 4), bytes);
    }
  }
  return std::nullopt;
}

// Decoders make room for a whole tile.
ImageSize TiffSize(const std::string& encoded) {
  constexpr uint64_t kWidth = 256;
  constexpr uint64_t kHeight = 257;
  constexpr uint64_t kTileWidth = 322;
  constexpr uint64_t kTileHeight = 323;
  const uint64_t height = TiffTag(encoded, kHeight).value_or(0);
  const uint64_t width = TiffTag(encoded, kWidth).value_or(0);
  const uint64_t tile_height = TiffTag(encoded, kTileHeight).value_or(1);
  const uint64_t tile_width = TiffTag(encoded, kTileWidth).value_or(1);
  if (height == 0 || width == 0 || tile_height == 0 || tile_width == 0) {
    return {0, 0};
  }
  return {std::max(height, tile_height), std::max(width, tile_width)};
}

bool IsFloatTiff(const std::string& encoded) {
  constexpr uint64_t kSampleFormat = 339;
  constexpr uint64_t kFloat = 3;
  return IsTiff(encoded) && TiffTag(encoded, kSampleFormat) == kFloat;
}

// Where the codestream begins.
size_t CodestreamPlace(const std::string& encoded) {
  for (size_t place = 0; IsJp2(encoded) && place + 8 <= encoded.size();) {
    uint64_t size = NumberAt(encoded, place, 4, Order::kBig);
    const size_t header = size == 1 ? 16 : 8;
    if (HasAt(encoded, place + 4, "jp2c")) {
      return place + header;
    }
    size = size == 1 ? NumberAt(encoded, place + 8, 8, Order::kBig) : size;
    if (size < header || size > encoded.size() - place) {
      return encoded.size();
    }
    place += size;
  }
  return 0;
}

ImageSize Jpeg2000Size(const std::string& encoded) {
  const size_t place = CodestreamPlace(encoded);
  const auto number = [&](size_t at, size_t bytes) {
    return NumberAt(encoded, place + at, bytes, Order::kBig);
  };
  const uint64_t left = number(16, 4);
  const uint64_t top = number(20, 4);
  constexpr uint64_t kMostComponents = 4;
  if (!IsCodestream(encoded, place) || number(8, 4) < left || number(12, 4) < top ||
      number(40, 2) > kMostComponents) {
    return {0, 0};
  }
  return {number(12, 4) - top, number(8, 4) - left};
}

// Two numbers after the first line's sign, between white space and comments, as OpenCV reads them.
ImageSize PnmSize(const std::string& encoded) {
  constexpr uint64_t kTooMuch = uint64_t{1} << 31U;
  size_t place = 2;
  const auto take = [&]() -> uint64_t {
    while (place < encoded.size() &&
           std::isdigit(static_cast<unsigned char>(encoded[place])) == 0) {
      if (encoded[place] == '#') {
        place = std::min(encoded.find_first_of("\r\n", place), encoded.size());
      } else if (std::isspace(static_cast<unsigned char>(encoded[place])) == 0) {
        return 0;
      } else {
        ++place;
      }
    }
    uint64_t number = 0;
    for (; place < encoded.size() && std::isdigit(static_cast<unsigned char>(encoded[place])) != 0;
         ++place) {
      number = std::min(10 * number + static_cast<uint64_t>(encoded[place] - '0'), kTooMuch);
    }
    return number;
  };
  const uint64_t width = take();
  const uint64_t height = take();
  return {height, width};
}

// A header may state any size: beyond so many pixels it is believed if the file has bytes for them.
bool IsPossible(const ImageSize& size, const std::string& encoded) {
  constexpr uint64_t kAlwaysBelieved = uint64_t{1} << 26U;
  const uint64_t of_a_byte = IsJpeg(encoded) ? 512 : 10'000;
  return size.height * size.width <= std::max(kAlwaysBelieved, of_a_byte * encoded.size());
}

}  // namespace

bool IsJpeg(const std::string& encoded) { return HasAt(encoded, 0, "\xFF\xD8\xFF"); }

ImageSize StatedSize(const std::string& encoded) {
  if (IsJpeg(encoded)) {
    return JpegSize(encoded);
  }
  if (HasAt(encoded, 0, "\x89PNG")) {
    return {NumberAt(encoded, 20, 4, Order::kBig), NumberAt(encoded, 16, 4, Order::kBig)};
  }
  if (HasAt(encoded, 0, "BM")) {
    return BmpSize(encoded);
  }
  if (IsWebp(encoded)) {
    return WebpSize(encoded);
  }
  if (IsTiff(encoded)) {
    return TiffSize(encoded);
  }
  return IsPnm(encoded) ? PnmSize(encoded) : Jpeg2000Size(encoded);
}

Status CheckSides(const ImageSize& size) {
  if (std::max(size.height, size.width) <= kLargestSide) {
    return Status::Ok();
  }
  return Status::Error("has a side of more than " + std::to_string(kLargestSide) +
                       " pixels; make it smaller or leave it out");
}

Status CheckImageHeader(const std::string& encoded) {
  if (!IsOfReadFormat(encoded)) {
    return Status::Error(
        "is no JPEG, PNG, BMP, WebP, TIFF, JPEG 2000 or PNM; convert it or leave it out");
  }
  if (IsFloatTiff(encoded)) {
    return Status::Error(
        "is a TIFF of floating-point numbers, which is not read; convert it to 8 or 16 bits or "
        "leave it out");
  }
  const ImageSize size = StatedSize(encoded);
  if (size.height == 0 || size.width == 0) {
    return Status::Error(
        "does not decode, as its header states no size; restore it or leave it out");
  }
  Status status = CheckSides(size);
  if (status.ok() && !IsPossible(size, encoded)) {
    return Status::Error("states " + std::to_string(size.width) + "x" +
                         std::to_string(size.height) + " pixels, which its " +
                         std::to_string(encoded.size()) +
                         " bytes cannot hold; restore it or leave it out");
  }
  return status;
}

// Files go on after the end-of-image marker: cameras write padding, phones a film. Where none is in
// the last kilobyte, it is looked for where a decoder stops, segment by segment.
bool IsTruncatedJpeg(const std::string& encoded) {
  const size_t last = encoded.size() > 1024 ? encoded.size() - 1024 : 0;
  if (!IsJpeg(encoded) || encoded.find("\xFF\xD9", last) != std::string::npos) {
    return false;
  }
  for (size_t place = encoded.find('\xFF', 2); place != std::string::npos;
       place = encoded.find('\xFF', place)) {
    const uint64_t marker = NumberAt(encoded, ++place, 1, Order::kBig);
    if (marker == 0xD9) {
      return false;
    }
    // Stuffed, a restart or fill stands among entropy-coded bytes.
    if (marker != 0x00 && marker != 0xFF && (marker < 0xD0 || marker > 0xD7)) {
      ++place;  // TEM has no length.
      place += marker == 0x01 ? 0 : NumberAt(encoded, place, 2, Order::kBig);
    }
  }
  return true;
}

}  // namespace centernet
