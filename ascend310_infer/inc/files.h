// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_FILES_H_
#define ASCEND310_INFER_INC_FILES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "inc/status.h"

namespace centernet {

// These are POSIX calls instead of std::filesystem, which the compilers of many Ascend systems
// (g++ 7) do not have.

// "folder/name". REQUIRES: !folder.empty().
std::string JoinPath(const std::string& folder, const std::string& name);

// A text that comes from a file or a name, for a message: with escapes for what is no UTF-8 and for
// what terminals obey or do not show, as escaped in src/model_utils/errors.py has them.
std::string Shown(const std::string& text);

// Shown, its middle left out where it is long.
std::string Sentence(const std::string& text);

bool IsFolder(const std::string& path);

// The names of everything in a folder but . and .., in the order of their bytes.
Result<std::vector<std::string>> ListFolder(const std::string& folder);

// Fails if it is not a regular file, or a link to one, that may be read; opens nothing else.
Status CheckReadable(const std::string& file);

// Reads a whole file of exactly the given number of bytes to data. Fails if it is anything else
// than a regular file or a link to one; never waits for a pipe.
Status ReadExactly(const std::string& file, size_t bytes, char* data);

// Reads a whole regular file of at most limit bytes.
Result<std::string> ReadAll(const std::string& file, size_t limit);

// Creates the folder and those above it where they are missing. Fails if files cannot be made in
// it.
Status MakeWritableFolder(const std::string& folder);

// Removes files that killed processes of this machine were writing in a folder. Gives the paths of
// those that may be another machine's.
std::vector<std::string> ClearLeftOvers(const std::string& folder);

// "folder" of "folder/name"; "." of a name alone.
std::string FolderOf(const std::string& path);

// Fails if something else than a regular file is there, which a file would take the place of.
Status CheckReplaceable(const std::string& path);

// Fails if the file system of an existing folder has less space than the given number of bytes.
Status CheckFreeSpace(const std::string& folder, uint64_t bytes);

// A file that is written beside its place. It appears there whole, by Finish, or not at all. Until
// then its name is .partial-MACHINE-PROCESS-START-NUMBER, as of whole_file in
// src/model_utils/files.py.
class PartialFile {
 public:
  explicit PartialFile(std::string path);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  Status Append(const char* data, size_t bytes);

  // Syncs and renames. REQUIRES: no call before has failed.
  Status Finish();

 private:
  Status WriteError() const;

  const std::string path_;
  const std::string beside_;
  int descriptor_;
};

// All of it at once.
Status WriteFileAtomically(const std::string& file, const char* data, size_t bytes);

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_FILES_H_
