#include "peft/methods/lora/config.h"

#include <array>
#include <string_view>

#include "peft/adapter/layer_replication.h"
#include "peft/adapter/trainable_tokens.h"
#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/warnings.h"
#include "peft/methods/lora/init/words.h"
#include "peft/methods/lora/variants/alora.h"
#include "peft/methods/lora/variants/arrow.h"
#include "peft/methods/lora/variants/bdlora.h"
#include "peft/methods/lora/variants/kasa.h"
#include "peft/methods/lora/variants/monteclora.h"
#include "peft/methods/lora/variants/velora.h"

namespace peft {
namespace {

[[noreturn]] void throw_config(const std::string& field, const std::string& expected,
                               const std::string& got) {
  throw ConfigError("LoraConfig: " + field + ": expected " + expected + ", got " + got + ".");
}

[[noreturn]] void throw_unsupported(const std::string& field, const std::string& value,
                                    const std::string& advice) {
  throw UnsupportedError("LoraConfig: " + field + " = " + value +
                         " is known to PEFT but not served by this library: expected " + advice +
                         ". Train or convert this adapter with Python PEFT.");
}

void check_task_type(const std::optional<std::string>& task_type) {
  static constexpr std::array<std::string_view, 6> kTaskTypes{
      "SEQ_CLS", "SEQ_2_SEQ_LM", "CAUSAL_LM", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION"};
  if (!task_type) return;
  std::string all;
  for (std::string_view known : kTaskTypes) {
    if (*task_type == known) return;
    all += (all.empty() ? "" : ", ") + std::string(known);
  }
  throw_config("task_type", "one of " + all + " or null", "'" + *task_type + "'");
}

void check_numbers(const LoraConfig& config) {
  if (config.r <= 0) throw_config("r", "a positive integer", std::to_string(config.r));
  for (const auto& [pattern, rank] : config.rank_pattern) {
    if (rank <= 0) {
      throw_config("rank_pattern['" + pattern + "']", "a positive integer", std::to_string(rank));
    }
  }
  if (!(config.lora_dropout >= 0.0 && config.lora_dropout <= 1.0)) {
    throw_config("lora_dropout", "a probability between 0 and 1",
                 python_float(config.lora_dropout));
  }
}

// The checks of LoraConfig.__post_init__ about fields that exclude each other.
void check_combinations(const LoraConfig& config) {
  if (config.target_modules.is_pattern() && !config.layers_to_transform.absent()) {
    throw_config("layers_to_transform", "null where target_modules is a string",
                 config.layers_to_transform.text());
  }
  if (config.target_modules.is_pattern() && !config.layers_pattern.absent()) {
    throw_config("layers_pattern", "null where target_modules is a string",
                 config.layers_pattern.text());
  }
  if (config.layers_pattern.truthy() && config.layers_to_transform.absent()) {
    throw_config("layers_to_transform", "layer numbers where layers_pattern is given", "null");
  }
  if (config.bias != "none" && config.bias != "all" && config.bias != "lora_only") {
    throw_config("bias", "'none', 'all' or 'lora_only'", "'" + config.bias + "'");
  }
  if (config.lora_bias && !config.init_lora_weights.is_bool()) {
    throw_config("lora_bias", "false unless init_lora_weights is true or false",
                 "true with init_lora_weights = " + config.init_lora_weights.text());
  }
}

void check_initialisation(const LoraConfig& config) {
  if (config.eva_config) config.eva_config->validate();
  if (config.init_lora_weights.is_bool()) return;
  const std::string word = config.init_lora_weights.word();
  const lora::InitKind kind = lora::init_kind_of_word(word);
  if (kind == lora::InitKind::kUnknown) {
    throw_config("init_lora_weights", lora::init_words(), "'" + word + "'");
  }
  if (kind == lora::InitKind::kPissa) lora::pissa_iterations(word);
  if (kind == lora::InitKind::kLoftq && !config.loftq_config) {
    throw_config("loftq_config", "its settings where init_lora_weights is 'loftq'", "none");
  }
  // Settings of a beginning that is not chosen have no effect, and so no mistakes.
  if (kind == lora::InitKind::kLoftq) config.loftq_config->validate();
  if (kind == lora::InitKind::kCorda && config.corda_config) config.corda_config->validate();
  if (kind == lora::InitKind::kLoraGa && config.lora_ga_config) config.lora_ga_config->validate();
}

// Python's truth of a value: null, false, 0 and empty containers are false.
bool truthy(const Json& value) {
  if (value.is_null() || value == false) return false;
  return !((value.is_array() || value.is_object() || value.is_string()) && value.empty());
}

void check_variants(const LoraConfig& config) {
  const auto refuse = [](const char* field, const Json& value) {
    if (truthy(value)) throw_unsupported(field, dump_json(value, {.indent = std::nullopt}), "null");
  };
  if (config.use_dora && config.lora_bias) {
    throw_config("lora_bias", "false where use_dora is true", "true");
  }
  const std::pair<const char*, const Json*> settings[] = {
      {"velora_config", &config.velora_config},
      {"arrow_config", &config.arrow_config},
      {"use_bdlora", &config.use_bdlora},
      {"monteclora_config", &config.monteclora_config},
      {"kasa_config", &config.kasa_config}};
  for (const auto& [field, value] : settings) {
    if (value->is_null() || value->is_object()) continue;
    throw_config(field, "an object or null", dump_json(*value, {.indent = std::nullopt}));
  }
  if (truthy(config.arrow_config)) lora::ArrowConfig::parse(config.arrow_config);
  if (truthy(config.velora_config)) lora::VeloraConfig::parse(config.velora_config);
  if (truthy(config.monteclora_config)) lora::MontecloraConfig::parse(config.monteclora_config);
  if (truthy(config.kasa_config)) lora::KasaConfig::parse(config.kasa_config);
  if (truthy(config.use_bdlora)) lora::BdLoraConfig::parse(config.use_bdlora);
  const bool alora = !config.alora_invocation_tokens.is_null();
  if (alora) lora::alora_tokens(config);
  if (alora && config.task_type != "CAUSAL_LM") {
    warn("aLoRA is currently only supported for CAUSAL_LM task.");
  }
  parse_token_rows(config.trainable_token_indices);
  if (config.use_qalora) throw_unsupported("use_qalora", "true", "false");
  refuse("megatron_config", config.megatron_config);
  parse_layer_ranges(config.layer_replication);
}

// Settings of an initialisation that is not chosen have no effect, in Python neither.
void warn_of_ignored(const LoraConfig& config) {
  const auto ignored = [](const char* field, const char* init) {
    warn(std::string("LoraConfig: `") + field + "` is ignored where `init_lora_weights` is not '" +
         init + "'.");
  };
  if (config.qalora_group_size != LoraConfig().qalora_group_size) {
    warn("LoraConfig: `qalora_group_size` is ignored where `use_qalora` is false.");
  }
  const std::string word = config.init_lora_weights.word();
  if (config.loftq_config && word != "loftq") ignored("loftq_config", "loftq");
  if (config.eva_config && word != "eva") ignored("eva_config", "eva");
  if (config.corda_config && word != "corda") ignored("corda_config", "corda");
  if (config.lora_ga_config && word != "lora_ga") ignored("lora_ga_config", "lora_ga");
}

// Said early, since only save_pretrained could tell otherwise, after the training.
void warn_of_no_conversion(const LoraConfig& config) {
  const std::string word = config.init_lora_weights.word();
  const bool moves =
      word.starts_with("pissa") || word == "olora" || word == "corda" || word == "lora_ga";
  if (!moves || !config.use_rslora) return;
  if (config.rank_pattern.empty() && config.alpha_pattern.empty()) return;
  warn(
      "LoraConfig: with use_rslora and rank_pattern or alpha_pattern an adapter that begins with "
      "PiSSA, CorDA, OLoRA or LoRA-GA cannot be converted to a plain one "
      "(path_initial_model_for_weight_conversion). Leave one of them out if you mean to.");
}

}  // namespace

void LoraConfig::validate() const {
  if (peft_type != "LORA") throw_config("peft_type", "'LORA'", "'" + peft_type + "'");
  check_task_type(task_type);
  check_numbers(*this);
  check_combinations(*this);
  check_initialisation(*this);
  check_variants(*this);
  warn_of_ignored(*this);
  warn_of_no_conversion(*this);
}

void LoraConfig::complete() {
  const std::string word = init_lora_weights.word();
  if (word != "loftq") loftq_config.reset();
  if (word == "eva" && !eva_config) {
    warn(
        "`init_lora_weights` is 'eva' but `eva_config` is not specified. Using default EVA "
        "config.");
    eva_config.emplace();
  }
  if (word == "corda" && !corda_config) {
    warn(
        "`init_lora_weights` is 'corda' but `corda_config` is not specified. Using default CorDA "
        "config.");
    corda_config.emplace();
  }
}

}  // namespace peft
