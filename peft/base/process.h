#pragma once

#include <cstdint>

namespace peft {

/// The most memory that this process has held at once (resident set), in bytes; 0 where unknown.
uint64_t peak_rss_bytes();

/// The memory that this process holds now (resident set), in bytes; 0 where unknown.
uint64_t current_rss_bytes();

}  // namespace peft
