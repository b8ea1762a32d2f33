#include "peft/models/common/stack_layers.h"

#include <fmt/format.h>
#include <torch/nn/modules/linear.h>

#include "peft/base/error.h"
#include "peft/models/common/conv1d.h"
#include "peft/tensor/tag_key.h"

namespace peft {
namespace {

// A pointer to member that is formed in a child may reach the protected dictionary.
struct OwnParameters : torch::nn::Module {
  static auto& of(torch::nn::Module& module) { return module.*(&OwnParameters::parameters_); }
};

// The bias of a linear layer; null: the module is none.
at::Tensor* bias_of(torch::nn::Module& module) {
  if (auto* linear = dynamic_cast<torch::nn::LinearImpl*>(&module)) return &linear->bias;
  if (auto* conv1d = dynamic_cast<Conv1DImpl*>(&module)) return &conv1d->bias;
  return nullptr;
}

void refuse_adapted(const std::string& name, const at::Tensor& parameter) {
  if (!is_tagged(parameter)) return;
  throw ConfigError("layer_replication: '" + name +
                    "' carries an adapter: expected layers without one, got an adapted model. "
                    "Stack the layers with the first adapter.");
}

}  // namespace

std::vector<int64_t> stacked_order(const LayerRanges& ranges, int64_t layers) {
  std::vector<int64_t> order;
  for (const auto& [begin, end] : ranges) {
    if (begin < 0 || begin >= end || end > layers) {
      throw ConfigError(
          fmt::format("layer_replication: expected ranges [begin, end) of the layers 0 to {}, got "
                      "[{}, {}].",
                      layers - 1, begin, end));
    }
    for (int64_t layer = begin; layer < end; ++layer) order.push_back(layer);
  }
  if (order.empty()) {
    throw ConfigError("layer_replication: expected at least one range of layers, got none.");
  }
  return order;
}

void share_parameters(const std::shared_ptr<torch::nn::Module>& from,
                      const std::shared_ptr<torch::nn::Module>& to) {
  const at::NoGradGuard no_grad;
  const auto sources = from->named_parameters();
  for (const auto& item : sources) refuse_adapted(item.key(), item.value());
  for (auto& item : to->named_parameters()) {
    const at::Tensor& source = sources[item.key()];
    item.value().set_data(source.detach());
    item.value().set_requires_grad(source.requires_grad());
  }
  const auto former = from->named_modules();
  for (const auto& item : to->named_modules()) {
    auto* bias = bias_of(*item.value());
    const auto* source = bias_of(*former[item.key()]);
    if (bias == nullptr || source == nullptr || !source->defined()) continue;
    OwnParameters::of(*item.value())["bias"] = *source;
    *bias = *source;
  }
}

}  // namespace peft
