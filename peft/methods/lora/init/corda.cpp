#include "peft/methods/lora/init/corda.h"

#include <ATen/ATen.h>

#include <vector>

#include "peft/adapter/matching.h"
#include "peft/adapter/tag.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/methods/lora/init/observed_inputs.h"
#include "peft/methods/lora/init/target_layers.h"

namespace peft::lora {
namespace {

using at::Tensor;

constexpr double kFirstDamping = 0.01;
constexpr double kInverseError = 0.05;  // Frobenius distance of C C⁻¹ from the identity
constexpr int kMostDoublings = 60;

[[noreturn]] void throw_corda(const std::string& module, const std::string& expected,
                              const std::string& got, const std::string& advice) {
  throw ConfigError("CorDA: module '" + module + "': expected " + expected + ", got " + got + ". " +
                    advice);
}

std::vector<FoundSite> layers_of(const ModelTree& tree, const ModelFacts& facts,
                                 const LoraConfig& config) {
  auto layers = target_layers(tree, facts, config);
  if (!layers.empty()) return layers;
  throw ConfigError(
      "CorDA: target_modules: expected at least one linear layer, got none. CorDA serves linear "
      "layers only.");
}

// XᵀX of one call.
Tensor outer_product(const Tensor& input, bool half, const std::string& module) {
  Tensor x = input.detach().squeeze(0);
  if (x.dim() != 2) {
    throw_corda(module, "an input of one row, [1, T, I] or [T, I]", shape_text(input.sizes().vec()),
                "Run the model on one row at a time.");
  }
  if (!half) x = x.to(at::kFloat);
  x = x / x.max().abs();
  const Tensor product = x.t().matmul(x);
  if (!at::isfinite(product).all().item<bool>()) {
    throw_corda(module, "finite inputs", "NaN or infinity", "Look at the data and the model.");
  }
  return product;
}

Tensor weight_matrix(const FoundSite& found) {
  const Tensor weight = base(found.weight).detach().to(at::kFloat);
  return found.site.kind == SiteKind::kTransposedLinear ? weight.t() : weight;
}

// C, damped on its diagonal until its inverse can be trusted.
struct Inverted {
  Tensor matrix, inverse;
};

Inverted invert(const Tensor& covariance) {
  const Tensor unit = at::eye(covariance.size(0), covariance.options());
  const Tensor mean = covariance.diagonal().mean();
  double damping = kFirstDamping;
  for (int i = 0; i < kMostDoublings; ++i, damping *= 2) {
    const Tensor damped =
        covariance + (at::ones_like(covariance.diagonal()) * mean * damping).diag();
    const auto [inverse, info] = at::linalg_inv_ex(damped);
    if (info.item<int64_t>() != 0) continue;
    if (at::dist(damped.matmul(inverse), unit).item<double>() < kInverseError) {
      return {damped, inverse};
    }
  }
  throw ConfigError(
      "CorDA: a covariance cannot be inverted: expected inputs that are not all zero. Run the "
      "model "
      "on more, and more different, data.");
}

// The adapter's own rank at a module.
int64_t rank_at(const LoraConfig& config, const std::string& module) {
  return pattern_value(config.rank_pattern, module, config.r, "rank_pattern");
}

InitStatistics& statistics_of(LoraConfig& config) {
  if (!config.statistics) config.statistics = std::make_shared<InitStatistics>();
  return *config.statistics;
}

}  // namespace

StateDict corda_covariances(const ModelTree& tree, const ModelFacts& facts,
                            const LoraConfig& config, const std::function<void()>& run_model) {
  at::NoGradGuard no_grad;
  const bool half = config.corda_config.value_or(CordaConfig()).use_float16_for_covariance;
  const auto layers = layers_of(tree, facts, config);
  std::vector<Tensor> sums(layers.size());
  std::vector<int64_t> calls(layers.size(), 0);
  const auto listen = [&](size_t which, const ObservedCall& call) {
    const Tensor one = outer_product(call.x, half, layers[which].site.module_name);
    sums[which] = sums[which].defined() ? sums[which] + one : one;
    ++calls[which];
  };
  {
    std::vector<ObservedLayer> observed;
    for (const FoundSite& found : layers) observed.push_back({.found = found});
    const ObservedInputs scope(tree, std::move(observed), listen);
    run_model();
  }
  StateDict covariances;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string& name = layers[i].site.module_name;
    if (calls[i] == 0) {
      throw_corda(name, "a call by run_model", "none", "Do not target modules that are not used.");
    }
    covariances.set(name, sums[i] / calls[i]);
  }
  return covariances;
}

CordaEigens corda_eigens(const Tensor& weight, const Tensor& covariance, int64_t rank,
                         const std::string& method) {
  at::NoGradGuard no_grad;
  const auto [damped, inverse] = invert(covariance.to(at::kFloat));
  const auto [u, s, vh] = at::linalg_svd(weight.matmul(damped), false);
  const Tensor v = vh.matmul(inverse).t();
  if (rank > s.size(0)) {
    throw ConfigError("CorDA: expected a rank of at most " + std::to_string(s.size(0)) +
                      ", the smaller side of the weight, got r = " + std::to_string(rank) +
                      ". Lower r, or give the module a rank of its own in rank_pattern.");
  }
  const int64_t begin = method == "kpm" ? s.size(0) - rank : 0;
  return {.s = s.narrow(0, begin, rank).clone(),
          .u = u.narrow(1, begin, rank).clone(),
          .v = v.narrow(1, begin, rank).clone()};
}

void collect_corda_eigens(const ModelTree& tree, const ModelFacts& facts, LoraConfig& config,
                          const StateDict& covariances) {
  const CordaConfig settings = config.corda_config.value_or(CordaConfig());
  settings.validate();
  std::map<std::string, CordaEigens> eigens;
  for (const FoundSite& found : layers_of(tree, facts, config)) {
    const std::string& name = found.site.module_name;
    const Tensor* covariance = covariances.find(name);
    if (covariance == nullptr || covariance->dim() != 2 ||
        covariance->size(0) != found.site.in_features ||
        covariance->size(1) != found.site.in_features) {
      const std::string side = std::to_string(found.site.in_features);
      throw_corda(name, "a covariance [" + side + ", " + side + "]",
                  covariance == nullptr ? "none" : shape_text(covariance->sizes().vec()),
                  "Make the covariances with this model and this config.");
    }
    eigens[name] = corda_eigens(weight_matrix(found), *covariance, rank_at(config, name),
                                settings.corda_method);
  }
  statistics_of(config).eigens = std::move(eigens);
}

StateDict corda_cache(const InitStatistics& statistics) {
  StateDict cache;
  for (const auto& [name, eigens] : statistics.eigens) {
    cache.set(name + ".eigens.S_WC", eigens.s);
    cache.set(name + ".eigens.U_WC", eigens.u);
    cache.set(name + ".eigens.V_WC", eigens.v);
  }
  return cache;
}

void restore_corda_cache(const ModelTree& tree, const ModelFacts& facts, LoraConfig& config,
                         const StateDict& cache) {
  std::map<std::string, CordaEigens> eigens;
  for (const FoundSite& found : layers_of(tree, facts, config)) {
    const std::string& name = found.site.module_name;
    eigens[name] = {.s = cache.at(name + ".eigens.S_WC"),
                    .u = cache.at(name + ".eigens.U_WC"),
                    .v = cache.at(name + ".eigens.V_WC")};
  }
  statistics_of(config).eigens = std::move(eigens);
}

}  // namespace peft::lora
