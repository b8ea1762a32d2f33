#include "peft/adapter/tuner_layer.h"

#include <algorithm>

namespace peft {

BaseChange TunerLayer::initialise(const std::string&, const PeftConfig&, const at::Tensor&) {
  return {};
}

at::Tensor TunerLayer::bias_delta_of(const std::string&) const { return {}; }

std::string TunerLayer::merge_obstacle(const std::string&) const { return {}; }

void TunerLayer::set_active(std::vector<std::string> adapters) {
  active_ = std::move(adapters);
  refresh();
}

void TunerLayer::refresh() {
  present_.clear();
  for (const std::string& adapter : active_) {
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
    const at::Tensor one = delta_of(adapter, weight);
    sum = sum.defined() ? sum + one : one;
  }
  return sum;
}

}  // namespace peft
