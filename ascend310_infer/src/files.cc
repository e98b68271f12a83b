// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
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
  if (descriptor.value() < 0 || fstat(descriptor.value(), &status) != 0) {
    return ReadError(file);
  }
  if (!S_ISREG(status.st_mode)) {
    return Status::Error(Shown(file) +
                         ": is a folder, a pipe or a device instead of a file; "
                         "leave it out");
  }
  *bytes = static_cast<size_t>(status.st_size);
  return Status::Ok();
}

// O_NONBLOCK: opening a pipe that nobody writes would wait for ever.
int OpenToRead(const std::string& file) {
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

}  // namespace

std::string JoinPath(const std::string& folder, const std::string& name) {
  return folder.back() == '/' ? folder + name : folder + "/" + name;
}

std::string Shown(const std::string& path) {
  std::string text;
  for (const char letter : path) {
    if (static_cast<unsigned char>(letter) >= 0x20 && letter != 0x7F) {
      text += letter;
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\x%02x", static_cast<unsigned char>(letter));
      text += escaped;
    }
  }
  return text;
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
      beside_(path_ + "." + std::to_string(getpid()) + ".tmp"),
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
