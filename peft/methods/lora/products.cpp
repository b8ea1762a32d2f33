#include "peft/methods/lora/products.h"

#include <ATen/ATen.h>

namespace peft::lora {
namespace {

using at::Tensor;

at::ScalarType product_type(const Tensor& factor) {
  const auto dtype = factor.scalar_type();
  const bool half = dtype == at::kHalf || dtype == at::kBFloat16;
  return factor.is_cpu() && half ? at::kFloat : dtype;
}

// s B A. [O, I]; for convolutions A's kernel, mixed by B's 1x1 kernel: [O, I, *k].
Tensor scaled_product(const LoraAdapter& adapter) {
  const auto dtype = adapter.b.scalar_type();
  const auto working = product_type(adapter.b);
  const Tensor a = adapter.a.flatten(1).to(working);  // [R, I·k]
  const Tensor b = adapter.b.flatten(1).to(working);  // [O, R]
  auto shape = adapter.a.sizes().vec();
  shape[0] = b.size(0);
  return (at::mm(b, a) * adapter.scaling).to(dtype).view(shape);
}

}  // namespace

Tensor weight_change(const LoraAdapter& adapter, SiteKind kind) {
  switch (kind) {
    case SiteKind::kEmbedding:
    case SiteKind::kTransposedLinear:
      return scaled_product(adapter).t();
    case SiteKind::kAttentionOutput: {
      // Python folds this one in twice, the second time behind autograd's back: files that were
      // trained there mean that.
      const Tensor once = scaled_product(adapter);
      return once + once.detach();
    }
    default:
      return scaled_product(adapter);
  }
}

ExpertFactors expert_factors(const LoraAdapter& adapter, int64_t experts, bool transposed) {
  const int64_t rank = adapter.a.size(0) / experts;
  const Tensor a = adapter.a.view({experts, rank, -1});                     // [E, R, I]
  const Tensor b = adapter.b.view({-1, rank, experts}).permute({2, 0, 1});  // [E, O, R]
  if (transposed) return {.left = a.transpose(1, 2), .right = b.transpose(1, 2)};
  return {.left = b, .right = a};
}

Tensor expert_change(const LoraAdapter& adapter, int64_t experts, bool transposed) {
  const auto dtype = adapter.b.scalar_type();
  const auto working = product_type(adapter.b);
  const ExpertFactors factors = expert_factors(adapter, experts, transposed);
  const Tensor change = at::bmm(factors.left.to(working), factors.right.to(working));
  return (change * adapter.scaling).to(dtype);
}

Tensor low_rank_product(const LoraAdapter& adapter, const Tensor& x) {
  const Tensor low = at::linear(x, adapter.a.to(x.scalar_type()));
  Tensor update = at::linear(low, adapter.b.to(low.scalar_type()));
  if (adapter.bias.defined()) update = update + adapter.bias.to(update.scalar_type());
  return update;
}

Tensor low_rank_convolution(const LoraAdapter& adapter, const Tensor& x,
                            const ConvolutionCall& call) {
  ConvolutionCall mix = call;
  mix.groups = 1;
  const Tensor low = convolve(x, adapter.a.to(x.scalar_type()), std::nullopt, mix);
  const std::vector<int64_t> ones(static_cast<size_t>(adapter.a.dim() - 2), 1);
  const std::vector<int64_t> zeros(ones.size(), 0);
  const ConvolutionCall point{.stride = ones,
                              .padding = zeros,
                              .dilation = ones,
                              .same_padding = false,
                              .groups = call.groups};
  std::optional<Tensor> own;
  if (adapter.bias.defined()) own = adapter.bias.to(low.scalar_type());
  return convolve(low, adapter.b.to(low.scalar_type()), own, point);
}

Tensor low_rank_lookup(const Tensor& rows, const Tensor& out, const EmbeddingCall& call) {
  const Tensor low =
      at::embedding(rows, call.indices, call.padding_idx, call.scale_grad_by_freq, false);
  return at::matmul(low, out);
}

Tensor convolve(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias,
                const ConvolutionCall& call) {
  const int64_t dims = weight.dim() - 2;
  if (call.same_padding) {
    constexpr auto kSame = "same";
    if (dims == 1)
      return at::conv1d(x, weight, bias, call.stride, kSame, call.dilation, call.groups);
    if (dims == 2)
      return at::conv2d(x, weight, bias, call.stride, kSame, call.dilation, call.groups);
    return at::conv3d(x, weight, bias, call.stride, kSame, call.dilation, call.groups);
  }
  if (dims == 1) {
    return at::conv1d(x, weight, bias, call.stride, call.padding, call.dilation, call.groups);
  }
  if (dims == 2) {
    return at::conv2d(x, weight, bias, call.stride, call.padding, call.dilation, call.groups);
  }
  return at::conv3d(x, weight, bias, call.stride, call.padding, call.dilation, call.groups);
}

Tensor dropped(const Tensor& x, double probability) {
  return probability > 0.0 ? at::dropout(x, probability, true) : x;
}

}  // namespace peft::lora
