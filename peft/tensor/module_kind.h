#pragma once

#include <ATen/core/Tensor.h>

namespace peft {

/// What the registered parameter `weight` of a module is used for.
enum class WeightUse {
  kLinear,            // x Wᵀ, weight [O, I]
  kTransposedLinear,  // x W, weight [I, O]: GPT-2's Conv1D
  kEmbedding,         // rows are looked up, weight [V, D]
};

/// Implemented by module classes that are not libtorch's own, to tell adapters how they read their
/// weight. libtorch's Linear, Embedding, convolutions and MultiheadAttention need no such word, and
/// modules that derive from their Impl classes neither.
class DeclaresWeightUse {
 public:
  virtual ~DeclaresWeightUse() = default;
  virtual WeightUse weight_use() const = 0;
};

/// Implemented by module classes whose stacks of matrices, one an expert, are stored as [E, I, O]
/// in place of [E, O, I]. Source: the attribute is_transposed of transformers' expert modules.
class DeclaresTransposedExperts {
 public:
  virtual ~DeclaresTransposedExperts() = default;
  virtual bool is_transposed() const = 0;
};

/// Implemented by module classes that can trade their registered parameter `weight`, which they
/// share with another module, for one of their own. libtorch's Linear and Embedding need not.
class AdoptsWeight {
 public:
  virtual ~AdoptsWeight() = default;
  /// `weight`: a leaf of the same shape and dtype. The former tensor is not written to.
  virtual void adopt_weight(const at::Tensor& weight) = 0;
};

}  // namespace peft
