#include "cli/signals.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace peft::cli {

namespace {

std::atomic<int> g_received = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may only set such a flag");

/// A step may take many seconds: whoever pressed Ctrl-C wants to know at once that it was heard.
void remember(int signal) {
  g_received.store(signal, std::memory_order_relaxed);
  constexpr std::string_view kHeard =
      "\npeft: stopping after this step to save; once more stops at once\n";
  const int before = errno;
  [[maybe_unused]] const ssize_t done = ::write(STDERR_FILENO, kHeard.data(), kHeard.size());
  errno = before;
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART | SA_RESETHAND;
  sigaction(signal, &action, nullptr);
}

}  // namespace

StopSignals::StopSignals() {
  g_received = 0;
  handle(SIGINT, remember);
  handle(SIGTERM, remember);
}

StopSignals::~StopSignals() {
  handle(SIGINT, SIG_DFL);
  handle(SIGTERM, SIG_DFL);
}

const std::atomic<int>& StopSignals::received() const { return g_received; }

}  // namespace peft::cli
