#pragma once

#include "peft/methods/lora/lora_adapter.h"

namespace peft::lora {

/// What QA-LoRA adds to a layer whose weight is quantised in groups along its inputs: A sees the
/// sum of each group of inputs scaled by the number of groups over its size, so that the product
/// can be folded into the groups' zero points.
///   x [..., I], a [R, I / group_size], b [O, R] -> [..., O]
/// Throws: ConfigError where I is no multiple of group_size.
/// Source: Xu et al., arXiv:2309.14717; QALoraLinearVariant in peft/tuners/lora/variants.py.
at::Tensor qalora_update(const LoraAdapter& adapter, const at::Tensor& x, int64_t group_size);

}  // namespace peft::lora
