// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <utility>

namespace centernet {
namespace {

// Closes a descriptor at the end of its scope.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) {
      close(value_);
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int value() const { return value_; }

 private:
  const int value_;
};

Status ReadError(const std::string& file) {
  return Status::Error(Shown(file) + ": cannot be read (" + std::strerror(errno) +
                       "); check the path and its permissions");
}

// Sets *bytes to the size of an opened file. Fails if it is no regular file.
Status RegularSize(const Descriptor& descriptor, const std::string& file, size_t* bytes) {
  struct stat status{};
  const bool is_open = descriptor.value() >= 0;
  const int code = is_open ? fstat(descriptor.value(), &status) : stat(file.c_str(), &status);
  if (code == 0 && !S_ISREG(status.st_mode)) {
    return Status::Error(Shown(file) +
                         ": is a folder, a pipe, a socket or a device instead of a file; "
                         "leave it out");
  }
  if (code != 0 || !is_open) {
    return ReadError(file);
  }
  *bytes = static_cast<size_t>(status.st_size);
  return Status::Ok();
}

// Devices may act when they are opened. O_NONBLOCK, if it has become a pipe meanwhile: opening one
// that nobody writes would wait for ever.
int OpenToRead(const std::string& file) {
  struct stat status{};
  if (stat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return -1;
  }
  return open(file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

Status ReadBytes(const Descriptor& descriptor, const std::string& file, size_t bytes, char* data) {
  while (bytes > 0) {
    const ssize_t got = read(descriptor.value(), data, bytes);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return ReadError(file);
    }
    if (got == 0) {
      return Status::Error(Shown(file) + ": became shorter while it was read; write it again");
    }
    data += got;
    bytes -= static_cast<size_t>(got);
  }
  return Status::Ok();
}

// The code point of the UTF-8 sequence at a place, and its bytes; none if it is not UTF-8.
std::pair<uint32_t, size_t> CodePointAt(const std::string& text, size_t place) {
  const auto first = static_cast<unsigned char>(text[place]);
  size_t bytes = 1;
  for (const unsigned least : {0x80U, 0xE0U, 0xF0U}) {
    bytes += first >= least ? 1 : 0;
  }
  if ((first >= 0x80 && first < 0xC2) || first > 0xF4 || place + bytes > text.size()) {
    return {0, 0};
  }
  uint32_t code = bytes == 1 ? first : first & (0x7FU >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[place + i]);
    if ((next & 0xC0U) != 0x80) {
      return {0, 0};
    }
    code = code << 6U | (next & 0x3FU);
  }
  constexpr uint32_t kFirst[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_good =
      code >= kFirst[bytes] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
  return is_good ? std::pair(code, bytes) : std::pair(0U, size_t{0});
}

// What terminals obey or do not show: controls, marks of direction and width, private characters.
bool IsHidden(uint32_t code) {
  static constexpr std::pair<uint32_t, uint32_t> kHidden[] = {
      {0x00, 0x1F},     {0x7F, 0x9F},     {0xAD, 0xAD},       {0x61C, 0x61C},   {0x180E, 0x180E},
      {0x200B, 0x200F}, {0x2028, 0x202E}, {0x2060, 0x206F},   {0xE000, 0xF8FF}, {0xFEFF, 0xFEFF},
      {0xFFF0, 0xFFFB}, {0xFFFE, 0xFFFF}, {0xE0000, 0x10FFFF}};
  return std::any_of(std::begin(kHidden), std::end(kHidden), [code](const auto& range) {
    return range.first <= code && code <= range.second;
  });
}

std::string Escape(uint32_t code) {
  switch (code) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      break;
  }
  const char* format = "\\U%08x";
  if (code < 0x10000) {
    format = code < 0x100 ? "\\x%02x" : "\\u%04x";
  }
  char escape[16];
  std::snprintf(escape, sizeof(escape), format, static_cast<unsigned>(code));
  return escape;
}

constexpr char kPartial[] = ".partial-";

// CRC-32 of the machine's name, as zlib's.
std::string Machine() {
  char name[256] = "";
  gethostname(name, sizeof(name) - 1);
  uint32_t sum = ~0U;
  for (const char* letter = name; *letter != '\0'; ++letter) {
    sum ^= static_cast<unsigned char>(*letter);
    for (int bit = 0; bit < 8; ++bit) {
      sum = sum >> 1U ^ ((sum & 1U) != 0 ? 0xEDB88320U : 0U);
    }
  }
  char text[16];
  std::snprintf(text, sizeof(text), "%08x", static_cast<unsigned>(~sum));
  return text;
}

// Machine, id and start of a process, in clock ticks; the last is 0 of one that is gone.
std::string Maker(const std::string& process) {
  std::ifstream file("/proc/" + process + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string state;
  std::string start = "0";
  fields >> state;
  const bool is_gone = state.empty() || state == "Z" || state == "X";
  for (int i = 0; i < 19 && !is_gone; ++i) {
    fields >> start;
  }
  return Machine() + "-" + process + "-" + start;
}

std::string PartialName() {
  static const std::string maker = Maker(std::to_string(getpid()));
  static std::atomic<uint64_t> count{0};
  return kPartial + maker + "-" + std::to_string(count++);
}

}  // namespace

std::string JoinPath(const std::string& folder, const std::string& name) {
  return folder.back() == '/' ? folder + name : folder + "/" + name;
}

std::string Shown(const std::string& text) {
  std::string shown;
  for (size_t place = 0; place < text.size();) {
    const auto [code, bytes] = CodePointAt(text, place);
    if (bytes == 0) {  // Python has such bytes as halves of surrogates.
      shown += Escape(0xDC00U + static_cast<unsigned char>(text[place]));
    } else {
      shown += IsHidden(code) ? Escape(code) : text.substr(place, bytes);
    }
    place += std::max<size_t>(bytes, 1);
  }
  return shown;
}

std::string Sentence(const std::string& text) {
  constexpr size_t kLongest = 1200;
  constexpr size_t kEnd = kLongest / 3;  // With the remedy.
  std::string shown = Shown(text);
  if (shown.size() <= kLongest) {
    return shown;
  }
  const auto is_inside = [&shown](size_t place) {  // of a character
    return (static_cast<unsigned char>(shown[place]) & 0xC0U) == 0x80;
  };
  size_t begin = kLongest - kEnd - 5;
  size_t end = shown.size() - kEnd;
  while (is_inside(begin)) {
    --begin;
  }
  while (is_inside(end)) {
    ++end;
  }
  return shown.substr(0, begin) + " ... " + shown.substr(end);
}

bool IsFolder(const std::string& path) {
  struct stat status{};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

Result<std::vector<std::string>> ListFolder(const std::string& folder) {
  struct Closer {
    void operator()(DIR* directory) const { closedir(directory); }
  };
  const std::unique_ptr<DIR, Closer> directory(opendir(folder.c_str()));
  if (directory == nullptr) {
    return ReadError(folder);
  }
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") {
      names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

Status CheckReadable(const std::string& file) {
  const Descriptor descriptor(OpenToRead(file));
  size_t size = 0;
  return RegularSize(descriptor, file, &size);
}

Status ReadExactly(const std::string& file, size_t bytes, char* data) {
  const Descriptor descriptor(OpenToRead(file));
  size_t size = 0;
  Status status = RegularSize(descriptor, file, &size);
  if (status.ok() && size != bytes) {
    status = Status::Error(Shown(file) + ": holds " + std::to_string(size) + " bytes instead of " +
                           std::to_string(bytes) +
                           "; run preprocess.py with the config that export.py had");
  }
  return status.ok() ? ReadBytes(descriptor, file, bytes, data) : status;
}

Result<std::string> ReadAll(const std::string& file, size_t limit) {
  const Descriptor descriptor(OpenToRead(file));
  size_t size = 0;
  Status status = RegularSize(descriptor, file, &size);
  if (status.ok() && size > limit) {
    status = Status::Error(Shown(file) + ": is larger than " + std::to_string(limit) +
                           " bytes; leave it out");
  }
  if (!status.ok()) {
    return status;
  }
  std::string text(size, '\0');
  status = ReadBytes(descriptor, file, size, text.data());
  return status.ok() ? Result<std::string>(std::move(text)) : Result<std::string>(status);
}

Status MakeWritableFolder(const std::string& folder) {
  const auto error = [&folder](const char* what) {
    return Status::Error(Shown(folder) + ": " + what + " (" + std::strerror(errno) +
                         "); choose a writable folder");
  };
  for (size_t end = 0; end != std::string::npos;) {
    end = folder.find('/', end + 1);
    if (mkdir(folder.substr(0, end).c_str(), 0777) != 0 && errno != EEXIST) {
      return error("cannot be created");
    }
  }
  // The slash makes sure that it is a folder.
  if (access((folder + "/").c_str(), W_OK | X_OK) != 0) {
    return error("cannot be written to");
  }
  return Status::Ok();
}

std::vector<std::string> ClearLeftOvers(const std::string& folder) {
  const std::string ours = kPartial + Machine() + "-";
  std::vector<std::string> others;
  Result<std::vector<std::string>> names = ListFolder(folder);
  for (const std::string& name : names.ok() ? names.value() : std::vector<std::string>()) {
    const std::string path = JoinPath(folder, name);
    if (name.rfind(kPartial, 0) != 0 || IsFolder(path)) {  // Folders are of the Python side.
      continue;
    }
    const size_t end = name.rfind(ours, 0) == 0 ? name.find('-', ours.size()) : std::string::npos;
    const std::string process =
        end == std::string::npos ? "" : name.substr(ours.size(), end - ours.size());
    if (process.empty() || process.find_first_not_of("0123456789") != std::string::npos) {
      others.push_back(path);
    } else if (name.rfind(kPartial + Maker(process) + "-", 0) != 0) {
      unlink(path.c_str());
    }
  }
  return others;
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, std::max<size_t>(slash, 1));
}

Status CheckReplaceable(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode)) {
    return Status::Ok();
  }
  return Status::Error(Shown(path) + ": is a folder, a pipe, a socket or a device; choose a file");
}

Status CheckFreeSpace(const std::string& folder, uint64_t bytes) {
  struct statvfs status{};
  if (statvfs(folder.c_str(), &status) != 0) {
    return ReadError(folder);
  }
  const uint64_t free = static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
  if (free < bytes) {
    return Status::Error(Shown(folder) + ": the results take " + std::to_string(bytes) +
                         " bytes, but only " + std::to_string(free) +
                         " are free; free some space or choose another folder");
  }
  return Status::Ok();
}

PartialFile::PartialFile(std::string path)
    : path_(std::move(path)),
      beside_(JoinPath(FolderOf(path_), PartialName())),
      descriptor_(open(beside_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {}

PartialFile::~PartialFile() {
  if (descriptor_ >= 0) {
    close(descriptor_);
    unlink(beside_.c_str());
  }
}

Status PartialFile::WriteError() const {
  return Status::Error(Shown(path_) + ": cannot be written (" + std::strerror(errno) +
                       "); free some space or choose a writable folder");
}

Status PartialFile::Append(const char* data, size_t bytes) {
  while (bytes > 0) {
    const ssize_t written = write(descriptor_, data, bytes);
    if (written < 0 && errno != EINTR) {
      return WriteError();
    }
    if (written > 0) {
      data += written;
      bytes -= static_cast<size_t>(written);
    }
  }
  return descriptor_ < 0 ? WriteError() : Status::Ok();
}

Status PartialFile::Finish() {
  if (fsync(descriptor_) != 0 || rename(beside_.c_str(), path_.c_str()) != 0) {
    return WriteError();
  }
  const int descriptor = std::exchange(descriptor_, -1);
  return close(descriptor) == 0 ? Status::Ok() : WriteError();
}

Status WriteFileAtomically(const std::string& file, const char* data, size_t bytes) {
  PartialFile partial(file);
  const Status status = partial.Append(data, bytes);
  return status.ok() ? partial.Finish() : status;
}

}  // namespace centernet
