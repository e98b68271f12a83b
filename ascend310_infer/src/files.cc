// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

namespace centernet {
namespace {

constexpr char kSuffix[] = ".bin";
constexpr size_t kSuffixLength = sizeof(kSuffix) - 1;

bool WriteAll(int descriptor, const char* data, size_t bytes) {
  while (bytes > 0) {
    const ssize_t written = write(descriptor, data, bytes);
    if (written < 0 && errno != EINTR) {
      return false;
    }
    if (written > 0) {
      data += written;
      bytes -= static_cast<size_t>(written);
    }
  }
  return true;
}

Status WriteError(const std::string& path) {
  return Status::Error(path + ": cannot be written (" + std::strerror(errno) +
                       "); free some space or choose a writable folder");
}

}  // namespace

std::string JoinPath(const std::string& folder, const std::string& name) {
  return folder.back() == '/' ? folder + name : folder + "/" + name;
}

Result<std::vector<std::string>> ListBinFiles(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(folder.c_str()), closedir);
  if (directory == nullptr) {
    return Status::Error(folder + ": cannot be listed (" + std::strerror(errno) +
                         "); give the folder that preprocess.py wrote as --input_path");
  }
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string file = entry->d_name;
    if (file.size() > kSuffixLength &&
        file.compare(file.size() - kSuffixLength, kSuffixLength, kSuffix) == 0 &&
        FileSize(JoinPath(folder, file)).ok()) {
      names.push_back(file.substr(0, file.size() - kSuffixLength));
    }
  }
  if (names.empty()) {
    return Status::Error(folder + ": holds no .bin files; write them with preprocess.py first");
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<size_t> FileSize(const std::string& file) {
  struct stat status;
  if (stat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return Status::Error(file + ": no such file");
  }
  return static_cast<size_t>(status.st_size);
}

Result<std::vector<char>> ReadFile(const std::string& file, size_t bytes) {
  std::ifstream stream(file, std::ios::binary);
  std::vector<char> data(bytes);
  if (!stream.read(data.data(), static_cast<std::streamsize>(bytes)) ||
      stream.peek() != std::ifstream::traits_type::eof()) {
    return Status::Error(file + ": cannot be read as " + std::to_string(bytes) +
                         " bytes; write it again with preprocess.py");
  }
  return data;
}

Status MakeWritableFolder(const std::string& folder) {
  for (size_t end = 0; end != std::string::npos;) {
    end = folder.find('/', end + 1);
    if (mkdir(folder.substr(0, end).c_str(), 0777) != 0 && errno != EEXIST) {
      return Status::Error(folder + ": cannot be created (" + std::strerror(errno) +
                           "); choose a writable folder");
    }
  }
  // The slash makes sure that it is a folder.
  if (access((folder + "/").c_str(), W_OK | X_OK) != 0) {
    return WriteError(folder);
  }
  return Status::Ok();
}

Status WriteFileAtomically(const std::string& file, const char* data, size_t bytes) {
  const std::string beside = file + "." + std::to_string(getpid()) + ".tmp";
  const int descriptor = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) {
    return WriteError(file);
  }
  const bool written = WriteAll(descriptor, data, bytes) && fsync(descriptor) == 0;
  Status status = written ? Status::Ok() : WriteError(file);
  if (close(descriptor) != 0 && status.ok()) {
    status = WriteError(file);
  }
  if (status.ok() && rename(beside.c_str(), file.c_str()) != 0) {
    status = WriteError(file);
  }
  if (!status.ok()) {
    unlink(beside.c_str());
  }
  return status;
}

}  // namespace centernet
