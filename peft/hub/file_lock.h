#pragma once

#include <filesystem>

namespace peft::hub {

/// Holds a file's advisory lock (flock) while it lives; the constructor waits for it. It is the
/// lock that Python's huggingface_hub takes, and it ends with the process, however that ends. Where
/// the file system has no locks there is none: every use of it stays correct without.
class FileLock {
 public:
  /// Makes the file and the folders above it where absent.  Throws: IoError.
  explicit FileLock(const std::filesystem::path& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace peft::hub
