#include "peft/base/file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

#include "peft/base/error.h"
#include "peft/base/mapped_file.h"

namespace peft {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("peft_file_" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  size_t entries() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), {}));
  }
  fs::path folder_;
};

TEST_F(FileTest, AFileIsReplacedWholeAndNothingElseIsLeft) {
  write_file_atomically(folder_ / "a", "old");
  write_file_atomically(folder_ / "a", "newer");
  EXPECT_EQ(read_text_file(folder_ / "a"), "newer");
  EXPECT_EQ(entries(), 1);
}

TEST_F(FileTest, WithoutCommitTheOldFileStays) {
  write_file_atomically(folder_ / "a", "old");
  {
    AtomicFile file(folder_ / "a");
    file.write(std::string_view("half"));
  }
  EXPECT_EQ(read_text_file(folder_ / "a"), "old");
  EXPECT_EQ(entries(), 1);
}

TEST_F(FileTest, AFileThatOutgrowsItsLimitIsAnErrorAndTheOldOneStays) {
  write_file_atomically(folder_ / "a", "old");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);  // without it the process would be ended
  const rlimit small{.rlim_cur = 1000, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_THROW(write_file_atomically(folder_ / "a", std::string(2000, 'x')), IoError);
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  EXPECT_EQ(read_text_file(folder_ / "a"), "old");
  EXPECT_EQ(entries(), 1);
}

TEST_F(FileTest, AMissingFolderAndAFolderInPlaceOfAFileAreErrors) {
  EXPECT_THROW(write_file_atomically(folder_ / "no" / "a", "x"), NotFoundError);
  EXPECT_THROW(read_text_file(folder_ / "no"), NotFoundError);
  EXPECT_THROW(read_text_file(folder_), IoError);
  EXPECT_THROW(MappedFile{folder_ / "no"}, NotFoundError);
  EXPECT_THROW(MappedFile{folder_}, IoError);
}

TEST_F(FileTest, AFileOverTheLimitIsAnError) {
  write_file_atomically(folder_ / "a", "12345");
  EXPECT_EQ(read_text_file(folder_ / "a", 5), "12345");
  EXPECT_THROW(read_text_file(folder_ / "a", 4), FormatError);
}

TEST_F(FileTest, AFolderTakesThePlaceOfAnOlderOne) {
  for (const char* text : {"first", "second"}) {
    AtomicFolder folder(folder_ / "checkpoint-1/");
    write_file_atomically(folder.path() / text, text);
    folder.commit();
  }
  EXPECT_TRUE(fs::exists(folder_ / "checkpoint-1/second"));
  EXPECT_FALSE(fs::exists(folder_ / "checkpoint-1/first"));
  EXPECT_EQ(entries(), 1);
}

TEST_F(FileTest, AFolderThatIsNotCommittedLeavesNothing) {
  { AtomicFolder folder(folder_ / "checkpoint-1"); }
  EXPECT_EQ(entries(), 0);
}

TEST_F(FileTest, WhatADeadProcessLeftIsRemovedAndTheLivingKeepTheirs) {
  fs::create_directories(folder_ / ".checkpoint-1.tmp-999999999-0");
  std::ofstream(folder_ / (".a.tmp-" + std::to_string(::getpid()) + "-7")) << "mine";
  std::ofstream(folder_ / ".hidden") << "yours";
  remove_abandoned_temporaries(folder_);
  EXPECT_EQ(entries(), 2);
}

// In a container a process often has the same id as the one that was killed before it.
TEST_F(FileTest, NamesThatAreTakenByALeftoverArePassedOver) {
  for (int count = 0; count < 300; ++count) {
    for (const char* name : {"a", "checkpoint-1"}) {
      std::ofstream(folder_ / fmt::format(".{}.tmp-{}-{}", name, ::getpid(), count)) << "left";
    }
  }
  const auto before = entries();
  write_file_atomically(folder_ / "a", "x");
  AtomicFolder(folder_ / "checkpoint-1").commit();
  EXPECT_EQ(read_text_file(folder_ / "a"), "x");
  EXPECT_EQ(entries(), before + 2);
}

TEST_F(FileTest, AFolderIsMadeOrTheErrorSaysWhatIsInTheWay) {
  ensure_folder(folder_ / "a" / "b");
  ensure_folder(folder_ / "a" / "b");
  EXPECT_TRUE(fs::is_directory(folder_ / "a" / "b"));
  write_file_atomically(folder_ / "file", "x");
  EXPECT_THROW(ensure_folder(folder_ / "file"), IoError);
  EXPECT_THROW(ensure_folder(folder_ / "file" / "b"), IoError);
}

TEST_F(FileTest, AMappingShowsTheBytesAndAnEmptyFileHasNone) {
  write_file_atomically(folder_ / "a", "abc");
  write_file_atomically(folder_ / "empty", "");
  const MappedFile file(folder_ / "a");
  EXPECT_EQ(file.bytes().size(), 3);
  EXPECT_EQ(file.bytes()[2], std::byte{'c'});
  EXPECT_TRUE(MappedFile(folder_ / "empty").bytes().empty());
}

}  // namespace
}  // namespace peft
