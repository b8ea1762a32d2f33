#include "peft/base/warnings.h"

#include <mutex>
#include <utility>

namespace peft {
namespace {

std::mutex& sink_mutex() {
  static std::mutex mutex;
  return mutex;
}

WarningSink& current_sink() {
  static WarningSink sink;
  return sink;
}

}  // namespace

WarningSink set_warning_sink(WarningSink sink) {
  const std::lock_guard lock(sink_mutex());
  return std::exchange(current_sink(), std::move(sink));
}

void warn(const std::string& text) {
  // Called outside the lock: a sink may itself warn or replace the sink.
  WarningSink sink;
  {
    const std::lock_guard lock(sink_mutex());
    sink = current_sink();
  }
  if (sink) sink(text);
}

}  // namespace peft
