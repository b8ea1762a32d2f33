#include "peft/optimizers.h"

#include <ATen/ATen.h>

#include <cmath>
#include <map>
#include <set>

#include "peft/adapter/file_prefix.h"
#include "peft/base/json_text.h"
#include "peft/methods/lora/layer.h"

namespace peft {
namespace {

using at::Tensor;

// The layers of the model whose own weights no decay is for.
std::set<std::string> norm_layers(const PeftModel& model) {
  std::set<std::string> names;
  for (const ModuleEntry& module : model.tuner().tree().modules()) {
    if (class_name(module) == "LayerNorm") names.insert(module.name);
  }
  return names;
}

// The module that a parameter belongs to, without the nodes that hold copies of it.
std::string owner(const std::string& parameter) {
  std::string name = without_file_prefix(parameter);
  const std::string copies = ".modules_to_save.";
  if (const auto at = name.find(copies); at != std::string::npos) {
    const auto end = name.find('.', at + copies.size());
    name = name.substr(0, at) + (end == std::string::npos ? "" : name.substr(end));
  }
  return parent_name(name);
}

void check_positive(double value, const char* name) {
  if (std::isfinite(value) && value > 0) return;
  throw ConfigError(std::string("optimizer: ") + name + ": expected a number above 0, got " +
                    python_float(value) + ".");
}

void check_not_negative(double value, const char* name, double below) {
  if (value >= 0 && value < below) return;
  throw ConfigError(std::string("optimizer: ") + name + ": expected a number from 0" +
                    (std::isfinite(below) ? " and below " + python_float(below) : "") + ", got " +
                    python_float(value) + ".");
}

// (M + reg)⁻¹ of a small square matrix.
Tensor damped_inverse(const Tensor& matrix, double reg) {
  return at::linalg_pinv(matrix + reg * at::eye(matrix.size(0), matrix.options()));
}

// The A and B of every adapter at every layer that a filter lets through.
template <typename Keep>
std::vector<LoraPair> pairs_of(const PeftModel& model, Keep keep) {
  std::vector<LoraPair> pairs;
  for (const Attachment& attachment : model.tuner().attachments()) {
    const auto* layer = dynamic_cast<const lora::LoraLayer*>(attachment.layer.get());
    if (layer == nullptr) continue;
    for (const auto& [name, config] : model.peft_config()) {
      if (!layer->has(name)) continue;
      const lora::LoraAdapter& adapter = layer->adapter(name);
      if (keep(layer->site(), adapter)) pairs.push_back({adapter.a, adapter.b, adapter.scaling});
    }
  }
  return pairs;
}

}  // namespace

std::vector<LoraPlusGroup> loraplus_groups(const PeftModel& model, const LoraPlusOptions& options) {
  check_positive(options.lr, "lr");
  check_positive(options.loraplus_lr_ratio, "loraplus_lr_ratio");
  check_not_negative(options.loraplus_lr_embedding, "loraplus_lr_embedding", INFINITY);
  check_not_negative(options.loraplus_weight_decay, "loraplus_weight_decay", INFINITY);
  const double fast = options.lr * options.loraplus_lr_ratio;
  LoraPlusGroup a{{}, {}, options.lr, options.loraplus_weight_decay};
  LoraPlusGroup embedding{{}, {}, options.loraplus_lr_embedding, options.loraplus_weight_decay};
  LoraPlusGroup b{{}, {}, fast, options.loraplus_weight_decay};
  LoraPlusGroup b_without_decay{{}, {}, fast, 0.0};
  const auto norms = norm_layers(model);
  for (const auto& [name, tensor] : model.trainable_parameters()) {
    LoraPlusGroup* group = &a;
    if (name.find(".lora_embedding_") != std::string::npos) {
      group = &embedding;
    } else if (name.find("lora_B") != std::string::npos || tensor.dim() == 1) {
      const bool decays = name.find("bias") == std::string::npos && !norms.contains(owner(name));
      group = decays ? &b : &b_without_decay;
    }
    group->names.push_back(name);
    group->parameters.push_back(tensor);
  }
  return {a, embedding, b, b_without_decay};
}

std::vector<LoraPair> lora_pairs(const PeftModel& model) {
  return pairs_of(model, [](const Site& site, const lora::LoraAdapter& adapter) {
    return site.kind != SiteKind::kEmbedding && adapter.a.dim() == 2 && adapter.b.dim() == 2 &&
           adapter.a.requires_grad() && adapter.b.requires_grad();
  });
}

void precondition_gradients(const std::vector<LoraPair>& pairs, double reg) {
  const at::NoGradGuard no_grad;
  for (const LoraPair& pair : pairs) {
    const auto type = at::promote_types(pair.a.scalar_type(), at::kFloat);
    const Tensor a = pair.a.detach().to(type), b = pair.b.detach().to(type);
    Tensor da = pair.a.grad(), db = pair.b.grad();
    if (da.defined()) da.copy_(at::mm(damped_inverse(at::mm(b.t(), b), reg), da.to(type)));
    if (db.defined()) db.copy_(at::mm(db.to(type), damped_inverse(at::mm(a, a.t()), reg)));
  }
}

LoraFaOptimizer::LoraFaOptimizer(const PeftModel& model, const LoraFaOptions& options)
    : options_(options) {
  check_not_negative(options.lr, "lr", INFINITY);
  check_not_negative(options.beta1, "beta1", 1.0);
  check_not_negative(options.beta2, "beta2", 1.0);
  check_not_negative(options.eps, "eps", INFINITY);
  std::map<const void*, LoraPair> by_b;
  std::set<const void*> factors;  // every A, of which none moves
  const auto learns = [](const Site&, const lora::LoraAdapter& adapter) {
    return adapter.a.dim() == 2 && adapter.b.requires_grad();
  };
  for (const LoraPair& pair : pairs_of(model, learns)) {
    by_b[pair.b.unsafeGetTensorImpl()] = pair;
    factors.insert(pair.a.unsafeGetTensorImpl());
  }
  for (const auto& [name, tensor] : model.trainable_parameters()) {
    if (name.find("lora_A") != std::string::npos) tensor.requires_grad_(false);
    if (!tensor.requires_grad() || factors.contains(tensor.unsafeGetTensorImpl())) continue;
    Slot slot{.parameter = tensor};
    const auto pair = by_b.find(tensor.unsafeGetTensorImpl());
    if (pair != by_b.end()) {
      slot.a = pair->second.a;
      slot.scaling = pair->second.scaling;
    }
    slot.exp_avg = at::zeros_like(tensor.detach());
    slot.exp_avg_sq = at::zeros_like(tensor.detach());
    slots_.push_back(std::move(slot));
  }
}

void LoraFaOptimizer::step() {
  const at::NoGradGuard no_grad;
  for (Slot& slot : slots_) {
    if (slot.parameter.grad().defined()) update(slot);
  }
}

void LoraFaOptimizer::zero_grad() {
  for (Slot& slot : slots_) slot.parameter.mutable_grad().reset();
}

// The gradient of B that comes closest to that of the whole weight. A does not learn, so that the
// inverse is made once; as in Python the product runs in bfloat16.
Tensor LoraFaOptimizer::projected(Slot& slot, const Tensor& gradient) {
  const auto version = static_cast<int64_t>(slot.a._version());
  if (!slot.inverse.defined() || slot.inverse_version != version) {
    const Tensor a = slot.a.detach();
    slot.inverse = damped_inverse(at::mm(a, a.t()), 1e-8).to(at::kBFloat16);
    slot.inverse_version = version;
  }
  return (at::mm(gradient.to(at::kBFloat16), slot.inverse) * (1 / (slot.scaling * slot.scaling)))
      .to(gradient.scalar_type());
}

void LoraFaOptimizer::update(Slot& slot) const {
  Tensor gradient = slot.parameter.grad();
  if (slot.a.defined()) gradient = projected(slot, gradient);
  slot.steps += 1;
  slot.exp_avg.mul_(options_.beta1).add_(gradient, 1 - options_.beta1);
  slot.exp_avg_sq.mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
  const auto steps = static_cast<double>(slot.steps);
  const double size = options_.lr * std::sqrt(1 - std::pow(options_.beta2, steps)) /
                      (1 - std::pow(options_.beta1, steps));
  Tensor parameter = slot.parameter.detach();
  parameter.addcdiv_(slot.exp_avg, slot.exp_avg_sq.sqrt().add_(options_.eps), -size);
  if (options_.weight_decay > 0) parameter.mul_(1 - options_.lr * options_.weight_decay);
}

std::unique_ptr<LoraFaOptimizer> create_lorafa_optimizer(const PeftModel& model,
                                                         const LoraFaOptions& options) {
  return std::make_unique<LoraFaOptimizer>(model, options);
}

}  // namespace peft
