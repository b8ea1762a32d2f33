#include "peft/base/process.h"

#include <malloc.h>
#include <sys/resource.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace peft {
namespace {

/// A line "VmHWM:   12345 kB" of /proc/self/status, in bytes; 0 where there is none.
uint64_t status_bytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(field + ":", 0) != 0) continue;
    return std::strtoull(line.c_str() + field.size() + 1, nullptr, 10) * 1024;
  }
  return 0;
}

}  // namespace

uint64_t peak_rss_bytes() {
  if (const uint64_t bytes = status_bytes("VmHWM"); bytes > 0) return bytes;
  rusage usage = {};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

uint64_t current_rss_bytes() { return status_bytes("VmRSS"); }

bool reset_peak_rss() {
  std::ofstream file("/proc/self/clear_refs");
  file << '5' << std::flush;  // proc(5): the high-water mark of the resident set
  return file.good();
}

void keep_freed_memory() {
#if defined(__GLIBC__)
  constexpr int kLargest = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, kLargest);
  mallopt(M_TRIM_THRESHOLD, kLargest);
#endif
}

}  // namespace peft
