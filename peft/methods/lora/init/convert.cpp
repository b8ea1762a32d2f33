#include "peft/methods/lora/init/convert.h"

#include <ATen/ATen.h>

#include <cmath>
#include <string_view>

#include "peft/base/error.h"
#include "peft/base/text.h"
#include "peft/base/warnings.h"
#include "peft/methods/lora/config.h"
#include "peft/methods/lora/init/words.h"

namespace peft::lora {
namespace {

using at::Tensor;

enum class Half { kNone, kA, kB };

Half half_of(std::string_view key) {
  const auto ends = [&](const char* ending) { return key.ends_with(ending); };
  if (ends("lora_A.weight") || ends("lora_embedding_A")) return Half::kA;
  if (ends("lora_B.weight") || ends("lora_embedding_B")) return Half::kB;
  return Half::kNone;
}

Tensor initial_of(const StateDict& initial, const std::string& key, const Tensor& trained) {
  const Tensor* found = initial.find(key);
  if (found != nullptr && found->sizes() == trained.sizes()) return found->to(trained.device());
  throw MismatchError("the initial adapter: tensor '" + key + "': expected shape " +
                      shape_text(trained.sizes().vec()) + ", got " +
                      (found == nullptr ? "no such tensor" : shape_text(found->sizes().vec())) +
                      ". Give the adapter as it was saved before its training.");
}

void check_groups(const StateDict& trained, const std::string& key, const Tensor& b) {
  std::string other = key;
  other.replace(other.rfind("lora_B"), 6, "lora_A");
  const Tensor* a = trained.find(other);
  if (a == nullptr || a->size(0) == b.size(1)) return;
  throw UnsupportedError("'" + key +
                         "': a convolution with groups: expected one group, got several, whose "
                         "ranks cannot be put side by side. Leave it out of the adapter.");
}

LoraConfig plain_config(LoraConfig config) {
  const InitKind kind = init_kind_of_word(config.init_lora_weights.word());
  const bool fits = kind == InitKind::kPissa || kind == InitKind::kCorda ||
                    kind == InitKind::kOlora || kind == InitKind::kLoraGa ||
                    config.init_lora_weights.is(true);
  if (!fits) {
    warn(
        "path_initial_model_for_weight_conversion: made for adapters that begin with PiSSA, "
        "CorDA, OLoRA or LoRA-GA, got init_lora_weights = " +
        config.init_lora_weights.text() + ".");
  }
  const auto twice = [](const Number& alpha) {
    return alpha.whole() ? Number(static_cast<int64_t>(2 * alpha)) : Number(2 * alpha);
  };
  config.init_lora_weights = true;
  config.r *= 2;
  config.lora_alpha = config.use_rslora
                          ? Number(static_cast<double>(config.lora_alpha) * std::sqrt(2.0))
                          : twice(config.lora_alpha);
  for (auto& [pattern, rank] : config.rank_pattern) rank *= 2;
  for (auto& [pattern, alpha] : config.alpha_pattern) alpha = twice(alpha);
  return config;
}

}  // namespace

std::pair<PeftConfig, StateDict> subtract_initial(const PeftConfig& config,
                                                  const StateDict& trained,
                                                  const StateDict& initial) {
  const auto& lora = config.as<LoraConfig>();
  if (lora.use_rslora && !(lora.rank_pattern.empty() && lora.alpha_pattern.empty())) {
    throw ConfigError(
        "path_initial_model_for_weight_conversion: expected no rank_pattern and no alpha_pattern "
        "together with use_rslora, got both. Such an adapter stays on the base that it was trained "
        "on.");
  }
  at::NoGradGuard no_grad;
  StateDict plain;
  for (const auto& [key, tensor] : trained) {
    switch (half_of(key)) {
      case Half::kA:
        plain.set(key, at::cat({tensor, initial_of(initial, key, tensor)}, 0));
        break;
      case Half::kB:
        check_groups(trained, key, tensor);
        plain.set(key, at::cat({tensor, -initial_of(initial, key, tensor)}, 1));
        break;
      case Half::kNone:
        plain.set(key, tensor);
    }
  }
  return {PeftConfig(plain_config(lora)), std::move(plain)};
}

}  // namespace peft::lora
