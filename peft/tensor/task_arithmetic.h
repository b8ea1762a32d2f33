#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace peft {

/// Ways of making one tensor of several of one shape (the changes that training for several tasks
/// made). Random choices come from libtorch's generator, in the order of the tensors.
///
/// Legend: `tensors` of one shape and dtype, `weights` [n] float32 one for each of them; `density`
/// the share of values that is kept, in [0, 1]: 1 or more keeps all, with a warning.
/// All throw ConfigError for a negative density and an unknown word.
/// Source: peft/utils/merge_utils.py (TIES: Yadav et al., arXiv:2306.01708; DARE: Yu et al.,
/// arXiv:2311.03099).

/// The weighted sum.
at::Tensor task_arithmetic(const std::vector<at::Tensor>& tensors, const at::Tensor& weights);

/// The weighted sum of what stays where the smallest values are set to 0.
at::Tensor magnitude_prune(const std::vector<at::Tensor>& tensors, const at::Tensor& weights,
                           double density);

/// The weighted mean of the largest values that agree with the majority's sign.
/// `majority_sign_method`: "total" (sign of the sum) or "frequency" (of the sum of signs).
at::Tensor ties(const std::vector<at::Tensor>& tensors, const at::Tensor& weights, double density,
                const std::string& majority_sign_method = "total");

/// The weighted sum where values are dropped at random and the others scaled up.
at::Tensor dare_linear(const std::vector<at::Tensor>& tensors, const at::Tensor& weights,
                       double density);

/// The weighted mean of such values that agree with the majority's sign.
at::Tensor dare_ties(const std::vector<at::Tensor>& tensors, const at::Tensor& weights,
                     double density, const std::string& majority_sign_method = "total");

}  // namespace peft
