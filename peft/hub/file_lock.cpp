#include "peft/hub/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "peft/base/error.h"
#include "peft/base/file.h"

namespace peft::hub {

FileLock::FileLock(const std::filesystem::path& path) {
  ensure_folder(path.parent_path());
  for (;;) {
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
      throw IoError(path.string() + ": opening the lock failed: " + std::strerror(errno) +
                    ". Check the permissions of the cache folder.");
    }
    while (::flock(descriptor_, LOCK_EX) != 0 && errno == EINTR) {
    }
    struct stat info = {};
    // Its last holder may have removed the file: a lock on it keeps nobody out.
    if (::fstat(descriptor_, &info) != 0 || info.st_nlink > 0) return;
    ::close(descriptor_);
  }
}

FileLock::~FileLock() { ::close(descriptor_); }

}  // namespace peft::hub
