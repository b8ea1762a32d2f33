#include "peft/tensor/task_arithmetic.h"

#include <ATen/ATen.h>

#include <string>

#include "peft/base/error.h"
#include "peft/base/warnings.h"

namespace peft {
namespace {

using at::Tensor;

std::string short_number(double value) {
  std::string text = std::to_string(value);
  while (text.back() == '0' && text[text.size() - 2] != '.') text.pop_back();
  return text;
}

// True where pruning leaves everything as it is.
bool keeps_all(double density) {
  if (density < 0.0) {
    throw ConfigError("density: expected a number of 0 or more, got " + short_number(density) +
                      ". It is the share of values that is kept.");
  }
  if (density < 1.0) return false;
  warn("The density " + short_number(density) +
       " is greater than or equal to 1, no pruning will be performed.");
  return true;
}

Tensor prune_smallest(const Tensor& tensor, double density) {
  if (keeps_all(density)) return tensor;
  const auto kept = static_cast<int64_t>(density * static_cast<double>(tensor.numel()));
  const Tensor mask = at::zeros_like(tensor).reshape(-1);
  mask.index_fill_(0, std::get<1>(tensor.abs().reshape(-1).topk(kept)), 1);
  return tensor * mask.reshape(tensor.sizes());
}

Tensor prune_at_random(const Tensor& tensor, double density) {
  if (keeps_all(density)) return tensor;
  const Tensor mask = at::bernoulli(at::full_like(tensor, density));
  return tensor * mask / density;
}

using Prune = Tensor (*)(const Tensor&, double);
std::vector<Tensor> pruned(const std::vector<Tensor>& tensors, double density, Prune prune) {
  std::vector<Tensor> result;
  for (const Tensor& tensor : tensors) result.push_back(prune(tensor, density));
  return result;
}

Tensor weighted(const Tensor& stack, const Tensor& weights) {
  std::vector<int64_t> shape(static_cast<size_t>(stack.dim()), 1);
  shape[0] = weights.size(0);
  return stack * weights.view(shape);
}

Tensor majority_sign_mask(const Tensor& stack, const std::string& method) {
  const Tensor sign = stack.sign();
  Tensor vote;
  if (method == "total") {
    vote = stack.sum(0);
  } else if (method == "frequency") {
    vote = sign.sum(0);
  } else {
    throw ConfigError("majority_sign_method: expected 'total' or 'frequency', got '" + method +
                      "'.");
  }
  return sign == at::where(vote >= 0, 1, -1);
}

// The mean over those that agree with the majority.
Tensor disjoint_mean(const std::vector<Tensor>& tensors, const Tensor& weights,
                     const std::string& method) {
  const Tensor stack = at::stack(tensors, 0);
  const Tensor agrees = majority_sign_mask(stack, method);
  const Tensor sum = (weighted(stack, weights) * agrees).sum(0);
  return sum / agrees.sum(0).clamp_min(1.0);
}

}  // namespace

Tensor task_arithmetic(const std::vector<Tensor>& tensors, const Tensor& weights) {
  return weighted(at::stack(tensors, 0), weights).sum(0);
}

Tensor magnitude_prune(const std::vector<Tensor>& tensors, const Tensor& weights, double density) {
  return task_arithmetic(pruned(tensors, density, prune_smallest), weights);
}

Tensor ties(const std::vector<Tensor>& tensors, const Tensor& weights, double density,
            const std::string& majority_sign_method) {
  return disjoint_mean(pruned(tensors, density, prune_smallest), weights, majority_sign_method);
}

Tensor dare_linear(const std::vector<Tensor>& tensors, const Tensor& weights, double density) {
  return task_arithmetic(pruned(tensors, density, prune_at_random), weights);
}

Tensor dare_ties(const std::vector<Tensor>& tensors, const Tensor& weights, double density,
                 const std::string& majority_sign_method) {
  return disjoint_mean(pruned(tensors, density, prune_at_random), weights, majority_sign_method);
}

}  // namespace peft
