#include "cli/lora_options.h"

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
                    .init_lora_weights = init_word(init_lora_weights)};
  if (!lora_modules_to_save.empty()) config.modules_to_save = without_commas(lora_modules_to_save);
  // The settings of the chosen way of beginning are the usual ones.
  if (init_lora_weights == "eva") config.eva_config.emplace();
  if (init_lora_weights == "corda") config.corda_config.emplace();
  if (init_lora_weights == "loftq") config.loftq_config.emplace();
  if (init_lora_weights == "lora_ga") config.lora_ga_config.emplace();
  config.validate();
  return config;
}

}  // namespace peft::cli
