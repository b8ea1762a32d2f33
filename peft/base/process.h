#pragma once

#include <cstdint>

namespace peft {

/// The most memory that this process has held at once (resident set), in bytes; 0 where unknown.
uint64_t peak_rss_bytes();

/// The memory that this process holds now (resident set), in bytes; 0 where unknown.
uint64_t current_rss_bytes();

/// Lets peak_rss_bytes() begin anew at the memory that is held now.  Returns: whether the system
/// could (Linux does).
bool reset_peak_rss();

/// Keeps memory that is freed for the next request instead of giving it back to the system, which
/// costs a page fault each time it comes again: a training step frees and asks for the same
/// gigabytes over and over. A decision of the whole process, so a program calls it, the library
/// never does.
void keep_freed_memory();

}  // namespace peft
