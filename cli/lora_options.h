#pragma once

#include <cctype>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/options.h"
#include "peft/methods/lora/config.h"

namespace peft::cli {

/// Gives a struct's fields to `field` under the name of what they belong to: "eva" and "rho" make
/// the flag eva_rho with the help "eva: ...". A name that begins so already stays as it is.
template <typename Field>
auto named_after(const std::string& owner, Field& field) {
  return [owner, &field](std::string_view key, auto& value, std::string_view help, auto&&...) {
    const std::string start = owner + "_";
    std::string text(help);
    if (!text.empty()) text.front() = static_cast<char>(std::tolower(text.front()));
    field(key.starts_with(start) ? std::string(key) : start + std::string(key), value,
          owner + ": " + text);
  };
}

/// The flags of a new LoRA adapter, named as TRL's ModelConfig names them.
struct LoraOptions {
  int64_t lora_r = 16;
  double lora_alpha = 32;
  double lora_dropout = 0.05;
  std::vector<std::string> lora_target_modules = {};
  std::vector<std::string> lora_exclude_modules = {};
  std::vector<std::string> lora_modules_to_save = {};
  bool use_rslora = false;
  std::string lora_bias = "none";
  std::string init_lora_weights = "true";
  bool use_dora = false;
  std::vector<std::string> lora_target_parameters = {};
  std::vector<std::string> trainable_token_indices = {};
  bool ensure_weight_tying = false;
  std::string layer_replication = "";
  std::vector<std::string> alora_invocation_tokens = {};
  std::string use_bdlora = "";
  std::string velora_config = "";
  std::string kasa_config = "";
  std::string monteclora_config = "";
  EvaConfig eva = {};
  CordaConfig corda = {};
  LoftQConfig loftq = {};
  LoraGAConfig lora_ga = {};

  static void fields(auto& self, auto&& field) {
    field("lora_r", self.lora_r, "Rank of the update matrices.");
    field("lora_alpha", self.lora_alpha, "Numerator of the scaling factor.");
    field("lora_dropout", self.lora_dropout, "Dropout probability on the adapter's input.");
    field("lora_target_modules", self.lora_target_modules,
          "Modules to adapt: names (also with commas between), all-linear, or one regular "
          "expression; "
          "default: by model type, as in Python PEFT.");
    field("lora_exclude_modules", self.lora_exclude_modules,
          "Modules to leave out, in the same ways.");
    field("lora_modules_to_save", self.lora_modules_to_save, "Modules to train and save in full.");
    field("use_rslora", self.use_rslora, "Scale by 1/sqrt(r) in place of 1/r.");
    field("lora_bias", self.lora_bias, "Biases to train: none, all or lora_only.");
    field("init_lora_weights", self.init_lora_weights,
          "true, false, gaussian, pissa, pissa_niter_N, olora, orthogonal, mica, eva, corda, loftq "
          "or lora_ga.");
    field("use_dora", self.use_dora, "Weight-decomposed LoRA: lengths and directions apart.");
    field("lora_target_parameters", self.lora_target_parameters,
          "Parameters to adapt by the ends of their names, such as stacks of experts.");
    field("trainable_token_indices", self.trainable_token_indices,
          "Token ids whose embeddings are trained in full.");
    field("ensure_weight_tying", self.ensure_weight_tying,
          "Tie the adapters of an embedding and a head that share a weight.");
    field("layer_replication", self.layer_replication,
          "Layers to stack again, as JSON: [[0, 4], [2, 5]].");
    field("alora_invocation_tokens", self.alora_invocation_tokens,
          "Token ids from which on the adapter acts (aLoRA).");
    field("use_bdlora", self.use_bdlora, "Settings of block-diagonal LoRA, as JSON.");
    field("velora_config", self.velora_config, "Settings of VeLoRA, as JSON; {} for the defaults.");
    field("kasa_config", self.kasa_config, "Settings of KaSA, as JSON; {} for the defaults.");
    field("monteclora_config", self.monteclora_config,
          "Settings of MonteCLoRA, as JSON; {} for the defaults.");
    EvaConfig::fields(self.eva, named_after("eva", field));
    CordaConfig::fields(self.corda, [&](std::string_view key, auto& value, std::string_view help) {
      // Two that change nothing here: nothing is printed, and nothing is kept that could be pruned.
      if (key == "verbose" || key == "prune_temporary_fields") return;
      named_after("corda", field)(key, value, help);
    });
    LoftQConfig::fields(self.loftq, named_after("loftq", field));
    LoraGAConfig::fields(self.lora_ga, named_after("lora_ga", field));
  }

  /// The flags that do not say what they say by default.
  std::vector<std::string> changed() const;

  /// The adapter's config.
  /// Throws: ConfigError, also where a setting belongs to a beginning that is not chosen.
  LoraConfig config(const std::string& base_model) const;

 private:
  void add_beginning(LoraConfig& config) const;
};

/// What words on the command line mean as modules: nothing; the word all-linear; one word with
/// signs of a regular expression is one; everything else is a list of names.
NamesOrPattern modules_from_words(const std::vector<std::string>& words);

}  // namespace peft::cli
