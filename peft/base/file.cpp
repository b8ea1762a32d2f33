#include "peft/base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporaryMark = ".tmp-";
constexpr unsigned kRenameExchange = 2;  // RENAME_EXCHANGE of linux/fs.h

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

[[noreturn]] void throw_io(const fs::path& path, std::string_view doing, int code) {
  const char* step = code == ENOSPC || code == EDQUOT ? " Free some space and try again."
                     : code == EACCES || code == EPERM || code == EROFS
                         ? " Check the permissions of the file and of its folder."
                         : "";
  throw IoError(
      fmt::format("{}: {} failed: {}.{}", path.string(), doing, std::strerror(code), step));
}

fs::path folder_of(const fs::path& path) {
  const fs::path parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

void sync_path(const fs::path& path, int flags) {
  const Descriptor file(::open(path.c_str(), flags | O_CLOEXEC));
  if (file.get() < 0) throw_io(path, "opening it to sync", errno);
  // Some file systems cannot sync a folder and say EINVAL: nothing more can be done there.
  if (::fsync(file.get()) != 0 && errno != EINVAL) throw_io(path, "syncing", errno);
}

void sync_folder(const fs::path& path) { sync_path(path, O_RDONLY | O_DIRECTORY); }

void sync_tree(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) sync_path(entry.path(), O_RDONLY);
    if (entry.is_directory()) sync_folder(entry.path());
  }
  sync_folder(folder);
}

/// The folder name without a slash at its end, so that the name beside it can be formed.
fs::path without_trailing_slash(fs::path path) {
  path = path.lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

}  // namespace

fs::path temporary_name(const fs::path& path) {
  static std::atomic<unsigned> count{0};
  return folder_of(path) / fmt::format(".{}{}{}-{}", path.filename().string(), kTemporaryMark,
                                       ::getpid(), count.fetch_add(1));
}

std::string read_text_file(const fs::path& path, uint64_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      throw NotFoundError(fmt::format("{}: there is no such file.", path.string()));
    }
    throw_io(path, "opening", errno);
  }
  struct stat info = {};
  if (::fstat(file.get(), &info) != 0) throw_io(path, "reading its size", errno);
  if (S_ISDIR(info.st_mode)) {
    throw IoError(fmt::format("{}: expected a file, got a folder.", path.string()));
  }
  std::string text;
  std::string block(size_t{1} << 16, '\0');
  // The size of the stat is only a hint: a pipe has none and a file may grow.
  if (info.st_size > 0)
    text.reserve(std::min<uint64_t>(static_cast<uint64_t>(info.st_size), max_bytes));
  for (;;) {
    const ssize_t got = ::read(file.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_io(path, "reading", errno);
    if (got == 0) return text;
    if (text.size() + static_cast<size_t>(got) > max_bytes) {
      throw FormatError(fmt::format("{}: the file is too large: expected at most {}, got more.",
                                    path.string(), human_bytes(max_bytes)));
    }
    text.append(block.data(), static_cast<size_t>(got));
  }
}

void ensure_folder(const fs::path& folder) {
  std::error_code code;
  if (fs::exists(folder, code) && !fs::is_directory(folder, code)) {
    throw IoError(
        fmt::format("{}: expected a folder, got a file. Name another folder.", folder.string()));
  }
  fs::create_directories(folder, code);
  if (code) throw_io(folder, "creating the folder", code.value());
}

void write_file_atomically(const fs::path& path, std::string_view bytes, mode_t mode) {
  AtomicFile file(path, mode);
  file.write(bytes);
  file.commit();
}

AtomicFile::AtomicFile(fs::path path, mode_t mode) : path_(std::move(path)) {
  do {
    temporary_ = temporary_name(path_);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) {
    if (errno == ENOENT) {
      throw NotFoundError(fmt::format("{}: the folder {} does not exist.", path_.string(),
                                      quote(folder_of(path_).string())));
    }
    throw_io(path_, "creating", errno);
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(descriptor_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) throw_io(path_, "writing", errno);
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0 && errno != EINVAL) throw_io(path_, "syncing", errno);
  // A network file system may report a full disk only here.
  if (::close(std::exchange(descriptor_, -1)) != 0) {
    const int code = errno;
    ::unlink(temporary_.c_str());
    throw_io(path_, "closing", code);
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int code = errno;
    ::unlink(temporary_.c_str());
    throw_io(path_, "renaming", code);
  }
  sync_folder(folder_of(path_));
}

AtomicFolder::AtomicFolder(fs::path path) : path_(without_trailing_slash(std::move(path))) {
  ensure_folder(folder_of(path_));
  int failed = 0;
  do {
    temporary_ = temporary_name(path_);
    failed = ::mkdir(temporary_.c_str(), 0777);
  } while (failed != 0 && errno == EEXIST);
  if (failed != 0) throw_io(path_, "creating the folder", errno);
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(temporary_, ignored);
}

void AtomicFolder::commit() {
  try {
    sync_tree(temporary_);
  } catch (const fs::filesystem_error& error) {
    throw_io(path_, "syncing", error.code().value());
  }
  if (::rename(temporary_.c_str(), path_.c_str()) == 0) {
    committed_ = true;
  } else if (errno == ENOTEMPTY || errno == EEXIST) {
    // An older folder is in the way: swap the two in one step; what is now at the temporary name is
    // the old one, and the destructor removes it.
    if (::syscall(SYS_renameat2, AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(),
                  kRenameExchange) != 0) {
      const fs::path aside = temporary_name(path_);
      if (::rename(path_.c_str(), aside.c_str()) != 0) throw_io(path_, "moving it aside", errno);
      if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
        const int failure = errno;
        ::rename(aside.c_str(), path_.c_str());
        throw_io(path_, "renaming", failure);
      }
      temporary_ = aside;
    }
  } else {
    throw_io(path_, "renaming", errno);
  }
  sync_folder(folder_of(path_));
}

void remove_abandoned_temporaries(const fs::path& folder) noexcept try {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    const std::string name = entry.path().filename().string();
    const size_t mark = name.rfind(kTemporaryMark);
    if (mark == std::string::npos || name.front() != '.') continue;
    pid_t process = 0;
    const char* begin = name.data() + mark + kTemporaryMark.size();
    const auto [end, failure] = std::from_chars(begin, name.data() + name.size(), process);
    if (failure != std::errc() || *end != '-' || process <= 0) continue;
    if (::kill(process, 0) != 0 && errno == ESRCH) fs::remove_all(entry.path(), code);
  }
} catch (...) {
  // Tidying up is a courtesy: failing at it must not stop the caller.
}

}  // namespace peft
