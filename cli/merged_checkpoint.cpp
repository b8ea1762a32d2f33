#include "cli/merged_checkpoint.h"

#include <map>

#include "cli/gguf_tokenizer_json.h"
#include "peft/base/file.h"
#include "peft/base/json_text.h"
#include "peft/formats/checkpoint_writer.h"
#include "peft/tensor/dtype.h"
#include "peft/tensor/state_dict.h"

namespace peft::cli {

namespace {

/// The class name by which transformers finds a model's code.
/// Source: MODEL_FOR_CAUSAL_LM_MAPPING_NAMES in transformers/models/auto/modeling_auto.py.
std::string architecture_of(const std::string& model_type) {
  static const std::map<std::string, std::string> names = {{"llama", "LlamaForCausalLM"},
                                                           {"mistral", "MistralForCausalLM"},
                                                           {"qwen2", "Qwen2ForCausalLM"},
                                                           {"qwen3", "Qwen3ForCausalLM"}};
  const auto found = names.find(model_type);
  return found == names.end() ? "" : found->second;
}

/// Every parameter once: a tied head is the embedding.
StateDict weights_of(const LanguageModelImpl& model) {
  StateDict weights;
  for (const auto& parameter : model.named_parameters()) {
    weights.set(parameter.key(), parameter.value().detach());
  }
  return weights;
}

Json config_of(const LanguageModelImpl& model, const StateDict& weights) {
  Json config = model.config();
  if (!config.contains("architectures")) {
    const std::string name = architecture_of(config.value("model_type", ""));
    if (!name.empty()) config["architectures"] = Json::array({name});
  }
  config.erase("torch_dtype");
  config.erase("quantization_config");
  if (!weights.empty())
    config["dtype"] = std::string(dtype_name(weights.begin()->second.scalar_type()));
  return config;
}

}  // namespace

MergedReport write_merged_checkpoint(const std::filesystem::path& folder,
                                     const LanguageModelImpl& model,
                                     const formats::Checkpoint& origin) {
  const StateDict weights = weights_of(model);
  formats::CheckpointParts parts{.config = config_of(model, weights),
                                 .generation_config = origin.generation_config(),
                                 .tokenizer_config = origin.tokenizer_config(),
                                 .chat_template = origin.chat_template()};
  if (const auto file = origin.tokenizer_file()) {
    parts.tokenizer = read_text_file(*file);
  } else if (auto files = tokenizer_files_of_gguf(origin.gguf_metadata(), origin.path().string())) {
    parts.tokenizer = std::move(files->tokenizer);
    parts.tokenizer_config = std::move(files->config);
  }
  ensure_folder(folder);
  formats::write_checkpoint(folder, weights, parts);
  return {.tensors = weights.size(), .has_tokenizer = parts.tokenizer.has_value()};
}

}  // namespace peft::cli
