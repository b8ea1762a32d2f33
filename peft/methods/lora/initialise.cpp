#include "peft/methods/lora/initialise.h"

#include <ATen/ATen.h>
#include <torch/nn/init.h>

#include <cmath>

#include "peft/adapter/matching.h"
#include "peft/base/error.h"
#include "peft/base/warnings.h"

namespace peft::lora {
namespace {

// What torch.nn.Linear and the convolutions draw for their own weight: U(±1/√fan_in).
at::Tensor default_weight(at::IntArrayRef shape) {
  return torch::nn::init::kaiming_uniform_(at::empty(shape, at::kFloat), std::sqrt(5.0));
}

void check_convolution(const Site& site, int64_t rank) {
  if (site.groups > 1) {
    warn(site.module_name +
         ": LoRA adapter added to ConvNd layer with groups > 1. Merging is not supported.");
  }
  if (rank % site.groups == 0) return;
  throw ConfigError("target module '" + site.module_name + "': a " + site.module_class +
                    " with groups = " + std::to_string(site.groups) +
                    ": expected a rank that is divisible by groups, got r = " +
                    std::to_string(rank) + ". Choose another rank or do not target this layer.");
}

struct Shapes {
  std::vector<int64_t> a, b;
};

Shapes shapes_of(const Site& site, int64_t rank) {
  if (site.kind == SiteKind::kExperts) {
    const int64_t rows = rank * site.weight_shape[0];
    return {{rows, site.in_features}, {site.out_features, rows}};
  }
  if (site.kind != SiteKind::kConvolution) {
    return {{rank, site.in_features}, {site.out_features, rank}};
  }
  std::vector<int64_t> a = site.weight_shape, b(site.weight_shape.size(), 1);
  a[0] = rank;
  a[1] = site.in_features;
  b[0] = site.out_features;
  b[1] = rank / site.groups;
  return {a, b};
}

void fill_embedding(LoraAdapter& adapter, const LoraConfig& config, const Shapes& shapes) {
  adapter.a = config.init_lora_weights.is(false) ? at::randn(shapes.a) : at::zeros(shapes.a);
  adapter.b = at::randn(shapes.b);
}

void fill_product(LoraAdapter& adapter, const LoraConfig& config, const Shapes& shapes) {
  const bool random = config.init_lora_weights.is(false);
  const bool gaussian = !config.init_lora_weights.is_bool();
  adapter.a =
      gaussian ? at::randn(shapes.a) / static_cast<double>(shapes.a[0]) : default_weight(shapes.a);
  adapter.b = random ? default_weight(shapes.b) : at::zeros(shapes.b);
  if (!config.lora_bias) return;
  adapter.bias = at::zeros({shapes.b[0]});
  if (!random) return;
  int64_t fan_in = 1;
  for (size_t i = 1; i < shapes.b.size(); ++i) fan_in *= shapes.b[i];
  const double bound = 1.0 / std::sqrt(static_cast<double>(fan_in));
  adapter.bias.uniform_(-bound, bound);
}

// What a pattern is compared with: the targeted module, which is the parent of an attention's
// output, or the targeted parameter.
std::string targeted_name(const Site& site) {
  if (site.by_parameter) return site.full_name();
  return site.kind == SiteKind::kAttentionOutput ? parent_name(site.module_name) : site.module_name;
}

}  // namespace

LoraAdapter new_adapter(const LoraConfig& config, const Site& site) {
  const std::string name = targeted_name(site);
  const int64_t rank = pattern_value(config.rank_pattern, name, config.r, "rank_pattern");
  const double alpha =
      pattern_value(config.alpha_pattern, name, config.lora_alpha, "alpha_pattern");
  if (rank <= 0) {
    throw ConfigError("target module '" + name + "': r: expected a positive integer, got " +
                      std::to_string(rank) +
                      ". Set r, or the entry of rank_pattern, to 1 or more.");
  }
  if (site.kind == SiteKind::kConvolution) check_convolution(site, rank);
  if (config.lora_bias && site.kind == SiteKind::kEmbedding) {
    throw ConfigError(
        "target module '" + name +
        "': lora_bias: expected false for an embedding, got true. Leave the embedding out.");
  }
  if (config.lora_bias && !site.has_bias) {
    warn(name + ": `lora_bias=True` was passed but the targeted layer of type " +
         site.module_class +
         " has no bias. This means that merging LoRA weights won't be possible.");
  }
  LoraAdapter adapter;
  adapter.scaling = config.use_rslora ? alpha / std::sqrt(static_cast<double>(rank))
                                      : alpha / static_cast<double>(rank);
  adapter.dropout = config.lora_dropout;
  const Shapes shapes = shapes_of(site, rank);
  if (site.kind == SiteKind::kEmbedding) {
    fill_embedding(adapter, config, shapes);
  } else {
    fill_product(adapter, config, shapes);
  }
  return adapter;
}

}  // namespace peft::lora
