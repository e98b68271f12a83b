// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/image.h"

#ifdef WITH_OPENCV
#include <csetjmp>
#include <cstdio>  // before jpeglib.h, which uses it
#include <cstdlib>
#include <new>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "inc/image_header.h"
#include "inc/resize.h"
#include "jpeglib.h"
#endif

namespace centernet {

#ifdef WITH_OPENCV

namespace {

// A decoder of libjpeg-turbo that ends at an error and, other than in OpenCV, at the first warning.
struct JpegDecoder {
  JpegDecoder() = default;
  ~JpegDecoder() { jpeg_destroy_decompress(&jpeg); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  // NOLINTBEGIN(misc-non-private-member-variables-in-classes)
  jpeg_decompress_struct jpeg{};
  jpeg_error_mgr errors{};
  std::jmp_buf end{};
  char message[JMSG_LENGTH_MAX] = "";
  // NOLINTEND(misc-non-private-member-variables-in-classes)
};

void EndJpeg(j_common_ptr jpeg) {
  auto* decoder = static_cast<JpegDecoder*>(jpeg->client_data);
  jpeg->err->format_message(jpeg, decoder->message);
  // Through C, which no exception may pass.
  std::longjmp(decoder->end, 1);  // NOLINT(modernize-avoid-setjmp-longjmp)
}

void HearMessage(j_common_ptr jpeg, int level) {
  if (level < 0) {  // Others only tell what it does.
    EndJpeg(jpeg);
  }
}

// Decodes a JPEG to the pixels that OpenCV makes of it. Gives what libjpeg-turbo says if it is
// damaged, else nothing. *image is empty where OpenCV is to decode it: then, and if it is CMYK.
std::string DecodeJpeg(const std::string& encoded, cv::Mat* image) {
  JpegDecoder decoder;
  jpeg_decompress_struct& jpeg = decoder.jpeg;
  jpeg.err = jpeg_std_error(&decoder.errors);
  jpeg.err->error_exit = EndJpeg;
  jpeg.err->emit_message = HearMessage;
  jpeg.client_data = &decoder;
  // What is made below has no destructor, which longjmp would leave out.
  if (setjmp(decoder.end) != 0) {  // NOLINT(modernize-avoid-setjmp-longjmp)
    image->release();
    return decoder.message;
  }
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(encoded.data()), encoded.size());
  jpeg_read_header(&jpeg, TRUE);
  jpeg.out_color_space = jpeg.num_components == 4 ? JCS_CMYK : JCS_EXT_BGR;
  jpeg_start_decompress(&jpeg);
  image->create(static_cast<int>(jpeg.output_height), static_cast<int>(jpeg.output_width),
                CV_8UC(jpeg.output_components));
  while (jpeg.output_scanline < jpeg.output_height) {
    unsigned char* row = image->ptr(static_cast<int>(jpeg.output_scanline));
    jpeg_read_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_decompress(&jpeg);
  if (jpeg.out_color_space == JCS_CMYK) {
    image->release();
  }
  return "";
}

bool StartsWith(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

// What is wrong with the pixels of a JPEG by the message of its decoder; empty if nothing is: some
// encoders write a few bytes before a marker. As _refuse_damaged in src/data/images.py.
std::string Damage(const std::string& message) {
  constexpr int kStrayBytes = 16;
  const std::string corrupt = "Corrupt JPEG data: ";
  if (!StartsWith(message, corrupt)) {
    return StartsWith(message, "Premature end") ? message : "";
  }
  const std::string what = message.substr(corrupt.size());
  const bool is_stray = what.find(" extraneous bytes") != std::string::npos;
  return is_stray && std::strtol(what.c_str(), nullptr, 10) <= kStrayBytes ? "" : what;
}

// Throws std::bad_alloc if memory cannot hold it. REQUIRES: CheckImageHeader(encoded).ok().
Status Decode(const std::string& encoded, bool take_damaged, cv::Mat* image) {
  // COCO's boxes are in stored pixels: an EXIF rotation is not applied.
  constexpr int kFlags = cv::IMREAD_COLOR | cv::IMREAD_IGNORE_ORIENTATION;
  try {
    const std::string damage = IsJpeg(encoded) ? Damage(DecodeJpeg(encoded, image)) : "";
    if (!take_damaged && (!damage.empty() || IsTruncatedJpeg(encoded))) {
      return Status::Error("is damaged (" + (damage.empty() ? "it is cut off" : damage) +
                           "; preprocess.py's dataset_config.take_damaged_jpegs takes it as it "
                           "decodes); restore it or leave it out");
    }
    if (image->empty()) {
      // Of unsigned bytes, which WebP asks for.
      const cv::_InputArray bytes(reinterpret_cast<const unsigned char*>(encoded.data()),
                                  static_cast<int>(encoded.size()));
      *image = cv::imdecode(bytes, kFlags);
    }
  } catch (const cv::Exception& error) {  // a header that states more pixels than OpenCV takes
    if (error.code == cv::Error::StsNoMem) {
      throw std::bad_alloc();
    }
    image->release();
  }
  return image->empty() ? Status::Error("does not decode; restore it or leave it out")
                        : Status::Ok();
}

}  // namespace

bool CanReadImages() { return true; }

void UseNoFurtherThreads() { cv::setNumThreads(1); }

Status DecodeAndWarp(const std::string& encoded, const Warp& warp, uint8_t* pixels,
                     Affine* affine) {
  cv::Mat image;
  Status status = CheckImageHeader(encoded);
  if (status.ok()) {
    status = Decode(encoded, warp.take_damaged_jpegs, &image);
  }
  if (status.ok()) {
    status = CheckSides({static_cast<uint64_t>(image.rows), static_cast<uint64_t>(image.cols)});
  }
  if (!status.ok()) {
    return status;
  }
  const int height = warp.input_height;
  const int width = warp.input_width;
  *affine = FixedResolution(image.rows, image.cols, height, width, warp.placement);
  if (warp.placement != Placement::kCentred) {
    ResizeInCorner(image.data, image.rows, image.cols, *affine,
                   warp.placement == Placement::kCornerHalfPixel, warp.border, height, width,
                   pixels);
    return Status::Ok();
  }
  cv::Mat warped;
  cv::warpAffine(image, warped, cv::Mat(2, 3, CV_64F, affine->data()), cv::Size(width, height),
                 cv::INTER_LINEAR, cv::BORDER_CONSTANT,
                 cv::Scalar(warp.border[0], warp.border[1], warp.border[2]));
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

Status DecodeAndWarp(const std::string& /*encoded*/, const Warp& /*warp*/, uint8_t* /*pixels*/,
                     Affine* /*affine*/) {
  return Status::Error("this program was built without OpenCV");
}

#endif

}  // namespace centernet
