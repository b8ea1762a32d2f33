#include "peft/methods/lora/variants/bdlora.h"

#include <ATen/ATen.h>
#include <torch/nn/init.h>

#include <algorithm>

#include "peft/base/error.h"
#include "peft/base/json_fields.h"
#include "peft/base/text.h"
#include "peft/methods/lora/products.h"

namespace peft::lora {
namespace {

using at::Tensor;

bool names_part_of(const std::string& module,
                   const std::optional<std::vector<std::string>>& parts) {
  return parts && std::any_of(parts->begin(), parts->end(), [&](const std::string& part) {
           return module.find(part) != std::string::npos;
         });
}

void check_divisible(const std::string& module, const char* what, int64_t size, int64_t blocks) {
  if (size % blocks == 0) return;
  throw ConfigError("target module '" + module + "': use_bdlora: nblocks: expected a divisor of " +
                    what + " = " + std::to_string(size) + ", got " + std::to_string(blocks) +
                    ". Choose another number of blocks.");
}

// x [..., I] times a block-diagonal matrix of which the blocks lie below each other.
//   weight [O, I / blocks] -> [..., O]
Tensor block_product(const Tensor& x, const Tensor& weight, int64_t blocks) {
  if (blocks == 1) return at::linear(x, weight);
  auto shape = x.sizes().vec();
  const Tensor parts = x.reshape({-1, blocks, shape.back() / blocks}).transpose(0, 1);
  const Tensor matrices = weight.view({blocks, weight.size(0) / blocks, weight.size(1)});
  const Tensor y = at::bmm(parts, matrices.transpose(1, 2));  // [blocks, N, O / blocks]
  shape.back() = weight.size(0);
  return y.transpose(0, 1).reshape(shape);
}

// The whole matrix, zero outside of the blocks.
Tensor full_matrix(const Tensor& weight, int64_t blocks) {
  return blocks == 1 ? weight : at::block_diag(weight.chunk(blocks, 0));
}

}  // namespace

BdLoraConfig BdLoraConfig::parse(const Json& object) {
  const FieldPath path{"LoraConfig", "use_bdlora"};
  BdLoraConfig config;
  read_value(object, config, path);
  const auto refuse = [&](const char* key, const char* expected) {
    throw_wrong_type(object.at(key), expected, path.child(key));
  };
  if (config.nblocks <= 0) refuse("nblocks", "a positive integer");
  if (!config.target_modules_bd_a || !config.target_modules_bd_b) return config;
  const auto& others = *config.target_modules_bd_b;
  for (const std::string& name : *config.target_modules_bd_a) {
    if (std::find(others.begin(), others.end(), name) != others.end()) {
      refuse("target_modules_bd_b", "names that target_modules_bd_a has not");
    }
  }
  return config;
}

void BdLoraVariant::prepare(LoraAdapter& adapter, const VariantSetup& setup) {
  const BdLoraConfig config = BdLoraConfig::parse(setup.config.use_bdlora);
  const std::string& module = setup.site.module_name;
  const bool in_a = names_part_of(module, config.target_modules_bd_a);
  const bool in_b = names_part_of(module, config.target_modules_bd_b);
  if (in_a && in_b) {
    throw ConfigError("target module '" + module +
                      "': use_bdlora: expected a name that one of target_modules_bd_a and "
                      "target_modules_bd_b matches, got one that both do. Use longer names.");
  }
  if (config.match_strict && !in_a && !in_b) {
    throw ConfigError("target module '" + module +
                      "': use_bdlora: expected a name that target_modules_bd_a or "
                      "target_modules_bd_b matches, got one that neither does. Add it, or set "
                      "match_strict to false.");
  }
  const int64_t rank = adapter.a.size(0);
  if (in_a || in_b) check_divisible(module, "the rank", rank, config.nblocks);
  if (in_a) {
    check_divisible(module, "in_features", setup.site.in_features, config.nblocks);
    a_blocks_ = config.nblocks;
    adapter.a = torch::nn::init::kaiming_uniform_(
        at::empty({rank, setup.site.in_features / config.nblocks}));
  }
  if (in_b) {
    check_divisible(module, "out_features", setup.site.out_features, config.nblocks);
    if (adapter.bias.defined()) {
      throw ConfigError("target module '" + module +
                        "': lora_bias: expected false where B is block-diagonal, got true.");
    }
    b_blocks_ = config.nblocks;
    adapter.b = at::zeros({setup.site.out_features, rank / config.nblocks});
  }
}

Tensor BdLoraVariant::linear(const LoraAdapter& adapter, const LinearCall& call,
                             const Tensor& y) const {
  const Tensor x = dropped(call.x, call.dropout);
  const Tensor low = block_product(x, adapter.a.to(x.scalar_type()), a_blocks_);
  Tensor update = block_product(low, adapter.b.to(low.scalar_type()), b_blocks_);
  if (adapter.bias.defined()) update = update + adapter.bias.to(update.scalar_type());
  return y + update.to(y.scalar_type()) * adapter.scaling;
}

Tensor BdLoraVariant::delta(const LoraAdapter& adapter, const Tensor&, const Tensor&) const {
  const LoraAdapter full{.a = full_matrix(adapter.a, a_blocks_),
                         .b = full_matrix(adapter.b, b_blocks_),
                         .bias = {},
                         .scaling = adapter.scaling};
  return weight_change(full, kind_);
}

}  // namespace peft::lora
