#include "peft/adapter/saved_rows.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "peft/base/error.h"

namespace peft {
namespace {

using at::Tensor;

Tensor convolve_rows(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias,
                     const ConvolutionCall& call) {
  const auto apply = [&](const auto& padding) {
    switch (weight.dim()) {
      case 3:
        return at::conv1d(x, weight, bias, call.stride, padding, call.dilation, call.groups);
      case 4:
        return at::conv2d(x, weight, bias, call.stride, padding, call.dilation, call.groups);
      default:
        return at::conv3d(x, weight, bias, call.stride, padding, call.dilation, call.groups);
    }
  };
  return call.same_padding ? apply("same") : apply(at::IntArrayRef(call.padding));
}

std::optional<Tensor> own_bias(const SavedRows::Copy& copy) {
  return copy.bias.defined() ? std::optional(copy.bias) : std::nullopt;
}

}  // namespace

bool SavedRows::trainable() const {
  return std::any_of(copies_.begin(), copies_.end(), [](const Copy& copy) {
    return copy.weight.defined() && copy.weight.requires_grad();
  });
}

std::string SavedRows::input_dependence() const {
  return "each row of the batch has its own adapter (adapter_names)";
}

Tensor SavedRows::delta(const Tensor&) const {
  throw UnsupportedError(parameter_name_ + ": " + input_dependence() + ".");
}

// The base serves all rows, and rows with a copy are then computed anew.
template <typename Compute>
Tensor SavedRows::by_rows(const Tensor& x, const Tensor& of_base, const Compute& compute) const {
  const Tensor rows = groups_.batched(x, parameter_name_);
  Tensor y = groups_.batched(of_base, parameter_name_);
  for (const RowGroups::Group& group : groups_.groups()) {
    const Copy& copy = copies_[group.place];
    if (copy.weight.defined()) y = groups_.put(group, y, compute(groups_.take(group, rows), copy));
  }
  return y.view(of_base.sizes());
}

Tensor SavedRows::linear(const Tensor& x, const Tensor& weight,
                         const std::optional<Tensor>& bias) const {
  return by_rows(x, at::linear(x, weight, bias), [](const Tensor& rows, const Copy& copy) {
    return at::linear(rows, copy.weight, own_bias(copy));
  });
}

Tensor SavedRows::transposed_linear(const Tensor& x, const Tensor& weight,
                                    const std::optional<Tensor>& bias) const {
  Tensor product = at::matmul(x, weight);
  if (bias && bias->defined()) product = product + *bias;
  return by_rows(x, product, [](const Tensor& rows, const Copy& copy) {
    const Tensor own = at::matmul(rows, copy.weight);
    return copy.bias.defined() ? own + copy.bias : own;
  });
}

Tensor SavedRows::embedding(const Tensor& weight, const EmbeddingCall& call) const {
  const auto look_up = [&](const Tensor& table, const Tensor& indices) {
    return at::embedding(table, indices, call.padding_idx, call.scale_grad_by_freq, call.sparse);
  };
  return by_rows(call.indices, look_up(weight, call.indices),
                 [&](const Tensor& rows, const Copy& copy) { return look_up(copy.weight, rows); });
}

Tensor SavedRows::convolution(const Tensor& x, const Tensor& weight,
                              const std::optional<Tensor>& bias,
                              const ConvolutionCall& call) const {
  return by_rows(x, convolve_rows(x, weight, bias, call),
                 [&](const Tensor& rows, const Copy& copy) {
                   return convolve_rows(rows, copy.weight, own_bias(copy), call);
                 });
}

}  // namespace peft
