#include "peft/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>

#include <fmt/format.h>

#include "peft/base/error.h"

namespace peft {
namespace {

/// madvise on the whole pages inside (`inner`) or around the range.
void advise(std::span<const std::byte> bytes, size_t offset, size_t length, int advice,
            bool inner) {
  if (offset >= bytes.size()) return;
  length = std::min(length, bytes.size() - offset);
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(bytes.data()) + offset;
  const uintptr_t begin = (inner ? first + page - 1 : first) / page * page;
  const uintptr_t end = (inner ? first + length : first + length + page - 1) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

/// Every mapping of this process, by its first byte.
struct LiveMappings {
  std::mutex mutex;
  std::map<const std::byte*, std::span<const std::byte>, std::less<>> starts;
};

LiveMappings& live_mappings() {
  static auto* const mappings = new LiveMappings;  // outlives files that other statics hold
  return *mappings;
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      throw NotFoundError(fmt::format("{}: there is no such file.", path.string()));
    }
    throw IoError(fmt::format("{}: opening failed: {}.", path.string(), std::strerror(errno)));
  }
  struct stat info = {};
  const bool known = ::fstat(file, &info) == 0;
  const auto size = known ? static_cast<size_t>(info.st_size) : 0;
  void* address = nullptr;
  if (known && S_ISREG(info.st_mode) && size > 0) {
    // Private and writable: a tensor that views the bytes may be changed in place (a merge), which
    // gives this process its own copy of the page and never reaches the file. No room is reserved
    // for such copies: the system would refuse files that are larger than its memory.
    constexpr int kFlags = MAP_PRIVATE | MAP_NORESERVE;
    address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, kFlags, file, 0);
  }
  const int code = errno;
  ::close(file);
  if (known && !S_ISREG(info.st_mode)) {
    throw IoError(fmt::format("{}: expected a regular file, got something else.", path.string()));
  }
  if (!known || address == MAP_FAILED) {
    throw IoError(fmt::format("{}: mapping failed: {}.", path.string(), std::strerror(code)));
  }
  bytes_ = {static_cast<const std::byte*>(address), size};
  if (bytes_.empty()) return;
  const std::scoped_lock lock(live_mappings().mutex);
  live_mappings().starts.emplace(bytes_.data(), bytes_);
}

MappedFile::~MappedFile() {
  if (bytes_.empty()) return;
  const std::scoped_lock lock(live_mappings().mutex);
  live_mappings().starts.erase(bytes_.data());
  ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::will_need(size_t offset, size_t length) const noexcept {
  advise(bytes_, offset, length, MADV_WILLNEED, false);
}

void MappedFile::release(std::span<const std::byte> bytes) noexcept {
  const std::scoped_lock lock(live_mappings().mutex);
  auto& starts = live_mappings().starts;
  const auto after = starts.upper_bound(bytes.data());
  if (after == starts.begin()) return;
  const std::span<const std::byte> file = std::prev(after)->second;
  const auto offset = static_cast<size_t>(bytes.data() - file.data());
  if (offset < file.size()) advise(file, offset, bytes.size(), MADV_DONTNEED, true);
}

}  // namespace peft
