#pragma once

#include <torch/optim/optimizer.h>

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "peft/base/error.h"
#include "peft/peft_model.h"

namespace peft {

/// How LoRA+ differs from plain training.  Source: create_loraplus_optimizer in peft/optimizers.
struct LoraPlusOptions {
  double lr = 1e-3;                     // of A and of everything else
  double loraplus_lr_ratio = 16;        // the rate of B over that of A, >= 1
  double loraplus_weight_decay = 0.0;   // not applied to biases and norms
  double loraplus_lr_embedding = 1e-6;  // of adapters on embeddings
};

/// Parameters that learn at one rate.
struct LoraPlusGroup {
  std::vector<std::string> names;
  std::vector<at::Tensor> parameters;
  double lr, weight_decay;
};

/// The trainable parameters of a model in LoRA+'s four groups, of which some may be empty: A and
/// the rest, embeddings, B and vectors, and those of them without weight decay.
///
/// Throws: ConfigError for a rate or ratio that is not positive.
/// Source: Hayou et al., arXiv:2402.12354; peft/optimizers/loraplus.py.
std::vector<LoraPlusGroup> loraplus_groups(const PeftModel& model, const LoraPlusOptions& options);

/// What an optimiser of libtorch is made of: AdamW of groups and AdamWOptions, SGD likewise.
template <typename Optimizer, typename Options>
concept OptimizerOf = std::derived_from<Optimizer, torch::optim::Optimizer> &&
    std::constructible_from<Optimizer, std::vector<torch::optim::OptimizerParamGroup>, Options> &&
    requires(Options options) {
  options.lr(1.0);
  options.weight_decay(0.0);
};

/// An optimiser of libtorch with LoRA+'s rates: `options` gives what the groups have in common.
///   auto adamw = create_loraplus_optimizer<torch::optim::AdamW>(model, AdamWOptions(), {.lr =
///   1e-4});
/// Throws: ConfigError.
template <typename Optimizer, typename Options>
requires OptimizerOf<Optimizer, Options> std::unique_ptr<Optimizer> create_loraplus_optimizer(
    const PeftModel& model, const Options& options, const LoraPlusOptions& loraplus) {
  std::vector<torch::optim::OptimizerParamGroup> groups;
  for (const LoraPlusGroup& group : loraplus_groups(model, loraplus)) {
    auto own = std::make_unique<Options>(options);
    own->lr(group.lr).weight_decay(group.weight_decay);
    groups.emplace_back(group.parameters, std::move(own));
  }
  return std::make_unique<Optimizer>(std::move(groups), options);
}

/// A and B of one adapter at one layer, with s, what their product is multiplied by.
struct LoraPair {
  at::Tensor a, b;
  double scaling = 1.0;
};

/// The matrices of all linear layers' adapters whose A and B learn.
/// Source: _collect_lora_pairs in peft/optimizers/riemannian.py.
std::vector<LoraPair> lora_pairs(const PeftModel& model);

/// Turns the gradients of A and B into Riemannian ones, in place: (BᵀB + reg)⁻¹ dA and
/// dB (AAᵀ + reg)⁻¹. Factors without a gradient are passed over.
/// Source: Zhang and Pilanci, arXiv:2402.02347; peft/optimizers/riemannian.py.
void precondition_gradients(const std::vector<LoraPair>& pairs, double reg);

/// An optimiser of libtorch that steps along Riemannian gradients.
template <typename Optimizer>
class RiemannianOptimizer final : public Optimizer {
 public:
  template <typename Options>
  RiemannianOptimizer(std::vector<at::Tensor> parameters, Options options,
                      std::vector<LoraPair> pairs, double reg)
      : Optimizer(std::move(parameters), std::move(options)), pairs_(std::move(pairs)), reg_(reg) {}

  /// Throws: UnsupportedError for a closure, which would compute the gradients anew after they were
  /// turned.
  at::Tensor step(std::function<at::Tensor()> closure = nullptr) override {
    if (closure) {
      throw UnsupportedError(
          "RiemannianOptimizer: expected step() without a closure, got one: it would overwrite the "
          "gradients after they were preconditioned. Call backward before step().");
    }
    precondition_gradients(pairs_, reg_);
    return Optimizer::step();
  }

 private:
  std::vector<LoraPair> pairs_;
  double reg_;
};

/// An optimiser of libtorch for a model with LoRA, with Riemannian gradients.
/// Throws: ConfigError where no linear layer has an A and a B that learn.
/// Source: create_riemannian_optimizer in peft/optimizers/riemannian.py.
template <typename Optimizer, typename Options>
requires OptimizerOf<Optimizer, Options> std::unique_ptr<RiemannianOptimizer<Optimizer>>
create_riemannian_optimizer(const PeftModel& model, Options options, double reg = 1e-2) {
  std::vector<LoraPair> pairs = lora_pairs(model);
  if (pairs.empty()) {
    throw ConfigError(
        "create_riemannian_optimizer: expected a model with lora_A and lora_B that learn, got "
        "none. Load the adapter with is_trainable, or target linear layers.");
  }
  std::vector<at::Tensor> parameters;
  for (const auto& [name, tensor] : model.trainable_parameters()) parameters.push_back(tensor);
  return std::make_unique<RiemannianOptimizer<Optimizer>>(std::move(parameters), std::move(options),
                                                          std::move(pairs), reg);
}

struct LoraFaOptions {
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-6;
  double weight_decay = 0.0;
};

/// LoRA-FA: A stands still, and B's gradient is what comes closest to that of full training,
/// dB (AAᵀ)⁻¹ / s², with Adam's moments. Everything else that learns is trained by AdamW.
///
/// Source: Zhang et al., arXiv:2308.03303; peft/optimizers/lorafa.py.
class LoraFaOptimizer {
 public:
  /// Freezes every lora_A of the model.  Throws: ConfigError for options out of their range.
  LoraFaOptimizer(const PeftModel& model, const LoraFaOptions& options);

  /// One update; parameters without a gradient stay as they are.
  void step();
  void zero_grad();

 private:
  struct Slot {
    at::Tensor parameter;
    at::Tensor a;             // undefined for what is not a B
    at::Tensor inverse = {};  // of A Aᵀ, as A was at that version
    int64_t inverse_version = 0;
    double scaling = 1.0;
    at::Tensor exp_avg, exp_avg_sq;
    int64_t steps = 0;
  };
  static at::Tensor projected(Slot& slot, const at::Tensor& gradient);
  void update(Slot& slot) const;

  LoraFaOptions options_;
  std::vector<Slot> slots_;
};

/// Source: create_lorafa_optimizer in peft/optimizers/lorafa.py; rank and scaling are the layers'
/// own.
std::unique_ptr<LoraFaOptimizer> create_lorafa_optimizer(const PeftModel& model,
                                                         const LoraFaOptions& options);

}  // namespace peft
