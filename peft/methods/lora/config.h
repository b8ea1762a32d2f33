#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "peft/adapter/config.h"
#include "peft/adapter/config_values.h"
#include "peft/base/json.h"
#include "peft/methods/lora/init/settings.h"
#include "peft/methods/lora/init/statistics.h"

namespace peft {

/// What adapter_config.json says about one LoRA adapter. The field names are the file's keys, their
/// order is that of the Python dataclass.
///
/// Source: LoraConfig in peft/tuners/lora/config.py (0.21.2).
struct LoraConfig {
  std::optional<std::string> task_type = std::nullopt;  // "CAUSAL_LM", "SEQ_CLS", ...
  std::string peft_type = "LORA";
  Json auto_mapping = nullptr;
  std::optional<std::string> peft_version = std::string(kPeftVersion);
  std::optional<std::string> base_model_name_or_path = std::nullopt;
  std::optional<std::string> revision = std::nullopt;
  bool inference_mode = false;

  int64_t r = 8;                      // rank R of the update, >= 1
  TargetModules target_modules = {};  // names, a pattern or "all-linear"
  NamesOrPattern exclude_modules = {};
  Number lora_alpha = 8;        // numerator of the scaling
  double lora_dropout = 0.0;    // probability, in [0, 1)
  bool fan_in_fan_out = false;  // the weight is stored as [I, O]
  std::string bias = "none";    // "none", "all" or "lora_only"
  bool use_rslora = false;      // divide by sqrt(r) instead of r
  std::optional<std::vector<std::string>> modules_to_save = std::nullopt;
  BoolOrString init_lora_weights = true;  // true, false or a word: README.md lists them
  LayerIndices layers_to_transform = {};
  NamesOrPattern layers_pattern = {};
  std::vector<std::pair<std::string, int64_t>> rank_pattern = {};
  std::vector<std::pair<std::string, Number>> alpha_pattern = {};
  Json megatron_config = nullptr;
  std::optional<std::string> megatron_core = "megatron.core";
  Json trainable_token_indices = nullptr;
  std::optional<LoftQConfig> loftq_config = std::nullopt;
  std::optional<EvaConfig> eva_config = std::nullopt;
  std::optional<CordaConfig> corda_config = std::nullopt;
  std::optional<LoraGAConfig> lora_ga_config = std::nullopt;
  bool use_dora = false;
  Json velora_config = nullptr;
  Json alora_invocation_tokens = nullptr;
  bool use_qalora = false;
  int64_t qalora_group_size = 16;
  Json monteclora_config = nullptr;
  Json layer_replication = nullptr;
  bool lora_bias = false;  // a bias on lora_B
  std::optional<std::vector<std::string>> target_parameters = std::nullopt;
  Json use_bdlora = nullptr;
  Json arrow_config = nullptr;
  Json kasa_config = nullptr;
  bool ensure_weight_tying = false;

  LoraRuntimeConfig runtime_config = {};

  Json extra = Json::object();  // keys of the file that PEFT 0.21.2 does not know

  /// What preprocess_corda and preprocess_loraga found out for the next adapter; of no file.
  std::shared_ptr<lora::InitStatistics> statistics = nullptr;

  /// The one list of fields: file, command line and documentation come from it.
  static void fields(auto& self, auto&& field) {
    shared_part(self, field);
    adaptation_part(self, field);
    variant_part(self, field);
  }

  /// Throws: ConfigError naming field, value and allowed range; UnsupportedError for a
  /// field that is not served (use_qalora, megatron_config) with a value of its own.
  void validate() const;

  /// Fills in the settings that a way of beginning needs and the config lacks, and takes those out
  /// that belong to another one.  Source: LoraConfig.__post_init__.
  void complete();

  friend bool operator==(const LoraConfig&, const LoraConfig&) = default;

 private:
  static void shared_part(auto& self, auto&& field) {
    field("task_type", self.task_type, "Kind of task, such as CAUSAL_LM.");
    field("peft_type", self.peft_type, "Name of the method.");
    field("auto_mapping", self.auto_mapping, "Class of the base model where task_type is null.");
    field("peft_version", self.peft_version, "Version of PEFT that wrote the file.");
    field("base_model_name_or_path", self.base_model_name_or_path, "Base model.");
    field("revision", self.revision, "Revision of the base model.");
    field("inference_mode", self.inference_mode, "Freeze the adapter after loading.");
  }

  static void adaptation_part(auto& self, auto&& field) {
    field("r", self.r, "Rank of the update matrices.");
    field("target_modules", self.target_modules,
          "Modules to adapt: names, a regular expression, or all-linear.");
    field("exclude_modules", self.exclude_modules, "Modules to leave out: names or an expression.");
    field("lora_alpha", self.lora_alpha, "Numerator of the scaling factor.");
    field("lora_dropout", self.lora_dropout, "Dropout probability on the adapter's input.");
    field("fan_in_fan_out", self.fan_in_fan_out, "The weight is stored as [in, out].");
    field("bias", self.bias, "Biases to train: none, all or lora_only.");
    field("use_rslora", self.use_rslora, "Scale by 1/sqrt(r) (arXiv:2312.03732).");
    field("modules_to_save", self.modules_to_save, "Modules to train and save in full.");
    field("init_lora_weights", self.init_lora_weights,
          "Initialisation: true, false, gaussian, eva, olora, pissa, pissa_niter_N, corda, loftq, "
          "orthogonal, mica or lora_ga.");
    field("layers_to_transform", self.layers_to_transform, "Indices of the layers to adapt.");
    field("layers_pattern", self.layers_pattern, "Name of the list of layers.");
    field("rank_pattern", self.rank_pattern, "Rank of the modules that match an expression.");
    field("alpha_pattern", self.alpha_pattern, "Alpha of the modules that match an expression.");
    field("lora_bias", self.lora_bias, "Give lora_B a bias.");
    field("ensure_weight_tying", self.ensure_weight_tying, "Tie the adapters of tied weights.");
  }

  static void variant_part(auto& self, auto&& field) {
    field("megatron_config", self.megatron_config, "Arguments of Megatron's parallel layers.");
    field("megatron_core", self.megatron_core, "Name of Megatron's core module.");
    field("trainable_token_indices", self.trainable_token_indices, "Token rows to train.");
    field("loftq_config", self.loftq_config, "Settings of the LoftQ initialisation.");
    field("eva_config", self.eva_config, "Settings of the EVA initialisation.");
    field("corda_config", self.corda_config, "Settings of the CorDA initialisation.");
    field("lora_ga_config", self.lora_ga_config, "Settings of the LoRA-GA initialisation.");
    field("use_dora", self.use_dora, "Weight-decomposed LoRA (arXiv:2402.09353).");
    field("velora_config", self.velora_config, "Settings of VeLoRA.");
    field("alora_invocation_tokens", self.alora_invocation_tokens, "Tokens that switch aLoRA on.");
    field("use_qalora", self.use_qalora, "Quantisation-aware LoRA (arXiv:2309.14717).");
    field("qalora_group_size", self.qalora_group_size, "Group size of QALoRA.");
    field("monteclora_config", self.monteclora_config, "Settings of MonteCLoRA.");
    field("layer_replication", self.layer_replication, "Ranges of layers to stack again.");
    field("target_parameters", self.target_parameters, "Parameters to adapt by name.");
    field("use_bdlora", self.use_bdlora, "Settings of block-diagonal LoRA.");
    field("arrow_config", self.arrow_config, "Settings of Arrow routing.");
    field("kasa_config", self.kasa_config, "Settings of KaSA.");
  }
};

}  // namespace peft
