#include "peft/methods/lora/layer.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/methods/lora/init/initial_values.h"
#include "peft/methods/lora/init/words.h"
#include "peft/methods/lora/initialise.h"
#include "peft/methods/lora/linear_function.h"
#include "peft/methods/lora/parameter_target.h"
#include "peft/methods/lora/products.h"
#include "peft/methods/lora/variants/variant.h"

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

// Whether a call may run as one node: everything in one dtype, dense, and nothing to be cast.
bool is_plain_call(const Tensor& x, const Tensor& weight) {
  return x.scalar_type() == weight.scalar_type() && x.is_floating_point() &&
         x.layout() == at::kStrided && weight.layout() == at::kStrided &&
         !at::autocast::is_autocast_enabled(x.device().type());
}

// A variant that keeps A or B in another shape, or that counts on the rank of the config.
[[noreturn]] void throw_shape_of_variant(const Site& site, const LoraConfig& config,
                                         const Tensor& held, const Tensor& value) {
  throw ConfigError("target module '" + site.module_name +
                    "': init_lora_weights = " + config.init_lora_weights.text() +
                    " beside a variant of LoRA: expected values of shape " +
                    shape_text(held.sizes().vec()) + ", got " + shape_text(value.sizes().vec()) +
                    ". Use init_lora_weights = true, or a rank that is not above the weight's "
                    "smaller side.");
}

// Python takes the tie apart again where A and B begin with other values than random ones.
void check_tie(const Site& site, const LoraConfig& config, const LoraAdapter& mine,
               const Tensor& a) {
  const std::string word = config.init_lora_weights.word();
  if (!config.init_lora_weights.is_bool() && init_kind_of_word(word) != InitKind::kGaussian) {
    throw UnsupportedError("target module '" + site.module_name +
                           "': ensure_weight_tying: expected init_lora_weights = true, false or "
                           "'gaussian', got '" +
                           word + "', which gives the head values of its own. Use another one.");
  }
  if (!mine.variant || mine.a.sizes() == a.sizes()) return;
  throw UnsupportedError("target module '" + site.module_name +
                         "': ensure_weight_tying beside a variant of LoRA: expected lora_A of "
                         "shape " +
                         shape_text(a.sizes().vec()) + ", as the embedding has it, got " +
                         shape_text(mine.a.sizes().vec()) + ". Leave the variant out.");
}

}  // namespace

void LoraLayer::add(const std::string& name, const PeftConfig& config, at::ScalarType dtype) {
  const auto& lora = config.as<LoraConfig>();
  if (site().by_parameter) check_parameter_target(lora, site());
  const auto variant = make_variant(lora, site());
  LoraAdapter made = new_adapter(lora, site());
  const SlotNames names = slot_names(site().kind);
  const auto options = at::TensorOptions().device(site().device).dtype(dtype);
  const VariantSetup setup{.config = lora, .site = site(), .adapter = name, .beside = adapters_};
  if (variant) variant->prepare(made, setup);
  const auto put = [&](const char* slot, const char* leaf, const Tensor& value) {
    return slots().add(slot, name, leaf, value.to(options));
  };
  made.a = put(names.a, names.leaf, made.a);
  made.b = put(names.b, names.leaf, made.b);
  if (made.bias.defined()) made.bias = put(names.b, "bias", made.bias);
  if (variant) variant->attach(setup, options, slots());
  made.variant = variant;
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
      return;
    }
    if (mine.variant) throw_shape_of_variant(site(), lora, held, value);
    // A rank above the weight's smaller side: it is that side.
    held = slots().replace(slot, name, names.leaf, value.to(held.options()));
  };
  put(names.a, mine.a, values.a);
  put(names.b, mine.b, values.b);
  const InitKind kind = init_kind_of_word(lora.init_lora_weights.word());
  if (kind == InitKind::kMica) slots().freeze(names.b, name);
  refresh();
  BaseChange change;
  if (mine.variant) {
    change = mine.variant->initialise(mine, values.weight.defined() ? values.weight : weight);
  }
  if (!change.weight.defined()) change.weight = values.weight;
  if (!lora.statistics) return change;
  change.done = [statistics = lora.statistics, module = site().module_name] {
    statistics->eigens.erase(module);
    statistics->gradients.erase(module);
  };
  return change;
}

// A head's product with Wᵀ + Aᵀ Bᵀ has the embedding's B as its A. Both are parameters, as in
// Python, so that an optimiser takes a step for each of them.
void LoraLayer::tie(const std::string& name, const PeftConfig& config,
                    const TunerLayer& embedding) {
  const auto& lora = config.as<LoraConfig>();
  const auto& other = dynamic_cast<const LoraLayer&>(embedding).adapter(name);
  LoraAdapter& mine = adapters_.at(name);
  const Tensor a = other.b.detach().t(), b = other.a.detach().t();
  check_tie(site(), lora, mine, a);
  at::NoGradGuard no_grad;
  if (!lora.init_lora_weights.is(false) && a.sizes() == mine.a.sizes()) {
    a.copy_(mine.a);
    b.copy_(mine.b);
  }
  mine.a.set_data(a);
  mine.b.set_data(b);
}

void LoraLayer::remove(const std::string& name) {
  slots().remove(name);
  adapters_.erase(name);
  refresh();
}

void LoraLayer::present_adapters_changed() {
  running_.clear();
  for (const std::string& name : present_adapters()) running_.push_back(&adapters_.at(name));
  varied_ = std::any_of(running_.begin(), running_.end(),
                        [](const LoraAdapter* adapter) { return adapter->variant != nullptr; });
  sort_rows();
}

void LoraLayer::sort_rows() {
  if (rows() == nullptr) {
    mixed_.reset();
    return;
  }
  std::vector<const LoraAdapter*> adapters;
  for (const std::string& name : rows()->adapters) {
    const auto found = adapters_.find(name);
    adapters.push_back(found == adapters_.end() ? nullptr : &found->second);
  }
  mixed_ = mixed_ && mixed_->has_adapters(adapters)
               ? mixed_->with_rows(*rows())
               : std::make_shared<MixedRows>(parameter_name(), *rows(), std::move(adapters));
}

std::string LoraLayer::mixed_batch_obstacle(const std::string& name) const {
  if (is_attention()) return "lora.MultiheadAttention does not support mixed adapter batches";
  if (site().kind == SiteKind::kExperts || site().by_parameter) {
    return "lora.ParamWrapper does not support mixed adapter batches yet";
  }
  const auto& variant = adapter(name).variant;
  return variant ? variant->mixed_batch_obstacle() : std::string();
}

const LoraAdapter& LoraLayer::adapter(const std::string& name) const {
  const auto found = adapters_.find(name);
  if (found != adapters_.end()) return found->second;
  throw NotFoundError(parameter_name() + ": adapter '" + name + "' does not exist here.");
}

void LoraLayer::set_scaling(const std::string& name, double scaling) {
  adapter(name);
  adapters_.at(name).scaling = scaling;
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
  if (mixed_) return "each row of the batch has its own adapter (adapter_names)";
  if (site().kind == SiteKind::kConvolution && site().groups > 1) {
    return "LoRA on a convolution with groups > 1 mixes channels of all groups, which no weight of "
           "the layer's shape can";
  }
  for (const LoraAdapter* adapter : running_) {
    const bool drops = site().kind != SiteKind::kEmbedding && dropout_now(*adapter) > 0.0;
    if (drops) return "LoRA's dropout is active: call eval() or set lora_dropout to 0";
    if (adapter->bias.defined()) return "the adapter has a bias of its own (lora_bias)";
    if (!adapter->variant) continue;
    std::string reason = adapter->variant->input_dependence();
    if (!reason.empty()) return reason;
  }
  return {};
}

Tensor LoraLayer::delta_of(const std::string& name, const Tensor& weight) const {
  return delta_after(name, weight, weight);
}

bool LoraLayer::builds_on_others(const std::string& name) const {
  const LoraAdapter& adapter = this->adapter(name);
  return adapter.variant && adapter.variant->builds_on_others();
}

Tensor LoraLayer::delta_after(const std::string& name, const Tensor& weight,
                              const Tensor& base) const {
  const LoraAdapter& adapter = this->adapter(name);
  if (adapter.variant) return adapter.variant->delta(adapter, weight, base);
  if (site().kind == SiteKind::kExperts) {
    return expert_change(adapter, site().weight_shape[0], site().experts_transposed);
  }
  return weight_change(adapter, site().kind);
}

// One pass over a stack of experts, without a change of its size beside it.
Tensor LoraLayer::replaced(const Tensor& weight) const {
  const auto type = weight.scalar_type();
  const bool adds =
      type == at::kFloat || type == at::kDouble || type == at::kHalf || type == at::kBFloat16;
  const bool one = site().kind == SiteKind::kExperts && running_.size() == 1;
  if (!one || !adds || at::autocast::is_autocast_enabled(weight.device().type())) return {};
  const ExpertFactors factors =
      expert_factors(*running_[0], site().weight_shape[0], site().experts_transposed);
  return at::baddbmm(weight, factors.left.to(type), factors.right.to(type), 1,
                     running_[0]->scaling);
}

Tensor LoraLayer::bias_delta_of(const std::string& name) const {
  const LoraAdapter& adapter = this->adapter(name);
  return adapter.bias.defined() ? adapter.bias * adapter.scaling : Tensor();
}

std::string LoraLayer::merge_obstacle(const std::string& name) const {
  if (site().kind == SiteKind::kConvolution && site().groups > 1) {
    return "merging is not supported for convolutions with groups > 1";
  }
  const LoraAdapter& adapter = this->adapter(name);
  if (adapter.bias.defined() && !site().has_bias) {
    return "impossible to merge LoRA with `lora_bias=True` because the base layer has no bias";
  }
  return adapter.variant ? adapter.variant->merge_obstacle() : std::string();
}

// A call of another kind than the site's reads one changed weight, which rows do not share.
void LoraLayer::check_each_row(bool served) const {
  if (!served) throw UnsupportedError(parameter_name() + ": " + input_dependence() + ".");
}

// W + delta: for calls that no closer road serves.
Tensor LoraLayer::changed(const Tensor& weight) const {
  return weight + delta(weight).to(weight.scalar_type());
}

// The general road: plain operators that autograd and autocast know.
Tensor LoraLayer::add_linear(Tensor y, const Tensor& x, const Tensor& weight,
                             const std::optional<Tensor>& bias) const {
  const auto dtype = y.scalar_type();
  for (const LoraAdapter* adapter : running_) {
    const double dropout = dropout_now(*adapter);
    if (adapter->variant) {
      const LinearCall call{.x = x,
                            .weight = weight,
                            .bias = bias,
                            .dropout = dropout,
                            .training = slots().training()};
      y = adapter->variant->linear(*adapter, call, y);
      continue;
    }
    const Tensor update = low_rank_product(*adapter, dropped(x, dropout));
    y = y + update.to(dtype) * adapter->scaling;
  }
  return y.to(dtype);
}

Tensor LoraLayer::linear(const Tensor& x, const Tensor& weight,
                         const std::optional<Tensor>& bias) const {
  if (mixed_ && site().kind == SiteKind::kEmbedding) {
    check_each_row(!varied_);
    return mixed_->add_turned(at::linear(x, weight, bias), x);
  }
  if (mixed_) return mixed_->linear(x, weight, bias);
  if (site().kind == SiteKind::kAttentionOutput) {
    Tensor y = at::linear(x, changed(weight), bias);
    for (const LoraAdapter* adapter : running_) {
      if (adapter->bias.defined()) y = y + (adapter->bias * adapter->scaling).to(y.scalar_type());
    }
    return y;
  }
  // An embedding that is multiplied with: a head that is tied to it, adapter and all.
  if (site().kind == SiteKind::kEmbedding) return product_with_embedding(x, weight, bias);
  const bool simple =
      running_.size() == 1 && !running_[0]->bias.defined() && is_plain_call(x, weight);
  if (!simple) return add_linear(at::linear(x, weight, bias), x, weight, bias);
  const LoraAdapter& one = *running_[0];
  const double dropout = dropout_now(one);
  if (one.variant) {
    const LinearCall call{
        .x = x, .weight = weight, .bias = bias, .dropout = dropout, .training = slots().training()};
    return one.variant->linear_alone(one, call).to(x.scalar_type());
  }
  return lora_linear(x, weight, bias, {one.a, one.b, one.scaling, dropout});
}

// x Wᵀ + s x B A with the factors of the lookup turned around.  x [..., D], weight [V, D]
Tensor LoraLayer::product_with_embedding(const Tensor& x, const Tensor& weight,
                                         const std::optional<Tensor>& bias) const {
  if (varied_) return at::linear(x, changed(weight), bias);
  Tensor y = at::linear(x, weight, bias);
  for (const LoraAdapter* adapter : running_) {
    const LoraAdapter turned{.a = adapter->b.t(), .b = adapter->a.t(), .bias = {}};
    y = y + low_rank_product(turned, x).to(y.scalar_type()) * adapter->scaling;
  }
  return y;
}

Tensor LoraLayer::transposed_linear(const Tensor& x, const Tensor& weight,
                                    const std::optional<Tensor>& bias) const {
  if (site().kind == SiteKind::kTransposedLinear) return linear(x, weight.t(), bias);
  // A weight [O, I] that is multiplied as it lies: x [..., O] W is x (W + s B A).
  if (mixed_ && !varied_ && site().kind == SiteKind::kLinear) {
    const Tensor product = mixed_->add_turned(at::matmul(x, weight), x);
    return bias && bias->defined() ? product + *bias : product;
  }
  const std::string reason = input_dependence();
  if (!reason.empty()) throw UnsupportedError(parameter_name() + ": " + reason + ".");
  const bool whole =
      varied_ || site().kind == SiteKind::kAttentionOutput || site().kind == SiteKind::kEmbedding;
  if (whole) {
    const Tensor product = at::matmul(x, changed(weight));
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
  const auto look_up = [&](const Tensor& rows) {
    return at::embedding(rows, call.indices, call.padding_idx, call.scale_grad_by_freq,
                         call.sparse);
  };
  const bool lookup = site().kind == SiteKind::kEmbedding;
  if (mixed_) check_each_row(lookup || !varied_);
  if (mixed_) return mixed_->embedding(look_up(weight), weight, call, lookup);
  if (varied_ && !lookup) return look_up(changed(weight));
  Tensor y = look_up(weight);
  const auto dtype = y.scalar_type();
  for (const LoraAdapter* adapter : running_) {
    if (adapter->variant) {
      y = adapter->variant->embedding(*adapter, weight, call, y);
      continue;
    }
    const Tensor rows = lookup ? adapter->a.t() : adapter->b;  // [V, R]
    const Tensor out = lookup ? adapter->b.t() : adapter->a;   // [R, D]
    y = y + low_rank_lookup(rows, out, call) * adapter->scaling;
  }
  return y.to(dtype);
}

Tensor LoraLayer::convolution(const Tensor& x, const Tensor& weight,
                              const std::optional<Tensor>& bias,
                              const ConvolutionCall& call) const {
  if (mixed_) {
    check_each_row(site().kind == SiteKind::kConvolution);
    return mixed_->convolution(convolve(x, weight, bias, call), x, weight, bias, call);
  }
  if (site().kind != SiteKind::kConvolution) return convolve(x, changed(weight), bias, call);
  Tensor y = convolve(x, weight, bias, call);
  const auto dtype = y.scalar_type();
  for (const LoraAdapter* adapter : running_) {
    const double dropout = dropout_now(*adapter);
    if (adapter->variant) {
      y = adapter->variant->convolution(*adapter, x, weight, bias, call, dropout, y);
      continue;
    }
    const Tensor update = low_rank_convolution(*adapter, dropped(x, dropout), call);
    y = y + update.to(dtype) * adapter->scaling;
  }
  return y.to(dtype);
}

}  // namespace peft::lora
