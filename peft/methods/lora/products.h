#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "peft/adapter/layer.h"
#include "peft/adapter/site.h"
#include "peft/methods/lora/lora_adapter.h"

namespace peft::lora {

/// The change s B A in the shape and orientation of the site's weight. As in Python factors in half
/// precision are multiplied in float32 on the CPU and rounded once.
/// Source: get_delta_weight in peft/tuners/lora/layer.py.
at::Tensor weight_change(const LoraAdapter& adapter, SiteKind kind);

/// What the change of a stack of experts is the product of, but for s.
struct ExpertFactors {
  at::Tensor left;   // [E, O, R], or [E, I, R] where the weight is stored as [E, I, O]
  at::Tensor right;  // [E, R, I], or [E, R, O]
};

/// Each expert has R rows of A and R columns of B.  a [R·E, I], b [O, R·E]
/// Source: ParamWrapper.get_delta_factors in peft/tuners/lora/layer.py.
ExpertFactors expert_factors(const LoraAdapter& adapter, int64_t experts, bool transposed);

/// s B A for a stack of experts.  -> [E, O, I], or [E, I, O]
/// Source: ParamWrapper.get_delta_weight.
at::Tensor expert_change(const LoraAdapter& adapter, int64_t experts, bool transposed);

/// B A x, with the bias that lora_bias gives B, in the dtype of x and not scaled.
///   x [..., I] -> [..., O]
at::Tensor low_rank_product(const LoraAdapter& adapter, const at::Tensor& x);

/// The same for a convolution: A's kernel, then B's of size one.  x [N, I, *] -> [N, O, *]
at::Tensor low_rank_convolution(const LoraAdapter& adapter, const at::Tensor& x,
                                const ConvolutionCall& call);

/// The rows of A that an embedding call asks for, times B.  -> [*indices, D]
at::Tensor low_rank_lookup(const at::Tensor& rows, const at::Tensor& out,
                           const EmbeddingCall& call);

/// A convolution in as many dimensions as the weight has.
at::Tensor convolve(const at::Tensor& x, const at::Tensor& weight,
                    const std::optional<at::Tensor>& bias, const ConvolutionCall& call);

/// x with dropout where the probability is above zero.
at::Tensor dropped(const at::Tensor& x, double probability);

}  // namespace peft::lora
