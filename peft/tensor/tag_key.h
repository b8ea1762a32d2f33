#pragma once

#include <ATen/core/Tensor.h>

namespace peft {

/// The dispatch key that a tagged weight carries: ATen leaves it to libraries outside of PyTorch.
/// It ranks above autograd and autocast, so a tag is seen before either.
constexpr auto kTagKey = c10::DispatchKey::DeferredInit;

/// True where reading `weight` gives something else than its own bytes: an adapter or a replacement
/// rides on it. Code with a shortcut around ATen's operators must ask this first.
inline bool is_tagged(const at::Tensor& weight) {
  return weight.defined() && weight.key_set().has(kTagKey);
}

}  // namespace peft
