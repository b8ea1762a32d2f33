#include "peft/adapter/tuner_layer.h"

#include <algorithm>

#include "peft/base/error.h"

namespace peft {

BaseChange TunerLayer::initialise(const std::string&, const PeftConfig&, const at::Tensor&) {
  return {};
}

void TunerLayer::tie(const std::string&, const PeftConfig& config, const TunerLayer&) {
  throw UnsupportedError(parameter_name() +
                         ": ensure_weight_tying: expected a method that ties adapters, as LORA, "
                         "got " +
                         config.peft_type() + ". Set ensure_weight_tying to false.");
}

bool TunerLayer::builds_on_others(const std::string&) const { return false; }

at::Tensor TunerLayer::delta_after(const std::string& adapter, const at::Tensor&,
                                   const at::Tensor& base) const {
  return delta_of(adapter, base);
}

at::Tensor TunerLayer::weight_after(const std::string&, const at::Tensor&) const { return {}; }

std::string TunerLayer::merge_conflict(const std::string&, const std::vector<std::string>&) const {
  return {};
}

at::Tensor TunerLayer::bias_delta_of(const std::string&) const { return {}; }

std::string TunerLayer::merge_obstacle(const std::string&) const { return {}; }

void TunerLayer::follow(const at::Tensor& weight) {
  site_.device = weight.device();
  site_.dtype = weight.scalar_type();
}

void TunerLayer::set_active(std::vector<std::string> adapters) {
  active_ = std::move(adapters);
  refresh();
}

void TunerLayer::set_rows(std::shared_ptr<const AdapterRows> rows) {
  rows_ = std::move(rows);
  refresh();
}

std::string TunerLayer::mixed_batch_obstacle(const std::string&) const {
  return "this kind of adapter does not support mixed adapter batches";
}

void TunerLayer::refresh() {
  present_.clear();
  for (const std::string& adapter : rows_ ? rows_->adapters : active_) {
    if (has(adapter)) present_.push_back(adapter);
  }
  present_adapters_changed();
}

bool TunerLayer::trainable() const {
  return std::any_of(present_.begin(), present_.end(),
                     [&](const auto& adapter) { return slots_.requires_grad(adapter); });
}

at::Tensor TunerLayer::delta(const at::Tensor& weight) const {
  at::Tensor sum;
  for (const std::string& adapter : present_) {
    const bool builds = sum.defined() && builds_on_others(adapter);
    const at::Tensor one =
        builds ? delta_after(adapter, weight + sum, weight) : delta_of(adapter, weight);
    sum = sum.defined() ? sum + one : one;
  }
  return sum;
}

}  // namespace peft
