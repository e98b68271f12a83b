// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#include "inc/files.h"

#include <sys/stat.h>

#include "inc/inputs.h"
#include "tests/check.h"

namespace centernet {
namespace {

void TestPaths() {
  CHECK_EQ(JoinPath("a", "b"), "a/b");
  CHECK_EQ(FolderOf("a/b/c"), "a/b");
  CHECK_EQ(FolderOf("c"), ".");
}

void TestWhatATerminalObeysIsShownEscaped() {
  CHECK_EQ(Shown("größe"), "größe");
  CHECK_EQ(Shown("\x1b[31m\n\xff"), "\\x1b[31m\\n\\udcff");
  CHECK(Sentence(std::string(5000, 'x')).size() < 1300);
}

void TestReading() {
  const TestFolder folder;
  folder.Write("five", "12345");
  char data[6] = {};
  CHECK(ReadExactly(folder / "five", 5, data).ok());
  CHECK_EQ(std::string(data), "12345");
  CHECK_HAS(ReadExactly(folder / "five", 6, data).message(), "holds 5 bytes instead of 6");
  CHECK(!ReadExactly(folder / "five", 4, data).ok());
  CHECK_EQ(ReadAll(folder / "five", 5).value(), "12345");
  CHECK(!ReadAll(folder / "five", 4).ok());
  CHECK_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  CHECK_HAS(ReadAll(folder / "pipe", 5).status().message(), "is a folder, a pipe");
  CHECK(!ReadAll(folder / "", 5).ok());
  CHECK_HAS(CheckReadable(folder / "none").message(), "No such file");
}

void TestAFileAppearsWholeOrNotAtAll() {
  const TestFolder folder;
  folder.Write("kept", "old");
  {
    PartialFile unfinished(folder / "kept");
    CHECK(unfinished.Append("new", 3).ok());
  }
  CHECK_EQ(folder.Read("kept"), "old");
  PartialFile file(folder / "kept");
  CHECK(file.Append("ne", 2).ok() && file.Append("w", 1).ok());
  CHECK_EQ(folder.Read("kept"), "old");
  CHECK(file.Finish().ok());
  CHECK_EQ(folder.Read("kept"), "new");
  CHECK_EQ(ListFolder(folder / "").value().size(), 1U);  // Nothing is left beside it.
  CHECK_HAS(WriteFileAtomically(folder / "none/a", "x", 1).message(), "cannot be written");
}

void TestFolders() {
  const TestFolder folder;
  folder.Write("file", "");
  CHECK(MakeWritableFolder(folder / "a/b/c").ok() && IsFolder(folder / "a/b/c"));
  CHECK(!MakeWritableFolder(folder / "file/a").ok());
  CHECK(CheckReplaceable(folder / "file").ok() && CheckReplaceable(folder / "none").ok());
  CHECK(!CheckReplaceable(folder / "a").ok());
  CHECK(CheckFreeSpace(folder / "a", 1).ok());
  CHECK_HAS(CheckFreeSpace(folder / "a", UINT64_MAX / 2).message(), "free");
}

void TestInputs() {
  const TestFolder folder;
  for (const char* name : {"b.bin", "a.jpg.bin", "notes.txt", "c.JPG"}) {
    folder.Write(name, "");
  }
  Result<std::vector<Input>> bins = ListInputs(folder / "", InputFormat::kBin);
  CHECK_EQ(bins.value().size(), 2U);
  CHECK_EQ(bins.value()[0].stem, "a.jpg");
  CHECK_EQ(bins.value()[1].stem, "b");
  Result<std::vector<Input>> images = ListInputs(folder / "", InputFormat::kImage);
  CHECK_EQ(images.value().size(), 1U);
  CHECK_EQ(images.value()[0].stem, "c");
  folder.Write("list", "x/b.jpg\ny/a.jpg\n");
  CHECK_EQ(ListInputs(folder / "list", InputFormat::kImage).value()[0].path, "x/b.jpg");
  folder.Write("nuls", std::string("x/b\n.jpg\0y/a.jpg\0", 17));
  CHECK_EQ(ListInputs(folder / "nuls", InputFormat::kImage).value()[0].stem, "b\n");
  folder.Write("twice", "x/b.jpg\ny/b.png\n");
  CHECK_HAS(ListInputs(folder / "twice", InputFormat::kImage).status().message(),
            "y/b.png: its results would replace those of x/b.jpg");
}

}  // namespace
}  // namespace centernet

int main() {
  centernet::TestPaths();
  centernet::TestWhatATerminalObeysIsShownEscaped();
  centernet::TestReading();
  centernet::TestAFileAppearsWholeOrNotAtAll();
  centernet::TestFolders();
  centernet::TestInputs();
}
