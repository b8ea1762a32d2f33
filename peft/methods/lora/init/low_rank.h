#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

namespace peft::lora {

/// A ≈ U diag(S) Vᵀ.
struct LowRank {
  at::Tensor u;  // [M, q]
  at::Tensor s;  // [q], falling
  at::Tensor v;  // [N, q]
};

/// The largest `q` singular values (at most min(M, N)) of a matrix [M, N], by subspace iteration
/// from random directions: the numbers of torch.svd_lowrank with a generator in the same state.
/// Without a generator the default one is drawn from.
///
/// Source: Halko et al., arXiv:0909.4061, algorithm 5.1; torch/_lowrank.py.
LowRank svd_lowrank(const at::Tensor& matrix, int64_t q, int64_t iterations,
                    const std::optional<at::Generator>& generator = std::nullopt);

}  // namespace peft::lora
