#include "peft/methods/lora/weighted_adapter.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"
#include "peft/methods/lora/layer.h"
#include "peft/tensor/task_arithmetic.h"

namespace peft::lora {
namespace {

using at::Tensor;

const std::vector<std::string>& combination_types() {
  static const std::vector<std::string> types = {"linear",
                                                 "svd",
                                                 "cat",
                                                 "ties",
                                                 "ties_svd",
                                                 "dare_ties",
                                                 "dare_linear",
                                                 "dare_ties_svd",
                                                 "dare_linear_svd",
                                                 "magnitude_prune",
                                                 "magnitude_prune_svd"};
  return types;
}

bool by_svd(const std::string& type) { return type.ends_with("svd"); }

/// What is asked for, with every check made.
struct Combination {
  std::vector<std::string> adapters;
  std::vector<double> weights;
  std::string type;
  int64_t rank = 0;
  CombineOptions options;
};

int64_t largest_rank(const LoraConfig& config) {
  int64_t rank = config.r;
  for (const auto& [key, value] : config.rank_pattern) rank = std::max(rank, value);
  return rank;
}

[[noreturn]] void refuse(const std::string& adapter, const std::string& problem,
                         const std::string& next) {
  throw UnsupportedError("add_weighted_adapter: adapter '" + adapter + "': " + problem +
                         ": expected plain LoRA weights only. " + next);
}

void check_adapter(const Tuner& tuner, const std::string& adapter) {
  const auto& config = tuner.config(adapter).as<LoraConfig>();
  if (config.target_parameters && !config.target_parameters->empty()) {
    refuse(adapter, "it targets parameters (target_parameters)", "Leave it out.");
  }
  for (const auto& saved : tuner.saved_modules()) {
    if (!saved->has(adapter)) continue;
    refuse(adapter,
           "cannot add weighted adapters whose modules_to_save hold '" + saved->module().name +
               "', which cannot be added up",
           "Combine adapters without modules_to_save.");
  }
  for (const Attachment& attachment : tuner.attachments()) {
    if (!attachment.layer->has(adapter)) continue;
    const auto* layer = dynamic_cast<const LoraLayer*>(attachment.layer.get());
    const bool plain = layer != nullptr && !layer->adapter(adapter).variant &&
                       !layer->adapter(adapter).bias.defined();
    if (plain) continue;
    refuse(adapter, "at " + attachment.layer->parameter_name() + " it has more than A and B",
           "Merge it into the base instead.");
  }
}

int64_t combined_rank(const Combination& wanted, const std::vector<int64_t>& ranks) {
  if (by_svd(wanted.type)) {
    const int64_t rank =
        wanted.options.svd_rank.value_or(*std::max_element(ranks.begin(), ranks.end()));
    if (rank > 0) return rank;
    throw ConfigError("svd_rank: expected 1 or more, got " + std::to_string(rank) + ".");
  }
  if (wanted.type == "cat") {
    int64_t sum = 0;
    for (const int64_t rank : ranks) sum += rank;
    return sum;
  }
  if (std::set<int64_t>(ranks.begin(), ranks.end()).size() == 1) return ranks.front();
  std::vector<std::string> texts;
  for (const int64_t rank : ranks) texts.push_back(std::to_string(rank));
  throw ConfigError("combination_type = '" + wanted.type +
                    "': all adapters must have the same r value: expected one rank, got " +
                    join_names(texts) + ". Use svd or cat.");
}

TargetModules combined_targets(const Tuner& tuner, const std::vector<std::string>& adapters) {
  std::set<std::string> names;
  std::string pattern;
  size_t patterns = 0;
  for (const std::string& adapter : adapters) {
    const TargetModules& targets = tuner.config(adapter).as<LoraConfig>().target_modules;
    if (targets.is_pattern()) {
      pattern += (patterns++ == 0 ? "(" : "|(") + targets.pattern() + ")";
    } else if (targets.is_list()) {
      names.insert(targets.names().begin(), targets.names().end());
    } else {
      throw ConfigError("add_weighted_adapter: adapter '" + adapter +
                        "': target_modules: expected names or a pattern, got None.");
    }
  }
  if (patterns == 0) return TargetModules(std::vector<std::string>(names.begin(), names.end()));
  if (patterns == adapters.size()) return TargetModules(pattern);
  throw ConfigError(
      "add_weighted_adapter: all adapter configs should follow the same target modules type: "
      "expected lists or patterns, got both. Train them with the same kind of target_modules.");
}

Combination checked(const Tuner& tuner, const std::vector<std::string>& adapters,
                    const std::vector<double>& weights, const CombineOptions& options) {
  if (adapters.empty()) {
    throw ConfigError("add_weighted_adapter: adapters: expected one name or more, got none.");
  }
  if (adapters.size() != weights.size()) {
    throw ConfigError("add_weighted_adapter: weights: expected " + std::to_string(adapters.size()) +
                      ", one for each adapter, got " + std::to_string(weights.size()) + ".");
  }
  const auto& types = combination_types();
  if (std::find(types.begin(), types.end(), options.combination_type) == types.end()) {
    throw ConfigError("combination_type: expected one of " + join_names(types, types.size()) +
                      ", got '" + options.combination_type + "'.");
  }
  Combination wanted{.adapters = adapters,
                     .weights = weights,
                     .type = adapters.size() == 1 ? "linear" : options.combination_type,
                     .options = options};
  std::vector<int64_t> ranks;
  for (const std::string& adapter : adapters) {
    ranks.push_back(largest_rank(tuner.config(adapter).as<LoraConfig>()));
    check_adapter(tuner, adapter);
  }
  const bool prunes = wanted.type != "linear" && wanted.type != "svd" && wanted.type != "cat";
  if (prunes && !options.density) {
    throw ConfigError("combination_type = '" + wanted.type +
                      "': density: expected a number between 0 and 1, got none. Give the share of "
                      "values to keep.");
  }
  wanted.rank = combined_rank(wanted, ranks);
  return wanted;
}

struct Factors {
  Tensor a, b;  // as at the site
};

// The adapters of a combination that a site has.
struct Present {
  std::vector<const LoraAdapter*> adapters;
  std::vector<std::string> names;
  std::vector<double> weights;
};

Present present_at(const LoraLayer& layer, const Combination& wanted) {
  Present present;
  for (size_t i = 0; i < wanted.adapters.size(); ++i) {
    if (!layer.has(wanted.adapters[i])) continue;
    present.adapters.push_back(&layer.adapter(wanted.adapters[i]));
    present.names.push_back(wanted.adapters[i]);
    present.weights.push_back(wanted.weights[i]);
  }
  return present;
}

Tensor as_tensor(const std::vector<double>& values, const Tensor& like) {
  return at::tensor(values, at::kDouble).to(like.device(), at::kFloat);
}

Tensor combine_tensors(const std::string& type, const std::vector<Tensor>& tensors,
                       const Tensor& weights, const CombineOptions& options) {
  const double density = options.density.value_or(1.0);
  if (type.starts_with("ties"))
    return ties(tensors, weights, density, options.majority_sign_method);
  if (type.starts_with("dare_ties")) {
    return dare_ties(tensors, weights, density, options.majority_sign_method);
  }
  if (type.starts_with("dare_linear")) return dare_linear(tensors, weights, density);
  if (type.starts_with("magnitude_prune")) return magnitude_prune(tensors, weights, density);
  return task_arithmetic(tensors, weights);
}

// The scaling goes into the factors: [w s A; ...] and [B, ...].
Factors side_by_side(const Present& present) {
  std::vector<Tensor> a, b;
  for (size_t i = 0; i < present.adapters.size(); ++i) {
    a.push_back(present.adapters[i]->a * present.weights[i] * present.adapters[i]->scaling);
    b.push_back(present.adapters[i]->b);
  }
  return {.a = at::cat(a, 0), .b = at::cat(b, 1)};
}

// A and B are combined each by itself; each gets the root of the weight, and A its sign.
Factors factor_by_factor(const Present& present, const Combination& wanted) {
  std::vector<Tensor> a, b;
  std::vector<double> signed_roots, roots;
  for (size_t i = 0; i < present.adapters.size(); ++i) {
    const double weight = present.weights[i] * present.adapters[i]->scaling;
    roots.push_back(std::sqrt(std::abs(weight)));
    signed_roots.push_back(weight >= 0 ? roots.back() : -roots.back());
    a.push_back(present.adapters[i]->a);
    b.push_back(present.adapters[i]->b);
    if (a.back().sizes() == a.front().sizes()) continue;
    throw ConfigError("combination_type = '" + wanted.type + "': adapters '" + present.names[0] +
                      "' and '" + present.names[i] +
                      "' have different ranks here (rank_pattern): expected the same. Use svd or "
                      "cat.");
  }
  const auto dtype = a.front().scalar_type();
  const Tensor of_a =
      combine_tensors(wanted.type, a, as_tensor(signed_roots, a.front()), wanted.options);
  const Tensor of_b = combine_tensors(wanted.type, b, as_tensor(roots, b.front()), wanted.options);
  return {.a = of_a.to(dtype), .b = of_b.to(dtype)};
}

// U S and Vᵀ of the combined change, cut to the rank.  -> A [rank, I], B [O, rank]
Factors decomposed(const Tensor& change, const Combination& wanted) {
  if (wanted.options.svd_driver && change.is_cpu()) {
    throw ConfigError("svd_driver: expected none for adapters on the CPU, got '" +
                      *wanted.options.svd_driver + "'. It names a method of cuSOLVER.");
  }
  const auto svd = at::linalg_svd(change, false, wanted.options.svd_driver);
  const int64_t rank = std::min(wanted.rank, std::get<1>(svd).size(0));
  Tensor u = std::get<0>(svd).narrow(1, 0, rank) * std::get<1>(svd).narrow(0, 0, rank);
  Tensor v = std::get<2>(svd).narrow(0, 0, rank);
  if (wanted.options.svd_clamp) {
    const Tensor values = at::cat({u.flatten(), v.flatten()});
    const Tensor high = at::quantile(values, *wanted.options.svd_clamp);
    u = u.clamp(-high, high);
    v = v.clamp(-high, high);
  }
  return {.a = v, .b = u};
}

Factors by_decomposition(const LoraLayer& layer, const Present& present,
                         const Combination& wanted) {
  std::vector<Tensor> changes;
  for (const std::string& name : present.names) changes.push_back(layer.delta_of(name, {}));
  Tensor change = combine_tensors(wanted.type, changes, as_tensor(present.weights, changes.front()),
                                  wanted.options);
  const SiteKind kind = layer.site().kind;
  if (kind == SiteKind::kConvolution) change = change.flatten(1);
  return decomposed((has_input_rows(kind) ? change.t() : change).to(at::kFloat), wanted);
}

Factors combined(const LoraLayer& layer, const Present& present, const Combination& wanted) {
  if (wanted.type == "cat") return side_by_side(present);
  if (by_svd(wanted.type)) return by_decomposition(layer, present, wanted);
  return factor_by_factor(present, wanted);
}

// Where a site's ranks are smaller than the new adapter's, the rest stays 0.
void write(const LoraAdapter& target, const Factors& factors) {
  target.a.detach().zero_();
  target.b.detach().zero_();
  const int64_t ranks = factors.a.size(0);
  auto shape = target.a.sizes().vec();
  shape[0] = ranks;
  target.a.detach().narrow(0, 0, ranks).copy_(factors.a.reshape(shape));
  shape = target.b.sizes().vec();
  shape[1] = factors.b.size(1);
  target.b.detach().narrow(1, 0, factors.b.size(1)).copy_(factors.b.reshape(shape));
}

LoraConfig combined_config(const Tuner& tuner, const Combination& wanted) {
  LoraConfig config = tuner.config(wanted.adapters.front()).as<LoraConfig>();
  config.r = wanted.rank;
  config.lora_alpha = wanted.rank;
  config.target_modules = combined_targets(tuner, wanted.adapters);
  config.rank_pattern.clear();
  config.alpha_pattern.clear();
  // What is drawn is written over; a decomposition of the base weights must not be made again.
  const auto& init = config.init_lora_weights;
  if (!init.is_bool() && init.word() != "gaussian") config.init_lora_weights = true;
  if (config.use_rslora) {
    warn("add_weighted_adapter: adapter '" + wanted.adapters.front() +
         "' has use_rslora: as in Python PEFT the combined adapter has it too, and is scaled by "
         "sqrt(r) once more.");
  }
  return config;
}

}  // namespace

void add_weighted_adapter(Tuner& tuner, const std::vector<std::string>& adapters,
                          const std::vector<double>& weights, const std::string& name,
                          const CombineOptions& options) {
  const Combination wanted = checked(tuner, adapters, weights, options);
  at::NoGradGuard no_grad;
  tuner.inject(name, combined_config(tuner, wanted), {.autocast_adapter_dtype = true});
  try {
    for (const Attachment& attachment : tuner.attachments()) {
      const auto* layer = dynamic_cast<const LoraLayer*>(attachment.layer.get());
      if (layer == nullptr || !layer->has(name)) continue;
      const Present present = present_at(*layer, wanted);
      if (present.adapters.empty()) {
        throw ConfigError("add_weighted_adapter: " + layer->parameter_name() +
                          ": no matching LoRAs found: expected one of " + join_names(adapters) +
                          " here, got none. Give them narrower target_modules.");
      }
      write(layer->adapter(name), combined(*layer, present, wanted));
    }
  } catch (...) {
    tuner.take_back_injection();
    throw;
  }
  tuner.set_requires_grad(name, false);
}

}  // namespace peft::lora
