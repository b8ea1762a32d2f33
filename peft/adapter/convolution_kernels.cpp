#include <ATen/ATen.h>
#include <torch/library.h>

#include <string>

#include "peft/adapter/kernels.h"
#include "peft/adapter/tag_state.h"

namespace peft::dispatch {
namespace {

using at::IntArrayRef;
using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

// One number stands for every dimension.
std::vector<int64_t> spread(IntArrayRef values, size_t dimensions) {
  if (values.size() == 1) return std::vector<int64_t>(dimensions, values[0]);
  return values.vec();
}

template <size_t N>
constexpr const char* kName = N == 1   ? "aten::conv1d"
                              : N == 2 ? "aten::conv2d"
                                       : "aten::conv3d";

// The operator of N dimensions; `padding` is numbers or a word.
template <size_t N, typename Padding>
Tensor call(const Tensor& x, const Tensor& weight, const OptionalTensor& bias, IntArrayRef stride,
            Padding padding, IntArrayRef dilation, int64_t groups) {
  if constexpr (N == 1) return at::conv1d(x, weight, bias, stride, padding, dilation, groups);
  if constexpr (N == 2) return at::conv2d(x, weight, bias, stride, padding, dilation, groups);
  if constexpr (N == 3) return at::conv3d(x, weight, bias, stride, padding, dilation, groups);
}

template <size_t N, typename Padding>
Tensor convolution(const Tensor& x, const Tensor& weight, const OptionalTensor& bias,
                   IntArrayRef stride, Padding padding, IntArrayRef dilation, int64_t groups) {
  constexpr auto op = kName<N>;
  auto input = seen_or_same(x, CallKind::kConvolution, op);
  auto offset = seen_or_same(bias, CallKind::kConvolution, op);
  auto road = fast_road(input, weight, CallKind::kConvolution, op);
  if (!road || road.transposed || road.weight.dim() != static_cast<int64_t>(N) + 2) {
    return call<N>(input, seen_or_same(weight, CallKind::kConvolution, op), offset, stride, padding,
                   dilation, groups);
  }
  ConvolutionCall asked{
      .stride = spread(stride, N), .dilation = spread(dilation, N), .groups = groups};
  if constexpr (std::is_same_v<Padding, IntArrayRef>) {
    asked.padding = spread(padding, N);
  } else if (padding == "same") {
    asked.same_padding = true;
  } else {
    TORCH_CHECK(padding == "valid", op, ": padding must be 'valid' or 'same', got '", padding, "'");
    asked.padding.assign(N, 0);
  }
  bool is_batch = input.dim() == static_cast<int64_t>(N) + 2;
  auto y =
      road.layer->convolution(is_batch ? input : input.unsqueeze(0), road.weight, offset, asked);
  return is_batch ? y : y.squeeze(0);
}

template <size_t N>
void register_dimension(torch::Library& aten, const std::string& name) {
  aten.impl(name.c_str(), convolution<N, IntArrayRef>);
  aten.impl((name + ".padding").c_str(), convolution<N, std::string_view>);
}

}  // namespace

void register_convolution_kernels(torch::Library& aten) {
  register_dimension<1>(aten, "conv1d");
  register_dimension<2>(aten, "conv2d");
  register_dimension<3>(aten, "conv3d");
}

}  // namespace peft::dispatch
