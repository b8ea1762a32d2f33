#include "peft/methods/lora/init/initial_values.h"

#include <ATen/ATen.h>

#include "peft/base/error.h"
#include "peft/base/warnings.h"
#include "peft/methods/lora/init/factors.h"
#include "peft/methods/lora/init/words.h"
#include "peft/tensor/dtype.h"

namespace peft::lora {
namespace {

using at::Tensor;

[[noreturn]] void throw_at_site(const Site& site, const LoraConfig& config,
                                const std::string& expected, const std::string& advice) {
  throw ConfigError("target module '" + site.module_name + "', a " + site.module_class +
                    ": init_lora_weights: expected " + expected + ", got " +
                    config.init_lora_weights.text() + ". " + advice);
}

// One site's beginning, with all that it depends on.
struct Beginning {
  const LoraConfig& config;
  const Site& site;
  int64_t rank;
  double scaling;
  const Tensor& weight;

  bool transposed() const { return site.kind == SiteKind::kTransposedLinear; }
  // [O, I] float32
  Tensor matrix() const {
    const Tensor wide = weight.to(at::kFloat);
    return transposed() ? wide.t() : wide;
  }
};

void check_half_or_single(const Beginning& it) {
  const auto dtype = it.weight.scalar_type();
  if (dtype == at::kFloat || dtype == at::kHalf || dtype == at::kBFloat16) return;
  throw ConfigError("target module '" + it.site.module_name +
                    "': init_lora_weights = " + it.config.init_lora_weights.text() +
                    ": expected a weight in float32, float16 or bfloat16, got " +
                    std::string(dtype_name(dtype)) + ". Convert the model first.");
}

// Kinds of layer that Python has these ways of beginning for.
void check_kind(const LoraConfig& config, const Site& site, InitKind kind) {
  if (is_linear(site.kind)) return;
  const char* kAdvice = "Choose one of these, or do not target this module.";
  if (site.kind == SiteKind::kEmbedding) {
    if (kind == InitKind::kLoftq) {
      throw_at_site(site, config, "any other way of beginning for an embedding", kAdvice);
    }
    return;
  }
  if (site.kind == SiteKind::kConvolution) {
    if (kind == InitKind::kLoraGa) return;
    throw_at_site(site, config, "true, false, 'gaussian' or 'lora_ga' for a convolution", kAdvice);
  }
  if (kind == InitKind::kEva) return;
  throw_at_site(site, config, "true, false, 'gaussian' or 'eva' for an attention", kAdvice);
}

// Python takes some weights as they are stored, so that on a transposed one A and B get each
// other's sides: it then works for square weights only, and changes what the model computes.
Tensor as_stored(const Beginning& it) {
  if (!it.transposed()) return it.matrix();
  if (it.weight.size(0) != it.weight.size(1)) {
    throw_at_site(it.site, it.config, "another way of beginning where a weight is stored as [I, O]",
                  "Use 'pissa', which serves such layers.");
  }
  warn(it.site.module_name + ": init_lora_weights = " + it.config.init_lora_weights.text() +
       " on a weight that is stored as [in, out] changes what the model computes, as it does in "
       "Python. Use another way of beginning.");
  return it.weight.to(at::kFloat);
}

// initial_values turns the rest of a transposed weight back: undone here before.
Factors from_stored(const Beginning& it, Factors factors) {
  if (it.transposed()) factors.weight = factors.weight.t();
  return factors;
}

Factors olora(const Beginning& it) {
  return from_stored(it, olora_factors(as_stored(it), it.rank, it.scaling));
}

Factors loftq(const Beginning& it) {
  return from_stored(it, loftq_factors(as_stored(it), it.rank, it.config.loftq_config.value()));
}

Factors corda(const Beginning& it) {
  const auto* statistics = it.config.statistics.get();
  if (statistics == nullptr || !statistics->eigens.contains(it.site.module_name)) {
    throw ConfigError("target module '" + it.site.module_name +
                      "': CorDA: expected what preprocess_corda finds out, got nothing for this "
                      "module. Run preprocess_corda first; a trained adapter is loaded after a "
                      "conversion with path_initial_model_for_weight_conversion.");
  }
  return corda_factors(it.matrix(), it.rank, it.scaling,
                       statistics->eigens.at(it.site.module_name));
}

Factors orthogonal(const Beginning& it) {
  if (it.rank % 2 != 0) {
    throw ConfigError("target module '" + it.site.module_name +
                      "': orthogonal initialisation: expected an even rank, got r = " +
                      std::to_string(it.rank) + ". Choose an even r.");
  }
  const Tensor square = at::randn({it.rank, it.rank});
  const Tensor in = at::randn({it.site.in_features, it.rank / 2});
  return orthogonal_factors(square, in, at::randn({it.rank / 2, it.site.out_features}));
}

Factors lora_ga(const Beginning& it) {
  const auto* statistics = it.config.statistics.get();
  if (statistics == nullptr || !statistics->gradients.contains(it.site.module_name)) {
    warn(it.site.module_name +
         ": LoRA-GA has no gradient for this module (preprocess_loraga was not run): the base "
         "weight stays as it is. An adapter that was trained with LoRA-GA belongs on the base "
         "weight that it was trained on, or is to be converted with "
         "path_initial_model_for_weight_conversion.");
    return {};
  }
  if (!it.config.lora_ga_config) {
    throw ConfigError(
        "LoraConfig: lora_ga_config: expected the settings of LoRA-GA, got null. Set it, "
        "LoraGAConfig{} has the defaults.");
  }
  const Tensor gradient = statistics->gradients.at(it.site.module_name).to(at::kFloat);
  return lora_ga_factors(it.matrix(), it.rank,
                         {.gradient = it.transposed() ? gradient.t() : gradient,
                          .scaling = it.scaling,
                          .stored_rows = it.weight.size(0),
                          .dtype = it.weight.scalar_type(),
                          .settings = *it.config.lora_ga_config});
}

// The embedding's projection is [D, V]: the weight's transpose.
Factors mica(const Beginning& it) {
  const bool lookup = it.site.kind == SiteKind::kEmbedding;
  return mica_factors(lookup ? it.weight.to(at::kFloat).t() : it.matrix(), it.rank);
}

Factors factors_of(const Beginning& it, InitKind kind) {
  if (kind != InitKind::kLoftq && kind != InitKind::kOrthogonal && kind != InitKind::kLoraGa) {
    check_half_or_single(it);
  }
  switch (kind) {
    case InitKind::kPissa:
      return pissa_factors(it.matrix(), it.rank, it.scaling,
                           pissa_iterations(it.config.init_lora_weights.word()));
    case InitKind::kOlora:
      return olora(it);
    case InitKind::kCorda:
      return corda(it);
    case InitKind::kLoftq:
      return loftq(it);
    case InitKind::kOrthogonal:
      return orthogonal(it);
    case InitKind::kMica:
      return mica(it);
    default:
      return lora_ga(it);
  }
}

void check_finite_factors(const Beginning& it, const Factors& factors) {
  for (const Tensor& tensor : {factors.a, factors.b, factors.weight}) {
    if (!tensor.defined() || at::isfinite(tensor).all().item<bool>()) continue;
    throw ConfigError("target module '" + it.site.module_name +
                      "': init_lora_weights = " + it.config.init_lora_weights.text() +
                      ": expected finite values, got NaN or infinity. Check lora_alpha (it must "
                      "not be 0 here) and the base weight.");
  }
}

}  // namespace

InitialValues initial_values(const LoraConfig& config, const Site& site, int64_t rank,
                             double scaling, const Tensor& weight) {
  if (config.init_lora_weights.is_bool()) return {};
  const InitKind kind = init_kind_of_word(config.init_lora_weights.word());
  if (kind == InitKind::kGaussian) return {};
  check_kind(config, site, kind);
  if (kind == InitKind::kEva) return {};
  const bool minor_lookup = site.kind == SiteKind::kEmbedding && kind == InitKind::kMica;
  if (!is_linear(site.kind) && !minor_lookup) return {};
  at::NoGradGuard no_grad;
  const Beginning it{config, site, rank, scaling, weight};
  const Factors factors = factors_of(it, kind);
  check_finite_factors(it, factors);
  InitialValues values;
  // As in Python the adapter passes through the weight's own type.
  const bool floating = at::isFloatingType(weight.scalar_type());
  const auto rounded = [&](const Tensor& tensor) {
    return tensor.defined() && floating ? tensor.to(weight.scalar_type()) : tensor;
  };
  values.a = rounded(factors.a);
  values.b = rounded(factors.b);
  if (!factors.weight.defined()) return values;
  values.weight = (it.transposed() ? factors.weight.t() : factors.weight).to(weight.scalar_type());
  return values;
}

}  // namespace peft::lora
