#include "peft/methods/lora/hotswap.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "peft/adapter/file_prefix.h"
#include "peft/adapter/matching.h"
#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/methods/lora/layer.h"

namespace peft::lora {
namespace {

using at::Tensor;

/// One layer's part of a swap.
struct Swap {
  LoraLayer* layer = nullptr;
  Tensor a, b, bias;  // of the new adapter; undefined: it lacks them
  double scaling = 1.0;
};

std::vector<LoraLayer*> layers_of(Tuner& tuner, const std::string& adapter) {
  std::vector<LoraLayer*> layers;
  for (Attachment& attachment : tuner.attachments()) {
    auto* layer = dynamic_cast<LoraLayer*>(attachment.layer.get());
    if (layer != nullptr && layer->has(adapter)) layers.push_back(layer);
  }
  return layers;
}

void check_compatible(const LoraConfig& now, const LoraConfig& next) {
  const auto differ = [](const std::string& key, const std::string& now, const std::string& next) {
    if (now == next) return;
    throw ConfigError("hotswap_adapter: configs are incompatible: for " + key + ": expected " +
                      now + ", got " + next + ". Load it as an adapter of its own.");
  };
  const auto word = [](bool value) { return std::string(value ? "True" : "False"); };
  differ("use_rslora", word(now.use_rslora), word(next.use_rslora));
  differ("lora_dropout", std::to_string(now.lora_dropout), std::to_string(next.lora_dropout));
  differ("use_dora", word(now.use_dora), word(next.use_dora));
}

// Whether a tensor fits when ranks may differ: along A's rows and B's columns.
bool fits(const Tensor& now, const Tensor& next, int64_t rank_dim) {
  if (now.dim() != next.dim()) return false;
  for (int64_t dim = 0; dim < now.dim(); ++dim) {
    if (dim != rank_dim && now.size(dim) != next.size(dim)) return false;
  }
  return true;
}

double scaling_of(const LoraConfig& config, const std::string& module) {
  const auto rank =
      static_cast<double>(pattern_value(config.rank_pattern, module, config.r, "rank_pattern"));
  const double alpha =
      pattern_value(config.alpha_pattern, module, config.lora_alpha, "alpha_pattern");
  return config.use_rslora ? alpha / std::sqrt(rank) : alpha / rank;
}

// Finds every tensor of the file its place before anything is written.
std::vector<Swap> plan_swap(Tuner& tuner, const std::string& adapter, const StateDict& tensors,
                            const LoraConfig& config) {
  std::map<std::string, Tensor> left;
  for (const auto& [name, tensor] : tensors) {
    left[name.starts_with(kFilePrefix) ? name : kFilePrefix + name] = tensor;
  }
  const auto take = [&](const std::string& key, const Tensor& now, int64_t rank_dim) -> Tensor {
    const auto found = left.find(key);
    if (found == left.end()) return {};
    const Tensor next = found->second;
    left.erase(found);
    if (now.defined() && fits(now, next, rank_dim)) return next;
    throw MismatchError("hotswap_adapter: " + key + ": expected the shape of the adapter but for " +
                        "its rank, " + shape_text(now.sizes().vec()) + ", got " +
                        shape_text(next.sizes().vec()) + ". It was made for another model.");
  };
  std::vector<Swap> swaps;
  for (LoraLayer* layer : layers_of(tuner, adapter)) {
    const LoraAdapter& now = layer->adapter(adapter);
    if (now.variant) {
      throw UnsupportedError("hotswap_adapter: " + layer->parameter_name() +
                             ": expected plain LoRA, got a variant. Load it as an adapter of its "
                             "own.");
    }
    const std::string path = kFilePrefix + layer->site().module_name + ".";
    const bool lookup = layer->site().kind == SiteKind::kEmbedding;
    Swap swap{.layer = layer, .scaling = scaling_of(config, layer->site().module_name)};
    swap.a = take(path + (lookup ? "lora_embedding_A" : "lora_A.weight"), now.a, 0);
    swap.b = take(path + (lookup ? "lora_embedding_B" : "lora_B.weight"), now.b, 1);
    if (now.bias.defined()) swap.bias = take(path + "lora_B.bias", now.bias, -1);
    swaps.push_back(std::move(swap));
  }
  if (left.empty()) return swaps;
  std::vector<std::string> names;
  for (const auto& [name, tensor] : left) names.push_back(name);
  throw MismatchError(
      "hotswap_adapter: hot swapping the adapter did not succeed, unexpected keys " +
      join_names(names) + ": expected those of adapter '" + adapter +
      "'. Load it as an adapter of its own.");
}

// Copies `next` into the first ranks, group by group: a grouped convolution's ranks lie in blocks.
void fill_ranks(const Tensor& target, const Tensor& next, int64_t rank_dim, int64_t groups) {
  target.zero_();
  const int64_t blocks = rank_dim == 0 ? groups : 1;
  const int64_t wide = target.size(rank_dim) / blocks, narrow = next.size(rank_dim) / blocks;
  for (int64_t block = 0; block < blocks; ++block) {
    target.narrow(rank_dim, block * wide, narrow)
        .copy_(next.narrow(rank_dim, block * narrow, narrow));
  }
}

void put_values(Tensor parameter, const Tensor& next, int64_t rank_dim, int64_t groups) {
  const Tensor now = parameter.detach();
  if (!next.defined()) {
    now.zero_();
  } else if (next.size(rank_dim) > now.size(rank_dim)) {
    parameter.set_data(next.detach().to(now.options()).clone());
  } else {
    fill_ranks(now, next.to(now.options()), rank_dim, groups);
  }
}

// What a file of the adapter has to say, so that it loads as it computes now.
void follow(Tuner& tuner, const std::string& adapter, LoraConfig config) {
  config.rank_pattern.clear();
  config.alpha_pattern.clear();
  bool first = true;
  for (const LoraLayer* layer : layers_of(tuner, adapter)) {
    const LoraAdapter& now = layer->adapter(adapter);
    const int64_t rank = now.a.size(0);
    const double share =
        config.use_rslora ? std::sqrt(static_cast<double>(rank)) : static_cast<double>(rank);
    const double alpha = now.scaling * share;
    const bool whole = std::abs(alpha - std::round(alpha)) < 1e-9;
    const Number written =
        whole ? Number(static_cast<int64_t>(std::llround(alpha))) : Number(alpha);
    if (first) {
      config.r = rank;
      config.lora_alpha = written;
      first = false;
      continue;
    }
    const std::string& name = layer->site().module_name;
    if (rank != config.r) config.rank_pattern.emplace_back(name, rank);
    if (!(written == config.lora_alpha)) config.alpha_pattern.emplace_back(name, written);
  }
  tuner.config(adapter) = PeftConfig(std::move(config));
}

}  // namespace

void hotswap_adapter(Tuner& tuner, const std::string& adapter, const StateDict& tensors,
                     const LoraConfig& config) {
  const auto& now = tuner.config(adapter).as<LoraConfig>();
  check_compatible(now, config);
  for (const LoraLayer* layer : layers_of(tuner, adapter)) {
    const auto& merged = layer->merged_adapters();
    if (std::find(merged.begin(), merged.end(), adapter) == merged.end()) continue;
    throw ConfigError("hotswap_adapter: adapter '" + adapter +
                      "' is merged into the base weights: expected one that is not. Call "
                      "unmerge_adapter() first.");
  }
  const auto swaps = plan_swap(tuner, adapter, tensors, config);
  at::NoGradGuard no_grad;
  for (const Swap& swap : swaps) {
    const LoraAdapter& target = swap.layer->adapter(adapter);
    const int64_t groups = swap.layer->site().groups;
    put_values(target.a, swap.a, 0, groups);
    put_values(target.b, swap.b, 1, groups);
    if (target.bias.defined() && swap.bias.defined()) target.bias.detach().copy_(swap.bias);
    if (target.bias.defined() && !swap.bias.defined()) target.bias.detach().zero_();
    if (swap.a.defined()) swap.layer->set_scaling(adapter, swap.scaling);
  }
  tuner.tie_again(adapter);
  follow(tuner, adapter, now);
}

void pad_adapters(Tuner& tuner, int64_t target_rank) {
  const auto pad = [&](const LoraLayer& layer, const std::string& adapter, bool write) {
    const LoraAdapter& now = layer.adapter(adapter);
    const int64_t groups = layer.site().groups, rank = now.a.size(0);
    if (now.variant || rank > target_rank || target_rank % groups != 0) {
      throw ConfigError("prepare_model_for_compiled_hotswap: " + layer.parameter_name() +
                        ": expected a target rank of " + std::to_string(rank) +
                        " or more that is divisible by groups = " + std::to_string(groups) +
                        " and plain LoRA, got " + std::to_string(target_rank) + ".");
    }
    if (!write || rank == target_rank) return;
    Tensor a = now.a, b = now.b;
    auto shape = a.sizes().vec();
    shape[0] = target_rank;
    const Tensor wide_a = at::empty(shape, a.options().requires_grad(false));
    fill_ranks(wide_a, a.detach(), 0, groups);
    shape = b.sizes().vec();
    shape[1] = target_rank / groups;
    const Tensor wide_b = at::empty(shape, b.options().requires_grad(false));
    fill_ranks(wide_b, b.detach(), 1, 1);
    a.set_data(wide_a);
    b.set_data(wide_b);
  };
  if (tuner.configs().empty()) {
    throw ConfigError(
        "prepare_model_for_compiled_hotswap: no adapter layers found on the model: expected a "
        "loaded adapter. Load the first one before.");
  }
  at::NoGradGuard no_grad;
  for (const bool write : {false, true}) {
    for (const auto& [adapter, config] : tuner.configs()) {
      for (const LoraLayer* layer : layers_of(tuner, adapter)) pad(*layer, adapter, write);
    }
  }
  std::vector<std::string> names;
  for (const auto& [adapter, config] : tuner.configs()) names.push_back(adapter);
  for (const std::string& name : names) {
    tuner.tie_again(name);
    follow(tuner, name, tuner.config(name).as<LoraConfig>());
  }
}

}  // namespace peft::lora
