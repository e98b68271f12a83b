// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_FILES_H_
#define ASCEND310_INFER_INC_FILES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "inc/status.h"

namespace centernet {

// These are POSIX calls instead of std::filesystem, which the compilers of many Ascend systems
// (g++ 7) do not have.

// "folder/name". REQUIRES: !folder.empty().
std::string JoinPath(const std::string& folder, const std::string& name);

// The names of the regular files FOLDER/*.bin without ".bin", sorted. Fails if there are none.
Result<std::vector<std::string>> ListBinFiles(const std::string& folder);

// The size in bytes. Fails unless it is a regular file.
Result<size_t> FileSize(const std::string& file);

// The whole file. Fails if it does not hold exactly the given number of bytes.
Result<std::vector<char>> ReadFile(const std::string& file, size_t bytes);

// Creates the folder and those above it where they are missing. Fails if files cannot be made in
// it.
Status MakeWritableFolder(const std::string& folder);

// Writes beside the file, syncs and renames: the file appears whole or not at all.
Status WriteFileAtomically(const std::string& file, const char* data, size_t bytes);

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_FILES_H_
