#include "peft/methods/lora/variants/monteclora.h"

#include <ATen/ATen.h>

#include <cmath>

#include "peft/base/json_fields.h"
#include "peft/base/warnings.h"
#include "peft/methods/lora/products.h"

namespace peft::lora {
namespace {

using at::Tensor;

constexpr const char* kSlot = "lora_monteclora_sampler";

// exp of the prior times the drawn diagonal, kept away from zero.  -> [R]
Tensor variance_of(const Tensor& std_prior, const Tensor& wishart) {
  return (std_prior.exp().square() * wishart).clamp_min(1e-3);
}

// A draw of the Dirichlet distribution's softmax approximation.  -> [N]
Tensor mixture_of(const Tensor& prior, const Tensor& noise) {
  const auto n = static_cast<double>(prior.size(0));
  const Tensor alpha = prior.exp().clamp_min(1e-6);
  const Tensor mean = alpha.log() - alpha.log().mean();
  const Tensor variance =
      (alpha.reciprocal() * (1 - 2 / n) + alpha.reciprocal().sum() / (n * n)).clamp_min(1e-6);
  return ((variance + 1e-6).sqrt() * noise + mean).softmax(-1);
}

Tensor dirichlet_distance(const Tensor& alpha, double prior) {
  const Tensor other = at::full_like(alpha, prior);
  const auto gamma = [](const Tensor& x) { return x.lgamma().exp(); };
  return (gamma(alpha.sum()) / gamma(other.sum())).log() +
         (gamma(alpha) / gamma(other)).log().sum() +
         ((alpha - other) * (alpha.digamma() - alpha.sum().digamma())).sum();
}

Tensor wishart_distance(const Tensor& variance, double r) {
  return 0.5 * (-variance.log().sum() * r + variance.sum() * r - r * r);
}

Tensor normal_distance(const Tensor& variance, double samples) {
  const auto r = static_cast<double>(variance.size(0));
  return samples * 0.5 * (variance.sum() - variance.clamp_min(1e-6).log().sum() - r);
}

}  // namespace

MontecloraConfig MontecloraConfig::parse(const Json& object) {
  const FieldPath path{"LoraConfig", "monteclora_config"};
  MontecloraConfig config;
  read_value(object, config, path);
  const auto refuse = [&](const char* key, const char* expected) {
    throw_wrong_type(object.at(key), expected, path.child(key));
  };
  if (config.num_samples <= 0) refuse("num_samples", "a positive integer");
  if (!(config.dirichlet_prior > 0)) refuse("dirichlet_prior", "a positive number");
  if (config.buffer_size <= 0) refuse("buffer_size", "a positive integer");
  return config;
}

MontecloraVariant::MontecloraVariant(const LoraConfig& config, const Site& site)
    : config_(MontecloraConfig::parse(config.monteclora_config)),
      kind_(site.kind),
      in_features_(site.in_features) {}

void MontecloraVariant::prepare(LoraAdapter& adapter, const VariantSetup&) {
  rank_ = adapter.a.size(0);
}

void MontecloraVariant::attach(const VariantSetup& setup, const at::TensorOptions& options,
                               AdapterSlots& slots) {
  const auto put = [&](const char* name, const Tensor& value, bool is_buffer) {
    return slots.add_tree(kSlot, setup.adapter, name, value.to(options), is_buffer);
  };
  const int64_t n = config_.num_samples;
  std_prior_ = put("std_prior", at::rand({rank_}), false);
  expert_weights_prior_ = put("expert_weights_prior", at::rand({n}), false);
  gaussian_var_prior_ = put("gaussian_var_prior", at::eye(rank_), true);
  expert_weights_ = put("expert_weights", at::full({n}, 1.0 / static_cast<double>(n)), true);
}

// The diagonal of a Wishart matrix of R degrees of freedom around the identity: each number is a
// sum of R squares of normal ones.
MontecloraNoise MontecloraVariant::draw() const {
  if (noise_) return noise_();
  const auto options = std_prior_.options().requires_grad(false);
  const int64_t n = config_.num_samples;
  return {.normal = at::randn({n, in_features_, rank_}, options),
          .wishart = at::randn({rank_, rank_}, options).square().sum(1),
          .mixture = at::randn({n}, options)};
}

// The mean of the draws, weighted as learnt; A itself where they are not finite.  a [R, I] -> [R,
// I]
Tensor MontecloraVariant::sampled(const Tensor& a) const {
  const MontecloraNoise noise = draw();
  variance_ = variance_of(std_prior_, noise.wishart);
  mixture_ = mixture_of(expert_weights_prior_, noise.mixture);
  {
    const at::NoGradGuard no_grad;
    gaussian_var_prior_.copy_(at::diag(variance_));
    expert_weights_.copy_(mixture_);
  }
  const Tensor draws = noise.normal * variance_.sqrt() * config_.sample_scaler;  // [N, I, R]
  const Tensor shift = at::tensordot(mixture_, draws, {0}, {0}).t();             // [R, I]
  if (at::isnan(shift).any().item<bool>()) {
    warn("Monteclora sampling produced NaNs, using base weights.");
    return a;
  }
  return a + shift;
}

Tensor MontecloraVariant::linear(const LoraAdapter& adapter, const LinearCall& call,
                                 const Tensor& y) const {
  LoraAdapter now = adapter;
  if (call.training) now.a = sampled(adapter.a);
  const Tensor update = low_rank_product(now, dropped(call.x, call.dropout));
  return y + update.to(y.scalar_type()) * adapter.scaling;
}

Tensor MontecloraVariant::delta(const LoraAdapter& adapter, const Tensor&, const Tensor&) const {
  return weight_change(adapter, kind_);
}

Tensor MontecloraVariant::loss() const {
  const Tensor variance = variance_.defined() ? variance_ : gaussian_var_prior_.diagonal();
  const Tensor mixture = mixture_.defined() ? mixture_ : expert_weights_;
  const auto r = static_cast<double>(rank_);
  const Tensor distance = dirichlet_distance(expert_weights_prior_.exp(), config_.dirichlet_prior) +
                          wishart_distance(std_prior_.exp().square(), r) +
                          normal_distance(variance, static_cast<double>(config_.num_samples));
  const Tensor loss = config_.kl_loss_weight * distance;
  return config_.use_entropy ? loss + mixture.square().sum() : loss;
}

}  // namespace peft::lora
