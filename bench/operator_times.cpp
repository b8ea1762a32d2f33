#include "bench/operator_times.h"

#include <ATen/record_function.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

std::mutex mutex;
std::map<std::string, OperatorTimes::Entry> found;

// The operators that are running on this thread, the innermost last.
struct Frame {
  Clock::time_point start = {};
  double inside = 0;  // seconds in operators that this one called
};
thread_local std::vector<Frame> frames;

std::unique_ptr<at::ObserverContext> enter(const at::RecordFunction&) {
  frames.push_back({.start = Clock::now()});
  return nullptr;
}

void leave(const at::RecordFunction& function, at::ObserverContext*) {
  const Frame frame = frames.back();
  frames.pop_back();
  const double seconds = std::chrono::duration<double>(Clock::now() - frame.start).count();
  if (!frames.empty()) frames.back().inside += seconds;
  const std::lock_guard lock(mutex);
  auto& entry = found[function.name()];
  entry.seconds += seconds - frame.inside;
  entry.calls += 1;
}

}  // namespace

OperatorTimes::OperatorTimes()
    : handle_(at::addGlobalCallback(
          at::RecordFunctionCallback(enter, leave)
              .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}))) {}

OperatorTimes::~OperatorTimes() { at::removeCallback(handle_); }

std::map<std::string, OperatorTimes::Entry> OperatorTimes::entries() {
  const std::lock_guard lock(mutex);
  return found;
}

void OperatorTimes::print(double times) {
  constexpr size_t kShown = 25;
  const auto all = entries();
  std::vector<std::pair<std::string, Entry>> rows(all.begin(), all.end());
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  rows.resize(std::min(rows.size(), kShown));
  for (const auto& [name, entry] : rows) {
    std::fprintf(stderr, "%-42s %8.1f ms %7.0f calls\n", name.c_str(), 1e3 * entry.seconds / times,
                 static_cast<double>(entry.calls) / times);
  }
}
