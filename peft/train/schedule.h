#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace peft::train {

enum class ScheduleKind { kConstant, kConstantWithWarmup, kLinear, kCosine };

/// "linear" -> kLinear.  Throws: ConfigError that lists the known names.
ScheduleKind parse_schedule(std::string_view name);

/// How the learning rate moves over the optimiser steps.
/// Source: get_scheduler and the lambdas in transformers/optimization.py.
class Schedule {
 public:
  /// total_steps: of the whole run. warmup_steps: a count, or below 1 a share of the total, rounded
  /// up (TrainingArguments.get_warmup_steps).
  Schedule(ScheduleKind kind, int64_t total_steps, double warmup_steps);

  /// What the base learning rate is multiplied with in the step that follows `steps_done` others.
  double factor(int64_t steps_done) const;

  int64_t warmup_steps() const { return warmup_; }

 private:
  ScheduleKind kind_;
  int64_t total_, warmup_;
};

}  // namespace peft::train
