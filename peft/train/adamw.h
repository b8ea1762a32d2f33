#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "peft/base/json.h"

namespace peft::train {

/// Tensors by name, in order.
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// A parameter that is trained.
struct TrainParameter {
  std::string name = {};
  at::Tensor tensor = {};
  bool decay = true;         // whether weight decay applies
  double rate_factor = 1.0;  // its learning rate over that of the step (LoRA+)
};

/// Whether the Trainer applies weight decay to a parameter of this name: not to biases and not to
/// the weights of norms. Source: Trainer.get_decay_parameter_names in transformers/trainer.py.
bool decays(const std::string& parameter_name);

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
};

/// AdamW (arXiv:1711.05101) with the results of torch.optim.AdamW. Each group, with or without
/// decay and of one learning rate, is one fused pass over its parameters.
class AdamW {
 public:
  AdamW(std::vector<TrainParameter> parameters, const AdamWOptions& options);

  /// One update from the gradients; parameters without a gradient stay as they are.
  void step(double learning_rate);

  /// Drops the gradients.
  void zero_grad();

  const std::vector<TrainParameter>& parameters() const { return parameters_; }

  /// The moments and step counts by parameter name ("exp_avg.<name>", "exp_avg_sq.<name>",
  /// "step.<name>"), as copies that later steps do not change.
  NamedTensors state() const;
  /// Options and groups, for people and for checks.
  Json describe() const;

  /// Takes over a state. Throws: MismatchError where names or shapes differ; nothing is changed
  /// then.
  void load_state(const NamedTensors& state, const std::string& where);

 private:
  struct Moments {
    at::Tensor exp_avg, exp_avg_sq, step;
  };
  /// Whether weight decay applies, and the factor of the learning rate.
  using Group = std::pair<bool, double>;
  static Group group_of(const TrainParameter& parameter) {
    return {parameter.decay, parameter.rate_factor};
  }
  void step_group(const Group& group, double learning_rate);

  std::vector<Group> groups_;
  std::vector<TrainParameter> parameters_;
  std::vector<Moments> moments_;
  AdamWOptions options_;
};

/// The Euclidean norm over all gradients at once, as float32.
/// Source: torch.nn.utils.get_total_norm.
double gradient_norm(const std::vector<TrainParameter>& parameters);

/// Scales the gradients so that their norm is at most `max_norm`.
/// Source: torch.nn.utils.clip_grads_with_norm_.
void clip_gradients(const std::vector<TrainParameter>& parameters, double norm, double max_norm);

}  // namespace peft::train
