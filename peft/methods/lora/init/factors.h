#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "peft/methods/lora/init/settings.h"
#include "peft/methods/lora/init/statistics.h"

namespace peft::lora {

/// The beginning of an adapter that is taken from its weight. R rank, O out, I in features; the
/// rank is smaller than asked for where the weight's smaller side is.
struct Factors {
  at::Tensor a = {};       // [R, I] float32
  at::Tensor b = {};       // [O, R] float32
  at::Tensor weight = {};  // what is left of the weight, float32; undefined: it stays as it is
};

// Pure functions of a weight [O, I] in float32.

/// The largest singular values: W = s B A + rest. With `iterations` the fast decomposition, which
/// draws from the default generator.
/// Source: Meng et al., arXiv:2404.02948; pissa_init in peft/tuners/lora/layer.py.
Factors pissa_factors(const at::Tensor& weight, int64_t rank, double scaling,
                      std::optional<int64_t> iterations);

/// The first columns of Q and rows of R of W = Q R; the weight may be of any orientation, which
/// A and B then have too.
/// Source: Büyükakyüz, arXiv:2406.01775; olora_init in peft/tuners/lora/layer.py.
Factors olora_factors(const at::Tensor& weight, int64_t rank, double scaling);

/// B the singular vectors of the smallest singular values, A zero.
/// Throws: ConfigError where the rank is larger than the weight's smaller side.
/// Source: MiCA, arXiv:2604.01694; mica_init in peft/tuners/lora/layer.py.
Factors mica_factors(const at::Tensor& weight, int64_t rank);

/// The components that preprocess_corda found.
/// Throws: ConfigError where they are not finite or of other sizes.
/// Source: corda_init in peft/tuners/lora/layer.py.
Factors corda_factors(const at::Tensor& weight, int64_t rank, double scaling,
                      const CordaEigens& eigens);

/// The nearest matrix of a rank to `matrix` [O, I], its singular values shared between B and A.
/// Source: _low_rank_decomposition in peft/utils/loftq_utils.py.
Factors low_rank_factors(const at::Tensor& matrix, int64_t rank);

/// W quantised, and the decomposition of what quantising loses.
/// Source: loftq_init in peft/utils/loftq_utils.py.
Factors loftq_factors(const at::Tensor& weight, int64_t rank, const LoftQConfig& settings);

/// Random A and B with B A = 0, drawn from the default generator; the rank must be even.
///   random [R, R], random_in [I, R / 2], random_out [R / 2, O]
/// Source: orthogonal_init in peft/tuners/lora/layer.py.
Factors orthogonal_factors(const at::Tensor& random, const at::Tensor& random_in,
                           const at::Tensor& random_out);

/// What LoRA-GA needs besides the weight.
struct GradientInit {
  at::Tensor gradient;      // [O, I]
  double scaling = 1.0;     // of the adapter
  int64_t stored_rows = 0;  // of the weight as it is stored: O, or I where it is transposed
  at::ScalarType dtype = at::kFloat;  // of the weight: A and B are rounded to it
  LoraGAConfig settings = {};
};

/// Singular vectors of the gradient.
/// Source: Wang et al., arXiv:2407.05000; lora_ga_init in peft/tuners/lora/layer.py.
Factors lora_ga_factors(const at::Tensor& weight, int64_t rank, const GradientInit& init);

}  // namespace peft::lora
