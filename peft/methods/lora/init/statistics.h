#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

namespace peft::lora {

/// The components of a weight that CorDA gives to the adapter. R rank, O out, I in features.
struct CordaEigens {
  at::Tensor s;  // [R]
  at::Tensor u;  // [O, R]
  at::Tensor v;  // [I, R]
};

/// What preprocessing found out about the target modules, by their names. Each entry serves one
/// adapter: it is taken out when the adapter is in the model.
///
/// Source: the attributes `eigens` and `_peft_loraga_grad` that Python hangs on the modules.
struct InitStatistics {
  std::map<std::string, CordaEigens> eigens = {};
  std::map<std::string, at::Tensor> gradients = {};  // of LoRA-GA, in the weights' shapes
};

}  // namespace peft::lora
