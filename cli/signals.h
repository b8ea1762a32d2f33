#pragma once

#include <atomic>

namespace peft::cli {

/// While it lives, Ctrl-C and SIGTERM set a flag instead of ending the program, so that a run can
/// save first. The second signal of a kind ends it at once.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// The number of the signal that came, 0 while none did.
  const std::atomic<int>& received() const;
};

}  // namespace peft::cli
