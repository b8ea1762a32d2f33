#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace peft::lora {

/// What one adapter adds to a linear layer.
struct LinearUpdate {
  at::Tensor a;  // [R, I]
  at::Tensor b;  // [O, R]
  double scaling = 1.0;
  double dropout = 0.0;  // probability now: 0 outside of training
};

/// x Wᵀ + bias + s · drop(x) Aᵀ Bᵀ with its gradients as one node of the graph. It keeps x and the
/// small x Aᵀ, never a copy of x; the products run in the dtype of x and W, with A and B cast down,
/// and the gradients of A and B have the adapter's own dtype. Differentiable any number of times.
///
///   x [..., I], weight [O, I] in one dtype, bias [O] -> [..., O]
at::Tensor lora_linear(const at::Tensor& x, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias, const LinearUpdate& update);

}  // namespace peft::lora
