#include "peft/methods/lora/targets.h"

#include <algorithm>
#include <array>

namespace peft::lora {
namespace {

struct Row {
  std::string_view model_type;
  std::array<const char*, 6> names;  // null where unused; a single name with a '*' is a pattern
};

constexpr std::array<const char*, 6> kQueryValue{"q_proj", "v_proj"};
constexpr std::array<const char*, 6> kFused{"query_key_value"};
constexpr std::array<const char*, 6> kBert{"query", "value"};

constexpr Row kRows[] = {
    {"t5", {"q", "v"}},
    {"mt5", {"q", "v"}},
    {"bart", kQueryValue},
    {"gpt2", {"c_attn"}},
    {"bloom", kFused},
    {"blip-2", {"q", "v", "q_proj", "v_proj"}},
    {"opt", kQueryValue},
    {"gptj", kQueryValue},
    {"gpt_neox", kFused},
    {"gpt_neo", kQueryValue},
    {"bert", kBert},
    {"roberta", kBert},
    {"xlm-roberta", kBert},
    {"electra", kBert},
    {"deberta-v2", {"query_proj", "value_proj"}},
    {"deberta", {"in_proj"}},
    {"layoutlm", kBert},
    {"llama", kQueryValue},
    {"llama4", kQueryValue},
    {"chatglm", kFused},
    {"gpt_bigcode", {"c_attn"}},
    {"mpt", {"Wqkv"}},
    {"RefinedWebModel", kFused},
    {"RefinedWeb", kFused},
    {"falcon", kFused},
    {"btlm", {"c_proj", "c_attn"}},
    {"codegen", {"qkv_proj"}},
    {"mistral", kQueryValue},
    {"mixtral", kQueryValue},
    {"stablelm", kQueryValue},
    {"phi", {"q_proj", "v_proj", "fc1", "fc2"}},
    {"gemma", kQueryValue},
    {"gemma2", kQueryValue},
    {"gemma3_text", kQueryValue},
    {"gemma4", {".*language_model\\..*\\.(q_proj|v_proj)"}},
    {"qwen2", kQueryValue},
    {"qwen3", kQueryValue},
    {"nemotron_h", {"q_proj", "k_proj", "v_proj", "o_proj"}},
    {"rwkv", {"key", "value", "receptance", "output"}},
    {"rwkv7", {"r_proj", "k_proj", "v_proj", "o_proj", "key", "value"}},
};

}  // namespace

std::optional<TargetModules> default_targets(std::string_view model_type) {
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                 [&](const Row& each) { return each.model_type == model_type; });
  if (row == std::end(kRows)) return std::nullopt;
  if (std::string_view(row->names[0]).find('*') != std::string_view::npos) {
    return TargetModules(row->names[0]);
  }
  std::vector<std::string> names;
  for (const char* name : row->names) {
    if (name != nullptr) names.emplace_back(name);
  }
  return TargetModules(std::move(names));
}

}  // namespace peft::lora
