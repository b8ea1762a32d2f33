#include "cli/lora_options.h"

#include "peft/base/error.h"
#include "peft/base/json_text.h"
#include "peft/base/text.h"

namespace peft::cli {

namespace {

std::vector<std::string> without_commas(const std::vector<std::string>& words) {
  std::vector<std::string> names;
  for (const std::string& word : words) {
    for (const std::string& name : split(word, ',')) {
      if (!name.empty()) names.push_back(name);
    }
  }
  return names;
}

// Token ids, with or without commas between.
Json ids_of(const std::vector<std::string>& words, const std::string& flag) {
  if (words.empty()) return nullptr;
  Json ids = Json::array();
  for (const std::string& word : without_commas(words)) {
    const auto id = whole_number<int64_t>(word);
    if (!id) throw ConfigError(flag + ": expected token ids, got '" + word + "'.");
    ids.push_back(*id);
  }
  return ids;
}

Json json_of(const std::string& text, const std::string& flag) {
  if (text.empty()) return nullptr;
  try {
    return parse_json(text, flag);
  } catch (const FormatError& error) {
    throw ConfigError(error.what());
  }
}

Json settings_of(const std::string& text, const std::string& flag) {
  const Json settings = json_of(text, flag);
  if (settings.is_null()) return settings;
  if (!settings.is_object())
    throw ConfigError(flag + ": expected a JSON object, got " + text + ".");
  return settings;
}

BoolOrString init_word(const std::string& word) {
  if (word == "true" || word == "True") return true;
  if (word == "false" || word == "False") return false;
  return word;
}

}  // namespace

NamesOrPattern modules_from_words(const std::vector<std::string>& words) {
  if (words.empty()) return std::nullopt;
  if (words.size() == 1) {
    const std::string& word = words.front();
    if (word == "all-linear" || word.find_first_of("*+?^$()[]{}|\\") != std::string::npos)
      return word;
  }
  return without_commas(words);
}

std::vector<std::string> LoraOptions::changed() const {
  LoraOptions plain, mine = *this;
  const auto before = flags_of(plain), now = flags_of(mine);
  std::vector<std::string> names;
  for (size_t i = 0; i < now.size(); ++i) {
    if (now[i].default_value != before[i].default_value) names.push_back("--" + now[i].name);
  }
  return names;
}

// The settings of the chosen way of beginning; those of another one would be ignored.
void LoraOptions::add_beginning(LoraConfig& config) const {
  const auto add = [&](const std::string& word, const auto& settings, auto& into) {
    if (init_lora_weights == word) {
      into = settings;
      return;
    }
    std::vector<std::string> set;
    for (std::string& flag : changed()) {
      if (flag.starts_with("--" + word + "_")) set.push_back(std::move(flag));
    }
    if (set.empty()) return;
    throw ConfigError(join(set, ", ") + ": expected --init_lora_weights " + word +
                      ", whose setting this is, got --init_lora_weights " + init_lora_weights +
                      ". Choose it, or leave the setting out.");
  };
  add("eva", eva, config.eva_config);
  add("corda", corda, config.corda_config);
  add("loftq", loftq, config.loftq_config);
  add("lora_ga", lora_ga, config.lora_ga_config);
}

LoraConfig LoraOptions::config(const std::string& base_model) const {
  LoraConfig config{.task_type = "CAUSAL_LM",
                    .base_model_name_or_path = base_model,
                    .r = lora_r,
                    .target_modules = modules_from_words(lora_target_modules),
                    .exclude_modules = modules_from_words(lora_exclude_modules),
                    .lora_alpha = lora_alpha,
                    .lora_dropout = lora_dropout,
                    .bias = lora_bias,
                    .use_rslora = use_rslora,
                    .init_lora_weights = init_word(init_lora_weights),
                    .use_dora = use_dora};
  if (!lora_target_parameters.empty()) {
    config.target_parameters = without_commas(lora_target_parameters);
  }
  config.trainable_token_indices = ids_of(trainable_token_indices, "--trainable_token_indices");
  config.ensure_weight_tying = ensure_weight_tying;
  config.layer_replication = json_of(layer_replication, "--layer_replication");
  config.alora_invocation_tokens = ids_of(alora_invocation_tokens, "--alora_invocation_tokens");
  config.use_bdlora = settings_of(use_bdlora, "--use_bdlora");
  config.velora_config = settings_of(velora_config, "--velora_config");
  config.kasa_config = settings_of(kasa_config, "--kasa_config");
  config.monteclora_config = settings_of(monteclora_config, "--monteclora_config");
  if (!lora_modules_to_save.empty()) config.modules_to_save = without_commas(lora_modules_to_save);
  add_beginning(config);
  config.validate();
  return config;
}

}  // namespace peft::cli
