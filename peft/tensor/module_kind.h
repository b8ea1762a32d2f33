#pragma once

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

}  // namespace peft
