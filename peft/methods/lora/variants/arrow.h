#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "peft/methods/lora/variants/variant.h"

namespace peft::lora {

/// What adapter_config.json's `arrow_config` says.
/// Source: ArrowConfig in peft/tuners/lora/config.py.
struct ArrowConfig {
  int64_t top_k = 3;                // task adapters that a token gets a share of
  double router_temperature = 1.0;  // above 1: shares more alike; below: less
  bool use_gks = false;             // take the general adapters' mean out of the task adapters
  /// As create_arrow_model named them, and the general ones.
  std::optional<std::vector<std::string>> task_adapter_names = std::nullopt;
  std::optional<std::vector<std::string>> gks_adapter_names = std::nullopt;
  std::optional<int64_t> rng_seed = std::nullopt;  // of the prototypes; nullopt: none

  static void fields(auto& self, auto&& field) {
    field("top_k", self.top_k, "Task adapters that a token gets a share of.");
    field("router_temperature", self.router_temperature, "Above 1: shares more alike.");
    field("use_gks", self.use_gks, "Take the general adapters' mean out of the task adapters.");
    field("task_adapter_names", self.task_adapter_names, "As create_arrow_model named them.");
    field("gks_adapter_names", self.gks_adapter_names, "The general ones.");
    field("rng_seed", self.rng_seed, "Of the prototypes.");
  }
  /// Throws: ConfigError naming the key.
  static ArrowConfig parse(const Json& object);
  /// Every field, as Python writes it.
  Json to_json() const;
};

/// Arrow: this adapter, the router, has no effect of its own. It deals each token out to the task
/// adapters of its layer, those `top_k` whose prototypes are most like the token:
///   y = W x + drop(sum over e of c_e s_e B_e A_e x), c = softmax(|x · p_e| / temperature)
/// The prototype p_e is the direction that B_e A_e stretches most. Prototypes are made at the first
/// call and kept until the layer has other task adapters: training them moves no prototype.
///
/// With `use_gks` the first call takes the mean of the general adapters out of A and B of each task
/// adapter, for good (GenKnowSub, Bagherifard et al., ACL 2025 short 54).
///
/// Task adapters are all adapters of the layer but routers and general ones ("gks_0", ...), also
/// such as are added later. A layer without any computes as the base does.
///
/// Source: Ostapenko et al., arXiv:2405.11157; peft/tuners/lora/arrow.py and ArrowLinearVariant in
/// peft/tuners/lora/variants.py.
class ArrowVariant final : public LoraVariant {
 public:
  /// Throws: ConfigError.
  explicit ArrowVariant(const LoraConfig& config);

  /// Throws: ConfigError where a task adapter of the layer is a variant or has a bias.
  void prepare(LoraAdapter& adapter, const VariantSetup& setup) override;
  /// Throws: ConfigError where the layer has fewer task adapters than top_k, where one is no plain
  /// LoRA, and where general adapters are missing or of another rank.
  at::Tensor linear(const LoraAdapter& adapter, const LinearCall& call,
                    const at::Tensor& y) const override;
  /// Throws: UnsupportedError, since no weight has the effect.
  at::Tensor delta(const LoraAdapter& adapter, const at::Tensor& weight,
                   const at::Tensor& base) const override;
  std::string input_dependence() const override;
  std::string merge_obstacle() const override;
  bool supports_lora_conversion() const override { return false; }

 private:
  std::vector<const LoraAdapter*> task_adapters() const;
  std::vector<const LoraAdapter*> general_adapters() const;
  bool is_task(const std::string& name, const LoraAdapter& adapter) const;
  void check_plain(const std::string& name, const LoraAdapter& adapter) const;
  at::Tensor prototypes_of(const std::vector<const LoraAdapter*>& adapters) const;
  void subtract_general(const std::vector<const LoraAdapter*>& adapters) const;
  at::Tensor shares(const at::Tensor& tokens, const at::Tensor& prototypes) const;

  ArrowConfig config_;
  std::string name_;                        // of the layer's parameter
  const AdaptersOfSite* beside_ = nullptr;  // all adapters of the layer, which owns them and this
  mutable std::mutex mutex_;
  // Both by the identity of A, so that an adapter of the same name in the place of a former one is
  // a new one.
  mutable std::vector<at::Tensor> prototypes_for_, subtracted_from_;
  mutable at::Tensor prototypes_;  // [E, I] float32
};

/// The direction that B A stretches most, of length one, by power iteration from a random vector.
/// With `seed` the vector is that of a generator of its own, as in Python.
///   a [R, I], b [O, R] -> [I] float32
/// Source: top_right_singular_vec_from_BA in peft/tuners/lora/arrow.py.
at::Tensor arrow_prototype(const at::Tensor& a, const at::Tensor& b, std::optional<int64_t> seed);

}  // namespace peft::lora
