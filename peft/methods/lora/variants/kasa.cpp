#include "peft/methods/lora/variants/kasa.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/json_fields.h"
#include "peft/methods/lora/products.h"

namespace peft::lora {
namespace {

using at::Tensor;

// A with the diagonal in it.
LoraAdapter weighted(const LoraAdapter& adapter, const Tensor& diagonal) {
  LoraAdapter out = adapter;
  out.a = adapter.a * diagonal.unsqueeze(1);
  return out;
}

Tensor distance_from_one(const Tensor& gram) {
  return at::linalg_vector_norm(gram - at::eye(gram.size(0), gram.options()));
}

}  // namespace

KasaConfig KasaConfig::parse(const Json& object) {
  const FieldPath path{"LoraConfig", "kasa_config"};
  KasaConfig config;
  read_value(object, config, path);
  for (const auto& [key, value] :
       {std::pair("beta", config.beta), std::pair("gamma", config.gamma)}) {
    if (!(value >= 0)) throw_wrong_type(object.at(key), "a number of at least 0", path.child(key));
  }
  return config;
}

void KasaVariant::prepare(LoraAdapter& adapter, const VariantSetup& setup) {
  module_ = setup.site.module_name;
  config_ = KasaConfig::parse(setup.config.kasa_config);
  rank_ = adapter.a.size(0);
  const int64_t least = std::min(setup.site.in_features, setup.site.out_features);
  if (rank_ < least) return;
  throw ConfigError("target module '" + module_ + "': kasa_config: expected a rank below " +
                    std::to_string(least) + ", the smaller side of the weight, got " +
                    std::to_string(rank_) + ": nothing of the weight would stay. Lower r.");
}

void KasaVariant::attach(const VariantSetup& setup, const at::TensorOptions& options,
                         AdapterSlots& slots) {
  diagonal_ = slots.add("lora_diag", setup.adapter, "", at::randn({rank_}).to(options));
}

BaseChange KasaVariant::initialise(const LoraAdapter&, const Tensor& weight) {
  const at::NoGradGuard no_grad;
  const auto [u, s, vh] = at::linalg_svd(weight.to(at::kFloat), false);
  const int64_t kept = s.size(0) - rank_;
  const Tensor truncated =
      at::mm(u.narrow(1, 0, kept) * s.narrow(0, 0, kept), vh.narrow(0, 0, kept));
  return {.weight = truncated.to(weight.scalar_type())};
}

Tensor KasaVariant::linear(const LoraAdapter& adapter, const LinearCall& call,
                           const Tensor& y) const {
  const Tensor x = dropped(call.x, call.dropout);
  const Tensor low = at::linear(x, adapter.a.to(x.scalar_type())) * diagonal_.to(x.scalar_type());
  return y + times_b(adapter, low).to(y.scalar_type()) * adapter.scaling;
}

Tensor KasaVariant::delta(const LoraAdapter& adapter, const Tensor&, const Tensor&) const {
  return weight_change(weighted(adapter, diagonal_), SiteKind::kLinear);
}

Tensor KasaVariant::loss(const LoraAdapter& adapter) const {
  const Tensor a = adapter.a.to(at::kFloat), b = adapter.b.to(at::kFloat);
  const Tensor squares = diagonal_.to(at::kFloat).square().sum();
  return config_.beta * squares + config_.gamma * (distance_from_one(at::mm(b.t(), b)) +
                                                   distance_from_one(at::mm(a, a.t())));
}

}  // namespace peft::lora
