#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace peft {

/// A whole file mapped into memory. The bytes live as long as the object; a write to them (tensors
/// may share them) changes this process's copy of the page, never the file. A file that
/// another program shortens meanwhile makes the process fail with SIGBUS: checkpoints are replaced
/// by renaming, never cut in place.
class MappedFile {
 public:
  /// Throws: NotFoundError, IoError.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }

  /// Asks the system to read the range ahead of its use; a hint.
  void will_need(size_t offset, size_t length) const noexcept;

  /// Where the bytes lie in a mapped file, their pages stop counting as this process's memory; they
  /// are read from the file again when touched, so nothing may have been written to them. Other
  /// bytes are left alone. A hint.
  static void release(std::span<const std::byte> bytes) noexcept;

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

}  // namespace peft
