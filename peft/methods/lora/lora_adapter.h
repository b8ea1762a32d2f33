#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>

namespace peft::lora {

class LoraVariant;

/// The parameters of one adapter at one site. Shapes by kind of site; R rank, k kernel, E experts.
struct LoraAdapter {
  at::Tensor a;     // linear [R, I]; embedding [R, V]; convolution [R, I, *k]; experts [R·E, I]
  at::Tensor b;     // linear [O, R]; embedding [D, R]; convolution [O, R / groups, 1, ...];
                    // experts [O, R·E]
  at::Tensor bias;  // [O]; undefined without lora_bias
  double scaling = 1.0;
  double dropout = 0.0;
  std::shared_ptr<LoraVariant> variant = {};  // null: LoRA as it is in the paper
};

/// All adapters of one site, by name.
using AdaptersOfSite = std::map<std::string, LoraAdapter>;

}  // namespace peft::lora
