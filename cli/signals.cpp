#include "cli/signals.h"

#include <signal.h>

namespace peft::cli {

namespace {

std::atomic<int> g_received = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may only set such a flag");

void remember(int signal) { g_received.store(signal, std::memory_order_relaxed); }

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
