#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace peft::hub {

/// How far a transfer of files is.
struct Progress {
  std::string file = {};    // path in the repository
  uint64_t file_done = 0;   // bytes of this file
  uint64_t file_total = 0;  // 0: unknown
  uint64_t done = 0;        // bytes of all files
  uint64_t total = 0;
  size_t file_index = 0;  // from 0
  size_t file_count = 0;
};

/// Called now and then from the thread that transfers. What it throws ends the transfer and reaches
/// the caller; the bytes that came are kept for the next attempt.
using ProgressCallback = std::function<void(const Progress&)>;

/// Reads `size` bytes of a file from `offset` on, or up to its end, in pieces.
/// Throws: NotFoundError, IoError.
void read_pieces(const std::filesystem::path& path, uint64_t offset, uint64_t size,
                 const std::function<void(std::string_view)>& use);

/// A file under construction: bytes are appended, and what is there survives this process.
class PartialFile {
 public:
  /// Opens or makes it.  Throws: IoError.
  explicit PartialFile(std::filesystem::path path);
  ~PartialFile();
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }

  /// Throws: IoError; after a full disk the file is gone, so that the disk is not kept full.
  void append(std::string_view bytes);
  void clear();
  /// Syncs the bytes and gives them their name.  Throws: IoError.
  void publish(const std::filesystem::path& name);
  void remove();

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

/// Throws: IoError where the file system of `folder` has less than `bytes` free.
void check_free_space(const std::filesystem::path& folder, uint64_t bytes);

}  // namespace peft::hub
