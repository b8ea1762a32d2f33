#include "peft/methods/lora/variants/dora.h"

#include <ATen/ATen.h>

#include <atomic>

#include "peft/methods/lora/linear_function.h"
#include "peft/methods/lora/products.h"
#include "peft/tensor/device.h"

namespace peft {
namespace {

std::atomic<bool> caching{false};

}  // namespace

DoraCaching::DoraCaching(bool enabled) : before_(caching.exchange(enabled)) {}

DoraCaching::~DoraCaching() { caching = before_; }

namespace lora {
namespace {

using at::Tensor;

// One output a row.  -> [O, I·k], of an embedding [D, V]
Tensor as_rows(const Tensor& weight, SiteKind kind) {
  return has_input_rows(kind) ? weight.t() : weight.reshape({weight.size(0), -1});
}

// A number an output in the shape that multiplies the site's weight.
Tensor over_weight(const Tensor& factor, const Tensor& weight, SiteKind kind) {
  if (has_input_rows(kind)) {
    return factor.view({1, -1});
  }
  std::vector<int64_t> shape(static_cast<size_t>(weight.dim()), 1);
  shape[0] = -1;
  return factor.view(shape);
}

// A number a channel in the shape that multiplies a convolution's result.
Tensor over_channels(const Tensor& factor, const Tensor& y) {
  std::vector<int64_t> shape(static_cast<size_t>(y.dim()), 1);
  shape[1] = -1;
  return factor.view(shape);
}

bool has_version(const Tensor& tensor) { return tensor.defined() && !tensor.is_inference(); }

}  // namespace

void DoraVariant::attach(const VariantSetup& setup, const at::TensorOptions& options,
                         AdapterSlots& slots) {
  std::vector<int64_t> shape{setup.site.out_features};
  if (kind_ == SiteKind::kConvolution) {
    shape.assign(setup.site.weight_shape.size(), 1);
    shape[1] = setup.site.out_features;
  }
  magnitude_ = slots.add("lora_magnitude_vector", setup.adapter, "weight",
                         at::zeros(shape, options), FileName::kSlot);
}

BaseChange DoraVariant::initialise(const LoraAdapter& adapter, const Tensor& weight) {
  const at::NoGradGuard no_grad;
  const Tensor rows = as_rows(weight, kind_);
  const bool travels = ephemeral_gpu_offload_ && adapter.a.is_cpu();
  magnitude_.copy_(
      (travels ? norm_on_gpu(adapter, rows) : norm(adapter, rows)).view(magnitude_.sizes()));
  return {};
}

// The same, computed on the GPU.
Tensor DoraVariant::norm_on_gpu(const LoraAdapter& adapter, const Tensor& rows) const {
  const at::Device gpu =
      checked_device(at::Device(at::kCUDA), "runtime_config: ephemeral_gpu_offload");
  LoraAdapter there = adapter;
  there.a = adapter.a.to(gpu);
  there.b = adapter.b.to(gpu);
  return norm(there, rows.to(gpu)).cpu();
}

// ‖W + s B A‖ of each output, in the adapter's precision and without a gradient.
//   rows [O, K] -> [O]
// Convolutions with groups have a product of B and A with as many numbers as the weight, in another
// order; as in Python they are taken in the order in which they lie.
Tensor DoraVariant::norm(const LoraAdapter& adapter, const Tensor& rows) const {
  const at::NoGradGuard no_grad;
  const int64_t rank = adapter.a.size(0);
  const Tensor base = rows.to(adapter.a.scalar_type());
  const Tensor a = adapter.a.reshape({rank, -1}), b = adapter.b.reshape({-1, rank});
  const Tensor sum = b.size(0) == base.size(0)
                         ? at::addmm(base, b, a, 1, adapter.scaling)
                         : base + (at::mm(b, a) * adapter.scaling).view(base.sizes());
  return at::linalg_vector_norm(sum, 2, at::IntArrayRef{1});
}

// m / ‖W + s B A‖.  rows [O, K], the weight's -> [O]
Tensor DoraVariant::factor(const LoraAdapter& adapter, const Tensor& weight,
                           const Tensor& rows) const {
  const Tensor magnitude = magnitude_.flatten();
  const bool keep = caching && !at::GradMode::is_enabled() && has_version(adapter.a) &&
                    has_version(adapter.b) && has_version(weight);
  if (!keep) return magnitude / norm(adapter, rows);
  Cached now{.a = adapter.a.data_ptr(),
             .b = adapter.b.data_ptr(),
             .weight = weight.data_ptr(),
             .a_version = static_cast<int64_t>(adapter.a._version()),
             .b_version = static_cast<int64_t>(adapter.b._version()),
             .weight_version = static_cast<int64_t>(weight._version())};
  const std::lock_guard lock(mutex_);
  if (!cached_.norm.defined() || !cached_.matches(now)) {
    now.norm = norm(adapter, rows);
    cached_ = now;
  }
  return magnitude / cached_.norm;
}

Tensor DoraVariant::linear(const LoraAdapter& adapter, const LinearCall& call,
                           const Tensor& y) const {
  const Tensor scale = factor(adapter, call.weight, call.weight);
  const auto type = y.scalar_type();
  const Tensor seen = dropped(call.x, call.dropout);
  const Tensor update = low_rank_product(adapter, seen).to(type) * adapter.scaling;
  if (call.dropout > 0.0) {
    return y + (scale - 1) * at::linear(seen, call.weight).to(type) + scale * update;
  }
  const bool biased = call.bias && call.bias->defined();
  const Tensor direction = (biased ? y - call.bias->to(type) : y) + update;
  return biased ? direction * scale + call.bias->to(type) : direction * scale;
}

Tensor DoraVariant::linear_alone(const LoraAdapter& adapter, const LinearCall& call) const {
  if (call.dropout > 0.0) return LoraVariant::linear_alone(adapter, call);
  const LinearUpdate update{.a = adapter.a, .b = adapter.b, .scaling = adapter.scaling};
  const Tensor direction = lora_linear(call.x, call.weight, std::nullopt, update);
  const Tensor y =
      direction * factor(adapter, call.weight, call.weight).to(direction.scalar_type());
  return call.bias && call.bias->defined() ? y + *call.bias : y;
}

Tensor DoraVariant::embedding(const LoraAdapter& adapter, const Tensor& weight,
                              const EmbeddingCall& call, const Tensor& y) const {
  const Tensor scale = factor(adapter, weight, as_rows(weight, kind_));
  const Tensor update = low_rank_lookup(adapter.a.t(), adapter.b.t(), call) * adapter.scaling;
  return scale * (y + update);
}

Tensor DoraVariant::convolution(const LoraAdapter& adapter, const Tensor& x, const Tensor& weight,
                                const std::optional<Tensor>& bias, const ConvolutionCall& call,
                                double dropout, const Tensor& y) const {
  const Tensor scale = over_channels(factor(adapter, weight, as_rows(weight, kind_)), y);
  const Tensor seen = dropped(x, dropout);
  const Tensor update = low_rank_convolution(adapter, seen, call).to(y.scalar_type());
  Tensor direction;  // of the base, without its bias
  if (dropout > 0.0) {
    direction = convolve(seen, weight, std::nullopt, call).to(y.scalar_type());
  } else if (bias && bias->defined()) {
    direction = y - over_channels(bias->to(y.scalar_type()), y);
  } else {
    direction = y;
  }
  return y + (scale - 1) * direction + scale * update * adapter.scaling;
}

Tensor DoraVariant::delta(const LoraAdapter& adapter, const Tensor& weight,
                          const Tensor& base) const {
  const Tensor scale = magnitude_.flatten() / norm(adapter, as_rows(base, kind_));
  const Tensor wide = weight.to(adapter.b.scalar_type());
  return over_weight(scale, weight, kind_) * (wide + weight_change(adapter, kind_)) - wide;
}

}  // namespace lora
}  // namespace peft
