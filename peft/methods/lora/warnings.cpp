#include "peft/methods/lora/warnings.h"

#include <algorithm>

#include "peft/base/text.h"
#include "peft/base/warnings.h"
#include "peft/methods/lora/config.h"

namespace peft::lora {

void warn_of_new(const PeftConfig& config, bool low_cpu_mem_usage) {
  if (low_cpu_mem_usage || config.as<LoraConfig>().init_lora_weights.word() != "eva") return;
  warn(
      "lora with eva initialization used with low_cpu_mem_usage=False. Setting "
      "low_cpu_mem_usage=True can improve the maximum batch size possible for eva initialization.");
}

void warn_of_loaded(const PeftConfig& config,
                    const std::vector<std::pair<std::string, PeftConfig>>& others) {
  if (others.empty()) return;
  const auto begins_with = [](const PeftConfig& one, const char* word) {
    return one.as<LoraConfig>().init_lora_weights.word() == word;
  };
  constexpr std::pair<const char*, const char*> kNames[] = {
      {"pissa", "PiSSA"}, {"corda", "CorDA"}, {"olora", "OLoRA"}};
  for (const auto& [word, name] : kNames) {
    const bool any = begins_with(config, word) ||
                     std::any_of(others.begin(), others.end(), [&, word = word](const auto& other) {
                       return begins_with(other.second, word);
                     });
    if (!any) continue;
    warn(std::string(name) +
         " changes the base weights of the model and should thus not be used with other adapters. "
         "Consider converting the " +
         name + " adapter into a normal LoRA adapter (path_initial_model_for_weight_conversion).");
    return;
  }
}

void warn_of_state(const std::string& adapter, const StateDict& state) {
  std::vector<std::string> bad;
  for (const auto& [name, tensor] : state) {
    const bool factor =
        name.find(".lora_A") != std::string::npos || name.find(".lora_B") != std::string::npos;
    const bool bias = name.ends_with(".bias");
    if (!factor || bias || (tensor.dim() >= 2 && tensor.numel() > 0)) continue;
    bad.push_back(name + ": " + shape_text(tensor.sizes().vec()));
  }
  if (bad.empty()) return;
  warn("Adapter '" + adapter + "': " + std::to_string(bad.size()) +
       " LoRA tensor(s) have invalid shape: " + join_names(bad, 3) +
       ". Factors of one dimension or of size 0 are parts of a model that is spread over several "
       "processes, which were not gathered before save_pretrained. Gather them first.");
}

}  // namespace peft::lora
