#include "peft/hub/transfer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft::hub {
namespace {

namespace fs = std::filesystem;

bool is_full(int code) { return code == ENOSPC || code == EDQUOT || code == EFBIG; }

[[noreturn]] void throw_failed(const fs::path& path, const char* doing, int code) {
  throw IoError(path.string() + ": " + doing + " failed: " + std::strerror(code) + "." +
                (is_full(code) ? " Free some space and try again." : " Check the cache folder."));
}

void sync_folder_of(const fs::path& path) {
  const int folder = ::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  ::fsync(folder);
  ::close(folder);
}

}  // namespace

void read_pieces(const fs::path& path, uint64_t offset, uint64_t size,
                 const std::function<void(std::string_view)>& use) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    if (errno == ENOENT) throw NotFoundError(path.string() + ": there is no such file.");
    throw_failed(path, "opening", errno);
  }
  const struct Closer {
    int file;
    ~Closer() { ::close(file); }
  } closer{file};
  std::string block(static_cast<size_t>(std::min<uint64_t>(size, uint64_t{1} << 20)), '\0');
  while (size > 0) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(size, block.size()));
    const ssize_t got = ::pread(file, block.data(), wanted, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_failed(path, "reading", errno);
    if (got == 0) return;
    use({block.data(), static_cast<size_t>(got)});
    offset += static_cast<uint64_t>(got);
    size -= static_cast<uint64_t>(got);
  }
}

PartialFile::PartialFile(fs::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor_ < 0) throw_failed(path_, "creating", errno);
  struct stat info = {};
  if (::fstat(descriptor_, &info) == 0) size_ = static_cast<uint64_t>(info.st_size);
}

PartialFile::~PartialFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void PartialFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(descriptor_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) {
      const int code = errno;
      if (is_full(code)) remove();
      throw_failed(path_, "writing", code);
    }
    size_ += static_cast<uint64_t>(done);
    bytes.remove_prefix(static_cast<size_t>(done));
  }
}

void PartialFile::clear() {
  if (::ftruncate(descriptor_, 0) != 0) throw_failed(path_, "emptying", errno);
  size_ = 0;
}

void PartialFile::publish(const fs::path& name) {
  if (::fsync(descriptor_) != 0 && errno != EINVAL) throw_failed(path_, "syncing", errno);
  // A network file system may report a full disk only here.
  if (::close(std::exchange(descriptor_, -1)) != 0) throw_failed(path_, "closing", errno);
  if (::rename(path_.c_str(), name.c_str()) != 0) throw_failed(name, "renaming", errno);
  sync_folder_of(name);
}

void PartialFile::remove() { ::unlink(path_.c_str()); }

void check_free_space(const fs::path& folder, uint64_t bytes) {
  struct statvfs info = {};
  if (::statvfs(folder.c_str(), &info) != 0) return;  // the write itself will tell
  const uint64_t free = uint64_t{info.f_bavail} * info.f_frsize;
  if (bytes <= free) return;
  throw IoError(folder.string() + ": the disk is too full: expected " + human_bytes(bytes) +
                " free, got " + human_bytes(free) +
                ". Free some space, or set HF_HUB_CACHE to another disk.");
}

}  // namespace peft::hub
