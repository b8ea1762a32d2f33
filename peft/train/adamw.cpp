#include "peft/train/adamw.h"

#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "peft/base/error.h"
#include "peft/base/text.h"

namespace peft::train {

namespace {

constexpr const char* kExpAvg = "exp_avg.";
constexpr const char* kExpAvgSq = "exp_avg_sq.";
constexpr const char* kStep = "step.";

std::vector<at::Tensor> gradients_of(const std::vector<TrainParameter>& parameters) {
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : parameters) {
    if (parameter.tensor.grad().defined()) gradients.push_back(parameter.tensor.grad());
  }
  return gradients;
}

}  // namespace

bool decays(const std::string& parameter_name) {
  const std::string name = lower_case(parameter_name);
  for (const char* word : {"bias", "layernorm", "rmsnorm"}) {
    if (name.find(word) != std::string::npos) return false;
  }
  for (const std::string& part : split(name, '.')) {
    if (part == "norm" || part.ends_with("_norm")) return false;
  }
  return true;
}

AdamW::AdamW(std::vector<TrainParameter> parameters, const AdamWOptions& options)
    : groups_{{true, 1.0}, {false, 1.0}}, parameters_(std::move(parameters)), options_(options) {
  for (const auto& parameter : parameters_) {
    const Group group = group_of(parameter);
    if (std::find(groups_.begin(), groups_.end(), group) == groups_.end()) groups_.push_back(group);
  }
  moments_.reserve(parameters_.size());
  for (const auto& parameter : parameters_) {
    moments_.push_back({.exp_avg = at::zeros_like(parameter.tensor.detach()),
                        .exp_avg_sq = at::zeros_like(parameter.tensor.detach()),
                        .step = at::zeros({}, parameter.tensor.options().dtype(at::kFloat))});
  }
}

void AdamW::step(double learning_rate) {
  for (const Group& group : groups_) step_group(group, learning_rate);
}

void AdamW::step_group(const Group& group, double learning_rate) {
  const auto& [decay, factor] = group;
  std::vector<at::Tensor> parameters, gradients, exp_avgs, exp_avg_sqs, steps;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& tensor = parameters_[i].tensor;
    if (group_of(parameters_[i]) != group || !tensor.grad().defined()) continue;
    parameters.push_back(tensor.detach());
    gradients.push_back(tensor.grad().contiguous());
    exp_avgs.push_back(moments_[i].exp_avg);
    exp_avg_sqs.push_back(moments_[i].exp_avg_sq);
    moments_[i].step += 1;
    steps.push_back(moments_[i].step);
  }
  if (parameters.empty()) return;
  at::_fused_adamw_(parameters, gradients, exp_avgs, exp_avg_sqs, /*max_exp_avg_sqs=*/{}, steps,
                    learning_rate * factor, options_.beta1, options_.beta2,
                    decay ? options_.weight_decay : 0.0, options_.epsilon, /*amsgrad=*/false,
                    /*maximize=*/false);
}

void AdamW::zero_grad() {
  for (auto& parameter : parameters_) parameter.tensor.mutable_grad().reset();
}

NamedTensors AdamW::state() const {
  NamedTensors state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].name;
    state.emplace_back(kExpAvg + name, moments_[i].exp_avg.clone());
    state.emplace_back(kExpAvgSq + name, moments_[i].exp_avg_sq.clone());
    state.emplace_back(kStep + name, moments_[i].step.clone());
  }
  return state;
}

Json AdamW::describe() const {
  Json groups = Json::array();
  for (const Group& group : groups_) {
    Json names = Json::array();
    for (const auto& parameter : parameters_) {
      if (group_of(parameter) == group) names.push_back(parameter.name);
    }
    Json described{{"weight_decay", group.first ? options_.weight_decay : 0.0}, {"params", names}};
    if (group.second != 1.0) described["lr_factor"] = group.second;
    groups.push_back(std::move(described));
  }
  return {{"optimizer", "adamw_torch"},
          {"betas", {options_.beta1, options_.beta2}},
          {"eps", options_.epsilon},
          {"param_groups", groups}};
}

void AdamW::load_state(const NamedTensors& state, const std::string& where) {
  const std::map<std::string, at::Tensor> given(state.begin(), state.end());
  const auto find = [&](const std::string& key, const at::Tensor& like) {
    const auto found = given.find(key);
    if (found == given.end()) {
      throw MismatchError(
          fmt::format("{}: no tensor {}: expected the state of every trained parameter. "
                      "The checkpoint belongs to another adapter.",
                      where, quote(key)));
    }
    if (found->second.sizes() != like.sizes()) {
      throw MismatchError(fmt::format(
          "{}: tensor {} has another shape: expected {}, got {}. The checkpoint belongs to another "
          "adapter.",
          where, quote(key), shape_text(like.sizes().vec()),
          shape_text(found->second.sizes().vec())));
    }
    return found->second.to(like.options()).clone(at::MemoryFormat::Contiguous);
  };
  std::vector<Moments> moments;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].name;
    moments.push_back({.exp_avg = find(kExpAvg + name, moments_[i].exp_avg),
                       .exp_avg_sq = find(kExpAvgSq + name, moments_[i].exp_avg_sq),
                       .step = find(kStep + name, moments_[i].step)});
  }
  if (given.size() != 3 * moments.size()) {
    throw MismatchError(
        fmt::format("{}: another number of tensors: expected {}, got {}. The checkpoint belongs to "
                    "another adapter.",
                    where, 3 * moments.size(), given.size()));
  }
  moments_ = std::move(moments);
}

double gradient_norm(const std::vector<TrainParameter>& parameters) {
  const auto gradients = gradients_of(parameters);
  if (gradients.empty()) return 0;
  std::vector<at::Tensor> norms = at::_foreach_norm(gradients, 2.0);
  for (auto& norm : norms) norm = norm.to(at::kFloat);
  return at::stack(norms).norm().item<double>();
}

void clip_gradients(const std::vector<TrainParameter>& parameters, double norm, double max_norm) {
  const auto gradients = gradients_of(parameters);
  const double factor = max_norm / (norm + 1e-6);
  if (factor < 1.0 && !gradients.empty()) at::_foreach_mul_(gradients, factor);
}

}  // namespace peft::train
