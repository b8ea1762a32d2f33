#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace peft {

/// Largest text file that is read whole unless the caller says otherwise: 1 GiB.
inline constexpr uint64_t kMaxTextFile = uint64_t{1} << 30;

/// Reads a whole file.
/// Throws: NotFoundError; IoError (unreadable, a folder); FormatError (larger than `max_bytes`).
std::string read_text_file(const std::filesystem::path& path, uint64_t max_bytes = kMaxTextFile);

/// Makes a folder, and those above it, where absent.
/// Throws: IoError (a file is in the way, missing permission).
void ensure_folder(const std::filesystem::path& folder);

/// Replaces `path` by `bytes` in one step: a reader sees the old file or the new one, never a part.
/// `mode`: its permissions, before the umask takes some away; nobody has others at any time.
/// Throws: IoError (full disk, missing permission); the old file is then untouched.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes,
                           mode_t mode = 0666);

/// ".<name>.tmp-<process>-<count>" in the folder of `path`, another one at each call. It may be
/// taken: in containers a process that was killed had the same id as this one.
std::filesystem::path temporary_name(const std::filesystem::path& path);

/// A file that appears under its name only when it is whole: written under a temporary name in the
/// same folder, synced, then renamed. Destroying it before commit() leaves nothing behind.
class AtomicFile {
 public:
  /// Throws: IoError, NotFoundError (the folder does not exist).
  explicit AtomicFile(std::filesystem::path path, mode_t mode = 0666);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Throws: IoError.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  /// Syncs, renames and syncs the folder.  Throws: IoError.
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
};

/// A folder that appears under its name only when everything in it is whole. Files are written
/// below path(); commit() syncs them and renames the folder, taking the place of an older one of
/// that name.
class AtomicFolder {
 public:
  /// Makes the temporary folder beside `path`; the folder above is made where absent.
  /// Throws: IoError.
  explicit AtomicFolder(std::filesystem::path path);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  /// Where to write before commit().
  const std::filesystem::path& path() const { return temporary_; }

  /// Throws: IoError; an older folder of that name is then still there.
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  bool committed_ = false;
};

/// Removes what a killed process left in `folder`: temporary files and folders of AtomicFile and
/// AtomicFolder whose process does not run any more. Never throws.
void remove_abandoned_temporaries(const std::filesystem::path& folder) noexcept;

}  // namespace peft
