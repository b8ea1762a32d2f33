#include "peft/train/schedule.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft::train {

namespace {

constexpr std::array<std::pair<std::string_view, ScheduleKind>, 4> kKinds = {{
    {"constant", ScheduleKind::kConstant},
    {"constant_with_warmup", ScheduleKind::kConstantWithWarmup},
    {"linear", ScheduleKind::kLinear},
    {"cosine", ScheduleKind::kCosine},
}};

int64_t warmup_count(int64_t total, double warmup) {
  return warmup >= 1 ? static_cast<int64_t>(warmup)
                     : static_cast<int64_t>(std::ceil(static_cast<double>(total) * warmup));
}

}  // namespace

ScheduleKind parse_schedule(std::string_view name) {
  std::vector<std::string> known;
  for (const auto& [text, kind] : kKinds) {
    if (text == name) return kind;
    known.emplace_back(text);
  }
  throw ConfigError(fmt::format("lr_scheduler_type: unknown schedule: expected {}, got {}.",
                                join_names(known), quote(name)));
}

Schedule::Schedule(ScheduleKind kind, int64_t total_steps, double warmup_steps)
    : kind_(kind), total_(total_steps), warmup_(warmup_count(total_steps, warmup_steps)) {}

double Schedule::factor(int64_t steps_done) const {
  if (kind_ == ScheduleKind::kConstant) return 1.0;
  if (steps_done < warmup_) {
    return static_cast<double>(steps_done) / static_cast<double>(std::max<int64_t>(1, warmup_));
  }
  if (kind_ == ScheduleKind::kConstantWithWarmup) return 1.0;
  const double rest = static_cast<double>(std::max<int64_t>(1, total_ - warmup_));
  if (kind_ == ScheduleKind::kLinear) {
    return std::max(0.0, static_cast<double>(total_ - steps_done) / rest);
  }
  const double progress = static_cast<double>(steps_done - warmup_) / rest;
  return std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
}

}  // namespace peft::train
