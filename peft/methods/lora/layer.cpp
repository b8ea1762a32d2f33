#include "peft/methods/lora/layer.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/methods/lora/init/initial_values.h"
#include "peft/methods/lora/initialise.h"
#include "peft/methods/lora/linear_function.h"

namespace peft::lora {
namespace {

using at::Tensor;

struct SlotNames {
  const char *a, *b, *leaf;
};

SlotNames slot_names(SiteKind kind) {
  if (kind == SiteKind::kEmbedding) return {"lora_embedding_A", "lora_embedding_B", ""};
  return {"lora_A", "lora_B", "weight"};
}

// s B A. [O, I]; for convolutions A's kernel, mixed by B's 1x1 kernel: [O, I, *k]. As in Python
// adapters in half precision are multiplied in float32 on the CPU and rounded once.
Tensor scaled_product(const LoraAdapter& adapter) {
  const auto dtype = adapter.b.scalar_type();
  const bool half = dtype == at::kHalf || dtype == at::kBFloat16;
  const auto working = adapter.b.is_cpu() && half ? at::kFloat : dtype;
  const Tensor a = adapter.a.flatten(1).to(working);  // [R, I·k]
  const Tensor b = adapter.b.flatten(1).to(working);  // [O, R]
  auto shape = adapter.a.sizes().vec();
  shape[0] = b.size(0);
  return (at::mm(b, a) * adapter.scaling).to(dtype).view(shape);
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

}  // namespace

void LoraLayer::add(const std::string& name, const PeftConfig& config, at::ScalarType dtype) {
  LoraAdapter made = new_adapter(config.as<LoraConfig>(), site());
  const SlotNames names = slot_names(site().kind);
  const auto options = at::TensorOptions().device(site().device).dtype(dtype);
  const auto put = [&](const char* slot, const char* leaf, const Tensor& value) {
    return slots().add(slot, name, leaf, value.to(options));
  };
  made.a = put(names.a, names.leaf, made.a);
  made.b = put(names.b, names.leaf, made.b);
  if (made.bias.defined()) made.bias = put(names.b, "bias", made.bias);
  adapters_[name] = made;
  refresh();
}

BaseChange LoraLayer::initialise(const std::string& name, const PeftConfig& config,
                                 const Tensor& weight) {
  const auto& lora = config.as<LoraConfig>();
  LoraAdapter& mine = adapters_.at(name);
  const InitialValues values = initial_values(lora, site(), mine.a.size(0), mine.scaling, weight);
  const SlotNames names = slot_names(site().kind);
  const auto put = [&](const char* slot, Tensor& held, const Tensor& value) {
    at::NoGradGuard no_grad;
    if (!value.defined()) return;
    if (held.sizes() == value.sizes()) {
      held.copy_(value);
    } else {  // a rank above the weight's smaller side: it is that side
      held = slots().replace(slot, name, names.leaf, value.to(held.options()));
    }
  };
  put(names.a, mine.a, values.a);
  put(names.b, mine.b, values.b);
  if (lora.init_lora_weights.word() == "mica") slots().freeze(names.b, name);
  refresh();
  BaseChange change{.weight = values.weight};
  if (!lora.statistics) return change;
  change.done = [statistics = lora.statistics, module = site().module_name] {
    statistics->eigens.erase(module);
    statistics->gradients.erase(module);
  };
  return change;
}

void LoraLayer::remove(const std::string& name) {
  slots().remove(name);
  adapters_.erase(name);
  refresh();
}

void LoraLayer::present_adapters_changed() {
  running_.clear();
  for (const std::string& name : present_adapters()) running_.push_back(&adapters_.at(name));
}

const LoraAdapter& LoraLayer::adapter(const std::string& name) const {
  const auto found = adapters_.find(name);
  if (found != adapters_.end()) return found->second;
  throw NotFoundError(parameter_name() + ": adapter '" + name + "' does not exist here.");
}

// Python adds attention's adapters to the weights before each call, so their dropout never acts.
bool LoraLayer::is_attention() const {
  return site().kind == SiteKind::kAttentionInput || site().kind == SiteKind::kAttentionOutput;
}

double LoraLayer::dropout_now(const LoraAdapter& adapter) const {
  if (adapter.dropout == 0.0 || is_attention() || !slots().training()) return 0.0;
  return adapter.dropout;
}

std::string LoraLayer::input_dependence() const {
  if (site().kind == SiteKind::kConvolution && site().groups > 1) {
    return "LoRA on a convolution with groups > 1 mixes channels of all groups, which no weight of "
           "the layer's shape can";
  }
  for (const LoraAdapter* adapter : running_) {
    const bool drops = site().kind != SiteKind::kEmbedding && dropout_now(*adapter) > 0.0;
    if (drops) return "LoRA's dropout is active: call eval() or set lora_dropout to 0";
    if (adapter->bias.defined()) return "the adapter has a bias of its own (lora_bias)";
  }
  return {};
}

Tensor LoraLayer::delta_of(const std::string& name, const Tensor&) const {
  const LoraAdapter& adapter = this->adapter(name);
  switch (site().kind) {
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

Tensor LoraLayer::bias_delta_of(const std::string& name) const {
  const LoraAdapter& adapter = this->adapter(name);
  return adapter.bias.defined() ? adapter.bias * adapter.scaling : Tensor();
}

std::string LoraLayer::merge_obstacle(const std::string& name) const {
  if (site().kind == SiteKind::kConvolution && site().groups > 1) {
    return "merging is not supported for convolutions with groups > 1";
  }
  if (adapter(name).bias.defined() && !site().has_bias) {
    return "impossible to merge LoRA with `lora_bias=True` because the base layer has no bias";
  }
  return {};
}

// The general road: plain operators that autograd and autocast know.
Tensor LoraLayer::add_linear(Tensor y, const Tensor& x) const {
  const auto dtype = y.scalar_type();
  for (const LoraAdapter* adapter : running_) {
    const Tensor seen = dropped(x, dropout_now(*adapter));
    const Tensor low = at::linear(seen, adapter->a.to(seen.scalar_type()));
    Tensor update = at::linear(low, adapter->b.to(low.scalar_type()));
    if (adapter->bias.defined()) update = update + adapter->bias.to(update.scalar_type());
    y = y + update.to(dtype) * adapter->scaling;
  }
  return y;
}

Tensor LoraLayer::linear(const Tensor& x, const Tensor& weight,
                         const std::optional<Tensor>& bias) const {
  if (site().kind == SiteKind::kAttentionOutput) {
    Tensor y = at::linear(x, weight + delta(weight).to(weight.scalar_type()), bias);
    for (const LoraAdapter* adapter : running_) {
      if (adapter->bias.defined()) y = y + (adapter->bias * adapter->scaling).to(y.scalar_type());
    }
    return y;
  }
  const bool simple = running_.size() == 1 && !running_[0]->bias.defined() &&
                      x.scalar_type() == weight.scalar_type() && x.is_floating_point() &&
                      x.layout() == at::kStrided && weight.layout() == at::kStrided &&
                      !at::autocast::is_autocast_enabled(x.device().type());
  if (!simple) return add_linear(at::linear(x, weight, bias), x);
  const LoraAdapter& one = *running_[0];
  return lora_linear(x, weight, bias, {one.a, one.b, one.scaling, dropout_now(one)});
}

Tensor LoraLayer::transposed_linear(const Tensor& x, const Tensor& weight,
                                    const std::optional<Tensor>& bias) const {
  if (site().kind == SiteKind::kTransposedLinear) return linear(x, weight.t(), bias);
  // A weight [O, I] that is multiplied as it lies: x [..., O] W is x (W + s B A).
  const std::string reason = input_dependence();
  if (!reason.empty()) throw UnsupportedError(parameter_name() + ": " + reason + ".");
  if (site().kind == SiteKind::kAttentionOutput) {
    const Tensor product = at::matmul(x, weight + delta(weight).to(weight.scalar_type()));
    return bias && bias->defined() ? product + *bias : product;
  }
  Tensor y = at::matmul(x, weight);
  for (const LoraAdapter* adapter : running_) {
    const Tensor low = at::matmul(x, adapter->b.to(x.scalar_type()));
    y = y + at::matmul(low, adapter->a.to(x.scalar_type())).to(y.scalar_type()) * adapter->scaling;
  }
  return bias && bias->defined() ? y + *bias : y;
}

Tensor LoraLayer::embedding(const Tensor& weight, const EmbeddingCall& call) const {
  Tensor y =
      at::embedding(weight, call.indices, call.padding_idx, call.scale_grad_by_freq, call.sparse);
  const auto dtype = y.scalar_type();
  for (const LoraAdapter* adapter : running_) {
    const bool lookup = site().kind == SiteKind::kEmbedding;
    const Tensor rows = lookup ? adapter->a.t() : adapter->b;  // [V, R]
    const Tensor out = lookup ? adapter->b.t() : adapter->a;   // [R, D]
    const Tensor low =
        at::embedding(rows, call.indices, call.padding_idx, call.scale_grad_by_freq, false);
    y = y + at::matmul(low, out) * adapter->scaling;
  }
  return y.to(dtype);
}

Tensor LoraLayer::convolution(const Tensor& x, const Tensor& weight,
                              const std::optional<Tensor>& bias,
                              const ConvolutionCall& call) const {
  Tensor y = convolve(x, weight, bias, call);
  const auto dtype = y.scalar_type();
  for (const LoraAdapter* adapter : running_) {
    ConvolutionCall mix = call;
    mix.groups = 1;
    const Tensor seen = dropped(x, dropout_now(*adapter));
    const Tensor low = convolve(seen, adapter->a.to(seen.scalar_type()), std::nullopt, mix);
    const std::vector<int64_t> ones(static_cast<size_t>(weight.dim() - 2), 1);
    const std::vector<int64_t> zeros(ones.size(), 0);
    const ConvolutionCall point{.stride = ones,
                                .padding = zeros,
                                .dilation = ones,
                                .same_padding = false,
                                .groups = call.groups};
    std::optional<Tensor> own;
    if (adapter->bias.defined()) own = adapter->bias.to(low.scalar_type());
    const Tensor update = convolve(low, adapter->b.to(low.scalar_type()), own, point);
    y = y + update.to(dtype) * adapter->scaling;
  }
  return y;
}

}  // namespace peft::lora
