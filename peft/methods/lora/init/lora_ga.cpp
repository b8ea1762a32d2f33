#include "peft/methods/lora/init/lora_ga.h"

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "peft/adapter/tag.h"
#include "peft/base/error.h"
#include "peft/methods/lora/init/observed_inputs.h"
#include "peft/methods/lora/init/target_layers.h"

namespace peft::lora {
namespace {

using at::Tensor;

// For as long as it lives only some weights learn.
class OnlyTheseLearn {
 public:
  OnlyTheseLearn(const ModelTree& tree, const std::vector<FoundSite>& layers) {
    for (const auto& [name, tensor] : tree.parameters()) {
      if (!tensor.is_leaf()) continue;
      former_.emplace_back(tensor, tensor.requires_grad());
      tensor.requires_grad_(false);
    }
    for (const FoundSite& found : layers) {
      weights_.push_back(found.weight);
      weights_.back().requires_grad_(true);
      weights_.back().mutable_grad().reset();
    }
  }
  ~OnlyTheseLearn() {
    for (Tensor& weight : weights_) weight.mutable_grad().reset();
    for (auto& [tensor, learns] : former_) tensor.requires_grad_(learns);
  }
  OnlyTheseLearn(const OnlyTheseLearn&) = delete;
  OnlyTheseLearn& operator=(const OnlyTheseLearn&) = delete;

 private:
  std::vector<std::pair<Tensor, bool>> former_;
  std::vector<Tensor> weights_;
};

}  // namespace

StateDict lora_ga_gradients(const ModelTree& tree, const ModelFacts& facts,
                            const LoraConfig& config, const std::function<void()>& train_step) {
  const auto layers = target_layers(tree, facts, config);
  if (layers.empty()) {
    throw ConfigError(
        "LoRA-GA: target_modules: expected at least one linear layer, got none. LoRA-GA serves "
        "linear layers only.");
  }
  const OnlyTheseLearn scope(tree, layers);
  const TrainingMode training(tree, true);
  // How many calls of each layer a backward went through.
  const auto backward_calls = std::make_shared<std::vector<int64_t>>(layers.size(), 0);
  {
    std::vector<ObservedLayer> observed;
    for (const FoundSite& found : layers) observed.push_back({.found = found});
    const auto listen = [&](size_t which, const ObservedCall& call) {
      if (!call.y.requires_grad()) return;
      call.y.register_hook([backward_calls, which](const Tensor&) { ++(*backward_calls)[which]; });
    };
    const ObservedInputs inputs(tree, std::move(observed), listen);
    const at::AutoGradMode with_gradients(true);
    train_step();
  }
  StateDict gradients;
  for (size_t i = 0; i < layers.size(); ++i) {
    const Tensor gradient = layers[i].weight.grad();
    const int64_t calls = (*backward_calls)[i];
    if (!gradient.defined() || calls == 0) continue;
    gradients.set(layers[i].site.module_name, gradient.detach() / calls);
  }
  if (gradients.empty()) {
    throw ConfigError(
        "LoRA-GA: expected a gradient for at least one targeted layer, got none. Call backward() "
        "in train_step.");
  }
  return gradients;
}

void keep_lora_ga_gradients(LoraConfig& config, const StateDict& gradients) {
  if (!config.statistics) config.statistics = std::make_shared<InitStatistics>();
  config.statistics->gradients.clear();
  for (const auto& [name, gradient] : gradients) config.statistics->gradients[name] = gradient;
}

}  // namespace peft::lora
